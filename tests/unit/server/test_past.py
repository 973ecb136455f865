"""What `/api/v1` tells of the past: from memory, and from the history file where that goes back further."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from starlette.types import ASGIApp

from tests.unit.demo.shards import A, B, C, cut_off, failing, judge, primary, replica
from tests.unit.server.told import RecordedAsk, ask_app, snapshot, status, told_memory
from vtorc.control.history_observer import HistoryObserver
from vtorc.control.observer import Announcement
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.rules import Rule
from vtorc.forms.findings import finding_form
from vtorc.forms.frames import AnyFrame, DecisionFrame, RecoveryFrame, StatusFrame
from vtorc.forms.times import nanoseconds, rfc3339
from vtorc.history.reader import HistoryReader
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement
from vtorc.server.app import make_app

SECOND = 1_000_000_000
START = nanoseconds("2026-11-29T21:00:00Z")
HEALTHY = judge(primary(), replica(B), replica(C))
FAILING = judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C)))


class Hands:
    """A clock that is set by hand, in seconds since the start."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return 100.0 + self.at

    def wall(self) -> int:
        return START + int(self.at * SECOND)


def tell(observer: HistoryObserver, before: Judgement, judgement: Judgement) -> None:
    """Tell an observer of a judgement as the loop of a shard does."""
    for each in judgement.decisions:
        observer.decided(each)
    for each in before.decisions:
        if each.finding.code not in {new.finding.code for new in judgement.decisions}:
            observer.cleared(each)
    observer.judged(judgement)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A history of a minute: the primary fails at 10 s, is well at 40 s, and recoveries are stopped from 15 to 30 s."""
    clock = Hands()
    file = str(tmp_path / "h.sqlite")
    writer = HistoryWriter(file, version="1", wall=clock.wall)
    observer = HistoryObserver(writer, clock)
    observer.judged(HEALTHY)
    clock.at = 10
    tell(observer, HEALTHY, FAILING)
    clock.at = 15
    observer.announced(Announcement("no recovery begins: a drill", Rule.RECOVERIES_STOPPED))
    clock.at = 30
    observer.announced(Announcement("recoveries may begin again", Rule.RECOVERIES_STOPPED, is_end=True))
    for number in range(5):
        observer.finished(
            RecoveryRecord(
                shard=FAILING.view.shard,
                recovery=Recovery.RECOVER_DEAD_PRIMARY,
                code=FAILING.decisions[0].finding.code,
                alias=A,
                began=START + 31 * SECOND + number,
                duration=0.5,
                outcome=Outcome.SUCCEEDED if number == 4 else Outcome.FAILED,
                sentence=f"try {number}",
            )
        )
    clock.at = 40
    tell(observer, FAILING, HEALTHY)
    clock.at = 60
    writer.close()
    return file


def frames(path: str) -> Iterator[AnyFrame]:
    """Yield what a vtorc with this history tells, without recoveries and decisions of its own."""
    for frame in snapshot():
        if isinstance(frame, StatusFrame):
            yield status(history_file=path)
        elif not isinstance(frame, RecoveryFrame | DecisionFrame):
            yield frame


@pytest.fixture
def app(path: str) -> ASGIApp:
    """The server of a vtorc that keeps no decision or recovery in memory."""
    return make_app(told_memory(frames(path)), RecordedAsk())


async def why_at(app: ASGIApp, seconds: float, shard: str = "commerce/0") -> Any:
    """Return why a shard was as it was, so long after the start."""
    answer = await ask_app(app, f"/api/v1/shards/{shard}/why?at={rfc3339(START + int(seconds * SECOND))}")
    assert answer.status == 200, answer.text
    return answer.json


async def test_tells_what_was_in_force_at_a_time(app: ASGIApp) -> None:
    """The decisions in force then are told with their spans, with what vtorc saw when it made them."""
    told = await why_at(app, 20)
    assert told["at"] == "2026-11-29T21:00:20.000Z"
    assert told["state"] == "repairing"
    spans = [(each["code"], each["rule"], each["since"][17:19], each["until"][17:19]) for each in told["in_force"]]
    assert spans[0] == ("DeadPrimary", "act", "10", "40")
    assert spans[-1] == (None, "recoveries-stopped", "15", "30")
    assert told["findings"][0]["code"] == "DeadPrimary"
    assert told["findings"][0]["severity"] == "shard"
    assert told["seen"]["tablets"][0]["reach"] != "answers"
    assert told["recoveries"] == []
    assert (await why_at(app, 35))["recoveries"][0]["sentence"] == "try 4"


@pytest.mark.parametrize(
    ("seconds", "state", "sentence"),
    [
        (-1, "unknown", "commerce/0: the history does not tell, because it begins later, or an earlier vtorc wrote it"),
        (5, "healthy", "commerce/0: no problem was in force"),
        (50, "healthy", "commerce/0: no problem was in force"),
    ],
)
async def test_tells_when_nothing_was_in_force(app: ASGIApp, seconds: float, state: str, sentence: str) -> None:
    """Before the history nothing is known, and before and after the problem there is none."""
    told = await why_at(app, seconds)
    assert (told["state"], told["sentence"], told["in_force"]) == (state, sentence, [])


async def test_does_not_take_silence_for_health(app: ASGIApp, path: str) -> None:
    """Between two runs of vtorc the state is unknown, and the sentence says until when vtorc ran."""
    HistoryWriter(path, version="1", wall=lambda: START + 7200 * SECOND).close()
    told = await why_at(app, 3600)
    assert told["state"] == "unknown"
    assert told["sentence"].endswith("because vtorc ran until 2026-11-29T21:01:00.000Z only")


async def test_refuses_what_it_cannot_tell(app: ASGIApp) -> None:
    """A malformed time, a shard that never was, and a vtorc without a history are told apart."""
    assert (await ask_app(app, "/api/v1/shards/commerce/0/why?at=noon")).status == 400
    assert (await ask_app(app, "/api/v1/shards/a/b/why?at=2026-11-29T21:00:20Z")).status == 404
    without = make_app(told_memory(), RecordedAsk())
    answer = await ask_app(without, "/api/v1/shards/commerce/0/why?at=2026-11-29T21:00:20Z")
    assert answer.status == 503
    assert "--log-dir or --sqlite-data-file gives it a place" in answer.json["why"]


async def all_pages(app: ASGIApp, list_: str, query: str) -> list[Any]:
    """Return the items of all pages of a list."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = (await ask_app(app, f"/api/v1/{list_}?{query}{cursor}")).json
        items += page["items"]
        if page["cursor"] is None:
            return items
        assert page["items"]
        cursor = f"&cursor={page['cursor']}"


