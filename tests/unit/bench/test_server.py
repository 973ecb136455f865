"""What `bench.server` makes, measures, and takes for a miss; its clients talk to a real server process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from bench.server import strikes as signals
from bench.server.arms import Arm, Served
from bench.server.attackers import attack, shared_out
from bench.server.bars import Arms, age_bars, arm_bars, back_bars, failed
from bench.server.clients import Clients, Heard
from bench.server.made_fleet import STAMP, MadeFleet
from bench.server.strikes import Strikes
from vtorc.app import SystemClock
from vtorc.control.publisher import DaemonFacts, Publisher
from vtorc.core.decision.decisions import Decision
from vtorc.demo.report import Failover
from vtorc.discovery.lateness import OnTimeClock
from vtorc.forms.frames import ReplyFrame, RequestFrame
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds
from vtorc.server.listener import Listener, bind
from vtorc.server.options import ServerRules
from vtorc.server.supervisor import ServerSupervisor

SHARDS, TABLETS = 12, 40


class Hearer:
    """Keeps what a made fleet tells."""

    def __init__(self) -> None:
        self.judgements: dict[str, Judgement] = {}
        self.decided_of: list[Decision] = []
        self.cleared_of: list[Decision] = []
        self.has_healed = asyncio.Event()

    def judged(self, judgement: Judgement) -> None:
        """Keep the judgement."""
        self.judgements[str(judgement.view.shard)] = judgement

    def decided(self, decision: Decision) -> None:
        """Keep the decision."""
        self.decided_of.append(decision)

    def cleared(self, decision: Decision) -> None:
        """Keep the decision that is over."""
        self.cleared_of.append(decision)
        self.has_healed.set()


async def refuse(request: RequestFrame) -> ReplyFrame:
    """Answer no request."""
    raise KeyError(request.kind)


@asynccontextmanager
async def served_fleet() -> AsyncIterator[Served]:
    """Serve a small made fleet by a real server process."""
    clock = OnTimeClock(SystemClock())
    facts = DaemonFacts(version="1", process=1, recoveries_allowed=True, emergency_reparents_allowed=True)
    bound = bind(Listener.V12, "127.0.0.1", 0)
    supervisor = ServerSupervisor([bound], ServerRules())
    publisher = Publisher(supervisor, clock, lambda: facts, Bounds)
    made = MadeFleet(SHARDS, TABLETS, now=clock.now)
    runs = (publisher.run(), supervisor.run(publisher.snapshot, refuse), made.run([publisher]))
    tasks = [asyncio.create_task(run) for run in runs]
    with capture_logs():
        try:
            host, port = bound.sock.getsockname()
            served = Served(host, port, SHARDS)
            await served.wait_complete()
            yield served
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            bound.sock.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so; raises TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.02)


async def test_a_made_fleet_is_healthy_but_for_replicas_that_stop_and_go_on() -> None:
    """It has as many shards and tablets as are asked for, and what stops says when it did."""
    hearer = Hearer()
    running = asyncio.create_task(MadeFleet(SHARDS, TABLETS, now=time.monotonic).run([hearer]))
    async with asyncio.timeout(60):
        await hearer.has_healed.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    views = [judgement.view for judgement in hearer.judgements.values()]
    assert (len(views), sum(len(view.tablets) for view in views)) == (SHARDS, TABLETS)
    assert {decision.finding.code.value for decision in hearer.decided_of} == {"ReplicationStopped"}
    assert all(STAMP in decision.sentence for decision in hearer.decided_of)
    assert hearer.cleared_of[0] == hearer.decided_of[0]


async def test_clients_learn_how_old_events_and_pages_are() -> None:
    """Ages come from the changes of the fleet, over the real server."""
    async with served_fleet() as served:
        clients = Clients(served.host, served.port)
        tasks = [asyncio.create_task(run) for run in (clients.listen(), clients.be_stuck(), clients.read())]
        await until(lambda: bool(clients.heard.event_ages and clients.heard.page_ages))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert min(*clients.heard.event_ages, *clients.heard.page_ages) > 0
    assert clients.heard.failed == 0


async def test_a_server_under_attack_is_struck_and_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """All kinds of attackers run, and the time until the server is back is taken after each signal."""
    monkeypatch.setattr(signals, "STRIKES_EVERY", 0.1)
    strikes = Strikes()
    async with served_fleet() as served:
        attacking = [asyncio.create_task(attack(served.host, served.port, talk)) for talk in shared_out(20)]
        striking = asyncio.create_task(signals.strike(served, strikes))
        await until(lambda: bool(strikes.killed and strikes.stopped))
        for task in (*attacking, striking):
            task.cancel()
        await asyncio.gather(*attacking, striking, return_exceptions=True)
    assert [bar.figure for bar in back_bars(strikes)] == [max(strikes.killed), max(strikes.stopped)]


def test_each_attack_has_its_share_of_the_connections() -> None:
    """No kind is missing, and there are as many connections as are asked for."""
    talks = shared_out(600)
    assert (len(talks), len(set(talks))) == (600, 6)


def arm(name: str, *, late: float, gap: float, problem: str = "") -> Arm:
    """Return an arm with one timer and one failover."""
    failover = Failover(fault="kill", old_primary="a", new_primary="b", write_gap_ms=gap, problem=problem)
    return Arm(name, late=[late], failovers=[failover])


def test_what_is_over_its_bar_is_a_miss() -> None:
    """Control may be half as late again, and failovers a tenth longer; what was not measured is missed too."""
    first, second = arm("without", late=0.010, gap=200), arm("again", late=0.008, gap=190)
    within = list(arm_bars(Arms(first, arm("with", late=0.015, gap=208), second)))
    over = list(arm_bars(Arms(first, arm("with", late=0.016, gap=221), second)))
    assert [bar.is_within for bar in (*within, *over)] == [True] * 3 + [False] * 3
    assert str(within[0]).startswith("pass  timers of control")
    assert str(over[0]).startswith("MISS  timers of control")
    assert [bar.is_within for bar in age_bars(Heard(event_ages=[0.2], page_ages=[]))] == [True, False]


def test_a_failover_that_failed_is_told() -> None:
    """Its problem is a sentence of its own, beside the figures."""
    arms = [arm("without", late=0, gap=1), arm("with", late=0, gap=1, problem="no tablet took writes")]
    assert failed(arms) == ["with: a to b: no tablet took writes"]
