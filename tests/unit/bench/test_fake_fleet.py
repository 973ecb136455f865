"""The fake fleet of `bench.scale`, asked by the real client over real connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.fake_fleet import records
from bench.fake_fleet.fleet import FakeFleet
from bench.fake_fleet.layout import CELLS, TABLETS_PER_SHARD, places
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import TabletCallFailed, TabletUnreachable
from vtorc.lab.ports import Ports
from vtorc.tablet.api import StopMode
from vtorc.tablet.client import GrpcTabletManager
from vtorc.tablet.settings import ClientSettings
from vtorc.topo.open import open_topo
from vtorc.topo.server import TopoServer

FLEET = places(6)
PRIMARY, *REPLICAS = (place.alias for place in sorted(FLEET[:3], key=lambda place: not place.is_primary))
TERM = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Running:
    """A served fleet of two shards, its topology server, and a client."""

    fleet: FakeFleet
    topo: TopoServer
    client: GrpcTabletManager

    async def record(self, alias: TabletAlias) -> TabletRecord:
        return await self.topo.tablet(alias)

    async def status(self, alias: TabletAlias) -> TabletStatus:
        return await self.client.full_status(await self.record(alias))


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Running]:
    file, ports = folder / "topo.sqlite", Ports()
    topo = await open_topo(records.topo_access(file))
    port = ports.take()
    await records.write_records(topo, file, FLEET, port=port, term=TERM)
    fleet = FakeFleet(FLEET, topo, port=port, term=TERM)
    client = GrpcTabletManager(ClientSettings(probe_timeout=1.0))
    await fleet.start()
    try:
        yield Running(fleet, topo, client)
    finally:
        await client.close()
        await fleet.close()
        await topo.close()
        ports.release()


def test_places_are_spread_over_cells_and_have_an_address_each() -> None:
    """Each tablet has a name and a host of its own, and each shard one primary; the cells share the primaries out."""
    fleet = places(3000)
    assert len(fleet) == len({place.alias for place in fleet}) == len({place.host for place in fleet}) == 3000
    primaries = [place for place in fleet if place.is_primary]
    assert len(primaries) == len({place.shard for place in fleet}) == 1000
    assert {cell: sum(p.alias.cell == cell for p in primaries) for cell in CELLS} == {
        "zone1": 334,
        "zone2": 333,
        "zone3": 333,
    }
    for place in fleet[:: TABLETS_PER_SHARD * 7]:
        assert place.shard.key_range


async def test_a_status_converts_and_a_healthy_shard_has_no_finding(tmp_path: Path) -> None:
    """vtorc reads the answers of a fleet at rest, and finds nothing wrong with it."""
    async with serving(tmp_path) as running:
        shard = FLEET[0].shard
        views = []
        for place in FLEET[:3]:
            record = await running.record(place.alias)
            await running.client.ping(record)
            status = await running.client.full_status(record)
            views.append(TabletView(record=record, last_probe=LastProbe.answered(status, started=1.0, ended=1.0)))
        view = ShardView(
            shard=shard,
            keyspace_record=await running.topo.keyspace(shard.keyspace),
            shard_record=await running.topo.shard(shard),
            tablets=tuple(views),
        )
        assert analyse(view, policy("semi_sync"), DetectionThresholds(), 1.5) == ()
        assert view.primary is not None
        assert view.primary.alias == PRIMARY
        assert {tablet.alias for tablet in view.replicas_of(view.primary)} == set(REPLICAS)
        assert running.fleet.report().asked == 3
        assert running.fleet.report().calls == {"StreamHealth": 3, "Ping": 3, "FullStatus": 3}


async def test_transactions_grow_on_all_servers(tmp_path: Path) -> None:
    """A replica answers later with more transactions, and with the same ones as its primary."""
    async with serving(tmp_path) as running:
        before = await running.status(PRIMARY)
        await asyncio.sleep(1.1)
        after = await running.status(REPLICAS[0])
        assert after.executed.contains(before.executed)
        assert after.executed != before.executed
        assert after.executed == (await running.status(PRIMARY)).executed


async def test_health_is_streamed_and_names_the_tablet(tmp_path: Path) -> None:
    """A health stream tells alias, type and serving at once, and again when the fleet sends them."""
    async with serving(tmp_path) as running:
        reports = running.client.stream_health(await running.record(PRIMARY))
        first = await anext(reports)
        assert (first.alias, first.type, first.serving) == (PRIMARY, TabletType.PRIMARY, True)
        running.fleet.tablets[PRIMARY].send_health()
        assert await anext(reports) == first
        await reports.aclose()


async def test_a_lost_tablet_refuses_and_its_replicas_notice(tmp_path: Path) -> None:
    """A host without its process refuses connections, and the IO threads of its replicas connect in vain."""
    async with serving(tmp_path) as running:
        await running.status(PRIMARY)
        running.fleet.lose([PRIMARY], silent=False)
        with pytest.raises(TabletUnreachable) as caught:
            await running.status(PRIMARY)
        assert caught.value.reason == "refused"
        replication = (await running.status(REPLICAS[0])).replication
        assert replication is not None
        assert replication.io_state is ThreadState.CONNECTING
        assert "Can't connect" in replication.last_io_error


async def test_a_silent_tablet_answers_nothing_and_its_replicas_do_not_notice_at_once(tmp_path: Path) -> None:
    """A host that fell silent lets calls run into their deadline, and its replicas still count as connected."""
    async with serving(tmp_path) as running:
        await running.status(PRIMARY)
        running.fleet.lose([PRIMARY], silent=True)
        for _ in range(2):
            with pytest.raises(TabletUnreachable) as caught:
                await running.status(PRIMARY)
            assert caught.value.reason == "timeout"
        replication = (await running.status(REPLICAS[0])).replication
        assert replication is not None
        assert replication.is_receiving


async def test_a_shard_can_be_reparented(tmp_path: Path) -> None:
    """The calls of an emergency reparent give the shard another primary, whose first write waits for a replica."""
    async with serving(tmp_path) as running:
        running.fleet.lose([PRIMARY], silent=False)
        client, winner, other = running.client, *[await running.record(alias) for alias in REPLICAS]
        for replica in (winner, other):
            stopped = await client.stop_replication_and_get_status(replica, StopMode.IO_ONLY)
            assert stopped is not None
            assert stopped.after.io_state is ThreadState.STOPPED
            assert await client.wall_clock(replica) > TERM
        position = await client.promote_replica(winner, semi_sync=True)
        await client.wait_for_position(other, position)
        with pytest.raises(TabletUnreachable):
            await client.wait_for_position(other, GtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1"))
        journal = asyncio.create_task(
            client.populate_reparent_journal(
                winner, time_created_ns=TERM, action="test", primary=winner.alias, position=position
            )
        )
        await asyncio.sleep(0.1)
        assert not journal.done()  # no replica acknowledges yet
        await client.set_replication_source(other, winner.alias, semi_sync=True, force_start=True)
        await journal
        assert (await running.topo.shard(FLEET[0].shard)).primary_alias == winner.alias
        assert (await running.record(winner.alias)).type is TabletType.PRIMARY
        status = await client.full_status(winner)
        assert not status.read_only
        assert (await client.full_status(other)).executed == status.executed


async def test_calls_that_a_tablet_cannot_answer_fail(tmp_path: Path) -> None:
    """A primary has no replication status, and refuses a source that is no tablet."""
    async with serving(tmp_path) as running:
        primary = await running.record(PRIMARY)
        assert await running.client.replication_status(primary) is None
        with pytest.raises(TabletCallFailed, match="is called zone1-0000099999"):
            await running.client.set_replication_source(
                primary, TabletAlias("zone1", 99999), semi_sync=True, force_start=True
            )
