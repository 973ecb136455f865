"""Which tablet's return lets a replacement that failed be tried at once, without the pause that tries in vain earn."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from vtorc.core.decision.backoff import Attempt
from vtorc.core.facts.ids import TabletAlias

FIRST_GAP = 2.0
"""Seconds after one waiver until the same tablet brings about another; doubled with each."""

_MOST_DOUBLINGS = 10


@dataclass(slots=True)
class BackoffWaivers:
    """Remembers who answered, and whose return was taken for a reason to try again."""

    answering: frozenset[TabletAlias] = frozenset()
    given: dict[TabletAlias, tuple[float, int]] = field(default_factory=dict)
    """When a tablet brought about the last one, in seconds on the clock, and how many it has."""

    def after(self, answering: Collection[TabletAlias], attempts: Sequence[Attempt], now: float) -> list[Attempt]:
        """Return the attempts, their pause waived if a tablet answers that did not before: a replacement may have been
        refused for want of it. They count all the same.

        A tablet whose answers come and go does so less and less often, so that it cannot keep up a storm.
        """
        back, self.answering = frozenset(answering) - self.answering, frozenset(answering)
        failed = [a for a in attempts if a.recovery.replaces_primary and not a.succeeded]
        if not failed:
            self.given = {}
            return list(attempts)
        due = [alias for alias in sorted(back) if self._is_due(alias, now)]
        for alias in due:
            self.given[alias] = (now, self.given.get(alias, (now, 0))[1] + 1)
        return [replace(a, waived=True) if due and a in failed else a for a in attempts]

    def _is_due(self, alias: TabletAlias, now: float) -> bool:
        last, times = self.given.get(alias, (float("-inf"), 0))
        return now - last >= FIRST_GAP * 2.0 ** min(max(times - 1, 0), _MOST_DOUBLINGS)
