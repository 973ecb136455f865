"""Ends the pause after failed replacements of a primary once a tablet answers again or has applied its relay log, or
operators hold other tablets.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from vtorc.core.decision.backoff import Attempt
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView

FIRST_WAIVER_GAP = 2.0
"""Seconds after one waiver before the same tablet can bring about another; doubled with each."""

_MOST_DOUBLINGS = 10


@dataclass(slots=True)
class BackoffWaivers:
    """Remembers which tablets answered, and which of them let vtorc try again by answering again."""

    answering: frozenset[TabletAlias] = frozenset()
    """The tablets that answered last time."""
    given: dict[TabletAlias, tuple[float, int]] = field(default_factory=dict)
    """By tablet: when it brought about its last waiver, in seconds on the clock, and how many it has had."""

    def waive(self, answering: Collection[TabletAlias], attempts: Sequence[Attempt], now: float) -> list[Attempt]:
        """Return the attempts, with their pause waived if a tablet answers that did not answer before.

        A replacement may have been refused for want of that tablet. The attempts count all the same. A tablet with
        answers that come and go waives less and less often, so that it cannot keep up a storm.
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
        return now - last >= FIRST_WAIVER_GAP * 2.0 ** min(max(times - 1, 0), _MOST_DOUBLINGS)


def waive_applied(view: ShardView, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts, with the pause waived after those that waited for a relay log that is applied by now."""
    executed = {t.alias: t.current_status.executed for t in view.tablets if t.current_status is not None}
    return [
        replace(a, waived=True)
        if not a.waived
        and any(alias in executed and executed[alias].contains(rest) for alias, rest in a.waits_for.items())
        else a
        for a in attempts
    ]


def waive_lifted(view: ShardView, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts, with the pause waived after those that holds refused, if other holds are in force by now."""
    return [
        replace(a, waived=True) if not a.waived and a.refused_with not in (None, view.holds) else a for a in attempts
    ]
