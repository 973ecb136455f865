"""Backoff and cooldown: how long earlier attempts at a shard speak against another one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.holds import HoldsOnShard
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule, Why

FIRST_BACKOFF = 0.5
"""Seconds between the end of the first attempt and the second; doubled after each further one."""

LAST_BACKOFF = 30.0
"""Seconds that the pause between two attempts grows to."""

LAST_BACKOFF_FOR_APPLIERS = 300.0
"""Seconds that the pause grows to after waits for relay logs that were not applied in time."""

ESCALATE_AFTER = 5
"""Attempts in vain after which an operator is called."""

ESCALATE_AFTER_RELAPSES = 10
"""Repairs of one problem, each of which lasted for a while, after which it is a loop all the same."""

EVIDENCE_INCOMPLETE = "the evidence is not complete yet"
"""Why nothing is done about a finding that is not confirmed, in words."""

_DEATHS = frozenset({Code.DEAD_PRIMARY, Code.DEAD_PRIMARY_AND_SOME_REPLICAS})
"""Problems of a primary that is gone, and does not just work badly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One past recovery of this shard."""

    code: Code
    """The problem that it was for."""
    recovery: Recovery
    """Its kind."""
    alias: TabletAlias | None
    """The tablet with the problem; None where the shard had it."""
    ended_at: float
    """When it ended, in seconds on the view's clock."""
    succeeded: bool
    """Whether its steps succeeded."""
    held: bool = False
    """Whether the problem then stayed away for a while; if it is back, it is a new one."""
    waived: bool = False
    """Whether something changed since that may let the next attempt succeed, so that there is no pause."""
    may_be_load: bool = False
    """Whether the tablet may have been overloaded rather than broken, as the finding said."""
    waits_for: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """The transactions that tablets did not apply in time; empty unless that ended it."""
    refused_with: HoldsOnShard | None = None
    """The holds in force as it was refused because of one of them; None if it ended for another reason."""
    cause: str = ""
    """The state that must change before another try, as the finding said; empty where time alone may do."""
    took: float = 0.0
    """Seconds from its decision to its end."""
    in_vain: str = ""
    """Why it ended without success, in words; empty if it succeeded."""


