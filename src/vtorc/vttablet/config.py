"""A tablet's identity and addresses, and the intervals of its background loops."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.vttablet.mysql_api import PrimaryReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletConfig:
    """A tablet's command line options; `init_type` may not be PRIMARY."""

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
        """The name of the keyspace's database in MySQL."""
        return self.db_name_override or f"vt_{self.shard.keyspace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTimings:
    """Intervals and limits in seconds; the defaults are vttablet's where vttablet has one."""

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
        """Return the timings multiplied by `factor`, except for the deadline of topology calls."""
        scaled = {each.name: getattr(self, each.name) * factor for each in fields(self)}
        return AgentTimings(**{**scaled, "topo_deadline": self.topo_deadline})


class Peers(Protocol):
    """The calls that a tablet makes to other tablets of the cluster."""

    async def primary_report(self, tablet: TabletRecord) -> PrimaryReport:
        """Ask another tablet for its `PrimaryStatus`; raises TabletError."""
        ...


DiskProbe = Callable[[], Awaitable[None]]
"""Writes to the disk of MySQL's data, and returns when the write is on the disk."""

WallClock = Callable[[], int]
"""Returns the time in nanoseconds since the Unix epoch."""
