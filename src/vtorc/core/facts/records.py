"""What the topology server says exists: tablets, shards, keyspaces."""

import enum
from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType


class KeyspaceType(enum.Enum):
    """Kind of a keyspace (values of `topodata.KeyspaceType`)."""

    NORMAL = 0
    SNAPSHOT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletRecord:
    """One `tablets/<alias>/Tablet` record.

    Times are nanoseconds since the Unix epoch, 0 where the record has none. `hostname` is empty and the ports are 0
    where the record has none, which is how a cleanly stopped vttablet leaves its record (Vitess
    `go/vt/vttablet/tabletmanager/tm_init.go`).
    """

    alias: TabletAlias
    keyspace: str
    shard: str
    type: TabletType
    hostname: str = ""
    grpc_port: int = 0
    mysql_hostname: str = ""
    mysql_port: int = 0
    primary_term_start: int = 0
    start_time: int = 0
    shutdown_time: int = 0

    @property
    def is_shut_down(self) -> bool:
        """Whether its owner stopped it on purpose: such a tablet is not dialled."""
        return self.shutdown_time > 0 or not (self.hostname and self.grpc_port)

    @property
    def shard_id(self) -> ShardId:
        """The shard that it belongs to."""
        return ShardId(self.keyspace, self.shard)

    @property
    def mysql_address(self) -> tuple[str, int]:
        """Host and port under which replicas know its mysqld."""
        return (self.mysql_hostname, self.mysql_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """One `keyspaces/<ks>/shards/<shard>/Shard` record; the term is in nanoseconds since the Unix epoch, 0 if unset."""

    shard: ShardId
    primary_alias: TabletAlias | None = None
    primary_term_start: int = 0
    emergency_reparent_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyspaceRecord:
    """One `keyspaces/<ks>/Keyspace` record; an empty `durability_policy` means that the record names none."""

    name: str
    type: KeyspaceType = KeyspaceType.NORMAL
    durability_policy: str = ""
    emergency_reparent_disabled: bool = False
    sidecar_db_name: str = "_vt"
