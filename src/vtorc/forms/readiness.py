"""The form of what would follow if the primary of a shard died now."""

from typing import TYPE_CHECKING, Literal

from vtorc.core.decision.decisions import why_not_replaced
from vtorc.core.election.readiness import Readiness, readiness
from vtorc.core.election.survivability import Loss, LossOutcome
from vtorc.core.facts.rules import Rule
from vtorc.forms.base import Form
from vtorc.forms.findings import FindingForm

if TYPE_CHECKING:  # as in `forms.shard`
    from vtorc.recovery.runner import Judgement
    from vtorc.recovery.session import Bounds

_OUTCOMES: dict[LossOutcome, Literal["writes_stall", "may_lose_writes", "no_primary"]] = {
    LossOutcome.WRITES_STALL: "writes_stall",
    LossOutcome.FAILOVER_MAY_LOSE: "may_lose_writes",
    LossOutcome.NO_CANDIDATE: "no_primary",
}


class LossForm(Form, frozen=True, kw_only=True):
    """The loss of one tablet or one cell that the shard does not survive with all of its writes."""

    what: str
    """The part that is lost, as "tablet zone1-0000000101" or "cell zone1"."""
    outcome: Literal["writes_stall", "may_lose_writes", "no_primary"]
    """The fate of the writes in one word."""
    sentence: str
    """The same in words."""


class ReadinessForm(Form, frozen=True, kw_only=True):
    """The answer to "what if the primary died now?"."""

    ready: bool
    """Whether vtorc would replace it."""
    sentence: str
    """All of it in one sentence."""
    winner: str | None
    """Alias of the tablet that the election would choose; None if it would choose none."""
    others: list[str]
    """Aliases of tablets that may win in its place, best first: that is decided at the death."""
    rule: str | None
    """The name of the rule by which vtorc would not replace it; None if it would."""
    blocked_by: list[str]
    """Why vtorc would not replace it; empty if it would."""
    removed: dict[str, str]
    """The other tablets that cannot win, each with the end of a sentence why."""
    first: str
    """The waits of the promotion, as far as they are known to take time; empty without any."""
    doubts: list[str]
    """Why the promotion of the winner may fail; empty if nothing speaks against it."""
    at_risk: list[str]
    """Other risks: writes that are lost, deaths of another kind."""
    losses: list[LossForm]
    """The losses of one tablet or one cell that the shard does not survive with all of its writes, tablets first."""


def readiness_form(judgement: "Judgement", bounds: "Bounds", now: float) -> ReadinessForm | None:
    """Return the form for a shard as it was judged; None without a primary that answers, or without a policy.

    `now` is in seconds on the clock of the views.
    """
    view, policy = judgement.view, judgement.policy
    ready = readiness(view, policy, same_cell_only=bounds.same_cell_only, catch_up=bounds.deadlines.catch_up)
    if ready is None:
        return None
    held_back = why_not_replaced(view, policy, judgement.limits, now)
    rule, why = held_back if held_back is not None else (ready.rule, "")
    blocked_by = [*filter(None, (why,)), *ready.blocked_by]
    return ReadinessForm(
        ready=not blocked_by,
        sentence=_sentence(ready, why),
        winner=str(ready.winner) if ready.winner is not None else None,
        others=[str(alias) for alias in ready.others],
        rule=rule.value if rule is not None else None,
        blocked_by=blocked_by,
        removed={str(alias): why for alias, why in ready.removed.items()},
        first=ready.first,
        doubts=list(ready.doubts),
        at_risk=list(ready.at_risk),
        losses=[_loss_form(loss) for loss in (*ready.losses.tablets, *ready.losses.cells)],
    )


NOT_READY = "ShardNotReady"
"""The code under which a shard that could not fail over stands among the findings."""


def unready_finding(shard: str, ready: ReadinessForm | None) -> FindingForm | None:
    """Return that the primary of a shard would not be replaced, as a finding; None if it would, or is not known."""
    if ready is None or ready.ready:
        return None
    problem = f"{shard}: its primary would not be replaced if it died now"
    return FindingForm(
        code=NOT_READY,
        shard=shard,
        tablet=None,
        severity="medium",
        confirmed=True,
        acts=False,
        recovery=None,
        rule=ready.rule or Rule.NO_REMEDY.value,
        needs_operator=False,
        problem=problem,
        sentence=f"{problem}: {'; '.join(ready.blocked_by)}",
    )


def _sentence(ready: Readiness, held_back: str) -> str:
    """Return what would follow, and what would without the switch or pause that holds vtorc back.

    A vtorc that only watches, as before a change-over, told nothing of what it would do.
    """
    if not held_back:
        return ready.sentence
    return f"if {ready.primary} died now, vtorc would not replace it: {held_back}; but for that, {ready.outcome}"


def _loss_form(loss: Loss) -> LossForm:
    return LossForm(what=loss.what, outcome=_OUTCOMES[loss.outcome], sentence=str(loss))
