"""Who may become primary when the old one is gone, and why nothing acknowledged is lost: `choose(CandidateSet,
policy) -> Choice | Refusal`.

The rules:

1. *Revoked.* Nobody who may have been primary can get another write acknowledged, because we stopped so many possible
   ackers, or the primary itself. The same arithmetic says that every write acknowledged before is held by somebody we
   reached.
2. *Required.* What must survive is everything that any reached tablet received, less what is provably errant:
   transactions written on a tablet that was not primary, or left over from a term that ended before.
3. *Holder.* A tablet that has all of the required transactions. Without one the logs diverged, and a person has to
   choose.
4. *Winner.* The best tablet by promotion rule, cell and progress among those that hold everything, or can fetch it
   from a holder that has applied it, and that has enough ackers at hand to take writes.

Vitess' rules for the same are in `go/vt/vtctl/reparentutil/emergency_reparenter.go` and `reparent_sorter.go`; the
differences: nobody has to be waited for who cannot win, errant transactions never decide, and a refusal names what is
missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.ids import TabletAlias, TabletType

ACKING_TYPES = frozenset({TabletType.PRIMARY, TabletType.REPLICA, TabletType.RDONLY})
"""Types whose logs count: no policy lets any other acknowledge, so no other can be the only holder of an acknowledged
write.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What a tablet that we stopped holds.

    `received` contains `executed`. `was_primary` says that it was nobody's replica and we demoted it.
    `applier_stopped` says that its relay log does not get applied. `journal_length` is the number of reparents it has
    seen, None where that was not asked.
    """

    member: Member
    server_uuid: str
    executed: GtidSet
    received: GtidSet
    source_uuid: str = ""
    was_primary: bool = False
    applier_stopped: str = ""
    backup_running: bool = False
    journal_length: int | None = None

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.member.alias


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """The shard at the moment of election.

    `members` are all tablets of the shard, reached or not. `primary` is the last known primary, None if not even its
    record is left (then anybody unknown may have been). `primary_uuids` are server UUIDs under which acknowledged
    writes may have been made in the present term. `seen_at_primary` is what the primary was last seen to have
    committed. `excused` are unreached tablets that provably hold nothing that others lack and cannot acknowledge now,
    each with the sentence why. `first_term` says that the shard never had a primary.
    """

    members: Sequence[Member]
    stopped: Mapping[TabletAlias, Stopped]
    primary: TabletAlias | None
    primary_uuids: frozenset[str] = frozenset()
    seen_at_primary: GtidSet = EMPTY_GTID_SET
    excused: Mapping[TabletAlias, str] = field(default_factory=dict)
    same_cell_only: bool = False
    first_term: bool = False

    @property
    def reached(self) -> frozenset[TabletAlias]:
        """Tablets that were stopped."""
        return frozenset(self.stopped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
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
    transactions from `source`, once that has applied them.
    """

    winner: TabletAlias
    holders: tuple[TabletAlias, ...]
    source: TabletAlias | None
    required: GtidSet
    argument: Argument
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why nobody is promoted, with what is missing; `rule` is the name of the rule that said so."""

    rule: str
    sentence: str
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)


def choose(candidates: CandidateSet, policy: DurabilityPolicy) -> Choice | Refusal:
    """Choose the next primary, or say what is missing; a pure function of its arguments.

    Ties are broken by alias, so that two observers of the same state choose the same tablet.
    """
    return _Election(candidates, policy).outcome()


def unrevoked(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Who may still get, or may have got, an acknowledgement that we know nothing of; empty if nobody.

    Every tablet that may be primary and was not stopped is looked at: if fewer of its possible ackers than the policy
    requires are unstopped, it can commit nothing more, and whatever it had acknowledged is held by an acker that we
    stopped (Vitess `haveRevoked`, `durability_funcs.go`).
    """
    for suspect in _suspects(candidates):
        needed = policy.required_acks(suspect)
        if needed == 0:
            continue
        ackers = [m for m in candidates.members if m.alias != suspect.alias and policy.may_ack(suspect, m)]
        missing = sorted(
            m.alias for m in ackers if m.alias not in candidates.stopped and m.alias not in candidates.excused
        )
        if len(missing) >= needed:
            names = _names(missing)
            return f"{names} could have acknowledged writes of {suspect.alias}, or still could, and was not reached"
    return ""


