"""Elects the first primary of a shard. Vitess does it with PlannedReparentShard (`planned_reparenter.go`, the initial
case).

Nothing was ever acknowledged, so nobody has to be stopped: it is enough that the tablets at hand can serve under the
policy and that the chosen one holds everything that any of them has.
"""

from dataclasses import dataclass

from vtorc.core.case import member
from vtorc.core.durability import DurabilityPolicy
from vtorc.core.election import ACKING_TYPES, CandidateSet, Refusal, Stopped, choose
from vtorc.core.view import ShardView
from vtorc.recovery.promotion import Follower, Promotion, promote
from vtorc.recovery.session import Session

ACTION = "PlannedReparentShard"
"""Name of the operation in the reparent journal (Vitess `planned_reparenter.go`)."""


@dataclass(frozen=True, slots=True)
class FirstElection:
    """The first election of the shard as `view` shows it."""

    session: Session
    view: ShardView
    policy: DurabilityPolicy

    async def run(self) -> None:
        """Make the best tablet primary, or raise RecoveryRefused, RecoveryFailed or LockLost."""
        present = {s.alias: s for s in self._present()}
        outcome = choose(
            CandidateSet(
                members=[member(t) for t in self.view.tablets], stopped=present, primary=None, first_term=True
            ),
            self.policy,
        )
        if isinstance(outcome, Refusal):
            raise self.session.refuse(outcome)
        self.session.argument = outcome.argument
        self.session.removed = outcome.removed
        winner = self.view.tablet(outcome.winner)
        if winner is None or outcome.source is not None:
            raise self.session.fail(
                f"{outcome.winner} does not hold everything yet; wait until replication has caught up"
            )
        self.session.winner = winner.alias
        self.session.mark("elected")
        await promote(
            self.session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=winner.record,
                position=present[winner.alias].executed,
                others=tuple(
                    Follower(t.record) for t in self.view.tablets if t.alias in present and t.alias != winner.alias
                ),
                action=ACTION,
                first=True,
            ),
        )

    def _present(self) -> list[Stopped]:
        return [
            Stopped(
                member=member(t),
                server_uuid=t.status.server_uuid,
                executed=t.status.executed,
                received=t.status.received,
                backup_running=t.status.replication is not None and t.status.replication.backup_running,
            )
            for t in self.view.tablets
            if t.is_current and t.status is not None and t.record.type in ACKING_TYPES
        ]
