"""Stops replication across a shard and collects what every tablet holds; remembers how to put it back."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from vtorc.core.election.choice import StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import TabletView
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletError
from vtorc.recovery.session import RecoverySession
from vtorc.tablet.api import StopMode

CLOCK_DEADLINE = 1.0
"""Most seconds that a tablet gets to tell its time."""

LOOK_AGAIN_AFTER = 0.5
"""Seconds after the stopping began from which it is looked whether everybody still stands: no vttablet or mysqld, which
make replication go on by themselves when they start, is back sooner.
"""

LOOK_DEADLINE = 1.0
"""Most seconds that a tablet gets to tell whether it still stands."""


async def read_clock(session: RecoverySession, tablet: TabletRecord) -> int | None:
    """Ask a tablet what time it is, in nanoseconds since the Unix epoch; None if it does not tell."""
    return await session.try_step(
        "read clock", tablet.alias, session.tablets.wall_clock(tablet), deadline=CLOCK_DEADLINE
    )


class Stopping:
    """Stops the tablets of one shard at once; those that answer are in `stopped`."""

    def __init__(
        self,
        session: RecoverySession,
        policy: DurabilityPolicy,
        *,
        primary: TabletView | None,
        enough: Callable[[Mapping[TabletAlias, StoppedTablet]], bool],
    ) -> None:
        self.session = session
        self._policy = policy
        self._primary = primary
        self._enough = enough
        self.stopped: dict[TabletAlias, StoppedTablet] = {}

    async def run(self, targets: Mapping[TabletAlias, TabletView]) -> None:
        """Stop all targets; ends when all have answered, or a grace after only the primary is missing, or at the
        deadline.
        """
        deadlines = self.session.tools.deadlines
        tasks = [
            asyncio.create_task(self._stop(tablet), name=f"stop {alias}") for alias, tablet in sorted(targets.items())
        ]
        pending: set[asyncio.Task[None]] = set(tasks)
        try:
            async with asyncio.timeout(deadlines.stop):
                while pending:
                    grace = deadlines.grace if self._enough(self.stopped) else None
                    done, pending = await asyncio.wait(pending, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                    if not done:
                        break
        except TimeoutError:
            pass
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self, tablet: TabletView) -> None:
        # Meanwhile, because whether its term would be the newest decides who may win.
        clock = asyncio.create_task(read_clock(self.session, tablet.record), name=f"read clock {tablet.alias}")
        try:
            stopped = self.stopped[tablet.alias] = await self._stop_replica(tablet)
            self.stopped[tablet.alias] = replace(stopped, clock=await clock)
        except (TabletCallFailed, TabletCallUnknown, TabletBadAnswer) as failure:
            self.session.unstoppable[tablet.alias] = str(failure)
        except (TabletError, TimeoutError):
            return
        finally:
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)

    async def _stop_replica(self, tablet: TabletView) -> StoppedTablet:
        session, record, alias = self.session, tablet.record, tablet.alias
        before = tablet.status
        # Remembered before the call: one that ends without an answer may have stopped the thread all the same.
        if before is not None and before.replication is not None and before.replication.io_healthy:
            self._put_back_replication(tablet)
        answer = await session.step(
            "stop replication", alias, session.tablets.stop_replication_and_get_status(record, StopMode.IO_ONLY)
        )
        if answer is None:
            return await self._demote(tablet)
        if before is not None and before.disk_stalled and answer.before.io_healthy:
            self._put_back_replication(tablet)  # it could not tell before
        after = answer.after
        if after.io_state is not ThreadState.STOPPED:
            after = await self._stop_connecting(tablet) or after
        return StoppedTablet(
            member=tablet.member,
            server_uuid=before.server_uuid if before is not None else "",
            executed=after.executed,
            received=after.executed.union(after.received),
            source_uuid=after.source_uuid,
            applier_stopped=_why_not_applied(after),
            backup_running=after.backup_running,
        )

    async def _stop_connecting(self, tablet: TabletView) -> ReplicationStatus | None:
        """Stop an IO thread that the tablet leaves alone because it is only trying to connect.

        It would succeed as soon as the old primary is back, and acknowledge writes that are dropped when it is
        re-pointed.
        """
        session = self.session
        self._put_back_replication(tablet)
        await session.step("stop IO thread", tablet.alias, session.tablets.stop_io_thread(tablet.record))
        return await session.step("read what it holds", tablet.alias, session.tablets.replication_status(tablet.record))

    def _put_back_replication(self, tablet: TabletView) -> None:
        semi_sync = self._acknowledged(tablet)
        self.session.on_abort(
            "stop replication",
            tablet.alias,
            lambda: self.session.tablets.start_replication(tablet.record, semi_sync=semi_sync),
        )

    def _acknowledged(self, tablet: TabletView) -> bool:
        """Whether a replica acknowledged; what it says with a stalled disk are defaults, so that the policy tells."""
        status = tablet.status
        if status is not None and not status.disk_stalled:
            return status.semi_sync.replica_enabled
        return self._primary is not None and self._policy.may_ack(self._primary.member, tablet.member)

    def _waited(self, tablet: TabletView, status: TabletStatus) -> bool:
        """Whether the primary waited for acknowledgements; the same holds for it."""
        if not status.disk_stalled:
            return status.semi_sync.primary_enabled
        return self._policy.required_acks(tablet.member) > 0

    async def _demote(self, tablet: TabletView) -> StoppedTablet:
        """It is nobody's replica: it may be taking writes, and must not any more."""
        session, record, before = self.session, tablet.record, tablet.status
        # A former primary that was still writable stays read-only whatever comes of this (simulator, seed
        # 436 of storm).
        is_primary = self._primary is not None and tablet.alias == self._primary.alias
        if is_primary and before is not None and not before.read_only:
            self._put_back_primary(record, semi_sync=self._waited(tablet, before))
        position = await session.step(
            "demote primary", tablet.alias, session.tablets.demote_primary(record, force=True)
        )
        return StoppedTablet(
            member=tablet.member,
            server_uuid=before.server_uuid if before is not None else "",
            executed=position,
            received=position,
            was_primary=True,
        )

    def _put_back_primary(self, record: TabletRecord, *, semi_sync: bool) -> None:
        self.session.on_abort(
            "demote primary",
            record.alias,
            lambda: self.session.tablets.undo_demote_primary(record, semi_sync=semi_sync),
        )


