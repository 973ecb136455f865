"""Changes one or several replicas as an operator asks, under the shard lock and with the guards of vtorc's own repairs.

Starting, restarting and re-pointing are the very repairs of `recovery.repairs`. Stopping replication is none of them:
it leaves a replica as it is until the operator starts it again.
"""

from dataclasses import dataclass

from vtorc.core.decision.operator_guards import REPAIRS, why_refused
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias, alias_list
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import TabletError
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.repairs import Repairs
from vtorc.recovery.session import RecoverySession

COMMANDS = (
    Recovery.REPARENT_TABLET,
    Recovery.START_REPLICATION,
    Recovery.RESTART_REPLICATION,
    Recovery.STOP_REPLICATION,
    Recovery.STOP_REPLICATION_NICELY,
    Recovery.SET_READ_ONLY,
    Recovery.FLUSH_BINARY_LOGS,
)
"""The commands on tablets that operators may give."""

_DONE: dict[Recovery, str] = {
    Recovery.REPARENT_TABLET: "pointed {tablets} at {primary}",
    Recovery.START_REPLICATION: "started replication on {tablets}",
    Recovery.RESTART_REPLICATION: "restarted replication on {tablets}",
    Recovery.STOP_REPLICATION: "stopped replication on {tablets}",
    Recovery.STOP_REPLICATION_NICELY: "stopped replication on {tablets}, with nothing left to apply",
    Recovery.SET_READ_ONLY: "made {tablets} read-only",
    Recovery.FLUSH_BINARY_LOGS: "began a new binary log on {tablets}",
}
"""The effect of a command, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class TabletChange:
    """One command on tablets of the shard that `view` shows, under its lock."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy
    command: Recovery
    """One of `COMMANDS`."""
    aliases: tuple[TabletAlias, ...]
    """The tablets, at least one."""

    async def run(self) -> str:
        """Carry the command out and return what it did, in words.

        Raises RecoveryRefused before anything was changed, RecoveryFailed, TabletError or LockLost.
        """
        tablets = [self.session.tablet_in(self.view, alias) for alias in self.aliases]
        for tablet in tablets:
            if why := why_refused(self.command, self.view, self.policy, tablet, self.session.tools.clock.now()):
                raise RecoveryRefused(f"{self.command.value} of {tablet.alias} is refused: {why[1]}", rule=why[0])
        needed = [tablet for tablet in tablets if not self._is_so_already(tablet)]
        if not needed:
            return f"{self.command.value} of {alias_list(self.aliases)} has nothing to do: it is so already"
        await self._carry_out(needed)
        primary = self.view.primary.alias if self.view.primary is not None else ""
        return _DONE[self.command].format(tablets=alias_list(t.alias for t in needed), primary=primary)

    async def _carry_out(self, tablets: list[TabletView]) -> None:
        if (code := REPAIRS.get(self.command)) is not None:
            repairs = Repairs(self.session, self.view, self.policy)
            await repairs.fix_replicas({tablet.alias: {code} for tablet in tablets})
            return
        for tablet in tablets:
            await self.session.check_lock()
            await self._change(tablet)

    async def _change(self, tablet: TabletView) -> None:
        session, calls, record = self.session, self.session.tablets, tablet.record
        match self.command:
            case Recovery.STOP_REPLICATION:
                await session.step("stop replication", tablet.alias, calls.stop_replication(record))
            case Recovery.STOP_REPLICATION_NICELY:
                await self._stop_nicely(tablet)
            case Recovery.SET_READ_ONLY:
                await session.step("make it read-only", tablet.alias, calls.set_read_only(record))
            case Recovery.FLUSH_BINARY_LOGS:
                await session.step("begin a new binary log", tablet.alias, calls.flush_binary_logs(record))
            case _:
                raise session.fail(f"{self.command.value} is no command on a tablet")

    async def _stop_nicely(self, tablet: TabletView) -> None:
        """Stop the IO thread, let the SQL thread apply the relay log, and stop that too.

        A relay log that is not applied in time has the replica replicate again, as the rollback starts it.
        """
        session, calls, record = self.session, self.session.tablets, tablet.record
        status = tablet.current_status
        semi_sync = status is not None and status.semi_sync.replica_enabled
        session.on_abort("stop IO thread", tablet.alias, lambda: calls.start_replication(record, semi_sync=semi_sync))
        await session.step("stop IO thread", tablet.alias, calls.stop_io_thread(record))
        stopped = await session.step("read position", tablet.alias, calls.full_status(record))
        if not stopped.executed.contains(stopped.received):
            waiting = stopped.received.difference(stopped.executed)
            try:
                await session.step(
                    "apply its relay log",
                    tablet.alias,
                    calls.wait_for_position(record, stopped.received),
                    deadline=session.tools.deadlines.catch_up,
                )
            except (TabletError, TimeoutError) as error:
                raise RecoveryRefused(
                    f"{tablet.alias} did not apply {waiting.brief()} of its relay log within "
                    f"{session.tools.deadlines.catch_up:g} s, and replicates again",
                    rule=Rule.APPLIER_BEHIND,
                ) from error
        await session.step("stop replication", tablet.alias, calls.stop_replication(record))
        session.forget_undo(tablet.alias)

    def _is_so_already(self, tablet: TabletView) -> bool:
        """Whether the tablet is as the command would leave it: re-pointing it would drop its relay log for nothing."""
        status = tablet.current_status
        replication = status.replication if status is not None else None
        if replication is None:
            return False
        threads = (replication.io_state, replication.sql_state)
        match self.command:
            case Recovery.REPARENT_TABLET:
                primary = self.view.primary
                is_attached = primary is not None and self.view.replicates_from(tablet, primary)
                return is_attached and threads == (ThreadState.RUNNING, ThreadState.RUNNING)
            case Recovery.START_REPLICATION:
                return ThreadState.STOPPED not in threads
            case Recovery.STOP_REPLICATION | Recovery.STOP_REPLICATION_NICELY:
                return threads == (ThreadState.STOPPED, ThreadState.STOPPED)
            case _:
                return False
