"""The forms of what the history keeps: older recoveries and decisions, and why a shard was as it was at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from vtorc.core.detection.problems import Code
from vtorc.core.facts.rules import Rule
from vtorc.forms.findings import SEVERITIES, FindingForm
from vtorc.forms.fleet import InForceForm, WhyForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.recovery import HookRunForm, RecoveryForm, StepForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.shard_states import ShardState
from vtorc.forms.times import rfc3339
from vtorc.history.reader import HistoryReader, InForce, Selection
from vtorc.history.store import DECIDED, StoredDecision, StoredRecovery, StoredRun

UNSEEN_AFTER = 150.0
"""Seconds after the last sign of a run of vtorc from which it counts as ended; it leaves one every minute."""


class StoredArgument(msgspec.Struct):
    """The part of a stored safety argument that forms have."""

    sentence: str = ""


class StoredAsked(msgspec.Struct):
    """A stored request of an operator."""

    actor: str = ""
    reason: str = ""


class StoredStep(msgspec.Struct):
    """A stored step."""

    name: str
    target: str
    started: float
    duration: float
    result: str
    output: str = ""


class StoredDetail(msgspec.Struct):
    """The stored detail of a recovery; earlier vtorcs stored less."""

    seconds: float = 0.0
    rule: str = ""
    asked: StoredAsked | None = None
    data_loss: StoredArgument | None = None
    marks: dict[str, float] = msgspec.field(default_factory=dict)
    winner: str = ""
    argument: StoredArgument | None = None
    removed: dict[str, str] = msgspec.field(default_factory=dict)
    errant: dict[str, str] = msgspec.field(default_factory=dict)
    steps: list[StoredStep] = msgspec.field(default_factory=list)


def stored_recovery_form(stored: StoredRecovery) -> RecoveryForm:
    """Return the form of a recovery in the history."""
    detail = msgspec.convert(stored.detail, StoredDetail)
    return RecoveryForm(
        id=str(stored.began),
        shard=stored.shard,
        kind=stored.recovery,
        code=stored.code or None,
        tablet=stored.tablet or None,
        began=rfc3339(stored.began),
        actor=detail.asked.actor if detail.asked is not None else None,
        reason=detail.asked.reason if detail.asked is not None else None,
        seconds=round(detail.seconds, 6),
        outcome=stored.outcome,
        rule=detail.rule or None,
        winner=detail.winner or None,
        argument=detail.argument.sentence if detail.argument is not None else None,
        removed=dict(sorted(detail.removed.items())),
        errant=dict(sorted(detail.errant.items())),
        data_loss=detail.data_loss.sentence if detail.data_loss is not None else None,
        marks={name: round(at, 6) for name, at in detail.marks.items()},
        steps=[
            StepForm(
                name=step.name,
                tablet=step.target or None,
                started=round(step.started, 6),
                seconds=round(step.duration, 6),
                result=step.result,
                output=step.output,
            )
            for step in detail.steps
        ],
        hooks=[msgspec.convert(hook, HookRunForm) for hook in stored.hooks],
        sentence=stored.sentence,
    )


def stored_decision_form(stored: StoredDecision) -> DecisionFrame:
    """Return the form of a decision about a problem in the history, or of its end."""
    return DecisionFrame(
        at=rfc3339(stored.at),
        change="decided" if stored.change == DECIDED else "cleared",
        finding=_finding(stored),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The part of the history that tells of one shard at one time."""

    shard: str
    at: int
    """Nanoseconds since the Unix epoch."""
    run: StoredRun | None
    """The run of vtorc that had begun last; None if there was none."""
    is_over: bool
    """Whether another run has begun since."""
    in_force: Sequence[InForce]
    seen: ShardForm | None
    """The shard as vtorc saw it when it decided last; None if nothing is kept that this vtorc can read."""
    decisions: Sequence[StoredDecision]
    """The last decisions until then, newest first."""
    recoveries: Sequence[StoredRecovery]
    """The last recoveries that had begun by then, newest first."""

    @classmethod
    def read(cls, history: HistoryReader, shard: str, at: int, *, limit: int) -> "Past":
        """Read at most `limit` decisions and recoveries, and the rest; raises HistoryError."""
        run = history.run_at(at)
        until = Selection(shard=shard, until=at + 1, limit=limit)
        return cls(
            shard=shard,
            at=at,
            run=run,
            is_over=run is not None and history.has_run_after(run),
            in_force=history.in_force(shard, at),
            seen=_seen(history.seen(shard, at)),
            decisions=history.decisions(until),
            recoveries=history.recoveries(until),
        )

    @classmethod
    def of_all(cls, history: HistoryReader, at: int, also: Collection[str]) -> "dict[str, Past]":
        """Read all shards that the history knows, and those named `also`; raises HistoryError.

        Their decisions and recoveries are left out.
        """
        run = history.run_at(at)
        is_over = run is not None and history.has_run_after(run)
        in_force, seen = history.in_force_everywhere(at), history.seen_everywhere(at)
        everywhere = in_force.pop("", [])
        return {
            shard: cls(
                shard=shard,
                at=at,
                run=run,
                is_over=is_over,
                in_force=[*everywhere, *in_force.get(shard, [])],
                seen=_seen(seen.get(shard)),
                decisions=(),
                recoveries=(),
            )
            for shard in sorted({*in_force, *seen, *also})
        }

    @property
    def is_empty(self) -> bool:
        """Whether the history has nothing of the shard until then."""
        return not self.decisions and not self.recoveries and self.seen is None

    @property
    def was_watched(self) -> bool:
        """Whether a vtorc ran at the time."""
        return self.run is not None and (not self.is_over or self.at <= self.run.seen + UNSEEN_AFTER * 1e9)


