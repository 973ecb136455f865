"""Moves a healthy primary elsewhere on purpose, as Vitess' PlannedReparentShard does (`planned_reparenter.go`, the
graceful case).

The new primary catches up while the old one still takes writes, so that writes pause only for the last transactions. A
failure before the promotion is asked for leaves the old primary writable again.
"""

import asyncio
import math
from dataclasses import dataclass, replace

from vtorc.core.election.candidate_evidence import newest_term
from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.election.choice import Refusal
from vtorc.core.election.eligibility import PLANNED_CHECKS, Candidacy, why_not_eligible
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.election.unseen_promotions import unseen_writer
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.external_source import external_source, external_source_advice
from vtorc.core.facts.fitness import fitness_of
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.promotion import Promotion, ReplicaToRepoint, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import read_clock

JOURNAL_ACTION = "PlannedReparentShard"
"""Name of the operation in the reparent journal (Vitess `planned_reparenter.go`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReparent:
    """One planned reparent."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy
    new_primary: TabletAlias | None = None
    """The tablet to promote; None for the best replica, in the primary's cell if there is one."""

    async def run(self) -> None:
        """Promote another tablet.

        Raises RecoveryRefused, RecoveryFailed, TabletError or LockLost; the caller then makes the old primary writable
        again.
        """
        primary = self._primary()
        self._refuse_external_sources()
        winner = await self._winner(primary)
        session = self.session
        session.winner = winner.alias
        session.mark("elected")
        end = await self._demote(primary, winner)
        session.argument = SafetyArgument(
            policy=self.policy.name,
            stopped=(primary.alias,),
            unreached=tuple(t.alias for t in self.view.tablets if not t.is_current),
            required=end,
            sentence=f"{primary.alias} is read-only, and {winner.alias} has applied every transaction of "
            f"{primary.alias}.",
        )
        await promote(
            session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=winner.record,
                position=end,
                replicas=self._replicas_to_repoint(winner, end),
                action=JOURNAL_ACTION,
                first=False,
            ),
        )

    async def _demote(self, primary: TabletView, winner: TabletView) -> GtidSet:
        """Make the primary read-only once `winner` has caught up.

        Returns the primary's last position, which `winner` has applied.
        """
        session, tablets, catch_up = self.session, self.session.tablets, self.session.tools.deadlines.catch_up
        ahead = await session.step("read position", primary.alias, tablets.primary_position(primary.record))
        await session.step("catch up", winner.alias, tablets.wait_for_position(winner.record, ahead), deadline=catch_up)
        await session.check_lock()
        semi_sync = self.policy.required_acks(primary.member) > 0
        # Remembered before the call: a call without an answer may have been carried out all the same.
        session.on_abort(
            "demote primary", primary.alias, lambda: tablets.undo_demote_primary(primary.record, semi_sync=semi_sync)
        )
        end = await session.step("demote primary", primary.alias, tablets.demote_primary(primary.record, force=False))
        session.mark("demoted")
        await session.step(
            "apply the last writes", winner.alias, tablets.wait_for_position(winner.record, end), deadline=catch_up
        )
        return end

    def _replicas_to_repoint(self, winner: TabletView, end: GtidSet) -> tuple[ReplicaToRepoint, ...]:
        """Return the tablets that lose nothing when re-pointing drops their relay logs: the new primary has
        all of it. Those that went back in time are left alone.
        """
        left_alone = {winner.alias, *rolled_back(self.view)}
        return tuple(
            ReplicaToRepoint(t.record, end)
            for t in self.view.tablets
            if t.alias not in left_alone and t.record.type in ACKING_TYPES and _is_within(end, t)
        )

    def _primary(self) -> TabletView:
        primary = self.view.primary
        if primary is None or not primary.is_current:
            raise self._refuse(
                Rule.NO_PRIMARY, "the shard has no primary that answers; use EmergencyReparentShard instead"
            )
        if reason := unseen_writer(self.view, self.policy):
            raise self._refuse(Rule.UNREACHABLE_CELL, reason)
        return primary

    def _refuse_external_sources(self) -> None:
        """Refuse if a tablet that would be re-pointed at the new primary replicates from an external source."""
        for tablet in self.view.tablets:
            if tablet.record.type in ACKING_TYPES and (source := external_source(self.view, tablet)):
                raise self._refuse(
                    Rule.EXTERNAL_SOURCE, f"{tablet.alias} cannot be re-pointed: {external_source_advice(source)}"
                )

    async def _winner(self, primary: TabletView) -> TabletView:
        removed = await self._removed(primary)
        eligible = [t for t in self.view.tablets if t != primary and t.alias not in removed]
        if self.new_primary is not None:
            wanted = [t for t in eligible if t.alias == self.new_primary]
            if not wanted:
                reason = removed.get(self.new_primary, "is no tablet of the shard, or is already its primary")
                raise self._refuse(Rule.NOT_ELIGIBLE, f"{self.new_primary} {reason}", removed)
            return wanted[0]
        if not eligible:
            reasons = "; ".join(f"{alias} {reason}" for alias, reason in sorted(removed.items()))
            raise self._refuse(Rule.NO_CANDIDATE, f"no replica is eligible: {reasons}", removed)
        return min(
            eligible,
            key=lambda t: (
                self._rule(t),
                fitness_of(self.view, t, self.policy).is_last_choice(Use.LEAD),
                t.alias.cell != primary.alias.cell,
                _lag(t),
                t.alias,
            ),
        )

    async def _removed(self, primary: TabletView) -> dict[TabletAlias, str]:
        """Return why tablets other than the primary cannot be promoted; the clocks of the rest are read for that."""
        described = [self._candidacy(t, primary) for t in self.view.tablets if t != primary]
        removed = {c.tablet.alias: reason for c in described if (reason := why_not_eligible(c, PLANNED_CHECKS))}
        rest = {c.tablet.alias: c for c in described if c.tablet.alias not in removed}
        records = [t.record for t in self.view.tablets if t.alias in rest]
        clocks = await asyncio.gather(*(read_clock(self.session, record) for record in records))
        for record, clock in zip(records, clocks, strict=True):
            if reason := why_not_eligible(replace(rest[record.alias], clock=clock), PLANNED_CHECKS):
                removed[record.alias] = reason
        return removed

    def _candidacy(self, tablet: TabletView, primary: TabletView) -> Candidacy:
        status = tablet.current_status
        replication = status.replication if status is not None else None
        follows = replication is not None and replication.is_replicating
        went_back = rolled_back(self.view)
        return Candidacy(
            tablet=tablet.member,
            policy=self.policy,
            primary=primary.alias,
            is_reached=status is not None,
            rolled_back=went_back.get(tablet.alias, EMPTY_GTID_SET),
            is_replicating=follows and self.view.replicates_from(tablet, primary),
            backup_running=replication is not None and replication.backup_running,
            fitness=fitness_of(self.view, tablet, self.policy),
            newest_term=newest_term(self.view),
            at_hand=[t.member for t in self.view.tablets if t.is_current and t.alias not in went_back],
        )

    def _rule(self, tablet: TabletView) -> int:
        return self.policy.promotion_rule(tablet.member).rank

    def _refuse(self, rule: Rule, sentence: str, removed: dict[TabletAlias, str] | None = None) -> Exception:
        return self.session.refuse(Refusal(rule=rule, sentence=f"not promoting: {sentence}", removed=removed or {}))


def _is_within(position: GtidSet, tablet: TabletView) -> bool:
    """Return whether `position` contains all of its relay log; what it has applied already is not dropped."""
    status = tablet.current_status
    return status is not None and position.contains(status.received.difference(status.executed))


def _lag(tablet: TabletView) -> float:
    """Return the seconds that a replica is behind; an unknown lag comes after all others."""
    replication = tablet.status.replication if tablet.status is not None else None
    return replication.lag if replication is not None and replication.lag is not None else math.inf