def _suspects(candidates: CandidateSet) -> list[Member]:
    """Members that may be taking writes and were not stopped; if nobody knows who is, any of them, or one that left
    no record.
    """
    if candidates.first_term:
        return []
    known = [m for m in candidates.members if m.alias == candidates.primary]
    if not known:
        gone = candidates.primary or TabletAlias("unknown", 0)
        known = [Member(gone, TabletType.PRIMARY), *(m for m in candidates.members if m.type in ACKING_TYPES)]
    return [m for m in known if m.alias not in candidates.stopped]


class _Election:
    def __init__(self, candidates: CandidateSet, policy: DurabilityPolicy) -> None:
        self.set = candidates
        self.policy = policy
        self.pool = {alias: s for alias, s in sorted(candidates.stopped.items()) if s.member.type in ACKING_TYPES}
        self.errant = {alias: errant for alias, s in self.pool.items() if (errant := self._errant(s))}
        self.required = EMPTY_GTID_SET.union(
            *(s.received.difference(self.errant.get(alias, EMPTY_GTID_SET)) for alias, s in self.pool.items())
        )
        self.removed: dict[TabletAlias, str] = {}

    def outcome(self) -> Choice | Refusal:
        if not self.pool:
            return self._refuse("nobody-reached", "no tablet that could become primary was reached")
        if who := unrevoked(self.set, self.policy):
            return self._refuse("ackers-unreached", who)
        if lost := self._lost():
            return lost
        eligible = [s for s in self.pool.values() if not self._disqualified(s)]
        holders = [s for s in self.pool.values() if s.alias not in self.errant and s.received.contains(self.required)]
        if not holders:
            return self._diverged()
        feeders = [s for s in holders if not s.applier_stopped]
        if not feeders:
            named = "; ".join(f"{s.alias}: {s.applier_stopped}" for s in holders)
            return self._refuse(
                "applier-stopped",
                f"only {_names(s.alias for s in holders)} holds everything, but does not apply its relay log ({named})",
            )
        if not eligible:
            return self._refuse(
                "no-candidate",
                "no tablet may become primary: " + "; ".join(f"{a} {why}" for a, why in self.removed.items()),
            )
        return self._choice(eligible, feeders)

    def _choice(self, eligible: list[Stopped], feeders: list[Stopped]) -> Choice:
        direct = {s.alias for s in feeders}
        eligible.sort(
            key=lambda s: (
                self._rule(s),
                s.backup_running,
                s.was_primary,
                s.alias not in direct,
                not self._at_home(s),
                -s.executed.count(),
                s.alias,
            )
        )
        best = eligible[0]
        holders = tuple(
            s.alias
            for s in eligible
            if s.alias in direct and self._rule(s) == self._rule(best) and s.was_primary == best.was_primary
        )
        source = None
        if best.alias not in direct:
            holders = ()
            source = min(feeders, key=lambda s: (-s.executed.count(), s.alias)).alias
        return Choice(
            winner=best.alias,
            holders=holders,
            source=source,
            required=self.required,
            argument=self._argument(best.alias, source),
            removed=self._all_removed(),
            errant=self.errant,
        )

    def _errant(self, stopped: Stopped) -> GtidSet:
        """Transactions that nobody else has and that cannot have been acknowledged in the present term."""
        others = EMPTY_GTID_SET.union(*(s.received for s in self.set.stopped.values() if s.alias != stopped.alias))
        extras = stopped.received.difference(others)
        if not extras or self.set.first_term:
            return EMPTY_GTID_SET
        lengths = [s.journal_length for s in self.pool.values() if s.journal_length is not None]
        if stopped.journal_length is not None and stopped.journal_length < max(lengths):
            return extras
        if self.set.primary_uuids:
            return extras.without_uuids(self.set.primary_uuids)
        return EMPTY_GTID_SET if stopped.was_primary else extras.only_uuid(stopped.server_uuid)

    def _lost(self) -> Refusal | None:
        """What the primary was seen to have committed and nobody has: acknowledged under this policy, and gone (all
        relay logs lost at once).
        """
        primary = next((m for m in self.set.members if m.alias == self.set.primary), None)
        if primary is None or self.policy.required_acks(primary) == 0:
            return None
        lost = self.set.seen_at_primary.difference(self.required)
        if not lost:
            return None
        what = f"{primary.alias} was seen to have committed {lost.brief()}, which no reached tablet has received"
        return self._refuse("below-last-seen", what)

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
        rule = "errant" if len(self.errant) == len(self.pool) else "diverged"
        return self._refuse(rule, "no tablet holds everything that may have been acknowledged: " + "; ".join(sides))

    def _disqualified(self, stopped: Stopped) -> bool:
        why = self._why_not(stopped)
        if why:
            self.removed[stopped.alias] = why
        return bool(why)

    def _why_not(self, stopped: Stopped) -> str:
        if stopped.alias in self.errant:
            return f"has errant transactions {self.errant[stopped.alias].brief()}"
        if self.policy.promotion_rule(stopped.member) is PromotionRule.MUST_NOT:
            return f"is {stopped.member.type.name}, which the policy never promotes"
        if self.set.same_cell_only and self.set.primary is not None and stopped.alias.cell != self.set.primary.cell:
            return (
                f"is in cell {stopped.alias.cell}, and prevent-cross-cell-failover keeps the primary in "
                f"{self.set.primary.cell}"
            )
        needed = self.policy.required_acks(stopped.member)
        ready = [
            s for s in self.pool.values() if s.alias != stopped.alias and self.policy.may_ack(stopped.member, s.member)
        ]
        if len(ready) < needed:
            return f"would get {len(ready)} of the {needed} acknowledgements that {self.policy.name} requires"
        return ""

    def _rule(self, stopped: Stopped) -> int:
        return self.policy.promotion_rule(stopped.member).rank

    def _at_home(self, stopped: Stopped) -> bool:
        return self.set.primary is None or stopped.alias.cell == self.set.primary.cell

    def _argument(self, winner: TabletAlias, source: TabletAlias | None) -> Argument:
        unreached = tuple(sorted(m.alias for m in self.set.members if m.alias not in self.set.stopped))
        stopped = tuple(sorted(self.set.stopped))
        holds = (
            f"{winner} has received all of it"
            if source is None
            else f"{source} has all of it, and {winner} fetches it from there first"
        )
        return Argument(
            policy=self.policy.name,
            stopped=stopped,
            unreached=unreached,
            required=self.required,
            sentence=f"{self._why_complete()} {holds}.",
        )

    def _why_complete(self) -> str:
        primary = self.set.primary
        if self.set.first_term:
            return "The shard never had a primary, so nothing was acknowledged; what the reached tablets hold is kept:"
        if primary is not None and primary in self.set.stopped:
            return (
                f"{primary} was stopped and read-only before anything else, so what it and the others hold is complete:"
            )
        needed = max((self.policy.required_acks(m) for m in self.set.members), default=0)
        who = str(primary) if primary is not None else "the lost primary"
        if needed == 0:
            seen = self.set.seen_at_primary.difference(self.required)
            risk = f"; {seen.brief()} of {who} reached nobody and is lost" if seen else ""
            return (
                f"The policy {self.policy.name} promises nothing about {who}, which nobody receives "
                f"from{risk}; of what the reached tablets received,"
            )
        return (
            f"{who} can get no more acknowledgements and had none that we do not know of: {self.policy.name} "
            f"requires {needed}, and fewer than "
            f"that of its possible ackers were not stopped (stopped: {_names(self.set.stopped)}); of what they "
            f"received,"
        )

    def _all_removed(self) -> Mapping[TabletAlias, str]:
        removed = dict(self.removed)
        for m in self.set.members:
            if m.alias not in self.set.stopped:
                removed[m.alias] = "was not reached"
            elif m.alias not in self.pool:
                removed[m.alias] = f"is {m.type.name}"
        return dict(sorted(removed.items()))

    def _refuse(self, rule: str, sentence: str) -> Refusal:
        return Refusal(
            rule=rule, sentence=f"not promoting: {sentence}", removed=self._all_removed(), errant=self.errant
        )


def _names(aliases: Iterable[TabletAlias]) -> str:
    return ", ".join(str(alias) for alias in sorted(aliases)) or "nobody"
