"""Which tablet becomes primary when the old primary is gone: `choose(CandidateSet, policy) -> Choice | Refusal`.

The rules:

1. *Revoked.* No possible primary can get another write acknowledged, because vtorc stopped so many possible ackers, or
   the primary itself. The same arithmetic says that a reached tablet holds each write that was acknowledged before
   (`vtorc.core.election.ack_arithmetic`). A policy that asks for no acknowledgements promises nothing. There the
   reached tablets must show at least that vtorc is not cut off.
2. *Required.* All transactions must survive that any reached tablet received, less those that are provably errant
   (`vtorc.core.election.errant`). A *bystander* is out of service, and never acknowledged as far as was seen. Of such a
   tablet only the primary's own writes count, once it has applied them, and only as long as that stops no promotion.
3. *Holder.* A tablet that has all of the required transactions, as far as its GTIDs prove that
   (`vtorc.core.facts.fitness`). Without one the logs diverged, or only an unfit tablet received them, and an operator
   has to choose.
4. *Winner.* The best eligible tablet (`vtorc.core.election.eligibility`) by promotion rule, cell and progress. It holds
   everything, or can fetch it from a holder that has applied it. One that cannot write into its cell's topology server
   that it is primary comes late: its promotion would fail after 15 s (Vitess `tm_state.go`). So does one with a SQL
   thread that was stopped already, among equals: an operator may be at work on it.

Vitess' rules for the same are in `go/vt/vtctl/reparentutil/emergency_reparenter.go` and `reparent_sorter.go`. This
election differs in three ways. It waits only for tablets that can win. Errant transactions never decide. A refusal
names what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from vtorc.core.election.ack_arithmetic import could_have_acknowledged
from vtorc.core.election.candidates import ACKING_TYPES, CandidateSet, StoppedTablet
from vtorc.core.election.eligibility import EMERGENCY_CHECKS, Candidacy, is_kept_by_hold, why_not_eligible
from vtorc.core.election.errant import proven_errant
from vtorc.core.election.future_term import term_in_the_future
from vtorc.core.election.lost_writes import lost_writes
from vtorc.core.election.revocation import unrevoked
from vtorc.core.election.safety_argument import SafetyArgument, safety_argument
from vtorc.core.election.unacknowledged_tail import unacknowledged_tail
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, alias_list
from vtorc.core.facts.rules import Rule, Why
from vtorc.core.facts.unfitness import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The tablet to promote, and how it comes to hold every transaction that must survive."""

    winner: TabletAlias
    """The tablet that becomes primary; with `holders` the first of them, and any of them may win in its place."""
    holders: tuple[TabletAlias, ...]
    """Eligible tablets that have received everything, best first: one that has applied its relay log may win. Empty if
    `winner` must fetch first."""
    source: TabletAlias | None
    """The tablet from which `winner` must fetch the `required` transactions, once it has applied them; None if `winner`
    has received them."""
    required: GtidSet
    """The transactions that must survive."""
    argument: SafetyArgument
    """Why no acknowledged write is missing on the winner."""
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    """The tablets that cannot be promoted, each with the end of a sentence why."""
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """The errant transactions of each tablet that has some."""
    otherwise: tuple["Choice", ...] = ()
    """The other ways, best first, for when this one fails. The last of them may do without transactions that only the
    old primary has, if provably no acker acknowledged them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no tablet is promoted."""

    rule: Rule
    """The name of the rule that said so."""
    sentence: str
    """The reason, with all that is missing."""
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    """The tablets that are known to be out of the question, each with the end of a sentence why."""
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """The errant transactions of each tablet that has some."""


def choose(candidates: CandidateSet, policy: DurabilityPolicy) -> Choice | Refusal:
    """Choose the next primary, or say what is missing; a pure function of its arguments.

    Ties are broken by alias, so that two observers of the same state choose the same tablet.
    """
    return _Election(candidates, policy).outcome()


