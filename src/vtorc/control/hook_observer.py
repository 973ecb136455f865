"""Runs the operator's commands after what happened, beside everything else: no failover waits for them."""

from collections.abc import Callable, Collection, Sequence

from vtorc.control.observer import Announcement
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.recovery.hooks import Hook, HookOccasion
from vtorc.recovery.pre_hooks import occasion_of
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement

StartHooks = Callable[[Sequence[Hook], HookOccasion], None]
"""Runs the commands of hooks one after the other; returns at once and raises nothing."""

_Problem = tuple[str, TabletAlias | None]
_FAILOVERS = frozenset(each for each in Recovery if each.traits.reparent is not None) - {Recovery.ELECT_NEW_PRIMARY}
"""Recoveries that v12 runs the hooks of a failover for: the shard had a primary before."""


class HookObserver:
    """An observer of the fleet and its topology that runs hooks.

    A failed tablet is described as the records did when the recovery began: afterwards another one is primary.
    """

    def __init__(self, start: StartHooks) -> None:
        self._start = start
        self._views: dict[ShardId, ShardView] = {}
        self._at_begin: dict[ShardId, ShardView] = {}
        self._untold: dict[ShardId, list[Decision]] = {}
        self._detected: dict[ShardId, set[_Problem]] = {}
        self._told_failures: dict[ShardId, tuple[object, ...]] = {}

    def judged(self, judgement: Judgement) -> None:
        """Run the hooks of the problems that are new in the judgement."""
        view = self._views[judgement.view.shard] = judgement.view
        for decision in self._untold.pop(view.shard, ()):
            self._note_detection(decision, view)

    def decided(self, decision: Decision) -> None:
        """Keep a proven problem that calls for a recovery, for the judgement that follows."""
        if decision.finding.confirmed and decision.finding.problem.recovery is not None:
            self._untold.setdefault(decision.finding.shard, []).append(decision)

    def cleared(self, decision: Decision) -> None:
        """Forget the problem: when it comes again, it is a new one."""
        finding = decision.finding
        self._detected.get(finding.shard, set()).discard((finding.code.value, finding.alias))

    def started(self, begun: BegunRecovery) -> None:
        """Remember how the shard was."""
        if (view := self._views.get(begun.shard)) is not None:
            self._at_begin[begun.shard] = view

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: hooks run after a recovery."""

    def finished(self, record: RecoveryRecord) -> None:
        """Run the hooks of a recovery that replaced a primary, or failed to."""
        view = self._at_begin.pop(record.shard, None)
        if view is None or not record.outcome.was_attempt:
            return
        if record.outcome is Outcome.SUCCEEDED and record.winner is not None:
            self._told_failures.pop(record.shard, None)
            hooks = [Hook.POST_FAILOVER]
            if record.recovery in _FAILOVERS:
                hooks.insert(0, Hook.POST_PRIMARY_FAILOVER)
            if record.recovery is Recovery.PLANNED_REPARENT:
                hooks.append(Hook.POST_GRACEFUL_TAKEOVER)
            self._start(hooks, _occasion(record, view))
        elif record.outcome is not Outcome.SUCCEEDED and record.recovery in _FAILOVERS:
            # vtorc tries again and again, and the same failure each time is no news.
            failure = (record.recovery, record.outcome, record.rule, record.asked)
            if self._told_failures.get(record.shard) != failure:
                self._told_failures[record.shard] = failure
                self._start([Hook.POST_UNSUCCESSFUL_FAILOVER], _occasion(record, view))

    def interrupted(self, begun: BegunRecovery) -> None:
        """Forget how the shard was: what follows, another recovery or another vtorc, has hooks of its own."""
        self._at_begin.pop(begun.shard, None)

    def announced(self, announcement: Announcement) -> None:
        """Do nothing: v12 has no hook for news about the fleet."""

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Forget the shard, which is watched anew."""
        self.gone(shard)

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Do nothing: hooks are about problems and recoveries."""

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Forget the shard."""
        for known in (self._views, self._at_begin, self._untold, self._detected, self._told_failures):
            known.pop(shard, None)

    def unread(self, failures: Sequence[str]) -> None:
        """Do nothing: v12 has no hook for the topology server."""

    def read(self, shards: Collection[ShardId]) -> None:
        """Do nothing: shards are told as they come and go."""

    def _note_detection(self, decision: Decision, view: ShardView) -> None:
        """Run the hooks of a problem, once for as long as it lasts."""
        finding = decision.finding
        problem = (finding.code.value, finding.alias)
        detected = self._detected.setdefault(finding.shard, set())
        if problem in detected:
            return
        detected.add(problem)
        tablet = view.tablet(finding.alias)
        failed = tablet.record if tablet is not None else None
        is_primary = view.primary is None or finding.alias in (None, view.primary.alias)
        self._start(
            [Hook.ON_DETECTION],
            HookOccasion(
                shard=finding.shard,
                code=finding.code.value,
                description=finding.sentence,
                failed=failed,
                is_primary=is_primary,
                replicas=tuple(t.record for t in view.tablets if t.record is not failed),
            ),
        )


def _occasion(record: RecoveryRecord, view: ShardView) -> HookOccasion:
    begun = BegunRecovery(
        shard=record.shard,
        recovery=record.recovery,
        code=record.code,
        alias=record.alias,
        began=record.began,
        sentence=record.sentence,
        asked=record.asked,
    )
    winner = view.tablet(record.winner) if record.outcome is Outcome.SUCCEEDED else None
    return occasion_of(begun, view, named=record.data_loss is not None, successor=winner)
