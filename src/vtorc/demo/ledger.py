"""The record of the demo's application: rows acknowledged, by which tablet, and how long there were no writes."""

from collections import deque
from dataclasses import dataclass, field

from vtorc.core.facts.ids import TabletAlias

NOTABLE_GAP = 0.5
"""Seconds without an acknowledgement after which a pause is reported, even if the primary stayed the same."""

RATE_WINDOW = 2.0
"""Seconds over which the rate of acknowledgements is measured."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A pause of the writes: the last acknowledgement before and the first after it, with their times and tablets."""

    ended_by: TabletAlias
    began_at: float
    ended_at: float
    last_from: TabletAlias

    @property
    def seconds(self) -> float:
        """For how long no write was acknowledged."""
        return self.ended_at - self.began_at

    @property
    def is_handover(self) -> bool:
        """Whether another tablet took the writes afterwards."""
        return self.ended_by != self.last_from


@dataclass(slots=True)
class Ledger:
    """Rows by number, in the order they were written; times are seconds on one monotonic clock.

    A row is *acknowledged* once the server's OK has arrived: from then on it must never be missing. If its answer did
    not arrive, the row is *in doubt*: it may be there or not, and its absence is no loss.
    """

    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    in_doubt: list[int] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    count: int = 0
    last_at: float | None = None
    last_from: TabletAlias | None = None
    _recent: deque[float] = field(default_factory=deque)

    def acknowledge(self, row: int, at: float, tablet: TabletAlias) -> None:
        """Enter a row that `tablet` acknowledged; its number is higher than all before."""
        if self.acknowledged and self.acknowledged[-1][1] == row - 1:
            self.acknowledged[-1] = (self.acknowledged[-1][0], row)
        else:
            self.acknowledged.append((row, row))
        self.count += 1
        if self.last_at is not None and self.last_from is not None:
            gap = Gap(tablet, self.last_at, at, self.last_from)
            if gap.is_handover or gap.seconds >= NOTABLE_GAP:
                self.gaps.append(gap)
        self.last_at, self.last_from = at, tablet
        self._recent.append(at)
        self._forget(at)

    def doubt(self, row: int) -> None:
        """Enter a row to which no answer arrived."""
        self.in_doubt.append(row)

    def rate(self, now: float) -> float:
        """Return acknowledgements per second over the last `RATE_WINDOW` seconds."""
        self._forget(now)
        return len(self._recent) / RATE_WINDOW

    def silence(self, now: float) -> float:
        """Return the seconds since the last acknowledgement; 0 before the first."""
        return 0.0 if self.last_at is None else now - self.last_at

    def handover_from(self, tablet: TabletAlias, since: float) -> Gap | None:
        """Return the first pause that ended at or after `since` with another tablet taking the writes of `tablet`."""
        return next(
            (gap for gap in self.gaps if gap.last_from == tablet and gap.is_handover and gap.ended_at >= since), None
        )

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0] < now - RATE_WINDOW:
            self._recent.popleft()
