"""Stops replication on the tablets of a shard, reads what each of them holds, and remembers how to start it again."""

import asyncio
from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.stop_targets import why_not_applied
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.views import TabletView
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletError
from vtorc.recovery.session import DEMOTION_PATIENCE, RecoverySession
from vtorc.tablet.api import StopMode

CLOCK_DEADLINE = 1.0
"""Most seconds that a tablet gets to report its wall clock."""

CONFIRM_STOPPED_AFTER = 0.5
"""Seconds after the stop began from which tablets are asked whether they are still stopped.

A vttablet or mysqld that starts resumes replication by itself, and none is back sooner.
"""

CONFIRM_DEADLINE = 1.0
"""Most seconds that a tablet gets to answer such a question."""


def as_if_stopped_now(tablet: TabletView, *, catch_up: float) -> StoppedTablet | None:
    """Return what stopping a tablet would find if nothing changed until then; None if it does not answer.

    Its wall clock is not read. `catch_up` are the seconds that it would get to apply its relay log.
    """
    status = tablet.current_status
    if status is None:
        return None
    replication = status.replication
    return StoppedTablet(
        member=tablet.member,
        server_uuid=status.server_uuid,
        executed=status.executed,
        received=status.received,
        source_uuid=replication.source_uuid if replication is not None else "",
        was_primary=not status.has_source,
        applier_stopped=why_not_applied(replication, within=catch_up) if replication is not None else "",
        was_standing=replication is not None and replication.sql_state is ThreadState.STOPPED,
        backup_running=replication is not None and replication.backup_running,
    )


async def read_clock(session: RecoverySession, tablet: TabletRecord) -> int | None:
    """Return a tablet's wall clock in nanoseconds since the Unix epoch; None if it does not answer."""
    return await session.try_step(
        "read clock", tablet.alias, session.tablets.wall_clock(tablet), deadline=CLOCK_DEADLINE
    )