@pytest.mark.parametrize("limit", [1, 2, 3, 5000])
async def test_pages_hold_each_entry_once(app: ASGIApp, limit: int) -> None:
    """All pages together are the whole list, newest first, also where entries have the same time."""
    recoveries = await all_pages(app, "recoveries", f"limit={limit}")
    assert [each["sentence"] for each in recoveries] == [f"try {number}" for number in (4, 3, 2, 1, 0)]
    decisions = await all_pages(app, "decisions", f"limit={limit}")
    assert [each["change"] for each in decisions] == ["cleared"] * len(FAILING.decisions) + ["decided"] * len(
        FAILING.decisions
    )
    codes = sorted(each.finding.code.value for each in FAILING.decisions)
    assert sorted(each["finding"]["code"] for each in decisions if each["change"] == "decided") == codes


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("recoveries?outcome=failed", 4),
        ("recoveries?keyspace=commerce&kind=RecoverDeadPrimary", 5),
        ("recoveries?keyspace=commer", 0),
        ("recoveries?since=2026-11-29T21:00:31Z&until=2026-11-29T21:00:32Z", 5),
        ("recoveries?until=2026-11-29T21:00:31Z", 0),
        ("decisions?since=2026-11-29T21:00:40Z", len(FAILING.decisions)),
        ("decisions?until=2026-11-29T21:00:40Z&code=DeadPrimary", 1),
        ("decisions?rule=act&shard=commerce/1", 0),
    ],
)
async def test_lists_can_be_narrowed(app: ASGIApp, query: str, count: int) -> None:
    """Filters and spans of time hold for what is in the history as well."""
    assert len((await ask_app(app, f"/api/v1/{query}")).json["items"]) == count


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("shards/commerce/0/why?at=9999-12-31T23:59:59Z", "expected a time of the years 1970 to 2261"),
        ("decisions?since=0001-01-01T00:00:00Z", "expected a time of the years 1970 to 2261"),
        ("recoveries?until=2300-01-01T00:00:00Z", "expected a time of the years 1970 to 2261"),
        (f"decisions?cursor={2**62}-0", "none that vtorc gave"),
        (f"recoveries?cursor=0-{2**62}", "none that vtorc gave"),
        (f"recoveries?cursor={'9' * 5000}-0", "none that vtorc gave"),
    ],
)
async def test_a_moment_that_no_history_can_have_is_refused(app: ASGIApp, asked: str, expected: str) -> None:
    """A time or a place beyond 64 bits is answered with what was expected, and not with an error of the server."""
    answer = await ask_app(app, f"/api/v1/{asked}")
    assert answer.status == 400, answer.text
    assert expected in answer.text


