"""Reading many tablet records at once, so that one bad record or one unreachable cell hides no other tablet."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import BadRecord, NoNode, TopoUnsupported
from vtorc.proto import topodata_pb2
from vtorc.topo import paths, records
from vtorc.topo.conn import Stored, TopoConn, names_in, read_each


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTablets:
    """The tablets of one cell, ordered by alias.

    `bad_records` holds the reason why a tablet's record is invalid. `bad_paths` holds entries below `tablets` that do
    not have the path of a tablet record, each with the reason.
    """

    records: tuple[TabletRecord, ...]
    bad_records: Mapping[TabletAlias, str] = field(default_factory=dict)
    bad_paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTablets:
    """The tablets of one shard, ordered by alias, and the records and cells that could not be read, with the reason.

    `cells` are all cells of the cluster. `bad_records` are tablets of this shard with an invalid record. An
    unreachable cell may have any number of further tablets.
    """

    records: tuple[TabletRecord, ...]
    cells: tuple[str, ...]
    bad_records: Mapping[TabletAlias, str] = field(default_factory=dict)
    unreachable_cells: Mapping[str, str] = field(default_factory=dict)


async def tablets_in_cell(conn: TopoConn) -> CellTablets:
    """Read all tablets of a cell."""
    try:
        files = await conn.list(paths.TABLETS)
    except TopoUnsupported:
        files = await read_each(conn, [paths.tablet_file(name) for name in await names_in(conn, paths.TABLETS)])
    return read_tablets(files)


async def tablets_of_shard_in_cell(conn: TopoConn, shard: ShardId, primary: TabletAlias | None) -> CellTablets:
    """Read the tablets of a shard in one cell: all tablets with this shard in their record.

    Vitess goes by ShardReplication. That is written apart from the tablet record and may lack a tablet, perhaps the one
    with the last copy of a write. Here ShardReplication and `primary` only assign invalid records to the shard.
    """
    named = await _named(conn, shard)
    if primary is not None:
        named.add(primary)
    try:
        files = await conn.list(paths.TABLETS)
    except TopoUnsupported:
        files = await read_each(conn, [paths.tablet(alias) for alias in sorted(named)])
    # Only what may be of this shard is decoded: a cell has thousands of tablets.
    keyspace, name = shard.keyspace.encode(), shard.shard.encode()
    relevant = {
        path: stored for path, stored in files.items() if keyspace in stored.contents and name in stored.contents
    }
    relevant |= {path: files[path] for alias in sorted(named) if (path := paths.tablet(alias)) in files}
    found = read_tablets(relevant)
    return CellTablets(
        records=tuple(record for record in found.records if record.shard_id == shard),
        bad_records={alias: reason for alias, reason in found.bad_records.items() if alias in named},
    )


def read_tablets(files: Mapping[str, Stored]) -> CellTablets:
    """Decode tablet records, which are given by path."""
    good: dict[TabletAlias, TabletRecord] = {}
    bad: dict[TabletAlias, str] = {}
    strange: dict[str, str] = {}
    for path, stored in files.items():
        alias = records.alias_of_path(path)
        if alias is None:
            strange[path] = "it is not the path of a tablet record: expected tablets/<cell>-<10 digits>/Tablet"
            continue
        try:
            good[alias] = records.tablet_record(path, stored.contents, alias)
        except BadRecord as error:
            bad[alias] = error.reason
    return CellTablets(records=tuple(good[alias] for alias in sorted(good)), bad_records=bad, bad_paths=strange)


async def named_in_cell(conn: TopoConn, shards: Iterable[ShardId]) -> Mapping[ShardId, Set[TabletAlias]]:
    """Read which tablets of a cell ShardReplication names for each shard, all at the same time."""
    by_path = {paths.shard_replication(shard): shard for shard in shards}
    files = await read_each(conn, by_path)
    return {shard: _aliases_in(path, files[path]) for path, shard in by_path.items() if path in files}


async def _named(conn: TopoConn, shard: ShardId) -> set[TabletAlias]:
    path = paths.shard_replication(shard)
    try:
        return _aliases_in(path, await conn.get(path))
    except NoNode:  # ShardReplication is a hint only; the tablet records decide
        return set()


def _aliases_in(path: str, replication: Stored) -> set[TabletAlias]:
    try:
        message = records.parse(path, replication.contents, topodata_pb2.ShardReplication)
    except BadRecord:
        return set()
    aliases = (records.alias_from_proto(node.tablet_alias) for node in message.nodes)
    return {alias for alias in aliases if alias is not None}
