"""Messages against bytes written by hand from Vitess' and etcd's field tables.

A vector is put together from tags in hex and values; only the length of a block is computed here. Reading a tag: the
lowest three bits are the wire type (0 varint, 1 eight bytes, 2 block), the rest is the field number.
"""

import pytest
from google.protobuf.message import Message

from vtorc.proto.etcd_pb2 import (
    Compare,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)
from vtorc.proto.etcd_pb2 import PutResponse as EtcdPutResponse
from vtorc.proto.mvcc_pb2 import Event, KeyValue
from vtorc.proto.query_pb2 import Field, QueryResult, RealtimeStats, Row, StreamHealthResponse, Target, Type
from vtorc.proto.replicationdata_pb2 import (
    IOTHREADONLY,
    Configuration,
    FullStatus,
    PrimaryStatus,
    Status,
    StopReplicationStatus,
)
from vtorc.proto.tabletmanagerdata_pb2 import (
    ChangeTypeRequest,
    DemotePrimaryRequest,
    DemotePrimaryResponse,
    ExecuteFetchAsDbaRequest,
    FullStatusResponse,
    GetGlobalStatusVarsResponse,
    InitPrimaryRequest,
    PopulateReparentJournalRequest,
    PromoteReplicaRequest,
    PromoteReplicaResponse,
    ReadReparentJournalInfoResponse,
    SetReplicationSourceRequest,
    StartReplicationRequest,
    StopReplicationAndGetStatusRequest,
    StopReplicationAndGetStatusResponse,
    UndoDemotePrimaryRequest,
    WaitForPositionRequest,
)
from vtorc.proto.topodata_pb2 import (
    PRIMARY,
    RDONLY,
    REPLICA,
    CellInfo,
    CellsAlias,
    KeyRange,
    Keyspace,
    Shard,
    ShardReplication,
    Tablet,
    TabletAlias,
)
from vtorc.proto.vtorcdata_pb2 import Keyspace as VtorcKeyspace
from vtorc.proto.vtorcdata_pb2 import Shard as VtorcShard
from vtorc.proto.vttime_pb2 import Duration, Time


def wire(*parts: str | bytes) -> bytes:
    """Join parts of hex text and of bytes."""
    return b"".join(bytes.fromhex(part) if isinstance(part, str) else part for part in parts)


def block(tag: str, *parts: str | bytes) -> bytes:
    """Return a length-delimited field: its tag, the length of its content, its content."""
    content = wire(*parts)
    length, prefix = len(content), b""
    while length > 0x7F:
        prefix += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes.fromhex(tag) + prefix + bytes([length]) + content


UUID = b"3e11fa47-71ca-11e1-9e33-c80aa9429562"
GTIDS = b"MySQL56/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"
NEW_YEAR = 1767225600  # 2026-01-01T00:00:00Z, as varint 80 f2 d6 ca 06
LEASE = 7587888100661331714  # a lease id as etcd hands them out, as varint 82 8e d4 9a e7 80 e6 a6 69
SHARD_DIR = b"/vitess/global/keyspaces/ks/shards/0"
LOCK = SHARD_DIR + b"/locks/7587888100661331714"

ALIAS = TabletAlias(cell="zone1", uid=101)
ALIAS_WIRE = wire("0a 05", b"zone1", "10 65")

