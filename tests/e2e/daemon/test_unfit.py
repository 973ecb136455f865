"""Failovers among servers that are set up otherwise than by Vitess: no acknowledged row is missing afterwards."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged, by_hand, dba, executed
from tests.e2e.daemon.watching import until
from vtorc.demo.writer import Writer
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet
from vtorc.lab.vtorc_process import VtorcProcess

QUICK = "--instance-poll-time=1s"


@asynccontextmanager
async def _watched() -> AsyncIterator[tuple[Shard, VtorcProcess]]:
    """Give a shard of three tablets that is well, and the vtorc that watches it."""
    async with LabCluster(LabSpec(topo="local")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        vtorc = await daemons.start(QUICK)
        await shard.well()
        yield shard, vtorc


async def _replicas(shard: Shard) -> tuple[LabTablet, LabTablet]:
    """Return the two replicas, first the one that wins among equals."""
    primary = await shard.primary()
    one, other = sorted(await shard.replicas(), key=lambda t: (t.alias.cell != primary.alias.cell, t.alias))
    return one, other


async def _told(vtorc: VtorcProcess, text: str) -> None:
    await vtorc.wait_for(lambda line: text in line["event"])


async def _why_apart(tablets: Sequence[LabTablet]) -> str:
    """Return why the tablets have not executed the same transactions; empty if they have."""
    held = {tablet.alias: await executed(tablet) for tablet in tablets}
    return "" if len(set(held.values())) == 1 else f"they differ: {held}"


async def _complete(shard: Shard, writer: Writer, new: LabTablet) -> None:
    """Check that the new primary takes writes and lacks none of those before."""
    await acknowledged(writer, 10, by=new)
    assert await shard.primary() is new
    assert await writer.missing(new) == []


async def test_a_filtered_replica_is_passed_over() -> None:
    """Of two replicas that received everything, the one whose filters left the rows out is not promoted."""
    async with _watched() as (shard, vtorc):
        old = await shard.primary()
        filtered, fit = await _replicas(shard)
        ignore = f"CHANGE REPLICATION FILTER REPLICATE_IGNORE_DB = (vt_{shard.id.keyspace})"
        async with shard.written_to() as writer:
            await by_hand(filtered, "STOP REPLICA SQL_THREAD", ignore, "START REPLICA SQL_THREAD")
            await _told(vtorc, f"{filtered.alias} leaves out transactions by replication filters")
            await acknowledged(writer, 50, by=old)
            async with dba(old) as session:
                # A row that only the filtered replica received would be refused, and rightly: it acknowledged just now.
                await session.run(f"LOCK TABLES vt_{shard.id.keyspace}.demo_writes WRITE")
                await until(lambda: _why_apart(shard.tablets))
                await old.kill_mysqld()
            assert await shard.replaced(old, but=[filtered]) is fit
            await _complete(shard, writer, fit)
            assert await writer.missing(filtered)


async def test_a_replica_that_does_not_log_what_it_receives_is_passed_over() -> None:
    """Of two replicas that hold everything, the one that can feed others is promoted."""
    async with _watched() as (shard, vtorc):
        old = await shard.primary()
        logs_nothing, fit = await _replicas(shard)
        await logs_nothing.stop_tablet()
        await logs_nothing.stop_mysqld()
        await logs_nothing.start_tablet("--mysqld-option=--log-replica-updates=OFF")
        await _told(vtorc, f"{logs_nothing.alias} does not log what it receives (log_replica_updates=OFF)")
        await shard.well()
        async with shard.written_to() as writer:
            await acknowledged(writer, 10, by=old)
            await old.kill_mysqld()
            assert await shard.replaced(old) is fit
            await _complete(shard, writer, fit)


async def test_a_late_holder_is_named_and_promoted_once_its_delay_ends() -> None:
    """If a replica that applies an hour late alone has the last writes, vtorc waits for the end of its delay."""
    async with _watched() as (shard, vtorc):
        old = await shard.primary()
        other, late = await _replicas(shard)
        delay = "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {}"
        async with shard.written_to() as writer:
            await by_hand(late, "STOP REPLICA SQL_THREAD", delay.format(3600), "START REPLICA SQL_THREAD")
            await acknowledged(writer, 10, by=old)
            await other.stop_mysqld()
            await acknowledged(writer, 10, by=old)
            await old.kill_mysqld()
            await other.start_mysqld()
            await _told(vtorc, f"({late.alias}: applies each transaction 3600 s late on purpose (SOURCE_DELAY)")
            await by_hand(late, "STOP REPLICA SQL_THREAD", delay.format(0), "START REPLICA SQL_THREAD")
            await _complete(shard, writer, await shard.replaced(old))


async def test_a_wait_count_that_cannot_be_met_is_named_and_waited_for() -> None:
    """No replica is promoted whose MySQL would wait for more acknowledgements than can be given."""
    async with _watched() as (shard, vtorc):
        old = await shard.primary()
        replicas = await _replicas(shard)
        count = "SET GLOBAL rpl_semi_sync_source_wait_for_replica_count = {}"
        async with shard.written_to() as writer:
            for replica in replicas:
                await by_hand(replica, count.format(2))
                await _told(vtorc, f"{replica.alias} would wait for 2 acknowledgements as primary")
            await acknowledged(writer, 10, by=old)
            await old.kill_mysqld()
            await _told(vtorc, "would get 1 of the 2 acknowledgements that its MySQL waits for")
            for replica in replicas:
                await by_hand(replica, count.format(1))
            await _complete(shard, writer, await shard.replaced(old))


async def test_two_servers_of_one_identity_are_named_and_not_promoted() -> None:
    """Of two replicas made from one disk image neither is promoted, as neither could acknowledge the other's writes."""
    async with _watched() as (shard, vtorc):
        old = await shard.primary()
        one, copy = await _replicas(shard)
        own = copy.folder / "data" / "auto.cnf"
        await copy.stop_mysqld()
        kept = await asyncio.to_thread(own.read_bytes)
        await asyncio.to_thread(shutil.copy, one.folder / "data" / "auto.cnf", own)
        await copy.start_mysqld()
        await _told(vtorc, f"{copy.alias} has the server_uuid of {one.alias}")
        await old.kill_mysqld()
        refused = await vtorc.wait_for(lambda line: "not promoting" in line["event"])
        # The former acknowledgements of the copy count if the primary was not seen at work since the swap.
        same = "has the same server_uuid or server_id and cannot replicate from it"
        assert same in refused["event"] or f"acknowledged by {copy.alias}" in refused["event"]
        assert await shard.primary() is old
        await copy.stop_mysqld()
        await asyncio.to_thread(own.write_bytes, kept)
        await copy.start_mysqld()
        await old.start_mysqld()
        await shard.well()
