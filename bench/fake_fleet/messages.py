"""The state of a fake tablet as messages of the tablet manager and of the health stream, as vttablets of 22 have it."""

from bench.fake_fleet.layout import MYSQL_PORT
from bench.fake_fleet.servers import NET_TIMEOUT, FakeServer, FakeShard
from vtorc.core.facts.status import ThreadState
from vtorc.proto import query_pb2, replicationdata_pb2, topodata_pb2
from vtorc.topo.records import alias_to_proto

_NO_TIMEOUT_MS = 10**18
"""How long Vitess lets a primary wait for acknowledgements."""


def full_status(shard: FakeShard, server: FakeServer, now: float) -> replicationdata_pb2.FullStatus:
    """Return what `FullStatus` tells."""
    ackers = len(shard.ackers_of(server, now))
    message = replicationdata_pb2.FullStatus(
        server_id=server.server_id,
        server_uuid=server.uuid,
        gtid_purged="MySQL56/",
        version="8.0.40",
        version_comment="MySQL Community Server - GPL",
        read_only=server.read_only,
        super_read_only=server.read_only,
        gtid_mode="ON",
        binlog_format="ROW",
        binlog_row_image="full",
        log_bin_enabled=True,
        log_replica_updates=True,
        semi_sync_primary_enabled=server.requires_acks,
        semi_sync_replica_enabled=server.acknowledges,
        semi_sync_primary_status=server.requires_acks,
        semi_sync_replica_status=server.acknowledges and server.is_receiving(now),
        semi_sync_primary_clients=ackers,
        semi_sync_primary_timeout=_NO_TIMEOUT_MS,
        semi_sync_wait_for_replica_count=1,
        semi_sync_blocked=server.requires_acks and not server.read_only and not ackers,
        tablet_type=topodata_pb2.TabletType.ValueType(server.type.value),
        primary_status=primary_status(server),
    )
    if server.source is not None:
        message.replication_status.CopyFrom(replication_status(server, now))
        message.replication_configuration.heartbeat_interval = NET_TIMEOUT / 2
        message.replication_configuration.replica_net_timeout = NET_TIMEOUT
    return message


def primary_status(server: FakeServer) -> replicationdata_pb2.PrimaryStatus:
    """Return a server's status as a source."""
    return replicationdata_pb2.PrimaryStatus(
        position=server.position, file_position="FilePos/vt-bin.000003:157", server_uuid=server.uuid
    )


def replication_status(server: FakeServer, now: float) -> replicationdata_pb2.Status:
    """Return SHOW REPLICA STATUS of a server that has a source."""
    source = server.source
    assert source is not None
    receives = server.is_receiving(now)
    io_state = ThreadState.STOPPED
    if server.io_running:
        io_state = ThreadState.RUNNING if receives else ThreadState.CONNECTING
    return replicationdata_pb2.Status(
        position=server.position,
        relay_log_position=server.position,
        file_position="FilePos/vt-bin.000003:157",
        relay_log_source_binlog_equivalent_position="FilePos/vt-bin.000003:157",
        relay_log_file_position="FilePos/vt-relay-bin.000002:370",
        io_thread_running=receives,
        sql_thread_running=server.sql_running,
        io_state=io_state.value,
        sql_state=(ThreadState.RUNNING if server.sql_running else ThreadState.STOPPED).value,
        last_io_error=server.io_error(now),
        source_host=source.place.host,
        source_port=MYSQL_PORT,
        source_user="vt_repl",
        source_uuid=source.uuid,
        source_server_id=source.server_id,
        connect_retry=10,
        replication_lag_unknown=not (receives and server.sql_running),
        auto_position=True,
        using_gtid=True,
    )


def health(server: FakeServer) -> query_pb2.StreamHealthResponse:
    """Return one message of the health stream."""
    place = server.place
    return query_pb2.StreamHealthResponse(
        target=query_pb2.Target(
            keyspace=place.shard.keyspace,
            shard=place.shard.shard,
            tablet_type=topodata_pb2.TabletType.ValueType(server.type.value),
            cell=place.alias.cell,
        ),
        serving=True,
        primary_term_start_timestamp=server.term // 10**9,
        realtime_stats=query_pb2.RealtimeStats(),
        tablet_alias=alias_to_proto(place.alias),
    )
