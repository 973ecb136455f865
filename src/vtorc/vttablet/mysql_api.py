"""The interface of a tablet to the MySQL server that it manages: one implementation is real, one simulated."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus


class Threads(enum.Enum):
    """The replication threads that a statement starts or stops."""

    BOTH = ""
    IO = "IO_THREAD"
    SQL = "SQL_THREAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaReport(ReplicationStatus):
    """SHOW REPLICA STATUS; the fields here are for the wire: coordinates are `file:position`, the retry in seconds."""

    source_server_id: int = 0
    connect_retry: int = 0
    source_read_coordinates: str = ""
    source_executed_coordinates: str = ""
    relay_log_coordinates: str = ""
    ssl_allowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryReport:
    """A server's status as a replication source; `coordinates` are `file:position` of its own binary log."""

    executed: GtidSet
    server_uuid: str
    coordinates: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport(TabletStatus):
    """MySQL's part of FullStatus; the fields here are for the wire, `coordinates` is empty without binary logs."""

    coordinates: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A replication source; `heartbeat_interval` is in seconds, 0 for MySQL's default."""

    host: str
    port: int
    heartbeat_interval: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One row of `reparent_journal`; `time_created_ns` is its key."""

    time_created_ns: int
    action: str
    primary_alias: str
    position: str


@dataclass(frozen=True, slots=True)
class FetchedColumn:
    """The name and the `query.Type` number of a result column."""

    name: str
    type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The result of a statement run for the caller of an RPC; values are MySQL's text protocol's, None for NULL."""

    columns: tuple[FetchedColumn, ...] = ()
    rows: tuple[tuple[bytes | None, ...], ...] = ()
    affected: int = 0
    insert_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A statement to run for the caller of an RPC; more than `max_rows` rows are an error, 0 means no limit."""

    sql: str
    user: str = "vt_dba"
    database: str = ""
    max_rows: int = 0
    disable_binlogs: bool = False
    disable_foreign_key_checks: bool = False


class MysqlServer(Protocol):
    """The MySQL server of one tablet, as its administrator uses it.

    Every call may raise MysqlError: errno 2002 while no server listens, 2013 if the server ended during the call. A
    hung server keeps a call waiting, so the caller sets the deadline. A cancelled call leaves no statement running.
    """

    async def report(self) -> ServerReport:
        """Read everything that FullStatus reports about the server."""
        ...

    async def replication_status(self) -> ReplicaReport | None:
        """Read SHOW REPLICA STATUS; None if the server has no replication source."""
        ...

    async def primary_report(self) -> PrimaryReport | None:
        """Read the server's own binary log position; None without binary logs."""
        ...

    async def executed(self) -> GtidSet:
        """Read gtid_executed."""
        ...

    async def server_uuid(self) -> str:
        """Read server_uuid."""
        ...

    async def is_read_only(self) -> bool:
        """Read read_only."""
        ...

    async def set_read_only(self, on: bool) -> None:
        """Set read_only; OFF turns super_read_only off as well."""
        ...

    async def set_super_read_only(self, on: bool) -> None:
        """Set super_read_only; ON turns read_only on as well and waits for running commits."""
        ...

    async def start_replication(self, threads: Threads = Threads.BOTH) -> None:
        """Start replication threads."""
        ...

    async def start_replication_until_after(self, position: GtidSet) -> None:
        """Start both threads; the SQL thread stops once `position` is executed."""
        ...

    async def stop_replication(self, threads: Threads = Threads.BOTH) -> None:
        """Stop replication threads; a server without a source does nothing."""
        ...

    async def change_source(self, source: Source) -> None:
        """Point the server at another source, with auto position; drops the relay log. Threads must be stopped."""
        ...

    async def reset_replica(self, *, forget_source: bool) -> None:
        """Drop the relay log, and with `forget_source` the source settings too. Threads must be stopped."""
        ...

    async def reset_binary_logs(self, *, purged: GtidSet | None = None) -> None:
        """Wipe binary logs and GTID history, then set gtid_purged to `purged` unless that is None."""
        ...

    async def flush_binary_logs(self) -> None:
        """Begin a new binary log file."""
        ...

    async def semi_sync(self) -> SemiSyncStatus | None:
        """Read the semi-sync settings; None without the plugins."""
        ...

    async def set_semi_sync(self, *, primary: bool, replica: bool) -> None:
        """Switch the source and replica sides of semi-sync; a running IO thread keeps the setting it started with."""
        ...

    async def semi_sync_wait_sessions(self) -> int:
        """Read how many commits wait for an acknowledgement."""
        ...

    async def holds_commits_off(self) -> bool:
        """Whether a statement that turns the server read-only waits for running commits and holds new ones off."""
        ...

    async def kill_application_sessions(self) -> None:
        """Kill the sessions of all clients but the tablet and the replicas; each loses its connection at once.

        A commit that waits for an acknowledgement goes on waiting, but no client hears how it ended.
        """
        ...

    async def wait_for_executed(self, position: GtidSet) -> None:
        """Wait until gtid_executed contains `position`."""
        ...

    async def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        ...

    async def create_sidecar(self, name: str) -> None:
        """Create the sidecar database and its tables unless they exist."""
        ...

    async def write_journal(self, sidecar: str, row: JournalRow) -> None:
        """Insert a row into the reparent journal; under semi-sync the insert waits for its acknowledgement."""
        ...

    async def has_journal_row(self, sidecar: str, time_created_ns: int) -> bool:
        """Whether the reparent journal has this row; False also as long as the table does not exist."""
        ...

    async def journal_length(self, sidecar: str) -> int:
        """Count the rows of the reparent journal."""
        ...

    async def write_semi_sync_heartbeat(self, sidecar: str) -> None:
        """Commit a heartbeat row, which needs an acknowledgement under semi-sync."""
        ...

    async def replica_hosts(self) -> Sequence[str]:
        """List the hosts of the replicas that read this server's binary log."""
        ...

    async def global_status(self, names: Sequence[str]) -> Mapping[str, str]:
        """Read status variables, all of them if no name is given."""
        ...

    async def fetch(self, fetch: Fetch) -> Sequence[Fetched]:
        """Run one or several statements for the caller of an RPC; returns one result each."""
        ...

    async def lock_tables(self) -> None:
        """Hold a global read lock until `unlock_tables`; raises MysqlError if it is held already."""
        ...

    async def unlock_tables(self) -> None:
        """Release the global read lock; raises MysqlError if it is not held."""
        ...

    async def wait_gone(self) -> None:
        """Wait until the server, which must answer now, has ended: its end breaks a held connection."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
