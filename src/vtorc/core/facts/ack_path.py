"""The way from a primary to a replica and back, as the replica's answers show it: whether it acknowledges, since when.

A primary may say "my commits wait in vain" and a replica "I acknowledge". These contradict each other only if both were
true at one time. So what each answer of a replica shows is kept with the time since when it has shown it.
"""

import enum
import math
from dataclasses import dataclass, replace
from typing import Self

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.status import TabletStatus, ThreadState

ACKS_ARRIVE_WITHIN = 1.0
"""Seconds within which a replica that holds a transaction has acknowledged it, and the primary has heard of that."""


class AckPathState(enum.Enum):
    """How far the way is open, by the replica's own account."""

    OPEN = "open"
    """Its IO thread is connected to its source, and its side of semi-sync is at work."""
    TRYING = "trying"
    """Its side of semi-sync is on, and its IO thread tries to connect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AckPath:
    """A state of the way that each of the last answers showed, without a probe that failed between them.

    Times are seconds on the caller's monotonic clock.
    """

    state: AckPathState
    """How far the way is open."""
    source: tuple[str, int]
    """Host and port of the source that it leads to."""
    since: float
    """When the first of these probes was over."""
    held: GtidSet
    """The transactions that the replica had received by an answer that is at least `ACKS_ARRIVE_WITHIN` older than the
    newest one, or by the first one.
    """
    held_at: float
    """When the probe was over that brought `held`."""
    newest: GtidSet
    """The transactions that it had received by the answer that becomes `held` next."""
    newest_at: float
    """When the probe was over that brought `newest`."""
    amid_transaction_at: float = -math.inf
    """When the last probe was over that found it further in its source's binary log than the answer before it, and with
    no further transaction. It is then receiving a long one, which it cannot acknowledge yet (seen on MySQL 9.7:
    Read_Source_Log_Pos moves with each event). Minus infinity if none did.
    """

    @classmethod
    def after(cls, before: Self | None, status: TabletStatus, probe_before: LastProbe, *, ended: float) -> Self | None:
        """Return what is known after a probe that was over at `ended` and brought `status`; None if no way is there.

        `before` is what was known after the answer before it, and `probe_before` how the probe before it ended. A
        replica that was silent in between may have been cut off meanwhile, so its time begins anew.
        """
        state = _state(status)
        if state is None or status.replication is None:
            return None
        source = status.replication.source_address
        known = before is not None and before.state is state and before.source == source
        if before is None or not known or probe_before.failure is not None:
            held = status.received
            return cls(
                state=state,
                source=source,
                since=ended,
                held=held,
                held_at=ended,
                newest=held,
                newest_at=ended,
            )
        if _is_amid_transaction(status, probe_before.status):
            before = replace(before, amid_transaction_at=ended)
        if ended - before.newest_at < ACKS_ARRIVE_WITHIN:
            return before
        return replace(before, held=before.newest, held_at=before.newest_at, newest=status.received, newest_at=ended)


def _is_amid_transaction(status: TabletStatus, before: TabletStatus | None) -> bool:
    now, then = status.replication, before.replication if before is not None else None
    if now is None or then is None or now.read_to is None or then.read_to is None:
        return False
    return now.read_to != then.read_to and now.received.entries == then.received.entries


def _state(status: TabletStatus) -> AckPathState | None:
    semi_sync, replication = status.semi_sync, status.replication
    if not semi_sync.replica_enabled or replication is None or not replication.has_source:
        return None
    if replication.io_state is ThreadState.CONNECTING:
        return AckPathState.TRYING
    if not replication.is_receiving or (semi_sync.is_reported and not semi_sync.replica_active):
        return None
    return AckPathState.OPEN
