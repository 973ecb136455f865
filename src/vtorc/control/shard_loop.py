"""The loop of one shard: it owns the shard's state, runs at most one recovery at a time, and wakes on events."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vtorc.control.breaker import Breaker
from vtorc.control.budget import FleetBudget, TurnRequest
from vtorc.control.carrier import RecoveryCarrier
from vtorc.control.decision_report import DecisionReport
from vtorc.control.kept_judgement import KeptJudgement
from vtorc.control.observer import Observer
from vtorc.control.operator_command import OperatorCommand
from vtorc.control.retry_pauses import RetryPauses
from vtorc.core.decision.backoff import Attempt
from vtorc.core.decision.backoff_waivers import BackoffWaivers, waive_applied, waive_lifted
from vtorc.core.decision.decisions import Action, Decision, DecisionLimits, decide, next_action
from vtorc.core.decision.escalation import StandingProblems
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery, Urgency
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule
from vtorc.core.facts.effective_policy import effective_policy
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.standing import NO_STANDING_HOLDS, StandingHolds
from vtorc.core.facts.views import ShardView
from vtorc.discovery.probe_pace import SLOWEST_HURRY_AT
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TopoError
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement, Runner, begun_with
from vtorc.recovery.session import RecoveryTools


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSettings:
    """The operator's settings for decisions, read for each judgement so that a reload takes effect at once."""

    limits: DecisionLimits = field(default_factory=DecisionLimits)
    thresholds: DetectionThresholds = field(default_factory=DetectionThresholds)
    default_durability: str = ""
    """The durability policy of keyspaces that name none in their records."""
    promotion_rules: Mapping[TabletAlias, PromotionRule] = field(default_factory=dict)
    """The promotion rules of the policy `specified`."""
    standing: StandingHolds = NO_STANDING_HOLDS
    """The tablets to leave alone, or not to promote."""
    rejudge_every: float = 1.0
    """Most seconds between two judgements."""
    hurry_after_change: float = 3.0
    """Seconds at the hurried pace after the shard changed."""
    hurry_after_failure: float = 30.0
    """Seconds at the hurried pace after the primary began to fail."""
    first_election_wait: float = 10.0
    """Seconds that the first election waits for tablets that do not answer yet."""


LOOK_AT_QUIET_EVERY = 0.2
"""Seconds after which a shard is judged again while the silence of its replicas may prove that its primary stopped. An
answer that brings nothing is no news.
"""

QUIET_WITHIN = 6.0
"""Seconds of a primary's failure after which the silence of its replicas has told all that it can."""

HELD_AFTER = 5.0
"""Seconds that a problem must stay away for its repair to have held; a problem that returns sooner never went."""

MAX_ATTEMPTS = 200
"""Attempts of one shard that are remembered."""

FORGET_ATTEMPTS_AFTER = 60.0
"""Seconds without the problem after which earlier attempts at it stop slowing down a new one."""


