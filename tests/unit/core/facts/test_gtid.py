import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet, Series
from vtorc.errors import GtidParseError

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "8bc65c84-3fe4-11ed-a912-257f0fcdd6c9"
B2 = "8bc65c84-3fe5-11ed-a912-257f0fcdd6c9"

Transactions = frozenset[tuple[Series, int]]

transactions = st.frozensets(
    st.tuples(st.tuples(st.sampled_from((A, B, B2)), st.sampled_from(("", "blue", "_x1"))), st.integers(1, 25)),
    max_size=40,
)


def gtid_set(given_transactions: Transactions) -> GtidSet:
    return EMPTY_GTID_SET.union(
        *(GtidSet.of(uuid, number, tag=tag) for (uuid, tag), number in sorted(given_transactions))
    )


def transactions_of(gtids: GtidSet) -> Transactions:
    return frozenset(
        (series, number)
        for series, intervals in gtids.entries
        for first, last in intervals
        for number in range(first, last + 1)
    )


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("  \n", ""),
        (",, ,", ""),
        (f"{A}:1", f"{A}:1"),
        (f"{A}:1-1", f"{A}:1"),
        (f"{A}:1-5", f"{A}:1-5"),
        (f"{A}:1-5:7:9-11", f"{A}:1-5:7:9-11"),
        (f"{A}:7:1-3:4-6", f"{A}:1-7"),
        (f"{A}:1-5:3-9", f"{A}:1-9"),
        (f"{A.upper()}:1-5", f"{A}:1-5"),
        (f"{B}:1,\n{A}:2", f"{A}:2,{B}:1"),
        (f"{A}:1-3,{A}:4", f"{A}:1-4"),
        (f" {A} : 1 - 3 : 5 ,\r\n {B}:1 ", f"{A}:1-3:5,{B}:1"),
        (f"{A}:9-3", ""),
        (f"{A}:9-3:1", f"{A}:1"),
        (f"{A}:9-0,{B}:1", f"{B}:1"),
        (f"{A}:007", f"{A}:7"),
        (f"{A}:1-9223372036854775806", f"{A}:1-9223372036854775806"),
        (f"{A}:blue:1-3", f"{A}:blue:1-3"),
        (f"{A}:1-3:tag1:1-4:tag2:7", f"{A}:1-3:tag1:1-4:tag2:7"),
        (f"{A}:tag2:7,{A}:Tag1:1-4,{A}:1-3", f"{A}:1-3:tag1:1-4:tag2:7"),
        (f"{A}:BLUE:1:3,{A}:blue:2", f"{A}:blue:1-3"),
        (f"{A}:_:1", f"{A}:_:1"),
        (f"{A}:{'t' * 32}:1", f"{A}:{'t' * 32}:1"),
        (f"{A}:blue:1:2:red:3:blue:9", f"{A}:blue:1-2:9:red:3"),
        # A tag of hexadecimal digits is a tag; a number is never one.
        (f"{A}:beef:1", f"{A}:beef:1"),
    ],
)
def test_parse_is_as_lenient_as_mysql_and_prints_canonically(text: str, canonical: str) -> None:
    """Every form that MySQL takes is read, and printed with sorted servers, tags and merged intervals."""
    assert str(GtidSet.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1-5", "is no server UUID"),
        (f"{A[:-1]}:1", "is no server UUID"),
        (f"{A.replace('-', '')}:1", "is no server UUID"),
        (A, "no interval follows"),
        (f"{A}:", "neither a tag nor an interval"),
        (f"{A}:1:", "neither a tag nor an interval"),
        (f"{A}:0", "outside of 1"),
        (f"{A}:0-3", "outside of 1"),
        (f"{A}:-3", "neither a tag nor an interval"),
        (f"{A}:1-2-3", "neither a tag nor an interval"),
        (f"{A}:9223372036854775807", "outside of 1"),
        (f"{A}:1-99999999999999999999", "outside of 1"),
        (f"{A}:{'9' * 5000}", "neither a tag nor an interval"),
        (f"{A}:blue", "no interval follows 'blue'"),
        (f"{A}:blue:green:1", "no interval follows the tag 'blue'"),
        (f"{A}:1blue:1", "'1blue' is neither"),
        (f"{A}:bl-ue:1", "'bl-ue' is neither"),
        (f"{A}:{'t' * 33}:1", "is neither"),
        (f"{A}:١", "is neither"),
        (f"+{A}:1", "is no server UUID"),
        (f"MySQL56/{A}:1", "is no server UUID"),
        (f"{A}:1;{B}:1", "is neither"),
    ],
)
def test_parse_refuses_what_is_no_gtid_set(text: str, told: str) -> None:
    """The error names the text, its bad part and the expected form, and stays short."""
    with pytest.raises(GtidParseError) as caught:
        GtidSet.parse(text)
    message = str(caught.value)
    assert told in message
    assert text[:36] in message
    assert "expected the form 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5" in message
    assert len(message) < 700


