"""The reports of a simulated server about itself; a report is the same object for as long as nothing changes."""

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import SemiSyncStatus, ThreadState
from vtorc.sim.mysql.server import SimMysqld
from vtorc.sim.mysql.setup import ServerSetup
from vtorc.vttablet.mysql_api import ReplicaReport, ServerReport, Source

_NO_PLUGINS = SemiSyncStatus()
_MOST_MS = 1_000_000_000_000_000_000
"""The timeout of semi-sync in Vitess' file, in milliseconds."""

_BINLOG = "binlog.000001"
"""The one file of a binary log."""


def server_report(server: SimMysqld) -> ServerReport:
    """Return what FullStatus shows of the server at this moment."""
    replication = server.replication
    return server.reports.server.of(
        _server_report,
        server,
        server.executed.value,
        server.binlog.end,
        server.binlog.purged,
        server.read_only,
        server.super_read_only,
        replication.heartbeat_period if replication.source else 0.0,
        replica_report(server),
        semi_sync(server),
        server.setup,
        server.uuid,
    )


def _server_report(
    server: SimMysqld,
    executed: GtidSet,
    end: int,
    purged: GtidSet,
    read_only: bool,
    super_read_only: bool,
    heartbeat_interval: float,
    replication: ReplicaReport | None,
    acks: SemiSyncStatus,
    setup: ServerSetup,
    uuid: str,
) -> ServerReport:
    return ServerReport(
        server_id=server.server_id,
        server_uuid=uuid,
        version=server.settings.version,
        version_comment="simulated",
        read_only=read_only,
        super_read_only=super_read_only,
        executed=executed,
        purged=purged,
        binlog_end=(_BINLOG, end),
        gtid_mode="ON",
        log_bin=setup.log_bin,
        log_replica_updates=setup.log_replica_updates,
        replication=replication,
        semi_sync=acks,
        heartbeat_interval=heartbeat_interval,
        replica_net_timeout=int(server.settings.replica_net_timeout),
        coordinates=coordinates(end) if setup.log_bin else "",
        binlog_format="ROW",
        binlog_row_image="FULL",
    )


def coordinates(end: int) -> str:
    """Write a position of the binary log as MySQL does."""
    return f"{_BINLOG}:{end}"


def replica_report(server: SimMysqld) -> ReplicaReport | None:
    """Return what SHOW REPLICA STATUS shows at this moment; None if the server has no source."""
    replication = server.replication
    source, applier = replication.source, replication.applier
    if source is None:
        return None
    return server.reports.replica.of(
        _replica_report,
        server,
        source,
        replication.source_uuid,
        replication.source_server_id,
        replication.io_state,
        applier.running,
        replication.last_io_error,
        applier.error,
        server.executed.value,
        replication.retrieved.value,
        _lag(server),
        applier.delay,
        server.setup.filters,
        len(replication.relay),
    )


def _replica_report(
    server: SimMysqld,
    source: Source,
    source_uuid: str,
    source_server_id: int,
    io_state: ThreadState,
    applying: bool,
    last_io_error: str,
    last_sql_error: str,
    executed: GtidSet,
    retrieved: GtidSet,
    lag: int | None,
    delay: float,
    filters: bool,
    relayed: int,
) -> ReplicaReport:
    return ReplicaReport(
        source_host=source.host,
        source_port=source.port,
        source_uuid=source_uuid,
        source_user="vt_repl",
        source_server_id=source_server_id,
        io_state=io_state,
        sql_state=ThreadState.RUNNING if applying else ThreadState.STOPPED,
        last_io_error=last_io_error,
        last_sql_error=last_sql_error,
        executed=executed,
        received=executed.union(retrieved),
        lag=lag,
        sql_delay=int(delay),
        auto_position=True,
        has_filters=filters,
        connect_retry=int(server.settings.connect_retry),
        relay_log_coordinates=f"relay.000001:{relayed}",
    )


def _lag(server: SimMysqld) -> int | None:
    """Return Seconds_Behind_Source; None without an applier, or with an empty relay log and no connection."""
    replication = server.replication
    if not replication.applier.running:
        return None
    if replication.relay:
        return int(server.loop.time() - replication.relay[0].at)
    return 0 if replication.io_state is ThreadState.RUNNING else None


def semi_sync(server: SimMysqld) -> SemiSyncStatus:
    """Return the semi-sync settings and states of this moment."""
    acks = server.acks
    if not server.setup.semi_sync_plugins:
        return _NO_PLUGINS
    return server.reports.semi_sync.of(
        _semi_sync,
        acks.count,
        acks.enabled,
        acks.active,
        min(server.settings.ack_timeout * 1000.0, _MOST_MS),
        server.semi_sync_replica,
        server.replication.acknowledges,
        server.dumps.semi_sync_clients,
    )


def _semi_sync(
    count: int, primary: bool, active: bool, timeout: float, replica: bool, acknowledges: bool, clients: int
) -> SemiSyncStatus:
    return SemiSyncStatus(
        primary_enabled=primary,
        replica_enabled=replica,
        primary_active=active,
        replica_active=acknowledges,
        primary_clients=clients,
        timeout=int(timeout),
        wait_for_replica_count=count,
    )
