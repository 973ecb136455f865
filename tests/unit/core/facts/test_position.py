import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.core.facts.gtid import EMPTY_GTID_SET, Comparison, GtidSet
from vtorc.core.facts.position import Flavor, MariadbGtid, MariadbPosition, Position
from vtorc.errors import GtidParseError, PositionFlavorMismatch, PositionParseError

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def position(text: str) -> Position:
    parsed = Position.parse(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "flavor", "encoded"),
    [
        ("MySQL56/", Flavor.MYSQL, "MySQL56/"),
        (f"MySQL56/{A}:1-5", Flavor.MYSQL, f"MySQL56/{A}:1-5"),
        (f"MySQL56/{A.upper()}:1-5:7,\n{A}:blue:1", Flavor.MYSQL, f"MySQL56/{A}:1-5:7:blue:1"),
        ("MariaDB/0-41983-12345", Flavor.MARIADB, "MariaDB/0-41983-12345"),
        ("MariaDB/2-1-7, 0-1-3", Flavor.MARIADB, "MariaDB/0-1-3,2-1-7"),
        ("MariaDB/", Flavor.MARIADB, "MariaDB/"),
        ("FilePos/binlog.000012:4567", Flavor.FILE, "FilePos/binlog.000012:4567"),
    ],
)
def test_positions_are_read_and_printed_as_vitess_encodes_them(text: str, flavor: Flavor, encoded: str) -> None:
    """The prefix tells the flavour, and printing gives the canonical encoding."""
    parsed = position(text)
    assert parsed.flavor is flavor
    assert str(parsed) == encoded
    assert Position.parse(encoded) == parsed


def test_no_position_differs_from_the_empty_set() -> None:
    """The empty text is no position; a bare MySQL prefix is the empty set."""
    assert Position.parse("") is None
    assert position("MySQL56/") == Position(EMPTY_GTID_SET)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{A}:1-5", "expected one of MySQL56/, MariaDB/, FilePos/ at its start"),
        ("MySQL56", "expected one of"),
        ("mysql56/", "expected one of"),
        ("Oracle/1", "expected one of"),
        ("MariaDB/0-1", "expected domain-server-sequence, not '0-1'"),
        ("MariaDB/0-1-2,0-2-3", "expected domain 0 only once"),
        ("FilePos/binlog.000012", "expected <binary log file>:<offset>"),
        ("FilePos/:4", "expected <binary log file>:<offset>"),
        ("FilePos/a:b:4", "expected <binary log file>:<offset>"),
    ],
)
def test_what_is_no_position_is_refused(text: str, told: str) -> None:
    """An unknown flavour or a malformed value is an error that quotes the text and the expected form."""
    with pytest.raises(PositionParseError) as caught:
        Position.parse(text)
    assert told in str(caught.value)


def test_a_malformed_gtid_set_is_refused() -> None:
    """The error is that of the GTID set inside."""
    with pytest.raises(GtidParseError):
        Position.parse("MySQL56/nonsense")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (f"MySQL56/{A}:1-5", f"MySQL56/{A}:1-5", Comparison.EQUAL),
        (f"MySQL56/{A}:1-5", f"MySQL56/{A}:1-4", Comparison.AHEAD),
        (f"MySQL56/{A}:1-5", f"MySQL56/{A}:blue:1", Comparison.DIVERGED),
        ("MariaDB/0-1-7", "MariaDB/0-1-7", Comparison.EQUAL),
        ("MariaDB/0-2-8", "MariaDB/0-1-7", Comparison.AHEAD),
        ("MariaDB/0-1-7", "MariaDB/0-1-7,1-1-1", Comparison.BEHIND),
        ("MariaDB/", "MariaDB/0-1-1", Comparison.BEHIND),
        ("MariaDB/0-1-8,1-1-1", "MariaDB/0-1-7,1-1-2", Comparison.DIVERGED),
        ("MariaDB/0-1-7", "MariaDB/0-2-7", Comparison.DIVERGED),
        ("FilePos/b.000002:4", "FilePos/b.000002:4", Comparison.EQUAL),
        ("FilePos/b.000002:5", "FilePos/b.000002:4", Comparison.AHEAD),
        ("FilePos/b.000002:5", "FilePos/b.000003:4", Comparison.BEHIND),
        ("FilePos/b.999999:5", "FilePos/b.1000000:4", Comparison.BEHIND),
        ("FilePos/b.000002:5", "FilePos/c.000001:4", Comparison.DIVERGED),
        ("FilePos/one:5", "FilePos/other:4", Comparison.DIVERGED),
    ],
)
def test_positions_of_one_flavour_compare(one: str, other: str, expected: Comparison) -> None:
    """Containment in both directions decides, by each flavour's own rules."""
    opposite = {Comparison.AHEAD: Comparison.BEHIND, Comparison.BEHIND: Comparison.AHEAD}
    assert position(one).compare(position(other)) is expected
    assert position(other).compare(position(one)) is opposite.get(expected, expected)


@pytest.mark.parametrize("other", ["MariaDB/0-1-7", "FilePos/b.000002:4"])
def test_positions_of_different_flavours_do_not_compare(other: str) -> None:
    """Comparing a GTID position with another flavour is an error that names both."""
    with pytest.raises(PositionFlavorMismatch, match=f"MySQL56 and {other.partition('/')[0]}"):
        Position(GtidSet.of(A, 1)).compare(position(other))


domains = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 2), st.integers(1, 4)))


@given(st.tuples(domains, domains, domains))
def test_mariadb_containment_is_a_partial_order(three: tuple[dict[int, tuple[int, int]], ...]) -> None:
    """It is reflexive, antisymmetric and transitive, and its text form round-trips."""
    a, b, c = (
        MariadbPosition(tuple(MariadbGtid(domain, *rest) for domain, rest in sorted(each.items()))) for each in three
    )
    assert MariadbPosition.parse(str(a)) == a
    assert a.contains(a)
    assert not (a.contains(b) and b.contains(a)) or a == b
    assert not (a.contains(b) and b.contains(c)) or a.contains(c)
