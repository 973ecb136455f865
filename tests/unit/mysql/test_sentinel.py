import asyncio
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import MysqlError
from vtorc.mysql import sentinel as sentinel_module
from vtorc.mysql.held import CANNOT_CONNECT, MysqlCredentials
from vtorc.mysql.sentinel import LONGEST_PAUSE, REFUSED_PAUSE, REPORTED_FAILURE, MysqlSentinel
from vtorc.sim.engine.loop import run

TABLET = TabletRecord(
    alias=TabletAlias("zone1", 100),
    keyspace="commerce",
    shard="0",
    type=TabletType.PRIMARY,
    hostname="tablet",
    grpc_port=15999,
    mysql_hostname="db",
    mysql_port=3306,
)

Outcome = float | int
"""Outcome of an attempt: the seconds (a float) that the connection holds, or the number (an int) of the error."""


class Held:
    """A connection that breaks after a given time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.closed = False

    async def wait_end(self) -> str:
        await asyncio.sleep(self._seconds)
        return "the server closed it"

    def close(self) -> None:
        self.closed = True


@dataclass
class Story:
    """The actions of a sentinel against servers with scripted outcomes, which never answer after the last one."""

    outcomes: Iterator[Outcome]
    attempts: list[float] = field(default_factory=list)
    addresses: list[tuple[str, int]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    logged: list[MutableMapping[str, Any]] = field(default_factory=list)
    end: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self, address: tuple[str, int], _credentials: MysqlCredentials) -> Held:
        """Replace the login."""
        self.attempts.append(asyncio.get_running_loop().time())
        self.addresses.append(address)
        outcome = next(self.outcomes, None)
        if outcome is None:
            self.end.set()
            await asyncio.get_running_loop().create_future()
        if isinstance(outcome, int):
            raise MysqlError("scripted error", errno=outcome)
        assert outcome is not None
        self.held.append(Held(outcome))
        return self.held[-1]

    def lost(self) -> None:
        """Record a signal."""
        self.losses.append(asyncio.get_running_loop().time())

    @property
    def pauses(self) -> list[float]:
        """Seconds from each attempt to the next."""
        return [later - earlier for earlier, later in zip(self.attempts, self.attempts[1:], strict=False)]

    @property
    def sentences(self) -> list[str]:
        """The sentences that were logged."""
        return [str(entry["event"]) for entry in self.logged]


Tell = Callable[..., Story]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run a sentinel in virtual time against these outcomes of its attempts, to their end."""

    def tell(*outcomes: Outcome, tablet: Callable[[], TabletRecord] = lambda: TABLET) -> Story:
        story = Story(iter(outcomes))
        monkeypatch.setattr(sentinel_module, "hold", story.hold)

        async def main() -> None:
            sentinel = MysqlSentinel(MysqlCredentials("watcher", "sesame"))
            watching = asyncio.create_task(sentinel.watch_server(tablet, story.lost))
            await story.end.wait()
            watching.cancel()
            await asyncio.wait([watching])

        with capture_logs() as story.logged:
            run(main())
        return story

    return tell


def test_each_lost_connection_is_a_signal(tell: Tell) -> None:
    """A connection that breaks is signalled at that instant, and made again; no other event is signalled."""
    story = tell(100.0, CANNOT_CONNECT, 200.0)
    assert story.losses == [story.attempts[0] + 100.0, story.attempts[2] + 200.0]
    assert len(story.attempts) == 4
    assert all(held.closed for held in story.held)


def test_a_server_that_is_down_is_asked_ever_less_often(tell: Tell) -> None:
    """Pauses double from a fifth of a second to five seconds, less a fifth at most that depends on the tablet."""
    story = tell(*[CANNOT_CONNECT] * 8)
    plain = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert all(0.8 * longest <= pause <= longest for pause, longest in zip(story.pauses, plain, strict=True))


def test_tablets_do_not_return_as_one(tell: Tell) -> None:
    """Two tablets wait for different times, each the same in every run."""
    other = replace(TABLET, alias=TabletAlias("zone1", 101))
    first, second = (tell(CANNOT_CONNECT, tablet=lambda record=record: record).pauses for record in (TABLET, other))
    assert first != second
    assert first == tell(CANNOT_CONNECT).pauses


def test_pauses_start_over_after_a_connection_that_lasted(tell: Tell) -> None:
    """Failures from before a connection that held for a while no longer count."""
    story = tell(*[CANNOT_CONNECT] * 8, LONGEST_PAUSE, CANNOT_CONNECT)
    assert story.pauses[8] - LONGEST_PAUSE <= 0.2


def test_a_server_that_throws_us_out_does_not_alarm_the_shard_all_the_time(tell: Tell) -> None:
    """Connections that break as soon as they are made are retried less and less often, too."""
    story = tell(*[0.0] * 10)
    assert story.pauses[-1] >= 0.8 * LONGEST_PAUSE


def test_a_refusal_is_reported_once_and_asked_again_slowly(tell: Tell) -> None:
    """A wrong password gives one sentence, which says what to do; the login is tried again each minute."""
    story = tell(1045, 1045, CANNOT_CONNECT, 1045)
    assert [story.pauses[0], story.pauses[1], story.pauses[3]] == pytest.approx([REFUSED_PAUSE] * 3)
    assert story.sentences == [
        "zone1-0000000100 (db:3306): mysqld refuses the login of 'watcher'; check MySQLTopologyUser and "
        "MySQLTopologyPassword, and that the account exists there and may come from this host; if it needs TLS, set "
        "MySQLTopologyUseMutualTLS. Until then only probes notice its end"
    ]
    assert story.logged[0]["log_level"] == "warning"
    assert story.logged[0]["tablet"] == "zone1-0000000100"
    assert story.logged[0]["shard"] == "commerce/0"


