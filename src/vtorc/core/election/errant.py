"""Which transactions of a stopped tablet provably were never acknowledged, so that they need not survive.

A tablet may have transactions of its own because an application wrote on a replica. Or it was primary, and no replica
received its last writes. They look exactly like an acknowledged write that only this tablet still holds. So a
transaction is called errant only on a proof, and all others must survive.

The proof is what the present primary was seen to hold in its term. To be promoted it had to hold all that earlier terms
acknowledged. Each write that was acknowledged in this term carries the UUID of a server that may have been primary in
it. A transaction with neither mark was never acknowledged if only this tablet has it. The same is true if all tablets
that have it may not acknowledge for its writer. Two tablets of one cell share such a transaction where only other cells
count.

Vitess compares the lengths of the tablets' reparent journals instead, and of tablets with equal lengths the
transactions, less those of their source (`go/vt/vtctl/reparentutil/emergency_reparenter.go`). That proves nothing after
a promotion that came to no acknowledged write. Then one journal may be longer by a row that no other tablet ever got.
Or all may be equal while only one tablet holds what an earlier term acknowledged. Or the row of a later term may wait
in a relay log, with acknowledged writes behind it.
"""

from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias


def proven_errant(candidates: CandidateSet, policy: DurabilityPolicy) -> dict[TabletAlias, GtidSet]:
    """Return the errant transactions of each tablet that has some.

    It is empty until the primary was seen in its term. It is empty in a first term as well: there no write was
    acknowledged, and every transaction may be wanted.
    """
    known = _known_at_primary(candidates)
    if candidates.first_term or not known:
        return {}
    writers = _possible_writers(candidates, policy)
    unsent = _without_acker(candidates, policy)
    errant = {
        alias: _only_here(candidates, stopped)
        .union(stopped.received.intersection(unsent))
        .difference(known)
        .without_uuids(writers)
        for alias, stopped in candidates.pool.items()
    }
    return {alias: each for alias, each in errant.items() if each}


def may_be_acknowledged(candidates: CandidateSet, policy: DurabilityPolicy, transactions: GtidSet) -> GtidSet:
    """Return those of the transactions that may have been acknowledged; no tablet need hold them any more."""
    known = _known_at_primary(candidates)
    if not known:
        return transactions
    never = transactions.difference(known).without_uuids(_possible_writers(candidates, policy))
    return transactions.difference(never)


def _only_here(candidates: CandidateSet, stopped: StoppedTablet) -> GtidSet:
    others = (other.received for other in candidates.stopped.values() if other.alias != stopped.alias)
    return stopped.received.difference(EMPTY_GTID_SET.union(*others))


def _without_acker(candidates: CandidateSet, policy: DurabilityPolicy) -> GtidSet:
    """Return what stopped tablets wrote, and no tablet received that may have acknowledged it.

    A writer proves something only if enough of its possible ackers were reached, and its UUID is that of one tablet
    alone.
    """
    tablets = candidates.stopped
    found = EMPTY_GTID_SET
    for writer in tablets.values():
        if sum(other.server_uuid == writer.server_uuid for other in tablets.values()) > 1:
            continue
        if not policy.required_acks(writer.member) or _may_have_been_acknowledged(candidates, policy, writer):
            continue
        ackers = [
            alias
            for alias, other in tablets.items()
            if policy.may_ack(writer.member, other.member) or alias in candidates.semi_sync.past_ackers
        ]
        acked = [
            each
            for alias in ackers
            if alias != writer.alias
            for each in (tablets[alias].received, candidates.lost_after_receipt.get(alias, EMPTY_GTID_SET))
        ]
        written = EMPTY_GTID_SET.union(*(each.received.only_uuid(writer.server_uuid) for each in tablets.values()))
        found = found.union(written.difference(EMPTY_GTID_SET.union(*acked)))
    return found


def _known_at_primary(candidates: CandidateSet) -> GtidSet:
    primary = candidates.stopped.get(candidates.primary) if candidates.primary is not None else None
    now = primary.received if primary is not None else EMPTY_GTID_SET
    return candidates.primary_executed.union(candidates.primary_committed, now)


def _possible_writers(candidates: CandidateSet, policy: DurabilityPolicy) -> frozenset[str]:
    """Return the servers that may have been primary in the present term, or in a later one that vtorc does not know of.

    They are the known primary, the unreached sources of stopped tablets, and stopped tablets that had no source. The
    last count only if enough of their possible ackers are unreached: a reached acker holds what it acknowledged. The
    known primary counts as no acker of such a rival: its own record would have changed when it became a replica.
    """
    writers = set(candidates.primary_uuids)
    reached = {stopped.server_uuid for stopped in candidates.stopped.values()}
    for stopped in candidates.stopped.values():
        if stopped.source_uuid not in reached:
            writers.add(stopped.source_uuid)
        if stopped.was_primary and _may_have_been_acknowledged(candidates, policy, stopped):
            writers.add(stopped.server_uuid)
    return frozenset(writers - {""})


def _may_have_been_acknowledged(candidates: CandidateSet, policy: DurabilityPolicy, stopped: StoppedTablet) -> bool:
    missing = [
        member
        for member in candidates.members
        if member.alias != candidates.primary
        and member.alias not in candidates.accounted_for
        and (policy.may_ack(stopped.member, member) or member.alias in candidates.semi_sync.past_ackers)
    ]
    return 0 < policy.required_acks(stopped.member) <= len(missing)