STATUS = Status(
    position=GTIDS.decode(),
    source_host="h1",
    source_port=3306,
    relay_log_position=GTIDS.decode(),
    source_server_id=1234567,
    source_uuid=UUID.decode(),
    io_state=3,
    last_io_error="oops",
    sql_state=1,
    auto_position=True,
    replication_lag_unknown=True,
    backup_running=True,
    semi_sync_replica_enabled=True,
    semi_sync_replica_status=True,
)
STATUS_WIRE = wire(
    block("0a", GTIDS),  # 1 position
    block("2a", b"h1"),  # 5 source_host
    "30 ea19",  # 6 source_port
    block("42", GTIDS),  # 8 relay_log_position
    "58 87ad4b",  # 11 source_server_id
    block("62", UUID),  # 12 source_uuid
    "68 03",  # 13 io_state
    block("72", b"oops"),  # 14 last_io_error
    "78 01",  # 15 sql_state
    "a001 01",  # 20 auto_position
    "c001 01",  # 24 replication_lag_unknown
    "c801 01",  # 25 backup_running
    "d801 01",  # 27 semi_sync_replica_enabled
    "e801 01",  # 29 semi_sync_replica_status
)

HEADER = ResponseHeader(cluster_id=1, member_id=2, revision=300, raft_term=4)
HEADER_WIRE = wire("08 01", "10 02", "18 ac02", "20 04")

TOPO = {
    "a serving primary's record": (
        Tablet(
            alias=ALIAS,
            hostname="h1",
            port_map={"grpc": 15999, "vt": 15000},
            keyspace="ks",
            shard="-80",
            key_range=KeyRange(end=b"\x80"),
            type=PRIMARY,
            mysql_hostname="h1",
            mysql_port=3306,
            primary_term_start_time=Time(seconds=NEW_YEAR, nanoseconds=5),
        ),
        wire(
            "0a090a057a6f6e653110651202683122090a046772706310ff7c22070a0276741098752a026b7332032d38303a03120180",
            "40016202683168ea1972080880f2d6ca061005",
        ),
    ),
    "a tablet of 24 after a clean shutdown": (
        Tablet(
            alias=ALIAS,
            keyspace="ks",
            shard="0",
            type=REPLICA,
            tags={"a": "b"},
            mysql_port=3306,
            default_conn_collation=255,
            tablet_shutdown_time=Time(seconds=NEW_YEAR),
        ),
        wire(
            block("0a", ALIAS_WIRE),
            block("2a", b"ks"),
            block("32", b"0"),
            "40 02",
            block("52", block("0a", b"a"), block("12", b"b")),  # 10 tags
            "68 ea19",  # 13 mysql_port
            "8001 ff01",  # 16 default_conn_collation
            block("9201", "08 80f2d6ca06"),  # 18 tablet_shutdown_time
        ),
    ),
    "a tablet record of 14": (
        Tablet(alias=ALIAS, type=RDONLY, db_name_override="db", db_server_version="8.0.28"),
        wire(block("0a", ALIAS_WIRE), "40 03", block("4a", b"db"), block("7a", b"8.0.28")),
    ),
    "a shard with a primary": (
        Shard(
            primary_alias=ALIAS,
            key_range=KeyRange(end=b"\x80"),
            is_primary_serving=True,
            primary_term_start_time=Time(seconds=NEW_YEAR, nanoseconds=5),
        ),
        wire("0a090a057a6f6e653110651203120180380142080880f2d6ca061005"),
    ),
    "the unnamed whole range with everything a shard may hold": (
        Shard(
            key_range=KeyRange(),
            source_shards=[Shard.SourceShard(uid=7, keyspace="ks", shard="0", tables=["t"])],
            tablet_controls=[
                Shard.TabletControl(
                    tablet_type=PRIMARY, cells=["z"], denied_tables=["t"], frozen=True, allow_reads=True
                )
            ],
            vtorc_state=VtorcShard(disable_emergency_reparent=True),
        ),
        wire(
            "12 00",  # 2 key_range, present and empty
            block("22", "08 07", block("12", b"ks"), block("1a", b"0"), block("2a", b"t")),  # 4 source_shards
            block("32", "08 01", block("12", b"z"), block("22", b"t"), "28 01", "30 01"),  # 6 tablet_controls
            block("4a", "08 01"),  # 9 vtorc_state
        ),
    ),
    "a keyspace": (
        Keyspace(durability_policy="semi_sync", sidecar_db_name="_vt"),
        wire("420973656d695f73796e6352035f7674"),
    ),
    "a keyspace whose automatic reparents are off": (
        Keyspace(durability_policy="cross_cell", vtorc_state=VtorcKeyspace(disable_emergency_reparent=True)),
        wire(block("42", b"cross_cell"), block("5a", "08 01")),
    ),
    "a cell": (
        CellInfo(server_address="h1:2379,h2:2379", root="/vitess/zone1"),
        wire(block("0a", b"h1:2379,h2:2379"), block("12", b"/vitess/zone1")),
    ),
    "an alias of cells": (
        CellsAlias(cells=["zone1", "zone2"]),
        wire(block("12", b"zone1"), block("12", b"zone2")),
    ),
    "the tablets of a shard in a cell": (
        ShardReplication(nodes=[ShardReplication.Node(tablet_alias=ALIAS)]),
        block("0a", block("0a", ALIAS_WIRE)),
    ),
    "an empty record": (Keyspace(), b""),
    "a duration": (Duration(seconds=15, nanos=5), wire("08 0f", "10 05")),
}

