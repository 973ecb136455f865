"""Acknowledgement arithmetic: what can be concluded about writes from the members that were reached.

The one fact everything rests on: a write counts as committed on a primary once `required_acks` of its ackers, other
than the primary itself, have received it. An acknowledged write is therefore held by the primary *and* by at least
that many ackers. Vitess' version of the same is in `go/vt/vtctl/reparentutil/policy/durability_funcs.go`.

Throughout, `members` are all tablets that may have received a write of the last primary: also those whose record is
gone or unreadable, and those of a cell whose topology server does not answer. `primary` is the last primary, whether
or not it is one of `members`; None means that nobody knows who it was, and then every member that may be promoted is
a suspect. `reached` are aliases of members that were stopped and whose logs were read *after* that: they acknowledge
nothing more, and what they hold is known. A primary in `reached` is read-only.
"""

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.ids import TabletAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSemiSync:
    """What was observed of semi-sync, as opposed to what the policy asks for.

    `wait_counts` tells how many acknowledgements a tablet was last seen to wait for while it was primary; 0 means
    that semi-sync was off or had fallen back to asynchronous. A tablet that is not in it was never seen. `past_ackers`
    are members that may have acknowledged though the policy does not ask it of them now: they have their side of
    semi-sync on, and MySQL counts any connected replica that has; or they had it on, or were of another type, until
    lately. `ack_timeouts` says of whom the count is 0 because its commits wait for so many seconds only and then go on
    without.
    """

    wait_counts: Mapping[TabletAlias, int] = field(default_factory=dict)
    past_ackers: frozenset[TabletAlias] = frozenset()
    ack_timeouts: Mapping[TabletAlias, float] = field(default_factory=dict)


NOTHING_SEEN = ObservedSemiSync()


class AckGuarantee(enum.Enum):
    """Whether the reached members hold every acknowledged write, best first."""

    PROVEN = "proven"
    """They do: the primary is among them, or waited for acks and too few ackers are missing to have given them."""
    ASSUMED = "assumed"
    """They do if semi-sync was on, as the policy asks; nobody saw whether it was."""
    OPEN = "open"
    """Enough ackers are missing to have acknowledged a write that no reached member holds."""
    NONE = "none"
    """The primary is missing and waited for nobody: it may hold acknowledged writes alone; nothing can exclude it."""


