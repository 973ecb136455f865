import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import KeyspaceRecord, KeyspaceType, ShardRecord, TabletRecord
from vtorc.errors import BadRecord, NameParseError
from vtorc.forms.times import rfc3339
from vtorc.proto import topodata_pb2, vttime_pb2
from vtorc.topo import records

ALIAS = TabletAlias("zone1", 101)
PATH = "tablets/zone1-0000000101/Tablet"
SHARD = ShardId("ks", "-80")


def tablet(**changes: object) -> topodata_pb2.Tablet:
    """Make the record of a live replica."""
    message = topodata_pb2.Tablet(
        alias=records.alias_to_proto(ALIAS),
        hostname="host",
        port_map={"vt": 15100, "grpc": 16100},
        keyspace="ks",
        shard="-80",
        type=topodata_pb2.REPLICA,
        mysql_hostname="mysql-host",
        mysql_port=3306,
    )
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def read(message: topodata_pb2.Tablet) -> TabletRecord:
    """Read a tablet record from its bytes."""
    return records.tablet_record(PATH, message.SerializeToString(), ALIAS)


def test_tablet_record_is_read_whole() -> None:
    """Every field of the core's tablet comes from its place in the record, times in nanoseconds."""
    message = tablet(type=topodata_pb2.PRIMARY)
    message.primary_term_start_time.CopyFrom(vttime_pb2.Time(seconds=1_700_000_000, nanoseconds=5))
    message.tablet_start_time.CopyFrom(vttime_pb2.Time(seconds=1))
    message.tablet_shutdown_time.CopyFrom(vttime_pb2.Time(nanoseconds=7))
    assert read(message) == TabletRecord(
        alias=ALIAS,
        keyspace="ks",
        shard="-80",
        type=TabletType.PRIMARY,
        hostname="host",
        grpc_port=16100,
        mysql_hostname="mysql-host",
        mysql_port=3306,
        primary_term_start=1_700_000_000_000_000_005,
        start_time=10**9,
        shutdown_time=7,
    )


def test_cleanly_stopped_tablet_is_a_good_record() -> None:
    """The record that a stopped vttablet leaves has no host and no ports, and says that it is shut down."""
    message = tablet(hostname="", mysql_hostname="", mysql_port=0)
    message.port_map.clear()
    assert read(message).is_shut_down


def test_unknown_tablet_type_is_unknown() -> None:
    """A tablet of a type that only a newer Vitess knows is neither primary nor replica."""
    assert read(tablet(type=77)).type is TabletType.UNKNOWN


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"\xde\xad\xbe\xef", r"no topodata.Tablet can be decoded.*4 bytes, it is de ad be ef"),
        (b"\xff" * 40, r"40 bytes, it starts with ff( ff){15}[.]"),
        (b"", r"its alias says '' 0 and its path zone1-0000000101; 0 bytes, it is nothing"),
        (tablet(keyspace="").SerializeToString(), "keyspace '' or shard '-80' is empty"),
        (tablet(shard="").SerializeToString(), "shard '' is empty"),
        (tablet(mysql_port=70000).SerializeToString(), "its mysql_port 70000 is not a port"),
        (tablet(mysql_port=-1).SerializeToString(), "its mysql_port -1 is not a port"),
    ],
    ids=["garbage", "long garbage", "empty", "no keyspace", "no shard", "high port", "negative port"],
)
def test_nonsense_tablet_is_a_bad_record(contents: bytes, reason: str) -> None:
    """An invalid record raises BadRecord with its path, the reason, and its first bytes."""
    with pytest.raises(BadRecord, match=reason) as raised:
        records.tablet_record(PATH, contents, ALIAS)
    assert str(raised.value).startswith(f"{PATH} is not a valid record: ")


def test_tablet_of_another_path_is_a_bad_record() -> None:
    """A record with the alias of another tablet is refused."""
    with pytest.raises(BadRecord, match="its alias says 'zone1' 101 and its path zone1-0000000102"):
        records.tablet_record("p", tablet().SerializeToString(), TabletAlias("zone1", 102))


def test_grpc_port_must_be_a_port() -> None:
    """A gRPC port beyond 65535 is nonsense."""
    message = tablet()
    message.port_map["grpc"] = 65536
    with pytest.raises(BadRecord, match="its grpc port 65536"):
        read(message)


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**62, -(2**62)], ids=["year 10000", "far", "far back"])
@pytest.mark.parametrize("name", ["primary_term_start_time", "tablet_start_time", "tablet_shutdown_time"])
def test_a_time_without_a_date_makes_a_bad_record(name: str, seconds: int) -> None:
    """A time beyond the year 9999 is refused by its name, as it can be shown to no operator."""
    message = tablet()
    getattr(message, name).CopyFrom(vttime_pb2.Time(seconds=seconds))
    with pytest.raises(BadRecord, match=f"its {name} is {seconds} s and 0 ns: expected a time of the years 1 to 9999"):
        read(message)


