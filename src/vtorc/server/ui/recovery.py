"""The page of a recovery: what was done, when, and why no acknowledged write can be missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vtorc.forms.recovery import RecoveryForm, RunningForm, StepForm
from vtorc.server.ui.phases import MARK_WORDS, Phase, Prelude, phases_of
from vtorc.server.ui.words import capitalized, date_time, seconds

WIDTH = 400
"""Units of length of the longest bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBar:
    """One step, and its bar on the time line."""

    step: StepForm
    """The step."""
    x: float
    """Where its bar begins, in units of length."""
    width: float
    """How long its bar is, in units of length."""
    failed: bool
    """Whether it went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPage:
    """A recovery as its page shows it."""

    recovery: RecoveryForm | RunningForm
    """Its form."""
    outcome: str
    """How it ended, in a word or two."""
    sentence: str
    """Its result, or why it has none; the name of the shard and the argument are left out."""
    is_running: bool
    """Whether it is in progress."""
    bars: Sequence[StepBar]
    """Its steps, in the order in which they began."""
    phases: Sequence[Phase]
    """Where its time went; empty unless it is a reparent that has ended."""
    phases_took: float
    """Seconds of all phases."""
    text: str
    """All of it as plain text, for a chat or a report."""


def recovery_page(recovery: RecoveryForm | RunningForm, prelude: Prelude | None = None) -> RecoveryPage:
    """Return the page of a recovery, in progress or ended; `prelude` is what came before it, None if unknown."""
    ended = isinstance(recovery, RecoveryForm)
    steps = sorted(recovery.steps, key=lambda step: step.started)
    marks = recovery.marks if isinstance(recovery, RecoveryForm) else {}
    phases = phases_of(recovery, prelude) if isinstance(recovery, RecoveryForm) else ()
    return RecoveryPage(
        recovery=recovery,
        outcome=recovery.outcome if isinstance(recovery, RecoveryForm) else "in progress",
        sentence=_sentence(recovery),
        is_running=not ended,
        bars=_bars(steps),
        phases=phases,
        phases_took=sum(phase.seconds for phase in phases),
        text=_text(recovery, steps, marks, phases),
    )


def _sentence(recovery: RecoveryForm | RunningForm) -> str:
    sentence = recovery.sentence.removeprefix(f"{recovery.shard}: ")
    argument = recovery.argument if isinstance(recovery, RecoveryForm) else None
    return capitalized(sentence.replace(argument, "").strip() if argument else sentence)


def _bars(steps: Sequence[StepForm]) -> list[StepBar]:
    end = max((step.started + step.seconds for step in steps), default=0.0) or 1.0
    return [
        StepBar(
            step=step,
            x=round(step.started / end * WIDTH, 1),
            width=round(max(step.seconds / end * WIDTH, 2.0), 1),
            failed=step.result not in ("done", "cancelled"),
        )
        for step in steps
    ]


def _moments(marks: Mapping[str, float]) -> list[tuple[float, str]]:
    """Return the moments by which an outage is split, each with its seconds and its words."""
    return sorted((at, MARK_WORDS[name].moment) for name, at in marks.items() if name in MARK_WORDS)


def _text(
    recovery: RecoveryForm | RunningForm,
    steps: Sequence[StepForm],
    marks: Mapping[str, float],
    phases: Sequence[Phase],
) -> str:
    lines = [recovery.sentence, f"{recovery.kind} of {recovery.shard}, began {date_time(recovery.began)}"]
    if isinstance(recovery, RecoveryForm):
        lines.append(f"outcome: {recovery.outcome} after {seconds(recovery.seconds)}")
    if recovery.actor is not None:
        lines.append(f"asked for by {recovery.actor}: {recovery.reason}")
    if isinstance(recovery, RecoveryForm) and recovery.argument is not None:
        title = "no acknowledged write is missing" if recovery.is_argued_safe else "on an operator's word"
        lines.append(f"{title}: {recovery.argument}")
    if phases:
        lines.append("time: " + ", ".join(f"{phase.name} {seconds(phase.seconds)}" for phase in phases))
    lines += [f"  {seconds(at):>9}  {words}" for at, words in _moments(marks)]
    for step in steps:
        target = f" {step.tablet}" if step.tablet is not None else ""
        result = "" if step.result == "done" else f": {step.result}"
        lines.append(f"  {seconds(step.started):>9} +{seconds(step.seconds):<9} {step.name}{target}{result}")
    return "\n".join(lines)
