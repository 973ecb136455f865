import math
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, ThreadState
from vtorc.errors import TabletBadAnswer
from vtorc.mysql.survey import NO_UUID
from vtorc.proto import query_pb2, topodata_pb2
from vtorc.proto.replicationdata_pb2 import Configuration, FullStatus, PrimaryStatus, Status
from vtorc.tablet import convert

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
BANNER = "mysqld  Ver 8.0.30 for Linux on x86_64 (MySQL Community Server - GPL)"
RUNNING, STOPPED, CONNECTING, UNKNOWN = (
    ThreadState.RUNNING,
    ThreadState.STOPPED,
    ThreadState.CONNECTING,
    ThreadState.UNKNOWN,
)
REPLICA = topodata_pb2.TabletType.REPLICA


def gtids(text: str) -> GtidSet:
    return GtidSet.parse(f"{UUID}:{text}")


def full_status(**fields: Any) -> FullStatus:
    """A status as a tablet of 24 sends it, with the given fields replaced."""
    chosen: dict[str, Any] = {"tablet_type": REPLICA, "version": "8.0.30"} | fields
    return FullStatus(**chosen)


def test_every_field_of_a_status_arrives() -> None:
    """Each value has its place."""
    status = convert.tablet_status(
        FullStatus(
            server_id=7,
            server_uuid=UUID,
            primary_status=PrimaryStatus(
                position=f"MySQL56/{UUID}:1-9", file_position="FilePos/zone1-binlog.000007:1542"
            ),
            gtid_purged=f"MySQL56/{UUID}:1-3",
            version="8.4.2",
            version_comment="MySQL Community Server - GPL",
            read_only=True,
            super_read_only=True,
            gtid_mode="ON",
            binlog_format="ROW",
            binlog_row_image="FULL",
            log_bin_enabled=True,
            log_replica_updates=True,
            semi_sync_primary_enabled=True,
            semi_sync_replica_enabled=True,
            semi_sync_primary_status=True,
            semi_sync_replica_status=True,
            semi_sync_primary_clients=2,
            semi_sync_primary_timeout=10**18,
            semi_sync_wait_for_replica_count=1,
            semi_sync_blocked=True,
            replication_configuration=Configuration(heartbeat_interval=4.5, replica_net_timeout=8),
            tablet_type=topodata_pb2.TabletType.PRIMARY,
        )
    )
    assert (status.server_id, status.server_uuid) == (7, UUID)
    assert (status.version, status.version_comment) == ("8.4.2", "MySQL Community Server - GPL")
    assert (status.read_only, status.super_read_only) == (True, True)
    assert (status.gtid_mode, status.log_bin, status.log_replica_updates) == ("ON", True, True)
    assert (status.binlog_format, status.binlog_row_image) == ("ROW", "FULL")
    assert (status.executed, status.purged) == (gtids("1-9"), gtids("1-3"))
    assert status.binlog_end == ("zone1-binlog.000007", 1542)
    assert (status.heartbeat_interval, status.replica_net_timeout) == (4.5, 8)
    assert (status.tablet_type, status.disk_stalled, status.semi_sync_blocked) == (TabletType.PRIMARY, False, True)
    assert status.replication is None
    assert status.semi_sync == SemiSyncStatus(
        primary_enabled=True,
        replica_enabled=True,
        primary_active=True,
        replica_active=True,
        primary_clients=2,
        timeout=10**18,
        wait_for_replica_count=1,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FilePos/",
        "FilePos/binlog.000007",
        "FilePos/binlog.000007:",
        "MySQL56/a:1-9",
        pytest.param(f"FilePos/b:{10**19}", id="beyond 64 bits"),
        pytest.param(f"FilePos/b:{'9' * 5000}", id="too long for a number"),
    ],
)
def test_the_end_of_a_binary_log_is_unknown_without_file_and_number(text: str) -> None:
    """A position that names no file, as that of a server without binary logs, tells no end."""
    status = convert.tablet_status(full_status(primary_status=PrimaryStatus(file_position=text)))
    assert status.binlog_end is None