def test_a_shard_whose_term_has_no_date_is_a_bad_record() -> None:
    """The last moment of the year 9999 is a time, and the one after it is none."""
    last = records.time_to_proto(253_402_300_800 * 10**9 - 1)
    message = topodata_pb2.Shard(primary_term_start_time=last)
    term = records.shard_record("p", message.SerializeToString(), SHARD).primary_term_start
    assert rfc3339(term).startswith("9999-12-31T23:59:59")
    message.primary_term_start_time.nanoseconds += 1
    with pytest.raises(BadRecord, match="its primary_term_start_time is 253402300799 s and 1000000000 ns"):
        records.shard_record("p", message.SerializeToString(), SHARD)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(contents: bytes) -> None:
    """No bytes make a reader raise anything but BadRecord."""
    readers: list[Callable[[], object]] = [
        lambda: records.tablet_record(PATH, contents, ALIAS),
        lambda: records.shard_record("p", contents, SHARD),
        lambda: records.keyspace_record("p", contents, "ks"),
    ]
    for each in readers:
        with contextlib.suppress(BadRecord):
            each()


def test_shard_record_is_read_whole() -> None:
    """A shard record gives primary, term and whether emergency reparents are off."""
    message = topodata_pb2.Shard(
        primary_alias=records.alias_to_proto(ALIAS), primary_term_start_time=records.time_to_proto(1_500_000_000)
    )
    message.vtorc_state.disable_emergency_reparent = True
    assert records.shard_record("p", message.SerializeToString(), SHARD) == ShardRecord(
        shard=SHARD, primary_alias=ALIAS, primary_term_start=1_500_000_000, emergency_reparent_disabled=True
    )


def test_empty_shard_record_has_no_primary() -> None:
    """Neither an absent alias nor one of zeros is a primary."""
    assert records.shard_record("p", b"", SHARD) == ShardRecord(shard=SHARD)
    zero = topodata_pb2.Shard(primary_alias=topodata_pb2.TabletAlias())
    assert records.shard_record("p", zero.SerializeToString(), SHARD) == ShardRecord(shard=SHARD)


def test_keyspace_record_is_read_whole() -> None:
    """A keyspace record gives kind, durability policy, sidecar database and whether emergency reparents are off."""
    message = topodata_pb2.Keyspace(
        keyspace_type=topodata_pb2.SNAPSHOT, durability_policy="semi_sync", sidecar_db_name="_side"
    )
    message.vtorc_state.disable_emergency_reparent = True
    assert records.keyspace_record("p", message.SerializeToString(), "ks") == KeyspaceRecord(
        name="ks",
        type=KeyspaceType.SNAPSHOT,
        durability_policy="semi_sync",
        emergency_reparent_disabled=True,
        sidecar_db_name="_side",
    )
    assert records.keyspace_record("p", b"", "ks") == KeyspaceRecord(name="ks")


def test_keyspace_of_unknown_kind_is_a_bad_record() -> None:
    """A keyspace of an unknown kind is a bad record, so it is not managed as a normal one."""
    with pytest.raises(BadRecord, match="keyspace_type 9 is neither"):
        records.keyspace_record("p", topodata_pb2.Keyspace(keyspace_type=9).SerializeToString(), "ks")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "alias"),
    [
        (PATH, ALIAS),
        ("tablets/a-b-4294967295/Tablet", TabletAlias("a-b", 2**32 - 1)),
        ("tablets/zone1-101/Tablet", None),
        ("tablets/zone1-0000000101/Other", None),
        ("tablets/zone1-0000000101", None),
        ("tablets/Tablet", None),
        ("tablets/nonsense/Tablet", None),
        ("shards/zone1-0000000101/Tablet", None),
    ],
)
def test_alias_of_a_path(path: str, alias: TabletAlias | None) -> None:
    """Only the path at which Vitess would look for a tablet names one."""
    assert records.alias_of_path(path) == alias


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_times_survive_the_wire(nanoseconds: int) -> None:
    """A time written and read is the same."""
    written = records.time_to_proto(nanoseconds)
    assert 0 <= written.nanoseconds < 10**9
    assert records.time_from_proto(written) == nanoseconds


def test_key_range_of_a_shard_name() -> None:
    """A plain name has no key range, a dash alone one that is present and empty."""
    assert records.key_range_to_proto(ShardId("ks", "0")) is None
    assert records.key_range_to_proto(ShardId("ks", "-")) == topodata_pb2.KeyRange()
    assert records.key_range_to_proto(ShardId("ks", "40-80")) == topodata_pb2.KeyRange(start=b"\x40", end=b"\x80")
    with pytest.raises(NameParseError):
        records.key_range_to_proto(ShardId("ks", "a-b-c"))
