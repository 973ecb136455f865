"""The calls to a tablet manager, in vtorc's own types; there is one real implementation over gRPC and one simulated.

Every call may raise the errors of `vtorc.errors` that begin with `Tablet`:

* `TabletUnreachable`: no answer, for example connection refused, no route, deadline passed.
* `TabletCallFailed`: an error as answer; `errno` if MySQL gave one.
* `TabletCallUnknown`: an older tablet, which does not implement the call.
* `TabletBadAnswer`: a malformed answer; a command with such an answer has been carried out all the same.

The caller bounds every call with its own deadline (`asyncio.timeout`). A cancelled call is cancelled at the tablet,
too. After a cancellation or `TabletUnreachable` the tablet may or may not have carried the call out. Implementations
have longest times of their own besides.
"""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus

FLUSH_BINARY_LOGS = "FLUSH BINARY LOGS"
"""The statement of `flush_binary_logs`."""


class StopMode(enum.Enum):
    """The replication threads that `stop_replication_and_get_status` stops (values of `StopReplicationMode`)."""

    BOTH = 0
    IO_ONLY = 1


@dataclass(frozen=True, slots=True)
class StoppedReplication:
    """Replication status from before and from after the stop of the threads."""

    before: ReplicationStatus
    after: ReplicationStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """One message of the health stream; the term is in seconds since the Unix epoch, 0 if the tablet is not primary."""

    alias: TabletAlias | None
    type: TabletType
    serving: bool
    health_error: str = ""
    primary_term_start_seconds: int = 0


class TabletManager(Protocol):
    """The tablet managers of the cluster; each call is addressed by a tablet's record."""

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Return the status of tablet and mysqld."""
        ...

    async def ping(self, tablet: TabletRecord) -> None:
        """Return if the tablet process answers; its mysqld is not asked."""
        ...

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus | None:
        """Return SHOW REPLICA STATUS; None if the server has no replication source."""
        ...

    async def primary_position(self, tablet: TabletRecord) -> GtidSet:
        """Return the executed GTID set of a primary or replica."""
        ...

    async def wait_for_position(self, tablet: TabletRecord, position: GtidSet) -> None:
        """Wait until the server has executed `position`."""
        ...

    async def stop_replication(self, tablet: TabletRecord) -> None:
        """Stop both replication threads."""
        ...

    async def stop_replication_and_get_status(self, tablet: TabletRecord, mode: StopMode) -> StoppedReplication | None:
        """Stop replication threads and return their status before and after; None without a replication source."""
        ...

    async def wall_clock(self, tablet: TabletRecord) -> int:
        """Return the time of the mysqld's host at some moment of the call, in nanoseconds since the Unix epoch.

        That host is the tablet's, too, unless its MySQL runs elsewhere.
        """
        ...

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        """Stop the IO thread in any state; the SQL thread goes on to apply the relay log.

        `stop_replication_and_get_status` does not stop a connecting IO thread (Vitess `rpc_replication.go`), which may
        connect later.
        """
        ...

    async def start_replication(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Set the replica side of semi-sync, then start both threads."""
        ...

    async def set_replication_source(
        self,
        tablet: TabletRecord,
        source: TabletAlias,
        *,
        semi_sync: bool,
        force_start: bool,
        wait_position: GtidSet | None = None,
        time_created_ns: int = 0,
        heartbeat_interval: float = 0.0,
    ) -> None:
        """Make the server a replica of `source`, which drops its relay log.

        If given, the call also waits for `wait_position`, or for the reparent journal's row of `time_created_ns`.
        """
        ...

    async def reset_replication_parameters(self, tablet: TabletRecord) -> None:
        """Remove the server's replication source."""
        ...

    async def promote_replica(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a replica the primary; returns its position at promotion."""
        ...

    async def init_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a tablet the first primary of its shard; returns its position."""
        ...

    async def demote_primary(self, tablet: TabletRecord, *, force: bool) -> GtidSet:
        """Stop serving writes and turn read-only; returns the server's last position."""
        ...

    async def undo_demote_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Make a demoted primary writable again under its old term."""
        ...

    async def set_read_only(self, tablet: TabletRecord) -> None:
        """Turn read_only on."""
        ...

    async def change_type(self, tablet: TabletRecord, type_: TabletType, *, semi_sync: bool) -> None:
        """Change the tablet's type, in its record as well; with `semi_sync` it acknowledges from now on."""
        ...

    async def flush_binary_logs(self, tablet: TabletRecord) -> None:
        """Close the present binary log and begin a new one; MySQL writes no transaction for that."""
        ...

    async def populate_reparent_journal(
        self, tablet: TabletRecord, *, time_created_ns: int, action: str, primary: TabletAlias, position: GtidSet
    ) -> None:
        """Write one row of the reparent journal; under semi-sync it returns once the row is acknowledged."""
        ...

    async def global_status(self, tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        """Return MySQL global status variables by name."""
        ...

    def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        """Yield health reports as they come, until the stream breaks with an error."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
