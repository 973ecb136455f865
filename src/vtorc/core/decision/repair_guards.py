"""What a repair could break, or not achieve: reasons to leave a tablet as it is."""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations

from vtorc.core.decision.backoff import Attempt
from vtorc.core.detection.analysis import errant_gtids
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import ReplicationChange
from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.rules import Rule, Why
from vtorc.core.facts.views import ShardView, TabletView


def primary_may_be_hidden(view: ShardView) -> Why | None:
    """A shard that never had a primary, as far as can be seen, may have one where nothing can be read.

    A first primary is told in its own cell before anywhere else; whoever starts with that cell out of reach, or read
    it before, elected a second one, and writes were acknowledged by both (simulator). That includes a cell which was
    read before: nobody knows what has been written there since.
    """
    if view.unreachable_cells:
        cells = ", ".join(sorted(view.unreachable_cells))
        hidden = f"cell {cells} cannot be read"
        help_ = "bring its topology server back or, if the cell is gone for good, remove it (DeleteCellInfo --force)"
    elif view.bad_records:
        hidden = f"the record of {', '.join(map(str, sorted(view.bad_records)))} cannot be read"
        help_ = "repair the record, or remove it if there is no such tablet"
    else:
        return None
    return Rule.UNREACHABLE_CELL, f"{hidden}, so that there may be a primary that is not seen; {help_}"


def repoint_would_lose(view: ShardView, tablet: TabletView) -> GtidSet:
    """What only this tablet is known to hold, and would lose if its relay log were replaced.

    Transactions under the UUID of the primary are its own: it has them although its last answer may be older than the
    replica's.
    """
    if tablet.current_status is None:
        return EMPTY_GTID_SET
    rest = tablet.current_status.received.difference(tablet.current_status.executed)
    for other in view.tablets:
        if other.alias != tablet.alias and other.current_status is not None:
            rest = rest.difference(other.current_status.executed)
    primary = view.primary
    if primary is not None and primary.current_status is not None:
        rest = rest.without_uuid(primary.current_status.server_uuid)
    return rest


def refused_as_errant(
    view: ShardView, policy: DurabilityPolicy | None, finding: Finding, attempts: Sequence[Attempt]
) -> Why | None:
    """A tablet that has what the primary lacks is attached if its tablet manager lets it, as in Vitess: that of
    v22 and newer does not (`SetReplicationSource`, `rpc_replication.go`), and asking again will not change that.

    The first answer is asked for, since only that tells; an older one has no such check, and MySQL attaches.
    """
    tablet, primary = view.tablet(finding.alias), view.primary
    if (
        finding.problem.replication is not ReplicationChange.ATTACH
        or tablet is None
        or primary is None
        or all(a.succeeded for a in attempts)
    ):
        return None
    if tablet.current_status is None or tablet.current_status.semi_sync_blocked is None:
        return None
    errant = errant_gtids(tablet, primary)
    if not errant:
        return None
    what = f"its tablet manager does not let it replicate, because it has {errant.brief()}, which {primary.alias} lacks"
    holders, shared = _shared_by_many(view, policy, primary, of=errant)
    if shared:
        return (
            Rule.MISSING_WRITES,
            f"{what}; {holders} tablets share {shared.brief()}, which may be acknowledged: rebuild none of these "
            f"tablets; if another was primary since, promote one that has them (EmergencyReparentShard --new-primary), "
            f"and if they are errant, make {primary.alias} commit empty transactions under these GTIDs; then vtorc "
            f"goes on by itself",
        )
    return (
        Rule.ERRANT,
        f"{what}; rebuild it from a backup or from another tablet, or make {primary.alias} commit empty "
        f"transactions under these GTIDs if nothing in them is wanted; then vtorc goes on by itself",
    )


