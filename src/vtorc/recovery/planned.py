"""Moves a healthy primary elsewhere on purpose. Vitess calls it PlannedReparentShard (`planned_reparenter.go`, the
graceful case).

The new primary catches up while the old one still takes writes, so that the write gap is only the last of it.
Whatever fails before the promotion is asked for ends with the old primary writable again.
"""

import asyncio
from dataclasses import dataclass

from vtorc.core.detection.external_source import external_source, external_source_advice
from vtorc.core.election.candidate_evidence import newest_term
from vtorc.core.election.candidates import ACKING_TYPES, why_clock_is_behind
from vtorc.core.election.choice import Refusal, SafetyArgument
from vtorc.core.election.unseen_promotions import unseen_writer
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.promotion import Follower, Promotion, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import read_clock

ACTION = "PlannedReparentShard"
"""Name of the operation in the reparent journal (Vitess `planned_reparenter.go`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReparent:
    """One planned reparent; with `new_primary` None the best replica is chosen, in the same cell if there is one."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy
    new_primary: TabletAlias | None = None

    async def run(self) -> None:
        """Promote another tablet, or raise RecoveryRefused, RecoveryFailed, TabletError or LockLost, the old primary
        writable.
        """
        primary = self._primary()
        self._refuse_outsiders()
        winner = await self._winner(primary)
        session, tablets, deadlines = self.session, self.session.tablets, self.session.tools.deadlines
        session.winner = winner.alias
        session.mark("elected")
        ahead = await session.step("read position", primary.alias, tablets.primary_position(primary.record))
        await session.step(
            "catch up", winner.alias, tablets.wait_for_position(winner.record, ahead), deadline=deadlines.catch_up
        )
        await session.guard()
        semi_sync = self.policy.required_acks(primary.member) > 0
        # Remembered before the call: one that ends without an answer may have been carried out all the same.
        session.on_abort(
            "demote primary", primary.alias, lambda: tablets.undo_demote_primary(primary.record, semi_sync=semi_sync)
        )
        end = await session.step("demote primary", primary.alias, tablets.demote_primary(primary.record, force=False))
        session.mark("demoted")
        await session.step(
            "apply the last writes",
            winner.alias,
            tablets.wait_for_position(winner.record, end),
            deadline=deadlines.catch_up,
        )
        others = tuple(
            # Its relay log is dropped: who has something in it that the new primary lacks stays as it is.
            Follower(t.record, end)
            for t in self.view.tablets
            if t.alias != winner.alias and t.record.type in ACKING_TYPES and _is_within(end, t)
        )
        session.argument = SafetyArgument(
            policy=self.policy.name,
            stopped=(primary.alias,),
            unreached=tuple(t.alias for t in self.view.tablets if not t.is_current),
            required=end,
            sentence=f"{primary.alias} is read-only and {winner.alias} has applied everything that it ever wrote.",
        )
        await promote(
            session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=winner.record,
                position=end,
                others=others,
                action=ACTION,
                first=False,
            ),
        )

    def _primary(self) -> TabletView:
        primary = self.view.primary
        if primary is None or not primary.is_current:
            raise self._refuse(
                Rule.NO_PRIMARY, "the shard has no primary that answers; that needs an emergency reparent"
            )
        if who := unseen_writer(self.view, self.policy):
            raise self._refuse(Rule.UNREACHABLE_CELL, who)
        return primary

    def _refuse_outsiders(self) -> None:
        """The other tablets are to follow the new primary, and one that somebody feeds from elsewhere must not."""
        for tablet in self.view.tablets:
            if tablet.record.type in ACKING_TYPES and (source := external_source(self.view, tablet)):
                raise self._refuse(
                    Rule.EXTERNAL_SOURCE, f"{tablet.alias} cannot follow: {external_source_advice(source)}"
                )

    async def _winner(self, primary: TabletView) -> TabletView:
        removed = {t.alias: why for t in self.view.tablets if t != primary and (why := self._why_not(t, primary))}
        asked = [t for t in self.view.tablets if t != primary and t.alias not in removed]
        clocks = await asyncio.gather(*(read_clock(self.session, t.record) for t in asked))
        for tablet, clock in zip(asked, clocks, strict=True):
            if why := why_clock_is_behind(clock, newest_term(self.view)):
                removed[tablet.alias] = why
        fit = [t for t in self.view.tablets if t != primary and t.alias not in removed]
        if self.new_primary is not None:
            wanted = [t for t in fit if t.alias == self.new_primary]
            if not wanted:
                why = removed.get(self.new_primary, "is no tablet of the shard, or is the primary already")
                raise self._refuse(Rule.NOT_ELIGIBLE, f"{self.new_primary} {why}", removed)
            return wanted[0]
        if not fit:
            reasons = "; ".join(f"{alias} {why}" for alias, why in sorted(removed.items()))
            raise self._refuse(Rule.NO_CANDIDATE, f"no replica is fit to take over: {reasons}", removed)
        return min(fit, key=lambda t: (self._rule(t), t.alias.cell != primary.alias.cell, _lag(t), t.alias))

    def _why_not(self, tablet: TabletView, primary: TabletView) -> str:
        status = tablet.current_status
        if status is None:
            return "does not answer"
        if self.policy.promotion_rule(tablet.member) is PromotionRule.MUST_NOT:
            return f"is {tablet.record.type.name}, which the policy never promotes"
        if (
            not self.view.replicates_from(tablet, primary)
            or not status.replication
            or not status.replication.is_replicating
        ):
            return f"does not replicate from {primary.alias}"
        if status.replication.backup_running:
            return "is being backed up"
        needed = self.policy.required_acks(tablet.member)
        ready = [t for t in self.view.tablets if t.is_current and self.policy.may_ack(tablet.member, t.member)]
        if len(ready) < needed:
            return f"would get {len(ready)} of the {needed} acknowledgements that {self.policy.name} requires"
        return ""

    def _rule(self, tablet: TabletView) -> int:
        return self.policy.promotion_rule(tablet.member).rank

    def _refuse(self, rule: Rule, sentence: str, removed: dict[TabletAlias, str] | None = None) -> Exception:
        return self.session.refuse(Refusal(rule=rule, sentence=f"not promoting: {sentence}", removed=removed or {}))


def _is_within(position: GtidSet, tablet: TabletView) -> bool:
    """Whether nothing waits in its relay log but what is in `position`; what it has applied already is not dropped."""
    status = tablet.current_status
    return status is not None and position.contains(status.received.difference(status.executed))


def _lag(tablet: TabletView) -> int:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication.lag if replication is not None and replication.lag is not None else 2**31
