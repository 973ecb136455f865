"""The steps without return: make one tablet primary, point the others at it, and see a write acknowledged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView
from vtorc.errors import TabletError, TopoError, VtorcError
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import LOOK_DEADLINE, stands_still

APPLY_FIRST = 5.0
"""Most seconds that a replica gets to apply its relay log before it is re-pointed, which drops it."""

ASK_AGAIN_AFTER = 1.0
"""Seconds of waiting after which it is asked again whether the lock is ours and the replica stands still; the usual
way, which waits for nothing, asks nobody.
"""


GRACE = 2.0
"""Seconds that replicas get to be re-pointed once the new primary has taken a write, or once they have applied their
relay logs: whoever takes longer must not keep the next failover waiting.
"""


@dataclass(frozen=True, slots=True)
class Follower:
    """A tablet to point at the new primary, what it has received (and may not have applied), and how it was stopped, if
    it was.
    """

    record: TabletRecord
    received: GtidSet = EMPTY_GTID_SET
    stopped: StoppedTablet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Whom to promote and whom to point at it. `position` is what the winner has applied; `first` that the shard had
    no primary before.
    """

    view: ShardView
    policy: DurabilityPolicy
    winner: TabletRecord
    position: GtidSet
    others: tuple[Follower, ...]
    action: str
    first: bool


async def promote(session: RecoverySession, promotion: Promotion) -> None:
    """Promote and re-point at the same time, then write the journal row, whose acknowledgement proves the new
    primary.

    Replicas that cannot be re-pointed, or not in time, are left to the ordinary repairs. Raises RecoveryFailed if the
    new primary did not come about or takes no acknowledged writes; what can still be put back then is left to the
    caller.
    """
    await session.guard()
    # From here on there is no way back: to start replicas again towards the old primary would hand it acknowledgements.
    session.forget_undo()
    created = session.tools.clock.wall()
    failure: VtorcError | None = None
    patience = _Patience()
    async with asyncio.TaskGroup() as group:
        repointing = [
            group.create_task(_repoint(session, promotion, other, patience), name=f"repoint {other.record.alias}")
            for other in promotion.others
        ]
        try:
            await _make_primary(session, promotion)
            session.mark("promoted")
            await _prove(session, promotion, created)
            session.mark("acknowledged")
            patience.ends()
        except VtorcError as error:
            # Raised below: a task group would wrap it, and nobody expects a group.
            failure = error
            for task in repointing:
                task.cancel()
    if failure is not None:
        raise failure


async def _make_primary(session: RecoverySession, promotion: Promotion) -> None:
    winner = promotion.winner
    semi_sync = promotion.policy.required_acks(Member(winner.alias, TabletType.PRIMARY)) > 0
    name, call = "promote", session.tablets.promote_replica
    if promotion.first:
        name, call = "initialise as primary", session.tablets.init_primary
    try:
        await session.step(name, winner.alias, call(winner, semi_sync=semi_sync))
    except (TabletError, TimeoutError) as error:
        if not await _is_primary(session, promotion):
            raise session.fail(f"{winner.alias} could not be promoted: {str(error) or 'no answer in time'}") from error


async def _is_primary(session: RecoverySession, promotion: Promotion) -> bool:
    """Whether the promotion took effect although its answer did not arrive: a second one on top would be a second
    failover.
    """
    alias = promotion.winner.alias
    try:
        record = await session.step("look whether it is primary", alias, session.tools.topo.tablet(alias))
        status = await session.step("look whether it is writable", alias, session.tablets.full_status(record))
    except (TabletError, TopoError, TimeoutError):
        return False
    return record.type is TabletType.PRIMARY and not status.read_only


class _Patience:
    """How long replicas are waited for: without limit until it ends, then for a grace."""

    def __init__(self) -> None:
        self._limits: list[asyncio.Timeout] = []
        self._has_ended = False

    def ends(self) -> None:
        """From now on there is the grace."""
        self._has_ended = True
        until = asyncio.get_running_loop().time() + GRACE
        for limit in self._limits:
            limit.reschedule(until)

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Bound what is done inside; raises TimeoutError."""
        async with asyncio.timeout(GRACE if self._has_ended else None) as limit:
            self._limits.append(limit)
            try:
                yield
            finally:
                self._limits.remove(limit)


async def _repoint(session: RecoverySession, promotion: Promotion, other: Follower, patience: _Patience) -> None:
    tablet = promotion.view.tablet(other.record.alias)
    if tablet is None:
        return
    began = session.elapsed()
    has_applied = not other.received or await _applies(session, other)
    winner = promotion.winner.alias
    semi_sync = promotion.policy.may_ack(Member(winner, TabletType.PRIMARY), tablet.member)
    with contextlib.suppress(TimeoutError):
        async with patience.limit():
            if session.elapsed() - began > ASK_AGAIN_AFTER and not await _may_still_be_pointed(session, other):
                return
            if not has_applied and not await _is_held_by(session, promotion.winner, other.received):
                return
            await session.try_step(
                f"replicate from {winner}",
                tablet.alias,
                session.tablets.set_replication_source(other.record, winner, semi_sync=semi_sync, force_start=True),
                deadline=session.tools.deadlines.catch_up,
            )


async def _applies(session: RecoverySession, other: Follower) -> bool:
    """Whether it has applied its relay log in time: the winner has all of it, but with the relay log a second copy
    would go, and the winner may be next to die.
    """
    wait = session.tablets.wait_for_position(other.record, other.received)
    try:
        await session.step("apply before re-pointing", other.record.alias, wait, deadline=APPLY_FIRST)
    except (TabletError, TimeoutError):
        return False
    return True


async def _is_held_by(session: RecoverySession, winner: TabletRecord, received: GtidSet) -> bool:
    """Whether the winner says now that it has executed all of it: it may have gone without a word, and a tablet manager
    before v22 does not ask its new source before it drops the relay log.
    """
    position = await session.try_step(
        "look whether the primary has it",
        winner.alias,
        session.tablets.primary_position(winner),
        deadline=LOOK_DEADLINE,
    )
    return position is not None and position.contains(received)


async def _may_still_be_pointed(session: RecoverySession, other: Follower) -> bool:
    """Whether the shard is still ours, and a tablet that was stopped has stood still since: if it started again, its
    relay log may hold what it has acknowledged to the old primary.
    """
    try:
        await session.guard()
    except (TopoError, TimeoutError):
        return False
    return other.stopped is None or await stands_still(session, other.record, other.stopped)


async def _prove(session: RecoverySession, promotion: Promotion, created: int) -> None:
    winner = promotion.winner
    try:
        await session.step(
            "write reparent journal",
            winner.alias,
            session.tablets.populate_reparent_journal(
                winner,
                time_created_ns=created,
                action=promotion.action,
                primary=winner.alias,
                position=promotion.position,
            ),
        )
    except (TabletError, TimeoutError) as error:
        raise session.fail(
            f"{winner.alias} is primary, but its first write was not acknowledged: {str(error) or 'no answer in time'}"
        ) from error
