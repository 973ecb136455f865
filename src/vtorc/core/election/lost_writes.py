"""Writes that may have been acknowledged and that no stopped tablet holds: a reason to promote no tablet.

The arithmetic of acknowledgements takes it that a reached tablet still has all that it acknowledged, and a reached
primary's relay logs were not lost. Here what vtorc saw earlier is held against that.
"""

from vtorc.core.election.candidates import CandidateSet
from vtorc.core.election.errant import may_be_acknowledged
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.rules import Rule, Why


def lost_writes(candidates: CandidateSet, policy: DurabilityPolicy, required: GtidSet) -> Why | None:
    """Return which writes are lost, if any are that had to be acknowledged under this policy.

    `required` are all transactions that the stopped tablets hold, less the errant ones.
    """
    if candidates.first_term:
        return None
    if policy.required_acks(candidates.primary_member) == 0:
        return _acknowledged_before(candidates, required)
    return _below_last_seen(candidates, required) or _lost_with_relay_logs(candidates, policy, required)


def _acknowledged_before(candidates: CandidateSet, required: GtidSet) -> Why | None:
    """Name what the primary committed in this term while it waited for acknowledgements, and no tablet has. The policy
    of the time since promises nothing, but those writes were acknowledged before.
    """
    lost = candidates.primary_committed.difference(required)
    if not lost:
        return None
    what = (
        f"{candidates.primary} had committed {lost.brief()} before it ceased to wait for acknowledgements, and no "
        f"reached tablet has received that"
    )
    return Rule.BELOW_LAST_SEEN, what


def _below_last_seen(candidates: CandidateSet, required: GtidSet) -> Why | None:
    """Name what the primary was seen to have committed and no tablet has: all relay logs were lost at once.

    Writes of earlier terms were acknowledged long ago, if at all.
    """
    if all(member.alias != candidates.primary for member in candidates.members):
        return None
    earlier = candidates.primary_executed.without_uuids(candidates.primary_uuids)
    lost = candidates.primary_committed.union(earlier).difference(required)
    if not lost:
        return None
    what = f"{candidates.primary} was seen to have committed {lost.brief()}, which no reached tablet has received"
    return Rule.BELOW_LAST_SEEN, what


def _lost_with_relay_logs(candidates: CandidateSet, policy: DurabilityPolicy, required: GtidSet) -> Why | None:
    """Name what a tablet had received, and so may have acknowledged, before a crash of its MySQL took its relay log.

    Only transactions that the tablet was seen to have can be missed here. Those that provably were never acknowledged
    need not survive. A primary that was stopped has all that were acknowledged.
    """
    primary = candidates.primary_member
    if primary.alias in candidates.stopped:
        return None
    lost = {
        alias: may_be_acknowledged(candidates, policy, gone.difference(required))
        for alias, gone in sorted(candidates.lost_after_receipt.items())
        if alias in candidates.semi_sync.past_ackers or policy.may_ack(primary, candidates.stopped[alias].member)
    }
    sides = "; ".join(f"{alias} had received {gone.brief()}" for alias, gone in lost.items() if gone)
    if not sides:
        return None
    what = f"{sides} and has lost it since, as a crash of MySQL does to relay logs, and no reached tablet has it"
    return Rule.RELAY_LOG_LOST, what
