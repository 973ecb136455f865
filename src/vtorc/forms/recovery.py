"""The forms of recoveries, in progress and ended."""

from collections.abc import Sequence

from msgspec import field

from vtorc.forms.base import Form
from vtorc.forms.notes import AcknowledgementForm
from vtorc.forms.times import rfc3339
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord, StepRecord


class StepForm(Form, frozen=True, kw_only=True):
    """One step of a recovery."""

    name: str
    """The kind of step, in words."""
    tablet: str | None
    """The tablet that it was done on; None for a step on the shard or the lock."""
    started: float
    """Seconds since the recovery began."""
    seconds: float
    """How long it took."""
    result: str
    """"done", or why it failed."""
    output: str = ""
    """The output of a command hook, as far as it is kept; empty for any other step."""


class HookRunForm(Form, frozen=True, kw_only=True):
    """One run of one command of a command hook."""

    hook: str
    """The hook, such as `PostFailoverProcesses`."""
    number: int
    """Which of its commands it was, from 1."""
    at: str
    """When it began."""
    seconds: float
    """How long it ran."""
    result: str
    """"done", or why it counts as failed."""
    output: str
    """Its output, as far as it is kept."""


class RecoveryForm(Form, frozen=True, kw_only=True):
    """One recovery that has ended."""

    id: str
    """Its permanent name."""
    shard: str
    """The shard, as `keyspace/shard`."""
    kind: str
    """The kind of recovery, such as `RecoverDeadPrimary`."""
    code: str | None
    """The problem that called for it; None if an operator did."""
    tablet: str | None
    """The tablet that it is about; None if that is the whole shard."""
    began: str
    """When it began, with the wait for the shard lock."""
    seconds: float
    """How long it took."""
    actor: str | None = None
    """The operator that asked for it; None if vtorc acted by itself."""
    reason: str | None = None
    """The operator's reason; None if vtorc acted by itself."""
    outcome: str
    """"succeeded", "failed", "refused", "cancelled", "gone", "lock held" or "lock lost"."""
    rule: str | None
    """The rule that refused it; None if none did."""
    winner: str | None
    """The tablet that was to become primary; None before an election."""
    argument: str | None
    """Why no acknowledged write can be missing, or on which word of an operator some may be; None unless a tablet was
    promoted."""
    removed: dict[str, str]
    """Why each of the other tablets could not become primary, by alias."""
    errant: dict[str, str]
    """The errant transactions of each tablet that has some, by alias."""
    data_loss: str | None
    """The loss by a forced promotion; None for any other recovery."""
    marks: dict[str, float]
    """Moments by which an outage is measured, in seconds since `began`."""
    steps: list[StepForm]
    """Its steps, in the order in which they ended."""
    acknowledgement: AcknowledgementForm | None = None
    """The word of an operator that it was seen; None if there is none, and in the history."""
    hooks: list[HookRunForm] = field(default_factory=list)
    """The command hooks that ran after it, in the order in which they ended."""
    sentence: str
    """Its result, or why it has none."""

    @property
    def is_argued_safe(self) -> bool:
        """Whether `argument` says why no write is missing; a forced promotion rests on an operator's word."""
        return self.argument is not None and self.data_loss is None

    @property
    def wants_acknowledgement(self) -> bool:
        """Whether it did not do what it was for, and no operator has said to have seen that."""
        return self.acknowledgement is None and self.outcome not in _NO_FAILURES

    @property
    def succeeded(self) -> bool:
        """Whether it did what it was for."""
        return self.outcome == _SUCCEEDED

    @property
    def was_idle(self) -> bool:
        """Whether it came to nothing for a good reason: its cause was gone, the lock was held, or it was cancelled."""
        return self.outcome in _NO_FAILURES and not self.succeeded


_SUCCEEDED: str = Outcome.SUCCEEDED.value

_NO_FAILURES = frozenset(outcome.value for outcome in Outcome if not outcome.is_failure)
"""The outcomes that no operator has to see; one that only a later vtorc knows is none of them."""


class RunningForm(Form, frozen=True, kw_only=True):
    """A recovery in progress."""

    id: str
    """Its permanent name, under which it is found once it has ended."""
    shard: str
    """The shard, as `keyspace/shard`."""
    kind: str
    """The kind of recovery."""
    code: str | None
    """The problem that called for it; None if an operator did."""
    tablet: str | None
    """The tablet that it is about; None if that is the whole shard."""
    began: str
    """When it began."""
    actor: str | None = None
    """The operator that asked for it; None if vtorc acts by itself."""
    reason: str | None = None
    """The operator's reason; None if vtorc acts by itself."""
    steps: list[StepForm]
    """Its steps so far."""
    sentence: str
    """Its purpose."""


def recovery_id(record: RecoveryRecord | BegunRecovery) -> str:
    """Return the permanent name of a recovery: its begin in nanoseconds, which no other recovery of a vtorc has."""
    return str(record.began)


def recovery_form(record: RecoveryRecord) -> RecoveryForm:
    """Return the form of a recovery that has ended."""
    return RecoveryForm(
        id=recovery_id(record),
        shard=str(record.shard),
        kind=record.recovery.value,
        code=record.code.value if record.code is not None else None,
        tablet=_or_none(record.alias),
        began=rfc3339(record.began),
        actor=record.asked.actor if record.asked is not None else None,
        reason=record.asked.reason if record.asked is not None else None,
        seconds=round(record.duration, 6),
        outcome=record.outcome.value,
        rule=record.rule.value if record.rule is not None else None,
        winner=_or_none(record.winner),
        argument=record.argument.sentence if record.argument is not None else None,
        removed={str(alias): why for alias, why in sorted(record.removed.items())},
        errant={str(alias): str(gtids) for alias, gtids in sorted(record.errant.items())},
        data_loss=record.data_loss.sentence if record.data_loss is not None else None,
        marks={name: round(at, 6) for name, at in record.marks.items()},
        steps=step_forms(record.steps),
        sentence=record.sentence,
    )


def running_form(begun: BegunRecovery, steps: Sequence[StepRecord]) -> RunningForm:
    """Return the form of a recovery that has done these steps so far."""
    return RunningForm(
        id=recovery_id(begun),
        shard=str(begun.shard),
        kind=begun.recovery.value,
        code=begun.code.value if begun.code is not None else None,
        tablet=_or_none(begun.alias),
        began=rfc3339(begun.began),
        actor=begun.asked.actor if begun.asked is not None else None,
        reason=begun.asked.reason if begun.asked is not None else None,
        steps=step_forms(steps),
        sentence=begun.sentence,
    )


def step_forms(steps: Sequence[StepRecord]) -> list[StepForm]:
    """Return the forms of steps."""
    return [
        StepForm(
            name=step.name,
            tablet=_or_none(step.target),
            started=round(step.started, 6),
            seconds=round(step.duration, 6),
            result=step.result,
            output=step.output,
        )
        for step in steps
    ]


def _or_none(name: object | None) -> str | None:
    return str(name) if name is not None else None