def certain_refusal(candidates: CandidateSet, policy: DurabilityPolicy) -> Refusal | None:
    """Refuse if `choose` would, whatever the tablets in `candidates` turn out to hold; None if that decides.

    It is asked before any tablet is stopped. A tablet that is stopped in vain is started again, and each vtorc that
    tries again does the same to all replicas of the shard.
    """
    return _Election(candidates, policy).certain_refusal()


class _Election:
    def __init__(
        self,
        candidates: CandidateSet,
        policy: DurabilityPolicy,
        *,
        left_behind: GtidSet = EMPTY_GTID_SET,
        heeds_bystanders: bool = True,
    ) -> None:
        """`left_behind` are transactions that only the last primary has and that need not survive.

        The primary's writes that bystanders have applied must survive, unless `heeds_bystanders` is false.
        """
        self.set = candidates
        self.policy = policy
        self.protection = candidates.protection(policy)
        self.pool = candidates.pool
        self.left_behind = left_behind
        self.errant = proven_errant(candidates, self.protection)
        if left_behind and candidates.primary is not None:
            self.errant[candidates.primary] = left_behind.union(self.errant.get(candidates.primary, EMPTY_GTID_SET))
        self.required = self._received(self._counted())
        self.bystanders = {
            alias: s
            for alias, s in (candidates.bystanders if heeds_bystanders else {}).items()
            if candidates.fitness_of(alias).may(Use.HOLD)
        }
        self.only_on_bystanders = EMPTY_GTID_SET.union(
            *(self._of_term(s.executed) for s in self.bystanders.values())
        ).difference(self.required)
        self.required = self.required.union(self.only_on_bystanders)

    def outcome(self) -> Choice | Refusal:
        """Elect by what all stopped tablets hold; if that cannot be, or fails, without what only bystanders hold."""
        outcome = self._outcome()
        if not self.only_on_bystanders:
            return outcome
        without = _Election(self.set, self.policy, left_behind=self.left_behind, heeds_bystanders=False).outcome()
        if isinstance(outcome, Refusal) or isinstance(without, Refusal):
            return without if isinstance(outcome, Refusal) else outcome
        return replace(outcome, otherwise=(*outcome.otherwise, replace(without, otherwise=()), *without.otherwise))

    def _of_term(self, transactions: GtidSet) -> GtidSet:
        """Return those that servers wrote which may have been primary in the present term."""
        return transactions.difference(transactions.without_uuids(self.set.primary_uuids))

    def _outcome(self) -> Choice | Refusal:
        if why := self._why_none_to_choose_from() or lost_writes(self.set, self.protection, self.required):
            return self._refuse(*why, removed=self._out_of_pool)
        proving = self.set.proving.values()
        holders = [s for s in proving if s.alias not in self.errant and s.received.contains(self.required)]
        holders += [s for s in self.bystanders.values() if self._can_feed(s)]
        if not holders:
            return self._unproven() or self._diverged()
        sources = [s for s in holders if not s.applier_stopped]
        if not sources:
            named = "; ".join(f"{s.alias}: {s.applier_stopped}" for s in holders)
            return self._refuse(
                Rule.APPLIER_STOPPED,
                f"only {alias_list(s.alias for s in holders)} holds every transaction, but its relay log is not "
                f"applied ({named})",
            )
        if not self._eligible:
            return self._no_candidate()
        return self._choice(sources)

    def _can_feed(self, bystander: StoppedTablet) -> bool:
        """Whether other tablets can fetch all that must survive from a bystander, and fetch nothing errant with it."""
        wanted = self.required.union(self._of_term(bystander.received))
        return bystander.executed.contains(self.required) and wanted.contains(bystander.received)

    def _counted(self) -> Mapping[TabletAlias, StoppedTablet]:
        """Return the tablets with transactions that must survive.

        No tablet can give others the rows that a filter left out. Such a tablet counts only if it may have
        acknowledged a write that no other stopped tablet has.
        """
        proving = self.set.proving
        unproven = self.pool.keys() - proving.keys()
        if not unproven or self.set.first_term or not self.protection.has_semi_sync:
            return proving
        revocation = could_have_acknowledged(
            self.protection,
            self.set.primary_member,
            members=self.set.members,
            reached=self.set.accounted_for - (unproven - self.set.silent),
            seen=self.set.semi_sync,
        )
        return proving if revocation.is_revoked else self.pool

    def _received(self, tablets: Mapping[TabletAlias, StoppedTablet]) -> GtidSet:
        """Return all that these tablets received, less the errant."""
        return EMPTY_GTID_SET.union(
            *(s.received.difference(self.errant.get(alias, EMPTY_GTID_SET)) for alias, s in tablets.items())
        )

    def _unproven(self) -> Refusal | None:
        """Refuse if the GTIDs of all tablets that received what must survive prove nothing; None in other cases."""
        proving = self.set.proving
        missing = self.required.difference(self._received(proving))
        if proving and not missing:
            return None
        unproven = {alias: self.set.fitness_of(alias) for alias in self.pool if alias not in proving}
        reasons = "; ".join(f"{alias} {each.why_not(Use.HOLD)}" for alias, each in unproven.items())
        what = (
            f"only {alias_list(unproven)} received {missing.brief()}, which may be acknowledged, and its GTIDs prove "
            "no rows"
            if proving
            else "no reached tablet proves by its GTIDs that it has the data"
        )
        return self._refuse(Rule.UNFIT, f"{what}: {reasons}")

    def certain_refusal(self) -> Refusal | None:
        if why := self._why_none_to_choose_from():
            return self._refuse(*why, removed=self._out_of_pool)
        return None if self._eligible else self._no_candidate()

    def _why_none_to_choose_from(self) -> Why | None:
        if not self.pool:
            rebuilt = "".join(f"; {how}" for _, how in sorted(self.set.rebuilt.items()))
            return Rule.NONE_REACHED, f"no tablet that could become primary was reached{rebuilt}"
        if reason := unrevoked(self.set, self.protection):
            return Rule.ACKERS_UNREACHED, reason
        return None

    @cached_property
    def _candidacies(self) -> Mapping[TabletAlias, Candidacy]:
        """The tablets in the pool as possible primaries."""
        # A tablet that has errant transactions, or went back in time, does not become a replica of the new primary.
        left_alone, known = self.errant.keys() | self.set.rolled_back.keys(), self._received(self.pool)
        at_hand = [s.member for s in self.set.followers if s.alias not in left_alone and known.contains(s.received)]
        return {
            alias: Candidacy(
                tablet=stopped.member,
                policy=self.policy,
                primary=self.set.primary,
                has_readable_record=alias not in self.set.unreadable,
                errant=self.errant.get(alias, EMPTY_GTID_SET),
                rolled_back=self.set.rolled_back.get(alias, EMPTY_GTID_SET),
                fitness=self.set.fitness_of(alias),
                held=self.set.held.get(alias, ""),
                clock=stopped.clock,
                newest_term=self.set.newest_term,
                same_cell_only=self.set.same_cell_only,
                at_hand=at_hand,
                unfit_ackers=self.set.unfit_ackers,
            )
            for alias, stopped in self.pool.items()
        }

    @cached_property
    def _ineligible(self) -> Mapping[TabletAlias, str]:
        """The tablets in the pool that cannot be promoted, each with the end of a sentence why."""
        reasons = {alias: why_not_eligible(each, EMERGENCY_CHECKS) for alias, each in self._candidacies.items()}
        return {alias: reason for alias, reason in reasons.items() if reason}

    @cached_property
    def _eligible(self) -> Sequence[StoppedTablet]:
        return [s for s in self.pool.values() if s.alias not in self._ineligible]

    @cached_property
    def _out_of_pool(self) -> Mapping[TabletAlias, str]:
        """The tablets that were not stopped, or hold nothing that counts, each with the end of a sentence why."""
        members = sorted(self.set.members, key=lambda member: member.alias)
        return {
            m.alias: f"is {m.type.name}" if m.alias in self.set.stopped else self.set.why_not_reached(m.alias)
            for m in members
            if m.alias not in self.pool
        }

    @cached_property
    def _removed(self) -> Mapping[TabletAlias, str]:
        """All tablets that cannot be promoted, in order of alias."""
        return dict(sorted({**self._ineligible, **self._out_of_pool}.items()))

    def _no_candidate(self) -> Refusal:
        reasons = "; ".join(f"{alias} {reason}" for alias, reason in self._ineligible.items())
        wrong_term = term_in_the_future(self.set)
        is_held = any(is_kept_by_hold(each, EMERGENCY_CHECKS) for each in self._candidacies.values())
        rule = Rule.HELD if is_held else Rule.NO_CANDIDATE
        return self._refuse(rule, f"no tablet may become primary: {reasons}{wrong_term}")

    def _choice(self, sources: Sequence[StoppedTablet]) -> Choice | Refusal:
        eligible = self._eligible
        sound = [s for s in eligible if not s.was_primary and not s.applier_stopped]
        ways = self._ways(sound, sources)
        if ways:
            ways += self._ways([s for s in eligible if s not in sound and not s.was_primary], sources)
        ways = ways or self._ways(eligible, sources)
        if not ways:
            return self._no_feeder(sources)
        return replace(ways[0], otherwise=(*ways[1:], *self._without_unacknowledged_tail(ways)))

    def _ways(self, winners: Sequence[StoppedTablet], sources: Sequence[StoppedTablet]) -> list[Choice]:
        """Return the ways in which one of `winners` may come to hold everything, best first.

        All that hold it already are one way, as the first of them to have applied it wins; those that are hidden are
        another one.
        """
        direct = {s.alias for s in sources}
        holding = sorted((s for s in winners if s.alias in direct), key=lambda s: (*self._class(s), *self._merit(s)))
        ways = [
            (self._class(s), *self._lack(s), self._way((s,), source)) for s, source in self._fetching(winners, sources)
        ]
        for hidden in (False, True):
            if holders := [s for s in holding if self._is_hidden(s) is hidden]:
                ways.append((self._class(holders[0]), 0, False, holders[0].alias, self._way(holders, None)))
        return [way[-1] for way in sorted(ways, key=lambda way: way[:-1])]

    def _fetching(
        self, winners: Sequence[StoppedTablet], sources: Sequence[StoppedTablet]
    ) -> Iterator[tuple[StoppedTablet, TabletAlias]]:
        """Yield the tablets that must fetch, each with the best source that has not purged what it lacks."""
        direct = {s.alias for s in sources}
        for winner in winners:
            if winner.alias in direct:
                continue
            if able := [s for s in sources if not self._why_not_fed(winner, s)]:
                yield winner, min(able, key=lambda s: (-s.executed.count(), s.alias)).alias

    def _why_not_fed(self, winner: StoppedTablet, source: StoppedTablet) -> str:
        """Return why the source cannot give what `winner` lacks, as the end of a sentence; empty if it can.

        A server that does not log what it receives still logs its own transactions.
        """
        fitness = self.set.fitness_of(source.alias)
        if source.alias in self.set.fitness_of(winner.alias).twins:
            return f"shares an identity with {winner.alias}, which cannot replicate from it"
        lack = self.required.difference(winner.executed)
        if fitness.feeds_own_writes:
            lack = lack.without_uuid(source.server_uuid)
        if lack and not fitness.may(Use.FEED):
            return fitness.why_not(Use.FEED)
        purged = self.set.purged.get(source.alias, EMPTY_GTID_SET)
        return "" if winner.executed.contains(purged) else "purged the missing ones"

    def _no_feeder(self, sources: Sequence[StoppedTablet]) -> Refusal:
        """Refuse because no tablet that may become primary holds everything, and no holder can give it to one."""
        reasons = {
            s.alias: min(filter(None, (self._why_not_fed(winner, s) for winner in self._eligible)), key=len, default="")
            for s in sources
        }
        unfit = any(not self.set.fitness_of(alias).may(Use.FEED) for alias in reasons)
        sides = "; ".join(f"{alias} {reason}" for alias, reason in sorted(reasons.items()))
        return self._refuse(
            Rule.UNFIT if unfit else Rule.PURGED,
            f"no tablet that may become primary holds every transaction, and none that does can give it them: {sides}",
        )

    def _way(self, winners: Sequence[StoppedTablet], source: TabletAlias | None) -> Choice:
        return Choice(
            winner=winners[0].alias,
            holders=tuple(s.alias for s in winners) if source is None else (),
            source=source,
            required=self.required,
            argument=safety_argument(
                self.set,
                self.protection,
                winner=winners[0].alias,
                source=source,
                required=self.required,
                left_behind=self.left_behind,
            ),
            removed=self._removed,
            errant=self.errant,
        )

    def _without_unacknowledged_tail(self, ways: list[Choice]) -> tuple[Choice, ...]:
        """Return the ways that are left if no tablet can fetch from the old primary."""
        if self.left_behind or all(way.source != self.set.primary for way in ways):
            return ()
        tail = unacknowledged_tail(self.set, self.protection)
        if not tail:
            return ()
        choice = _Election(self.set, self.policy, left_behind=tail).outcome()
        return (replace(choice, otherwise=()), *choice.otherwise) if isinstance(choice, Choice) else ()

    def _class(self, stopped: StoppedTablet) -> tuple[int, bool, int, bool, bool]:
        """Return what outweighs having everything already, best first; a stopped applier can hardly catch up."""
        rule = (self.set.wishes.get(stopped.alias) or self.policy.promotion_rule(stopped.member)).rank
        is_last = stopped.backup_running or self.set.fitness_of(stopped.alias).is_last_choice(Use.LEAD)
        return bool(stopped.applier_stopped), self._is_hidden(stopped), rule, is_last, stopped.was_primary

    def _is_hidden(self, stopped: StoppedTablet) -> bool:
        """Return whether its cell's topology server is silent, and so would not take its record as primary."""
        return stopped.alias.cell in self.set.unreachable_cells

    def _merit(self, stopped: StoppedTablet) -> tuple[bool, bool, int, TabletAlias]:
        """Return what decides among tablets that hold everything: first that their SQL threads ran.

        A replica that an operator had stopped to work on won in a shard without writes, by its name, over one that ran.
        With a single write more it would not have been a holder. Vitess counts no tablet with a stopped SQL thread as
        reached (`replication.go` in `reparentutil`).
        """
        return stopped.was_standing, not self._at_home(stopped), -stopped.executed.count(), stopped.alias

    def _lack(self, stopped: StoppedTablet) -> tuple[int, bool, TabletAlias]:
        """Return how far behind a tablet is that must fetch: its cell tells less of how long the fetch takes."""
        lack = self.required.difference(stopped.executed).count()
        return lack, not self._at_home(stopped), stopped.alias

    def _at_home(self, stopped: StoppedTablet) -> bool:
        return self.set.primary is None or stopped.alias.cell == self.set.primary.cell

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
                + self._how_to_give_up(s)
            )
        rule = Rule.ERRANT if len(self.errant) == len(self.pool) else Rule.DIVERGED
        return self._refuse(rule, "no tablet holds all that may have been acknowledged: " + "; ".join(sides))

    def _how_to_give_up(self, stopped: StoppedTablet) -> str:
        """Say how an operator gives up what only a tablet has that is out of service; empty if there is nothing."""
        held = EMPTY_GTID_SET.union(*(s.received for s in self.pool.values() if s.alias != stopped.alias))
        only_here = stopped.received.intersection(self.required).difference(held)
        type_ = stopped.member.type
        if type_ in ACKING_TYPES or not only_here:
            return ""
        return (
            f" (it is {type_.name}, but alone has {only_here.brief()}, which it may have acknowledged before; to give "
            f"them up, make it SPARE, then DRAINED, or delete its record)"
        )

    def _refuse(self, rule: Rule, sentence: str, *, removed: Mapping[TabletAlias, str] | None = None) -> Refusal:
        return Refusal(
            rule=rule,
            sentence=f"not promoting: {sentence}",
            removed=self._removed if removed is None else removed,
            errant=self.errant,
        )
