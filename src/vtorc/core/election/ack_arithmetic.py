"""Acknowledgement arithmetic: what can be concluded about writes from the members that were reached.

All of it rests on one fact. A write counts as committed on a primary once `required_acks` of its ackers, other than the
primary itself, have received it. So the primary *and* at least that many ackers hold an acknowledged write. Vitess'
version of the same is in `go/vt/vtctl/reparentutil/policy/durability_funcs.go`.

The functions here share these parameters:

* `members` are all tablets that may have received a write of the last primary. That includes tablets without a readable
  record, and those of a cell with a topology server that does not answer.
* `primary` is the last primary, whether or not it is one of `members`. If it is None, its name is not known, and each
  member that may be promoted is a suspect.
* `reached` are aliases of members that were stopped and then read. They acknowledge nothing more, and their
  transactions are known. A primary in `reached` is read-only.
* `seen` is what was observed of semi-sync.
"""

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.ids import TabletAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSemiSync:
    """The semi-sync that vtorc observed, as opposed to the one that the policy asks for."""

    wait_counts: Mapping[TabletAlias, int] = field(default_factory=dict)
    """How many acknowledgements a tablet was last seen to wait for as primary; 0 if semi-sync was off or had fallen
    back to asynchronous. A tablet that is not in it was never seen at work."""
    past_ackers: frozenset[TabletAlias] = frozenset()
    """Members that may have acknowledged though the policy does not ask it of them now. They have their side of
    semi-sync on, and MySQL counts any connected replica that has. Or they had it on, or were of another type, until
    lately."""
    ack_timeouts: Mapping[TabletAlias, float] = field(default_factory=dict)
    """Seconds that commits wait before they go on without acknowledgements, for each tablet with a `wait_counts` of 0
    for that reason alone."""
    unknown_ackers: Mapping[TabletAlias, int] = field(default_factory=dict)
    """How many servers beside the members may acknowledge the writes of a tablet as primary; they cannot be reached. A
    tablet that is not in it has none."""
    assumed_unknown: frozenset[TabletAlias] = frozenset()
    """Tablets of which some of these servers are only assumed: vtorc began to look moments before, and had not yet seen
    every replica at work."""


NOTHING_SEEN = ObservedSemiSync()


class AckGuarantee(enum.Enum):
    """Whether the reached members hold every acknowledged write, best first."""

    PROVEN = "proven"
    """They do: the primary is among them, or waited for acks and too few ackers are missing to have given them."""
    ASSUMED = "assumed"
    """They do if semi-sync was on, as the policy asks; vtorc did not see whether it was."""
    OPEN = "open"
    """Enough ackers are missing to have acknowledged a write that no reached member holds."""
    NONE = "none"
    """The primary is missing and waited for no acknowledgement: it may hold acknowledged writes alone."""


@dataclass(frozen=True, slots=True)
class OpenQuorum:
    """A possible primary that was not reached, and enough unreached members to acknowledge its writes."""

    primary: Member
    """The possible primary."""
    acks: int
    """How many acknowledgements each of its writes needs; with 0 it acknowledges alone."""
    ackers: tuple[Member, ...]
    """The unreached members that may acknowledge; empty if `acks` is 0. Any `acks` of them and of the unknown ones are
    enough."""
    unknown: int = 0
    """How many servers may acknowledge besides that are no members."""
    ack_timeout: float | None = None
    """Seconds after which it goes on without acknowledgements; None unless `acks` is 0 for that reason."""

    @property
    def missing(self) -> int:
        """How many of the ackers have to be reached to leave fewer than `acks`; more than all if that cannot help."""
        return len(self.ackers) + self.unknown - self.acks + 1

    def __str__(self) -> str:
        if not self.acks and self.ack_timeout is not None:
            return (
                f"{self.primary}, which waits {self.ack_timeout:g} s for acknowledgements and then tells clients OK "
                f"without any (rpl_semi_sync_source_timeout)"
            )
        if not self.acks:
            return f"{self.primary}, which waits for no acknowledgement"
        if not self.unknown:
            return f"{self.primary}, acknowledged by {_some(self.acks, self.ackers)}"
        if not self.ackers:
            return f"{self.primary}, acknowledged by {_unknown_servers(self.unknown)}"
        pool = f"{_names(self.ackers)} and {_unknown_servers(self.unknown)}"
        return f"{self.primary}, acknowledged by {'one' if self.acks == 1 else self.acks} of {pool}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Whether any possible primary can still get a new write acknowledged."""

    suspects: tuple[Member, ...]
    """The members that may be the primary. If there are none, the primary is unknown, and so nothing counts as
    revoked."""
    open: tuple[OpenQuorum, ...]
    """The suspects that can still get a write acknowledged, each with the ackers."""

    @property
    def is_revoked(self) -> bool:
        """Whether none can."""
        return bool(self.suspects) and not self.open

    def __str__(self) -> str:
        if not self.suspects:
            return "no tablet of the shard can have been the primary, so the server whose writes to stop is unknown"
        if not self.open:
            return f"{_names(self.suspects)} can no longer commit"
        return "writes can still be committed on " + "; or on ".join(map(str, self.open))


