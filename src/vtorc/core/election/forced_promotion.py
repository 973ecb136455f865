"""What it costs to promote a tablet that the election does not choose: `price(CandidateSet, policy, named) ->
DataLossEstimate | Refusal`.

Only a person may pay it, and has to say so: vtorc by itself promotes nobody without an argument that nothing
acknowledged is missing (`vtorc.core.election.choice`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vtorc.core.election.candidates import CandidateSet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.eligibility import FORCED_CHECKS, Candidacy, why_not_eligible
from vtorc.core.election.errant import proven_errant
from vtorc.core.election.revocation import unrevoked
from vtorc.core.election.unseen_promotions import unknown_tablets
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLossEstimate:
    """What the shard loses if `named` becomes primary.

    `left` is what other stopped tablets hold and it does not; it stays with them, as errant transactions. `gone` is
    what the last primary was seen to hold and nobody has who was stopped. `unreached` are the tablets that were not
    stopped and may hold more, or take and acknowledge writes even now, and `never_read_cells` the cells all of whose
    tablets may; `open` is the sentence why. `brings` is what only `named` has, provably never acknowledged, and all
    others will get.
    """

    named: TabletAlias
    left: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    gone: GtidSet = EMPTY_GTID_SET
    unreached: frozenset[TabletAlias] = frozenset()
    never_read_cells: frozenset[str] = frozenset()
    open: str = ""
    brings: GtidSet = EMPTY_GTID_SET

    @property
    def lost(self) -> GtidSet:
        """Every transaction that is known and that the new primary will not have."""
        return self.gone.union(*self.left.values())

    @property
    def is_free(self) -> bool:
        """Whether nothing is lost, as far as the rules of the election can tell."""
        return not self.lost and not self.unreached and not self.never_read_cells

    def is_within(self, accepted: "DataLossEstimate | None") -> bool:
        """Whether whoever accepted that price has accepted this one, too."""
        if accepted is None:
            return self.is_free
        return (
            accepted.named == self.named
            and accepted.lost.contains(self.lost)
            and self.unreached <= accepted.unreached
            and self.never_read_cells <= accepted.never_read_cells
        )

    @property
    def sentence(self) -> str:
        """Every transaction and tablet by name, for whoever has to decide."""
        parts = [f"{alias} has {each}, which {self.named} lacks" for alias, each in sorted(self.left.items())]
        if self.gone:
            parts.append(f"the last primary was seen to have {self.gone}, which no reached tablet has")
        if self.open:
            parts.append(self.open)
        if not parts:
            parts.append("no known transaction gets lost")
        if self.brings:
            parts.append(f"{self.named} alone has {self.brings}, which the other tablets will get")
        return "; ".join(parts)


def estimate_data_loss(
    candidates: CandidateSet, policy: DurabilityPolicy, named: TabletAlias
) -> DataLossEstimate | Refusal:
    """Tell what it costs to promote `named`, or why that cannot be, whatever anybody accepts."""
    if impossible := why_not_eligible(_candidacy(candidates, policy, named), FORCED_CHECKS):
        return _refusal(Rule.FORCED_IMPOSSIBLE, f"{named} {impossible}")
    winner = candidates.stopped[named]
    left = {
        alias: more
        for alias, other in candidates.pool.items()
        if alias != named and (more := other.received.difference(winner.received))
    }
    held = EMPTY_GTID_SET.union(*(other.received for other in candidates.pool.values()))
    known = replace(candidates, never_read_cells=frozenset())
    unknown, why = unknown_tablets(candidates.never_read_cells), unrevoked(known, policy)
    unreached = {member.alias for member in candidates.members} - candidates.accounted_for
    found = DataLossEstimate(
        named=named,
        left=left,
        gone=candidates.primary_executed.union(candidates.primary_committed).difference(held),
        unreached=frozenset(unreached) if why else frozenset(),
        never_read_cells=candidates.never_read_cells,
        open="; ".join(filter(None, (unknown, why))),
        brings=proven_errant(candidates, policy).get(named, EMPTY_GTID_SET),
    )
    return found if found.is_free else _unless_needless(found, candidates, policy)


def _unless_needless(
    found: DataLossEstimate, candidates: CandidateSet, policy: DurabilityPolicy
) -> DataLossEstimate | Refusal:
    """Nobody has to pay while somebody else can be promoted for nothing: not the primary that is to be replaced, and
    nobody who has to fetch first, which may be impossible.
    """
    choice = choose(candidates, policy)
    if isinstance(choice, Refusal) or choice.source is not None or choice.winner == candidates.primary:
        return found
    return _refusal(
        Rule.FORCED_NEEDLESS,
        f"{found.sentence}; an emergency reparent that names no tablet would promote {choice.winner} and lose nothing",
        choice,
    )


def _candidacy(candidates: CandidateSet, policy: DurabilityPolicy, named: TabletAlias) -> Candidacy:
    member = next((member for member in candidates.members if member.alias == named), None)
    winner = candidates.stopped.get(named)
    unreached = Candidacy(
        tablet=member or Member(named, TabletType.UNKNOWN),
        policy=policy,
        is_member=member is not None,
        is_reached=False,
        has_readable_record=named not in candidates.unreadable,
    )
    if winner is None:
        return unreached
    return replace(
        unreached,
        tablet=winner.member,
        is_reached=True,
        applier_stopped=winner.applier_stopped,
        clock=winner.clock,
        newest_term=candidates.newest_term,
        # A tablet with transactions that the new primary lacks does not become its replica, and acknowledges nothing.
        at_hand=[other.member for other in candidates.pool.values() if winner.received.contains(other.received)],
    )


def _refusal(rule: Rule, sentence: str, choice: Choice | None = None) -> Refusal:
    return Refusal(
        rule=rule,
        sentence=f"not promoting: {sentence}",
        removed=choice.removed if choice is not None else {},
        errant=choice.errant if choice is not None else {},
    )
