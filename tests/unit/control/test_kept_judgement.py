"""When a shard without problems is judged anew."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

from tests.unit.core.detection.test_analysis import healthy
from vtorc.control.kept_judgement import LONGEST, KeptJudgement
from vtorc.core.decision.decisions import DecisionLimits
from vtorc.core.facts.durability import policy
from vtorc.core.facts.views import ShardView
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.runner import Judgement


@dataclass
class Watched:
    """A shard that is heard of, and how often it was judged."""

    revision: int = 0
    changes: int = 0
    now: float = 100.0
    judged: int = 0
    seen: ShardView = field(default_factory=healthy)

    def __post_init__(self) -> None:
        self.kept = KeptJudgement(cast(ShardWatch, self), lambda: self.now)

    def view(self) -> ShardView:
        return self.seen

    def hear(self, *, says_more: bool) -> None:
        self.revision += 1
        self.changes += says_more
        self.seen = replace(self.seen)

    def latest(self, *basis: Any, remembers: bool = False) -> Judgement:
        return self.kept.latest(self.judge, *basis, remembers_problems=lambda: remembers)

    def judge(self) -> Judgement:
        self.judged += 1
        return Judgement(self.seen, policy("semi_sync"), (), None, True, DecisionLimits())


def test_a_repeated_answer_gives_the_new_view_and_no_new_judgement() -> None:
    """An answer that says nothing new is told with its view, and the problems are not looked for again."""
    watched = Watched()
    watched.latest()
    watched.hear(says_more=False)
    assert watched.latest().view is watched.seen
    assert watched.judged == 1


def test_an_answer_that_says_more_is_judged() -> None:
    """News of any tablet has the problems looked for again."""
    watched = Watched()
    watched.latest()
    watched.hear(says_more=True)
    watched.latest()
    assert watched.judged == 2


def test_other_settings_are_judged() -> None:
    """A reload, or another scope, counts as news."""
    watched = Watched()
    watched.latest("before")
    watched.latest("after")
    assert watched.judged == 2


def test_remembered_problems_are_looked_for_until_they_are_forgotten() -> None:
    """While earlier problems are remembered, each answer has the shard judged."""
    watched = Watched()
    watched.latest(remembers=True)
    watched.hear(says_more=False)
    watched.latest()
    assert watched.judged == 2


def test_nothing_is_kept_for_longer_than_half_a_minute() -> None:
    """A shard whose answers repeat for ever is judged anew now and then, as a problem may only have to last."""
    watched = Watched()
    watched.latest()
    for _ in range(4):
        watched.now += LONGEST / 4
        watched.hear(says_more=False)
        watched.latest()
    assert watched.judged == 2
