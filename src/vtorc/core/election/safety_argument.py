"""Why no acknowledged write is missing on a new primary: the argument that is stored with each promotion, in words."""

from dataclasses import dataclass

from vtorc.core.election.ack_arithmetic import AckGuarantee, can_hold_unseen_ack
from vtorc.core.election.candidates import CandidateSet
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, alias_list


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyArgument:
    """Why a promotion is safe; stored with the recovery (rule 1 of the design)."""

    policy: str
    """Name of the durability policy that the shard had."""
    stopped: tuple[TabletAlias, ...]
    """The tablets that were stopped, in order."""
    unreached: tuple[TabletAlias, ...]
    """The tablets of the shard that were not, in order."""
    required: GtidSet
    """The transactions that must survive, and that the new primary has."""
    sentence: str
    """The argument in words."""


def safety_argument(
    candidates: CandidateSet,
    policy: DurabilityPolicy,
    *,
    winner: TabletAlias,
    source: TabletAlias | None,
    required: GtidSet,
    left_behind: GtidSet = EMPTY_GTID_SET,
) -> SafetyArgument:
    """Return why it is safe to promote `winner`, which fetches what it lacks from `source`, None if it lacks nothing.

    `left_behind` are transactions that only the old primary has, and that provably no acker acknowledged.
    """
    holds = (
        f"{winner} has received every transaction that must survive"
        if source is None
        else f"{source} has every transaction that must survive, and {winner} first fetches those that it lacks"
    )
    return SafetyArgument(
        policy=policy.name,
        stopped=tuple(sorted(candidates.stopped)),
        unreached=tuple(sorted(m.alias for m in candidates.members if m.alias not in candidates.stopped)),
        required=required,
        sentence=f"{_why_complete(candidates, policy, required, left_behind)} {holds}.",
    )


def _why_complete(candidates: CandidateSet, policy: DurabilityPolicy, required: GtidSet, left_behind: GtidSet) -> str:
    """Say why the stopped tablets hold every acknowledged write."""
    primary = candidates.primary
    name = str(primary) if primary is not None else "the lost primary"
    needed = policy.required_acks(candidates.primary_member)
    few = "none of its possible ackers is" if needed == 1 else f"fewer than {needed} of its possible ackers are"
    if candidates.first_term:
        return "The shard never had a primary, so no write was acknowledged."
    if primary is not None and primary in candidates.stopped:
        complete = f"{primary} was made read-only first, so the stopped tablets hold every acknowledged write"
        if not left_behind:
            return f"{complete}."
        return (
            f"{complete}. {left_behind.brief()} on {primary} alone cannot be fetched and stays behind, as no acker "
            f"can have acknowledged it."
        )
    if not policy.has_semi_sync:
        seen = candidates.primary_committed.union(candidates.primary_executed).difference(required)
        risk = f"; {seen.brief()} reached no other tablet and is lost" if seen else ""
        return (
            f"The policy {policy.name} promises nothing about the writes of {name}, and no reached tablet "
            f"receives from it any more{risk}."
        )
    return (
        f"{name} can no longer commit, and every write it acknowledged is on a stopped tablet: {policy.name} "
        f"needs {needed} ack{'' if needed == 1 else 's'}, and {few} left running (stopped: "
        f"{alias_list(candidates.stopped)}{_exemptions(candidates)}){_assumption(candidates, policy)}."
    )


def _exemptions(candidates: CandidateSet) -> str:
    return "".join(f"; {alias} need not be stopped: {why}" for alias, why in sorted(candidates.exempt.items()))


def _assumption(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Say that semi-sync was not seen to be on, if the argument needs it."""
    guarantee = can_hold_unseen_ack(
        policy,
        candidates.primary_member,
        members=candidates.members,
        reached=candidates.accounted_for,
        seen=candidates.semi_sync,
    )
    if guarantee is AckGuarantee.PROVEN:
        return ""
    return "; vtorc did not see that it waited for them, but the policy asks for it"