TABLET_MANAGER = {
    "re-point, with semi-sync, a heartbeat and a position to reach": (
        SetReplicationSourceRequest(
            parent=ALIAS,
            force_start_replication=True,
            wait_position="MySQL56/",
            semiSync=True,
            heartbeat_interval=4,
        ),
        wire("0a090a057a6f6e65311065180122084d7953514c35362f2801310000000000001040"),
    ),
    "re-point and wait for a journal row": (
        SetReplicationSourceRequest(parent=ALIAS, time_created_ns=NEW_YEAR * 10**9),
        wire(block("0a", ALIAS_WIRE), "10 8080e8ef9eca9cc318"),
    ),
    "stop both threads, which is the default": (StopReplicationAndGetStatusRequest(), b""),
    "stop the IO thread only": (
        StopReplicationAndGetStatusRequest(stop_replication_mode=IOTHREADONLY),
        wire("08 01"),
    ),
    "replication's state before and after it was stopped": (
        StopReplicationAndGetStatusResponse(status=StopReplicationStatus(before=STATUS, after=Status(io_state=1))),
        block("12", block("0a", STATUS_WIRE), block("12", "68 01")),
    ),
    "the same from a tablet of 12, which has only the threads' flags": (
        StopReplicationAndGetStatusResponse(
            hybrid_status=Status(io_thread_running=True, sql_thread_running=True),
            status=StopReplicationStatus(before=Status(io_thread_running=True), after=Status(sql_thread_running=True)),
        ),
        wire(
            block("0a", "10 01", "18 01"),
            block("12", block("0a", "10 01"), block("12", "18 01")),
        ),
    ),
    "a status with old and new thread states": (
        Status(
            position="MySQL56/",
            source_host="h1",
            source_port=3306,
            io_state=3,
            sql_state=3,
            io_thread_running=True,
            sql_thread_running=True,
            auto_position=True,
        ),
        wire("0a084d7953514c35362f100118012a02683130ea1968037803a00101"),
    ),
    "a status with the remaining fields": (
        Status(
            replication_lag_seconds=2,
            connect_retry=10,
            file_position="FilePos/b.1:4",
            relay_log_source_binlog_equivalent_position="FilePos/b.1:5",
            last_sql_error="e",
            relay_log_file_position="FilePos/r.1:6",
            source_user="u",
            sql_delay=9,
            using_gtid=True,
            has_replication_filters=True,
            ssl_allowed=True,
            semi_sync_primary_enabled=True,
            semi_sync_primary_status=True,
        ),
        wire(
            "20 02",  # 4 replication_lag_seconds
            "38 0a",  # 7 connect_retry
            block("4a", b"FilePos/b.1:4"),  # 9 file_position
            block("52", b"FilePos/b.1:5"),  # 10 relay_log_source_binlog_equivalent_position
            block("8201", b"e"),  # 16 last_sql_error
            block("8a01", b"FilePos/r.1:6"),  # 17 relay_log_file_position
            block("9201", b"u"),  # 18 source_user
            "9801 09",  # 19 sql_delay
            "a801 01",  # 21 using_gtid
            "b001 01",  # 22 has_replication_filters
            "b801 01",  # 23 ssl_allowed
            "d001 01",  # 26 semi_sync_primary_enabled
            "e001 01",  # 28 semi_sync_primary_status
        ),
    ),
    "the full status of a replica": (
        FullStatusResponse(
            status=FullStatus(
                server_id=1234567,
                server_uuid=UUID.decode(),
                replication_status=STATUS,
                primary_status=PrimaryStatus(
                    position=GTIDS.decode(), file_position="FilePos/b.1:4", server_uuid=UUID.decode()
                ),
                gtid_purged="MySQL56/",
                version="8.4.6",
                version_comment="Debian",
                read_only=True,
                gtid_mode="ON",
                binlog_format="ROW",
                binlog_row_image="FULL",
                log_bin_enabled=True,
                log_replica_updates=True,
                semi_sync_replica_enabled=True,
                semi_sync_replica_status=True,
                semi_sync_primary_timeout=10**18,
                semi_sync_wait_for_replica_count=1,
                super_read_only=True,
                replication_configuration=Configuration(heartbeat_interval=4, replica_net_timeout=8),
                tablet_type=REPLICA,
            )
        ),
        block(
            "0a",
            "08 87ad4b",  # 1 server_id
            block("12", UUID),  # 2 server_uuid
            block("1a", STATUS_WIRE),  # 3 replication_status
            block("22", block("0a", GTIDS), block("12", b"FilePos/b.1:4"), block("1a", UUID)),  # 4 primary_status
            block("2a", b"MySQL56/"),  # 5 gtid_purged
            block("32", b"8.4.6"),  # 6 version
            block("3a", b"Debian"),  # 7 version_comment
            "40 01",  # 8 read_only
            block("4a", b"ON"),  # 9 gtid_mode
            block("52", b"ROW"),  # 10 binlog_format
            block("5a", b"FULL"),  # 11 binlog_row_image
            "60 01",  # 12 log_bin_enabled
            "68 01",  # 13 log_replica_updates
            "78 01",  # 15 semi_sync_replica_enabled
            "8801 01",  # 17 semi_sync_replica_status
            "9801 808090bbbad6adf00d",  # 19 semi_sync_primary_timeout
            "a001 01",  # 20 semi_sync_wait_for_replica_count
            "a801 01",  # 21 super_read_only
            block("b201", "09 0000000000001040", "10 08"),  # 22 replication_configuration
            "c801 02",  # 25 tablet_type
        ),
    ),
    "the full status of a primary whose commits hang": (
        FullStatus(
            semi_sync_primary_enabled=True,
            semi_sync_primary_status=True,
            semi_sync_primary_clients=2,
            semi_sync_blocked=True,
            tablet_type=PRIMARY,
        ),
        wire("70 01", "8001 01", "9001 02", "c001 01", "c801 01"),
    ),
    "the full status of a stalled disk": (FullStatus(disk_stalled=True), wire("b801 01")),
    "promote": (PromoteReplicaRequest(semiSync=True), wire("08 01")),
    "promoted": (PromoteReplicaResponse(position=GTIDS.decode()), block("0a", GTIDS)),
    "first primary": (InitPrimaryRequest(semiSync=True), wire("08 01")),
    "demote without waiting": (DemotePrimaryRequest(force=True), wire("08 01")),
    "demoted": (
        DemotePrimaryResponse(primary_status=PrimaryStatus(position=GTIDS.decode())),
        block("12", block("0a", GTIDS)),
    ),
    "make writable again": (UndoDemotePrimaryRequest(semiSync=True), wire("08 01")),
    "start replication": (StartReplicationRequest(semiSync=True), wire("08 01")),
    "wait for a position": (WaitForPositionRequest(position=GTIDS.decode()), block("0a", GTIDS)),
    "change type": (ChangeTypeRequest(tablet_type=RDONLY, semiSync=True), wire("08 03", "10 01")),
    "journal row": (
        PopulateReparentJournalRequest(
            time_created_ns=300,
            action_name="EmergencyReparentShard",
            primary_alias=ALIAS,
            replication_position="MySQL56/",
        ),
        wire("08 ac02", block("12", b"EmergencyReparentShard"), block("1a", ALIAS_WIRE), block("22", b"MySQL56/")),
    ),
    "journal length": (ReadReparentJournalInfoResponse(length=3), wire("08 03")),
    "status variables": (
        GetGlobalStatusVarsResponse(status_values={"Innodb_buffer_pool_pages_data": "1024"}),
        block("0a", block("0a", b"Innodb_buffer_pool_pages_data"), block("12", b"1024")),
    ),
    "a statement": (
        ExecuteFetchAsDbaRequest(query=b"select 1", max_rows=1, disable_binlogs=True),
        wire(block("0a", b"select 1"), "18 01", "20 01"),
    ),
}