@pytest.mark.parametrize(("binlog_format", "expected"), [("", None), ("ROW", False)])
def test_binary_logs_are_off_only_if_their_settings_came(binlog_format: str, expected: bool | None) -> None:
    """The settings of binary logs come from one statement: without its other values, "off" is an absence."""
    status = convert.tablet_status(full_status(binlog_format=binlog_format))
    assert (status.log_bin, status.log_replica_updates) == (expected, expected)


def test_tablets_of_12_and_13_tell_neither_filters_nor_a_delay() -> None:
    """A replica has no filters and no delay only if its tablet has fields for them."""
    old = convert.replication_status(Status(io_thread_running=True, sql_thread_running=True))
    assert (old.has_filters, old.sql_delay) == (None, None)
    new = convert.replication_status(Status(io_state=3, sql_state=3))
    assert (new.has_filters, new.sql_delay) == (False, 0)


def test_every_field_of_a_replication_status_arrives() -> None:
    """Each value has its place, and `received` includes `executed`."""
    message = Status(
        position=f"MySQL56/{UUID}:1-9",
        relay_log_position=f"MySQL56/{UUID}:1-12",
        relay_log_source_binlog_equivalent_position="FilePos/binlog.000003:1057",
        source_host="db0",
        source_port=3306,
        source_uuid=UUID,
        source_user="vt_repl",
        io_state=2,
        sql_state=1,
        last_io_error="cannot connect",
        last_sql_error="duplicate entry",
        replication_lag_seconds=5,
        sql_delay=60,
        auto_position=True,
        has_replication_filters=True,
        backup_running=True,
    )
    assert convert.replication_status(message) == ReplicationStatus(
        source_host="db0",
        source_port=3306,
        source_uuid=UUID,
        source_user="vt_repl",
        io_state=CONNECTING,
        sql_state=STOPPED,
        last_io_error="cannot connect",
        last_sql_error="duplicate entry",
        executed=gtids("1-9"),
        received=gtids("1-12"),
        read_to=("binlog.000003", 1057),
        lag=5,
        sql_delay=60,
        auto_position=True,
        has_filters=True,
        backup_running=True,
    )


@pytest.mark.parametrize(
    ("message", "states"),
    [
        (Status(io_state=3, sql_state=3), (RUNNING, RUNNING)),
        (Status(io_state=2, sql_state=1), (CONNECTING, STOPPED)),
        (Status(io_state=3, sql_state=0), (RUNNING, UNKNOWN)),
        # 14 fills flags too, and they say less.
        (Status(io_state=2, sql_state=3, io_thread_running=True, sql_thread_running=True), (CONNECTING, RUNNING)),
        (Status(io_thread_running=True), (RUNNING, STOPPED)),
        (Status(sql_thread_running=True), (STOPPED, RUNNING)),
        (Status(), (STOPPED, STOPPED)),
        (Status(auto_position=True), (UNKNOWN, UNKNOWN)),
        (Status(source_user="vt_repl"), (UNKNOWN, UNKNOWN)),
        (Status(replication_lag_unknown=True), (UNKNOWN, UNKNOWN)),
    ],
)
def test_thread_states_are_read_in_both_encodings(message: Status, states: tuple[ThreadState, ThreadState]) -> None:
    """Numbers take precedence; flags count for tablets of 12 and 13 only; a newer tablet without either is unknown."""
    status = convert.replication_status(message)
    assert (status.io_state, status.sql_state) == states


@pytest.mark.parametrize(
    ("message", "lag"),
    [
        (Status(io_state=3, sql_state=3, replication_lag_seconds=5), 5),
        (Status(io_state=3, sql_state=3), 0),
        (Status(io_state=3, sql_state=1, replication_lag_unknown=True), None),
        (Status(io_thread_running=True, sql_thread_running=True), 0),
        (Status(io_thread_running=True), None),
        (Status(io_thread_running=True, replication_lag_seconds=7), 7),
        (Status(), None),
    ],
)
def test_lag_is_unknown_where_mysql_does_not_know_it(message: Status, lag: int | None) -> None:
    """Old tablets send 0 then, which does not count while a thread is stopped."""
    assert convert.replication_status(message).lag == lag


