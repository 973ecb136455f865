"""Commands of operators: reparents, and changes of single tablets, made of the steps that vtorc takes by itself."""

from dataclasses import dataclass, field

from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias, alias_list
from vtorc.core.facts.views import ShardView
from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.emergency import EmergencyReparent
from vtorc.recovery.forced_promotion import ForcedPromotion
from vtorc.recovery.hooks import Hook
from vtorc.recovery.locked_run import LockedRun
from vtorc.recovery.planned import PlannedReparent
from vtorc.recovery.pre_hooks import occasion_of, run_pre_hooks
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord
from vtorc.recovery.session import RecoverySession, RecoveryTools, StepListener, hear_nothing
from vtorc.recovery.tablet_change import TabletChange


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands on one watched shard; each waits for the shard lock and returns the record of its recovery.

    Each takes its `begun`, which says what the operator was told of it; None if the record alone counts.
    """

    tools: RecoveryTools
    watch: ShardWatch
    heard: StepListener = hear_nothing
    """Hears of each step as it ends."""
    switch: CancelSwitch = field(default_factory=CancelSwitch)
    """The switch by which the operator cancels the command."""
    planned_on: ShardView | None = None
    """The view that the operator's plan was made from; None without a plan.

    A reparent fails if the shard has another primary or policy by the time that it has the lock. An emergency reparent
    had waited for another vtorc to replace the lost primary, and then replaced the new one.
    """

    async def planned_reparent(
        self, policy: DurabilityPolicy, new_primary: TabletAlias | None = None, *, begun: BegunRecovery | None = None
    ) -> RecoveryRecord:
        """Move the primary to `new_primary`, or to the best replica if that is None."""

        begun = begun or self._begin(Recovery.PLANNED_REPARENT, new_primary)

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            view = await self._ask_hooks(session, begun, Hook.PRE_GRACEFUL_TAKEOVER, Hook.PRE_FAILOVER)
            await PlannedReparent(session=session, view=view, policy=policy, new_primary=new_primary).run()
            return Outcome.SUCCEEDED, f"{view.shard}: promoted {session.winner} as planned"

        # The text is Vitess' (`planned_reparenter.go`).
        text = f"PlannedReparentShard({new_primary or '<nil>'}, AvoidPrimary = <nil>)"
        lock = self.tools.topo.lock_shard(self.watch.shard, text)
        return await self._locked_run.run(begun, lock, work)

    async def emergency_reparent(
        self, policy: DurabilityPolicy, *, begun: BegunRecovery | None = None
    ) -> RecoveryRecord:
        """Replace the primary, which may be lost, by the tablet that the election chooses."""

        begun = begun or self._begin(Recovery.EMERGENCY_REPARENT, None)

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            view = await self._ask_hooks(session, begun, Hook.PRE_FAILOVER)
            await EmergencyReparent(session, view, policy).run()
            argument = session.argument.sentence if session.argument is not None else ""
            return Outcome.SUCCEEDED, f"{view.shard}: promoted {session.winner} as an operator asked. {argument}"

        # The text is Vitess' (`emergency_reparenter.go`).
        lock = self.tools.topo.lock_shard(self.watch.shard, "EmergencyReparentShard(<nil>)")
        return await self._locked_run.run(begun, lock, work)

    async def force_promotion(
        self,
        policy: DurabilityPolicy,
        new_primary: TabletAlias,
        accepted: DataLossEstimate | None = None,
        *,
        begun: BegunRecovery | None = None,
    ) -> RecoveryRecord:
        """Promote `new_primary` although the election refuses, or would choose another tablet.

        The command is refused until its data-loss estimate is `accepted`. The record of the refusal has the estimate,
        with every transaction and tablet by name. If the estimate has grown since, the command is refused again. An
        impossible promotion is refused whatever was accepted.
        """

        begun = begun or self._begin(Recovery.EMERGENCY_REPARENT, new_primary)

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            view = await self._ask_hooks(session, begun, Hook.PRE_FAILOVER, named=True)
            await ForcedPromotion(session=session, view=view, policy=policy, named=new_primary, accepted=accepted).run()
            cost = session.data_loss.sentence if session.data_loss is not None else ""
            return Outcome.SUCCEEDED, f"{view.shard}: promoted {session.winner} as an operator decided; {cost}"

        # The text is Vitess' (`emergency_reparenter.go`).
        lock = self.tools.topo.lock_shard(self.watch.shard, f"EmergencyReparentShard({new_primary})")
        return await self._locked_run.run(begun, lock, work)

    async def change_tablets(
        self, policy: DurabilityPolicy, aliases: tuple[TabletAlias, ...], *, begun: BegunRecovery
    ) -> RecoveryRecord:
        """Carry out the command of `begun`, one of `tablet_change.COMMANDS`, on these tablets."""

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            view = await self._read_again(session)
            done = await TabletChange(session, view, policy, begun.recovery, aliases).run()
            return Outcome.SUCCEEDED, f"{view.shard}: {done}"

        # Vitess takes no lock for these; vtorc does, so that no reparent meets a replica that is being changed.
        lock = self.tools.topo.lock_shard(self.watch.shard, f"{begun.recovery.value}({alias_list(aliases)})")
        return await self._locked_run.run(begun, lock, work)

    @property
    def _locked_run(self) -> LockedRun:
        return LockedRun(self.tools, self.watch, self.heard, self.switch)

    def _begin(self, recovery: Recovery, new_primary: TabletAlias | None) -> BegunRecovery:
        return BegunRecovery(
            shard=self.watch.shard,
            recovery=recovery,
            code=None,
            alias=new_primary,
            began=self.tools.clock.wall(),
            sentence=f"{self.watch.shard}: {recovery.traits.intent}",
        )

    async def _ask_hooks(
        self, session: RecoverySession, begun: BegunRecovery, *hooks: Hook, named: bool = False
    ) -> ShardView:
        """Read the shard under the lock, and run the operator's commands; what they took time for is read again.

        Raises RecoveryFailed if the plan does not hold any more.
        """
        view = await self._read_as_planned(session)
        occasion = occasion_of(begun, view, named=named)
        ran = [await run_pre_hooks(session, hook, occasion) for hook in hooks]
        return await self._read_as_planned(session) if any(ran) else view

    async def _read_as_planned(self, session: RecoverySession) -> ShardView:
        view = await self._read_again(session)
        if self.planned_on is not None and (changed := _changed_since(self.planned_on, view)):
            raise session.fail(f"{changed} since the plan was made, so nothing was changed; make a new plan")
        return view

    async def _read_again(self, session: RecoverySession) -> ShardView:
        """Read the shard's records and ask its tablets again under the lock."""
        reading = read_shard(self.tools.topo, self.tools.clock, self.watch.shard)
        self.watch.update(await session.step("read topology", None, reading))
        await self.watch.refresh(self.tools.deadlines.refresh, leave_out=self.watch.silent_tablets())
        view = self.watch.view()
        session.expect_primary(view)
        return view


def _changed_since(plan: ShardView, now: ShardView) -> str:
    """Return what a plan rests on and has changed since, as the begin of a sentence; empty if all of it stands."""
    if plan.keyspace_record.durability_policy != now.keyspace_record.durability_policy:
        return "the durability policy has changed"
    if _term(plan) == _term(now):
        return ""
    return "the shard has lost its primary" if now.primary is None else f"{now.primary.alias} has become primary"


def _term(view: ShardView) -> tuple[TabletAlias, int] | None:
    """Return the primary of a view and the begin of its term; None if it has no primary."""
    return None if view.primary is None else (view.primary.alias, view.primary.record.primary_term_start)
