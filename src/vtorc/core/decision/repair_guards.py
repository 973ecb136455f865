"""Reasons to leave a tablet as it is: a repair would lose something, or achieve nothing."""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations

from vtorc.core.decision.backoff import Attempt
from vtorc.core.detection.errant_gtids import errant_gtids
from vtorc.core.detection.findings import Finding
from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.election.last_primary import LastPrimary, observed_term_of
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.fitness import fitness_of
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.rules import Rule, Why
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import ShardView, TabletView


def primary_may_be_hidden(view: ShardView) -> Why | None:
    """Return why a shard that seems never to have had a primary may have one unseen; None if every record was read.

    A first primary is recorded in its own cell before anywhere else. A vtorc that could not read that cell elected a
    second one, and both acknowledged writes (simulator). A cell that was read before counts too: it may have changed
    since.
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
    return Rule.UNREACHABLE_CELL, f"{hidden}, so there may be an unseen primary; {help_}"


def repoint_would_lose(view: ShardView, tablet: TabletView) -> GtidSet:
    """Return the transactions that only this tablet is known to hold, and that would go with its relay log.

    The primary has those under its own UUID, although its last status may be older than the replica's. A tablet that
    filters does not hold what it executed.
    """
    if tablet.current_status is None:
        return EMPTY_GTID_SET
    rest = tablet.current_status.received.difference(tablet.current_status.executed)
    for other in view.tablets:
        if not rest:
            break
        if other.alias == tablet.alias or other.current_status is None:
            continue
        if fitness_of(view, other, None).may(Use.HOLD):
            rest = rest.difference(other.current_status.executed)
    primary = view.primary
    if primary is not None and primary.current_status is not None:
        rest = rest.without_uuid(primary.current_status.server_uuid)
    return rest


def refused_as_errant(
    view: ShardView, policy: DurabilityPolicy | None, finding: Finding, attempts: Sequence[Attempt]
) -> Why | None:
    """Return why a tablet with transactions that the primary lacks is not attached again; None if it may be tried.

    A tablet manager of v22 or newer refuses to attach it (`SetReplicationSource`, `rpc_replication.go`), and asking
    again does not change that. It is asked once, as only its answer tells: an older one attaches it, as in Vitess.
    """
    tablet, primary = view.tablet(finding.alias), view.primary
    if (
        not finding.problem.replication.attaches
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
            f"tablets; if another was primary since, promote one that has them (EmergencyReparentShard --new-primary); "
            f"if they are errant, make {primary.alias} commit empty transactions under these GTIDs",
        )
    return (
        Rule.ERRANT,
        f"{what}; rebuild it from a backup or from another tablet, or, if the transactions are not wanted, make "
        f"{primary.alias} commit empty transactions under these GTIDs",
    )


def is_another_server(view: ShardView, primary: TabletView) -> Why | None:
    """Return why a primary is not made writable: its alias is another server's now; None if it is the one that was.

    That server has none of the writes that the first one acknowledged. Made writable, an empty one lost 234 of them
    (simulator). One that was rebuilt as a copy may have all of them, which every other tablet has to confirm.
    """
    last = LastPrimary(tablet=primary, observed_term=observed_term_of(view, primary))
    successor = last.replaced_by(view)
    if not successor or _has_all_that_any_has(view, last):
        return None
    return (
        Rule.MISSING_WRITES,
        f"under its alias runs server {successor}, which is not the one that was primary and has none of its writes; "
        f"start that server's data directory again, or promote a tablet that has its writes (EmergencyReparentShard "
        f"--new-primary)",
    )


def was_followed_by_another(view: ShardView, primary: TabletView) -> Why | None:
    """Return why a primary is not made writable: a tablet that does not answer was seen at work in a later term; None
    if none was.

    A topology server that was restored from a backup calls a former primary primary, and so does its own vttablet when
    it starts. The one after it had an acker beyond the reach of vtorc, and both took writes.
    """
    for tablet in view.tablets:
        term = tablet.memory.observed_term
        if tablet.current_status is None and term is not None and term.term > primary.record.primary_term_start:
            return (
                Rule.MISSING_WRITES,
                f"{tablet.alias} was seen at work as primary in a later term and does not answer, so the records may "
                f"be older than the servers; reach it or, if it is gone for good, delete its record (DeleteTablets "
                f"{tablet.alias})",
            )
    return None


FIRST_RESTART_PAUSE = 30.0
"""Seconds between two restarts of replication that meet the same lasting error; doubled after each further one."""

LAST_RESTART_PAUSE = 120.0
"""Seconds that this pause grows to."""


def restart_is_futile(tablet: TabletView, finding: Finding, attempts: Sequence[Attempt], now: float) -> Why | None:
    """Return why replication with a lasting error is not restarted now; None if it may be tried.

    MySQL keeps the error of a stopped thread after its cause was mended, so one restart is tried for each cause. After
    that the error itself tells that nothing has changed, and a restart every few seconds hides it in the log.
    """
    status = tablet.current_status
    threads = status.replication if status is not None else None
    if threads is None or ThreadState.STOPPED not in (threads.io_state, threads.sql_state):
        return Rule.REPLICATION_ERROR, "MySQL itself tries again, and a restart would change nothing"
    same = [attempt for attempt in attempts if attempt.cause == finding.cause]
    if not same:
        return None
    ago = now - same[-1].ended_at
    left = min(LAST_RESTART_PAUSE, FIRST_RESTART_PAUSE * 2.0 ** min(len(same) - 1, 8)) - ago
    if left <= 0:
        return None
    return (
        Rule.REPLICATION_ERROR,
        f"a restart {ago:.0f} s ago did not change that; the next one is in {left:.0f} s, or once something changes",
    )


def _has_all_that_any_has(view: ShardView, last: LastPrimary) -> bool:
    """Whether a primary's server has executed all that any tablet holds, or its predecessor was seen to have executed.

    Every tablet has to answer, and none may receive from another server: the predecessor may live elsewhere.
    """
    primary, seen = last.tablet, last.observed_term
    status = primary.current_status
    others = [tablet for tablet in view.tablets if tablet.alias != primary.alias]
    if status is None or view.unreachable_cells or view.bad_records:
        return False
    held = [] if seen is None else [seen.executed, seen.committed]
    for other in others:
        if other.current_status is None or other.current_status.disk_stalled:
            return False
        threads = other.current_status.replication
        if threads is not None and threads.is_receiving and threads.source_uuid != status.server_uuid:
            return False
        held.append(other.current_status.received)
    return status.executed.contains(EMPTY_GTID_SET.union(*held))


def misses_writes(view: ShardView, policy: DurabilityPolicy | None, primary: TabletView) -> Why | None:
    """Return why a primary is not made writable: it lacks writes that may be acknowledged; None if it lacks none.

    Enough other tablets share such writes for them to be acknowledged. Another primary made them since: its clock is
    behind, so that its term looks older, or the topology server still answers with an old state. The writes of one
    replica alone are errant and do not count. Nor do the primary's own, as its last status may be too old to name them.
    """
    by_hand = f"if they are errant, make it writable by hand (SetWritable {primary.alias} true)"
    promote = "promote one that has them (EmergencyReparentShard --new-primary)"
    holders, shared = _shared_by_many(view, policy, primary)
    if shared:
        what = f"{holders} other tablets have {shared.brief()}, which it lacks and which may be acknowledged"
        return Rule.MISSING_WRITES, f"{what}; {by_hand}, and if another was primary since, {promote}"
    if received := next(_received_from_the_unreached(view, policy, primary), None):
        holder, source, writes = received
        what = (
            f"{holder.alias} received {writes.brief()} from {source.alias}, which does not answer, and the primary "
            f"lacks them"
        )
        return (
            Rule.MISSING_WRITES,
            f"{what}, and they may be acknowledged; {by_hand}, and if {source.alias} was primary since, {promote}",
        )
    return None


def _received_from_the_unreached(
    view: ShardView, policy: DurabilityPolicy | None, primary: TabletView
) -> Iterator[tuple[TabletView, TabletView, GtidSet]]:
    """Yield each tablet with transactions of an unreached tablet that the primary lacks, that tablet, and those.

    The tablet that wrote them has them too, so one tablet that received them may be enough to acknowledge them.
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
    """Return the UUID of a tablet's server, by its last status or that of its replica; empty if neither tells it.

    A vttablet that starts while its MySQL is down writes a record without a port, so that only the host can be
    compared. Its replica's transactions were taken for those of a stranger then (simulator).
    """
    if source.status is not None:
        return source.status.server_uuid
    replication = replica.status.replication if replica.status is not None else None
    if replication is None:
        return ""
    same_host = not source.record.mysql_port and replication.source_host == source.record.mysql_hostname
    return replication.source_uuid if same_host or view.replicates_from(replica, source) else ""


