"""What one tablet answered about its mysqld, with "unknown" kept apart from "no"."""

import enum
from dataclasses import dataclass

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType


class ThreadState(enum.Enum):
    """State of a replication thread (values of `io_state` and `sql_state` on the wire)."""

    UNKNOWN = 0
    STOPPED = 1
    CONNECTING = 2
    RUNNING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationStatus:
    """SHOW REPLICA STATUS of one server.

    `executed` is what the server has committed, `received` what it has committed or holds in its relay log. `lag` is
    in seconds, None where MySQL does not know it.
    """

    source_host: str = ""
    source_port: int = 0
    source_uuid: str = ""
    source_user: str = ""
    io_state: ThreadState = ThreadState.UNKNOWN
    sql_state: ThreadState = ThreadState.UNKNOWN
    last_io_error: str = ""
    last_sql_error: str = ""
    executed: GtidSet = EMPTY_GTID_SET
    received: GtidSet = EMPTY_GTID_SET
    lag: int | None = None
    sql_delay: int = 0
    auto_position: bool = False
    has_filters: bool = False
    backup_running: bool = False

    @property
    def has_source(self) -> bool:
        """Whether the server is told to replicate from somebody."""
        return bool(self.source_host) and self.source_port > 0

    @property
    def source_address(self) -> tuple[str, int]:
        """Host and port of the server that it replicates from."""
        return (self.source_host, self.source_port)

    @property
    def is_receiving(self) -> bool:
        """Whether its IO thread is connected to the source right now."""
        return self.io_state is ThreadState.RUNNING

    @property
    def io_healthy(self) -> bool:
        """Whether the IO thread runs, or connects without having failed yet (Vitess' own notion of a healthy IO
        thread).
        """
        return self.is_receiving or (self.io_state is ThreadState.CONNECTING and not self.last_io_error)

    @property
    def substance(self) -> tuple[object, ...]:
        """All but positions and lag."""
        return (
            self.source_host,
            self.source_port,
            self.source_uuid,
            self.source_user,
            self.io_state,
            self.sql_state,
            self.last_io_error,
            self.last_sql_error,
            self.has_filters,
            self.backup_running,
        )

    @property
    def is_replicating(self) -> bool:
        """Whether both threads run."""
        return self.is_receiving and self.sql_state is ThreadState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SemiSyncStatus:
    """Semi-synchronous replication of one server; `timeout` is in milliseconds."""

    primary_enabled: bool = False
    replica_enabled: bool = False
    primary_active: bool = False
    replica_active: bool = False
    primary_clients: int = 0
    timeout: int = 0
    wait_for_replica_count: int = 0

    @property
    def tells_settings(self) -> bool:
        """Whether the answer tells of semi-sync at all: FullStatus reports false and 0 where its statements failed.

        Of those statements the settings come last (Vitess `rpc_replication.go`, FullStatus), and a server that has
        semi-sync has a timeout.
        """
        return bool(self.timeout or self.wait_for_replica_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletStatus:
    """One answer of `FullStatus`.

    None means "this tablet does not tell" (older version), never "no". `heartbeat_interval` is in seconds (a float,
    as MySQL keeps it), `replica_net_timeout` in seconds. A stalled disk answers nothing else: all other fields then
    hold their defaults and must not be believed (Vitess `rpc_replication.go`, FullStatus).
    """

    server_id: int = 0
    server_uuid: str = ""
    version: str = ""
    version_comment: str = ""
    read_only: bool = False
    super_read_only: bool | None = None
    executed: GtidSet = EMPTY_GTID_SET
    purged: GtidSet = EMPTY_GTID_SET
    gtid_mode: str = ""
    log_bin: bool = False
    log_replica_updates: bool = False
    replication: ReplicationStatus | None = None
    semi_sync: SemiSyncStatus = SemiSyncStatus()
    semi_sync_blocked: bool | None = None
    disk_stalled: bool | None = None
    tablet_type: TabletType | None = None
    heartbeat_interval: float | None = None
    replica_net_timeout: int | None = None

    @property
    def has_source(self) -> bool:
        """Whether the server is told to replicate from somebody."""
        return self.replication is not None and self.replication.has_source

    @property
    def substance(self) -> tuple[object, ...]:
        """All that findings are made from but positions and lag, which move with every write."""
        replication = self.replication
        return (
            self.server_uuid,
            self.read_only,
            self.super_read_only,
            self.semi_sync,
            self.semi_sync_blocked,
            self.disk_stalled,
            self.tablet_type,
            self.heartbeat_interval,
            self.replica_net_timeout,
            None if replication is None else replication.substance,
        )

    @property
    def received(self) -> GtidSet:
        """Everything the server holds: committed, or waiting in its relay log."""
        return self.executed if self.replication is None else self.executed.union(self.replication.received)
