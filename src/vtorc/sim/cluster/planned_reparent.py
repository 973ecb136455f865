"""A planned reparent with Vitess' own tools, as vtctld does it (Vitess `planned_reparenter.go`)."""

import asyncio
import contextlib

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import TabletError, TopoError
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.process import Process
from vtorc.topo.server import TopoServer
from vtorc.topo.shard_lock import ShardLock

_CALL = 15.0
_WAIT_REPLICAS = 15.0


async def plan_reparent(world: World, shard: SimShard, winner: SimTablet) -> None:
    """Move the primary to `winner` under the shard's lock, or give up and let the old primary go on."""
    number = sum(host.startswith("operator") for host in world.network.hosts) + 1
    life = Process(world.network.add_host(f"operator-{number}", world.plan.cells[0]), "vtctld").start()
    topo = world.open_topo(life)
    tablets = world.open_tablets(life, checked=True)
    name = life.host.name
    world.trace.note(name, f"begins a planned reparent of {shard.id} to {winner.config.alias}")
    try:
        async with topo.lock_shard(shard.id, f"PlannedReparentShard({winner.config.alias}, AvoidPrimary = )") as lock:
            await _Reparent(topo, tablets, lock, life.host.wall()).run(shard, winner)
        world.trace.note(name, f"has moved the primary of {shard.id} to {winner.config.alias}")
    except (TopoError, TabletError, TimeoutError) as error:
        world.trace.note(name, f"gives up: {str(error) or 'no answer in time'}")


class _Reparent:
    def __init__(self, topo: TopoServer, tablets: SimTabletManager, lock: ShardLock, created_ns: int) -> None:
        self._topo = topo
        self._tablets = tablets
        self._lock = lock
        self._created_ns = created_ns

    async def run(self, shard: SimShard, winner: SimTablet) -> None:
        """Catch up, demote, wait, promote and re-point; only the graceful case is simulated."""
        records = {record.alias: record for record in (await self._topo.tablets_of_shard(shard.id)).records}
        primary = (await self._topo.shard(shard.id)).primary_alias
        if primary is None or primary == winner.config.alias or not {primary, winner.config.alias} <= records.keys():
            return  # nothing to do, or a cell's topology does not answer
        old, new = records[primary], records[winner.config.alias]
        durability = policy(shard.plan.durability)
        for record in records.values():
            async with asyncio.timeout(_CALL):
                await self._tablets.global_status(record, ["Innodb_buffer_pool_pages_data"])
        async with asyncio.timeout(_CALL):
            before = await self._tablets.primary_position(old)
        # vtctld does not check here. The simulated one does: a vtorc could not prevent what it did under a lost lock.
        if self._lock.lost.is_set():
            await self._lock.check()
        async with asyncio.timeout(_WAIT_REPLICAS):
            await self._tablets.set_replication_source(
                new,
                primary,
                semi_sync=durability.may_ack(Member(primary, old.type), Member(new.alias, new.type)),
                force_start=True,
                wait_position=before,
            )
        await self._lock.check()
        position = await self._demote(
            old, new, requires_acks=bool(durability.required_acks(Member(new.alias, new.type)))
        )
        await self._lock.check()
        await self._promote(records, new, position, shard)

    async def _demote(self, old: TabletRecord, new: TabletRecord, *, requires_acks: bool) -> GtidSet:
        try:
            async with asyncio.timeout(_CALL):
                position = await self._tablets.demote_primary(old, force=False)
            async with asyncio.timeout(_WAIT_REPLICAS):
                await self._tablets.wait_for_position(new, position)
        except (TabletError, TimeoutError):
            with contextlib.suppress(TabletError, TimeoutError):
                async with asyncio.timeout(_CALL):
                    await self._tablets.undo_demote_primary(old, semi_sync=requires_acks)
            raise
        return position

    async def _promote(
        self, records: dict[TabletAlias, TabletRecord], new: TabletRecord, position: GtidSet, shard: SimShard
    ) -> None:
        durability = policy(shard.plan.durability)
        winner = Member(new.alias, new.type)

        async def promote() -> None:
            promoted = await self._tablets.promote_replica(new, semi_sync=bool(durability.required_acks(winner)))
            await self._tablets.populate_reparent_journal(
                new,
                time_created_ns=self._created_ns,
                action="PlannedReparentShard",
                primary=new.alias,
                position=promoted,
            )

        async def follow(record: TabletRecord) -> None:
            with contextlib.suppress(TabletError, TimeoutError):
                await self._tablets.set_replication_source(
                    record,
                    new.alias,
                    semi_sync=durability.may_ack(winner, Member(record.alias, record.type)),
                    force_start=False,
                    time_created_ns=self._created_ns,
                )

        async with asyncio.timeout(_WAIT_REPLICAS):
            others = [follow(record) for record in records.values() if record.alias != new.alias]
            await asyncio.gather(promote(), *others)