class ShardLoop:
    """Watches one shard and acts on it until cancelled."""

    def __init__(
        self,
        watch: ShardWatch,
        tools: RecoveryTools,
        settings: Callable[[], DecisionSettings],
        observer: Observer,
        *,
        controlled: bool,
        budget: FleetBudget,
        breaker: Breaker,
        slowed_by: Callable[[], float] = lambda: 1.0,
        reason_to_wait: Callable[[ShardId, float], str] | None = None,
    ) -> None:
        """Act within `budget` and `breaker`; `slowed_by` returns the factor by which a vtorc that is late looks less
        often at what waits.

        `reason_to_wait` gets the shard and the seconds that a problem has stood, and returns why another vtorc is to
        repair it, or an empty text. It is None where no other vtorc shares the shards.
        """
        self.watch = watch
        self.controlled = controlled
        self._tools = tools
        self._settings = settings
        self._observer = observer
        self._attempts: list[Attempt] = []
        self._hung_primary: Finding | None = None
        self._waivers = BackoffWaivers()
        self._standing = StandingProblems()
        self._last_seen: dict[tuple[Code, TabletAlias | None], float] = {}
        self._report = DecisionReport(observer)
        self._unsettled_since: float | None = None
        self._pauses = RetryPauses(tools.clock.now)
        self._stopping = False
        self._kept = KeptJudgement(watch, tools.clock.now)
        self._first_seen = tools.clock.now()
        self._carrier = RecoveryCarrier(watch, observer, lambda: self.judge().action, lambda: settings().rejudge_every)
        self._runner = Runner(tools, watch, self.judge, self._carrier.tell_step)
        self._breaker = breaker
        self._slot = budget.new_slot(watch.wake)
        self._slowed_by = slowed_by
        self._reason_to_wait = reason_to_wait
        self._wanted_since: dict[Urgency, float] = {}
        self._command: OperatorCommand | None = None
        self.judgement: Judgement | None = None
        """The last judgement; None before the first."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The latest decision about each problem of the shard."""
        return tuple(self._report.current.values())

    def update(self, topology: ShardTopology, *, controlled: bool) -> None:
        """Take over a newer reading of the topology server."""
        self.controlled = controlled
        self.watch.update(topology)

    async def run(self) -> None:
        """Watch, judge and act until cancelled or told to `stop`; a recovery that is broken off is rolled
        back first.
        """
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self.watch.run(), name=f"watch {self.watch.shard}")
            try:
                with self._slot:
                    while not self._stopping:
                        await self._run_once()
            finally:
                self._give_up_command()
                watching.cancel()

    @property
    def policy(self) -> DurabilityPolicy | None:
        """The durability policy in force; None if it is missing or unknown."""
        return self._policy(self.watch.view())

    @property
    def under_way(self) -> BegunRecovery | None:
        """The recovery in progress, vtorc's own or an operator's; None while there is none."""
        return self._carrier.under_way

    @property
    def command(self) -> OperatorCommand | None:
        """The operator's command that is carried out, or will be next; None if there is none."""
        return self._command

    def take_command(self, command: OperatorCommand) -> None:
        """Carry out an operator's command as soon as nothing else is done; only one at a time may be given."""
        self._command = command
        self.watch.wake()

    def stop(self) -> None:
        """End `run` after the recovery under way, if any; no other begins."""
        self._stopping = True
        self.watch.suspect()

    async def _run_once(self) -> None:
        self._carrier.raise_mistake()
        if self._command is not None:
            await self._obey(self._command)
        judgement = self._ask_for_turn(self._judge_if_changed())
        self._tell(judgement)
        if judgement.action is not None and self._slot.has_slot:
            try:
                await self._act(judgement.action)
            finally:
                self._slot.leave()
        self._set_pace(judgement)
        await self.watch.wait_changed(self._rejudge_in(judgement))

    def _rejudge_in(self, judgement: Judgement) -> float:
        """Return the seconds until the shard is judged again without news.

        A vtorc that is late does that less often, unless a lost primary may need it. After the loss of a cell, the
        shards that waited or had lost a replica took the processor from the recoveries.
        """
        every, primary = self._settings().rejudge_every, judgement.view.primary
        if (
            primary is not None
            and primary.silent_since is not None
            and primary.memory.commits_steadily_since is not None
        ):
            every = min(every, LOOK_AT_QUIET_EVERY) if self._is_recent(primary.silent_since) else every
        is_urgent = primary is None or primary.failure is not None
        return every if is_urgent and not self._slot.is_queued else every * self._slowed_by()

    def _is_recent(self, moment: float) -> bool:
        return self._tools.clock.now() - moment < QUIET_WITHIN

    def _judge_if_changed(self) -> Judgement:
        return self._kept.latest(
            self.judge, self._settings(), self.controlled, remembers_problems=lambda: self._remembers_problems
        )

    @property
    def _remembers_problems(self) -> bool:
        """Whether earlier problems are remembered, which are forgotten as time passes."""
        return bool(self._attempts or self._last_seen or self._standing.by_tablet)

    def judge(self, *, heard_since: float = float("-inf")) -> Judgement:
        """Analyse what is known at this moment and decide on it.

        A replica is evidence against the primary only if it answered after `heard_since`, in seconds on the clock.
        """
        now = self._tools.clock.now()
        settings = self._settings()
        view = self.watch.view()
        durability = self._policy(view)
        findings = analyse(view, durability, replace(settings.thresholds, heard_since=heard_since), now)
        self._note_replacement(view, findings, now)
        self._attempts = self._waivers.waive([t.alias for t in view.tablets if t.is_current], self._attempts, now)
        self._attempts = waive_lifted(view, waive_applied(view, self._attempts))
        self._forget_old_attempts({(f.code, f.alias) for f in findings}, now)
        limits = replace(settings.limits, controlled=self.controlled, attempts=tuple(self._attempts))
        decisions = self._standing.escalate(decide(view, findings, durability, limits, now), self._attempts, now)
        action = next_action(decisions)
        if (
            action is not None
            and action.recovery is Recovery.ELECT_NEW_PRIMARY
            and self._is_too_soon_to_elect(view, settings, now)
        ):
            action = None
        return Judgement(view, durability, decisions, action, self.controlled, limits)

    def _policy(self, view: ShardView) -> DurabilityPolicy | None:
        settings = self._settings()
        return effective_policy(view.keyspace_record, settings.default_durability, settings.promotion_rules)

    def _ask_for_turn(self, judgement: Judgement) -> Judgement:
        """Ask for the shard's turn if there is an action; while the shard waits, the judgement says so instead.

        An action that was judged before a wait is never carried out: each round of the loop judges again.
        """
        self._breaker.note_judgement(judgement)
        request = self._turn_request(judgement)
        if request is None or judgement.action is None or self._pauses.is_paused(judgement.action.recovery):
            self._slot.leave()
            return judgement
        if reason := self._reason_to_leave_it(request.urgency):
            self._slot.leave()
            return _postponed(judgement, Rule.SHARED, reason)
        if reason := self._breaker.reason_to_hold(judgement.action.recovery):
            self._slot.leave()
            return _postponed(judgement, Rule.BREAKER, reason)
        if self._slot.ask(request):
            return judgement
        return _postponed(judgement, Rule.BUDGET, self._slot.reason)

    def _reason_to_leave_it(self, urgency: Urgency) -> str:
        """Return why the repair is left to another vtorc; empty if it is this one's."""
        if self._reason_to_wait is None:
            return ""
        return self._reason_to_wait(self.watch.shard, self._tools.clock.now() - self._wanted_since[urgency])

    def _turn_request(self, judgement: Judgement) -> TurnRequest | None:
        """Return what the shard wants its turn for, since when, and how often that failed; None without an action."""
        wanted = {r.traits.urgency for d in judgement.decisions if (r := d.recovery or d.finding.problem.recovery)}
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

    def _is_too_soon_to_elect(self, view: ShardView, settings: DecisionSettings, now: float) -> bool:
        """Return whether the first election still waits for tablets that are starting, so that it misses none with
        data.
        """
        all_answer = all(t.is_current for t in view.tablets)
        return not all_answer and now - self._first_seen < settings.first_election_wait

    def _note_replacement(self, view: ShardView, findings: Sequence[Finding], now: float) -> None:
        """Remember the replacement of a primary that hung, also if another vtorc made it."""
        if view.primary is None:
            return
        before = self._hung_primary
        self._hung_primary = next((f for f in findings if f.may_be_load and f.alias == view.primary.alias), None)
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
        relapsed = {key for key in present if now - self._last_seen.get(key, now) >= HELD_AFTER}
        for key in present:
            self._last_seen[key] = now
        for key in [k for k, seen in self._last_seen.items() if now - seen > FORGET_ATTEMPTS_AFTER]:
            del self._last_seen[key]
        longest = max(FORGET_ATTEMPTS_AFTER, self._settings().limits.block_seconds)
        self._attempts = [
            replace(a, held=True) if a.succeeded and not a.held and (a.code, a.alias) in relapsed else a
            for a in self._attempts[-MAX_ATTEMPTS:]
            if (a.code, a.alias) in self._last_seen or (a.recovery.replaces_primary and now - a.ended_at < longest)
        ]

    def _tell(self, judgement: Judgement) -> None:
        """Report to the observer what is new."""
        now = self._tools.clock.now()
        if self._report.report(judgement, now):
            self._unsettled_since = now
        self.judgement = judgement
        self._observer.judged(judgement)

    async def _act(self, action: Action) -> None:
        begun = begun_with(action, began=self._tools.clock.wall())
        record = await self._carrier.carry_out(begun, self._runner.run(action, begun))
        if record is None:
            return
        self._remember(action, record)
        self._breaker.note_recovery(record)
        self._observer.finished(record)
        self._slot.leave()
        await self._read_again(record)

    async def _obey(self, command: OperatorCommand) -> None:
        """Carry out an operator's command; the shard begins no recovery of its own meanwhile."""
        self._slot.leave()
        work = command.work(self._tools, self.watch, self._carrier.tell_step, command.switch)
        try:
            record = await self._carrier.carry_out(command.begun, work, command.switch)
        finally:
            self._command = None
        if record is not None:
            self._observer.finished(record)
            await self._read_again(record)

    def _give_up_command(self) -> None:
        """Tell that a command which has not begun never will, as the loop ends."""
        if (command := self._command) is not None:
            command.switch.end()
            self._observer.interrupted(command.begun)

    async def _read_again(self, record: RecoveryRecord) -> None:
        """Read the shard again before it is judged again, because what was known before the recovery would call for it
        once more.
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
        await self.watch.refresh(self._tools.deadlines.refresh, leave_out=self.watch.silent_tablets())

    def _remember(self, action: Action, record: RecoveryRecord) -> None:
        now = self._tools.clock.now()
        self._pauses.note(action.recovery, record.outcome, now)
        if not record.outcome.was_attempt:
            return
        self._attempts += [
            Attempt(
                code=decision.finding.code,
                recovery=action.recovery,
                alias=decision.finding.alias,
                ended_at=now,
                succeeded=record.outcome is Outcome.SUCCEEDED,
                cause=decision.finding.cause,
                waits_for=record.waits_for,
                refused_with=self.watch.view().holds if record.rule is Rule.HELD else None,
                took=record.duration,
            )
            for decision in action.decisions
        ]

    def _set_pace(self, judgement: Judgement) -> None:
        """Keep the hurried pace while something is unclear or has just changed, so that verdicts take fractions of a
        second.
        """
        now = self._tools.clock.now()
        settings = self._settings()
        if self.watch.take_suspicion():
            self._unsettled_since = now
        since = self._unsettled_since
        if since is not None and now - since >= settings.hurry_after_change:
            since = None
        primary = judgement.view.primary
        failing = primary.failing_since if primary is not None else None
        if primary is not None and failing is not None and primary.memory.is_unstable(now):
            # It comes and goes: for as long as it fails, all tablets are asked at the slowest hurried pace.
            failing = min(failing, now - SLOWEST_HURRY_AT)
        if failing is not None and now - failing < settings.hurry_after_failure and (since is None or since < failing):
            since = failing
        # While hundreds of shards are queued, probing all of them in a hurry would slow down those with a slot.
        self.watch.hurry(since=None if self._slot.is_queued else since)


def _postponed(judgement: Judgement, rule: Rule, why: str) -> Judgement:
    """Return the same judgement without its action; its decisions give the reason to wait instead."""
    assert judgement.action is not None
    postponed = judgement.action.decisions
    decisions = tuple(
        replace(d, recovery=None, rule=rule, sentence=f"{d.finding.sentence}; {why}") if d in postponed else d
        for d in judgement.decisions
    )
    return replace(judgement, decisions=decisions, action=None)
