"""What a probe does when it hears of a newer record or a suspicion, and when something waits for its answer."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.core.builders import P, record
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe import TabletProbe, failure_of
from vtorc.discovery.probe_budget import Lane, ProbeBudget, ProbeSlot
from vtorc.discovery.probe_pace import ProbePace
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletError, TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager

RECORD = record(P, TabletType.REPLICA)


class Tablet:
    """A tablet that notes when it is asked, at which host, and answers after so many seconds."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.takes = 0.0
        self.is_silent = False
        self.ping_ends: Callable[[], object] = lambda: None

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        self.asked.append((round(asyncio.get_running_loop().time(), 3), tablet.hostname))
        await asyncio.sleep(self.takes)
        if self.is_silent:
            raise TabletUnreachable("no answer", reason="timeout")
        return TabletStatus()

    async def ping(self, tablet: TabletRecord) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ping_ends()


class Rig:
    """A probe at work, the tablet that it asks, and its place among the questions of the fleet."""

    def __init__(self) -> None:
        clock = LoopClock()
        self.tablet = Tablet()
        self.slot = ProbeBudget(clock.now).new_slot()
        self.probe = TabletProbe(
            RECORD, cast(TabletManager, self.tablet), clock, lambda before, after: None, slot=self.slot
        )

    def lane(self) -> Lane:
        """How urgent its questions are."""
        return self.slot.lane

    @property
    def times(self) -> list[float]:
        """When the tablet was asked."""
        return [at for at, _ in self.tablet.asked]

    def told(self, **changes: Any) -> bool:
        """Let the probe take over a newer record, which differs in this; returns whether it says so."""
        return self.probe.update_record(replace(self.probe.record, **changes), read_at=0.0)


def at_work(main: Callable[[Rig], Awaitable[None]]) -> None:
    """Run a test beside a probe that has asked once, at 0 s, and is calm."""

    async def work() -> None:
        rig = Rig()
        probing = asyncio.create_task(rig.probe.run(ProbePace))
        await asyncio.sleep(0.5)
        assert rig.times == [0.0]
        await main(rig)
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)

    run(work(), seed=1)


async def soon() -> None:
    """Let a question be asked that is due now."""
    await asyncio.sleep(0.001)


# A newer record


@pytest.mark.parametrize("changes", [{"hostname": "elsewhere"}, {"grpc_port": 16000}], ids=["host", "port"])
def test_a_tablet_that_has_moved_is_asked_at_once(changes: dict[str, Any]) -> None:
    """What it told at its old address may be of another process."""

    async def main(rig: Rig) -> None:
        assert rig.told(**changes)
        await soon()
        assert rig.tablet.asked[1:] == [(0.5, rig.probe.record.hostname)]
        assert rig.probe.record == replace(RECORD, **changes)

    at_work(main)


def test_what_is_learnt_while_the_ping_of_a_failed_call_ends_is_kept() -> None:
    """Another tablet may be heard then, or the topology read. A time without news was forgotten that way."""

    async def main(rig: Rig) -> None:
        rig.tablet.is_silent = True
        rig.probe.ask_now()
        await soon()

        def learn() -> None:
            rig.told(type=TabletType.SPARE)
            rig.probe.note_memory(replace(rig.probe.view.memory, unheard_until=0.5))

        rig.tablet.ping_ends = learn
        rig.probe.ask_now()
        await soon()
        assert rig.probe.view.failures_in_row == 2
        assert rig.probe.record.type is TabletType.SPARE
        assert rig.probe.view.memory.former_types.keys() == {TabletType.REPLICA}
        assert rig.probe.view.memory.unheard_until == 0.5

    at_work(main)


def test_another_type_is_taken_over_without_a_question() -> None:
    """The tablet is where it was."""

    async def main(rig: Rig) -> None:
        assert rig.told(type=TabletType.SPARE)
        await soon()
        assert rig.times == [0.0]
        assert rig.probe.record.type is TabletType.SPARE

    at_work(main)


def test_the_same_record_is_no_news() -> None:
    """The reading counts for what is remembered, and changes nothing else."""

    async def main(rig: Rig) -> None:
        assert not rig.told()
        await soon()
        assert rig.times == [0.0]

    at_work(main)


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({"hostname": "", "mysql_hostname": "", "mysql_port": 0}, RECORD.mysql_address),
        ({"hostname": "", "mysql_hostname": "moved", "mysql_port": 3307}, ("moved", 3307)),
        ({"mysql_hostname": "", "mysql_port": 0}, ("", 0)),
    ],
    ids=["shut down and blank", "shut down", "blank"],
)
def test_the_address_of_a_tablet_that_was_shut_down_is_kept(changes: dict[str, Any], address: tuple[str, int]) -> None:
    """Its record has lost it, and its replicas still name it as their source."""

    async def main(rig: Rig) -> None:
        rig.told(**changes)
        assert rig.probe.record.mysql_address == address

    at_work(main)


