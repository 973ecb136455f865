"""Which transactions of a stopped tablet provably were never acknowledged, so that nobody has to keep them.

A tablet may have transactions of its own because somebody wrote on a replica, or because it was primary and its last
writes reached nobody. They look exactly like an acknowledged write of which it is the only holder left. So nothing is
called errant without a proof, and what has none must survive.

The proof is what the present primary was seen to hold in its term: it could not have been promoted without everything
that earlier terms acknowledged, and what was acknowledged in this term carries the UUID of a server that may have been
primary in it. What is neither, and nobody else has, was never acknowledged.

Vitess compares the lengths of the tablets' reparent journals instead, and what tablets of the same length have, less
the transactions of their source (`go/vt/vtctl/reparentutil/emergency_reparenter.go`). That proves nothing after a
promotion that came to no acknowledged write: then a journal is longer by a row that nobody else ever got, or all are
equal while what an earlier term acknowledged is on one tablet only; and the row of a later term may wait in a relay
log, with acknowledged writes behind it.
"""

from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias


def proven_errant(candidates: CandidateSet, policy: DurabilityPolicy) -> dict[TabletAlias, GtidSet]:
    """Return the errant transactions of each tablet that has some.

    None are while the primary was not seen in its term, nor in a first term, where nothing was acknowledged and
    everything may be wanted.
    """
    known = _known_at_primary(candidates)
    if candidates.first_term or not known:
        return {}
    writers = _possible_writers(candidates, policy)
    errant = {
        alias: _only_here(candidates, stopped).difference(known).without_uuids(writers)
        for alias, stopped in candidates.pool.items()
    }
    return {alias: each for alias, each in errant.items() if each}


def may_be_acknowledged(candidates: CandidateSet, policy: DurabilityPolicy, transactions: GtidSet) -> GtidSet:
    """Return those of the transactions, which need not be anywhere any more, that may have been acknowledged."""
    known = _known_at_primary(candidates)
    if not known:
        return transactions
    never = transactions.difference(known).without_uuids(_possible_writers(candidates, policy))
    return transactions.difference(never)


def _only_here(candidates: CandidateSet, stopped: StoppedTablet) -> GtidSet:
    others = (other.received for other in candidates.stopped.values() if other.alias != stopped.alias)
    return stopped.received.difference(EMPTY_GTID_SET.union(*others))


def _known_at_primary(candidates: CandidateSet) -> GtidSet:
    primary = candidates.stopped.get(candidates.primary) if candidates.primary is not None else None
    now = primary.received if primary is not None else EMPTY_GTID_SET
    return candidates.primary_executed.union(candidates.primary_committed, now)


def _possible_writers(candidates: CandidateSet, policy: DurabilityPolicy) -> frozenset[str]:
    """Servers that may have been primary in the present term, or in a later one that has not come to our ears.

    Beside the known primary: a source that nobody reached, and a tablet that was nobody's replica, if enough of its
    possible ackers were not reached. (Ackers that were hold no transaction that only it has.) The known primary is no
    acker of such a rival, as its own record would have changed when it became its replica.
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