def test_parse_error_names_the_bad_item_of_many() -> None:
    """In a long set the item with the mistake is quoted."""
    with pytest.raises(GtidParseError, match=f"in '{B}:x-3': 'x-3' is neither"):
        GtidSet.parse(f"{A}:1-3,{B}:x-3")


@given(transactions)
def test_text_form_round_trips(given_transactions: Transactions) -> None:
    """Parsing what was printed gives the same set."""
    gtids = gtid_set(given_transactions)
    assert GtidSet.parse(str(gtids)) == gtids
    assert transactions_of(gtids) == given_transactions


@given(transactions, transactions)
def test_algebra_agrees_with_sets_of_transactions(a: Transactions, b: Transactions) -> None:
    """All operations mean what they mean for plain sets, and equal results are equal and hash alike."""
    left, right = gtid_set(a), gtid_set(b)
    for result, expected in (
        (left.union(right), a | b),
        (left.intersection(right), a & b),
        (left.difference(right), a - b),
    ):
        assert result == gtid_set(expected)
        assert hash(result) == hash(gtid_set(expected))
    assert left.contains(right) == (b <= a)
    assert left.is_subset_of(right) == (a <= b)
    assert (left == right) == (a == b)
    assert left.count() == len(a)
    assert bool(left) == bool(a)


@given(st.lists(transactions, max_size=4))
def test_union_takes_any_number_of_sets(many: list[Transactions]) -> None:
    """The union of none is the set itself, of many is everything."""
    assert EMPTY_GTID_SET.union(*map(gtid_set, many)) == gtid_set(frozenset().union(*many))


@given(transactions, transactions)
def test_a_union_that_adds_nothing_is_the_set_itself(some: Transactions, all_: Transactions) -> None:
    """No set is built anew for transactions that it has, so that comparing the two costs nothing."""
    gtids = gtid_set(all_)
    assert gtids.union(gtid_set(some & all_)) is gtids
    assert not gtids.difference(gtid_set(all_))


@given(transactions)
def test_uuid_views_split_a_set_by_server(given_transactions: Transactions) -> None:
    """What one server wrote, under any tag, and all the rest make up the whole."""
    gtids = gtid_set(given_transactions)
    for uuid in (A, B.upper(), B2):
        mine, rest = gtids.only_uuid(uuid), gtids.without_uuid(uuid)
        assert transactions_of(mine) == {each for each in given_transactions if each[0][0] == uuid.lower()}
        assert mine.union(rest) == gtids
        assert not mine.intersection(rest)
    assert gtids.uuids == tuple(sorted({series[0] for series, _ in given_transactions}))
    assert gtids.without_uuids((A, B)) == gtids.only_uuid(B2)


def test_an_unknown_uuid_excuses_nothing() -> None:
    """Taking out the transactions of a server whose UUID is not known leaves all of them."""
    gtids = GtidSet.parse(f"{A}:1-3")
    assert gtids.without_uuid("") == gtids


def test_of_builds_one_series() -> None:
    """A first and last number, or one number, of one server and tag make a set."""
    assert str(GtidSet.of(A.upper(), 5)) == f"{A}:5"
    assert str(GtidSet.of(A, 5, 7, tag="Blue")) == f"{A}:blue:5-7"


@pytest.mark.parametrize(
    ("text", "brief"),
    [
        ("", "no transactions"),
        (f"{A}:5", "1 transaction: 3e11fa47…:5"),
        (f"{B}:5-7", "3 transactions: 8bc65c84…:5-7"),
        (f"{B}:blue:5-7", "3 transactions: 8bc65c84…:blue:5-7"),
        (f"{A}:1:3,{B}:5", "3 transactions: 3e11fa47…:1:3, 8bc65c84…:5"),
        (f"{A}:1:3:5:7", "4 transactions: 3e11fa47…:1:3:5 and 1 more range"),
        (f"{A}:1:3,{B}:5:7:9-10", "6 transactions: 3e11fa47…:1:3, 8bc65c84…:5 and 2 more ranges"),
        # Two servers of one installation differ only in a later group of their UUIDs.
        (f"{B}:5,{B2}:6", "2 transactions: 8bc65c84-3fe4…:5, 8bc65c84-3fe5…:6"),
    ],
)
def test_brief_names_transactions_within_bounds(text: str, brief: str) -> None:
    """A message shows the number of transactions and the first few ranges, with UUIDs cut where they still differ."""
    assert GtidSet.parse(text).brief() == brief


def test_ten_thousand_intervals_are_handled() -> None:
    """A set with ten thousand gaps is parsed, merged, subtracted and printed right."""
    odd = ":".join(str(number) for number in range(1, 20_000, 2))
    even = ":".join(str(number) for number in range(2, 20_001, 2))
    a, b = GtidSet.parse(f"{A}:{odd}"), GtidSet.parse(f"{A}:{even}")
    assert str(a) == f"{A}:{odd}"
    assert len(a.entries[0][1]) == 10_000
    assert str(a.union(b)) == f"{A}:1-20000"
    assert a.union(b).difference(b) == a
    assert not a.intersection(b)
    assert not a.contains(b)
    assert a.union(b).contains(a)
    assert len(a.brief()) < 100