@dataclass(frozen=True, slots=True)
class Requirement:
    """Members of which some must be reached."""

    picks: tuple[tuple[int, tuple[Member, ...]], ...]
    """Alternatives, of which any one is enough: how many members have to be reached, and out of which."""

    def is_met_by(self, reached: Collection[TabletAlias]) -> bool:
        """Tell whether reaching these members, on top of those reached before, is enough."""
        return any(sum(member.alias in reached for member in pool) >= count for count, pool in self.picks)

    def __str__(self) -> str:
        return ", or ".join(_some(count, pool) for count, pool in self.picks)


@dataclass(frozen=True, slots=True)
class TabletsToReach:
    """The members that must still be reached."""

    requirements: tuple[Requirement, ...]
    """All of these have to be met; empty if the reached members are enough."""

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
    """Tell which possible primaries can still get a new write acknowledged, and by which members.

    A primary that was reached is read-only. Any other needs `k` acks, and only unreached ackers can give them, as the
    reached ones receive nothing more. So it is revoked when fewer than `k` ackers are unreached. Unknown ackers are
    never reached: with `k` of them, only reaching the primary itself revokes it. With `k` 0 it acknowledges alone, and
    the same is true. `k` is the number that the policy asks for, or a lower one that the primary was seen to wait for.
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

    Its primary and `k` ackers hold such a write. So it can exist only if the primary, and at least `k` of its ackers,
    were left unreached. The numbers are those of `could_have_acknowledged`, about the past instead of the future. With
    `k` 0 the write may be on the primary alone, whatever the replicas are: that is `NONE`, and no guarantee. Of several
    suspects the worst one decides; without a suspect there is nothing to argue from.
    """
    suspects = _suspects(policy, primary, members)
    if not suspects:
        return AckGuarantee.NONE
    quorums = list(_open_quorums(policy, suspects, members, reached, seen))
    if quorums:
        return AckGuarantee.OPEN if all(quorum.acks for quorum in quorums) else AckGuarantee.NONE
    unseen = any(each.alias not in reached and each.alias not in seen.wait_counts for each in suspects)
    return AckGuarantee.ASSUMED if unseen else AckGuarantee.PROVEN


def tablets_to_reach(
    policy: DurabilityPolicy,
    primary: Member | None,
    *,
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync = NOTHING_SEEN,
) -> TabletsToReach:
    """Name the members that close every open quorum once they are reached.

    Then no possible primary gets another write acknowledged, and the reached members hold all that were.

    A quorum has `n` unreached ackers, unknown ones among them, of which `k` suffice. To reach its primary closes it,
    or any `n - k + 1` of the ackers, if so many are known. Where one acker is enough, primary and ackers are
    alternatives of the same kind ("one of …").
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
        unknown = seen.unknown_ackers.get(primary.alias, 0) if acks else 0
        if len(ackers) + unknown >= acks:
            timeout = None if acks else seen.ack_timeouts.get(primary.alias)
            yield OpenQuorum(primary, acks, ackers, unknown, timeout)


def _can_ack(policy: DurabilityPolicy, primary: Member, replica: Member, seen: ObservedSemiSync) -> bool:
    if replica.alias == primary.alias:
        return False
    return policy.may_ack(primary, replica) or replica.alias in seen.past_ackers


def _closing(quorum: OpenQuorum) -> Requirement:
    alone = (quorum.primary,)
    if not quorum.acks or quorum.missing > len(quorum.ackers):
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
    if not quorum.acks or len(same) < len(pool) or any(each.unknown for each in same):
        return None
    return Requirement(((len(pool) - quorum.acks, _ordered(tuple(pool))),))


def _ordered(members: Sequence[Member]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda each: each.alias))


def _names(members: Sequence[Member]) -> str:
    return ", ".join(str(each) for each in _ordered(members))


def _unknown_servers(count: int) -> str:
    return "a server without a tablet record" if count == 1 else f"{count} servers without a tablet record"


def _some(count: int, pool: Sequence[Member]) -> str:
    if len(pool) == 1:
        return str(pool[0])
    if count == len(pool):
        return f"all of {_names(pool)}"
    return f"{'one' if count == 1 else count} of {_names(pool)}"