async def still_stopped(
    session: RecoverySession,
    tablets: Mapping[TabletAlias, TabletRecord],
    stopped: Mapping[TabletAlias, StoppedTablet],
    *,
    feeders: Mapping[TabletAlias, str],
) -> dict[TabletAlias, StoppedTablet]:
    """Ask all stopped tablets at once whether they still stand where they stood; returns those that say so.

    Who started again may have acknowledged since, or have lost its relay log. `feeders` are the UUIDs of the servers
    from which we let some fetch since; those need not stand still.
    """
    answers = await asyncio.gather(
        *(stands_still(session, tablets[alias], each, feeder=feeders.get(alias)) for alias, each in stopped.items())
    )
    return {alias: each for (alias, each), stands in zip(stopped.items(), answers, strict=True) if stands}


async def stands_still(
    session: RecoverySession, tablet: TabletRecord, stopped: StoppedTablet, *, feeder: str | None = None
) -> bool:
    """Whether a tablet that was stopped holds what it held and takes nothing in, or only from its `feeder`."""
    name, tablets = "look whether it stands still", session.tablets
    if stopped.was_primary:
        status = await session.try_step(name, tablet.alias, tablets.full_status(tablet), deadline=LOOK_DEADLINE)
        return status is not None and status.read_only and status.executed == stopped.executed
    threads = await session.try_step(name, tablet.alias, tablets.replication_status(tablet), deadline=LOOK_DEADLINE)
    if threads is None:
        return False
    received = threads.executed.union(threads.received)
    if feeder is not None:
        return threads.source_uuid == feeder and received.contains(stopped.received)
    return threads.io_state is ThreadState.STOPPED and received == stopped.received


def _why_not_applied(status: ReplicationStatus) -> str:
    """Why its relay log will not get applied; empty if it will, or if there is nothing in it."""
    if status.sql_state is not ThreadState.STOPPED or status.executed.contains(status.received):
        return ""
    return status.last_sql_error or "its SQL thread is stopped"
