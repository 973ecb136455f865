"""A vtorc that stands still, or is late for ever: it blames no server, and still replaces a lost primary."""

import asyncio

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world, small_plan
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.lateness import OnTimeClock
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.cluster.vtorc import TraceObserver
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import current_loop
from vtorc.topo.conn import TopoConn
from vtorc.topo.tablets import CellTablets, tablets_in_cell

_EVERY = 7


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Catch the sentences of all decisions."""
    sentences: list[str] = []
    monkeypatch.setattr(TraceObserver, "decided", lambda _, decision: sentences.append(_sentence(decision)))
    return sentences


def _sentence(decision: Decision) -> str:
    return decision.sentence


def _stand_still_amid_calls(monkeypatch: pytest.MonkeyPatch, still: float) -> None:
    """Stop the process for so many seconds amid every seventh status call."""
    ask, calls = SimTabletManager.full_status, 0

    async def full_status(self: SimTabletManager, tablet: TabletRecord) -> TabletStatus:
        nonlocal calls
        calls += 1
        if calls % _EVERY == 0:
            current_loop().call_later(0.0002, current_loop().stand_still, still)
        return await ask(self, tablet)

    monkeypatch.setattr(SimTabletManager, "full_status", full_status)


@pytest.mark.parametrize("still", [1.5, 12.0])
def test_a_vtorc_that_stands_still_suspects_no_server(
    still: float, monkeypatch: pytest.MonkeyPatch, decided: list[str]
) -> None:
    """Whatever call is under way when the process is stopped, a healthy shard stays without a finding."""

    async def main(world: World, shard: SimShard) -> None:
        decided.clear()
        _stand_still_amid_calls(monkeypatch, still)
        await asyncio.sleep(40 * still)
        assert decided == []

    in_world(main, plan=small_plan())


def test_a_vtorc_with_plain_deadlines_would_suspect_them(monkeypatch: pytest.MonkeyPatch, decided: list[str]) -> None:
    """The same stops bring findings as soon as deadlines are those of asyncio: the test above can fail."""

    async def main(world: World, shard: SimShard) -> None:
        decided.clear()
        _stand_still_amid_calls(monkeypatch, 12.0)
        await asyncio.sleep(40 * 12.0)
        assert decided

    monkeypatch.setattr(OnTimeClock, "_late_by", lambda self, now: 0.0)
    in_world(main, plan=small_plan())


def test_a_vtorc_that_is_late_for_ever_replaces_a_lost_primary() -> None:
    """With rounds of half a second each, a primary that lost power is still replaced, only later."""

    async def main(world: World, shard: SimShard) -> None:
        async def dawdle() -> None:
            while True:
                await asyncio.sleep(0.01)
                current_loop().stand_still(0.5)

        dawdling = asyncio.create_task(dawdle())
        lost = shard.primary
        assert lost is not None
        world.power_off(lost.host)
        await until(lambda: shard.primary is not None and shard.primary is not lost, limit=240.0)
        dawdling.cancel()

    in_world(main, plan=small_plan())


def test_a_topology_server_whose_answer_is_read_late_is_not_told_as_silent(
    monkeypatch: pytest.MonkeyPatch, decided: list[str]
) -> None:
    """A process that is stopped amid a reading of a cell reads it again, and finds no unreachable cell."""
    calls = 0

    async def read_late(conn: TopoConn) -> CellTablets:
        nonlocal calls
        calls += 1
        if calls % _EVERY == 0:
            current_loop().call_later(0.0002, current_loop().stand_still, 5.0)
        return await tablets_in_cell(conn)

    async def main(world: World, shard: SimShard) -> None:
        decided.clear()
        monkeypatch.setattr("vtorc.topo.server.tablets_in_cell", read_late)
        await asyncio.sleep(20 * 15.0)
        assert calls > 3 * _EVERY
        assert decided == []

    in_world(main, plan=small_plan())