def _shared_by_many(
    view: ShardView, policy: DurabilityPolicy | None, primary: TabletView, *, of: GtidSet | None = None
) -> tuple[int, GtidSet]:
    """Return how many tablets make a transaction that the primary lacks look acknowledged, and those that they share.

    With `of`, only transactions in that set count.
    """
    status = primary.current_status
    if policy is None or status is None or not (needed := policy.required_acks(primary.member)):
        return 0, EMPTY_GTID_SET
    unsent = _without_acker(view, policy)
    extras = [
        t.current_status.received.difference(status.executed.union(unsent)).without_uuid(status.server_uuid)
        for t in view.tablets
        if t.alias != primary.alias and t.current_status is not None and t.record.type in ACKING_TYPES
    ]
    for several in combinations(extras, needed + 1):
        shared = reduce(GtidSet.intersection, several if of is None else (of, *several))
        if shared:
            return needed + 1, shared
    return needed + 1, EMPTY_GTID_SET


def _without_acker(view: ShardView, policy: DurabilityPolicy) -> GtidSet:
    """Return what tablets that answer wrote, and no tablet received that acknowledges for them by the policy.

    One that was seen to acknowledge beyond the policy counts, too. A writer proves something only if all of its
    possible ackers answer, and its UUID is that of one tablet alone. Two tablets of a cell that was cut off share what
    only other cells acknowledge: the next primary stayed read-only for it.
    """
    heard = {t.alias: (t, t.current_status) for t in view.tablets if t.current_status is not None}
    found = EMPTY_GTID_SET
    for writer, status in heard.values():
        by_policy = [t for t in view.tablets if policy.may_ack(writer.member, t.member)]
        is_copied = sum(other.server_uuid == status.server_uuid for _, other in heard.values()) > 1
        if is_copied or any(tablet.alias not in heard for tablet in by_policy):
            continue
        beyond = [t for t in view.tablets if t.memory.client_span is not None and t.alias != writer.alias]
        acked = [_ever_received(tablet) for tablet in (*by_policy, *beyond)]
        written = EMPTY_GTID_SET.union(*(other.received.only_uuid(status.server_uuid) for _, other in heard.values()))
        found = found.union(written.difference(EMPTY_GTID_SET.union(*acked)))
    return found


