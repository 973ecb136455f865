"""Where the time of a reparent went: its phases, up to the first acknowledged write."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vtorc.forms.fleet import WhyForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.times import nanoseconds
from vtorc.recovery.outage_marks import OutageMark

LENGTH = 800.0
"""Units of length of the whole bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkWords:
    """The words for one mark of a recovery, and for the phase that it ends."""

    moment: str
    """The moment, as an operator would note it."""
    phase: str
    """The name of the phase, in a word or two."""
    meaning: str
    """The cause of the wait."""


MARK_WORDS: Mapping[str, MarkWords] = {
    OutageMark.STOPPED.value: MarkWords(
        moment="enough replicas stopped", phase="stop", meaning="until enough replicas had stopped"
    ),
    OutageMark.DEMOTED.value: MarkWords(
        moment="old primary read-only", phase="demote", meaning="until the old primary was read-only"
    ),
    OutageMark.ELECTED.value: MarkWords(
        moment="new primary chosen", phase="elect", meaning="until the new primary was chosen"
    ),
    OutageMark.PROMOTED.value: MarkWords(
        moment="new primary promoted", phase="promote", meaning="until the new primary took writes"
    ),
    OutageMark.ACKNOWLEDGED.value: MarkWords(
        moment="first write acknowledged", phase="first write", meaning="until its first write was acknowledged"
    ),
}
"""The words for each mark; one that only a later vtorc knows is not shown."""

_LAST_OF_LOCK = "ask all tablets"
"""The step that ends the reading under the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of the time."""

    name: str
    """Its name, in a word or two."""
    meaning: str
    """The cause of the wait."""
    seconds: float
    """How long it took."""
    x: float
    """Where its bar begins, in units of length."""
    width: float
    """How long its bar is, in units of length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prelude:
    """The moments before a recovery, in seconds since it began: all of them are negative, or 0."""

    answered: float | None
    """When the lost tablet answered for the last time; None if that is not known."""
    noticed: float
    """When vtorc first found that something was wrong with it."""
    decided: float
    """When vtorc decided on the recovery."""


def prelude_of(recovery: RecoveryForm, why: WhyForm) -> Prelude | None:
    """Return what came before a recovery, by what was decided until it began; None if that does not tell."""
    began = int(recovery.id)
    noticed, decided = _found(recovery, why.decisions)
    if noticed is None or decided is None:
        return None
    answered = _answered(why.seen, recovery.tablet)
    return Prelude(
        answered=_since(began, answered) if answered is not None and answered <= noticed else None,
        noticed=_since(began, noticed),
        decided=_since(began, decided),
    )


def phases_of(recovery: RecoveryForm, prelude: Prelude | None) -> Sequence[Phase]:
    """Return the phases of a reparent in their order; none for any other recovery, and for one without a mark."""
    if not recovery.marks:
        return ()
    ends: list[tuple[float, str, str]] = []
    begin = 0.0
    if prelude is not None:
        begin = prelude.noticed
        if prelude.answered is not None:
            begin = prelude.answered
            ends.append((prelude.noticed, "detect", "from the last answer of the old primary to the first sign"))
        ends.append((prelude.decided, "confirm", "until the evidence was complete"))
    if (locked := _locked(recovery)) is not None:
        ends.append((locked, "lock", "until the shard was locked, and all was read anew"))
    marks = sorted((at, name) for name, at in recovery.marks.items() if name in MARK_WORDS)
    ends += [(at, MARK_WORDS[name].phase, MARK_WORDS[name].meaning) for at, name in marks]
    return list(_laid_out(begin, ends))


def _laid_out(begin: float, ends: Sequence[tuple[float, str, str]]) -> Iterable[Phase]:
    whole = max(end for end, _, _ in ends) - begin or 1.0
    at = begin
    for end, name, meaning in ends:
        end = max(at, end)
        yield Phase(
            name=name,
            meaning=meaning,
            seconds=end - at,
            x=round((at - begin) / whole * LENGTH, 1),
            width=round((end - at) / whole * LENGTH, 1),
        )
        at = end


def _locked(recovery: RecoveryForm) -> float | None:
    """Return when all was read under the lock; None if no step tells."""
    return next((step.started + step.seconds for step in recovery.steps if step.name == _LAST_OF_LOCK), None)


def _found(recovery: RecoveryForm, decisions: Sequence[DecisionFrame]) -> tuple[int | None, int | None]:
    """Return when something was first wrong with the tablet without a pause, and when the recovery was decided on."""
    noticed: int | None = None
    decided: int | None = None
    in_force: set[str] = set()
    for each in reversed(decisions):
        finding = each.finding
        if finding.tablet != recovery.tablet:
            continue
        if each.change == "cleared":
            in_force.discard(finding.code)
            continue
        if not in_force:
            noticed, decided = nanoseconds(each.at), None
        in_force.add(finding.code)
        if finding.acts and finding.code == recovery.code:
            decided = nanoseconds(each.at)
    return noticed, decided


def _answered(seen: ShardForm | None, alias: str | None) -> int | None:
    tablet = next((each for each in seen.tablets if each.alias == alias), None) if seen is not None else None
    return nanoseconds(tablet.answered_at) if tablet is not None and tablet.answered_at is not None else None


def _since(began: int, at: int) -> float:
    return min(0.0, (at - began) / 1e9)
