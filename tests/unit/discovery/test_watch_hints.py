"""What makes a shard suspicious, which tablets are asked then, and how urgently."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, alias, gtids
from tests.unit.discovery.watched_shard import (
    EVERYTHING,
    R1,
    R2,
    REFUSED,
    SELDOM,
    SILENT,
    TOPOLOGY,
    NotingBudget,
    Tablets,
    ask,
    changes_within,
    not_receiving,
    status_of,
    watching,
)
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.remembered import RememberedTablet
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import UNSTABLE_AFTER, TabletMemory
from vtorc.discovery.probe_budget import Lane
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletUnreachable

CALM, SUSPECTED, LOST = Lane.CALM, Lane.SUSPECTED, Lane.LOST_PRIMARY
SHUT_DOWN = TabletUnreachable("shut down", reason="shut down")


IN_NO_HURRY = replace(SELDOM, hurried_interval=100.0, fading_interval=100.0)
"""A pace at which a tablet is asked only for a reason, in a suspicious shard too."""


def unstable(name: str) -> dict[str, Any]:
    """Return the part of a watch that remembers a tablet which comes and goes."""
    kind = next(record.type for record in TOPOLOGY.tablets if record.alias == alias(name))
    memory = TabletMemory(was_heard=True, failed_at=(0.0,) * UNSTABLE_AFTER)
    return {"remembered": {alias(name): RememberedTablet(kind, 0.0, memory)}}


async def is_in_a_hurry(watch: ShardWatch, tablets: Tablets) -> bool:
    """Whether all tablets are asked again and again now."""
    tablets.asked.clear()
    await asyncio.sleep(0.5)
    return all(tablets.asked.count(name) >= 2 for name in EVERYTHING)


@pytest.mark.parametrize(
    ("name", "answer", "is_suspicious"),
    [
        pytest.param(P, SILENT, True, id="primary silent"),
        pytest.param(R1, REFUSED, True, id="replica refuses"),
        pytest.param(R1, not_receiving(R1), True, id="replica lost its source"),
        pytest.param(R1, SHUT_DOWN, False, id="replica shut down"),
        pytest.param(R1, replace(status_of(R1), executed=gtids("100:1-60")), False, id="replica further"),
    ],
)
def test_a_tablet_that_gets_worse_makes_the_shard_suspicious(
    name: str, answer: TabletStatus | Exception, is_suspicious: bool
) -> None:
    """All tablets are asked at once and then in a hurry, and that is told once."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert not watch.take_suspicion()
        tablets.answers[name] = answer
        await ask(watch, name)
        assert watch.take_suspicion() is is_suspicious
        assert not watch.take_suspicion()
        await asyncio.sleep(0.0)
        assert tablets.asked_since_last() == (EVERYTHING if is_suspicious else {name})
        assert await is_in_a_hurry(watch, tablets) is is_suspicious

    watching(test)


@pytest.mark.parametrize("answer", [SILENT, not_receiving(R1)])
def test_a_tablet_that_stays_as_bad_is_no_further_reason(answer: TabletStatus | Exception) -> None:
    """The hurry fades, instead of beginning anew with each answer."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R1] = answer
        await ask(watch, R1)
        assert watch.take_suspicion()
        for _ in range(3):
            await watch.refresh(1.0)
        assert not watch.take_suspicion()

    watching(test)


def test_a_replica_that_begins_to_receive_again_is_no_reason() -> None:
    """Only the end of a stream is one."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R1] = not_receiving(R1)
        await ask(watch, R1)
        watch.take_suspicion()
        tablets.answers[R1] = status_of(R1)
        await watch.refresh(1.0)
        assert not watch.take_suspicion()

    watching(test)


def test_a_replica_that_lost_its_source_has_the_primary_asked_before_others() -> None:
    """It tells of its source first of all; no other tablet is put first."""
    budget = NotingBudget()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R2] = not_receiving(R2)
        budget.moves_since_last()
        await ask(watch, R2)
        hinted = [moves & {Lane.HINTED_PRIMARY, Lane.HINTED} for moves in budget.moves_since_last()]
        assert hinted == [{Lane.HINTED_PRIMARY}, set(), set()]

    watching(test, budget=budget)


