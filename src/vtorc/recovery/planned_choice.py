"""Chooses the new primary of a planned reparent: the reparent itself asks, and so does a plan that changes nothing."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vtorc.core.election.candidate_evidence import newest_term
from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.election.choice import Refusal
from vtorc.core.election.eligibility import PLANNED_CHECKS, Candidacy, is_kept_by_hold, why_not_eligible
from vtorc.core.election.unseen_promotions import unseen_writer
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.external_source import external_source, external_source_advice
from vtorc.core.facts.fitness import fitness_of, shard_fitness
from vtorc.core.facts.gtid import EMPTY_GTID_SET
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import ShardView, TabletView

ClockReader = Callable[[TabletRecord], Coroutine[Any, Any, int | None]]
"""Reads the wall clock of a tablet in nanoseconds since the Unix epoch; None if it does not answer."""

_PLACES = (
    "the topology server of its cell does not answer",
    "the policy or an operator prefers the other",
    "its server would be a last choice",
    "the other is in the cell of the primary",
    "the other is less behind",
    "the other comes first by name",
)
"""Why another tablet comes first, by the parts of the order among eligible tablets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChoice:
    """The tablet that a planned reparent promotes, and why it promotes no other."""

    primary: TabletView
    """The primary that is moved."""
    winner: TabletView
    """The tablet that becomes primary."""
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    """The tablets that cannot be promoted, each with the end of a sentence why."""
    behind: Mapping[TabletAlias, str] = field(default_factory=dict)
    """The tablets that could be promoted as well, each with the end of a sentence why they are not."""


async def choose_as_planned(
    view: ShardView,
    policy: DurabilityPolicy,
    new_primary: TabletAlias | None,
    read_clock: ClockReader,
    *,
    tolerable_lag: float = 0.0,
) -> PlannedChoice | Refusal:
    """Choose `new_primary`, or the best replica if that is None; reads clocks, and changes nothing.

    A replica that is more than `tolerable_lag` seconds behind, or hides its lag, is chosen only by name; 0 allows any
    lag.
    """
    primary = view.primary
    if primary is None or not primary.is_current:
        return _refusal(Rule.NO_PRIMARY, "the shard has no primary that answers; use EmergencyReparentShard instead")
    if reason := unseen_writer(view, policy):
        return _refusal(Rule.UNREACHABLE_CELL, reason)
    if refusal := _refuse_external_sources(view):
        return refusal
    return await _Choosing(view, policy, primary, tolerable_lag).choose(new_primary, read_clock)


def planned_argument(primary: TabletAlias, winner: TabletAlias) -> str:
    """Return why no write can be missing once `winner` is promoted as planned."""
    return f"{primary} is read-only, and {winner} has applied every transaction of {primary}."


def _refuse_external_sources(view: ShardView) -> Refusal | None:
    """Refuse if a tablet that would be re-pointed at the new primary replicates from an external source."""
    for tablet in view.tablets:
        if tablet.record.type in ACKING_TYPES and (source := external_source(view, tablet)):
            return _refusal(
                Rule.EXTERNAL_SOURCE, f"{tablet.alias} cannot be re-pointed: {external_source_advice(source)}"
            )
    return None


