"""Elects the first primary of a shard, as Vitess' PlannedReparentShard does (`planned_reparenter.go`, the initial
case).

Before the first election no write was acknowledged, and all tablets may go on running. The tablets at hand must be able
to serve under the policy. The chosen one must hold all transactions that any of them has, or fetch them first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vtorc.core.detection.recoveries import Reparent
from vtorc.core.election.candidate_evidence import held_back, wishes
from vtorc.core.election.candidates import ACKING_TYPES, CandidateSet, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.fitness import shard_fitness
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.recovery.catch_up import CatchUp, ReadyToPromote, record_choice
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.promotion import Promotion, ReplicaToRepoint, promote
from vtorc.recovery.session import RecoverySession


@dataclass(frozen=True, slots=True)
class FirstElection:
    """The first election of the shard that `view` shows."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy

    async def run(self) -> None:
        """Promote the best tablet; raises RecoveryRefused, RecoveryFailed, TabletError or LockLost."""
        present = {s.alias: s for s in self._present()}
        choice = self._choose_from(present)
        best = present[choice.winner]
        if choice.source is None and best.has_applied:
            ready = ReadyToPromote(winner=best.alias, position=best.executed, choice=choice, stopped=present)
            record_choice(self.session, choice)
            self.session.mark(OutageMark.ELECTED)
        else:
            ready = await CatchUp(self.session, self.view, self._choose_from).run(present)
        winner = self.session.tablet_in(self.view, ready.winner)
        self.session.winner = winner.alias
        await promote(
            self.session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=winner.record,
                position=ready.position,
                replicas=tuple(
                    ReplicaToRepoint(t.record)
                    for t in self.view.tablets
                    if t.alias in present and t.alias != winner.alias
                ),
                reparent=Reparent.PLANNED,
                first=True,
            ),
        )

    def _choose_from(self, present: Mapping[TabletAlias, StoppedTablet]) -> Choice:
        outcome = choose(
            CandidateSet(
                members=[t.member for t in self.view.tablets],
                stopped=present,
                primary=None,
                purged={t.alias: t.status.purged for t in self.view.tablets if t.status is not None},
                fitness=shard_fitness(self.view, self.policy),
                held=held_back(self.view),
                wishes=wishes(self.view),
                first_term=True,
            ),
            self.policy,
        )
        if isinstance(outcome, Refusal):
            raise self.session.refuse(outcome)
        return outcome

    def _present(self) -> list[StoppedTablet]:
        return [
            StoppedTablet(
                member=t.member,
                server_uuid=t.status.server_uuid,
                executed=t.status.executed,
                received=t.status.received,
            )
            for t in self.view.tablets
            if t.is_current and t.status is not None and t.record.type in ACKING_TYPES
        ]
