"""Commands of operators: planned reparents and forced promotions, made of the steps that vtorc takes by itself."""

from dataclasses import dataclass

from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.forced_promotion import ForcedPromotion
from vtorc.recovery.locked_run import LockedRun, RecoveryPurpose
from vtorc.recovery.planned import PlannedReparent
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.session import RecoverySession, RecoveryTools


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands on one watched shard; each waits for the shard lock and returns the record of its recovery."""

    tools: RecoveryTools
    watch: ShardWatch

    async def planned_reparent(
        self, policy: DurabilityPolicy, new_primary: TabletAlias | None = None
    ) -> RecoveryRecord:
        """Move the primary to `new_primary`, or to the best replica if that is None."""

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            view = await self._read_again(session)
            await PlannedReparent(session=session, view=view, policy=policy, new_primary=new_primary).run()
            return Outcome.SUCCEEDED, f"{view.shard}: promoted {session.winner} as planned"

        # The text is Vitess' (`planned_reparenter.go`).
        text = f"PlannedReparentShard({new_primary or '<nil>'}, AvoidPrimary = <nil>)"
        purpose = RecoveryPurpose(Recovery.PLANNED_REPARENT, None, new_primary)
        lock = self.tools.topo.lock_shard(self.watch.shard, text)
        return await LockedRun(self.tools, self.watch).run(purpose, lock, work)

    async def force_promotion(
        self, policy: DurabilityPolicy, new_primary: TabletAlias, accepted: DataLossEstimate | None = None
    ) -> RecoveryRecord:
        """Promote `new_primary` although the election refuses, or would choose another tablet.

        The command is refused until its data-loss estimate is `accepted`. The record of the refusal has the estimate,
        with every transaction and tablet by name. If the estimate has grown since, the command is refused again. An
        impossible promotion is refused whatever was accepted.
        """

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            view = await self._read_again(session)
            await ForcedPromotion(session=session, view=view, policy=policy, named=new_primary, accepted=accepted).run()
            cost = session.data_loss.sentence if session.data_loss is not None else ""
            return Outcome.SUCCEEDED, f"{view.shard}: promoted {session.winner} as an operator decided; {cost}"

        purpose = RecoveryPurpose(Recovery.EMERGENCY_REPARENT, None, new_primary)
        # The text is Vitess' (`emergency_reparenter.go`).
        lock = self.tools.topo.lock_shard(self.watch.shard, f"EmergencyReparentShard({new_primary})")
        return await LockedRun(self.tools, self.watch).run(purpose, lock, work)

    async def _read_again(self, session: RecoverySession) -> ShardView:
        """Read the shard's records and ask its tablets again under the lock."""
        reading = read_shard(self.tools.topo, self.tools.clock, self.watch.shard)
        self.watch.update(await session.step("read topology", None, reading))
        await self.watch.refresh(self.tools.deadlines.refresh, leave_out=self.watch.silent_tablets())
        view = self.watch.view()
        session.expect_primary(view)
        return view
