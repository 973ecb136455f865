"""Recoveries and plans as text. Pure."""

from collections.abc import Sequence

from vtorc.cli.client.layout import TIE, WRONG, clock_time, columns, wrapped
from vtorc.forms.plan import PlanForm
from vtorc.forms.recovery import HookRunForm, RecoveryForm, StepForm
from vtorc.forms.shard_states import STATE_MARKS


def recoveries_lines(recoveries: Sequence[RecoveryForm], width: int) -> list[str]:
    """Return recoveries, newest first, each with its sentence."""
    if not recoveries:
        return ["vtorc keeps no recovery of that kind"]
    return [line for recovery in recoveries for line in outcome_lines(recovery, width)]


def outcome_lines(recovery: RecoveryForm, width: int) -> list[str]:
    """Return a recovery in short: when, which kind, how it ended, and its sentence."""
    title = f"{clock_time(recovery.began)}  {recovery.kind} for {_cause(recovery)}: {recovery.outcome}"
    return [
        *wrapped(f"{title} in {recovery.seconds:.2f}{TIE}s", width, indent="    ", first=_mark(recovery)),
        *wrapped(recovery.sentence, width, indent="    "),
        *(wrapped(f"acknowledged by {seen}", width, indent="    ") if (seen := _seen(recovery)) is not None else ()),
        f"    id {recovery.id}",
    ]


def last_lines(recovery: RecoveryForm, width: int) -> list[str]:
    """Return the latest recovery in one sentence, with the command that tells all of it."""
    how = f"{recovery.shard}: {recovery.kind} for {_cause(recovery)}: {recovery.outcome}"
    text = f"last recovery, {clock_time(recovery.began)}: {how}; vtorc{TIE}ctl{TIE}recovery{TIE}{recovery.id}"
    return wrapped(text, width, indent="  ", first=_mark(recovery))


def _seen(recovery: RecoveryForm) -> str | None:
    """Return the operator that acknowledged a recovery and the comment; None if none did."""
    seen = recovery.acknowledgement
    return f"{seen.actor}: {seen.comment}" if seen is not None else None


def _mark(recovery: RecoveryForm) -> str:
    return f"{STATE_MARKS['healthy'] if recovery.succeeded else WRONG} "


def _cause(recovery: RecoveryForm) -> str:
    return recovery.code or "an operator"


def recovery_lines(recovery: RecoveryForm, width: int) -> list[str]:
    """Return all of a recovery: how it ended, why that was safe, the tablets that were not chosen, and each step."""
    lines = [
        *wrapped(f"{recovery.shard}: {recovery.kind} for {_cause(recovery)}", width, indent="  ", first=""),
        *wrapped(recovery.sentence, width, indent="  ", first=_mark(recovery)),
        "",
    ]
    facts = [
        ("outcome", recovery.outcome if recovery.rule is None else f"{recovery.outcome} by rule {recovery.rule}"),
        ("began", f"{clock_time(recovery.began)}, took {recovery.seconds:.3f} s"),
        ("asked by", f"{recovery.actor}: {recovery.reason}" if recovery.actor is not None else None),
        ("acknowledged by", _seen(recovery)),
        ("about", recovery.tablet),
        ("new primary", recovery.winner),
        ("safe because" if recovery.is_argued_safe else "because", recovery.argument),
        ("loses", recovery.data_loss),
        *(("not chosen", f"{alias}: {why}") for alias, why in recovery.removed.items()),
        *(("errant", f"{alias}: {gtids}") for alias, gtids in recovery.errant.items()),
        *(("moment", f"{name} after {at:.3f} s") for name, at in recovery.marks.items()),
    ]
    lines += _facts(facts, width)
    if recovery.steps:
        lines += ["", "Steps (begin, duration)", *steps_lines(recovery.steps, width)]
    if recovery.hooks:
        lines += ["", "Hooks"]
        lines += [line for hook in recovery.hooks for line in hook_lines(hook, width)]
    return lines


def hook_lines(hook: HookRunForm, width: int, *, of: str = "") -> list[str]:
    """Return the run of a command of a hook, with what it printed; `of` is the shard, where that is not plain."""
    title = f"{of}{': ' if of else ''}{hook.hook} {hook.number}: {hook.result} in {hook.seconds:.3f}{TIE}s"
    return [
        *wrapped(title, width, indent="    ", first="  "),
        *(line for text in hook.output.splitlines() for line in wrapped(text, width, indent="    ")),
    ]


def _facts(facts: Sequence[tuple[str, str | None]], width: int) -> list[str]:
    given = [(name, value) for name, value in facts if value]
    longest = max((len(name) for name, _ in given), default=0)
    return [
        line
        for name, value in given
        for line in wrapped(value, width, indent=" " * (longest + 4), first=f"  {name.ljust(longest)}  ")
    ]


def steps_lines(steps: Sequence[StepForm], width: int) -> list[str]:
    """Return the steps of a recovery, each with its begin and its duration in seconds."""
    times = columns([(f"{step.started:.3f}", f"{step.seconds:.3f} s") for step in steps], numbers=(0, 1))
    return [
        line
        for step, time in zip(steps, times, strict=True)
        for line in wrapped(step_words(step), width, indent=" " * (len(time) + 4), first=f"  {time}  ")
    ]


def ending_lines(recovery: RecoveryForm, width: int) -> list[str]:
    """Return how a recovery ended that was followed: its sentence, why that was safe, and what it lost."""
    title = f"{recovery.outcome} in {recovery.seconds:.2f}{TIE}s, id {recovery.id}"
    told = [recovery.sentence]
    told += [text for text in (recovery.argument, recovery.data_loss) if text and text not in recovery.sentence]
    return [
        *wrapped(title, width, indent="  ", first=_mark(recovery)),
        *(line for text in told for line in wrapped(text, width, indent="  ")),
    ]


def step_words(step: StepForm) -> str:
    """Return what a step did, on which tablet, and how that ended."""
    where = f" on {step.tablet}" if step.tablet else ""
    printed = f" ({step.output})" if step.output else ""
    return f"{step.name}{where}: {step.result}{printed}"


def plan_lines(plan: PlanForm, width: int) -> list[str]:
    """Return a plan: its steps, the tablets that were weighed, why nothing is lost, and what may be."""
    facts = [
        ("from", plan.from_primary),
        ("to", plan.to),
        ("safe because" if plan.is_argued_safe else "because", plan.argument),
        ("write gap", plan.write_gap),
        ("at risk", plan.risk),
        *(("not chosen", f"{one.tablet}: {one.why_not}") for one in plan.candidates if one.why_not),
        ("refused", plan.refusal),
        ("plan", f"{plan.id}, valid until {clock_time(plan.expires)}" if plan.refusal is None else None),
    ]
    lines = [*wrapped(plan.sentence, width, indent="  ", first=""), "", *_facts(facts, width)]
    if plan.steps:
        lines += ["", "Steps"]
        for number, step in enumerate(plan.steps, start=1):
            lines += wrapped(step, width, indent="      ", first=f"  {number:>2}. ")
    return lines
