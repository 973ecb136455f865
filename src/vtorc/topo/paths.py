"""Paths of the records, relative to the root of the global or of a cell's topology (Vitess `go/vt/topo/server.go`)."""

from vtorc.core.facts.ids import ShardId, TabletAlias

CELLS = "cells"
KEYSPACES = "keyspaces"
TABLETS = "tablets"
VTORCS = "vtorcs"


def cell_info(cell: str) -> str:
    """Global: the address and root of a cell's own topology."""
    return f"{CELLS}/{cell}/CellInfo"


def keyspace(name: str) -> str:
    """Global: the keyspace record."""
    return f"{KEYSPACES}/{name}/Keyspace"


def shards(keyspace_name: str) -> str:
    """Global: the directory of a keyspace's shards."""
    return f"{KEYSPACES}/{keyspace_name}/shards"


def shard_dir(shard: ShardId) -> str:
    """Global: the directory of a shard, on which its lock is taken."""
    return f"{shards(shard.keyspace)}/{shard.shard}"


def shard(shard_id: ShardId) -> str:
    """Global: the shard record."""
    return f"{shard_dir(shard_id)}/Shard"


def tablet(alias: TabletAlias) -> str:
    """Cell: the tablet record."""
    return tablet_file(str(alias))


def tablet_file(directory: str) -> str:
    """Cell: the tablet record in a directory below `tablets`, which should have the name of an alias."""
    return f"{TABLETS}/{directory}/Tablet"


def shard_replication(shard_id: ShardId) -> str:
    """Cell: the list of the cell's tablets in the shard, which is a hint only."""
    return f"{shard_dir(shard_id)}/ShardReplication"


def vtorc(name: str) -> str:
    """Global: the record of a vtorc that shares the shards with others, which is no part of Vitess."""
    return f"{VTORCS}/{name}"
