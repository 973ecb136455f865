"""How often operators may ask."""

import pytest

from tests.unit.desk.requests import caller
from vtorc.core.facts.ids import ShardId
from vtorc.desk.problems import DeskRefusal
from vtorc.desk.rates import PLANS, WITHIN, Pace, Rates
from vtorc.forms.access import Means

ANN, BOB = caller("ann"), caller("bob")
FIRST, SECOND = ShardId("commerce", "-80"), ShardId("commerce", "80-")


class Counting:
    """Rates with two acts a minute, and a clock that a test moves."""

    def __init__(self, most: int = 2) -> None:
        self.time = 100.0
        self.most = most
        self.rates = Rates(lambda: self.time, lambda: self.most)


@pytest.mark.parametrize(
    ("who", "shard", "named"), [(ANN, SECOND, "ann (host)"), (BOB, FIRST, "commerce/-80"), (BOB, SECOND, None)]
)
def test_acts_are_counted_by_operator_and_by_shard(who: object, shard: ShardId, named: str | None) -> None:
    """The third act of an operator, or on a shard, is refused for the rest of the minute."""
    counting = Counting()
    client = ANN if who is ANN else BOB
    for _ in range(2):
        counting.rates.note(Pace.ACT, ANN, FIRST)
    if named is None:
        counting.rates.check(Pace.ACT, client, shard)
        return
    with pytest.raises(DeskRefusal) as caught:
        counting.rates.check(Pace.ACT, client, shard)
    assert (caught.value.form.status, caught.value.form.what) == (429, named)
    assert caught.value.form.do.endswith("try again in 60 s")
    counting.time += WITHIN
    counting.rates.check(Pace.ACT, client, shard)


def test_each_pace_has_a_count_of_its_own() -> None:
    """Plans do not use up acts."""
    counting = Counting()
    for _ in range(PLANS):
        counting.rates.check(Pace.PLAN, ANN, FIRST)
        counting.rates.note(Pace.PLAN, ANN, FIRST)
    counting.rates.check(Pace.ACT, ANN, FIRST)
    counting.rates.check(Pace.PLAN, BOB, FIRST)
    with pytest.raises(DeskRefusal):
        counting.rates.check(Pace.PLAN, ANN, FIRST)


def test_unknown_clients_share_one_count() -> None:
    """Other addresses, and other names, give no more plans, and known operators still get theirs."""
    counting = Counting()
    for number in range(PLANS):
        counting.rates.note(Pace.PLAN, caller(f"n{number}", means=Means.UNKNOWN), FIRST)
    with pytest.raises(DeskRefusal) as caught:
        counting.rates.check(Pace.PLAN, caller("another", means=Means.UNKNOWN), FIRST)
    assert caught.value.form.what == "clients of other hosts"
    counting.rates.check(Pace.PLAN, ANN, FIRST)


def test_zero_is_no_limit() -> None:
    """An operator may switch the limit of acts off."""
    counting = Counting(most=0)
    for _ in range(100):
        counting.rates.check(Pace.ACT, ANN, FIRST)
        counting.rates.note(Pace.ACT, ANN, FIRST)
