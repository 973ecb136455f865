"""One shard, one loop: it owns the shard's state, runs at most one recovery at a time, and wakes on events."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vtorc.control.breaker import Breaker
from vtorc.control.budget import FleetBudget, TurnRequest
from vtorc.control.observer import Observer
from vtorc.core.decision.backoff import Attempt, BackoffWaivers
from vtorc.core.decision.decisions import Action, Decision, DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery, Urgency
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule, policy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import KeyspaceRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardTopology, ShardWatch
from vtorc.errors import TopoError, UnknownDurabilityPolicy
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement, Runner
from vtorc.recovery.session import RecoveryTools


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSettings:
    """The operator's settings that decisions depend on; read anew for each judgement, so that a reload takes effect
    at once.

    `default_durability` is for keyspaces whose record names no policy. Times in seconds: `settle` is how long a shard
    is watched closely after a change, `doubt` how long after its primary began to fail, `first_election_patience` how
    long the first election waits for tablets that do not answer yet.
    """

    limits: DecisionLimits = field(default_factory=DecisionLimits)
    thresholds: DetectionThresholds = field(default_factory=DetectionThresholds)
    default_durability: str = ""
    promotion_rules: Mapping[TabletAlias, PromotionRule] = field(default_factory=dict)
    rejudge_every: float = 1.0
    settle: float = 3.0
    doubt: float = 30.0
    first_election_patience: float = 10.0


HELD_AFTER = 5.0
"""Seconds that a problem must have been away for the repair before to have held: what comes back sooner never went."""

MOST_ATTEMPTS = 200
"""Attempts of one shard that are remembered."""

FORGET_ATTEMPTS_AFTER = 60.0
"""Seconds without the problem after which earlier attempts at it do not slow down a new one any more."""

LOOK_AGAIN_AFTER = 0.25
"""Seconds until a recovery is begun again that found the lock held or the problem gone; doubled each time that the lock
is still held, since whoever holds it most likely puts right the same.
"""

LOOK_AGAIN_AT_MOST = 2.0
"""Seconds that this grows to."""


@dataclass(frozen=True, slots=True)
class _Pause:
    ends_at: float
    length: float


class ShardLoop:
    """Watches one shard and acts on it until cancelled."""

    def __init__(
        self,
        watch: ShardWatch,
        tools: RecoveryTools,
        rules: Callable[[], DecisionSettings],
        observer: Observer,
        *,
        controlled: bool,
        budget: FleetBudget,
        breaker: Breaker,
    ) -> None:
        self.watch = watch
        self.controlled = controlled
        self._tools = tools
        self._rules = rules
        self._observer = observer
        self._attempts: list[Attempt] = []
        self._hung: Finding | None = None
        self._waivers = BackoffWaivers()
        self._last_seen: dict[tuple[Code, TabletAlias | None], float] = {}
        self._said: Mapping[tuple[Code, TabletAlias | None], Decision] = {}
        self._told: dict[tuple[Code, TabletAlias | None], tuple[Rule, bool]] = {}
        self._unsettled_since: float | None = None
        self._pauses: dict[Recovery, _Pause] = {}
        self._stopping = False
        self._sound: tuple[tuple[int, DecisionSettings, bool], Judgement] | None = None
        self._first_seen = tools.clock.now()
        self._runner = Runner(tools, watch, self.judge)
        self._breaker = breaker
        self._place = budget.place(watch.wake)
        self._wanted_since: dict[Urgency, float] = {}

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided last about each problem of the shard."""
        return tuple(self._said.values())

    def update(self, topology: ShardTopology, *, controlled: bool) -> None:
        """Take over a newer reading of the topology server."""
        self.controlled = controlled
        self.watch.update(topology)

    async def run(self) -> None:
        """Watch, judge and act until cancelled or told to `stop`; what is broken off is put back first."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self.watch.run(), name=f"watch {self.watch.shard}")
            try:
                with self._place:
                    while not self._stopping:
                        await self._turn()
            finally:
                watching.cancel()

    def stop(self) -> None:
        """End `run` after the recovery under way, if any; no other is begun."""
        self._stopping = True
        self.watch.suspect()

    async def _turn(self) -> None:
        judgement = self._queue_up(self._judge_if_moved())
        self._report(judgement)
        if judgement.action is not None and self._place.has_slot:
            try:
                await self._act(judgement.action)
            finally:
                self._place.leave()
        self._set_pace(judgement)
        await self.watch.wait_changed(self._rules().rejudge_every)

    def _judge_if_moved(self) -> Judgement:
        """Keep a judgement that found nothing wrong until something is heard: time alone makes no problem."""
        basis = (self.watch.heard, self._rules(), self.controlled)
        if self._sound is None or self._sound[0] != basis:
            judgement = self.judge()
            self._sound = (basis, judgement) if not judgement.decisions else None
            return judgement
        return self._sound[1]

    def judge(self, *, heard_since: float = float("-inf")) -> Judgement:
        """Analyse and decide on what is known at this moment; who was not heard after `heard_since` is no witness
        against the primary.
        """
        now = self._tools.clock.now()
        rules = self._rules()
        view = self.watch.view()
        durability = effective_policy(view.keyspace_record, rules.default_durability, rules.promotion_rules)
        findings = analyse(view, durability, replace(rules.thresholds, heard_since=heard_since), now)
        self._note_replacement(view, findings, now)
        self._attempts = self._waivers.after([t.alias for t in view.tablets if t.is_current], self._attempts, now)
        self._forget_old_attempts({(f.code, f.alias) for f in findings}, now)
        limits = replace(rules.limits, controlled=self.controlled, attempts=tuple(self._attempts))
        decisions = decide(view, findings, durability, limits, now)
        action = next_action(decisions)
        if action is not None and action.recovery is Recovery.ELECT_NEW_PRIMARY and self._too_soon(view, rules, now):
            action = None
        return Judgement(view, durability, decisions, action)

    def _queue_up(self, judgement: Judgement) -> Judgement:
        """Ask for this shard's turn if there is something to do; while it has to wait the judgement says so instead.

        What was judged when the waiting began is never acted upon: each turn of the loop judges anew.
        """
        self._breaker.saw(judgement)
        request = self._request(judgement)
        if request is None or judgement.action is None or self._pauses_before(judgement.action.recovery):
            self._place.leave()
            return judgement
        if why := self._breaker.holds(judgement.action.recovery):
            self._place.leave()
            return _postponed(judgement, Rule.BREAKER, why)
        if self._place.ask(request):
            return judgement
        return _postponed(judgement, Rule.BUDGET, self._place.reason)

    def _pauses_before(self, recovery: Recovery) -> bool:
        pause = self._pauses.get(recovery)
        return pause is not None and self._tools.clock.now() < pause.ends_at

    def _request(self, judgement: Judgement) -> TurnRequest | None:
        """What this shard wants its turn for, since when, and how often that was tried in vain."""
        wanted = {r.traits.urgency for d in judgement.decisions if (r := d.finding.problem.recovery) is not None}
        now = self._tools.clock.now()
        self._wanted_since = {urgency: self._wanted_since.get(urgency, now) for urgency in wanted}
        action = judgement.action
        if action is None:
            return None
        urgency = action.recovery.traits.urgency
        since = self._wanted_since[urgency]
        tablet = judgement.view.tablet(action.alias)
        if tablet is not None and tablet.failing_since is not None:
            since = min(since, tablet.failing_since)
        tries = sum(
            not a.succeeded and a.alias == action.alias and a.recovery.traits.urgency is urgency for a in self._attempts
        )
        return TurnRequest(shard=self.watch.shard, urgency=urgency, since=since, tries=tries)

    def _too_soon(self, view: ShardView, rules: DecisionSettings, now: float) -> bool:
        """The first election waits a while for tablets that are still starting, so that it does not miss the one with
        data.
        """
        everybody = all(t.is_current for t in view.tablets)
        return not everybody and now - self._first_seen < rules.first_election_patience

    def _note_replacement(self, view: ShardView, findings: Sequence[Finding], now: float) -> None:
        """Remember that a primary that hung was replaced, whoever did it: another vtorc's move is a move as well."""
        if view.primary is None:
            return
        before = self._hung
        self._hung = next((f for f in findings if f.may_be_load and f.alias == view.primary.alias), None)
        if before is not None and before.alias != view.primary.alias:
            self._attempts.append(
                Attempt(
                    code=before.code,
                    recovery=Recovery.RECOVER_DEAD_PRIMARY,
                    alias=before.alias,
                    ended_at=now,
                    succeeded=True,
                    may_be_load=True,
                )
            )

    def _forget_old_attempts(self, present: set[tuple[Code, TabletAlias | None]], now: float) -> None:
        if not present and not self._last_seen and not self._attempts:
            return
        relapsed = {key for key in present if now - self._last_seen.get(key, now) >= HELD_AFTER}
        for key in present:
            self._last_seen[key] = now
        for key in [k for k, seen in self._last_seen.items() if now - seen > FORGET_ATTEMPTS_AFTER]:
            del self._last_seen[key]
        longest = max(FORGET_ATTEMPTS_AFTER, self._rules().limits.block_seconds)
        self._attempts = [
            replace(a, held=True) if a.succeeded and not a.held and (a.code, a.alias) in relapsed else a
            for a in self._attempts[-MOST_ATTEMPTS:]
            if (a.code, a.alias) in self._last_seen or (a.recovery.replaces_primary and now - a.ended_at < longest)
        ]

    def _report(self, judgement: Judgement) -> None:
        """Tell what is new: a decision is said once, and again when its rule changes, not each time it is made."""
        said = {(d.finding.code, d.finding.alias): d for d in judgement.decisions}
        for key, decision in said.items():
            before, new = self._told.get(key), (decision.rule, decision.escalated)
            # Who found the lock held queues up again, several times a second: that is no news.
            queues_again = before == (Rule.ACT, decision.escalated) and decision.rule is Rule.BUDGET
            if before != new and not queues_again:
                self._observer.decided(decision)
                self._told[key] = new
        for key, decision in self._said.items():
            if key not in said:
                self._observer.cleared(decision)
                del self._told[key]
        if said.keys() != self._said.keys():
            self._unsettled_since = self._tools.clock.now()
        self._said = said
        self._observer.judged(judgement)

    async def _act(self, action: Action) -> None:
        self._observer.started(action)
        running = asyncio.create_task(self._runner.run(action), name=f"{action.recovery.value} {self.watch.shard}")
        try:
            await self._until_done_or_outranked(running, action)
            record = await running
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._observer.interrupted(action)
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            return
        self._remember(action, record)
        self._breaker.ended(record)
        self._observer.finished(record)
        self._place.leave()
        await self._look_at_result(record)

    async def _look_at_result(self, record: RecoveryRecord) -> None:
        """Read the shard again before it is judged again: what was known before the recovery would call for it once
        more.
        """
        if record.outcome is Outcome.LOCK_HELD:
            return
        self.watch.suspect()
        if record.outcome is not Outcome.SUCCEEDED:
            return
        try:
            self.watch.update(await read_shard(self._tools.topo, self._tools.clock, self.watch.shard))
        except TopoError:
            return
        await self.watch.refresh(self._tools.deadlines.refresh, leave_out=self.watch.silent())

    async def _until_done_or_outranked(self, running: asyncio.Task[RecoveryRecord], action: Action) -> None:
        """The primary comes first: a repair that is under way when the primary is lost is broken off.

        Not a test of whether it is lost: what that one stops for a moment would speak against the primary.
        """
        if not action.recovery.traits.may_be_outranked:
            await asyncio.wait((running,))
            return
        while not running.done():
            changed = asyncio.create_task(self.watch.wait_changed(self._rules().rejudge_every))
            try:
                await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            urgent = None if running.done() else self.judge().action
            if urgent is not None and urgent.recovery.replaces_primary:
                running.cancel()
                return

    def _remember(self, action: Action, record: RecoveryRecord) -> None:
        now = self._tools.clock.now()
        before = self._pauses.pop(action.recovery, None)
        if record.outcome is Outcome.LOCK_HELD:
            length = min(LOOK_AGAIN_AT_MOST, 2 * before.length) if before is not None else LOOK_AGAIN_AFTER
            self._pauses[action.recovery] = _Pause(now + length, length)
            return
        self._unsettled_since = now
        if record.outcome is Outcome.GONE:
            self._pauses[action.recovery] = _Pause(now + LOOK_AGAIN_AFTER, LOOK_AGAIN_AFTER)
            return
        self._attempts += [
            Attempt(
                code=decision.finding.code,
                recovery=action.recovery,
                alias=decision.finding.alias,
                ended_at=self._tools.clock.now(),
                succeeded=record.outcome is Outcome.SUCCEEDED,
            )
            for decision in action.decisions
        ]

    def _set_pace(self, judgement: Judgement) -> None:
        """Hurry while something is unclear or has just changed, so that verdicts take fractions of a second; else be
        calm.
        """
        now = self._tools.clock.now()
        rules = self._rules()
        if self.watch.take_suspicion():
            self._unsettled_since = now
        since = self._unsettled_since
        if since is not None and now - since >= rules.settle:
            since = None
        primary = judgement.view.primary
        failing = primary.failing_since if primary is not None else None
        if failing is not None and now - failing < rules.doubt and (since is None or since < failing):
            since = failing
        # While hundreds wait for their turn, to ask all of them all the time would slow down those that have it.
        self.watch.hurry(since=None if self._place.waits else since)


def _postponed(judgement: Judgement, rule: Rule, why: str) -> Judgement:
    """The same judgement, with the reason to stand still in the place of what is to be done."""
    assert judgement.action is not None
    postponed = judgement.action.decisions
    decisions = tuple(
        replace(d, recovery=None, rule=rule, sentence=f"{d.finding.sentence}; {why}") if d in postponed else d
        for d in judgement.decisions
    )
    return replace(judgement, decisions=decisions, action=None)


def effective_policy(
    keyspace: KeyspaceRecord, default: str, rules: Mapping[TabletAlias, PromotionRule]
) -> DurabilityPolicy | None:
    """The policy that holds for a keyspace: its record's, else the configured one; None if there is none or it is not
    known. `rules` are for the policy `specified`.
    """
    try:
        return policy(keyspace.durability_policy or default, rules=rules)
    except UnknownDurabilityPolicy:
        return None