@dataclass(frozen=True, slots=True)
class OpenQuorum:
    """A possible primary that was not reached, and unreached members that are enough to acknowledge its writes.

    Any `acks` of the `ackers` form an ack set. With `acks` 0 the primary acknowledges alone and `ackers` is empty;
    `ack_timeout` is after how many seconds it does, if it waits at first.
    """

    primary: Member
    acks: int
    ackers: tuple[Member, ...]
    ack_timeout: float | None = None

    @property
    def missing(self) -> int:
        """How many of the ackers have to be reached to leave fewer than `acks` of them."""
        return len(self.ackers) - self.acks + 1

    def __str__(self) -> str:
        if not self.acks and self.ack_timeout is not None:
            return (
                f"{self.primary}, which waits {self.ack_timeout:g} s for acknowledgements and then tells clients OK "
                f"without any (rpl_semi_sync_source_timeout)"
            )
        if not self.acks:
            return f"{self.primary}, which waits for no acknowledgement"
        return f"{self.primary}, acknowledged by {_some(self.acks, self.ackers)}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Whether any possible primary can still get a new write acknowledged.

    `suspects` are the members that may be the primary. Without one nothing is revoked, as the primary is somebody
    unknown.
    """

    suspects: tuple[Member, ...]
    open: tuple[OpenQuorum, ...]

    @property
    def is_revoked(self) -> bool:
        """Whether nobody can."""
        return bool(self.suspects) and not self.open

    def __str__(self) -> str:
        if not self.suspects:
            return "no tablet of the shard can have been the primary, so the server whose writes to stop is unknown"
        if not self.open:
            return f"{_names(self.suspects)} can no longer commit"
        return "writes can still be committed on " + "; or on ".join(map(str, self.open))


@dataclass(frozen=True, slots=True)
class Requirement:
    """Members of whom some must be reached: it is met by any one of `picks`, each so many members out of some."""

    picks: tuple[tuple[int, tuple[Member, ...]], ...]

    def is_met_by(self, reached: Collection[TabletAlias]) -> bool:
        """Tell whether reaching these members, on top of those reached before, is enough."""
        return any(sum(member.alias in reached for member in pool) >= count for count, pool in self.picks)

    def __str__(self) -> str:
        return ", or ".join(_some(count, pool) for count, pool in self.picks)


@dataclass(frozen=True, slots=True)
class TabletsToReach:
    """Everything that must still be reached: all of the requirements, none if the reached members are enough."""

    requirements: tuple[Requirement, ...]

    def is_met_by(self, reached: Collection[TabletAlias]) -> bool:
        """Tell whether reaching these members, on top of those reached before, is enough."""
        return all(requirement.is_met_by(reached) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def __str__(self) -> str:
        return "; and ".join(map(str, self.requirements)) or "none"


def could_have_acknowledged(
    policy: DurabilityPolicy,
    primary: Member | None,
    *,
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync = NOTHING_SEEN,
) -> Revocation:
    """Tell who can still get a new write acknowledged, and by whom.

    A primary that was reached is read-only. Any other needs `k` acks, and only unreached ackers can give them, as the
    reached ones receive nothing more: it is revoked when fewer than `k` ackers are unreached. With `k` 0 it
    acknowledges alone and only reaching it revokes it. `k` is what the policy asks, or less if the primary was seen
    to wait for less.
    """
    suspects = _suspects(policy, primary, members)
    return Revocation(suspects, tuple(_open_quorums(policy, suspects, members, reached, seen)))


def can_hold_unseen_ack(
    policy: DurabilityPolicy,
    primary: Member | None,
    *,
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync = NOTHING_SEEN,
) -> AckGuarantee:
    """Tell whether an acknowledged write can exist that no reached member holds.

    Such a write is held by its primary and by an ack set of `k` ackers, none of which was reached. So it can exist
    only if the primary was not reached and `k` or more of its ackers were not: the numbers are those of
    `could_have_acknowledged`, about the past instead of the future. With `k` 0 the write may be on the primary alone,
    which no count of replicas can exclude: `NONE`, never a guarantee. Of several suspects the worst one decides;
    without a suspect there is nothing to argue from.
    """
    suspects = _suspects(policy, primary, members)
    if not suspects:
        return AckGuarantee.NONE
    quorums = list(_open_quorums(policy, suspects, members, reached, seen))
    if quorums:
        return AckGuarantee.OPEN if all(quorum.acks for quorum in quorums) else AckGuarantee.NONE
    unseen = any(each.alias not in reached and each.alias not in seen.wait_counts for each in suspects)
    return AckGuarantee.ASSUMED if unseen else AckGuarantee.PROVEN


def who_must_be_reached(
    policy: DurabilityPolicy,
    primary: Member | None,
    *,
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync = NOTHING_SEEN,
) -> TabletsToReach:
    """Name the members who, once reached, close every open quorum: all is revoked and every acknowledged write seen.

    A quorum of `n` unreached ackers of which `k` suffice is closed by reaching its primary, or any `n - k + 1` of the
    ackers; where one acker is enough, primary and ackers are alternatives of the same kind ("one of …").
    """
    suspects = _suspects(policy, primary, members)
    quorums = list(_open_quorums(policy, suspects, members, reached, seen))
    requirements = (_closing_each_other(quorum, quorums) or _closing(quorum) for quorum in quorums)
    return TabletsToReach(tuple(dict.fromkeys(requirements)))


def _suspects(policy: DurabilityPolicy, primary: Member | None, members: Sequence[Member]) -> tuple[Member, ...]:
    if primary is not None:
        return (primary,)
    return tuple(each for each in members if policy.promotion_rule(each) is not PromotionRule.MUST_NOT)


def _open_quorums(
    policy: DurabilityPolicy,
    suspects: Sequence[Member],
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync,
) -> Iterator[OpenQuorum]:
    unreached = [each for each in members if each.alias not in reached]
    for primary in suspects:
        if primary.alias in reached:
            continue
        required = policy.required_acks(primary)
        acks = min(required, seen.wait_counts.get(primary.alias, required))
        ackers = tuple(each for each in unreached if _can_ack(policy, primary, each, seen)) if acks else ()
        if len(ackers) >= acks:
            yield OpenQuorum(primary, acks, ackers, None if acks else seen.ack_timeouts.get(primary.alias))


def _can_ack(policy: DurabilityPolicy, primary: Member, replica: Member, seen: ObservedSemiSync) -> bool:
    if replica.alias == primary.alias:
        return False
    return policy.may_ack(primary, replica) or replica.alias in seen.past_ackers


def _closing(quorum: OpenQuorum) -> Requirement:
    alone = (quorum.primary,)
    if not quorum.acks:
        return Requirement(((1, alone),))
    if quorum.missing == 1:
        return Requirement(((1, _ordered(alone + quorum.ackers)),))
    return Requirement(((1, alone), (quorum.missing, _ordered(quorum.ackers))))


def _closing_each_other(quorum: OpenQuorum, quorums: Sequence[OpenQuorum]) -> Requirement | None:
    """Merge the quorums of suspects that are all each other's ackers.

    Of `n` such members at most `k` may stay unreached: each of those has at most `k - 1` ackers among the rest.
    """
    pool = {quorum.primary, *quorum.ackers}
    same = [each for each in quorums if each.acks == quorum.acks and {each.primary, *each.ackers} == pool]
    if not quorum.acks or len(same) < len(pool):
        return None
    return Requirement(((len(pool) - quorum.acks, _ordered(tuple(pool))),))


def _ordered(members: Sequence[Member]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda each: each.alias))


def _names(members: Sequence[Member]) -> str:
    return ", ".join(str(each) for each in _ordered(members))


def _some(count: int, pool: Sequence[Member]) -> str:
    if len(pool) == 1:
        return str(pool[0])
    if count == len(pool):
        return f"all of {_names(pool)}"
    return f"{'one' if count == 1 else count} of {_names(pool)}"
