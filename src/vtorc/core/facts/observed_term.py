"""What a tablet was seen to be as the primary of one term: evidence that later answers do not take away.

A primary that comes back read-only, or whose disk stalls, tells nothing about its term any more. What it told before
still holds: what it had committed, and how many acknowledgements its commits waited for.
"""

import math
from dataclasses import dataclass
from typing import Self

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus

ENDLESS = 86_400.0
"""Seconds of `rpl_semi_sync_source_timeout` from which on commits are taken to wait for ever: Vitess' `my.cnf` sets
thirty million years, and MySQL's default is ten seconds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTerm:
    """A tablet at work as primary: writable, and nobody's replica.

    `term` is when the term began, by the tablet's record, in nanoseconds since the Unix epoch; 0 while the record does
    not say yet that it is primary. `seen_at` is when the last probe that saw it at work started, in seconds on the
    caller's monotonic clock; `server_uuid` and `executed` are of that probe. `committed` is all that it was seen to
    have executed while enough semi-sync clients were there for each commit to be acknowledged. `waits` is how many
    acknowledgements its commits waited for, 0 if for none; `told` says that its settings of semi-sync came with it.
    `patience` is for how many seconds a commit waits before MySQL goes on without acknowledgements and tells clients
    OK, infinity if for ever as far as is known; `waited_at` is when the last probe that saw semi-sync at work started,
    minus infinity if none did.
    """

    term: int
    seen_at: float
    server_uuid: str
    executed: GtidSet
    committed: GtidSet
    waits: int
    told: bool
    patience: float = math.inf
    waited_at: float = -math.inf

    @classmethod
    def after(
        cls,
        before: Self | None,
        status: TabletStatus,
        record: TabletRecord,
        *,
        at: float,
        heard_at: float | None = None,
    ) -> Self | None:
        """Add an answer to what was seen `before`.

        `record` is the tablet's when the probe started, at `at`; `heard_at` is when the probe before it started that
        brought an answer. A newer term begins anew: what an earlier one shows says nothing about it.
        """
        if status.read_only or status.has_source or status.disk_stalled:
            return before
        if record.type is TabletType.PRIMARY:
            term = record.primary_term_start
            known = before if before is not None and (before.term == 0 or before.term >= term) else None
            term = max(term, known.term) if known is not None else term
        elif status.tablet_type is TabletType.PRIMARY:
            # Its record is late, or an old one was read: the same term, unless it was something else in between.
            known = before if before is not None and before.seen_at == heard_at else None
            term = known.term if known is not None else 0
        else:
            return before
        semi_sync, waits, told = status.semi_sync, _waits_for(status.semi_sync), status.semi_sync.tells_settings
        committed = known.committed if known is not None else EMPTY_GTID_SET
        patience, waited_at = (known.patience, known.waited_at) if known is not None else (math.inf, -math.inf)
        if told:
            patience, waited_at = _patience(semi_sync), at if waits else waited_at
        if known is not None and known.told and not told:
            waits, told = known.waits, True
        elif 0 < waits <= semi_sync.primary_clients:
            # MySQL adds a transaction to gtid_executed only after the wait (AFTER_SYNC), but after a crash it adds
            # those too that nobody acknowledged; a server that just came back has no semi-sync clients yet.
            committed = _joined(committed, status.executed)
        return cls(
            term=term,
            seen_at=at,
            server_uuid=status.server_uuid,
            executed=status.executed,
            committed=committed,
            waits=waits,
            told=told,
            patience=patience,
            waited_at=waited_at,
        )

    def is_of(self, term: int) -> bool:
        """Whether it tells about the term that began then, and not about an earlier one."""
        return self.term == 0 or self.term >= term


def _patience(semi_sync: SemiSyncStatus) -> float:
    """Seconds that a commit waits, infinity for ever; 0 is taken for a value that did not come, as it would switch
    semi-sync off with the first commit, which is seen.
    """
    seconds = semi_sync.timeout / 1000.0
    return seconds if 0.0 < seconds < ENDLESS else math.inf


def _joined(known: GtidSet, more: GtidSet) -> GtidSet:
    return more if not known or known.entries == more.entries else more.union(known)


def _waits_for(semi_sync: SemiSyncStatus) -> int:
    """How many acknowledgements its commits waited for; 0 too if semi-sync had fallen back to asynchronous.

    A server that does not tell the count waits for one at least (MySQL manual,
    rpl_semi_sync_source_wait_for_replica_count).
    """
    if not (semi_sync.primary_enabled and semi_sync.primary_active):
        return 0
    return max(1, semi_sync.wait_for_replica_count)
