"""When the readiness of a shard is worked out."""

from dataclasses import dataclass, field, replace

from tests.unit.core.builders import NOW, failing, primary, replica, shard
from vtorc.control.own_errors import OwnErrors
from vtorc.control.readiness_keeper import MOST_PER_TURN, READINESS_EVERY, ReadinessKeeper
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.views import ShardView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds

READY = shard(primary(), replica("zone2-200"), replica("zone3-300"))
LACKS_ONE = shard(primary(), replica("zone2-200"), failing(replica("zone3-300")))
DEAD = shard(primary(dead_for=3.0), replica("zone2-200"), replica("zone3-300"))


@dataclass
class Hands:
    """A clock that is moved by hand."""

    at: float = NOW

    def now(self) -> float:
        """Seconds."""
        return self.at

    def wall(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return int(self.at * 1e9)


@dataclass
class Kept:
    """A keeper with its clock and the settings of recoveries."""

    hands: Hands = field(default_factory=Hands)
    bounds: Bounds = field(default_factory=Bounds)
    keeper: ReadinessKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = ReadinessKeeper(OnTimeClock(self.hands), lambda: self.bounds, OwnErrors(str))

    def hear(self, view: ShardView, number: int = 0, *, is_news: bool = True) -> None:
        """Let the keeper hear a judgement of the shard of that number."""
        judgement = Judgement(replace(view, shard=_shard(number)), policy("semi_sync"), (), None)
        self.keeper.heard(judgement, is_news=is_news)

    def turn(self, seconds: float = 0.1) -> list[int]:
        """Let so many seconds pass and the keeper take a turn; returns the numbers of the shards that changed."""
        self.hands.at += seconds
        return [int(each.shard) for each in self.keeper.turn() if each is not None]

    def ready(self, number: int = 0) -> bool | None:
        """Return whether a shard is ready; None where that is not told."""
        form = self.keeper.of(_shard(number))
        return form.ready if form is not None else None


def _shard(number: int) -> ShardId:
    return ShardId("commerce", str(number))


def test_the_first_judgement_and_news_are_worked_out_in_the_next_turn() -> None:
    """Before the first turn nothing is told."""
    kept = Kept()
    kept.hear(READY, is_news=False)
    assert kept.ready() is None
    assert kept.turn() == [0]
    assert kept.ready() is True
    kept.hear(LACKS_ONE)
    assert kept.turn() == [0]
    assert kept.ready() is False
    assert kept.turn() == []


def test_what_is_no_news_waits() -> None:
    """Positions move with every write, and readiness hardly with them."""
    kept = Kept()
    kept.hear(READY)
    kept.turn()
    kept.hear(LACKS_ONE, is_news=False)
    assert kept.turn(READINESS_EVERY - 1.0) == []
    assert kept.turn(1.1) == [0]
    assert kept.ready() is False


def test_a_setting_that_has_changed_is_seen_without_news() -> None:
    """Each working out asks for the bounds of recoveries again."""
    kept = Kept()
    kept.hear(READY)
    kept.turn()
    kept.bounds = Bounds(same_cell_only=True)
    assert kept.turn(READINESS_EVERY + 0.1) == [0]
    assert kept.turn(READINESS_EVERY + 0.1) == []
    assert kept.ready() is False


def test_nothing_is_told_once_the_primary_does_not_answer() -> None:
    """That counts at once, before anything is worked out anew."""
    kept = Kept()
    kept.hear(READY)
    kept.turn()
    kept.hear(DEAD)
    assert kept.ready() is None


def test_few_are_worked_out_in_one_turn_news_first() -> None:
    """The others come in the turns after it, in their order."""
    kept = Kept()
    for number in range(2 * MOST_PER_TURN):
        kept.hear(READY, number)
    assert kept.turn() == list(range(MOST_PER_TURN))
    assert kept.turn() == list(range(MOST_PER_TURN, 2 * MOST_PER_TURN))
    kept.bounds = Bounds(same_cell_only=True)
    last = 2 * MOST_PER_TURN - 1
    kept.hear(READY, last)
    assert kept.turn(READINESS_EVERY + 0.1) == [last, *range(MOST_PER_TURN - 1)]
    assert kept.turn() == list(range(MOST_PER_TURN - 1, last))


def test_a_shard_that_is_gone_is_forgotten() -> None:
    """Nothing is told of it, and nothing is worked out."""
    kept = Kept()
    kept.hear(READY)
    kept.keeper.forget(_shard(0))
    assert kept.turn() == []
    kept.hear(READY, 1)
    kept.turn()
    kept.keeper.forget(_shard(1))
    assert kept.turn(READINESS_EVERY + 0.1) == []
    assert kept.ready(1) is None