@pytest.mark.parametrize("id_", [str(2**64), "9" * 5000])
async def test_a_recovery_with_a_name_beyond_all_times_is_not_found(app: ASGIApp, id_: str) -> None:
    """No recovery began then."""
    assert (await ask_app(app, f"/api/v1/recoveries/{id_}")).status == 404


async def test_memory_and_history_are_one_list(path: str) -> None:
    """What is in memory and in the history is told once, and what is in one of them only is told, too."""
    memory = told_memory(frames(path))
    ended = finding_form(FAILING.decisions[0])
    for seconds, finding in ((40.005, ended), (55, structs.replace(ended, code="ReplicaIsWritable"))):
        at = rfc3339(START + int(seconds * SECOND))
        memory.take(DecisionFrame(at=at, change="cleared", finding=finding), 1.0)
    app = make_app(memory, RecordedAsk())
    told = await all_pages(app, "decisions", "limit=1")
    assert [(each["change"], each["finding"]["code"]) for each in told] == [
        ("cleared", "ReplicaIsWritable"),
        ("cleared", "DeadPrimary"),
        ("decided", "DeadPrimary"),
    ]


async def test_an_old_recovery_is_found_by_its_name(app: ASGIApp) -> None:
    """A recovery that the memory lacks comes from the history, whole."""
    (newest, *_) = (await ask_app(app, "/api/v1/recoveries")).json["items"]
    assert (await ask_app(app, f"/api/v1/recoveries/{newest['id']}")).json == newest
    assert (await ask_app(app, "/api/v1/recoveries/17")).status == 404


def test_a_shard_that_is_gone_has_no_decision_in_force(tmp_path: Path) -> None:
    """The decisions about a shard end when it leaves the topology, and when vtorc fails in it."""
    clock = Hands()
    file = str(tmp_path / "h.sqlite")
    writer = HistoryWriter(file, wall=clock.wall)
    observer = HistoryObserver(writer, clock)
    tell(observer, HEALTHY, FAILING)
    clock.at = 1
    observer.failed(ShardId("commerce", "0"), KeyError("x"), 1.0)
    clock.at = 2
    observer.judged(HEALTHY)
    tell(observer, HEALTHY, FAILING)
    clock.at = 3
    observer.gone(ShardId("commerce", "0"))
    writer.close()
    reader = HistoryReader(file)

    def rules(seconds: float) -> set[str]:
        return {each.decision.rule for each in reader.in_force("commerce/0", START + int(seconds * SECOND))}

    assert "act" in rules(0.5)
    assert rules(1.5) == {"own-error"}
    assert "act" in rules(2.5)
    assert rules(3.5) == set()
    reader.close()


async def test_news_about_the_fleet_is_no_trouble_of_a_shard(tmp_path: Path) -> None:
    """While recoveries are stopped a shard stays healthy; a mistake of vtorc's own makes it unknown."""
    clock = Hands()
    file = str(tmp_path / "h.sqlite")
    writer = HistoryWriter(file, wall=clock.wall)
    observer = HistoryObserver(writer, clock)
    observer.announced(Announcement("no recovery begins: a drill", Rule.RECOVERIES_STOPPED))
    clock.at = 2
    observer.failed(ShardId("commerce", "0"), KeyError("x"), 1.0)
    clock.at = 9
    writer.close()
    app = make_app(told_memory(frames(file)), RecordedAsk())
    assert (await why_at(app, 1))["state"] == "healthy"
    told = await why_at(app, 3)
    assert told["state"] == "unknown"
    assert told["sentence"].startswith("commerce/0: vtorc itself failed here")