@dataclass(frozen=True, slots=True)
class AttemptHistory:
    """The attempts at a shard, as they speak against another one."""

    attempts: Sequence[Attempt]
    """All that vtorc remembers, ordered by time."""
    block_seconds: float
    """Seconds after one emergency reparent in which the same tablet is not replaced again.

    Nor is another one, if both may be overloaded (`RecoveryPeriodBlockSeconds`).
    """
    now: float
    """The present time, in seconds on the clock of the attempts."""
    seen_at_work: Mapping[TabletAlias, float] = field(default_factory=dict)
    """When each tablet was last seen at work as primary, on the same clock; a tablet that never was is missing."""

    def attempts_for(self, finding: Finding) -> list[Attempt]:
        """Return the attempts for the same cause; a lost primary is one cause, whatever code it has at the moment.

        A replacement that succeeded is not among them. A tablet that became primary again since, and is lost again, is
        a new loss, which only the cooldown may hold back.
        """
        recovery = finding.problem.recovery
        return [
            attempt
            for attempt in self.attempts
            if attempt.alias == finding.alias
            and not (attempt.recovery.replaces_primary and attempt.succeeded)
            and (attempt.code is finding.code or (attempt.recovery.replaces_primary and attempt.recovery is recovery))
        ]

    def why_wait(self, finding: Finding, recovery: Recovery) -> Why | None:
        """Return why the recovery waits: the tablet was just replaced, or trying did not help; None if it may begin."""
        if recovery.replaces_primary and (why := self._why_not_replace_again(finding)):
            return Rule.COOLDOWN, why
        futile = [a for a in self.attempts_for(finding) if not a.held]
        if not futile or futile[-1].waived:
            return None
        # The exponent is bounded, as a problem that stands for days is tried more often than a float can bear.
        doubled = 2.0 ** min(len(futile) - 1, 32)
        pause = min(LAST_BACKOFF, FIRST_BACKOFF * doubled)
        if futile[-1].waits_for:
            # It held the shard lock and all replicas for as long as it waited, and only their appliers can help.
            pause = max(pause, min(LAST_BACKOFF_FOR_APPLIERS, futile[-1].took * doubled))
        left = futile[-1].ended_at + pause - self.now
        if left <= 0:
            return None
        return Rule.BACKOFF, _in_vain(finding, futile, f"the next attempt is in {left:.1f} s")

    def why_unconfirmed(self, finding: Finding) -> Why:
        """Return why a finding with incomplete evidence is left alone, with what ended the last attempt in vain.

        An attempt stops the replicas, so the evidence has to be heard anew after each one. Between two refusals the
        sentence of a shard without writes told only that.
        """
        futile = [a for a in self.attempts_for(finding) if not a.held]
        if not futile or not futile[-1].in_vain:
            return Rule.UNCONFIRMED, EVIDENCE_INCOMPLETE
        return Rule.BACKOFF, _in_vain(finding, futile, EVIDENCE_INCOMPLETE)

    def _why_not_replace_again(self, finding: Finding) -> str:
        """Return why an earlier replacement speaks against another one now; empty if none does."""
        # The alias is None for a primary without a record, and the next such primary is another tablet.
        ago = self._since_replacement(lambda a: finding.alias is not None and a.alias == finding.alias)
        if ago is not None and not self._is_another_death(finding):
            return f"it was replaced as primary {ago:.0f} s ago, and may be again in {self._left(ago)}"
        return self.why_load_may_have_moved() if finding.may_be_load else ""

    def _is_another_death(self, finding: Finding) -> bool:
        """Whether the tablet died, came back, was seen at work as primary, and has died once more.

        The pause is for causes that repeat. A tablet that was sound in between had the first one behind it. If it dies
        a third time within the pause, the cause repeats.
        """
        replaced = [a for a in self._replacements() if a.alias == finding.alias]
        if finding.alias is None or len(replaced) != 1 or not {finding.code, replaced[0].code} <= _DEATHS:
            return False
        is_load = finding.may_be_load or replaced[0].may_be_load
        return not is_load and self.seen_at_work.get(finding.alias, replaced[0].ended_at) > replaced[0].ended_at

    def why_load_may_have_moved(self) -> str:
        """Return why a primary that hangs stays primary although it may be dead; empty if nothing speaks for that.

        An overload moves with the traffic. After one move it is known that another one does not help.
        """
        ago = self._since_replacement(lambda attempt: attempt.may_be_load)
        if ago is None:
            return ""
        return (
            f"the primary before it failed in the same way and was replaced {ago:.0f} s ago, so it may be load, which "
            f"moves with the primary; it is replaced at once if its MySQL ends, else in {self._left(ago)}"
        )

    def _since_replacement(self, counts: Callable[[Attempt], bool]) -> float | None:
        """Return the seconds since the last replacement that counts; None if it is older than `block_seconds`."""
        last = max((attempt.ended_at for attempt in self._replacements() if counts(attempt)), default=None)
        return None if last is None else self.now - last

    def _replacements(self) -> list[Attempt]:
        """Return the replacements of primaries within the last `block_seconds`."""
        return [
            a
            for a in self.attempts
            if a.recovery.replaces_primary and a.succeeded and self.now - a.ended_at < self.block_seconds
        ]

    def _left(self, ago: float) -> str:
        return f"{self.block_seconds - ago:.0f} s (RecoveryPeriodBlockSeconds)"

    def last_end(self, recovery: Recovery) -> float | None:
        """Return when the last recovery of that kind for the present primary ended; None if there was none.

        Those before the last replacement were for another primary.
        """
        replaced = max((a.ended_at for a in self.attempts if a.recovery.replaces_primary and a.succeeded), default=None)
        ends = (a.ended_at for a in self.attempts if a.recovery is recovery)
        return max((end for end in ends if replaced is None or end > replaced), default=None)

    def count_since(self, recovery: Recovery, moment: float) -> int:
        """Return how many recoveries of that kind have ended since."""
        return sum(a.recovery is recovery and a.ended_at >= moment for a in self.attempts)


def _in_vain(finding: Finding, futile: Sequence[Attempt], what_next: str) -> str:
    """Return how often a recovery was tried, what comes next, and why the last attempt was in vain.

    A refusal names the tablets to bring back. Without it, the sentence of a shard without writes told nothing that an
    operator could do.
    """
    times = "once" if len(futile) == 1 else f"{len(futile)} times"
    last = f"; last time: {futile[-1].in_vain}" if futile[-1].in_vain else ""
    return f"{finding.code.value} was tried {times} without lasting effect; {what_next}{last}"


def needs_operator(attempts: Sequence[Attempt]) -> bool:
    """Whether trying has failed to help so often that an operator is needed."""
    return sum(not a.held for a in attempts) >= ESCALATE_AFTER or len(attempts) >= ESCALATE_AFTER_RELAPSES