def test_what_a_count_made_of_its_clients_is_remembered() -> None:
    """How many are unknown, and whether the count was complete."""

    async def main(rig: Rig) -> None:
        for number, explained in ((2, True), (2, False), (0, False)):
            rig.probe.note_unknown_clients(number, explained=explained)
            memory = rig.probe.view.memory
            assert (memory.unknown_clients, memory.clients_explained) == (number, explained)

    at_work(main)


# A suspicion


def test_a_suspicion_asks_once_and_its_end_asks_nothing() -> None:
    """The hurried pace brings the next questions."""

    async def main(rig: Rig) -> None:
        rig.probe.hurry(since=None)
        await soon()
        assert rig.times == [0.0]
        rig.probe.hurry(since=0.5)
        await soon()
        assert rig.times == [0.0, 0.501]
        rig.probe.hurry(since=0.4)
        await soon()
        rig.probe.hurry(since=None)
        await soon()
        assert rig.times == [0.0, 0.501]

    at_work(main)


# An answer that is waited for


def test_a_wait_for_an_answer_has_the_tablet_asked_at_once_and_first() -> None:
    """The question goes before those of other shards for as long as anything waits for the answer."""

    async def main(rig: Rig) -> None:
        rig.tablet.takes = 1.0
        loop = asyncio.get_running_loop()
        waits = [asyncio.create_task(rig.probe.wait_for_probe(loop.time())) for _ in range(2)]
        await soon()
        assert rig.times == [0.0, 0.5]
        assert rig.lane() is Lane.AWAITED
        waits.pop().cancel()
        rig.probe.set_lane(Lane.SUSPECTED)
        await soon()
        assert rig.lane() is Lane.AWAITED
        await waits[0]
        assert round(loop.time(), 3) == 1.5
        assert rig.lane() is Lane.SUSPECTED

    at_work(main)


def test_a_question_that_is_waited_for_is_urgent_while_it_has_no_slot() -> None:
    """It overtakes those that wait for slots, and not only once it has one."""

    async def main(rig: Rig) -> None:
        waiting = asyncio.create_task(rig.probe.wait_for_probe(asyncio.get_running_loop().time()))
        await asyncio.sleep(0)
        assert (rig.times, rig.lane()) == ([0.0], Lane.AWAITED)
        await waiting

    at_work(main)


@pytest.mark.parametrize(("moment", "until"), [(0.5, 1.5), (0.6, 2.5)], ids=["as it began", "after it began"])
def test_an_answer_counts_if_its_question_began_no_earlier_than_that(moment: float, until: float) -> None:
    """A question that began before may have been answered before, so the next one is waited for."""

    async def main(rig: Rig) -> None:
        rig.tablet.takes = 1.0
        rig.probe.ask_now()
        await asyncio.sleep(0.1)
        await rig.probe.wait_for_probe(moment)
        assert round(asyncio.get_running_loop().time(), 3) == until

    at_work(main)


@pytest.mark.parametrize(
    ("type_", "hinted"), [(TabletType.PRIMARY, Lane.HINTED_PRIMARY), (TabletType.REPLICA, Lane.HINTED)]
)
def test_the_first_question_after_a_hint_is_more_urgent_than_those_that_follow(type_: TabletType, hinted: Lane) -> None:
    """It is asked before tablets that were asked since they were suspected, and a primary before a replica."""

    async def main(rig: Rig) -> None:
        rig.told(type=type_)
        rig.probe.look_first()
        assert rig.lane() is hinted
        rig.probe.set_lane(Lane.SUSPECTED)
        assert rig.lane() is hinted
        rig.probe.ask_now()
        await soon()
        assert (rig.times, rig.lane()) == ([0.0, 0.5], Lane.SUSPECTED)

    at_work(main)


def test_the_first_question_after_the_primary_failed_is_the_most_urgent() -> None:
    """The verdict on a lost primary waits for it; what is asked again later waits its turn."""

    async def main(rig: Rig) -> None:
        rig.probe.set_lane(Lane.LOST_PRIMARY)
        assert rig.lane() is Lane.AWAITED
        rig.probe.ask_now()
        await soon()
        assert rig.lane() is Lane.LOST_PRIMARY
        rig.probe.set_lane(Lane.LOST_PRIMARY)
        assert rig.lane() is Lane.LOST_PRIMARY

    at_work(main)


def test_an_answer_in_doubt_is_waited_for_again() -> None:
    """What broke the tablet's health stream came after its last answer."""

    async def main(rig: Rig) -> None:
        rig.probe.doubt()
        waiting = asyncio.create_task(rig.probe.wait_until_it_answers())
        await soon()
        assert not waiting.done()
        rig.probe.ask_now()
        await waiting
        assert len(rig.times) == 2

    at_work(main)