def why_then(past: Past) -> WhyForm:
    """Return why a shard was in its state at a time."""
    findings = [_finding(each.decision) for each in past.in_force if each.decision.code]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    state = _state(past, findings)
    return WhyForm(
        shard=past.shard,
        state=state.value,
        sentence=_sentence(past, findings),
        findings=findings,
        readiness=None,
        decisions=[stored_decision_form(each) for each in past.decisions if each.code],
        recoveries=list(map(stored_recovery_form, past.recoveries)),
        at=rfc3339(past.at),
        in_force=list(map(_in_force, past.in_force)),
        seen=past.seen,
    )


def _state(past: Past, findings: Sequence[FindingForm]) -> ShardState:
    if not past.was_watched:
        return ShardState.UNKNOWN
    if findings:
        return ShardState.REPAIRING if any(each.acts for each in findings) else ShardState.STANDING_STILL
    return ShardState.UNKNOWN if _own_error(past) is not None else ShardState.HEALTHY


def _own_error(past: Past) -> StoredDecision | None:
    """Return the mistake of vtorc's own that kept it from judging the shard; news such as a hold did not."""
    return next((each.decision for each in past.in_force if each.decision.rule == Rule.OWN_ERROR.value), None)


def _sentence(past: Past, findings: Sequence[FindingForm]) -> str:
    if past.run is None:
        return f"{past.shard}: the history does not tell, because it begins later, or an earlier vtorc wrote it"
    if not past.was_watched:
        return f"{past.shard}: the history does not tell, because vtorc ran until {rfc3339(past.run.seen)} only"
    if findings:
        acting = next((each for each in findings if each.acts), findings[0])
        others = len(findings) - 1
        return acting.sentence if not others else f"{acting.sentence} (and {others} more)"
    if (mistake := _own_error(past)) is not None:
        return mistake.sentence
    return f"{past.shard}: no problem was in force"


def _in_force(each: InForce) -> InForceForm:
    decision = each.decision
    return InForceForm(
        since=rfc3339(decision.at),
        until=rfc3339(each.until) if each.until is not None else None,
        code=decision.code or None,
        tablet=decision.tablet or None,
        rule=decision.rule,
        sentence=decision.sentence,
    )


def _finding(stored: StoredDecision) -> FindingForm:
    """Return the stored finding; of a vtorc that stored none, what the decision tells of it."""
    try:
        return msgspec.convert(stored.finding, FindingForm)
    except msgspec.ValidationError:
        acts = stored.rule == Rule.ACT.value
        return FindingForm(
            code=stored.code,
            shard=stored.shard,
            tablet=stored.tablet or None,
            severity=_severity(stored.code),
            confirmed=stored.rule != Rule.UNCONFIRMED.value,
            acts=acts,
            recovery=None,
            rule=stored.rule,
            needs_operator=False,
            problem=stored.sentence,
            sentence=stored.sentence,
        )


def _severity(code: str) -> str:
    problem = next((each.problem for each in Code if each.value == code), None)
    return SEVERITIES[problem.priority] if problem is not None else SEVERITIES[-1]


def _seen(text: bytes | None) -> ShardForm | None:
    """Return the shard as it was seen; None for a form of another vtorc that this one does not know."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=ShardForm)
    except msgspec.MsgspecError:
        return None
