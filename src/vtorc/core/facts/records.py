"""Records of the topology server: tablets, shards, keyspaces."""

import enum
from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType

HIGHEST_PORT = 65535
"""The highest port of TCP; a record or an answer with a higher one is malformed."""

DEFAULT_SIDECAR = "_vt"
"""The database of Vitess' own tables in a keyspace that names none."""


class KeyspaceType(enum.Enum):
    """Kind of a keyspace (values of `topodata.KeyspaceType`)."""

    NORMAL = 0
    SNAPSHOT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletRecord:
    """One `tablets/<alias>/Tablet` record; its times are nanoseconds since the Unix epoch."""

    alias: TabletAlias
    """The tablet's name."""
    keyspace: str
    """The keyspace that it belongs to."""
    shard: str
    """The shard of that keyspace, by its name alone."""
    type: TabletType
    """The role of the tablet in its shard."""
    hostname: str = ""
    """Host of the vttablet; empty in the record of one that was stopped cleanly (Vitess
    `go/vt/vttablet/tabletmanager/tm_init.go`)."""
    grpc_port: int = 0
    """Port of the vttablet's gRPC services; 0 as `hostname` is empty."""
    mysql_hostname: str = ""
    """Host of the mysqld, as its replicas know it; empty as `hostname` is."""
    mysql_port: int = 0
    """Port of the mysqld; 0 as `hostname` is empty."""
    primary_term_start: int = 0
    """When its term as primary began; 0 where the record names no term."""
    start_time: int = 0
    """When the vttablet started; 0 where the record does not say it (older versions)."""
    shutdown_time: int = 0
    """When the vttablet was stopped cleanly; 0 while it was not, and where the record does not say it."""

    @property
    def is_shut_down(self) -> bool:
        """Whether it was stopped on purpose: such a tablet is not dialled."""
        return self.shutdown_time > 0 or not (self.hostname and self.grpc_port)

    @property
    def shard_id(self) -> ShardId:
        """The shard that it belongs to."""
        return ShardId(self.keyspace, self.shard)

    @property
    def has_mysql_address(self) -> bool:
        """Whether the record tells where its mysqld is; a vttablet that starts does not know the port yet."""
        return bool(self.mysql_hostname) and self.mysql_port > 0

    @property
    def mysql_address(self) -> tuple[str, int]:
        """Host and port under which replicas know its mysqld."""
        return (self.mysql_hostname, self.mysql_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """One `keyspaces/<ks>/shards/<shard>/Shard` record."""

    shard: ShardId
    """The shard's name."""
    primary_alias: TabletAlias | None = None
    """The tablet that the record names as primary; None if it names none."""
    primary_term_start: int = 0
    """Since when that tablet is primary, in nanoseconds since the Unix epoch; 0 where the record names no term."""
    emergency_reparent_disabled: bool = False
    """Whether an operator has switched emergency reparents off for the shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyspaceRecord:
    """One `keyspaces/<ks>/Keyspace` record."""

    name: str
    """The keyspace's name."""
    type: KeyspaceType = KeyspaceType.NORMAL
    """The kind of keyspace."""
    durability_policy: str = ""
    """Name of the durability policy; empty if the record names none."""
    emergency_reparent_disabled: bool = False
    """Whether an operator has switched emergency reparents off for the keyspace."""
    sidecar_db_name: str = DEFAULT_SIDECAR
    """The database of Vitess' own tables, with the reparent journal."""
