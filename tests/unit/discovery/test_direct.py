"""Questions to the MySQL of a tablet itself, while its tablet manager does not answer."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from structlog.testing import capture_logs

from tests.unit.core.builders import P, record
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery import direct as direct_module
from vtorc.discovery.direct import ask_while_silent
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import ProbePace
from vtorc.errors import TabletUnreachable
from vtorc.sim.engine.loop import current_loop, run
from vtorc.tablet.api import TabletManager

LIVES = DirectAnswer(outcome=DirectOutcome.ANSWERS)
GONE = DirectAnswer(outcome=DirectOutcome.REFUSED)
HANGS = DirectAnswer(outcome=DirectOutcome.NO_GREETING)


class Tablet:
    """A tablet manager that refuses from the first to the second of these seconds, from the third to the fourth."""

    def __init__(self, *fails: float) -> None:
        self._fails = tuple(zip(fails[::2], fails[1::2], strict=True))

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        now = asyncio.get_running_loop().time()
        if any(begins <= now < ends for begins, ends in self._fails):
            raise TabletUnreachable("no listener", reason="refused")
        return TabletStatus()


class Mysql:
    """A server that answers in this way each time, after half a second; vtorc stands still during a question."""

    def __init__(self, answer: DirectAnswer, *, still: float = 0.0) -> None:
        self._answer = answer
        self._still = still
        self.asked_at: list[float] = []

    async def ask(self, tablet: TabletRecord) -> DirectAnswer:
        self.asked_at.append(round(asyncio.get_running_loop().time(), 1))
        await asyncio.sleep(0.25)
        if self._still:
            current_loop().stand_still(self._still)
        await asyncio.sleep(0.25)
        return self._answer


class Watched:
    """A tablet that is probed, and its MySQL asked, for a minute in virtual time."""

    def __init__(
        self,
        mysql: Mysql,
        tablet: Tablet,
        *,
        type_: TabletType = TabletType.PRIMARY,
        mysql_port: int = 3306,
    ) -> None:
        self.mysql = mysql
        self.told: list[tuple[float, bool]] = []
        self.seen: list[DirectOutcome | None] = []
        run(self._main(tablet, record(P, type_, mysql_port=mysql_port)))

    async def _main(self, tablet: Tablet, its_record: TabletRecord) -> None:
        clock, now = LoopClock(), asyncio.get_running_loop().time
        probe = TabletProbe(its_record, cast(TabletManager, tablet), clock, lambda before, after: None)

        def told(is_news: bool) -> None:
            self.told.append((round(now(), 1), is_news))

        tasks = [
            asyncio.create_task(clock.run(lambda took: None)),
            asyncio.create_task(probe.run(ProbePace)),
            asyncio.create_task(ask_while_silent(probe, self.mysql, clock, told)),
        ]
        for _ in range(60):
            await asyncio.sleep(1.0)
            self.seen.append(probe.view.direct.outcome if probe.view.direct is not None else None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def pauses(moments: Sequence[float]) -> list[float]:
    """The seconds between the answers and the next questions."""
    return [round(after - before - 0.5, 1) for before, after in itertools.pairwise(moments)]


def test_a_tablet_that_answers_has_its_mysql_left_alone() -> None:
    """Without a failure no connection is made."""
    watched = Watched(Mysql(LIVES), Tablet(100.0, 100.0))
    assert (watched.mysql.asked_at, watched.told) == ([], [])


def test_the_answer_is_known_until_the_tablet_manager_answers_again() -> None:
    """The first answer is news and later ones of its kind are not; one of a failure that is over is forgotten."""
    watched = Watched(Mysql(LIVES), Tablet(10.0, 20.0))
    assert [is_news for _, is_news in watched.told] == [True] + [False] * (len(watched.told) - 1)
    assert 10.0 <= watched.mysql.asked_at[0] <= 11.1
    assert set(watched.seen[12:18]) == {DirectOutcome.ANSWERS}
    assert set(watched.seen[:9]) == set(watched.seen[22:]) == {None}


@pytest.mark.parametrize(
    ("answer", "type_", "expected"),
    [
        (LIVES, TabletType.PRIMARY, [1.0] * 9),
        (LIVES, TabletType.REPLICA, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]),
        (GONE, TabletType.PRIMARY, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]),
        (HANGS, TabletType.PRIMARY, [1.0, 2.0, 4.0, 8.0, 16.0]),
    ],
    ids=["primary that lives", "replica that lives", "no listener", "no greeting"],
)
def test_the_pauses_grow_unless_life_counts(answer: DirectAnswer, type_: TabletType, expected: list[float]) -> None:
    """A primary that lives is asked each second; one that hangs ever more rarely, as each question waits in it."""
    watched = Watched(Mysql(answer), Tablet(0.0, 100.0), type_=type_)
    assert pauses(watched.mysql.asked_at)[: len(expected)] == expected


def test_the_next_failure_is_asked_about_at_once() -> None:
    """A long pause belongs to the failure in which it grew; after an answer of the tablet manager it is over."""
    watched = Watched(Mysql(HANGS), Tablet(0.0, 20.0, 24.0, 60.0))
    asked = watched.mysql.asked_at
    first = next(at for at in asked if at >= 20.0)
    assert 24.0 <= first <= 26.5
    assert pauses([at for at in asked if at >= first])[:3] == [1.0, 2.0, 4.0]
    assert watched.seen[22] is None


@pytest.mark.parametrize(("answer", "known"), [(HANGS, False), (GONE, True), (LIVES, True)])
def test_silence_while_vtorc_was_late_says_nothing(answer: DirectAnswer, known: bool) -> None:
    """A missing greeting is of vtorc's own making then; a server that spoke, or a host that refused, is heard."""
    watched = Watched(Mysql(answer, still=1.5), Tablet(0.0, 100.0))
    assert any(watched.seen) is known


@pytest.mark.parametrize(
    ("answer", "fails", "lines"),
    [
        (replace(LIVES, text="you need REPLICATION CLIENT"), (0.0, 20.0), 1),
        (LIVES, (0.0, 10.0, 20.0, 30.0), 1),
        (HANGS, (0.0, 60.0), 1),
        (GONE, (0.0, 60.0), 0),
    ],
    ids=["with a reason", "in two failures", "hangs", "down as well"],
)
def test_an_answer_that_tells_more_is_logged_once(answer: DirectAnswer, fails: Sequence[float], lines: int) -> None:
    """The log has the tablet, how both of its parts answered, and the reason that MySQL gave."""
    with capture_logs() as logs:
        Watched(Mysql(answer), Tablet(*fails))
    assert len(logs) == lines
    if lines:
        says = answer.clause(ProbeFailure.REFUSED, "")
        why = f": {answer.text}" if answer.text else ""
        assert logs[0]["event"] == f"zone1-0000000100 refuses connections (asked directly, {says}){why}"
        assert (logs[0]["shard"], logs[0]["tablet"]) == ("commerce/0", "zone1-0000000100")


def test_the_same_answer_is_logged_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another failure much later is told as well."""
    monkeypatch.setattr(direct_module, "LOGGED_AGAIN_AFTER", 15.0)
    with capture_logs() as logs:
        Watched(Mysql(LIVES), Tablet(0.0, 10.0, 20.0, 30.0))
    assert len(logs) == 2


def test_a_record_without_an_address_is_not_asked() -> None:
    """A vttablet that has just started does not know the port of its mysqld."""
    watched = Watched(Mysql(LIVES), Tablet(0.0, 100.0), mysql_port=0)
    assert watched.mysql.asked_at == []
