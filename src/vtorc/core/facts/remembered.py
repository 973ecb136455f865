"""The memory of a shard's tablets over a restart of vtorc: what is kept of it, and what it is worth afterwards."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.plain import as_plain, from_plain
from vtorc.core.facts.tablet_memory import TabletMemory

LONGEST_GAP = 20.0
"""Seconds without vtorc over which a tablet is taken to have stayed as it was. While vtorc runs, two topology readings
and two probes may be as far apart (`--topo-information-refresh-duration`, `--instance-poll-time`)."""

SAME_CLOCK_WITHIN = 2.0
"""Seconds by which the wall clock and the monotonic clock may differ in how much time has passed. Beyond that the wall
clock was set, or the machine was started again: then it is unknown how much has passed."""

_WALL_ENDS = 2**63
"""Nanoseconds since the Unix epoch up to which a moment is believed."""


@dataclass(frozen=True, slots=True)
class RememberedTablet:
    """A tablet as vtorc last knew it."""

    type: TabletType
    """The type that its record had."""
    read_at: float
    """When the last reading of the topology began that found it, in seconds on the keeper's monotonic clock."""
    memory: TabletMemory
    """All that was remembered of it, without evidence of the present."""
    record_is_gone: bool = False
    """Whether a reading of the topology found its record deleted, and so what it may have acknowledged is accounted
    for."""

    @classmethod
    def of(cls, kind: TabletType, read_at: float, memory: TabletMemory) -> Self:
        """Leave out of the memory what is evidence only while it is seen again and again."""
        lasting = replace(
            memory,
            last_advance_at=None,
            last_commit_at=None,
            last_read_at=None,
            commits_steadily_since=None,
            failed_at=(),
            proves_past_since=None,
            client_span=None,
            was_unfollowed=False,
            commits_wait_since=None,
            ack_path=None,
            not_receiving_since=None,
            unanswered_since=None,
            disk_stalled_since=None,
            before_stall=None,
            acts_as_primary_since=None,
            record_confirmed=False,
        )
        return cls(kind, read_at, lasting)

    def after_gap(self, now: float) -> "RememberedTablet":
        """Return what is left at `now` after some time in which nothing was seen: it may have been anything since."""
        return replace(self, memory=self.memory.after_gap(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMemory:
    """The tablets of a shard, as vtorc knew them at one moment."""

    wall: int
    """The moment in nanoseconds since the Unix epoch, by the keeper's wall clock."""
    now: float
    """The same moment in seconds on the clock of all times in here, which leaves out time in which vtorc was late."""
    real: float
    """The same moment in seconds on the keeper's monotonic clock, which leaves out nothing."""
    tablets: Mapping[TabletAlias, RememberedTablet]

    def as_text(self) -> str:
        """Return it as one line of JSON, with infinities as Python's `json` has them."""
        return json.dumps(as_plain(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "ShardMemory":
        """Return the memory that `as_text` made the text of; raises ValueError if that is not so."""
        try:
            memory = from_plain(cls, json.loads(text))
        except (RecursionError, OverflowError) as error:
            raise ValueError(f"no memory of a shard: {error}") from error
        if not (math.isfinite(memory.now) and math.isfinite(memory.real) and 0 <= memory.wall < _WALL_ENDS):
            raise ValueError(f"kept at {memory.wall}, {memory.now} and {memory.real}, which is no moment")
        return memory

    def recalled(self, *, wall: int, now: float, real: float) -> dict[TabletAlias, RememberedTablet]:
        """Return what it is worth to a vtorc that starts at `wall`, `now` and `real`, in units of the same name.

        Facts stay true, and so does the order of all times: they are moved together to the new clock. How a tablet was
        between then and now is unknown. It counts as seen if that was no longer than a pause of a running vtorc.

        If the clocks disagree about how long that was, the memory counts as kept just now. All times in it are earlier,
        and all that is seen from now on is later. Once such times were believed to be of no order instead. A replica
        that was rebuilt long before the primary was last seen counted as rebuilt since, and held up its replacement.
        """
        passed = real - self.real
        is_known = abs((wall - self.wall) / 1e9 - passed) <= SAME_CLOCK_WITHIN and passed >= 0.0
        kept_at = now - passed if is_known else now
        moved = {alias: _moved(each, self.now, kept_at) for alias, each in self.tablets.items()}
        if is_known and passed <= LONGEST_GAP:
            return moved
        return {alias: each.after_gap(now) for alias, each in moved.items()}


def is_due_at_once(before: TabletMemory, after: TabletMemory) -> bool:
    """Whether so much was learnt that it must be kept before anything else happens.

    That is a term, an end of acknowledgements, a loss, another server, or its filters. Positions and times follow
    within seconds, and being behind in those is only careful.
    """
    return (
        _term(before) != _term(after)
        or before.may_ack_until != after.may_ack_until
        or before.former_types is not after.former_types
        or before.server_uuid != after.server_uuid
        or before.filtered_server != after.filtered_server
        or before.unknown_clients != after.unknown_clients
        or before.clients_explained is not after.clients_explained
        or before.lost_after_receipt.entries != after.lost_after_receipt.entries
        or before.own_missing.entries != after.own_missing.entries
    )


def is_due_soon(before: TabletMemory, after: TabletMemory) -> bool:
    """Whether more was learnt than the times at which the same was seen once more."""
    return (
        is_due_at_once(before, after)
        or before.received.entries != after.received.entries
        or _positions(before) != _positions(after)
        or before.was_heard is not after.was_heard
        or before.replaced_servers != after.replaced_servers
    )


def _term(memory: TabletMemory) -> tuple[object, ...] | None:
    term = memory.observed_term
    return None if term is None else (term.term, term.server_uuid, term.wait_count, term.ack_timeout)


def _positions(memory: TabletMemory) -> tuple[object, ...] | None:
    term = memory.observed_term
    return None if term is None else (term.executed.entries, term.committed.entries, term.semi_sync_reported)


def _moved(tablet: RememberedTablet, at: float, to: float) -> RememberedTablet:
    """Return the same on a clock that shows `to` at the moment which these times call `at`; none is after it."""

    def moved(time: float) -> float:
        return time if math.isinf(time) else min(time, at) - at + to

    def moved_end(time: float | None) -> float | None:
        return None if time is None else moved(time)

    memory = tablet.memory
    term = memory.observed_term
    lasting = replace(
        memory,
        unknown_until=moved(memory.unknown_until),
        unheard_until=moved(memory.unheard_until),
        observed_term=None
        if term is None
        else replace(term, seen_at=moved(term.seen_at), semi_sync_active_at=moved(term.semi_sync_active_at)),
        may_ack_until=moved_end(memory.may_ack_until),
        former_types={
            kind: replace(each, last_found_at=moved(each.last_found_at), gone_at=moved(each.gone_at))
            for kind, each in memory.former_types.items()
        },
        replaced_servers={
            uuid: replace(each, gone_at=moved(each.gone_at), acked_until=moved_end(each.acked_until))
            for uuid, each in memory.replaced_servers.items()
        },
    )
    return replace(tablet, read_at=moved(tablet.read_at), memory=lasting)
