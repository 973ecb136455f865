"""The steps without return: promote one tablet, point the replicas at it, and see a write acknowledged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from vtorc.core.detection.recoveries import Reparent
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView
from vtorc.errors import LockLost, TabletError, TopoError, VtorcError
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import CONFIRM_DEADLINE, is_still_stopped
from vtorc.tablet.sending import checked_before_sending

APPLY_DEADLINE = 5.0
"""Most seconds that a replica gets to apply its relay log before re-pointing drops it."""

CHECK_AGAIN_AFTER = 1.0
"""Seconds of waiting after which the lock and the stopped replica are checked again.

Most promotions wait for nothing and skip these checks.
"""

KNOWN_FOR = 2.0
"""Seconds after which it is unknown whether a tablet is still stopped: a vttablet that starts resumes replication.

The look before a promotion takes one second at most.
"""

REPOINT_GRACE = 2.0
"""Seconds that replicas get for re-pointing once the new primary has taken a write.

The grace begins later for a replica that still applies its relay log. A slower one must not hold up the next failover.
"""


@dataclass(frozen=True, slots=True)
class ReplicaToRepoint:
    """A tablet to point at the new primary."""

    record: TabletRecord
    received: GtidSet = EMPTY_GTID_SET
    """All that it has received; empty if its relay log holds nothing to be applied first."""
    stopped: StoppedTablet | None = None
    """Its transactions when this recovery stopped it; None if it was left running."""

    @property
    def has_applied(self) -> bool:
        """Whether it is known to have applied all that it has received."""
        return not self.received or (self.stopped is not None and self.stopped.has_applied)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One tablet to promote, and the replicas to point at it."""

    view: ShardView
    policy: DurabilityPolicy
    winner: TabletRecord
    position: GtidSet
    """The transactions that `winner` has applied."""
    replicas: tuple[ReplicaToRepoint, ...]
    reparent: Reparent
    """The operation that the reparent journal names (Vitess `emergency_reparenter.go`, `planned_reparenter.go`)."""
    first: bool
    """Whether the shard had no primary before."""
    stopped_at: float | None = None
    """When the stopped tablets were last seen to be stopped, in seconds since the recovery began; None if nothing rests
    on that. The lock was checked before: a topology server may take seconds for it, in which a tablet starts."""


async def promote(session: RecoverySession, promotion: Promotion) -> None:
    """Promote and re-point at the same time, then write the journal row: its acknowledgement proves the new primary.

    Replicas that cannot be re-pointed in time are left to the ordinary repairs. Raises RecoveryFailed if the promotion
    failed, or if its first write was not acknowledged. The caller then puts back what can still be put back.
    """
    if promotion.stopped_at is None:
        await session.check_lock()
    _check_still_known(session, promotion)
    # No way back from here: replicas that are started towards the old primary would give it acknowledgements.
    session.forget_undo()
    created = session.tools.clock.wall()
    failure: VtorcError | None = None
    grace = _RepointGrace()
    async with asyncio.TaskGroup() as group:
        repointing = [
            group.create_task(
                _try_to_repoint(session, promotion, replica, grace), name=f"repoint {replica.record.alias}"
            )
            for replica in promotion.replicas
        ]
        try:
            await _make_primary(session, promotion)
            session.mark(OutageMark.PROMOTED)
            await _write_reparent_journal(session, promotion, created)
            session.mark(OutageMark.ACKNOWLEDGED)
            grace.begin()
        except VtorcError as error:
            # Raised below: a task group would wrap it, and callers expect no exception group.
            failure = error
            for task in repointing:
                task.cancel()
    if failure is not None:
        raise failure


def _check_still_known(session: RecoverySession, promotion: Promotion) -> None:
    """Raise RecoveryFailed if the tablets were seen to be stopped too long ago: this process may have stood still."""
    if promotion.stopped_at is None:
        return
    ago = session.elapsed() - promotion.stopped_at
    if ago > KNOWN_FOR:
        raise session.fail(
            f"not promoting {promotion.winner.alias}: the others were last seen to be stopped {ago:.1f} s ago, and one "
            f"may have started since"
        )


async def _make_primary(session: RecoverySession, promotion: Promotion) -> None:
    winner = promotion.winner
    semi_sync = promotion.policy.required_acks(Member(winner.alias, TabletType.PRIMARY)) > 0
    name, call = "promote", session.tablets.promote_replica
    if promotion.first:
        name, call = "initialise as primary", session.tablets.init_primary
    try:
        with checked_before_sending(lambda: _check_still_known(session, promotion)):
            await session.step(name, winner.alias, call(winner, semi_sync=semi_sync))
    except (TabletError, TimeoutError) as error:
        if not await _is_primary(session, promotion):
            raise session.fail(f"{winner.alias} could not be promoted: {str(error) or 'no answer in time'}") from error


