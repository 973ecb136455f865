"""What vtorc asks of a tablet manager, in its own types: one real implementation over gRPC, one simulated.

Every call may raise the errors of `vtorc.errors` that start with `Tablet`: `TabletUnreachable` (nobody answered:
refused, no route, deadline), `TabletCallFailed` (it answered with an error; `errno` if MySQL gave one),
`TabletCallUnknown` (the call was not understood: an older tablet), `TabletBadAnswer` (the answer makes no sense; a
command that was answered so has been carried out all the same).

The caller bounds every call with its own deadline (`asyncio.timeout`). A call that is cancelled is cancelled at the
tablet too; like one that ended in `TabletUnreachable` it may have been carried out or not. Implementations have a
longest time of their own besides.
"""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus


class StopMode(enum.Enum):
    """Which replication threads `stop_replication_and_get_status` stops (values of `StopReplicationMode`)."""

    BOTH = 0
    IO_ONLY = 1


@dataclass(frozen=True, slots=True)
class StoppedReplication:
    """Replication status before and after the threads were stopped."""

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
    """The tablet manager of any tablet of the cluster; calls are addressed by the tablet's record."""

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Ask for the whole state of tablet and mysqld."""
        ...

    async def ping(self, tablet: TabletRecord) -> None:
        """Ask the tablet process, not its mysqld, whether it is there."""
        ...

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus | None:
        """Ask for SHOW REPLICA STATUS; None if the server is nobody's replica."""
        ...

    async def primary_position(self, tablet: TabletRecord) -> GtidSet:
        """Ask for the executed GTID set of any server."""
        ...

    async def wait_for_position(self, tablet: TabletRecord, position: GtidSet) -> None:
        """Wait until the server has executed `position`."""
        ...

    async def stop_replication(self, tablet: TabletRecord) -> None:
        """Stop both replication threads."""
        ...

    async def stop_replication_and_get_status(self, tablet: TabletRecord, mode: StopMode) -> StoppedReplication | None:
        """Stop replication threads and report before and after; None if the server is nobody's replica."""
        ...

    async def wall_clock(self, tablet: TabletRecord) -> int:
        """Tell the time of the mysqld's host, which is the tablet's too unless its MySQL is elsewhere, at some moment
        of the call; in nanoseconds since the Unix epoch.
        """
        ...

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        """Stop the IO thread whatever its state; the relay log goes on being applied.

        `stop_replication_and_get_status` leaves one alone that is trying to connect (Vitess `rpc_replication.go`), and
        it may succeed.
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
        """Point the server at `source`; drops its relay log. Waits for the position or the journal row, if given."""
        ...

    async def reset_replication_parameters(self, tablet: TabletRecord) -> None:
        """Make the server nobody's replica."""
        ...

    async def promote_replica(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a replica the primary; returns its position at promotion."""
        ...

    async def init_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a tablet the first primary of its shard; returns its position."""
        ...

    async def demote_primary(self, tablet: TabletRecord, *, force: bool) -> GtidSet:
        """Stop serving writes and turn read-only; returns the position that it ends at."""
        ...

    async def undo_demote_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Make a demoted primary writable again under its old term."""
        ...

    async def set_read_only(self, tablet: TabletRecord) -> None:
        """Turn read_only on."""
        ...

    async def set_read_write(self, tablet: TabletRecord) -> None:
        """Turn read_only and super_read_only off."""
        ...

    async def change_type(self, tablet: TabletRecord, type_: TabletType, *, semi_sync: bool) -> None:
        """Change the tablet's type."""
        ...

    async def refresh_state(self, tablet: TabletRecord) -> None:
        """Make the tablet read its shard record again."""
        ...

    async def populate_reparent_journal(
        self, tablet: TabletRecord, *, time_created_ns: int, action: str, primary: TabletAlias, position: GtidSet
    ) -> None:
        """Write one row of the reparent journal; under semi-sync it returns once somebody acknowledged it."""
        ...

    async def reparent_journal_length(self, tablet: TabletRecord) -> int:
        """Number of rows in the reparent journal."""
        ...

    async def global_status(self, tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        """Values of MySQL global status variables."""
        ...

    def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        """Health reports as they come, until the stream breaks with an error."""
        ...

    def watch_connectivity(self, tablet: TabletRecord) -> AsyncIterator[bool]:
        """Tell whether there is a connection to the tablet: how it is now, then each change, until the client gives
        it up.

        Watching does not connect, calls do. No loss is left out, even if a call has connected again by the time it is
        read: a loss is a reason to look at the shard, no proof of anything. Raises TabletUnreachable if the tablet
        was shut down on purpose.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
