"""The records of a fake fleet in the topology server: one SQLite file (`local`), which the daemon can use as it is.

etcd would be a third process on two cores, and its part in the figures would not be vtorc's.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.fake_fleet.layout import CELLS, DURABILITY, MYSQL_PORT, Place
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.proto import topodata_pb2
from vtorc.topo.open import TopoAccess
from vtorc.topo.records import alias_to_proto, time_to_proto
from vtorc.topo.server import TopoServer

GLOBAL_ROOT = "/vitess/global"


def topo_access(file: Path) -> TopoAccess:
    """Return how to reach the topology server whose file this is."""
    return TopoAccess(implementation="local", global_server_address=(str(file),), global_root=GLOBAL_ROOT)


async def write_records(topo: TopoServer, file: Path, fleet: Sequence[Place], *, port: int, term: int) -> None:
    """Write all records of a fleet that serves on `port`; its primaries began their term at `term`, in nanoseconds
    since the Unix epoch.
    """
    for cell in CELLS:
        await topo.create_cell(cell, server_address=str(file), root=f"/vitess/{cell}")
    for keyspace in dict.fromkeys(place.shard.keyspace for place in fleet):
        await topo.create_keyspace(keyspace, durability_policy=DURABILITY)
    for shard in dict.fromkeys(place.shard for place in fleet):
        await topo.create_shard(shard)
    for place in fleet:
        await topo.create_tablet(_tablet(place, port=port, term=term))
        if place.is_primary:
            await _name_primary(topo, place, term)


async def record_promotion(topo: TopoServer, place: Place, term: int) -> None:
    """Write what a vttablet writes when it has become primary: its own record, then the shard's."""

    def promote(tablet: topodata_pb2.Tablet) -> None:
        tablet.type = topodata_pb2.TabletType.ValueType(TabletType.PRIMARY.value)
        tablet.primary_term_start_time.CopyFrom(time_to_proto(term))

    await topo.update_tablet(place.alias, promote)
    await _name_primary(topo, place, term)


async def record_type(topo: TopoServer, alias: TabletAlias, type_: TabletType) -> None:
    """Write the type of a tablet that is no primary any more, or never was."""

    def change(tablet: topodata_pb2.Tablet) -> None:
        tablet.type = topodata_pb2.TabletType.ValueType(type_.value)
        tablet.ClearField("primary_term_start_time")

    await topo.update_tablet(alias, change)


async def _name_primary(topo: TopoServer, place: Place, term: int) -> None:
    def name(shard: topodata_pb2.Shard) -> None:
        shard.primary_alias.CopyFrom(alias_to_proto(place.alias))
        shard.primary_term_start_time.CopyFrom(time_to_proto(term))

    await topo.update_shard(place.shard, name)


def _tablet(place: Place, *, port: int, term: int) -> topodata_pb2.Tablet:
    type_ = TabletType.PRIMARY if place.is_primary else TabletType.REPLICA
    tablet = topodata_pb2.Tablet(
        alias=alias_to_proto(place.alias),
        hostname=place.host,
        port_map={"grpc": port},
        keyspace=place.shard.keyspace,
        shard=place.shard.shard,
        type=topodata_pb2.TabletType.ValueType(type_.value),
        mysql_hostname=place.host,
        mysql_port=MYSQL_PORT,
        tablet_start_time=time_to_proto(term),
    )
    if place.is_primary:
        tablet.primary_term_start_time.CopyFrom(time_to_proto(term))
    return tablet
