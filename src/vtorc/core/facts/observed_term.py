"""A tablet as it was seen at work as primary of one term: evidence that later answers do not take away.

A primary that comes back read-only, or with a stalled disk, tells nothing about its term any more. Its earlier answers
still hold: which transactions it had committed, and how many acknowledgements its commits waited for.
"""

import math
from dataclasses import dataclass
from typing import Self

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus

ENDLESS_ACK_TIMEOUT = 86_400.0
"""Seconds of `rpl_semi_sync_source_timeout` from which on commits are taken to wait for ever: Vitess' `my.cnf` sets
thirty million years, and MySQL's default is ten seconds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTerm:
    """A tablet at work as primary: writable, and without a source."""

    term: int
    """When the term began by the tablet's record, in nanoseconds since the Unix epoch; 0 while the record does not call
    it PRIMARY yet."""
    seen_at: float
    """When the last probe started that saw the tablet at work, in seconds on the caller's monotonic clock."""
    server_uuid: str
    """UUID of its server by that probe."""
    executed: GtidSet
    """The transactions that its server had executed by that probe."""
    committed: GtidSet
    """All transactions that it was seen to have executed while it had enough semi-sync clients for each commit to be
    acknowledged. Those that it had when it was first seen to wait for none any more are among them.
    """
    wait_count: int
    """How many acknowledgements its commits waited for (rpl_semi_sync_source_wait_for_replica_count); 0 if semi-sync
    was off or had fallen back to asynchronous."""
    semi_sync_reported: bool
    """Whether any answer of the term brought the settings of semi-sync, so that `wait_count` is what MySQL said."""
    ack_timeout: float = math.inf
    """Seconds that a commit waits before MySQL goes on without acknowledgements and tells clients OK
    (rpl_semi_sync_source_timeout); infinity if for ever as far as is known."""
    semi_sync_active_at: float = -math.inf
    """When the last probe started that saw commits wait for acknowledgements, in seconds on the caller's monotonic
    clock; minus infinity if none did."""

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
        """Return what is known after one more answer; `before` is what was known until then, None if nothing.

        `record` is the tablet's when the probe started, at `at`. `heard_at` is when the probe started that brought the
        answer before it, None if there was none. A newer term begins anew: an earlier one says nothing about it. A
        server that took over the alias of the primary tells nothing about the writes of the term.
        """
        if status.read_only or status.has_source or status.disk_stalled:
            return before
        if record.type is TabletType.PRIMARY:
            term = record.primary_term_start
            known = before if before is not None and (before.term == 0 or before.term >= term) else None
            term = max(term, known.term) if known is not None else term
        elif status.tablet_type is TabletType.PRIMARY:
            # Its record is late, or an old one was read. The term is the same, unless the last answer showed another
            # role.
            known = before if before is not None and before.seen_at == heard_at else None
            term = known.term if known is not None else 0
        else:
            return before
        if known is not None and _is_another(known.server_uuid, status.server_uuid):
            return before
        semi_sync = status.semi_sync
        wait_count, reported = _wait_count(semi_sync), semi_sync.is_reported
        committed = known.committed if known is not None else EMPTY_GTID_SET
        ack_timeout, active_at = math.inf, -math.inf
        if known is not None:
            ack_timeout, active_at = known.ack_timeout, known.semi_sync_active_at
        if reported:
            ack_timeout, active_at = _ack_timeout(semi_sync), at if wait_count else active_at
        if known is not None and known.semi_sync_reported and not reported:
            wait_count, reported = known.wait_count, True
        elif 0 < wait_count <= semi_sync.primary_clients:
            # MySQL adds a transaction to gtid_executed only after the wait (AFTER_SYNC). After a crash it adds those
            # too that were never acknowledged; a server that just came back has no semi-sync clients yet.
            committed = _joined(committed, status.executed)
        elif known is not None and known.wait_count and not semi_sync.primary_enabled:
            # Switched off since, perhaps because the policy asks for it. The commits until then waited.
            committed = _joined(committed, status.executed)
        return cls(
            term=term,
            seen_at=at,
            server_uuid=status.server_uuid,
            executed=status.executed,
            committed=committed,
            wait_count=wait_count,
            semi_sync_reported=reported,
            ack_timeout=ack_timeout,
            semi_sync_active_at=active_at,
        )

    def is_of(self, term: int) -> bool:
        """Whether it tells about the term that began at `term`, in nanoseconds since the Unix epoch, and not about an
        earlier one.
        """
        return self.term == 0 or self.term >= term


def _is_another(uuid: str, now: str) -> bool:
    return bool(uuid and now) and uuid != now


def _ack_timeout(semi_sync: SemiSyncStatus) -> float:
    """Return for how many seconds a commit waits, infinity for ever.

    0 is taken for a value that did not come: it would switch semi-sync off with the first commit, which is seen.
    """
    seconds = semi_sync.timeout / 1000.0
    return seconds if 0.0 < seconds < ENDLESS_ACK_TIMEOUT else math.inf


def _joined(known: GtidSet, more: GtidSet) -> GtidSet:
    return more if not known or known.entries == more.entries else more.union(known)


def _wait_count(semi_sync: SemiSyncStatus) -> int:
    """Return how many acknowledgements its commits waited for; 0 too if semi-sync had fallen back to asynchronous.

    A server that does not report the count waits for one at least (MySQL manual,
    rpl_semi_sync_source_wait_for_replica_count).
    """
    if not (semi_sync.primary_enabled and semi_sync.primary_active):
        return 0
    return max(1, semi_sync.wait_for_replica_count)
