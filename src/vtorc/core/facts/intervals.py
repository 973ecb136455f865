"""Sets of whole numbers as sorted, disjoint, closed intervals that do not touch; each operation takes linear time."""

from collections.abc import Iterable

Interval = tuple[int, int]
Intervals = tuple[Interval, ...]


def normalise(intervals: Iterable[Interval]) -> Intervals:
    """Sort and merge; an interval that ends before it starts is dropped."""
    merged: list[Interval] = []
    for first, last in sorted(intervals):
        if last < first:
            continue
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def union(a: Intervals, b: Intervals) -> Intervals:
    """Return the numbers in either set."""
    # Sorting two runs that are sorted already is one merge.
    return a if a == b else normalise(a + b)


def intersection(a: Intervals, b: Intervals) -> Intervals:
    """Return the numbers in both sets."""
    common: list[Interval] = []
    i = j = 0
    while i < len(a) and j < len(b):
        first, last = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if first <= last:
            common.append((first, last))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(common)


def difference(a: Intervals, b: Intervals) -> Intervals:
    """Return the numbers in `a` that are not in `b`."""
    left: list[Interval] = []
    j = 0
    for first, last in a:
        while j < len(b) and b[j][1] < first:
            j += 1
        k = j
        while k < len(b) and b[k][0] <= last and first <= last:
            if b[k][0] > first:
                left.append((first, b[k][0] - 1))
            first = b[k][1] + 1
            k += 1
        if first <= last:
            left.append((first, last))
        j = max(j, k - 1)
    return tuple(left)


def covers(a: Intervals, b: Intervals) -> bool:
    """Tell whether every number in `b` is in `a`."""
    if a == b:
        return True
    i = 0
    for first, last in b:
        while i < len(a) and a[i][1] < first:
            i += 1
        if i == len(a) or a[i][0] > first or a[i][1] < last:
            return False
    return True


def count(intervals: Intervals) -> int:
    """Return how many numbers there are."""
    return sum(last - first + 1 for first, last in intervals)
