"""The answer of one tablet about its mysqld, with "unknown" kept apart from "no"."""

import enum
from dataclasses import dataclass, field

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType


class ThreadState(enum.Enum):
    """State of a replication thread (values of `io_state` and `sql_state` on the wire)."""

    UNKNOWN = 0
    STOPPED = 1
    CONNECTING = 2
    RUNNING = 3


_NO_ANSWER = ("Can't connect", "Lost connection", "has gone away", "Unknown MySQL server host")
"""Texts of the client library when no server spoke to it: errors 2003, 2013, 2006, 2005 (MySQL client error
reference).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationStatus:
    """SHOW REPLICA STATUS of one server, and what vttablet adds to it."""

    source_host: str = ""
    """Host of the server that it replicates from; empty if it has no source."""
    source_port: int = 0
    """Port of that server; 0 if it has no source."""
    source_uuid: str = ""
    """UUID of that server; empty before the first connection to it."""
    source_user: str = ""
    """The user as which it connects to its source."""
    io_state: ThreadState = ThreadState.UNKNOWN
    """State of the IO thread, which receives transactions into the relay log."""
    sql_state: ThreadState = ThreadState.UNKNOWN
    """State of the SQL thread, which applies the relay log."""
    last_io_error: str = ""
    """Last error of the IO thread; empty if there is none."""
    last_sql_error: str = ""
    """Last error of the SQL thread; empty if there is none."""
    executed: GtidSet = EMPTY_GTID_SET
    """Transactions that the server has committed."""
    received: GtidSet = EMPTY_GTID_SET
    """Transactions that the server has committed or holds in its relay log."""
    read_to: tuple[str, int] | None = None
    """File and position in the source's binary log up to which the IO thread has read, within a transaction too. None
    if the tablet does not tell.
    """
    lag: int | None = None
    """Seconds behind the source; None where MySQL does not know it."""
    sql_delay: int | None = None
    """Seconds by which the SQL thread stays behind on purpose (SOURCE_DELAY); None if the tablet does not tell."""
    auto_position: bool = False
    """Whether it finds its place in the source's binary logs by GTIDs."""
    has_filters: bool | None = None
    """Whether replication filters make it leave out some transactions, which its GTIDs name all the same; None if the
    tablet does not tell."""
    backup_running: bool = False
    """Whether a backup is being taken of it."""

    @property
    def has_source(self) -> bool:
        """Whether the server is told to replicate from another one."""
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
    def got_no_answer(self) -> bool:
        """Whether no server spoke to its IO thread when that last failed, or it has not failed yet."""
        return not self.last_io_error or any(phrase in self.last_io_error for phrase in _NO_ANSWER)

    @property
    def io_healthy(self) -> bool:
        """Whether the IO thread runs, or connects without having failed yet (Vitess' own notion of a healthy IO
        thread).
        """
        return self.is_receiving or (self.io_state is ThreadState.CONNECTING and not self.last_io_error)

    @property
    def substance(self) -> tuple[object, ...]:
        """All fields but positions, lag and what no finding is made from."""
        return (
            self.source_host,
            self.source_port,
            self.source_uuid,
            self.source_user,
            self.io_state,
            self.sql_state,
            self.last_io_error,
            self.last_sql_error,
            self.sql_delay,
            self.has_filters,
            self.backup_running,
        )

    @property
    def is_replicating(self) -> bool:
        """Whether both threads run."""
        return self.is_receiving and self.sql_state is ThreadState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SemiSyncStatus:
    """Semi-synchronous replication of one server."""

    primary_enabled: bool = False
    """Whether its commits are to wait for acknowledgements (rpl_semi_sync_source_enabled)."""
    replica_enabled: bool = False
    """Whether it is to acknowledge what it receives (rpl_semi_sync_replica_enabled)."""
    primary_active: bool = False
    """Whether its commits wait now, and have not fallen back to asynchronous (Rpl_semi_sync_source_status)."""
    replica_active: bool = False
    """Whether its IO thread acknowledges now (Rpl_semi_sync_replica_status)."""
    primary_clients: int = 0
    """How many connected replicas acknowledge (Rpl_semi_sync_source_clients)."""
    timeout: int = 0
    """Milliseconds that a commit waits before MySQL goes on without acknowledgements (rpl_semi_sync_source_timeout);
    0 if it was not reported."""
    wait_for_replica_count: int = 0
    """How many acknowledgements a commit waits for (rpl_semi_sync_source_wait_for_replica_count); 0 if it was not
    reported."""

    @property
    def is_reported(self) -> bool:
        """Whether the answer tells of semi-sync at all: FullStatus reports false and 0 where its statements failed.

        Of those statements the settings come last (Vitess `rpc_replication.go`, FullStatus), and a server that has
        semi-sync has a timeout.
        """
        return bool(self.timeout or self.wait_for_replica_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletStatus:
    """One answer of `FullStatus`. None means that the tablet does not tell, as one of an older version: it is unknown.

    A tablet with a stalled disk answers nothing else: all other fields then hold their defaults and must not be
    believed (Vitess `rpc_replication.go`, FullStatus).
    """

    server_id: int = 0
    """MySQL's `server_id`; 0 if it was not reported."""
    server_uuid: str = ""
    """MySQL's `server_uuid`, which marks the transactions that it writes; empty if it was not reported."""
    version: str = ""
    """MySQL's version; up to Vitess 17 the banner of `mysqld --version`, empty if it was not reported."""
    version_comment: str = ""
    """MySQL's `version_comment`, which tells the flavour of the server."""
    read_only: bool = False
    """Whether the server refuses writes but those of privileged users."""
    super_read_only: bool | None = None
    """Whether it refuses those of privileged users as well; None if the tablet does not tell."""
    executed: GtidSet = EMPTY_GTID_SET
    """Transactions that the server has committed (gtid_executed)."""
    binlog_end: tuple[str, int] | None = None
    """File and position at which its binary log ends, with commits that wait for acknowledgements; None if it was not
    reported."""
    purged: GtidSet = EMPTY_GTID_SET
    """Transactions that are no longer in its binary logs, so that it cannot give them to others (gtid_purged)."""
    gtid_mode: str = ""
    """MySQL's `gtid_mode`; empty if it was not reported."""
    log_bin: bool | None = None
    """Whether it writes binary logs; None if it was not reported."""
    log_replica_updates: bool | None = None
    """Whether its binary logs include what it received from its source; None if it was not reported."""
    binlog_format: str = ""
    """MySQL's `binlog_format`; empty if it was not reported."""
    binlog_row_image: str = ""
    """MySQL's `binlog_row_image`; empty if it was not reported."""
    replication: ReplicationStatus | None = None
    """Its state as a replica; None if it has no source."""
    semi_sync: SemiSyncStatus = SemiSyncStatus()
    """Its semi-sync settings and state; defaults where they were not reported."""
    semi_sync_blocked: bool | None = None
    """Whether commits wait for acknowledgements in vain; None if the tablet does not tell."""
    disk_stalled: bool | None = None
    """Whether the tablet manager finds its disk stalled, and then asks its MySQL nothing; None if it does not tell."""
    tablet_type: TabletType | None = None
    """The type that the tablet manager takes its tablet for; None if it does not tell."""
    heartbeat_interval: float | None = None
    """Seconds between heartbeats that it asks of its source, as MySQL keeps them; None if the tablet does not tell."""
    replica_net_timeout: int | None = None
    """Seconds of silence after which it takes its connection to the source for broken; None if the tablet does not
    tell."""
    has_source: bool = field(init=False, compare=False, repr=False)
    """Whether the server is told to replicate from another one."""
    received: GtidSet = field(init=False, compare=False, repr=False)
    """Everything the server holds: committed, or waiting in its relay log."""

    def __post_init__(self) -> None:
        # Fields and not properties: each answer, and each judgement, asks for them many times.
        source = self.replication
        object.__setattr__(self, "has_source", source is not None and source.has_source)
        object.__setattr__(self, "received", self.executed if source is None else self.executed.union(source.received))

    @property
    def substance(self) -> tuple[object, ...]:
        """All that findings are made from but positions and lag, which move with every write."""
        replication = self.replication
        return (
            self.server_id,
            self.server_uuid,
            self.version,
            self.gtid_mode,
            self.log_bin,
            self.log_replica_updates,
            self.binlog_format,
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
