"""Our read-modify-write of records of a newer Vitess loses no field."""

from hypothesis import given
from hypothesis import strategies as st

from vtorc.proto.topodata_pb2 import Keyspace, Shard, Tablet, TabletAlias, TabletType

# Field 100 with "new", field 101 with 7, as a later release might add them to any record.
LATER = bytes.fromhex("a206 03") + b"new" + bytes.fromhex("a806 07")


def varint(number: int) -> bytes:
    """Encode a number as protobuf does."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


@st.composite
def unknown_fields(draw: st.DrawFn) -> bytes:
    """Draw fields with numbers that our records lack, of every wire type in use."""
    out = b""
    for number in draw(st.lists(st.integers(100, 18_999), min_size=1, max_size=5)):
        kind = draw(st.sampled_from([0, 1, 2, 5]))
        out += varint(number << 3 | kind)
        if kind == 0:
            out += varint(draw(st.integers(0, 2**64 - 1)))
        elif kind == 2:
            content = draw(st.binary(max_size=200))
            out += varint(len(content)) + content
        else:
            size = 8 if kind == 1 else 4
            out += draw(st.binary(min_size=size, max_size=size))
    return out


@given(unknown_fields())
def test_a_shard_record_keeps_the_fields_of_a_newer_vitess(later: bytes) -> None:
    """Changing a shard's primary does not change any unknown field."""
    stored = Shard(primary_alias=TabletAlias(cell="zone1", uid=100)).SerializeToString() + later
    record = Shard.FromString(stored)
    record.primary_alias.uid = 101
    assert (
        record.SerializeToString()
        == Shard(primary_alias=TabletAlias(cell="zone1", uid=101)).SerializeToString() + later
    )


@given(unknown_fields())
def test_a_tablet_record_keeps_the_fields_of_a_newer_vitess(later: bytes) -> None:
    """Changing a tablet's type does not change any unknown field."""
    record = Tablet.FromString(Tablet(hostname="h1").SerializeToString() + later)
    record.type = TabletType.PRIMARY
    assert record.SerializeToString() == Tablet(hostname="h1", type=TabletType.PRIMARY).SerializeToString() + later


def test_fields_inside_sub_messages_are_kept() -> None:
    """An unknown field inside a sub-message stays there when a sibling is changed."""
    record = Shard.FromString(bytes.fromhex("12") + varint(3 + len(LATER)) + bytes.fromhex("12 01 80") + LATER)
    record.key_range.end = b"\x40"
    record.is_primary_serving = True
    assert record.SerializeToString() == (
        bytes.fromhex("12") + varint(3 + len(LATER)) + bytes.fromhex("12 01 40") + LATER + bytes.fromhex("38 01")
    )


def test_copies_keep_unknown_fields() -> None:
    """CopyFrom copies unknown fields."""
    copy = Keyspace()
    copy.CopyFrom(Keyspace.FromString(LATER))
    assert copy.SerializeToString() == LATER


def test_types_of_a_newer_vitess_are_kept() -> None:
    """A tablet type without a name here is read as its number and written back."""
    stored = bytes.fromhex("40 2a")
    record = Tablet.FromString(stored)
    assert record.type == 42
    assert record.SerializeToString() == stored


def test_fields_that_vitess_dropped_are_kept() -> None:
    """A field that was removed before release 12 survives in a record that still has it."""
    stored = bytes.fromhex("1a 01") + b"x"  # Tablet 3
    assert Tablet.FromString(stored).SerializeToString() == stored
