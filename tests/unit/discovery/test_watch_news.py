"""What is told of a shard as a change, and when waits for its tablets end."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, gtids
from tests.unit.discovery.watched_shard import (
    EVERYTHING,
    R1,
    R2,
    REFUSED,
    SILENT,
    Tablets,
    ask,
    changes_within,
    status_of,
    watching,
)
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.watch import ShardWatch


@pytest.mark.parametrize("change", [ShardWatch.wake, ShardWatch.note_holds, ShardWatch.suspect])
def test_a_change_ends_the_wait_for_changes(change: Callable[[ShardWatch], None]) -> None:
    """The next wait begins anew, and ends by itself."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert await changes_within(watch, 10.0) == []
        asyncio.get_running_loop().call_later(2.0, change, watch)
        assert await changes_within(watch, 10.0) == [2.0]

    watching(test)


def test_a_timer_of_a_wait_that_has_ended_ends_no_other() -> None:
    """It is cancelled, so that a loop of waits does not turn round and round."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        asyncio.get_running_loop().call_later(2.0, watch.wake)
        await watch.wait_changed(3.0)
        assert await changes_within(watch, 10.0) == []

    watching(test)


@pytest.mark.parametrize(
    ("answer", "moments"),
    [
        pytest.param(status_of(R1), [], id="the same"),
        pytest.param(replace(status_of(R1), executed=gtids("100:1-60")), [], id="another position"),
        pytest.param(replace(status_of(R1), read_only=False), [0.0], id="another setting"),
    ],
)
def test_an_answer_is_told_if_it_changes_more_than_positions(answer: TabletStatus, moments: list[float]) -> None:
    """Then the shard is judged at once."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R1] = answer
        changing = asyncio.create_task(changes_within(watch, 1.0))
        await asyncio.sleep(0.0)
        await ask(watch, R1)
        assert await changing == moments

    watching(test)


def test_the_first_answer_since_the_primary_failed_is_told_though_it_is_the_same() -> None:
    """It is evidence; further ones are not, nor are more failures than count."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[P] = SILENT
        tablets.takes.update({R1: 0.05, R2: 0.07})
        changing = asyncio.create_task(changes_within(watch, 5.0))
        await asyncio.sleep(0.0)
        await ask(watch, P)
        assert await changing == [0.0, 0.0, 0.05, 0.07, 0.15]

    watching(test)


def test_the_first_answer_since_a_replica_failed_is_no_news() -> None:
    """Only the loss of a primary asks for new answers of all others."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R1] = SILENT
        tablets.takes.update({P: 0.05, R2: 0.07})
        changing = asyncio.create_task(changes_within(watch, 5.0))
        await asyncio.sleep(0.0)
        await ask(watch, R1)
        assert await changing == [0.0, 0.0, 0.15]

    watching(test)


@pytest.mark.parametrize(("answer", "silent"), [(SILENT, [R2]), (REFUSED, []), (status_of(R2), [])])
def test_only_tablets_that_did_not_answer_in_time_are_silent(
    answer: TabletStatus | Exception, silent: list[str]
) -> None:
    """To wait for them again would cost the whole deadline; a refusal costs nothing."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R2] = answer
        await watch.refresh(1.0)
        assert watch.silent_tablets() == tuple(map(alias, silent))

    watching(test)


def test_a_refresh_ends_with_the_last_answer_or_at_its_deadline() -> None:
    """Tablets that are left out are not asked."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        now = asyncio.get_running_loop().time
        tablets.takes.update({R1: 0.3, R2: 900.0})
        began = now()
        await watch.refresh(2.0, leave_out=[alias(R2)])
        assert now() == began + 0.3
        assert tablets.asked_since_last() == {P, R1}
        began = now()
        await watch.refresh(2.0)
        assert now() == pytest.approx(began + 2.0, abs=0.05)
        assert tablets.asked_since_last() == EVERYTHING

    watching(test)