QUERY = {
    "a row with a null": (Row(lengths=[1, -1, 2], values=b"abc"), wire("0a030201041203616263")),
    "a result": (
        QueryResult(fields=[Field(name="1", type=Type.INT64)], rows=[Row(lengths=[1], values=b"1")]),
        wire(block("0a", block("0a", b"1"), "10 8902"), block("22", block("0a", "02"), block("12", b"1"))),
    ),
    "the health of a serving primary": (
        StreamHealthResponse(
            target=Target(keyspace="ks", shard="-80", tablet_type=PRIMARY),
            serving=True,
            primary_term_start_timestamp=NEW_YEAR,
            realtime_stats=RealtimeStats(),
            tablet_alias=ALIAS,
        ),
        wire(
            block("0a", block("0a", b"ks"), block("12", b"-80"), "18 01"),
            "10 01",
            "18 80f2d6ca06",
            "22 00",  # present and empty
            block("2a", ALIAS_WIRE),
        ),
    ),
    "the health of a broken replica": (
        StreamHealthResponse(realtime_stats=RealtimeStats(health_error="no", replication_lag_seconds=300, qps=4)),
        block("22", block("0a", b"no"), "10 ac02", "31 0000000000001040"),
    ),
}

ETCD = {
    "grant a lock's lease": (LeaseGrantRequest(TTL=30), wire("08 1e")),
    "a granted lease": (
        LeaseGrantResponse(header=HEADER, ID=LEASE, TTL=30),
        wire(block("0a", HEADER_WIRE), "10 828ed49ae780e6a669", "18 1e"),
    ),
    "enter a lock's queue": (
        TxnRequest(
            compare=[Compare(result=Compare.EQUAL, target=Compare.VERSION, key=LOCK, version=0)],
            success=[RequestOp(request_put=PutRequest(key=LOCK, value=b"{}", lease=LEASE))],
        ),
        wire(
            block("0a", block("1a", LOCK), "20 00"),  # EQUAL and VERSION are zero; the zero of a oneof is sent
            block("12", block("12", block("0a", LOCK), block("12", b"{}"), "18 828ed49ae780e6a669")),
        ),
    ),
    "entered": (
        TxnResponse(
            header=HEADER,
            succeeded=True,
            responses=[ResponseOp(response_put=EtcdPutResponse(header=ResponseHeader(revision=300)))],
        ),
        wire(block("0a", HEADER_WIRE), "10 01", block("1a", block("12", block("0a", "18 ac02")))),
    ),
    "the key before mine": (
        RangeRequest(
            key=SHARD_DIR + b"/locks/",
            range_end=SHARD_DIR + b"/locks0",
            limit=1,
            sort_order=RangeRequest.DESCEND,
            sort_target=RangeRequest.MOD,
            max_mod_revision=299,
        ),
        wire(
            block("0a", SHARD_DIR, b"/locks/"),
            block("12", SHARD_DIR, b"/locks0"),
            "18 01",
            "28 02",
            "30 03",
            "58 ab02",
        ),
    ),
    "there is a key before mine": (
        RangeResponse(
            header=HEADER,
            kvs=[KeyValue(key=LOCK, create_revision=299, mod_revision=299, version=1, value=b"{}", lease=LEASE)],
            count=2,
        ),
        wire(
            block("0a", HEADER_WIRE),
            block("12", block("0a", LOCK), "10 ab02", "18 ab02", "20 01", block("2a", b"{}"), "30 828ed49ae780e6a669"),
            "20 02",
        ),
    ),
    "watch the key before mine": (
        WatchRequest(create_request=WatchCreateRequest(key=LOCK, start_revision=300)),
        block("0a", block("0a", LOCK), "18 ac02"),
    ),
    "watch everything below": (
        WatchRequest(
            create_request=WatchCreateRequest(
                key=b"/a/", range_end=b"/a0", progress_notify=True, filters=[WatchCreateRequest.NODELETE], prev_kv=True
            )
        ),
        block("0a", block("0a", b"/a/"), block("12", b"/a0"), "20 01", block("2a", "01"), "30 01"),
    ),
    "they have left": (
        WatchResponse(
            header=HEADER,
            watch_id=1,
            events=[Event(type=Event.DELETE, kv=KeyValue(key=LOCK, mod_revision=300))],
        ),
        wire(
            block("0a", HEADER_WIRE),
            "10 01",
            block("5a", "08 01", block("12", block("0a", LOCK), "18 ac02")),
        ),
    ),
    "a watch on compacted revisions": (
        WatchResponse(canceled=True, compact_revision=300, cancel_reason="compacted"),
        wire("20 01", "28 ac02", block("32", b"compacted")),
    ),
    "write if unchanged": (
        TxnRequest(
            compare=[Compare(target=Compare.MOD, key=b"k", mod_revision=300)],
            success=[RequestOp(request_put=PutRequest(key=b"k", value=b"v"))],
            failure=[RequestOp(request_range=RangeRequest(key=b"k"))],
        ),
        wire(
            block("0a", "10 02", block("1a", b"k"), "30 ac02"),
            block("12", block("12", block("0a", b"k"), block("12", b"v"))),
            block("1a", block("0a", block("0a", b"k"))),
        ),
    ),
    "keep a lease": (LeaseKeepAliveRequest(ID=LEASE), wire("08 828ed49ae780e6a669")),
    "a lease that is gone": (LeaseKeepAliveResponse(ID=LEASE), wire("10 828ed49ae780e6a669")),
    "unlock": (LeaseRevokeRequest(ID=LEASE), wire("08 828ed49ae780e6a669")),
}

VECTORS = TOPO | TABLET_MANAGER | QUERY | ETCD


@pytest.mark.parametrize(("message", "encoded"), VECTORS.values(), ids=VECTORS.keys())
def test_messages_are_written_as_upstream_writes_them(message: Message, encoded: bytes) -> None:
    """A message is serialised to the bytes that were written by hand."""
    assert message.SerializeToString(deterministic=True).hex(" ") == encoded.hex(" ")


@pytest.mark.parametrize(("message", "encoded"), VECTORS.values(), ids=VECTORS.keys())
def test_messages_are_read_as_upstream_means_them(message: Message, encoded: bytes) -> None:
    """The bytes that were written by hand are read as the message, without unknown fields."""
    parsed = type(message).FromString(encoded)
    assert parsed == message
    parsed.DiscardUnknownFields()
    assert parsed.ByteSize() == len(encoded)
