"""Tablets that answer every other question: how often they are asked, what is told of them, and what is still found."""

import asyncio

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.core.detection.problems import Code
from vtorc.recovery.record import Outcome
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.admin import SimMysqlServer
from vtorc.vttablet.mysql_api import ServerReport


def lines_of(world: World) -> list[str]:
    """Collect what the vtorc notes from now on."""
    lines: list[str] = []
    note = world.trace.note

    def noting(source: str, text: str) -> None:
        if source.startswith("vtorc"):
            lines.append(text)
        note(source, text)

    world.trace.note = noting  # type: ignore[method-assign]
    return lines


@pytest.mark.parametrize(("is_primary", "a_minute"), [(False, 20), (True, 140)])
def test_a_tablet_that_comes_and_goes_floods_neither_the_log_nor_its_shard(
    is_primary: bool, a_minute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes of it are a handful of lines, and the tablets of the shard are asked at a bounded pace."""

    async def main(world: World, shard: SimShard) -> None:
        tablet = next(each for each in shard.tablets if (each is shard.primary) is is_primary)
        other = next(each for each in shard.tablets if each is not tablet and each is not shard.primary)
        before = shard.primary
        tablet.mysqld.comes_and_goes = True
        await asyncio.sleep(60.0)
        lines = lines_of(world)
        tablet.mysqld.reports_asked_for = 0
        asked: list[SimMysqlServer] = []
        report = SimMysqlServer.report

        async def counting(self: SimMysqlServer) -> ServerReport:
            if self._server is other.mysqld:
                asked.append(self)
            return await report(self)

        monkeypatch.setattr(SimMysqlServer, "report", counting)
        await asyncio.sleep(600.0)
        assert len(lines) <= 10
        assert tablet.mysqld.reports_asked_for <= 10 * a_minute
        assert len(asked) <= 10 * a_minute
        fleet = world.vtorcs[0].facade
        assert fleet is not None
        assert Code.UNSTABLE_TABLET in [each.finding.code for each in fleet.decisions(shard.id)]
        tablet.mysqld.comes_and_goes = False
        await asyncio.sleep(70.0)
        assert fleet.decisions(shard.id) == ()
        assert shard.primary is before

    in_world(main)


def test_the_loss_of_a_primary_that_came_and_went_is_found() -> None:
    """It is replaced within seconds, as its tablets are asked once a second while it fails."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        primary.mysqld.comes_and_goes = True
        await asyncio.sleep(90.0)
        lost_at = world.now
        primary.process.crash()
        primary.wanted = False
        primary.mysqld.process.crash()
        records = world.vtorcs[0].records
        await until(lambda: any(r.winner is not None and r.outcome is Outcome.SUCCEEDED for r in records[1:]))
        assert world.now - lost_at < 8.0

    in_world(main)
