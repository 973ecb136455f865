"""Calls an operator once for a critical problem that stands although nothing is done about it.

Shards took no writes for 15 minutes, and all that the log said was that a replica does not answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from vtorc.core.decision.backoff import Attempt
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import TabletAlias

ESCALATE_STANDING_AFTER = 60.0
"""Seconds for which a critical problem may stand without an action before an operator is called."""

GONE_AFTER = 5.0
"""Seconds without any critical problem of a tablet after which the next one is a new one."""


def is_critical(code: Code) -> bool:
    """Whether the shard takes no writes while the problem stands, or vtorc cannot tell."""
    problem = code.problem
    return problem.priority <= 1 or problem.primary is not PrimaryDoubt.CERTAIN or code is Code.PRIMARY_IS_READ_ONLY


@dataclass(slots=True)
class _Standing:
    """The critical problems of one tablet; times are in seconds on the clock of the decisions."""

    since: float
    """When the first of them was found, or the last action about one ended."""
    seen_at: float
    """When one of them was last found."""
    called_for: Code | None = None
    """The problem for which an operator was called; None if for none yet."""


@dataclass(slots=True)
class StandingProblems:
    """Remembers since when the critical problems of a shard stand; None stands for the shard as a whole.

    The code of one problem may change from moment to moment, so a tablet's critical problems count as one.
    """

    by_tablet: dict[TabletAlias | None, _Standing] = field(default_factory=dict)
    """By tablet: the problems that it has."""

    def escalate(self, decisions: Iterable[Decision], attempts: Sequence[Attempt], now: float) -> tuple[Decision, ...]:
        """Return the decisions, the most urgent of each tablet escalated if its problems have stood for long."""
        decisions = tuple(decisions)
        critical = {d.finding.alias for d in decisions if is_critical(d.finding.code)}
        for alias in [a for a, each in self.by_tablet.items() if now - each.seen_at > GONE_AFTER]:
            del self.by_tablet[alias]
        for alias in critical:
            self._note(alias, attempts, now)
        return tuple(self._escalated(d, now) if is_critical(d.finding.code) else d for d in decisions)

    def _note(self, alias: TabletAlias | None, attempts: Sequence[Attempt], now: float) -> None:
        standing = self.by_tablet.setdefault(alias, _Standing(since=now, seen_at=now))
        standing.seen_at = now
        # To make a replica reconnect only finds out more.
        acted = [a.ended_at for a in attempts if a.alias == alias and a.recovery is not Recovery.RESTART_DIRECT_REPLICA]
        if acted and acted[-1] > standing.since:
            standing.since, standing.called_for = acted[-1], None

    def _escalated(self, decision: Decision, now: float) -> Decision:
        standing = self.by_tablet[decision.finding.alias]
        if now - standing.since < ESCALATE_STANDING_AFTER:
            return decision
        standing.called_for = standing.called_for or decision.finding.code
        if decision.escalated or standing.called_for is not decision.finding.code:
            return decision
        sentence = f"{decision.sentence}; this has stood for {now - standing.since:.0f} s, so an operator is needed"
        return replace(decision, sentence=sentence, escalated=True, has_stood=True)