def test_a_tablet_that_is_silent_is_waited_for_until_it_answers() -> None:
    """A failure is no answer, and one that has answered is not waited for."""

    async def main(rig: Rig) -> None:
        await rig.probe.wait_until_it_answers()
        rig.tablet.is_silent = True
        await rig.probe.wait_for_probe(0.5)
        waiting = asyncio.create_task(rig.probe.wait_until_it_answers())
        await rig.probe.wait_for_probe(0.6)
        assert rig.probe.view.last_probe.failure_text == "no answer"
        assert not waiting.done()
        rig.tablet.is_silent = False
        await rig.probe.wait_for_probe(asyncio.get_running_loop().time())
        await waiting

    at_work(main)


# Its place among all questions


class Slot:
    """A place in the queue that takes so many seconds to come, and notes which questions need a connection."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.dials: list[bool] = []
        self.held = 0

    async def take(self, *, dial: bool) -> None:
        self.dials.append(dial)
        await asyncio.sleep(self.takes)
        self.held += 1

    def free(self) -> None:
        self.held -= 1

    def move(self, lane: Lane) -> None:
        pass


def asked_through(slot: Slot, *, seconds: float, hurried: bool = True, act: Callable[[Tablet], None]) -> list[float]:
    """When a tablet was asked in that time; `act` is called after a second."""

    async def main() -> list[float]:
        clock, tablet = LoopClock(), Tablet()
        probe = TabletProbe(
            RECORD, cast(TabletManager, tablet), clock, lambda before, after: None, slot=cast(ProbeSlot, slot)
        )
        if hurried:
            probe.hurry(since=0.0)
        probing = asyncio.create_task(probe.run(ProbePace))
        asyncio.get_running_loop().call_later(1.0, act, tablet)
        await asyncio.sleep(seconds)
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        assert slot.held == 0
        return [at for at, _ in tablet.asked]

    return run(main(), seed=1)


def test_a_question_to_a_tablet_that_did_not_answer_needs_a_connection() -> None:
    """The first one does, those after an answer do not, and those after a failure do again."""
    slot = Slot()

    def fall_silent(tablet: Tablet) -> None:
        tablet.is_silent = True

    asked_through(slot, seconds=2.0, act=fall_silent)
    answered = slot.dials.count(False)
    assert slot.dials[: 1 + answered] == [True, *[False] * answered]
    assert set(slot.dials[1 + answered :]) == {True}
    assert answered > 2


@pytest.mark.parametrize(("takes", "apart"), [(0.0, 0.15), (0.5, 1.5), (20.0, 25.0)])
def test_where_questions_wait_they_come_less_often(takes: float, apart: float) -> None:
    """The pause after one is twice what it waited, the calm interval at most."""
    first, second, *_ = asked_through(Slot(takes), seconds=2 * takes + 10.0, act=lambda _: None)
    assert second - first == pytest.approx(apart, abs=0.01)


def test_the_first_pauses_of_calm_tablets_differ() -> None:
    """Tablets that were found in one reading are not asked all at once ever after."""
    times = asked_through(Slot(), seconds=20.0, hurried=False, act=lambda _: None)
    share = zlib.crc32(str(RECORD.alias).encode()) / 2**32
    assert times[1] - times[0] == pytest.approx(5.0 * share, abs=0.01)
    assert times[2] - times[1] == pytest.approx(5.0, abs=0.01)


def test_a_tablet_that_was_shut_down_is_not_asked_and_does_not_come_and_go() -> None:
    """Its record says so, and its end is no failure of a tablet that answers."""

    async def main(rig: Rig) -> None:
        rig.told(hostname="")
        await rig.probe.wait_for_probe(0.5)
        assert rig.probe.view.failure is ProbeFailure.SHUT_DOWN
        assert rig.times == [0.0]
        assert rig.probe.view.memory.failed_at == ()

    at_work(main)


# Why it failed


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TabletUnreachable("-", reason="refused"), ProbeFailure.REFUSED),
        (TabletUnreachable("-", reason="timeout"), ProbeFailure.TIMEOUT),
        (TabletUnreachable("-", reason="shut down"), ProbeFailure.SHUT_DOWN),
        (TabletUnreachable("-", reason="unreachable"), ProbeFailure.UNREACHABLE),
        (TabletBadAnswer("-"), ProbeFailure.BAD_ANSWER),
        *((TabletCallFailed("-", errno=errno), ProbeFailure.MYSQL_DOWN) for errno in (2002, 2003, 2006, 2013)),
        (TabletCallFailed("-", errno=1045), ProbeFailure.ERROR),
        (TabletCallFailed("-"), ProbeFailure.ERROR),
        (TabletCallUnknown("-"), ProbeFailure.ERROR),
    ],
)
def test_each_error_is_of_one_part_of_the_tablet(error: TabletError, failure: ProbeFailure) -> None:
    """The host, the tablet manager or its mysqld; only some of these errors say that the mysqld is gone."""
    assert failure_of(error) is failure
