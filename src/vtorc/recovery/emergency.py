"""Replaces a lost primary: stop, elect, apply, promote, prove. Vitess calls it EmergencyReparentShard.

Vitess' version is `go/vt/vtctl/reparentutil/emergency_reparenter.go`. This one differs: it waits only for tablets that
can win. It promotes and re-points in parallel, and checks the lock before each step without return. When it breaks off,
it puts back what it changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vtorc.core.detection.recoveries import Reparent
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.preflight import preflight
from vtorc.core.election.stop_targets import tablets_to_stop
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.views import ShardView
from vtorc.recovery.catch_up import CatchUp, record_choice
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.promotion import Promotion, ReplicaToRepoint, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import CONFIRM_STOPPED_AFTER, TabletStopper, still_stopped


@dataclass(frozen=True, slots=True)
class EmergencyReparent:
    """One emergency reparent of the shard that `view` shows."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy

    async def run(self) -> None:
        """Promote another tablet.

        Raises RecoveryRefused, RecoveryFailed, TabletError or LockLost; the caller then rolls back what was changed.
        """
        refusal = preflight(self.view, self.policy, same_cell_only=self.session.tools.same_cell_only)
        if refusal is not None:
            raise self.session.refuse(refusal)
        targets = tablets_to_stop(self.view, self.policy)
        await self.session.check_lock()
        stopper = TabletStopper(
            self.session,
            self.policy,
            primary=self.view.primary,
            is_enough=self._is_enough,
            stay_read_only=rolled_back(self.view),
        )
        began = self.session.elapsed()
        await stopper.run(targets)
        self.session.mark(OutageMark.STOPPED)
        ready = await CatchUp(self.session, self.view, self._choose_from, began).run(stopper.stopped)
        choice, winner, position = ready.choice, ready.winner, ready.position
        stopped: Mapping[TabletAlias, StoppedTablet] = ready.stopped
        # The lock comes first: a topology server took 4 s for it, in which a replica had started and acknowledged.
        await self.session.check_lock()
        stopped_at = began
        if self.session.elapsed() - began > CONFIRM_STOPPED_AFTER:
            stopped_at = self.session.elapsed()
            stopped, choice = await self._confirm_stopped(stopped, choice, winner, position)
        self.session.winner = winner
        await promote(
            self.session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=self.session.tablet_in(self.view, winner).record,
                position=position,
                replicas=self._replicas_to_repoint(winner, stopped, choice),
                reparent=Reparent.EMERGENCY,
                first=False,
                stopped_at=stopped_at,
            ),
        )

    def _is_enough(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> bool:
        """Return whether an election among the tablets stopped so far succeeds; if so, the others get only a grace."""
        return bool(stopped) and isinstance(choose(self._candidates(stopped), self.policy), Choice)

    def _candidates(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> CandidateSet:
        return candidate_set(self.view, self.policy, stopped, same_cell_only=self.session.tools.same_cell_only)

    def _choose_from(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> Choice:
        outcome = choose(self._candidates(stopped), self.policy)
        if isinstance(outcome, Refusal):
            raise self.session.refuse(outcome)
        return outcome

    async def _confirm_stopped(
        self, stopped: Mapping[TabletAlias, StoppedTablet], choice: Choice, winner: TabletAlias, position: GtidSet
    ) -> tuple[Mapping[TabletAlias, StoppedTablet], Choice]:
        """Ask which tablets are still stopped, and elect again if one is not; raises unless the winner stays the same.

        A tablet stopped long ago may have started since. It may then have acknowledged writes that the winner lacks.
        """
        has = stopped[winner].received.union(position)  # a winner that was let fetch has more than at its stop
        expected = {**stopped, winner: replace(stopped[winner], executed=has, received=has)}
        confirmed = await still_stopped(
            self.session,
            {alias: self.session.tablet_in(self.view, alias).record for alias in stopped},
            expected,
            fetch_sources={winner: stopped[choice.source].server_uuid} if choice.source is not None else {},
        )
        if len(confirmed) == len(stopped):
            return stopped, choice
        elected = self._choose_from(confirmed)
        choices = (elected, *elected.otherwise)
        again = next((c for c in choices if winner in (c.winner, *c.holders) and position.contains(c.required)), None)
        if again is None:
            gone = ", ".join(str(alias) for alias in stopped if alias not in confirmed)
            raise self.session.fail(
                f"not promoting {winner}: {gone} did not stay stopped, and the election no longer chooses {winner}"
            )
        record_choice(self.session, again)
        return confirmed, again

    def _replicas_to_repoint(
        self, winner: TabletAlias, stopped: Mapping[TabletAlias, StoppedTablet], choice: Choice
    ) -> tuple[ReplicaToRepoint, ...]:
        """Return the replicas to re-point: those that have received nothing that the winner lacks.

        Re-pointing drops a replica's relay log. Tablets with errant transactions stay as they are, for an operator to
        look at, and so do those that went back in time.
        """
        left_alone = rolled_back(self.view)
        return tuple(
            ReplicaToRepoint(self.session.tablet_in(self.view, alias).record, each.received, each)
            for alias, each in sorted(stopped.items())
            if alias != winner and alias not in left_alone and choice.required.contains(each.received)
        )
