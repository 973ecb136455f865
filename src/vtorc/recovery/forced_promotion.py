"""Promotes the tablet that an operator names, at a data loss that this operator has accepted.

It is for what the election refuses: diverged logs, lost copies, tablets that cannot be reached. It is never done
without an operator: `.importlinter` keeps automatic code from importing it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vtorc.core.detection.recoveries import Reparent
from vtorc.core.election.candidate_evidence import as_if_stopped, candidate_set
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.choice import Refusal
from vtorc.core.election.forced_promotion import DataLossEstimate, estimate_data_loss
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.election.stop_targets import tablets_to_stop
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.promotion import Promotion, ReplicaToRepoint, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import CONFIRM_STOPPED_AFTER, TabletStopper, still_stopped


def data_loss_now(view: ShardView, policy: DurabilityPolicy, named: TabletAlias) -> DataLossEstimate | Refusal:
    """Estimate the loss as if the tablets that answer were stopped, before anything is changed."""
    targets = tablets_to_stop(view, policy)
    stopped = {alias: each for alias, each in as_if_stopped(view).items() if alias in targets}
    return estimate_data_loss(candidate_set(view, policy, stopped), policy, named)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedPromotion:
    """One promotion of `named` in the shard that `view` shows."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy
    named: TabletAlias
    accepted: DataLossEstimate | None
    """The most data loss that the operator accepts; with None, any loss is refused."""

    async def run(self) -> None:
        """Promote `named`.

        Raises RecoveryRefused, RecoveryFailed, TabletError or LockLost; the caller then rolls back what was changed. A
        refusal because of the data loss leaves the estimate in `session.data_loss`, so that the operator can accept it.
        """
        self._accept(data_loss_now(self.view, self.policy, self.named))
        targets = tablets_to_stop(self.view, self.policy)
        await self.session.check_lock()
        # Every tablet that answers is stopped: none of them may go on acknowledging writes of another primary.
        stopper = TabletStopper(self.session, self.policy, primary=self.view.primary, is_enough=lambda _: False)
        began = self.session.elapsed()
        await stopper.run(targets)
        self.session.mark(OutageMark.STOPPED)
        self._check_data_loss(stopper.stopped)
        self.session.winner = self.named
        self.session.mark(OutageMark.ELECTED)
        await self._apply_relay_log(stopper.stopped)
        await self.session.check_lock()
        stopped: Mapping[TabletAlias, StoppedTablet] = stopper.stopped
        stopped_at = began
        if self.session.elapsed() - began > CONFIRM_STOPPED_AFTER:
            stopped_at = self.session.elapsed()
            stopped = await self._confirm_stopped(stopped)
        await self._promote(stopped, stopped_at)

    def _check_data_loss(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> None:
        """Refuse if promoting `named` would lose more than was accepted; else store why it is done."""
        estimate = self._accept(
            estimate_data_loss(candidate_set(self.view, self.policy, stopped), self.policy, self.named)
        )
        self.session.argument = SafetyArgument(
            policy=self.policy.name,
            stopped=tuple(sorted(stopped)),
            unreached=tuple(t.alias for t in self.view.tablets if t.alias not in stopped),
            required=stopped[self.named].received,
            sentence=f"An operator named {self.named} and accepted the data loss: {estimate.sentence}.",
        )

    def _accept(self, estimate: DataLossEstimate | Refusal) -> DataLossEstimate:
        """Store an estimate in the record and return it; refuses one that is more than was accepted."""
        if isinstance(estimate, Refusal):
            raise self.session.refuse(estimate)
        self.session.data_loss = estimate
        if not estimate.is_within(self.accepted):
            more = "" if self.accepted is None else "more than was accepted: "
            raise self.session.refuse(
                Refusal(
                    rule=Rule.DATA_LOSS_NOT_ACCEPTED,
                    sentence=f"not promoting {self.named} until an operator accepts the data loss: "
                    f"{more}{estimate.sentence}",
                )
            )
        return estimate

    async def _apply_relay_log(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> None:
        await self.session.step(
            "apply relay log",
            self.named,
            self.session.tablets.wait_for_position(
                self.session.tablet_in(self.view, self.named).record, stopped[self.named].received
            ),
            deadline=self.session.tools.deadlines.catch_up,
        )

    async def _confirm_stopped(
        self, stopped: Mapping[TabletAlias, StoppedTablet]
    ) -> Mapping[TabletAlias, StoppedTablet]:
        """Ask which tablets are still stopped, and refuse if the data loss has grown without the others.

        A tablet that started again may hold more than the estimate says, so it counts as not reached.
        """
        records = {alias: self.session.tablet_in(self.view, alias).record for alias in stopped}
        confirmed = await still_stopped(self.session, records, stopped, fetch_sources={})
        self._check_data_loss(confirmed)
        return confirmed

    async def _promote(self, stopped: Mapping[TabletAlias, StoppedTablet], stopped_at: float) -> None:
        position = stopped[self.named].received
        await promote(
            self.session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=self.session.tablet_in(self.view, self.named).record,
                position=position,
                replicas=tuple(
                    # A tablet that has what the new primary lacks stays as it is, for an operator to look at.
                    ReplicaToRepoint(self.session.tablet_in(self.view, alias).record, each.received, each)
                    for alias, each in sorted(stopped.items())
                    if alias != self.named and position.contains(each.received)
                ),
                reparent=Reparent.EMERGENCY,
                first=False,
                stopped_at=stopped_at,
            ),
        )