def _ever_received(tablet: TabletView) -> GtidSet:
    told = tablet.told.received if tablet.told is not None else EMPTY_GTID_SET
    return told.union(tablet.memory.received, tablet.memory.lost_after_receipt)


def rolled_back_guard(view: ShardView, tablet: TabletView) -> Why | None:
    """Return why a tablet that lost transactions of its own is not let replicate; None if it lost none.

    As a replica it would acknowledge and could be elected, silently, without these rows (MySQL 9.7).
    """
    lost = rolled_back(view).get(tablet.alias)
    if not lost:
        return None
    return (
        Rule.ROLLED_BACK,
        f"{tablet.alias} has lost {lost.brief()}, which it wrote itself and never gets back by replication; rebuild it "
        f"from a backup or from another tablet",
    )


def acks_would_drop(view: ShardView, policy: DurabilityPolicy | None, tablet: TabletView) -> Why | None:
    """Return why the semi-sync of a replica must stay on: the primary waits, and too few other ackers would be left.

    So a primary stops waiting before its replicas stop acknowledging.
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


def why_not_drained(view: ShardView, policy: DurabilityPolicy | None, tablet: TabletView) -> Why | None:
    """Return why a replica with errant transactions stays in the shard; None if it may be drained.

    Writes need the other replicas then. A failover loses nothing by it, as no errant tablet follows a new primary.
    Transactions that several tablets share may be acknowledged, and those of a drained tablet count as not wanted.
    """
    primary, status = view.primary, tablet.current_status
    if policy is None or primary is None or primary.current_status is None or status is None:
        return Rule.UNCONFIRMED, "the tablet and the primary have to answer"
    if not tablet.is_replica_type:
        return Rule.NO_REMEDY, f"it is {tablet.record.type.name} and no replica of the shard any more"
    holders, shared = _shared_by_many(view, policy, primary, of=errant_gtids(tablet, primary))
    if shared:
        return Rule.MISSING_WRITES, f"{holders} tablets share {shared.brief()}, which may be acknowledged"
    semi_sync = primary.current_status.semi_sync
    waits_for = max(policy.required_acks(primary.member), semi_sync.wait_for_replica_count * semi_sync.primary_enabled)
    needed, does = max(1, waits_for), "acknowledge" if waits_for else "replicate"
    others = [
        other
        for other in view.replicas_of(primary)
        if other.alias != tablet.alias
        and not errant_gtids(other, primary)
        and (_acknowledges(other, primary, policy) if waits_for else other.is_receiving)
    ]
    if len(others) >= needed:
        return None
    return Rule.ACKS_WOULD_DROP, f"without it {len(others)} sound replicas would {does}, and {needed} are needed"


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
