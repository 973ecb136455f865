"""Whether a primary has enough ackers to take writes, and what the shard can lose before it has not."""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from vtorc.core.election.ack_arithmetic import AckGuarantee, can_hold_unseen_ack
from vtorc.core.election.eligibility import SURVIVABILITY_CHECKS, Candidacy, why_not_eligible
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.fitness import FIT, Fitness
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.unfitness import Use

EVERY_TABLET_FIT: Mapping[TabletAlias, Fitness] = MappingProxyType({})
"""Each tablet is fit for each use."""

NONE_HELD: Mapping[TabletAlias, str] = MappingProxyType({})
"""No hold forbids to promote any tablet."""


@dataclass(frozen=True, slots=True)
class AckHeadroom:
    """How a member would fare as primary: the acknowledgements that it needs, and the tablets that can give them."""

    primary: Member
    """The member."""
    is_available: bool
    """Whether it can be reached itself."""
    required: int
    """How many acknowledgements each of its writes needs."""
    ackers: tuple[Member, ...]
    """The members that can be reached and may acknowledge, in order of alias."""

    @property
    def headroom(self) -> int:
        """How many of the ackers it can lose and still take writes; negative if it cannot take any."""
        return len(self.ackers) - self.required

    @property
    def is_possible(self) -> bool:
        """Whether it would take writes."""
        return self.is_available and self.headroom >= 0

    def __str__(self) -> str:
        if not self.is_available:
            return f"{self.primary} is not available"
        if not self.required:
            return f"{self.primary} needs no acknowledgements"
        noun = "acknowledgement" if self.required == 1 else "acknowledgements"
        return f"{self.primary} needs {self.required} {noun}, has {len(self.ackers)} that may give one"


def can_make_progress(
    policy: DurabilityPolicy,
    new_primary: Member,
    *,
    available: Collection[Member],
    fitness: Mapping[TabletAlias, Fitness] = EVERY_TABLET_FIT,
) -> AckHeadroom:
    """Tell whether `new_primary` takes writes if the `available` members replicate from it.

    It must be available itself, and as many of the others as the policy requires must be ackers of it. With fewer its
    first commit waits for ever, as semi-sync never times out with Vitess' settings (Vitess `canEstablishForTablet`,
    `durability_funcs.go`). An acker that is used only for want of others does not count: its acknowledgements keep
    writes going and nothing safe.
    """
    candidacy = _candidacy(policy, new_primary, available, fitness)
    ackers = sorted(candidacy.ackers, key=lambda each: each.alias)
    is_available = any(each.alias == new_primary.alias for each in available)
    return AckHeadroom(new_primary, is_available, candidacy.required_acks, tuple(ackers))


class LossOutcome(enum.Enum):
    """The fate of the shard's writes after a loss, best first."""

    WRITES_CONTINUE = "writes continue"
    FAILOVER = "another primary takes over without losing an acknowledged write"
    WRITES_STALL = "the primary lives but waits for acknowledgements in vain"
    FAILOVER_MAY_LOSE = "another primary can take over, but acknowledged writes may be lost"
    NO_CANDIDATE = "no other tablet can become primary and take writes"

    @property
    def is_survival(self) -> bool:
        """Whether the shard goes on, or can be made to, with every acknowledged write."""
        return self in (LossOutcome.WRITES_CONTINUE, LossOutcome.FAILOVER)


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one tablet or one cell, and what follows."""

    what: str
    """The lost tablet or cell, as a part of a sentence."""
    lost: tuple[Member, ...]
    """The members that are lost."""
    outcome: LossOutcome
    """The fate of the shard's writes."""
    progress: AckHeadroom | None
    """How the present primary fares if it is left, else the member with most headroom that could replace it; None if
    there is none."""

    def __str__(self) -> str:
        return f"without {self.what} {self.outcome.value}"