def misses_writes(view: ShardView, policy: DurabilityPolicy | None, primary: TabletView) -> Why | None:
    """A primary is not made writable while so many others share writes that it lacks that they may be acknowledged.

    Such writes were made by another primary since: one that was promoted by a host whose clock is behind, so that
    its term looks older, or whose promotion the topology server, which answers with an old state, does not show yet.
    What one replica wrote alone is errant and does not count, nor do the primary's own writes, which its last answer
    may be too old to name.
    """
    by_hand = f"if they are errant, make it writable by hand (SetWritable {primary.alias} true)"
    promote = "promote one that has them (EmergencyReparentShard --new-primary)"
    holders, shared = _shared_by_many(view, policy, primary)
    if shared:
        what = f"{holders} other tablets have {shared.brief()}, which it lacks and which may be acknowledged"
        return Rule.MISSING_WRITES, f"{what}; {by_hand}, and if another was primary since, {promote}"
    if received := next(_received_from_the_unreached(view, policy, primary), None):
        holder, source, writes = received
        what = f"{holder.alias} received {writes.brief()} from {source.alias}, which does not answer: it lacks them"
        return (
            Rule.MISSING_WRITES,
            f"{what} and they may be acknowledged; {by_hand}, and if {source.alias} was primary since, {promote}",
        )
    return None


def _received_from_the_unreached(
    view: ShardView, policy: DurabilityPolicy | None, primary: TabletView
) -> Iterator[tuple[TabletView, TabletView, GtidSet]]:
    """Each tablet that has what the primary lacks and another wrote that cannot be asked; that other; and what it is.

    Whoever wrote it has it too, so that one that received it can be enough to have acknowledged it.
    """
    status = primary.current_status
    if policy is None or status is None or not policy.required_acks(primary.member):
        return
    unreached = [tablet for tablet in view.tablets if tablet.current_status is None]
    for holder in view.tablets:
        if holder.current_status is None or holder.record.type not in ACKING_TYPES:
            continue
        missing = holder.current_status.received.difference(status.executed)
        for source in unreached:
            if writes := missing.only_uuid(_server_uuid(view, source, holder)):
                yield holder, source, writes


def _server_uuid(view: ShardView, source: TabletView, replica: TabletView) -> str:
    """UUID of a tablet's server, by its last answer or that of its replica; empty if neither tells."""
    if source.status is not None:
        return source.status.server_uuid
    replication = replica.status.replication if replica.status is not None else None
    return replication.source_uuid if replication is not None and view.replicates_from(replica, source) else ""


def _shared_by_many(
    view: ShardView, policy: DurabilityPolicy | None, primary: TabletView, *, of: GtidSet | None = None
) -> tuple[int, GtidSet]:
    """How many tablets make a transaction that the primary lacks look acknowledged, and what so many of them share; if
    `of` is given, of that.
    """
    status = primary.current_status
    if policy is None or status is None or not (needed := policy.required_acks(primary.member)):
        return 0, EMPTY_GTID_SET
    extras = [
        t.current_status.received.difference(status.executed).without_uuid(status.server_uuid)
        for t in view.tablets
        if t.alias != primary.alias and t.current_status is not None and t.record.type in ACKING_TYPES
    ]
    for several in combinations(extras, needed + 1):
        shared = reduce(GtidSet.intersection, several if of is None else (of, *several))
        if shared:
            return needed + 1, shared
    return needed + 1, EMPTY_GTID_SET


def acks_would_drop(view: ShardView, policy: DurabilityPolicy | None, tablet: TabletView) -> Why | None:
    """Stop requiring before disabling: while the primary waits, enough proper ackers must remain without this
    one.
    """
    primary = view.primary
    if policy is None or primary is None or primary.current_status is None:
        return Rule.PRIMARY_FIRST, "the shard has no primary that answers"
    semi_sync = primary.current_status.semi_sync
    if not semi_sync.primary_enabled:
        return None
    needed = max(policy.required_acks(primary.member), semi_sync.wait_for_replica_count, 1)
    others = [t for t in view.replicas_of(primary) if t.alias != tablet.alias and _acknowledges(t, primary, policy)]
    if len(others) >= needed:
        return None
    return (
        Rule.ACKS_WOULD_DROP,
        f"{primary.alias} waits for {needed} acknowledgements and only {len(others)} other replicas give them",
    )


def _acknowledges(tablet: TabletView, primary: TabletView, policy: DurabilityPolicy) -> bool:
    status = tablet.current_status
    return (
        status is not None
        and status.semi_sync.replica_enabled
        and status.replication is not None
        and status.replication.is_receiving
        and not tablet.receives_without_acknowledging
        and policy.may_ack(primary.member, tablet.member)
    )
