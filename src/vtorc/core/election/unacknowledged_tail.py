"""Transactions that only the stopped primary has and that provably no acker acknowledged: the shard can go on without.

A demotion lets commits go that still wait for an acknowledgement. They are on the old primary alone then, and count as
required as long as they can be had. But a primary that its replicas cannot reach would never be replaced that way.
"""

from vtorc.core.election.ack_arithmetic import could_have_acknowledged
from vtorc.core.election.candidates import CandidateSet
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet


def unacknowledged_tail(candidates: CandidateSet, policy: DurabilityPolicy) -> GtidSet:
    """Return the transactions that the last primary wrote, that no other stopped tablet has, and that too few possible
    ackers were left running to acknowledge.

    It is empty if the primary was not seen to wait for acknowledgements. It leaves out the transactions that the
    primary was seen to have committed, and those that a stopped tablet had received and lost.
    """
    primary = candidates.stopped.get(candidates.primary) if candidates.primary is not None else None
    if primary is None or not primary.was_primary or primary.server_uuid not in candidates.primary_uuids:
        return EMPTY_GTID_SET
    if not candidates.semi_sync.wait_counts.get(primary.alias) or policy.required_acks(primary.member) == 0:
        return EMPTY_GTID_SET
    others = candidates.accounted_for - {primary.alias}
    revocation = could_have_acknowledged(
        policy, primary.member, members=candidates.members, reached=others, seen=candidates.semi_sync
    )
    if not revocation.is_revoked:
        return EMPTY_GTID_SET
    own = primary.received.difference(primary.received.without_uuid(primary.server_uuid))
    held = (other.received for alias, other in candidates.stopped.items() if alias != primary.alias)
    return own.difference(
        EMPTY_GTID_SET.union(*held, candidates.primary_committed, *candidates.lost_after_receipt.values())
    )