async def _is_primary(session: RecoverySession, promotion: Promotion) -> bool:
    """Return whether the promotion took effect although its answer did not arrive.

    A second promotion on top of it would be a second failover.
    """
    alias = promotion.winner.alias
    try:
        record = await session.step("read tablet record", alias, session.tools.topo.tablet(alias))
        status = await session.step("check that it is writable", alias, session.tablets.full_status(record))
    except (TabletError, TopoError, TimeoutError):
        return False
    return record.type is TabletType.PRIMARY and not status.read_only


class _RepointGrace:
    """Bounds the re-pointing of replicas: without a limit at first, and to REPOINT_GRACE seconds once it has begun."""

    def __init__(self) -> None:
        self._limits: list[asyncio.Timeout] = []
        self._has_begun = False

    def begin(self) -> None:
        """Give every replica no longer than the grace from now on."""
        self._has_begun = True
        until = asyncio.get_running_loop().time() + REPOINT_GRACE
        for limit in self._limits:
            limit.reschedule(until)

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Bound what is done inside; raises TimeoutError."""
        async with asyncio.timeout(REPOINT_GRACE if self._has_begun else None) as limit:
            self._limits.append(limit)
            try:
                yield
            finally:
                self._limits.remove(limit)


async def _try_to_repoint(
    session: RecoverySession, promotion: Promotion, replica: ReplicaToRepoint, grace: _RepointGrace
) -> None:
    """Re-point a replica as long as the lock is ours; without it, that is left to its next holder."""
    with contextlib.suppress(LockLost):
        await _repoint(session, promotion, replica, grace)


async def _repoint(
    session: RecoverySession, promotion: Promotion, replica: ReplicaToRepoint, grace: _RepointGrace
) -> None:
    tablet = promotion.view.tablet(replica.record.alias)
    if tablet is None:
        return
    began = session.elapsed()
    has_applied = replica.has_applied or await _applies_in_time(session, replica)
    winner = promotion.winner.alias
    semi_sync = promotion.policy.may_ack(Member(winner, TabletType.PRIMARY), tablet.member)
    with contextlib.suppress(TimeoutError):
        async with grace.limit():
            if session.elapsed() - began > CHECK_AGAIN_AFTER and not await _may_still_repoint(session, replica):
                return
            if not has_applied and not await _primary_holds(session, promotion.winner, replica.received):
                return
            await session.try_step(
                f"replicate from {winner}",
                tablet.alias,
                session.tablets.set_replication_source(replica.record, winner, semi_sync=semi_sync, force_start=True),
                deadline=session.tools.deadlines.catch_up,
            )


async def _applies_in_time(session: RecoverySession, replica: ReplicaToRepoint) -> bool:
    """Return whether the replica has applied its relay log in time.

    The winner has all of it, but re-pointing drops the relay log and with it a second copy, and the winner may die
    next.
    """
    wait = session.tablets.wait_for_position(replica.record, replica.received)
    try:
        await session.step("apply before re-pointing", replica.record.alias, wait, deadline=APPLY_DEADLINE)
    except (TabletError, TimeoutError):
        return False
    return True


async def _primary_holds(session: RecoverySession, winner: TabletRecord, received: GtidSet) -> bool:
    """Return whether the new primary says now that it has executed all of `received`.

    It may have died silently, and a tablet manager before v22 drops the relay log without asking its new source.
    """
    position = await session.try_step(
        "read position of the primary",
        winner.alias,
        session.tablets.primary_position(winner),
        deadline=CONFIRM_DEADLINE,
    )
    return position is not None and position.contains(received)


async def _may_still_repoint(session: RecoverySession, replica: ReplicaToRepoint) -> bool:
    """Return whether the lock is still ours, and the replica is still stopped if it was.

    The relay log of a replica that started again may hold what it has acknowledged to the old primary.
    """
    try:
        await session.check_lock()
    except (TopoError, TimeoutError):
        return False
    return replica.stopped is None or await is_still_stopped(session, replica.record, replica.stopped)


async def _write_reparent_journal(session: RecoverySession, promotion: Promotion, created: int) -> None:
    winner = promotion.winner
    try:
        await session.step(
            "write reparent journal",
            winner.alias,
            session.tablets.populate_reparent_journal(
                winner,
                time_created_ns=created,
                action=promotion.reparent.value,
                primary=winner.alias,
                position=promotion.position,
            ),
        )
    except (TabletError, TimeoutError) as error:
        raise session.fail(
            f"{winner.alias} is primary, but its first write was not acknowledged: {str(error) or 'no answer in time'}"
        ) from error
