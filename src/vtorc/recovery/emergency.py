"""Replaces a primary that is lost: stop, elect, apply, promote, prove. Vitess calls it EmergencyReparentShard.

What Vitess does is in `go/vt/vtctl/reparentutil/emergency_reparenter.go`. The differences: it waits for nobody who
cannot win, promotes and re-points in parallel, checks the lock before each step without return, and puts back what it
changed when it breaks off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vtorc.core.detection.external_source import external_source
from vtorc.core.election.candidate_evidence import as_if_stopped, candidate_set, semi_sync_seen
from vtorc.core.election.choice import (
    ACKING_TYPES,
    CandidateSet,
    Choice,
    Refusal,
    StoppedTablet,
    certain_refusal,
    choose,
)
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.catch_up import CatchUp, record_way
from vtorc.recovery.promotion import Follower, Promotion, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import LOOK_AGAIN_AFTER, Stopping, still_stopped

ACTION = "EmergencyReparentShard"
"""Name of the operation in the reparent journal (Vitess `emergency_reparenter.go`)."""

BUSY_TYPES = frozenset({TabletType.BACKUP, TabletType.RESTORE})
"""Tablets whose action lock is taken for long; they replicate for themselves and are left alone, unless they may have
acknowledged writes of the lost primary.
"""


def to_be_stopped(view: ShardView, policy: DurabilityPolicy) -> dict[TabletAlias, TabletView]:
    """The tablets that answer, but for those that are left alone."""
    past_ackers = semi_sync_seen(view, policy, as_if_stopped(view)).past_ackers
    return {t.alias: t for t in view.tablets if t.is_current and not _is_left_alone(view, t, t.alias in past_ackers)}


def _is_left_alone(view: ShardView, tablet: TabletView, is_past_acker: bool) -> bool:
    """Whether a tablet is not stopped: it is busy for long, or set aside while somebody feeds it from elsewhere.

    What is being restored holds nothing that it may have acknowledged before, only what it acknowledges now.
    """
    if tablet.record.type in BUSY_TYPES:
        status = tablet.status
        if not is_past_acker or status is None or not status.has_source:
            return True
        return tablet.record.type is TabletType.RESTORE and not status.semi_sync.replica_enabled
    return tablet.record.type not in ACKING_TYPES and bool(external_source(view, tablet))


@dataclass(frozen=True, slots=True)
class EmergencyReparent:
    """One emergency reparent of the shard as `view` shows it."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy

    async def run(self) -> None:
        """Promote another tablet, or raise RecoveryRefused, RecoveryFailed, TabletError or LockLost with everything
        put back.
        """
        self._preflight()
        targets = to_be_stopped(self.view, self.policy)
        await self.session.guard()
        stopping = Stopping(self.session, self.policy, primary=self.view.primary, enough=self._enough)
        began = self.session.elapsed()
        await stopping.run(targets)
        self.session.mark("stopped")
        ready = await CatchUp(self.session, self.view, self._choose_from).run(stopping.stopped)
        choice, winner, position = ready.way, ready.winner, ready.position
        stopped: Mapping[TabletAlias, StoppedTablet] = ready.stopped
        if self.session.elapsed() - began > LOOK_AGAIN_AFTER:
            stopped, choice = await self._look_again(stopped, choice, winner, position)
        self.session.winner = winner
        self.session.argument = replace(choice.argument, required=choice.required)
        await promote(
            self.session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=self._record_of(winner),
                position=position,
                others=self._others(winner, stopped, choice),
                action=ACTION,
                first=False,
            ),
        )

    def _preflight(self) -> None:
        """Refuse before anything is changed, if the tablets that answer now are not enough, whatever they hold."""
        seen = self._candidates(as_if_stopped(self.view))
        unread = {
            alias: replace(each, executed=EMPTY_GTID_SET, received=EMPTY_GTID_SET)
            for alias, each in seen.stopped.items()
        }
        if refusal := certain_refusal(replace(seen, stopped=unread), self.policy):
            raise self.session.refuse(refusal)

    def _enough(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> bool:
        """Whether those stopped so far could do: then the others are not waited for long."""
        return bool(stopped) and isinstance(choose(self._candidates(stopped), self.policy), Choice)

    def _candidates(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> CandidateSet:
        return candidate_set(self.view, self.policy, stopped, same_cell_only=self.session.tools.same_cell_only)

    def _choose_from(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> Choice:
        outcome = choose(self._candidates(stopped), self.policy)
        if isinstance(outcome, Refusal):
            raise self.session.refuse(outcome)
        return outcome

    async def _look_again(
        self, stopped: Mapping[TabletAlias, StoppedTablet], choice: Choice, winner: TabletAlias, position: GtidSet
    ) -> tuple[Mapping[TabletAlias, StoppedTablet], Choice]:
        """Look who still stands, and elect again if somebody does not; raises unless the winner is still right.

        Who was stopped long ago may have started again since, and acknowledged writes that the winner does not have.
        """
        expected = dict(stopped)
        if choice.source is not None:
            has = stopped[winner].received.union(position)
            expected[winner] = replace(stopped[winner], executed=has, received=has)
        standing = await still_stopped(
            self.session,
            {alias: self._record_of(alias) for alias in stopped},
            expected,
            feeders={winner: stopped[choice.source].server_uuid} if choice.source is not None else {},
        )
        if len(standing) == len(stopped):
            return stopped, choice
        first = self._choose_from(standing)
        ways = (first, *first.otherwise)
        again = next((w for w in ways if winner in (w.winner, *w.holders) and position.contains(w.required)), None)
        if again is None:
            gone = ", ".join(str(alias) for alias in stopped if alias not in standing)
            raise self.session.fail(f"{gone} did not stay stopped, and without that {winner} is not the one to promote")
        record_way(self.session, again)
        return standing, again

    def _others(
        self, winner: TabletAlias, stopped: Mapping[TabletAlias, StoppedTablet], choice: Choice
    ) -> tuple[Follower, ...]:
        """Who is re-pointed at the winner: only who holds nothing that the winner lacks, because its relay log is
        dropped.

        Errant tablets stay as they are, for a person to look at.
        """
        return tuple(
            Follower(self._record_of(alias), each.received, each)
            for alias, each in sorted(stopped.items())
            if alias != winner and choice.required.contains(each.received)
        )

    def _record_of(self, alias: TabletAlias) -> TabletRecord:
        tablet = self.view.tablet(alias)
        if tablet is None:
            raise self.session.fail(f"{alias} has left the shard")
        return tablet.record