@pytest.mark.parametrize(
    ("message", "super_read_only"),
    [
        (full_status(read_only=True), False),
        (full_status(read_only=True, super_read_only=True), True),
        (FullStatus(version=BANNER, read_only=True), None),
        (FullStatus(version=BANNER, read_only=True, super_read_only=True), True),
        (FullStatus(version=BANNER, read_only=False), False),
        (FullStatus(version="8.0.30", read_only=True), False),
        (FullStatus(version="8.0.30-22", read_only=True), None),
        (FullStatus(version=BANNER, read_only=True, replication_configuration=Configuration()), False),
        (FullStatus(version=BANNER, read_only=True, semi_sync_blocked=True), False),
    ],
)
def test_super_read_only_is_unknown_where_the_tablet_may_not_tell(
    message: FullStatus, super_read_only: bool | None
) -> None:
    """False counts from tablets that are new enough, and from servers that are not even read-only."""
    assert convert.tablet_status(message).super_read_only is super_read_only


@pytest.mark.parametrize(
    ("message", "known"),
    [
        (FullStatus(version="8.0.30"), (None, None, None)),
        (full_status(), (False, False, TabletType.REPLICA)),
        (full_status(semi_sync_blocked=True), (False, True, TabletType.REPLICA)),
    ],
)
def test_fields_of_22_are_unknown_before(
    message: FullStatus, known: tuple[bool | None, bool | None, TabletType | None]
) -> None:
    """A tablet that does not send its type does not send the state of disk and semi-sync either."""
    status = convert.tablet_status(message)
    assert (status.disk_stalled, status.semi_sync_blocked, status.tablet_type) == known


def test_a_stalled_disk_leaves_everything_else_unknown() -> None:
    """Such a tablet sends no other field, so no other field is read."""
    status = convert.tablet_status(FullStatus(disk_stalled=True))
    assert status.disk_stalled is True
    assert (status.semi_sync_blocked, status.super_read_only, status.tablet_type) == (None, None, None)


def test_replication_settings_are_unknown_where_none_are_sent() -> None:
    """Tablets before 20 send none, and later ones none for a server without a replication source."""
    status = convert.tablet_status(full_status())
    assert (status.heartbeat_interval, status.replica_net_timeout) == (None, None)


@pytest.mark.parametrize(
    ("message", "executed"),
    [
        (full_status(), EMPTY_GTID_SET),
        (full_status(primary_status=PrimaryStatus(position="MySQL56/")), EMPTY_GTID_SET),
        (full_status(replication_status=Status(position=f"MySQL56/{UUID}:1-4")), gtids("1-4")),
        (
            full_status(
                primary_status=PrimaryStatus(position=f"MySQL56/{UUID}:1-5"),
                replication_status=Status(position=f"MySQL56/{UUID}:1-4"),
            ),
            gtids("1-5"),
        ),
    ],
)
def test_the_servers_own_position_counts(message: FullStatus, executed: GtidSet) -> None:
    """The replica's position is used on servers without a binary log."""
    assert convert.tablet_status(message).executed == executed


def test_tagged_gtids_are_understood() -> None:
    """MySQL 8.3 and later may send them."""
    text = f"{UUID}:1-5:blue:1-3"
    status = convert.tablet_status(full_status(gtid_purged=f"MySQL56/{text}"))
    assert status.purged == GtidSet.parse(text)


def test_a_source_uuid_of_zeros_is_none() -> None:
    """A UUID of zeros stands for an unknown source."""
    assert convert.replication_status(Status(source_uuid=NO_UUID)).source_uuid == ""


def test_a_relay_log_that_lags_behind_is_no_loss() -> None:
    """Executed transactions count as received, even if the relay log no longer lists them."""
    status = convert.replication_status(Status(position=f"MySQL56/{UUID}:1-4", relay_log_position="MySQL56/"))
    assert status.received == gtids("1-4")


