"""The one shard of a lab, seen from outside: by its topology records and its servers, never through vtorc."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.daemon.daemons import MEMORY, Daemons, why_not_asked_since
from tests.e2e.daemon.watching import until
from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import ShardRecord
from vtorc.demo.writer import Writer
from vtorc.errors import MysqlError, TopoError
from vtorc.lab.cluster import LabCluster
from vtorc.lab.mysql_connection import MysqlConnection
from vtorc.lab.tablet_handle import LabTablet
from vtorc.lab.vtorc_process import VtorcProcess
from vtorc.proto import topodata_pb2
from vtorc.topo import paths
from vtorc.topo.cells import BoundedConn
from vtorc.vttablet.sql_session import Row

LOOK_DEADLINE = 30.0
_STATE = (
    "SELECT @@global.read_only AS read_only, @@global.rpl_semi_sync_source_enabled AS waits, "
    "@@global.rpl_semi_sync_replica_enabled AS acknowledges, @@global.replica_net_timeout AS net_timeout, "
    "(SELECT heartbeat FROM mysql.slave_master_info) AS heartbeat"
)


class Shard:
    """The shard of a lab that has only one."""

    def __init__(self, cluster: LabCluster) -> None:
        self.cluster = cluster
        (self.id,) = cluster.shard_ids()
        self.policy = cluster.spec.durability
        self.watched_by: Sequence[VtorcProcess] = ()
        """The vtorcs that `return_of` waits for; none if no test goes on with a vtorc after it."""

    @property
    def tablets(self) -> list[LabTablet]:
        """All tablets."""
        return list(self.cluster.tablets.values())

    async def primary(self) -> LabTablet:
        """Return the tablet that the shard record names as primary."""
        alias = (await self.cluster.topo.shard(self.id)).primary_alias
        assert alias is not None, "the shard has no primary"
        return self.cluster.tablet(alias)

    async def term(self) -> tuple[TabletAlias | None, int]:
        """Return the primary of the shard record, and since when it is primary."""
        record = await self.cluster.topo.shard(self.id)
        return record.primary_alias, record.primary_term_start

    @asynccontextmanager
    async def terms(self) -> AsyncIterator[list[tuple[TabletAlias | None, int]]]:
        """Collect the primaries of the shard record while inside, each with its term, the present one first."""
        seen: list[tuple[TabletAlias | None, int]] = [await self.term()]

        async def follow() -> None:
            async for record in self.cluster.topo.watch_shard_record(self.id):
                if isinstance(record, ShardRecord) and (record.primary_alias, record.primary_term_start) not in seen:
                    seen.append((record.primary_alias, record.primary_term_start))

        following = asyncio.create_task(follow(), name="follow the shard record")
        try:
            yield seen
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def replicas(self) -> list[LabTablet]:
        """Return all tablets but the primary."""
        primary = await self.primary()
        return [tablet for tablet in self.tablets if tablet is not primary]

    async def journal(self) -> list[Row]:
        """Return the reparent journal of the primary."""
        async with dba(await self.primary()) as session:
            return await session.rows("SELECT * FROM _vt.reparent_journal ORDER BY time_created_ns")

    async def why_not_well(self, *, but: Sequence[LabTablet] = ()) -> str:
        """Return why the shard is not well, leaving out the tablets `but`; empty if it is."""
        try:
            async with asyncio.timeout(LOOK_DEADLINE):
                return await self._why_not_well([tablet for tablet in self.tablets if tablet not in but])
        except (MysqlError, TopoError, TimeoutError, AssertionError) as error:
            return str(error) or "a server did not answer"

    async def well(self, *, but: Sequence[LabTablet] = ()) -> LabTablet:
        """Wait until the shard is well; returns its primary."""
        await until(lambda: self.why_not_well(but=but))
        return await self.primary()

    async def replaced(self, old: LabTablet, *, but: Sequence[LabTablet] = ()) -> LabTablet:
        """Wait until another tablet than `old` is primary of a shard that is well without `old`; returns the new
        primary.
        """

        async def why_not() -> str:
            if (await self.primary()) is old:
                return f"{old.alias} is still the primary"
            return await self.why_not_well(but=(old, *but))

        await until(why_not)
        return await self.primary()

    async def _why_not_well(self, tablets: Sequence[LabTablet]) -> str:
        primary = await self.primary()
        if primary not in tablets:
            return f"{primary.alias} is still the primary"
        committed = await executed(primary)
        for tablet in tablets:
            if why := await self._why_not_right(tablet, primary):
                return f"{tablet.alias} {why}"
            if lacks := committed.difference(await executed(tablet)):
                return f"{tablet.alias} has not executed {lacks}"
        return ""

    async def _why_not_right(self, tablet: LabTablet, primary: LabTablet) -> str:
        record = await self.cluster.topo.tablet(tablet.alias)
        if (record.type is TabletType.PRIMARY) is not (tablet is primary):
            return f"is {record.type.name} in the topology"
        async with dba(tablet) as session:
            state = await session.row(_STATE)
            status = await session.rows("SHOW REPLICA STATUS")
        rules = policy(self.policy)
        first = Member(primary.alias, TabletType.PRIMARY)
        if tablet is primary:
            if status:
                return "has a replication source"
            return _differs(state, read_only=False, waits=rules.required_acks(first) > 0)
        if not status:
            return "has no replication source"
        if int(status[0]["Source_Port"]) != primary.mysql_port:
            return f"replicates from port {status[0]['Source_Port']}, not from {primary.alias}"
        for thread in ("Replica_IO_Running", "Replica_SQL_Running"):
            if status[0][thread] != "Yes":
                return f"has {thread} {status[0][thread]} {status[0]['Last_IO_Error']}{status[0]['Last_SQL_Error']}"
        if 2 * float(state["heartbeat"]) != float(state["net_timeout"]):
            return f"has a heartbeat of {state['heartbeat']} s for a net timeout of {state['net_timeout']} s"
        return _differs(
            state, read_only=True, waits=False, acknowledges=rules.may_ack(first, Member(tablet.alias, record.type))
        )

    async def mended(self, daemons: Daemons) -> LabTablet:
        """Start what is down, and a vtorc for as long as the shard is not well; returns the primary."""
        for tablet in self.tablets:
            await tablet.start_tablet()
            await tablet.start_mysqld()
        if await self.why_not_well():
            vtorc = await daemons.start()
            await self.well()
            await vtorc.kill()
        return await self.primary()

    async def return_of(self, tablet: LabTablet, *, but: Sequence[LabTablet] = ()) -> None:
        """Start a tablet's dead mysqld, and wait until the tablet is a replica of a shard that is well.

        A write that was under way when the server died is in its binary log, and may have reached no replica. The
        tablet then has to be set up anew, which this does as its owner would. It also waits until the vtorcs in
        `watched_by` know that nothing was lost with the old data: the primary may be killed next.
        """
        await tablet.start_mysqld()
        if await self.rejoins(tablet, but=but) == "errant":
            await self.set_up_anew(tablet)
            await self.well(but=but)
            await until(lambda: self._why_not_known_as_rebuilt(tablet))

    async def _why_not_known_as_rebuilt(self, tablet: LabTablet) -> str:
        async with dba(tablet) as session:
            server = str(await session.value("SELECT @@global.server_uuid"))
        primary = await self.primary()
        names = str(tablet.alias), server, str(primary.alias)
        files = [file for each in self.watched_by if each.exit_code is None for file in each.folder.rglob(MEMORY)]
        told = [await asyncio.to_thread(why_not_asked_since, file, *names) for file in files]
        return ", ".join(filter(None, told))

    async def rejoins(self, tablet: LabTablet, *, but: Sequence[LabTablet] = ()) -> str:
        """Wait until a tablet is a replica of a shard that is well, or has errant transactions; returns "errant" for
        the latter.
        """
        errant = EMPTY_GTID_SET

        async def why_not() -> str:
            nonlocal errant
            with contextlib.suppress(MysqlError):
                errant = await self._errant(tablet)
            return "" if errant else await self.why_not_well(but=but)

        await until(why_not)
        return "errant" if errant else ""

    async def _errant(self, tablet: LabTablet) -> GtidSet:
        """Return what a tablet has and the primary lacks.

        The tablet is asked first, so that a transaction in between does not count.
        """
        held = await executed(tablet)
        return held.difference(await executed(await self.primary()))

    async def set_up_anew(self, tablet: LabTablet) -> None:
        """Delete a tablet's data and start it without any: it fetches everything from the primary."""
        await tablet.kill_tablet()
        await tablet.kill_mysqld()
        await asyncio.to_thread(shutil.rmtree, tablet.folder / "data")
        await tablet.start_tablet()

    async def set_policy(self, name: str) -> None:
        """Change the keyspace's durability policy, as `vtctldclient SetKeyspaceDurabilityPolicy` does."""
        path = paths.keyspace(self.id.keyspace)
        conn = global_topo(self.cluster)
        stored = await conn.get(path)
        record = topodata_pb2.Keyspace.FromString(stored.contents)
        record.durability_policy = name
        await conn.update(path, record.SerializeToString(), stored.version)
        self.policy = name

    async def locks(self) -> list[str]:
        """Return the keys of the shard's locks."""
        with contextlib.suppress(TopoError):
            return list(await global_topo(self.cluster).list_dir(f"{paths.shard_dir(self.id)}/locks"))
        return []

    async def unlocked(self, lock: str) -> None:
        """Wait until a lock of the shard is gone."""

        async def why_not() -> str:
            return f"lock {lock} is there" if lock in await self.locks() else ""

        await until(why_not)

    @asynccontextmanager
    async def written_to(self) -> AsyncIterator[Writer]:
        """Write a row every 10 ms while inside, on any tablet that takes it; begins once the first row is acknowledged.

        Rows of an earlier writer are dropped first, because they would count as this writer's.
        """
        await by_hand(await self.primary(), f"DROP TABLE IF EXISTS vt_{self.id.keyspace}.demo_writes")
        writer = Writer(self.tablets, database=f"vt_{self.id.keyspace}", on_gap=lambda gap: None)
        writing = asyncio.create_task(writer.run(), name="writer")
        try:
            await acknowledged(writer, 1)
            yield writer
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