class TabletStopper:
    """Stops the tablets of one shard at once; those that answered are in `stopped`.

    `is_enough` returns whether an election among those stopped so far would succeed. Tablets in `stay_read_only` are
    not made writable again if that is rolled back.
    """

    def __init__(
        self,
        session: RecoverySession,
        policy: DurabilityPolicy,
        *,
        primary: TabletView | None,
        is_enough: Callable[[Mapping[TabletAlias, StoppedTablet]], bool],
        stay_read_only: Container[TabletAlias] = (),
    ) -> None:
        self.session = session
        self._policy = policy
        self._primary = primary
        self._is_enough = is_enough
        self._stay_read_only = stay_read_only
        self._demoting: set[TabletAlias] = set()
        self.stopped: dict[TabletAlias, StoppedTablet] = {}

    async def run(self, targets: Mapping[TabletAlias, TabletView]) -> None:
        """Stop all targets.

        It ends when all have answered, at the deadline, or when enough have answered and no other did within a grace.
        """
        deadlines = self.session.tools.deadlines
        tasks = [
            asyncio.create_task(self._stop(tablet), name=f"stop {alias}") for alias, tablet in sorted(targets.items())
        ]
        pending: set[asyncio.Task[None]] = set(tasks)
        try:
            async with asyncio.timeout(deadlines.stop):
                while pending:
                    grace = self._grace() if self._is_enough(self.stopped) else None
                    done, pending = await asyncio.wait(pending, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                    if not done:
                        break
        except TimeoutError:
            pass
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _grace(self) -> float:
        """Return the seconds without news after which the wait for the remaining tablets ends.

        A demotion by force switches semi-sync off before the server is read-only. From then on commits wait for no
        acknowledgements, so that stopped ackers hold none back.
        """
        grace = self.session.tools.deadlines.grace
        return max(grace, DEMOTION_PATIENCE) if self._demoting else grace

    async def _stop(self, tablet: TabletView) -> None:
        # Read beside the stop: a tablet with a clock behind the present term cannot win.
        clock = asyncio.create_task(read_clock(self.session, tablet.record), name=f"read clock {tablet.alias}")
        try:
            stopped = self.stopped[tablet.alias] = await self._stop_replica(tablet)
            self.stopped[tablet.alias] = replace(stopped, clock=await clock)
        except (TabletCallFailed, TabletCallUnknown, TabletBadAnswer) as failure:
            self.session.stop_errors[tablet.alias] = str(failure)
        except (TabletError, TimeoutError):
            return
        finally:
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)

    async def _stop_replica(self, tablet: TabletView) -> StoppedTablet:
        session, record, alias = self.session, tablet.record, tablet.alias
        before, told = tablet.status, tablet.told
        # Remembered before the call: a call without an answer may have stopped the thread all the same.
        replication = before.replication if before is not None else None
        if replication is not None and replication.io_healthy:
            self._restart_on_abort(tablet)
        elif replication is not None and replication.io_state is ThreadState.CONNECTING:
            # Known before: the answer below is then of a stopped thread already, and saves a round to each replica.
            await self._stop_connecting(tablet)
        answer = await session.step(
            "stop replication", alias, session.tablets.stop_replication_and_get_status(record, StopMode.IO_ONLY)
        )
        if answer is None:
            return await self._demote(tablet)
        if before is not None and before.disk_stalled and answer.before.io_healthy:
            self._restart_on_abort(tablet)  # with a stalled disk its status did not tell before
        after = answer.after
        if after.io_state is not ThreadState.STOPPED:
            await self._stop_connecting(tablet)
            after = await self._read_position(tablet) or after
        if told is not None and not told.disk_stalled and not told.read_only:
            after = await self._demote_replica(tablet) or after
        return StoppedTablet(
            member=tablet.member,
            server_uuid=told.server_uuid if told is not None else "",
            executed=after.executed,
            received=after.executed.union(after.received),
            source_uuid=after.source_uuid,
            applier_stopped=why_not_applied(after, within=session.tools.deadlines.catch_up),
            was_standing=answer.before.sql_state is ThreadState.STOPPED,
            backup_running=after.backup_running,
        )

    async def _stop_connecting(self, tablet: TabletView) -> None:
        """Stop an IO thread that the tablet manager leaves alone because it is only trying to connect.

        It would connect as soon as the old primary is back, and acknowledge writes that are dropped when it is
        re-pointed.
        """
        session = self.session
        self._restart_on_abort(tablet)
        await session.step("stop IO thread", tablet.alias, session.tablets.stop_io_thread(tablet.record))

    async def _read_position(self, tablet: TabletView) -> ReplicationStatus | None:
        session = self.session
        return await session.step("read position", tablet.alias, session.tablets.replication_status(tablet.record))

    async def _demote_replica(self, tablet: TabletView) -> ReplicationStatus | None:
        """Stop a tablet that has a source and takes writes all the same, as a primary that was pointed elsewhere does.

        Its replication was stopped like that of any replica, which leaves it writable: a stopped tablet has to be
        read-only. Its transactions are those that it has after that.
        """
        await self._demote(tablet)
        return await self._read_position(tablet)

    def _restart_on_abort(self, tablet: TabletView) -> None:
        semi_sync = self._was_acker(tablet)
        self.session.on_abort(
            "stop replication",
            tablet.alias,
            lambda: self.session.tablets.start_replication(tablet.record, semi_sync=semi_sync),
        )

    def _was_acker(self, tablet: TabletView) -> bool:
        """Return whether a replica acknowledged.

        The policy tells if the replica's disk is stalled, because its status then holds only defaults.
        """
        status = tablet.status
        if status is not None and not status.disk_stalled:
            return status.semi_sync.replica_enabled
        return self._primary is not None and self._policy.may_ack(self._primary.member, tablet.member)

    async def _demote(self, tablet: TabletView) -> StoppedTablet:
        """Demote a tablet that has no source, or is writable: it may be taking writes, and must stop."""
        session, record, told = self.session, tablet.record, tablet.told
        # A former primary that was still writable stays read-only even if this is rolled back (storm seed 436). So does
        # one that has told of a stalled disk alone: it may have been read-only, as it lacks writes of its own.
        is_primary = self._primary is not None and tablet.alias == self._primary.alias
        may_write = is_primary and tablet.alias not in self._stay_read_only
        if may_write and told is not None and not told.disk_stalled and not told.read_only:
            self._undo_demotion_on_abort(record, semi_sync=told.semi_sync.primary_enabled)
        self._demoting.add(tablet.alias)
        try:
            position = await session.demote(record, force=True)
        finally:
            self._demoting.discard(tablet.alias)
        return StoppedTablet(
            member=tablet.member,
            server_uuid=told.server_uuid if told is not None else "",
            executed=position,
            received=position,
            was_primary=True,
        )

    def _undo_demotion_on_abort(self, record: TabletRecord, *, semi_sync: bool) -> None:
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
    fetch_sources: Mapping[TabletAlias, str],
) -> dict[TabletAlias, StoppedTablet]:
    """Ask all stopped tablets at once whether they are still stopped where they were; returns those that say so.

    A tablet that started again may have acknowledged since, or have lost its relay log. `fetch_sources` are the UUIDs
    of the servers from which some tablets were let fetch since; those tablets may have received more.
    """
    checks = (
        is_still_stopped(session, tablets[alias], held, fetch_source=fetch_sources.get(alias))
        for alias, held in stopped.items()
    )
    answers = await asyncio.gather(*checks)
    return {alias: held for (alias, held), is_stopped in zip(stopped.items(), answers, strict=True) if is_stopped}


async def is_still_stopped(
    session: RecoverySession, tablet: TabletRecord, stopped: StoppedTablet, *, fetch_source: str | None = None
) -> bool:
    """Return whether a stopped tablet holds what it held and receives nothing, or only from `fetch_source`."""
    name, tablets = "check that it is still stopped", session.tablets
    if stopped.was_primary:
        status = await session.try_step(name, tablet.alias, tablets.full_status(tablet), deadline=CONFIRM_DEADLINE)
        return status is not None and status.read_only and status.executed == stopped.executed
    threads = await session.try_step(name, tablet.alias, tablets.replication_status(tablet), deadline=CONFIRM_DEADLINE)
    if threads is None:
        return False
    received = threads.executed.union(threads.received)
    if fetch_source is not None:
        return threads.source_uuid == fetch_source and received.contains(stopped.received)
    return threads.io_state is ThreadState.STOPPED and received == stopped.received
