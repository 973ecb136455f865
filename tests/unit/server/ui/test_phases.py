"""Where the time of a reparent went, by its marks and by what was decided before it."""

from msgspec import structs

from tests.unit.server.told import LOST, decision, lost, recovery, well
from vtorc.forms.fleet import WhyForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.recovery import RecoveryForm, StepForm
from vtorc.forms.times import rfc3339
from vtorc.server.ui.phases import LENGTH, phases_of, prelude_of

SECOND = 1_000_000_000
PRIMARY = "zone1-0000000101"


def reparent() -> RecoveryForm:
    """Return a replacement of a primary: locked after 0.5 s, stopped, elected, promoted and acknowledged by 4 s."""
    steps = [
        StepForm(name="read topology", tablet=None, started=0.1, seconds=0.1, result="done"),
        StepForm(name="ask all tablets", tablet=None, started=0.2, seconds=0.3, result="done"),
    ]
    marks = {"acknowledged": 4.0, "stopped": 1.5, "elected": 1.75, "promoted": 3.75}
    return structs.replace(recovery(1), steps=steps, marks=marks)


def decided(of: RecoveryForm, seconds: float, *, acts: bool = False, change: str = "decided") -> DecisionFrame:
    """Return a decision about the primary, so long after the recovery began."""
    told = decision(structs.replace(lost().findings[0], tablet=PRIMARY, acts=acts, code="DeadPrimary"))
    return structs.replace(told, at=rfc3339(int(of.id) + int(seconds * SECOND)), change=change)


def why(*decisions: DecisionFrame, answered: str | None = None) -> WhyForm:
    """Return what the history tells, newest first, with the last answer of the primary."""
    seen = well(LOST)
    tablets = [structs.replace(each, answered_at=answered if each.alias == PRIMARY else None) for each in seen.tablets]
    return WhyForm(
        shard=LOST,
        state="repairing",
        sentence="",
        findings=[],
        readiness=None,
        decisions=list(decisions),
        recoveries=[],
        seen=structs.replace(seen, tablets=tablets),
    )


def test_the_phases_go_from_the_last_answer_to_the_first_acknowledged_write() -> None:
    """Each phase begins where the one before it ends, and their bars fill the whole length."""
    known = reparent()
    answered = rfc3339(int(known.id) - 4 * SECOND)
    prelude = prelude_of(known, why(decided(known, -1, acts=True), decided(known, -3), answered=answered))
    phases = phases_of(known, prelude)
    assert [(phase.name, round(phase.seconds, 2)) for phase in phases] == [
        ("detect", 1.0),
        ("confirm", 2.0),
        ("lock", 1.5),
        ("stop", 1.0),
        ("elect", 0.25),
        ("promote", 2.0),
        ("first write", 0.25),
    ]
    assert phases[0].x == 0
    assert abs(phases[-1].x + phases[-1].width - LENGTH) < 1


def test_without_a_history_the_phases_begin_with_the_recovery() -> None:
    """What came before is left out, and a recovery without a mark has no phases."""
    assert [phase.name for phase in phases_of(reparent(), None)] == ["lock", "stop", "elect", "promote", "first write"]
    assert phases_of(recovery(1), None) == ()


def test_a_trouble_that_had_passed_is_not_counted() -> None:
    """What was wrong with the tablet begins after it was last well; a decision on another tablet is none about it."""
    known = reparent()
    other = decided(known, -2)
    other = structs.replace(other, finding=structs.replace(other.finding, tablet="zone2-0000000102"))
    told = why(decided(known, -1, acts=True), other, decided(known, -50, change="cleared"), decided(known, -60))
    prelude = prelude_of(known, told)
    assert prelude is not None
    assert (prelude.answered, round(prelude.noticed, 2), round(prelude.decided, 2)) == (None, -1.0, -1.0)
    assert prelude_of(known, why(decided(known, -3))) is None