def global_topo(cluster: LabCluster) -> BoundedConn:
    """Return the global topology without types."""
    return cluster.topo._global


async def cell_topo(cluster: LabCluster, cell: str) -> BoundedConn:
    """Return the topology of one cell without types."""
    return await cluster.topo._cells.get(cell)


async def acknowledged(writer: Writer, count: int, *, by: LabTablet | None = None) -> None:
    """Wait until that many more rows were acknowledged, the last of them by the tablet `by` if it is given."""
    wanted = writer.ledger.count + count

    async def why_not() -> str:
        ledger = writer.ledger
        if ledger.count < wanted:
            return f"{ledger.count} of {wanted} rows are acknowledged"
        return f"{ledger.last_from} takes the writes" if by is not None and ledger.last_from != by.alias else ""

    await until(why_not)


@asynccontextmanager
async def dba(tablet: LabTablet) -> AsyncIterator[MysqlConnection]:
    """Give a session of the administrator."""
    session = await tablet.connect_as_dba()
    try:
        yield session
    finally:
        session.close()


async def by_hand(tablet: LabTablet, *statements: str) -> None:
    """Run statements as the administrator."""
    async with dba(tablet) as session:
        for statement in statements:
            await session.run(statement)


async def executed(tablet: LabTablet) -> GtidSet:
    """Return what a server has executed."""
    async with dba(tablet) as session:
        return GtidSet.parse(await session.value("SELECT @@global.gtid_executed"))


def _differs(state: Row, **wanted: Any) -> str:
    """Return the settings that differ from the wanted ones."""
    return ", ".join(f"has {name} {state[name]}" for name, on in wanted.items() if (state[name] == "1") is not on)
