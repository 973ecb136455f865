"""Who a tablet is, and how often its background loops turn."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.vttablet.mysql_api import PrimaryReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletConfig:
    """What a tablet is told on its command line; `init_type` may not be PRIMARY."""

    alias: TabletAlias
    shard: ShardId
    hostname: str
    grpc_port: int
    vt_port: int
    mysql_hostname: str
    mysql_port: int
    init_type: TabletType = TabletType.REPLICA
    db_name_override: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """Name of the keyspace's database in MySQL."""
        return self.db_name_override or f"vt_{self.shard.keyspace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTimings:
    """Intervals and limits in seconds; the defaults are vttablet's where it has one."""

    publish_retry: float = 30.0
    shard_sync_retry: float = 30.0
    health_interval: float = 20.0
    topo_reread: float = 0.1
    topo_deadline: float = 15.0
    journal_poll: float = 0.1
    mysql_poll: float = 0.2
    semi_sync_check: float = 10.0
    semi_sync_write: float = 1.0
    disk_check: float = 5.0
    disk_deadline: float = 30.0
    demote_stalled: float = 150.0
    demote_poll: float = 0.05
    table_lock: float = 60.0

    def scaled(self, factor: float) -> "AgentTimings":
        """Return the same with all loops faster or slower; the deadline of topology calls stays."""
        scaled = {each.name: getattr(self, each.name) * factor for each in fields(self)}
        return AgentTimings(**{**scaled, "topo_deadline": self.topo_deadline})


class Peers(Protocol):
    """The other tablets of the cluster, as far as a tablet calls them."""

    async def primary_report(self, tablet: TabletRecord) -> PrimaryReport:
        """Ask another tablet for its `PrimaryStatus`; raises TabletError."""
        ...


DiskProbe = Callable[[], Awaitable[None]]
"""Writes something to the disk that MySQL's data lies on, and returns when it is written."""

WallClock = Callable[[], int]
"""Tells the time in nanoseconds since the Unix epoch."""
