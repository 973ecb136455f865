"""The memory of a shard's tablets over a restart of vtorc: what is kept of it, and what it is worth afterwards."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.plain import as_plain, from_plain
from vtorc.core.facts.tablet_memory import TabletMemory

LONGEST_GAP = 20.0
"""Seconds without vtorc over which a tablet is taken to have stayed as it was. While vtorc runs, two topology readings
and two probes may be as far apart (`--topo-information-refresh-duration`, `--instance-poll-time`)."""

SAME_CLOCK_WITHIN = 2.0
"""Seconds by which the wall clock and the monotonic clock may differ in how much time has passed. Beyond that the wall
clock was set, or the machine was started again: then no monotonic time from before means anything."""


@dataclass(frozen=True, slots=True)
class RememberedTablet:
    """A tablet as vtorc last knew it."""

    type: TabletType
    """The type that its record had."""
    read_at: float
    """When the last reading of the topology began that found it, in seconds on the keeper's monotonic clock."""
    memory: TabletMemory
    """All that was remembered of it, without evidence of the present."""

    @classmethod
    def of(cls, kind: TabletType, read_at: float, memory: TabletMemory) -> Self:
        """Leave out of the memory what is evidence only while it is seen again and again."""
        lasting = replace(
            memory,
            last_advance_at=None,
            last_commit_at=None,
            failed_at=(),
            proves_past_since=None,
            client_span=None,
            commits_wait_since=None,
            ack_path=None,
            not_receiving_since=None,
            disk_stalled_since=None,
            acts_as_primary_since=None,
            record_confirmed=False,
        )
        return cls(kind, read_at, lasting)

    def after_gap(self, now: float) -> "RememberedTablet":
        """Return what is left at `now` after some time in which nothing was seen: it may have been anything since."""
        return replace(self, memory=replace(self.memory, unknown_until=now, was_heard=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMemory:
    """The tablets of a shard, as vtorc knew them at one moment."""

    wall: int
    """The moment in nanoseconds since the Unix epoch, by the keeper's wall clock."""
    now: float
    """The same moment in seconds on the keeper's monotonic clock."""
    tablets: Mapping[TabletAlias, RememberedTablet]

    def as_text(self) -> str:
        """Return it as one line of JSON, with infinities as Python's `json` has them."""
        return json.dumps(as_plain(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "ShardMemory":
        """Return the memory that `as_text` made the text of; raises ValueError if that is not so."""
        return from_plain(cls, json.loads(text))

    def recalled(self, *, wall: int, now: float) -> dict[TabletAlias, RememberedTablet]:
        """Return what it is worth to a vtorc that starts at `wall` and `now`, in units of the same name.

        Facts stay true. Times do if both clocks agree on how much has passed. How a tablet was between then and now is
        unknown, unless that was no longer than a running vtorc would not have looked.
        """
        passed = now - self.now
        is_same_clock = abs((wall - self.wall) / 1e9 - passed) <= SAME_CLOCK_WITHIN and passed >= 0.0
        if not is_same_clock:
            return {alias: _without_times(each, now).after_gap(now) for alias, each in self.tablets.items()}
        if passed > LONGEST_GAP:
            return {alias: each.after_gap(now) for alias, each in self.tablets.items()}
        return dict(self.tablets)


def is_due_at_once(before: TabletMemory, after: TabletMemory) -> bool:
    """Whether so much was learnt that it must be kept before anything else happens.

    That is a term, an end of acknowledgements, a loss, or another server. Positions and times follow within seconds,
    and being behind in those is only careful.
    """
    return (
        _term(before) != _term(after)
        or before.may_ack_until != after.may_ack_until
        or before.former_types is not after.former_types
        or before.server_uuid != after.server_uuid
        or before.unknown_clients != after.unknown_clients
        or before.lost_after_receipt.entries != after.lost_after_receipt.entries
    )


def _term(memory: TabletMemory) -> tuple[object, ...] | None:
    term = memory.observed_term
    return None if term is None else (term.term, term.server_uuid, term.wait_count, term.ack_timeout)


def _without_times(tablet: RememberedTablet, now: float) -> RememberedTablet:
    """Return the same with every time replaced by the one that claims least.

    What ended may have ended only now, and what was seen may have been seen long ago.
    """
    memory = tablet.memory
    until = memory.may_ack_until
    lasting = replace(
        memory,
        observed_term=None if memory.observed_term is None else _seen_long_ago(memory.observed_term),
        may_ack_until=now if until is not None and until != math.inf else until,
        former_types={
            kind: replace(each, last_found_at=-math.inf, gone_at=now) for kind, each in memory.former_types.items()
        },
        replaced_servers={uuid: replace(each, gone_at=now) for uuid, each in memory.replaced_servers.items()},
    )
    return replace(tablet, read_at=-math.inf, memory=lasting)


def _seen_long_ago(term: ObservedTerm) -> ObservedTerm:
    return replace(term, seen_at=-math.inf, semi_sync_active_at=-math.inf)