def test_a_broken_health_stream_has_its_tablet_asked_first_of_all_tablets() -> None:
    """It is a hint that something happened to this one."""
    budget = NotingBudget()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        budget.moves_since_last()
        tablets.streams[R1].set()
        await asyncio.sleep(0.01)
        assert watch.take_suspicion()
        assert tablets.asked_since_last() == EVERYTHING
        assert [Lane.HINTED in moves for moves in budget.moves_since_last()] == [False, True, False]

    watching(test, budget=budget)


def test_a_hint_about_a_replica_that_comes_and_goes_has_it_asked_alone() -> None:
    """It concerns no other tablet; it is asked at once all the same."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.streams[R1].set()
        await asyncio.sleep(0.01)
        assert not watch.take_suspicion()
        assert tablets.asked_since_last() == {R1}

    watching(test, **unstable(R1))


def test_a_hint_about_a_primary_that_comes_and_goes_has_all_tablets_asked() -> None:
    """It may be lost this time."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.streams[P].set()
        await asyncio.sleep(0.01)
        assert watch.take_suspicion()
        assert tablets.asked_since_last() == EVERYTHING

    watching(test, **unstable(P))


@pytest.mark.parametrize(("name", "asked"), [(P, EVERYTHING), (R1, {R1})])
def test_one_more_failure_of_a_tablet_that_comes_and_goes_is_no_suspicion(name: str, asked: set[str]) -> None:
    """While such a primary fails, all tablets are asked about once a second."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[name] = SILENT
        await ask(watch, name)
        await asyncio.sleep(0.0)
        assert not watch.take_suspicion()
        assert tablets.asked_since_last() == asked
        await asyncio.sleep(10.0)
        often = 9 if name == P else 0
        assert all(often <= tablets.asked.count(each) <= often + 1 for each in EVERYTHING)

    watching(test, **unstable(name))


def test_a_slow_primary_makes_the_shard_suspicious() -> None:
    """Long before the deadline of its call has passed."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.takes[P] = 4.0
        asking = asyncio.create_task(ask(watch, P))
        await asyncio.sleep(0.4)
        assert not watch.take_suspicion()
        await asyncio.sleep(0.2)
        assert watch.take_suspicion()
        assert tablets.asked_since_last() == EVERYTHING
        await asking

    watching(test)


def test_the_urgency_of_all_questions_is_that_of_what_is_suspected() -> None:
    """A primary that fails is the most urgent; without a suspicion a failure is of no urgency."""
    budget = NotingBudget()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        async def lanes_after(change: Callable[[], object]) -> list[Lane]:
            change()
            await asyncio.sleep(1.0)
            return budget.lanes

        assert budget.lanes == [CALM] * 3
        assert await lanes_after(watch.suspect) == [SUSPECTED] * 3
        assert await lanes_after(lambda: tablets.answers.update({R1: SILENT})) == [SUSPECTED] * 3
        assert await lanes_after(lambda: tablets.answers.update({P: SILENT})) == [LOST] * 3
        watch.update(replace(TOPOLOGY, read_at=1.0, tablets=TOPOLOGY.tablets[:2]))
        watch.update(replace(TOPOLOGY, read_at=1.0))
        await asyncio.sleep(0.2)
        assert budget.lanes[3:] == [LOST]
        assert await lanes_after(lambda: tablets.answers.update({P: status_of(P)})) == [SUSPECTED] * 2 + [
            LOST,
            SUSPECTED,
        ]
        watch.hurry(since=None)
        assert [budget.lanes[place] for place in (0, 1, 3)] == [CALM] * 3

    watching(test, budget=budget)


def test_a_primary_that_answers_again_makes_its_shard_less_urgent_at_once() -> None:
    """Other shards may have lost theirs: its first answer is enough."""
    budget = NotingBudget()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[P] = SILENT
        await ask(watch, P)
        assert budget.lanes == [LOST] * 3
        await asyncio.sleep(1.0)
        tablets.answers[P] = status_of(P)
        await ask(watch, P)
        assert budget.lanes == [SUSPECTED] * 3

    watching(test, budget=budget, pace=IN_NO_HURRY)


