"""A GTID set that grows cheaply, one transaction at a time."""

from bisect import bisect_right

from vtorc.core.facts import intervals as iv
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet, Series


class GtidLog:
    """A mutable GTID set; adding the next transaction of a series is cheap, and so is `value` while nothing changes."""

    def __init__(self, initial: GtidSet = EMPTY_GTID_SET) -> None:
        self._series: dict[Series, list[iv.Interval]] = {series: list(each) for series, each in initial.entries}
        self._value: GtidSet | None = initial

    def add(self, series: Series, number: int) -> None:
        """Add one transaction."""
        intervals = self._series.setdefault(series, [])
        if intervals and intervals[-1][1] + 1 == number:
            intervals[-1] = (intervals[-1][0], number)
        elif not intervals or intervals[-1][1] < number:
            intervals.append((number, number))
        else:
            self._series[series] = list(iv.normalise([*intervals, (number, number)]))
        self._value = None

    def clear(self) -> None:
        """Remove all transactions."""
        self._series.clear()
        self._value = EMPTY_GTID_SET

    def has(self, series: Series, number: int) -> bool:
        """Return whether a transaction is in the set."""
        intervals = self._series.get(series)
        if not intervals:
            return False
        if intervals[-1][0] <= number:
            return number <= intervals[-1][1]
        place = bisect_right(intervals, number, key=lambda interval: interval[0]) - 1
        return place >= 0 and number <= intervals[place][1]

    def last(self, series: Series) -> int:
        """Return the greatest number of a series, 0 if the set has none of it."""
        intervals = self._series.get(series)
        return intervals[-1][1] if intervals else 0

    @property
    def value(self) -> GtidSet:
        """The set as an immutable value."""
        if self._value is None:
            in_order = sorted(self._series) if len(self._series) > 1 else self._series
            self._value = GtidSet(tuple([(each, tuple(self._series[each])) for each in in_order]))
        return self._value
