"""The fleet's budget: never more than the limit, the most urgent and longest outage first, and no slot is lost."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vtorc.control.budget import LEAST_UNDER_WAY, YIELD_DIVISOR, BudgetLimits, FleetBudget, TurnRequest, TurnSlot
from vtorc.core.detection.recoveries import Recovery, Urgency
from vtorc.core.facts.ids import ShardId
from vtorc.sim.engine.loop import run

LIMITS = BudgetLimits(recoveries=2, repairs=4)


def shard(number: int) -> ShardId:
    """Name a shard."""
    return ShardId("commerce", f"{number:02x}-{number + 1:02x}")


def request(number: int, urgency: Urgency = Urgency.LOST_PRIMARY, *, since: float = 0.0, tries: int = 0) -> TurnRequest:
    """Return a turn request of a shard."""
    return TurnRequest(shard=shard(number), urgency=urgency, since=since, tries=tries)


class Fleet:
    """The slots of many shards with one budget, and the shards that were woken."""

    def __init__(self, count: int, limits: BudgetLimits = LIMITS) -> None:
        self.limits = limits
        self.time = 0.0
        self.woken: list[int] = []
        self.budget = FleetBudget(lambda: self.limits, lambda: self.time)
        self.slots = [self.budget.new_slot(lambda n=n: self.woken.append(n)) for n in range(count)]  # type: ignore[misc]

    def ask(self, requests: Sequence[TurnRequest]) -> list[bool]:
        """Let the first shards ask, one after the other."""
        return [slot.ask(each) for slot, each in zip(self.slots, requests, strict=False)]


def test_below_the_limit_no_shard_waits() -> None:
    """A shard that finds a slot free has it at once, and is not woken for it."""
    fleet = Fleet(2)
    assert fleet.ask([request(0), request(1)]) == [True, True]
    assert fleet.woken == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (request(3, since=9.0), request(2, Urgency.FIRST_ELECTION, since=1.0)),
        (request(3, since=1.0), request(2, since=2.0)),
        (request(3, since=9.0), request(2, since=1.0, tries=1)),
        (request(2, since=1.0), request(3, since=1.0)),
        (request(3, Urgency.FIRST_ELECTION, since=1.0), request(2, Urgency.FIRST_ELECTION, since=2.0)),
    ],
    ids=["urgent first", "longest outage first", "not tried first", "by name", "elections too"],
)
def test_the_order_of_turns(first: TurnRequest, second: TurnRequest) -> None:
    """A free slot goes to the most urgent, then the least tried, the longest outage, and by name."""
    fleet = Fleet(4)
    assert fleet.ask([request(0), request(1), second, first]) == [True, True, False, False]
    fleet.slots[0].leave()
    assert fleet.woken == [3]
    fleet.slots[1].leave()
    assert fleet.woken == [3, 2]


def test_a_queued_shard_may_change_its_request() -> None:
    """The place in the queue follows what is wanted now, not what was wanted first."""
    fleet = Fleet(4)
    fleet.ask([request(0), request(1), request(2, since=1.0), request(3, since=2.0)])
    fleet.slots[2].ask(request(2, since=1.0, tries=1))
    fleet.slots[0].leave()
    assert fleet.woken == [3]


def test_repairs_take_no_turn_from_replacements() -> None:
    """With every repair slot taken a replacement begins at once, and the other way round."""
    fleet = Fleet(8)
    repairs = [request(n, Urgency.REPLICA_REPAIR) for n in range(5)]
    assert fleet.ask(repairs) == [True] * LIMITS.repairs + [False]
    assert fleet.slots[5].ask(request(5))
    assert fleet.slots[6].ask(request(6))
    assert not fleet.slots[7].ask(request(7))


def test_repairs_of_replicas_yield_to_replacements_that_wait() -> None:
    """While a replacement waits, repairs of replicas get a part of the repair slots, and repairs of primaries all of
    them.
    """
    fleet = Fleet(8)
    fleet.ask([request(0), request(1), request(2)])
    asked = [fleet.slots[n].ask(request(n, Urgency.REPLICA_REPAIR)) for n in (3, 4)]
    assert asked == [True, False]
    assert fleet.slots[4].reason.endswith(
        "1 repair is under way, no shards come before it, and lost primaries come first"
    )
    assert LIMITS.repairs // YIELD_DIVISOR == 1
    assert fleet.slots[5].ask(request(5, Urgency.PRIMARY_REPAIR))
    fleet.slots[2].leave()
    assert fleet.woken == [4]


def test_a_part_of_a_repair_slot_is_none() -> None:
    """Of six slots for repairs, a quarter is one while a replacement waits."""
    fleet = Fleet(5, BudgetLimits(recoveries=1, repairs=6))
    fleet.ask([request(0), request(1)])
    assert [fleet.slots[n].ask(request(n, Urgency.REPLICA_REPAIR)) for n in (2, 3, 4)] == [True, False, False]


def test_a_shard_that_asks_again_for_the_same_has_waited_since_it_asked_first() -> None:
    """It asks at each judgement, about once a second."""
    fleet = Fleet(3)
    fleet.ask([request(0), request(1), request(2)])
    fleet.time = 7.0
    fleet.slots[2].ask(request(2))
    assert fleet.slots[2].asked_at == 0.0


def test_a_shard_that_loses_its_primary_gives_up_its_turn_for_a_repair() -> None:
    """A shard that wants a replacement instead of a repair leaves the one pool for the other."""
    fleet = Fleet(1)
    fleet.ask([request(0, Urgency.REPLICA_REPAIR)])
    fleet.ask([request(0)])
    assert (fleet.budget.under_way(repairs=True), fleet.budget.under_way(repairs=False)) == (0, 1)


def test_the_reason_names_how_many_come_before() -> None:
    """The reason to wait says how many recoveries are under way and how many come before it."""
    fleet = Fleet(5)
    fleet.ask([request(n, since=float(n)) for n in range(5)])
    assert fleet.slots[2].reason == "waiting for its turn: 2 recoveries are under way, no shards come before it"
    assert fleet.slots[4].reason == "waiting for its turn: 2 recoveries are under way, 2 shards come before it"


@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 7), st.none() | st.tuples(st.sampled_from(Urgency), st.integers(0, 3), st.integers(0, 2))
        )
    )
)
def test_the_reason_is_right_whatever_shards_come_to_want(
    moves: list[tuple[int, tuple[Urgency, int, int] | None]],
) -> None:
    """However requests change, the reason has the number of queued requests that come first."""
    fleet = Fleet(8, BudgetLimits(recoveries=1, repairs=1))
    for number, wanted in moves:
        if wanted is None:
            fleet.slots[number].leave()
        else:
            urgency, since, tries = wanted
            fleet.slots[number].ask(request(number, urgency, since=float(since), tries=tries))
    waiting = [(slot, slot.request) for slot in fleet.budget.waiting if slot.request is not None]
    for slot, own in waiting:
        same_pool = [other for _, other in waiting if other.urgency.is_repair is own.urgency.is_repair]
        before = sum(other.order < own.order for other in same_pool)
        assert f"{before or 'no'} {'shard comes' if before == 1 else 'shards come'} before it" in slot.reason


def test_a_higher_limit_holds_at_once() -> None:
    """Limits are read each time: after a reload the next request finds the new ones, and those before it are woken."""
    fleet = Fleet(4)
    fleet.ask([request(n) for n in range(3)])
    fleet.limits = BudgetLimits(recoveries=4, repairs=1)
    assert fleet.slots[3].ask(request(3))
    assert fleet.woken == [2]


@pytest.mark.parametrize("recovery", Recovery)
def test_every_recovery_has_its_urgency(recovery: Recovery) -> None:
    """Replacing a primary is most urgent, and so is the test that it may need; a first election is no repair."""
    urgency = recovery.traits.urgency
    is_lost = recovery.replaces_primary or recovery is Recovery.RESTART_DIRECT_REPLICA
    assert (urgency is Urgency.LOST_PRIMARY) is is_lost
    assert urgency.is_repair is not (is_lost or recovery is Recovery.ELECT_NEW_PRIMARY)


_REQUESTS = st.builds(
    lambda urgency, since, tries: (urgency, float(since), tries),
    st.sampled_from(Urgency),
    st.integers(0, 5),
    st.integers(0, 2),
)
_STEPS = st.lists(st.tuples(st.integers(0, 11), st.none() | _REQUESTS), max_size=80)


# A lost primary whose problem turned into a repair gave its slot to a repair that was less urgent than its own.
@example(
    steps=[
        (0, (Urgency.LOST_PRIMARY, 0.0, 0)),
        (1, (Urgency.PRIMARY_REPAIR, 0.0, 0)),
        (2, (Urgency.PRIMARY_REPAIR, 0.0, 0)),
        (4, (Urgency.LOST_PRIMARY, 0.0, 0)),
        (5, (Urgency.PRIMARY_REPAIR, 0.0, 0)),
        (3, (Urgency.REPLICA_REPAIR, 0.0, 0)),
        (0, (Urgency.PRIMARY_REPAIR, 0.0, 0)),
    ],
    limits=BudgetLimits(recoveries=1, repairs=4),
)
@given(steps=_STEPS, limits=st.builds(BudgetLimits, recoveries=st.integers(1, 3), repairs=st.integers(1, 5)))
def test_whatever_happens_the_limits_and_the_order_hold(
    steps: list[tuple[int, tuple[Urgency, float, int] | None]], limits: BudgetLimits
) -> None:
    """Shards ask, change their requests and leave in any order; the limits and the order hold.

    There are never more slots than the limit, and none is idle while a replacement waits. Each slot goes to the first
    in order.
    """
    fleet = Fleet(12, limits)
    budget = fleet.budget
    for number, what in steps:
        slot = fleet.slots[number]
        waiting = {p: p.request for p in budget.waiting if p is not slot and p.request is not None}
        if what is None:
            slot.leave()
        else:
            urgency, since, tries = what
            slot.ask(request(number, urgency, since=since, tries=tries))
        assert budget.under_way(repairs=False) <= limits.recoveries
        assert budget.under_way(repairs=True) <= limits.repairs
        queued = [p for p in budget.waiting if p.request is not None and not p.request.urgency.is_repair]
        assert not queued or budget.under_way(repairs=False) == limits.recoveries
        assert {p for p in fleet.slots if p.has_slot} == set(budget.holding)
        assert {p for p in fleet.slots if p.is_queued} == set(budget.waiting)
        for granted in (p for p in waiting if p.has_slot):
            _comes_first(granted, budget.waiting)
    for slot in fleet.slots:
        slot.leave()
    assert not budget.holding
    assert not budget.waiting


def _comes_first(granted: TurnSlot, waiting: Sequence[TurnSlot]) -> None:
    assert granted.request is not None
    for other in waiting:
        assert other.request is not None
        if other.request.urgency.is_repair is granted.request.urgency.is_repair:
            assert granted.request.order < other.request.order


@given(seed=st.integers(0, 2**32))
def test_nothing_leaks_when_shards_are_cancelled_or_fail(seed: int) -> None:
    """Loops that wait for turns, hold them, fail and are cancelled at any moment leave neither a slot nor a place
    behind.
    """
    generator = random.Random(seed)
    under_way: set[int] = set()

    async def loop(number: int, budget: FleetBudget) -> None:
        changed = asyncio.Event()
        with budget.new_slot(changed.set) as slot:
            for _ in range(5):
                urgency = generator.choice(list(Urgency))
                while not slot.ask(request(number, urgency, since=generator.random())):
                    await changed.wait()
                    changed.clear()
                under_way.add(number)
                assert budget.under_way(repairs=False) <= LIMITS.recoveries
                assert budget.under_way(repairs=True) <= LIMITS.repairs
                try:
                    await asyncio.sleep(generator.uniform(0.0, 2.0))
                    if generator.random() < 0.1:
                        raise ValueError("a recovery that breaks")
                finally:
                    under_way.discard(number)
                if generator.random() < 0.8:
                    slot.leave()

    async def main() -> None:
        budget = FleetBudget(lambda: LIMITS, asyncio.get_running_loop().time)
        tasks = [asyncio.create_task(loop(number, budget)) for number in range(12)]
        for task in generator.sample(tasks, 6):
            await asyncio.sleep(generator.uniform(0.0, 1.0))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not budget.holding
        assert not budget.waiting
        assert all(task.done() for task in tasks)

    run(main(), seed=seed)
    assert not under_way


def test_leaving_twice_gives_back_one_slot() -> None:
    """Leaving without a slot or a place in the queue changes nothing."""
    fleet = Fleet(3)
    fleet.ask([request(0), request(1), request(2)])
    fleet.slots[0].leave()
    fleet.slots[0].leave()
    assert fleet.budget.under_way(repairs=False) == LIMITS.recoveries


@pytest.mark.parametrize(
    ("most", "factor", "left"), [(32, 1.0, 32), (32, 2.0, 16), (32, 16.0, LEAST_UNDER_WAY), (3, 16.0, 3), (9, 1.25, 8)]
)
def test_a_late_vtorc_has_fewer_recoveries_under_way(most: int, factor: float, left: int) -> None:
    """The limit is divided by the factor of lateness, but a few recoveries always go on."""
    assert BudgetLimits(recoveries=most, repairs=most).divided_by(factor) == BudgetLimits(recoveries=left, repairs=left)