@dataclass(frozen=True, slots=True)
class Survivability:
    """Every possible loss of one tablet, and of one cell, and what follows; each in order of name."""

    tablets: tuple[Loss, ...]
    """The loss of each tablet alone."""
    cells: tuple[Loss, ...]
    """The loss of each cell alone."""

    def __str__(self) -> str:
        fatal = [str(loss) for loss in (*self.tablets, *self.cells) if not loss.outcome.is_survival]
        return "; ".join(fatal) or "survives the loss of any one tablet and of any one cell"


def _candidacy(
    policy: DurabilityPolicy,
    tablet: Member,
    available: Collection[Member],
    fitness: Mapping[TabletAlias, Fitness],
) -> Candidacy:
    counted = [each for each in available if not fitness.get(each.alias, FIT).is_last_choice(Use.ACKNOWLEDGE)]
    return Candidacy(tablet=tablet, policy=policy, fitness=fitness.get(tablet.alias, FIT), at_hand=counted)


def survives(
    policy: DurabilityPolicy,
    primary: Member,
    *,
    members: Sequence[Member],
    available: Sequence[Member],
    fitness: Mapping[TabletAlias, Fitness] = EVERY_TABLET_FIT,
    held: Mapping[TabletAlias, str] = NONE_HELD,
    same_cell_only: bool = False,
) -> Survivability:
    """Work out what the shard can lose, given that `available` of its `members` can be reached now.

    If the primary is left, writes go on while enough of its ackers are left too. If it is lost, the rest must hold
    every acknowledged write by the arithmetic of `can_hold_unseen_ack`, and one of them must be eligible. A loss is not
    a stop: the lost ones are simply not reached. Semi-sync is taken to be on as the policy asks. With `same_cell_only`
    only members in the cell of `primary` may take over, and none that is `held`, each with the hold in words.
    """
    tablets = sorted(available, key=lambda each: each.alias)
    cells = sorted({each.cell for each in tablets})
    by_tablet = ((f"tablet {each}", (each,)) for each in tablets)
    by_cell = ((f"cell {cell}", tuple(each for each in tablets if each.cell == cell)) for cell in cells)

    def losses(cases: Iterable[tuple[str, tuple[Member, ...]]]) -> tuple[Loss, ...]:
        return tuple(
            _lose(
                policy,
                primary,
                what,
                lost,
                members=members,
                available=tablets,
                fitness=fitness,
                held=held,
                same_cell_only=same_cell_only,
            )
            for what, lost in cases
        )

    return Survivability(losses(by_tablet), losses(by_cell))


def _lose(
    policy: DurabilityPolicy,
    primary: Member,
    what: str,
    lost: tuple[Member, ...],
    *,
    members: Sequence[Member],
    available: Sequence[Member],
    fitness: Mapping[TabletAlias, Fitness],
    held: Mapping[TabletAlias, str],
    same_cell_only: bool,
) -> Loss:
    left = [each for each in available if each not in lost]
    present = can_make_progress(policy, primary, available=left, fitness=fitness)
    if present.is_available:
        outcome = LossOutcome.WRITES_CONTINUE if present.is_possible else LossOutcome.WRITES_STALL
        return Loss(what, lost, outcome, present)
    candidacies = (
        replace(
            _candidacy(policy, each, left, fitness),
            primary=primary.alias,
            held=held.get(each.alias, ""),
            same_cell_only=same_cell_only,
        )
        for each in left
    )
    eligible = [each.tablet for each in candidacies if not why_not_eligible(each, SURVIVABILITY_CHECKS)]
    if not eligible:
        return Loss(what, lost, LossOutcome.NO_CANDIDATE, None)
    holding = {each.alias for each in left if fitness.get(each.alias, FIT).may(Use.HOLD)}
    guarantee = can_hold_unseen_ack(policy, primary, members=members, reached=holding)
    is_safe = guarantee in (AckGuarantee.PROVEN, AckGuarantee.ASSUMED)
    outcome = LossOutcome.FAILOVER if is_safe else LossOutcome.FAILOVER_MAY_LOSE
    successors = (can_make_progress(policy, each, available=left, fitness=fitness) for each in eligible)
    return Loss(what, lost, outcome, max(successors, key=lambda each: each.headroom))