def test_a_new_reason_is_reported(tell: Tell) -> None:
    """A server that refuses for another reason than before is reported again."""
    story = tell(1045, 1040, 1040, 4711)
    assert len(story.sentences) == 3
    assert "max_connections" in story.sentences[1]
    assert "scripted error (errno 4711)" in story.sentences[2]


def test_the_end_of_a_trouble_is_reported(tell: Tell) -> None:
    """The first connection after a reported failure is reported, and so is the next failure."""
    story = tell(1045, 100.0, 1045)
    assert [entry["log_level"] for entry in story.logged] == ["warning", "info", "info", "warning"]
    assert "a connection to mysqld is held now" in story.sentences[1]
    assert "the connection held to mysqld broke (the server closed it)" in story.sentences[2]


@pytest.mark.parametrize("errno", [0, 1040, 1045, 1129, 1130, 1203, 1226, 1820, 1862, 2059, 3118, 3159])
def test_every_trouble_has_its_advice(tell: Tell, errno: int) -> None:
    """Each error that an operator has to deal with is reported in a whole sentence, without the password."""
    [sentence] = tell(errno).sentences
    assert "; " in sentence
    assert "{" not in sentence
    assert "sesame" not in sentence


def test_a_server_that_cannot_be_reached_is_reported_in_the_end(tell: Tell) -> None:
    """Attempts without an answer are not reported at first, as other parts report a dead mysqld, then once."""
    assert tell(*[CANNOT_CONNECT] * (REPORTED_FAILURE - 1)).sentences == []
    [sentence] = tell(*[CANNOT_CONNECT] * (REPORTED_FAILURE + 5)).sentences
    assert "check that vtorc's host may connect to this address" in sentence


@pytest.mark.parametrize(
    "absent", [{"shutdown_time": 1}, {"mysql_hostname": ""}, {"mysql_port": 0}, {"hostname": "", "grpc_port": 0}]
)
def test_a_tablet_that_is_shut_down_is_not_dialled(tell: Tell, absent: dict[str, Any]) -> None:
    """While the record has no address of a mysqld, nothing is dialled and nothing is logged."""
    gone = replace(TABLET, **absent)
    records = [gone, gone]
    story = tell(tablet=lambda: records.pop() if records else TABLET)
    assert story.attempts == [2 * LONGEST_PAUSE]
    assert story.sentences == []


def test_a_moved_server_is_found(tell: Tell) -> None:
    """Each attempt goes to the address in the record as it is then."""
    moved = replace(TABLET, mysql_hostname="db2", mysql_port=3307)
    records = [moved, TABLET]
    story = tell(100.0, tablet=lambda: records.pop() if len(records) > 1 else records[0])
    assert story.addresses == [("db", 3306), ("db2", 3307)]


def test_cancelling_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentinel that is cancelled closes the connection that it holds, and signals nothing."""
    story = Story(iter([1e9]))
    monkeypatch.setattr(sentinel_module, "hold", story.hold)

    async def main() -> None:
        watching = asyncio.create_task(
            MysqlSentinel(MysqlCredentials("watcher")).watch_server(lambda: TABLET, story.lost)
        )
        await asyncio.sleep(60.0)
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()

    run(main())
    assert story.held[0].closed
    assert story.losses == []


def test_only_so_many_connections_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins to a thousand servers take turns, because all at once would miss their deadline."""
    busy = 0
    most = 0
    held = 0

    async def slow_hold(_address: tuple[str, int], _credentials: MysqlCredentials) -> Held:
        nonlocal busy, most, held
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.1)
        busy -= 1
        held += 1
        return Held(1e9)

    monkeypatch.setattr(sentinel_module, "hold", slow_hold)

    async def main() -> None:
        sentinel = MysqlSentinel(MysqlCredentials("watcher"))
        watching: list[Coroutine[Any, Any, None]] = [
            sentinel.watch_server(lambda: TABLET, lambda: None) for _ in range(1000)
        ]
        tasks = [asyncio.create_task(watch) for watch in watching]
        await asyncio.sleep(60.0)
        assert held == 1000
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(main())
    assert most == 200


def test_questions_to_a_lost_cell_hold_up_no_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions to silent servers take turns, and one to a primary does not wait behind those to replicas."""
    asked: list[tuple[float, TabletType]] = []

    async def slow_ask(address: tuple[str, int], _credentials: MysqlCredentials) -> DirectAnswer:
        asked.append((asyncio.get_running_loop().time(), TabletType.PRIMARY if address[1] == 1 else TabletType.REPLICA))
        await asyncio.sleep(2.0)
        return DirectAnswer(outcome=DirectOutcome.UNREACHABLE)

    monkeypatch.setattr(sentinel_module, "ask", slow_ask)

    async def main() -> None:
        sentinel = MysqlSentinel(MysqlCredentials("watcher"))
        replicas = [replace(TABLET, type=TabletType.REPLICA, mysql_port=2)] * 100
        primary = replace(TABLET, type=TabletType.PRIMARY, mysql_port=1)
        await asyncio.gather(*map(sentinel.ask, [*replicas, primary]))

    run(main())
    at_once = [type_ for at, type_ in asked if at == 0.0]
    assert (at_once.count(TabletType.REPLICA), at_once.count(TabletType.PRIMARY)) == (32, 1)
    assert max(at for at, _ in asked) == pytest.approx(6.0)
