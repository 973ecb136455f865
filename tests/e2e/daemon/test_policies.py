"""Failovers under other policies than semi_sync on three tablets, and among tablets of other types."""

import grpc

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged
from vtorc.core.facts.ids import TabletType
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.proto import topodata_pb2
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub


async def _change_type(tablet: LabTablet, type_: topodata_pb2.TabletType.ValueType, *, semi_sync: bool) -> None:
    """Change a tablet's type, as `vtctldclient ChangeTabletType` does."""
    async with grpc.aio.insecure_channel(f"{tablet.host}:{tablet.grpc_port}") as channel:
        await TabletManagerStub(channel).ChangeType(tm.ChangeTypeRequest(tablet_type=type_, semiSync=semi_sync))


async def test_cross_cell() -> None:
    """Under cross_cell the primary is replaced each time that it dies, and no acknowledged row is missing."""
    async with LabCluster(LabSpec(durability="cross_cell")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        shard.watched_by = [await daemons.start()]
        await shard.well()
        async with shard.written_to() as writer:
            for _ in range(2):
                old = await shard.primary()
                await acknowledged(writer, 10, by=old)
                await old.kill_mysqld()
                new = await shard.replaced(old)
                await acknowledged(writer, 10, by=new)
                assert await writer.missing(new) == []
                await shard.return_of(old)


async def test_a_backup_and_an_rdonly_tablet_neither_win_nor_block() -> None:
    """Among five tablets, of which one takes a backup and one is RDONLY, each dead primary is replaced by another one.

    No acknowledged row is missing, and the tablet in backup replicates again afterwards.
    """
    spec = LabSpec(tablets=5, rdonly=1, topo="etcd2")
    async with LabCluster(spec) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        shard.watched_by = [await daemons.start()]
        await shard.well()
        (rdonly,) = (tablet for tablet in shard.tablets if tablet.spec.type is TabletType.RDONLY)
        backup = next(tablet for tablet in await shard.replicas() if tablet is not rdonly)
        await _change_type(backup, topodata_pb2.BACKUP, semi_sync=False)
        async with shard.written_to() as writer:
            for _ in range(2):
                old = await shard.primary()
                await acknowledged(writer, 10, by=old)
                await old.kill_mysqld()
                new = await shard.replaced(old, but=[backup])
                assert new not in (rdonly, backup)
                await acknowledged(writer, 10, by=new)
                assert await writer.missing(new) == []
                await shard.return_of(old, but=[backup])
        await _change_type(backup, topodata_pb2.REPLICA, semi_sync=True)
        await shard.well()
