"""The limits that the settings put on vtorc, as holds on tablets: it sees these tablets like all others.

A filter that hid tablets would hide acknowledged writes, and a primary that is hidden looks deleted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vtorc.core.facts.holds import Effect, Hold, HoldScope, Purpose
from vtorc.core.facts.records import TabletRecord

_LEAVE = frozenset({Effect.NO_FAILOVER, Effect.NO_REPAIR})


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingHolds:
    """The settings that name tablets to leave alone, or not to promote; patterns are regular expressions."""

    cells_to_watch: tuple[str, ...] = ()
    """The cells of the tablets that vtorc repairs, and that it replaces as primaries; empty for all."""
    cells_no_recovery: tuple[str, ...] = ()
    """The cells of the tablets that it leaves alone."""
    ignored_hosts: tuple[str, ...] = ()
    """Patterns of hosts that it leaves alone (`--recovery-ignore-hostname-filters`)."""
    unpromoted_hosts: tuple[str, ...] = ()
    """Patterns of hosts that it does not promote (`--promotion-ignore-hostname-filters`)."""
    excluded_hosts: tuple[str, ...] = ()
    """Patterns of `host:port` that it leaves alone and does not promote (`--discovery-ignore-hostname-filters`)."""

    def on(self, records: Iterable[TabletRecord]) -> tuple[Hold, ...]:
        """Return the holds on these tablets, in their order."""
        if self == NO_STANDING_HOLDS:
            return ()
        return tuple(hold for record in records for hold in self._on(record))

    def _on(self, record: TabletRecord) -> Iterator[Hold]:
        cell, host = record.alias.cell, record.mysql_hostname
        if self.cells_to_watch and cell not in self.cells_to_watch:
            yield _hold(record, _LEAVE, f"--cells-to-watch names {', '.join(self.cells_to_watch)}, and not {cell}")
        if cell in self.cells_no_recovery:
            yield _hold(record, _LEAVE, f"--cells-no-recovery names {cell}")
        if pattern := _matching(self.ignored_hosts, host):
            yield _hold(record, _LEAVE, f"--recovery-ignore-hostname-filters has {pattern!r}, which fits {host}")
        if pattern := _matching(self.unpromoted_hosts, host):
            effects = frozenset({Effect.NOT_PROMOTABLE})
            yield _hold(record, effects, f"--promotion-ignore-hostname-filters has {pattern!r}, which fits {host}")
        at = f"{host}:{record.mysql_port}"
        if pattern := _matching(self.excluded_hosts, at):
            effects = _LEAVE | {Effect.NOT_PROMOTABLE}
            yield _hold(record, effects, f"--discovery-ignore-hostname-filters has {pattern!r}, which fits {at}")


NO_STANDING_HOLDS = StandingHolds()


def _matching(patterns: Sequence[str], text: str) -> str:
    return next((pattern for pattern in patterns if re.search(pattern, text)), "")


def _hold(record: TabletRecord, effects: frozenset[Effect], reason: str) -> Hold:
    return Hold(
        scope=HoldScope.of_tablet(record.alias),
        effects=effects,
        owner="the settings",
        reason=reason,
        created=0,
        purpose=Purpose.SETTING,
    )