def configured(**fields: Any) -> FullStatus:
    return full_status(replication_configuration=Configuration(**fields))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (full_status(gtid_purged=f"MySQL56/{UUID}"), "gtid_purged: GTID set"),
        (full_status(gtid_purged=f"{UUID}:1"), "gtid_purged is"),
        (full_status(gtid_purged="MariaDB/0-1-5"), "gtid_purged is 'MariaDB/0-1-5': expected MySQL56/"),
        (full_status(primary_status=PrimaryStatus(position="MySQL56/x")), "primary_status.position: GTID set 'x'"),
        (full_status(replication_status=Status(position="MySQL56/x")), "position: GTID set 'x'"),
        (
            full_status(replication_status=Status(relay_log_position="x")),
            "relay_log_position is 'x': expected MySQL56/",
        ),
        (full_status(replication_status=Status(source_port=-1)), "source_port is -1: expected a port from 0 to 65535"),
        (full_status(replication_status=Status(source_port=65536)), "source_port is 65536: expected a port"),
        (full_status(replication_status=Status(io_state=4)), "io_state is 4: expected one of 0 (unknown), 1 (stopped)"),
        (full_status(replication_status=Status(sql_state=-1)), "sql_state is -1: expected one of 0 (unknown)"),
        (full_status(tablet_type=99), "tablet_type is 99: expected one of 0 (unknown), 1 (primary)"),
        (configured(replica_net_timeout=-8), "replication_configuration.replica_net_timeout is -8: expected 0 or more"),
        (configured(heartbeat_interval=-0.5), "replication_configuration.heartbeat_interval is -0.5: expected seconds"),
        (configured(heartbeat_interval=math.nan), "replication_configuration.heartbeat_interval is nan"),
    ],
)
def test_garbage_is_refused_by_name(message: FullStatus, expected: str) -> None:
    """The error names the field, its value and what was expected."""
    with pytest.raises(TabletBadAnswer) as caught:
        convert.tablet_status(message)
    assert expected in str(caught.value)


def test_a_health_report_with_a_negative_term_is_refused() -> None:
    """A term is a time since 1970."""
    with pytest.raises(TabletBadAnswer, match="primary_term_start_timestamp is -1: expected 0 or more"):
        convert.health_report(query_pb2.StreamHealthResponse(primary_term_start_timestamp=-1))


def test_names_are_written_as_they_are_read() -> None:
    """An alias keeps its parts."""
    name = TabletAlias("zone1", 101)
    assert convert.alias(convert.alias_message(name)) == name


@pytest.mark.parametrize(
    ("position", "text"),
    [(None, ""), (EMPTY_GTID_SET, "MySQL56/"), (gtids("1-5"), f"MySQL56/{UUID}:1-5")],
)
def test_positions_are_written_with_their_flavour(position: GtidSet | None, text: str) -> None:
    """No position differs from the empty set."""
    assert convert.position_text(position) == text


def field_values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Anything that a field can hold on the wire."""
    return st.lists(one_value(field), max_size=2) if field.is_repeated else one_value(field)


def one_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Anything that one item of a field can hold."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_INT32 | FieldDescriptor.CPPTYPE_ENUM:
            return st.integers(-(2**31), 2**31 - 1) | st.integers(-1, 10)
        case FieldDescriptor.CPPTYPE_UINT32:
            return st.integers(0, 2**32 - 1)
        case FieldDescriptor.CPPTYPE_INT64:
            return st.integers(-(2**63), 2**63 - 1)
        case FieldDescriptor.CPPTYPE_UINT64:
            return st.integers(0, 2**64 - 1)
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return st.floats()
        case FieldDescriptor.CPPTYPE_MESSAGE:
            assert field.message_type is not None
            return messages(GetMessageClass(field.message_type))
        case _:
            return st.text(max_size=20) | st.sampled_from(["MySQL56/", f"MySQL56/{UUID}:1-5", "FilePos/a:1"])


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Messages with any of their fields set to anything."""
    fields = {field.name: field_values(field) for field in kind.DESCRIPTOR.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: kind(**chosen))


@given(messages(FullStatus))
def test_any_status_is_read_or_refused(message: FullStatus) -> None:
    """Any message gives a status or TabletBadAnswer, and in a status `received` contains `executed`."""
    with suppress(TabletBadAnswer):
        status = convert.tablet_status(message)
        assert status.received.contains(status.executed)


@given(messages(query_pb2.StreamHealthResponse))
def test_any_health_report_is_read_or_refused(message: query_pb2.StreamHealthResponse) -> None:
    """Any message gives a report or TabletBadAnswer."""
    with suppress(TabletBadAnswer):
        assert convert.health_report(message).serving == message.serving
