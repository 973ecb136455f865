"""Tells an observer what is new in the judgements of one shard: a decision once, and again when its rule changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vtorc.control.observer import Observer
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.recovery.runner import Judgement

REPEAT_AFTER = 300.0
"""Seconds after which it is told again that a tablet comes and goes."""

Problem = tuple[Code, TabletAlias | None]
_State = tuple[Rule, bool]


@dataclass(slots=True)
class _Told:
    """The news that was told of one problem."""

    decision: Decision
    """The latest decision about it, told or not."""
    at: float
    """When it was told last, in seconds on the clock."""
    states: list[_State] = field(default_factory=list)
    """The rules that were told since the problem began, the last one last; each with whether it was escalated."""


class DecisionReport:
    """The decisions of one shard, as its observer was told of them.

    The problems of a tablet that comes and goes are told once for as long as it does. One that answered every other
    question had filled the log with a dozen lines a second.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told: dict[Problem, _Told] = {}
        self.current: Mapping[Problem, Decision] = {}
        """The latest decision about each problem that the shard has now."""

    def report(self, judgement: Judgement, now: float) -> bool:
        """Report what is new, at `now` on the clock; returns whether the shard has other problems than before.

        Those of a tablet that comes and goes do not count.
        """
        unstable = {tablet.alias for tablet in judgement.view.tablets if tablet.memory.is_unstable(now)}
        before, self.current = self.current, {(d.finding.code, d.finding.alias): d for d in judgement.decisions}
        for problem, decision in self.current.items():
            self._tell(problem, decision, now, is_damped=problem[1] in unstable)
        for problem in [each for each in self._told if each not in self.current and each[1] not in unstable]:
            self._observer.cleared(self._told.pop(problem).decision)
        return any(alias not in unstable for _, alias in before.keys() ^ self.current.keys())

    def _tell(self, problem: Problem, decision: Decision, now: float, *, is_damped: bool) -> None:
        state = (decision.rule, decision.escalated)
        told = self._told.setdefault(problem, _Told(decision, now))
        is_news = self._is_news(told, decision, state, now, is_damped=is_damped)
        told.decision = decision
        if not is_news:
            return
        self._observer.decided(decision)
        told.at = now
        told.states = [*told.states, state] if is_damped else [state]

    def _is_news(self, told: _Told, decision: Decision, state: _State, now: float, *, is_damped: bool) -> bool:
        if not told.states:
            return True
        if decision.finding.code is Code.UNSTABLE_TABLET and now - told.at >= REPEAT_AFTER:
            return True
        last = told.states[-1]
        # A shard that found the lock held queues again, several times a second: that is no news.
        if last == (Rule.ACT, decision.escalated) and decision.rule is Rule.BUDGET:
            return False
        if is_damped:
            begins = decision.acts and not told.decision.acts and told.decision.rule is not Rule.BUDGET
            return begins or state not in told.states
        return state != last
