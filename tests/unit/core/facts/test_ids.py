import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vtorc.core.facts.ids import (
    COMPLETE_KEY_RANGE,
    KeyRange,
    ShardId,
    TabletAlias,
    TabletType,
    alias_list,
    is_replica_type,
)
from vtorc.errors import NameParseError

bounds = st.binary(max_size=2)


@pytest.mark.parametrize(
    ("text", "alias", "printed"),
    [
        ("zone1-0000000101", TabletAlias("zone1", 101), "zone1-0000000101"),
        ("zone1-101", TabletAlias("zone1", 101), "zone1-0000000101"),
        ("us-east-1-7", TabletAlias("us-east-1", 7), "us-east-1-0000000007"),
        ("a.b_c-4294967295", TabletAlias("a.b_c", 4294967295), "a.b_c-4294967295"),
        ("zone1-0", TabletAlias("zone1", 0), "zone1-0000000000"),
    ],
)
def test_aliases_are_read_with_any_padding_and_printed_with_ten_digits(
    text: str, alias: TabletAlias, printed: str
) -> None:
    """The last dash ends the cell, and the number has ten digits in print."""
    assert TabletAlias.parse(text) == alias
    assert str(alias) == printed


@pytest.mark.parametrize(
    "text",
    ["", "zone1", "zone1-", "-101", "zone1-x1", "zone 1-101", "zone1-4294967296", "zone1-101 ", "z-" + "9" * 5000],
)
def test_what_is_no_alias_is_refused(text: str) -> None:
    """The error quotes the text and shows the expected form."""
    with pytest.raises(NameParseError, match="expected <cell>-<number below 2\\^32>"):
        TabletAlias.parse(text)


def test_aliases_are_ordered_by_cell_then_number() -> None:
    """Numbers order as numbers, not as text."""
    texts = ["zone2-1", "zone1-20", "zone1-3"]
    assert [str(each) for each in sorted(map(TabletAlias.parse, texts))] == [
        "zone1-0000000003",
        "zone1-0000000020",
        "zone2-0000000001",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("replica", TabletType.REPLICA),
        ("PRIMARY", TabletType.PRIMARY),
        ("master", TabletType.PRIMARY),
        ("batch", TabletType.RDONLY),
        ("Drained", TabletType.DRAINED),
    ],
)
def test_tablet_types_are_read_in_any_case_and_by_their_old_names(text: str, expected: TabletType) -> None:
    """Old names mean today's types."""
    assert TabletType.parse(text) is expected
    assert TabletType.parse(str(expected)) is expected


def test_an_unknown_tablet_type_is_refused() -> None:
    """The error lists the known types."""
    with pytest.raises(NameParseError, match="'leader': expected one of unknown, primary, replica"):
        TabletType.parse("leader")


def test_replica_types_are_those_that_must_replicate() -> None:
    """Neither a primary nor a tablet that is backing up, restoring or drained must replicate."""
    assert {each.name for each in TabletType if is_replica_type(each)} == {"REPLICA", "RDONLY", "SPARE", "EXPERIMENTAL"}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("-80", "-80"),
        ("80-", "80-"),
        ("40-80", "40-80"),
        ("-", "-"),
        ("0", "-"),
        ("A0-C000", "a0-c0"),
        ("00-80", "-80"),
    ],
)
def test_key_ranges_are_read(text: str, printed: str) -> None:
    """Bounds are hexadecimal in any case, and trailing zero bytes do not matter."""
    assert str(KeyRange.parse(text)) == printed


@pytest.mark.parametrize(
    "text", ["", "324", "80", "-8", "8-", "x-y", "40-80-c0", "80-40", "80-80", "-00", "-40--80", "--", "-80 "]
)
def test_what_is_no_key_range_is_refused(text: str) -> None:
    """Whole bytes, one dash and an end beyond the start are demanded."""
    with pytest.raises(NameParseError, match="expected"):
        KeyRange.parse(text)


def test_a_list_of_adjoining_ranges_is_read() -> None:
    """A sharding spec names the bounds between ranges."""
    assert [str(each) for each in KeyRange.parse_list("-40-80-")] == ["-40", "40-80", "80-"]
    assert [str(each) for each in KeyRange.parse_list("40-80-c0")] == ["40-80", "80-c0"]
    assert KeyRange.parse_list("0") == (COMPLETE_KEY_RANGE,)


@pytest.mark.parametrize(
    ("watched", "shard", "is_watched"),
    [
        (("-70", "70-"), "50-70", True),
        (("-70", "70-"), "40-50", True),
        (("-70", "70-"), "70-90", True),
        (("-70", "70-"), "60-90", False),
        (("-80",), "60-80", True),
        (("-80",), "80-90", False),
        (("-80",), "0", False),
        (("-",), "0", True),
        (("0",), "80-", True),
        (("80-",), "-", False),
        (("80-",), "80-", True),
        (("40-80",), "40-", False),
    ],
)
def test_a_shard_is_watched_if_one_range_contains_it(watched: tuple[str, ...], shard: str, is_watched: bool) -> None:
    """Containment counts, not overlap; an unsharded keyspace is contained only in everything."""
    wanted = ShardId("ks", shard).key_range
    assert any(KeyRange.parse(each).contains(wanted) for each in watched) is is_watched


@given(bounds, bounds, bounds, bounds)
def test_containment_agrees_with_points(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    """A range contains another exactly if it has every keyspace id of two bytes that the other has."""

    def bound(text: bytes) -> int:
        return int.from_bytes(text.ljust(2, b"\0"), "big")

    def end(text: bytes) -> int:
        return bound(text) if text else 2**16

    assume(bound(a) < end(b) and bound(c) < end(d))
    assert KeyRange(a, b).contains(KeyRange(c, d)) == (bound(a) <= bound(c) and end(d) <= end(b))


@given(bounds, bounds)
def test_key_ranges_round_trip(start: bytes, end: bytes) -> None:
    """Parsing what was printed gives the same range."""
    assume(not end or start.rstrip(b"\0") < end.rstrip(b"\0"))
    key_range = KeyRange(start, end)
    assert KeyRange.parse(str(key_range)) == key_range
    assert key_range.is_complete == (key_range == COMPLETE_KEY_RANGE)


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("commerce/0", ShardId("commerce", "0")),
        ("customer/-80", ShardId("customer", "-80")),
        ("customer/A0-C0", ShardId("customer", "a0-c0")),
        ("my-ks_2/main", ShardId("my-ks_2", "main")),
    ],
)
def test_shards_are_read(text: str, shard: ShardId) -> None:
    """Keyspace and shard are told apart by the slash; key ranges are put in lower case."""
    assert ShardId.parse(text) == shard
    assert ShardId.parse(str(shard)) == shard


@pytest.mark.parametrize("text", ["", "ks", "ks/", "/0", "ks/0/1", "k s/0", "ks/80-40", "ks/-8", "ks/-40-80"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """A shard needs a keyspace, and a dash in its name makes it a key range."""
    with pytest.raises(NameParseError, match="expected"):
        ShardId.parse(text)


def test_aliases_are_listed_in_order() -> None:
    """A sentence lists tablets by cell and number, and says so if there are none."""
    assert alias_list([TabletAlias("zone2", 7), TabletAlias("zone1", 101)]) == "zone1-0000000101, zone2-0000000007"
    assert alias_list([]) == "none"
