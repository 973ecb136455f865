"""Who may become primary when the old one is gone, and why nothing acknowledged is lost: `choose(CandidateSet,
policy) -> Choice | Refusal`.

The rules:

1. *Revoked.* Nobody who may have been primary can get another write acknowledged, because we stopped so many possible
   ackers, or the primary itself. The same arithmetic says that every write acknowledged before is held by somebody we
   reached (`vtorc.core.election.ack_arithmetic`). A policy that asks for no acknowledgements promises nothing; there
   the tablets that we reach must show at least that it is not we who are cut off.
2. *Required.* What must survive is everything that any reached tablet received, less what is provably errant
   (`vtorc.core.election.errant`).
3. *Holder.* A tablet that has all of the required transactions. Without one the logs diverged, and a person has to
   choose.
4. *Winner.* The best tablet by promotion rule, cell and progress among those that hold everything, or can fetch it
   from a holder that has applied it, and that has enough ackers at hand to take writes.

Vitess' rules for the same are in `go/vt/vtctl/reparentutil/emergency_reparenter.go` and `reparent_sorter.go`; the
differences: nobody has to be waited for who cannot win, errant transactions never decide, and a refusal names what is
missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vtorc.core.election.ack_arithmetic import AckGuarantee, can_hold_unseen_ack
from vtorc.core.election.candidates import ACKING_TYPES, CandidateSet, StoppedTablet, why_clock_is_behind
from vtorc.core.election.errant import may_be_acknowledged, proven_errant
from vtorc.core.election.revocation import names, unrevoked
from vtorc.core.election.unacknowledged_tail import unacknowledged_tail
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule

__all__ = [
    "ACKING_TYPES",
    "CandidateSet",
    "Choice",
    "Refusal",
    "SafetyArgument",
    "StoppedTablet",
    "certain_refusal",
    "choose",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyArgument:
    """Why a promotion is safe; stored with the recovery (rule 1 of the design)."""

    policy: str
    stopped: tuple[TabletAlias, ...]
    unreached: tuple[TabletAlias, ...]
    required: GtidSet
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The tablet to promote.

    `holders` are promotable tablets that have received everything, best first, of which any that has applied its
    relay log may win in the place of `winner`, the best of them. If there is none, `winner` must fetch the `required`
    transactions from `source`, once that has applied them. `otherwise` are the other ways, best first, for when this
    one fails; the last of them may do without what only the old primary has, if provably nobody acknowledged it.
    """

    winner: TabletAlias
    holders: tuple[TabletAlias, ...]
    source: TabletAlias | None
    required: GtidSet
    argument: SafetyArgument
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    otherwise: tuple["Choice", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why nobody is promoted, with what is missing; `rule` is the name of the rule that said so."""

    rule: Rule
    sentence: str
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)


def choose(candidates: CandidateSet, policy: DurabilityPolicy) -> Choice | Refusal:
    """Choose the next primary, or say what is missing; a pure function of its arguments.

    Ties are broken by alias, so that two observers of the same state choose the same tablet.
    """
    return _Election(candidates, policy).outcome()


def certain_refusal(candidates: CandidateSet, policy: DurabilityPolicy) -> Refusal | None:
    """Refuse if `choose` would, whatever the tablets in `candidates` turn out to hold; None if that decides.

    For the moment before anything is stopped: who is stopped in vain is started again, and each vtorc that tries again
    does the same to all replicas of the shard.
    """
    return _Election(candidates, policy).certain_refusal()


class _Election:
    def __init__(self, candidates: CandidateSet, policy: DurabilityPolicy, *, left: GtidSet = EMPTY_GTID_SET) -> None:
        """`left` is what only the last primary has and that need not be had."""
        self.set = candidates
        self.policy = policy
        self.pool = candidates.pool
        self.left = left
        self.errant = proven_errant(candidates, policy)
        if left and candidates.primary is not None:
            self.errant[candidates.primary] = left.union(self.errant.get(candidates.primary, EMPTY_GTID_SET))
        self.required = EMPTY_GTID_SET.union(
            *(s.received.difference(self.errant.get(alias, EMPTY_GTID_SET)) for alias, s in self.pool.items())
        )
        self.removed: dict[TabletAlias, str] = {}

    def outcome(self) -> Choice | Refusal:
        if refusal := self._nobody_to_choose_from():
            return refusal
        if lost := self._lost():
            return lost
        eligible = self._eligible()
        holders = [s for s in self.pool.values() if s.alias not in self.errant and s.received.contains(self.required)]
        if not holders:
            return self._diverged()
        feeders = [s for s in holders if not s.applier_stopped]
        if not feeders:
            named = "; ".join(f"{s.alias}: {s.applier_stopped}" for s in holders)
            return self._refuse(
                Rule.APPLIER_STOPPED,
                f"only {names(s.alias for s in holders)} holds every transaction, but its relay log is not applied "
                f"({named})",
            )
        if not eligible:
            return self._no_candidate()
        return self._choice(eligible, feeders)

    def certain_refusal(self) -> Refusal | None:
        return self._nobody_to_choose_from() or (None if self._eligible() else self._no_candidate())

    def _nobody_to_choose_from(self) -> Refusal | None:
        if not self.pool:
            return self._refuse(Rule.NONE_REACHED, "no tablet that could become primary was reached")
        if who := unrevoked(self.set, self.policy):
            return self._refuse(Rule.ACKERS_UNREACHED, who)
        return None

    def _eligible(self) -> list[StoppedTablet]:
        return [s for s in self.pool.values() if not self._disqualified(s)]

    def _no_candidate(self) -> Refusal:
        whys = "; ".join(f"{alias} {why}" for alias, why in self.removed.items())
        return self._refuse(Rule.NO_CANDIDATE, f"no tablet may become primary: {whys}")

    def _choice(self, eligible: list[StoppedTablet], feeders: list[StoppedTablet]) -> Choice | Refusal:
        sound = [s for s in eligible if not s.was_primary and not s.applier_stopped]
        ways = self._ways(sound, feeders)
        if ways:
            ways += self._ways([s for s in eligible if s not in sound and not s.was_primary], feeders)
        ways = ways or self._ways(eligible, feeders)
        if not ways:
            from_whom = names(s.alias for s in feeders)
            return self._refuse(
                Rule.PURGED,
                f"no tablet that may become primary holds every transaction, and {from_whom} purged the missing ones",
            )
        return replace(ways[0], otherwise=(*ways[1:], *self._without_what_is_left(ways)))

    def _ways(self, winners: list[StoppedTablet], feeders: list[StoppedTablet]) -> list[Choice]:
        """The ways in which one of `winners` may come to hold everything; all that do already are one way, as the first
        of them to have applied it wins.
        """
        direct = {s.alias for s in feeders}
        holders = sorted((s for s in winners if s.alias in direct), key=lambda s: (*self._class(s), *self._merit(s)))
        ways = [(self._class(s), *self._lack(s), self._way((s,), source)) for s, source in self._fed(winners, feeders)]
        if holders:
            ways.append((self._class(holders[0]), 0, False, holders[0].alias, self._way(holders, None)))
        return [way[-1] for way in sorted(ways, key=lambda way: way[:-1])]

    def _fed(
        self, winners: list[StoppedTablet], feeders: list[StoppedTablet]
    ) -> Iterator[tuple[StoppedTablet, TabletAlias]]:
        """Those that must fetch, each with the best who still has in its binary logs what it lacks."""
        direct = {s.alias for s in feeders}
        for winner in winners:
            able = [s for s in feeders if winner.executed.contains(self.set.purged.get(s.alias, EMPTY_GTID_SET))]
            if winner.alias not in direct and able:
                yield winner, min(able, key=lambda s: (-s.executed.count(), s.alias)).alias

    def _way(self, winners: Sequence[StoppedTablet], source: TabletAlias | None) -> Choice:
        return Choice(
            winner=winners[0].alias,
            holders=tuple(s.alias for s in winners) if source is None else (),
            source=source,
            required=self.required,
            argument=self._argument(winners[0].alias, source),
            removed=self._all_removed(),
            errant=self.errant,
        )

    def _without_what_is_left(self, ways: list[Choice]) -> tuple[Choice, ...]:
        """What to do if nothing can be fetched from the old primary."""
        if self.left or all(way.source != self.set.primary for way in ways):
            return ()
        left = unacknowledged_tail(self.set, self.policy)
        if not left:
            return ()
        choice = _Election(self.set, self.policy, left=left).outcome()
        return (replace(choice, otherwise=()), *choice.otherwise) if isinstance(choice, Choice) else ()

    def _class(self, stopped: StoppedTablet) -> tuple[int, int, bool, bool]:
        """What outweighs having everything already, best first; one whose applier stopped can hardly catch up."""
        rule = self.policy.promotion_rule(stopped.member).rank
        return bool(stopped.applier_stopped), rule, stopped.backup_running, stopped.was_primary

    def _merit(self, stopped: StoppedTablet) -> tuple[bool, int, TabletAlias]:
        return not self._at_home(stopped), -stopped.executed.count(), stopped.alias

    def _lack(self, stopped: StoppedTablet) -> tuple[int, bool, TabletAlias]:
        """How far one that must fetch is behind; that tells better than its cell how long it takes."""
        lack = self.required.difference(stopped.executed).count()
        return lack, not self._at_home(stopped), stopped.alias

    def _at_home(self, stopped: StoppedTablet) -> bool:
        return self.set.primary is None or stopped.alias.cell == self.set.primary.cell

    def _lost(self) -> Refusal | None:
        """What the primary was seen to have committed and nobody has: acknowledged under this policy, and gone (all
        relay logs lost at once). What others wrote before this term was acknowledged long ago, if at all.
        """
        if self.set.first_term or self.policy.required_acks(self.set.primary_member) == 0:
            return None
        return self._below_last_seen() or self._lost_with_relay_logs()

    def _below_last_seen(self) -> Refusal | None:
        primary = next((m for m in self.set.members if m.alias == self.set.primary), None)
        if primary is None:
            return None
        earlier = self.set.primary_executed.without_uuids(self.set.primary_uuids)
        lost = self.set.primary_committed.union(earlier).difference(self.required)
        if lost:
            what = f"{primary.alias} was seen to have committed {lost.brief()}, which no reached tablet has received"
            return self._refuse(Rule.BELOW_LAST_SEEN, what)
        return None

    def _lost_with_relay_logs(self) -> Refusal | None:
        """What a tablet had received, and so may have acknowledged, before a crash of its MySQL took its relay log.

        The arithmetic of acknowledgements takes it that who was reached has what it acknowledged. Only what it was seen
        to have can be missed here; and what was never acknowledged does not have to be anywhere. A primary that was
        stopped has all that was.
        """
        primary = self.set.primary_member
        if primary.alias in self.set.stopped:
            return None
        lost = {
            alias: may_be_acknowledged(self.set, self.policy, gone.difference(self.required))
            for alias, gone in sorted(self.set.lost_after_receipt.items())
            if alias in self.set.semi_sync.past_ackers or self.policy.may_ack(primary, self.set.stopped[alias].member)
        }
        sides = "; ".join(f"{alias} had received {gone.brief()}" for alias, gone in lost.items() if gone)
        if not sides:
            return None
        what = f"{sides} and has lost it since, as a crash of MySQL does to relay logs, and no reached tablet has it"
        return self._refuse(Rule.RELAY_LOG_LOST, what)

    def _diverged(self) -> Refusal:
        sides = []
        for s in self.pool.values():
            lacks = self.required.difference(s.received)
            errant = self.errant.get(s.alias)
            sides.append(
                f"{s.alias} "
                + (f"has errant {errant.brief()}" if errant else "")
                + (" and " if errant and lacks else "")
                + (f"lacks {lacks.brief()}" if lacks else "")
            )
        rule = Rule.ERRANT if len(self.errant) == len(self.pool) else Rule.DIVERGED
        return self._refuse(rule, "no tablet holds all that may have been acknowledged: " + "; ".join(sides))

    def _disqualified(self, stopped: StoppedTablet) -> bool:
        why = self._why_not(stopped)
        if why:
            self.removed[stopped.alias] = why
        return bool(why)

    def _why_not(self, stopped: StoppedTablet) -> str:
        if stopped.alias in self.errant:
            return f"has errant transactions {self.errant[stopped.alias].brief()}"
        if self.policy.promotion_rule(stopped.member) is PromotionRule.MUST_NOT:
            return f"is {stopped.member.type.name}, which the policy never promotes"
        if stopped.alias in self.set.unreadable:
            return "has a tablet record that cannot be read, and so could not be written when it is promoted"
        if why := why_clock_is_behind(stopped.clock, self.set.newest_term):
            return why
        if self.set.same_cell_only and self.set.primary is not None and stopped.alias.cell != self.set.primary.cell:
            return (
                f"is in cell {stopped.alias.cell}, and prevent-cross-cell-failover keeps the primary in "
                f"{self.set.primary.cell}"
            )
        needed = self.policy.required_acks(stopped.member)
        # Who has errant transactions is not made its replica, and so acknowledges nothing.
        ready = [
            s
            for s in self.pool.values()
            if s.alias not in self.errant and self.policy.may_ack(stopped.member, s.member)
        ]
        if len(ready) < needed:
            return f"would get {len(ready)} of the {needed} acknowledgements that {self.policy.name} requires"
        return ""

    def _argument(self, winner: TabletAlias, source: TabletAlias | None) -> SafetyArgument:
        unreached = tuple(sorted(m.alias for m in self.set.members if m.alias not in self.set.stopped))
        stopped = tuple(sorted(self.set.stopped))
        holds = (
            f"{winner} has received every transaction that must survive"
            if source is None
            else f"{source} has every transaction that must survive, and {winner} first fetches those that it lacks"
        )
        return SafetyArgument(
            policy=self.policy.name,
            stopped=stopped,
            unreached=unreached,
            required=self.required,
            sentence=f"{self._why_complete()} {holds}.",
        )

    def _why_complete(self) -> str:
        primary = self.set.primary
        name = str(primary) if primary is not None else "the lost primary"
        needed = self.policy.required_acks(self.set.primary_member)
        few = "none of its possible ackers is" if needed == 1 else f"fewer than {needed} of its possible ackers are"
        if self.set.first_term:
            return "The shard never had a primary, so no write was acknowledged."
        if primary is not None and primary in self.set.stopped:
            complete = f"{primary} was made read-only first, so the stopped tablets hold every acknowledged write"
            if not self.left:
                return f"{complete}."
            return (
                f"{complete}. {self.left.brief()} on {primary} alone cannot be fetched and stays behind, as no acker "
                f"can have acknowledged it."
            )
        if not self.policy.has_semi_sync:
            seen = self.set.primary_committed.union(self.set.primary_executed).difference(self.required)
            risk = f"; {seen.brief()} reached no other tablet and is lost" if seen else ""
            return (
                f"The policy {self.policy.name} promises nothing about the writes of {name}, and no reached tablet "
                f"receives from it any more{risk}."
            )
        return (
            f"{name} can no longer commit, and every write it acknowledged is on a stopped tablet: {self.policy.name} "
            f"needs {needed} ack{'' if needed == 1 else 's'}, and {few} left running (stopped: "
            f"{names(self.set.stopped)}{self._exemptions()}){self._assumed()}."
        )

    def _exemptions(self) -> str:
        return "".join(f"; {alias} need not be stopped: {why}" for alias, why in sorted(self.set.exempt.items()))

    def _assumed(self) -> str:
        guarantee = can_hold_unseen_ack(
            self.policy,
            self.set.primary_member,
            members=self.set.members,
            reached=self.set.accounted_for,
            seen=self.set.semi_sync,
        )
        if guarantee is AckGuarantee.PROVEN:
            return ""
        return "; vtorc did not see that it waited for them, but the policy asks for it"

    def _all_removed(self) -> Mapping[TabletAlias, str]:
        removed = dict(self.removed)
        for m in self.set.members:
            if m.alias not in self.set.stopped:
                removed[m.alias] = "was not reached"
            elif m.alias not in self.pool:
                removed[m.alias] = f"is {m.type.name}"
        return dict(sorted(removed.items()))

    def _refuse(self, rule: Rule, sentence: str) -> Refusal:
        return Refusal(
            rule=rule, sentence=f"not promoting: {sentence}", removed=self._all_removed(), errant=self.errant
        )
