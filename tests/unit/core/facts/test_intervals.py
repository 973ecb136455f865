import itertools

from hypothesis import given
from hypothesis import strategies as st

from vtorc.core.facts import intervals as iv

numbers = st.sets(st.integers(1, 40))
pairs = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)))


def intervals_of(members: set[int]) -> iv.Intervals:
    return iv.normalise((each, each) for each in members)


def members_of(intervals: iv.Intervals) -> set[int]:
    return {each for first, last in intervals for each in range(first, last + 1)}


def assert_canonical(intervals: iv.Intervals) -> None:
    assert all(first <= last for first, last in intervals)
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(intervals))


@given(pairs)
def test_normalise_keeps_every_number_once(given_pairs: list[tuple[int, int]]) -> None:
    """Any pairs become sorted intervals that do not touch and hold the same numbers."""
    merged = iv.normalise(given_pairs)
    assert_canonical(merged)
    assert members_of(merged) == {each for first, last in given_pairs for each in range(first, last + 1)}


@given(numbers, numbers)
def test_operations_agree_with_sets_of_numbers(a: set[int], b: set[int]) -> None:
    """All operations mean what they mean for sets, and their results are canonical."""
    left, right = intervals_of(a), intervals_of(b)
    for result, expected in (
        (iv.union(left, right), a | b),
        (iv.intersection(left, right), a & b),
        (iv.difference(left, right), a - b),
    ):
        assert_canonical(result)
        assert members_of(result) == expected
    assert iv.covers(left, right) == (b <= a)
    assert iv.count(left) == len(a)