@pytest.mark.parametrize("name", [None, P])
def test_what_is_new_in_a_hurry_has_all_tablets_asked_at_once(name: str | None) -> None:
    """Their next questions are not waited for, neither after a hint nor once a primary that comes and goes fails."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.hurry(since=0.5)
        await asyncio.sleep(1.0)
        tablets.asked.clear()
        if name is None:
            watch.suspect()
        else:
            tablets.answers[name] = SILENT
            await ask(watch, name)
        await asyncio.sleep(0.01)
        assert tablets.asked_since_last() == EVERYTHING

    watching(test, pace=IN_NO_HURRY, **unstable(P))


def test_a_hurry_ends_when_it_is_told_to_end() -> None:
    """All tablets are asked at the calm pace again."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.suspect()
        assert await is_in_a_hurry(watch, tablets)
        watch.hurry(since=None)
        await asyncio.sleep(0.2)
        tablets.asked.clear()
        await asyncio.sleep(100.0)
        assert tablets.asked == []

    watching(test)


def test_a_hurry_that_goes_on_asks_nothing_more() -> None:
    """Only what is new has all tablets asked at once."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.hurry(since=1.0)
        await asyncio.sleep(0.01)
        assert tablets.asked_since_last() == EVERYTHING
        watch.hurry(since=1.0)
        watch.hurry(since=1.1)
        await asyncio.sleep(0.01)
        assert tablets.asked_since_last() == set()

    watching(test)


class Mysql:
    """The MySQL servers, asked by vtorc itself."""

    def __init__(self, *answers: DirectOutcome) -> None:
        self._answers = list(answers)
        self.asked: list[TabletRecord] = []
        self.lost: dict[TabletAlias, Callable[[], None]] = {}
        """What is told when the connection to a server ends."""

    async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
        self.lost[tablet().alias] = lost
        await asyncio.get_running_loop().create_future()

    async def ask(self, tablet: TabletRecord) -> DirectAnswer:
        self.asked.append(tablet)
        await asyncio.sleep(0.02)
        return DirectAnswer(outcome=self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])


def test_the_direct_answer_of_a_silent_tablet_is_in_the_view_and_told_if_it_is_another() -> None:
    """A further answer of the same kind is no news, but moves its moment."""
    mysql = Mysql(DirectOutcome.GREETS, DirectOutcome.ANSWERS, DirectOutcome.ANSWERS)

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert all(tablet.is_asked_directly for tablet in watch.view().tablets)
        tablets.answers[R1] = REFUSED
        await ask(watch, R1)
        watch.hurry(since=None)
        await asyncio.sleep(0.01)
        await watch.wait_changed(0.0)
        changes, revision, before = watch.changes, watch.revision, watch.view()
        assert await changes_within(watch, 1.5) == [0.01, 1.03]
        direct = watch.view().tablets[1].direct
        assert direct is not None
        assert direct.outcome is DirectOutcome.ANSWERS
        assert (watch.changes, watch.revision) == (changes + 2, revision + 2)
        assert await changes_within(watch, 1.5) == []
        assert watch.changes > changes + 2
        later = watch.view().tablets[1].direct
        assert later is not None
        assert later.asked_at > direct.asked_at
        assert {record.alias for record in mysql.asked} == {alias(R1)}
        assert before.tablets[1].direct is None

    watching(test, pace=IN_NO_HURRY, sentinel=mysql)


def test_the_end_of_a_connection_to_a_server_is_a_hint_about_its_tablet() -> None:
    """It makes the shard suspicious as a broken health stream does."""
    mysql = Mysql(DirectOutcome.ANSWERS)

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        mysql.lost[alias(R2)]()
        assert watch.take_suspicion()
        await asyncio.sleep(0.01)
        assert tablets.asked_since_last() == EVERYTHING

    watching(test, sentinel=mysql)


def test_without_connections_of_its_own_vtorc_asks_no_mysql() -> None:
    """The view says so, as some verdicts wait for such an answer."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert not any(tablet.is_asked_directly for tablet in watch.view().tablets)

    watching(test)
