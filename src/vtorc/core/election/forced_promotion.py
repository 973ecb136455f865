"""The loss if an operator has a tablet promoted that the election does not choose:
`estimate_data_loss(CandidateSet, policy, named) -> DataLossEstimate | Refusal`.

Only an operator may accept a loss, and has to say so. By itself vtorc promotes a tablet only with an argument that it
has every acknowledged write (`vtorc.core.election.choice`).
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
from vtorc.core.facts.fitness import FIT
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.unfitness import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLossEstimate:
    """The loss if one named tablet becomes primary."""

    named: TabletAlias
    """The tablet that the operator named."""
    left: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """Transactions that other stopped tablets hold and `named` does not; they stay there as errant transactions."""
    gone: GtidSet = EMPTY_GTID_SET
    """Transactions that the last primary was seen to hold and no stopped tablet has."""
    unreached: frozenset[TabletAlias] = frozenset()
    """Tablets that were not stopped and may hold more, or take and acknowledge writes even now; empty if provably none
    does."""
    never_read_cells: frozenset[str] = frozenset()
    """Cells with tablets that are not known, of which the same may be true."""
    unknown_ackers: int = 0
    """How many servers without a tablet record may hold acknowledged writes alone."""
    is_elsewhere: bool = False
    """Whether a server that runs no tablet may have become primary and hold more, although all tablets were stopped."""
    why_unreached: str = ""
    """The sentence why `unreached`, `never_read_cells`, `unknown_ackers` and `is_elsewhere` matter; empty if there are
    none."""
    unproven: str = ""
    """Why the GTIDs of `named` prove no data, as the end of a sentence about it; empty if they do."""
    brings: GtidSet = EMPTY_GTID_SET
    """Transactions that only `named` has and all other tablets will get; provably they were never acknowledged."""

    @property
    def lost(self) -> GtidSet:
        """All known transactions that the new primary will not have."""
        return self.gone.union(*self.left.values())

    @property
    def loses_nothing(self) -> bool:
        """Whether nothing is lost, as far as the rules of the election can tell."""
        unseen = self.unreached or self.never_read_cells or self.unknown_ackers or self.is_elsewhere
        return not (self.lost or unseen or self.unproven)

    def is_within(self, accepted: "DataLossEstimate | None") -> bool:
        """Whether an operator who accepted that estimate, None for no loss at all, has accepted this one, too."""
        if accepted is None:
            return self.loses_nothing
        return (
            accepted.named == self.named
            and accepted.lost.contains(self.lost)
            and self.unreached <= accepted.unreached
            and self.never_read_cells <= accepted.never_read_cells
            and self.unknown_ackers <= accepted.unknown_ackers
            and self.is_elsewhere <= accepted.is_elsewhere
            and self.unproven in ("", accepted.unproven)
        )

    @property
    def sentence(self) -> str:
        """Every transaction and tablet by name, for the operator who has to decide."""
        parts = [f"{alias} has {each}, which {self.named} lacks" for alias, each in sorted(self.left.items())]
        if self.unproven:
            parts.append(f"any transaction may lack rows: {self.named} {self.unproven}")
        if self.gone:
            parts.append(f"the last primary was seen to have {self.gone}, which no reached tablet has")
        if self.why_unreached:
            parts.append(self.why_unreached)
        if not parts:
            parts.append("no known transaction gets lost")
        if self.brings:
            parts.append(f"{self.named} alone has {self.brings}, which the other tablets will get")
        return "; ".join(parts)


def estimate_data_loss(
    candidates: CandidateSet, policy: DurabilityPolicy, named: TabletAlias
) -> DataLossEstimate | Refusal:
    """Return what is lost if `named` is promoted, or why that cannot be done whatever an operator accepts."""
    if impossible := why_not_eligible(_candidacy(candidates, policy, named), FORCED_CHECKS):
        return _refusal(Rule.FORCED_IMPOSSIBLE, f"{named} {impossible}")
    winner = candidates.stopped[named]
    left = {
        alias: more
        for alias, other in candidates.pool.items()
        if alias != named and (more := other.received.difference(winner.received))
    }
    held = EMPTY_GTID_SET.union(*(other.received for other in candidates.proving.values()), winner.received)
    known = replace(candidates, never_read_cells=frozenset())
    protection = candidates.protection(policy)
    unknown, why = unknown_tablets(candidates.never_read_cells), unrevoked(known, protection)
    unreached = {member.alias for member in candidates.members} - candidates.accounted_for
    unknown_ackers = sum(candidates.semi_sync.unknown_ackers.values())
    found = DataLossEstimate(
        named=named,
        left=left,
        gone=candidates.primary_executed.union(candidates.primary_committed).difference(held),
        unreached=frozenset(unreached) if why else frozenset(),
        never_read_cells=candidates.never_read_cells,
        unknown_ackers=unknown_ackers if why else 0,
        is_elsewhere=bool(why) and not unreached and not unknown_ackers,
        why_unreached="; ".join(filter(None, (unknown, why))),
        unproven=candidates.fitness_of(named).why_not(Use.HOLD),
        brings=proven_errant(candidates, protection).get(named, EMPTY_GTID_SET),
    )
    return found if found.loses_nothing else _unless_needless(found, candidates, policy)


def _unless_needless(
    found: DataLossEstimate, candidates: CandidateSet, policy: DurabilityPolicy
) -> DataLossEstimate | Refusal:
    """Refuse a loss while the election would promote another tablet and lose nothing.

    The primary that is to be replaced does not count as another tablet. Nor does one that has to fetch first, as it may
    be unable to.
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
        # An operator may accept that rows are missing; a server that no replica can follow takes no writes at all.
        fitness=candidates.fitness_of(named) if candidates.fitness_of(named).may(Use.HOLD) else FIT,
        clock=winner.clock,
        newest_term=candidates.newest_term,
        # A tablet with transactions that the new primary lacks does not become its replica, and acknowledges nothing.
        at_hand=[other.member for other in candidates.followers if winner.received.contains(other.received)],
        unfit_ackers=candidates.unfit_ackers,
    )


def _refusal(rule: Rule, sentence: str, choice: Choice | None = None) -> Refusal:
    return Refusal(
        rule=rule,
        sentence=f"not promoting: {sentence}",
        removed=choice.removed if choice is not None else {},
        errant=choice.errant if choice is not None else {},
    )