@dataclass(frozen=True, slots=True)
class _Choosing:
    view: ShardView
    policy: DurabilityPolicy
    primary: TabletView
    tolerable_lag: float

    async def choose(self, new_primary: TabletAlias | None, read_clock: ClockReader) -> PlannedChoice | Refusal:
        removed = await self._removed(read_clock)
        eligible = [t for t in self.view.tablets if t != self.primary and t.alias not in removed]
        if new_primary is not None:
            wanted = [t for t in eligible if t.alias == new_primary]
            if not wanted:
                reason = removed.get(new_primary, "is no tablet of the shard, or is already its primary")
                rule = Rule.HELD if self._is_kept_by_hold(new_primary) else Rule.NOT_ELIGIBLE
                return _refusal(rule, f"{new_primary} {reason}", removed)
            behind = {t.alias: f"{new_primary} was named" for t in eligible if t.alias != new_primary}
            return PlannedChoice(primary=self.primary, winner=wanted[0], removed=removed, behind=behind)
        removed = removed | {t.alias: why for t in eligible if (why := self._why_too_late(t))}
        eligible = [t for t in eligible if t.alias not in removed]
        if not eligible:
            reasons = "; ".join(f"{alias} {reason}" for alias, reason in sorted(removed.items()))
            rule = Rule.HELD if any(map(self._is_kept_by_hold, removed)) else Rule.NO_CANDIDATE
            return _refusal(rule, f"no replica is eligible: {reasons}", removed)
        winner = min(eligible, key=self._order)
        behind = {t.alias: self._why_behind(t, winner) for t in eligible if t is not winner}
        return PlannedChoice(primary=self.primary, winner=winner, removed=removed, behind=behind)

    def _why_too_late(self, tablet: TabletView) -> str:
        """Return that a tablet lags more than the settings tolerate; empty if it does not."""
        if not self.tolerable_lag or (lag := _lag(tablet)) <= self.tolerable_lag:
            return ""
        behind = "does not tell how far it is behind" if lag == math.inf else f"is {lag:g} s behind"
        return f"{behind}, and --tolerable-replication-lag allows {self.tolerable_lag:g} s"

    def _order(self, tablet: TabletView) -> tuple[bool, int, bool, bool, float, TabletAlias]:
        """Sort eligible tablets, the best first."""
        return (
            tablet.alias.cell in self.view.unreachable_cells,
            (self.view.holds.wish(tablet.alias) or self.policy.promotion_rule(tablet.member)).rank,
            fitness_of(self.view, tablet, self.policy).is_last_choice(Use.LEAD),
            tablet.alias.cell != self.primary.alias.cell,
            _lag(tablet),
            tablet.alias,
        )

    def _why_behind(self, tablet: TabletView, winner: TabletView) -> str:
        places = zip(self._order(tablet), self._order(winner), _PLACES, strict=True)
        why = next(why for ours, best, why in places if ours != best)
        return f"may be promoted, but {winner.alias} comes first: {why}"

    def _is_kept_by_hold(self, alias: TabletAlias) -> bool:
        tablet = self.view.tablet(alias)
        return tablet is not None and is_kept_by_hold(self._candidacy(tablet), PLANNED_CHECKS)

    async def _removed(self, read_clock: ClockReader) -> dict[TabletAlias, str]:
        """Return why tablets other than the primary cannot be promoted; the clocks of the rest are read for that."""
        described = [self._candidacy(t) for t in self.view.tablets if t != self.primary]
        removed = {c.tablet.alias: reason for c in described if (reason := why_not_eligible(c, PLANNED_CHECKS))}
        rest = {c.tablet.alias: c for c in described if c.tablet.alias not in removed}
        records: Sequence[TabletRecord] = [t.record for t in self.view.tablets if t.alias in rest]
        clocks = await asyncio.gather(*(read_clock(record) for record in records))
        for record, clock in zip(records, clocks, strict=True):
            if reason := why_not_eligible(replace(rest[record.alias], clock=clock), PLANNED_CHECKS):
                removed[record.alias] = reason
        return removed

    def _candidacy(self, tablet: TabletView) -> Candidacy:
        status = tablet.current_status
        replication = status.replication if status is not None else None
        follows = replication is not None and replication.is_replicating
        went_back = rolled_back(self.view)
        return Candidacy(
            tablet=tablet.member,
            policy=self.policy,
            primary=self.primary.alias,
            is_reached=status is not None,
            rolled_back=went_back.get(tablet.alias, EMPTY_GTID_SET),
            is_replicating=follows and self.view.replicates_from(tablet, self.primary),
            backup_running=replication is not None and replication.backup_running,
            fitness=fitness_of(self.view, tablet, self.policy),
            held=self.view.holds.why_not_promoted(tablet.alias),
            newest_term=newest_term(self.view),
            at_hand=[t.member for t in self.view.tablets if t.is_current and t.alias not in went_back],
            unfit_ackers={
                alias: why
                for alias, fitness in shard_fitness(self.view, self.policy).items()
                if (why := fitness.why_not(Use.ACKNOWLEDGE))
            },
        )


def _lag(tablet: TabletView) -> float:
    """Return the seconds that a replica is behind; an unknown lag comes after all others."""
    replication = tablet.status.replication if tablet.status is not None else None
    return replication.lag if replication is not None and replication.lag is not None else math.inf


def _refusal(rule: Rule, sentence: str, removed: Mapping[TabletAlias, str] | None = None) -> Refusal:
    return Refusal(rule=rule, sentence=f"not promoting: {sentence}", removed=removed or {})
