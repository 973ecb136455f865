"""What a shard view proves about the writes of its last primary: makes the `CandidateSet` of an election."""

from collections.abc import Collection, Mapping

from vtorc.core.acks import NOTHING_SEEN, SemiSyncSeen
from vtorc.core.candidates import ACKING_TYPES, CandidateSet, Stopped
from vtorc.core.case import member
from vtorc.core.durability import DurabilityPolicy, Member
from vtorc.core.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.heirs import possible_heirs
from vtorc.core.ids import TabletAlias, TabletType
from vtorc.core.status import TabletStatus
from vtorc.core.view import ProbeFailure, ShardView, TabletView

SETTLED = 1.0
"""Seconds after which an acknowledgement that was under way has arrived and its write is committed."""

_BUSY_TYPES = frozenset({TabletType.BACKUP, TabletType.RESTORE})


def candidate_set(
    view: ShardView,
    policy: DurabilityPolicy,
    stopped: Mapping[TabletAlias, Stopped],
    *,
    same_cell_only: bool = False,
) -> CandidateSet:
    """Put together what an election goes by after the primary of `view` was lost and `stopped` were stopped.

    A tablet whose record cannot be read counts as the worst that it may be, a REPLICA.
    """
    primary = last_primary(view)
    status = _status_as_primary(primary)
    known = {tablet.alias for tablet in view.tablets}
    unreadable = [Member(alias, TabletType.REPLICA) for alias in sorted(view.bad_records) if alias not in known]
    waited = status is not None and _waits_for(status) > 0
    enough = status is not None and status.semi_sync.primary_clients >= (
        policy.required_acks(member(primary)) if primary is not None else 0
    )
    return CandidateSet(
        members=[*map(member, view.tablets), *unreadable],
        stopped=stopped,
        primary=primary.alias if primary is not None else view.shard_record.primary_alias,
        primary_uuids=_primary_uuids(view, primary),
        former_uuids=frozenset(
            tablet.status.server_uuid
            for tablet in view.tablets
            if tablet != primary and tablet.record.type is TabletType.PRIMARY and tablet.status is not None
        ),
        known_at_primary=status.executed if status is not None else EMPTY_GTID_SET,
        # MySQL adds a transaction to gtid_executed only after the wait (AFTER_SYNC), but after a crash it adds those
        # too that nobody acknowledged; a server that just came back has no semi-sync clients yet.
        seen_at_primary=status.executed if status is not None and waited and enough else EMPTY_GTID_SET,
        semi_sync=semi_sync_seen(view, policy),
        lost=_lost(view, stopped),
        excused=excused(view, stopped.keys()),
        unreadable=frozenset(view.bad_records),
        heirs=possible_heirs(view, policy),
        never_read=view.never_read,
        same_cell_only=same_cell_only,
        newest_term=newest_term(view),
    )


def _lost(view: ShardView, stopped: Mapping[TabletAlias, Stopped]) -> dict[TabletAlias, GtidSet]:
    """What stopped tablets said at any time that they had received, and do not have now that they are stopped."""
    lost = {
        tablet.alias: tablet.lost.union(tablet.status.received).difference(stopped[tablet.alias].received)
        for tablet in view.tablets
        if tablet.alias in stopped and tablet.status is not None
    }
    return {alias: gone for alias, gone in lost.items() if gone}


def newest_term(view: ShardView) -> int:
    """The latest time, in nanoseconds since the Unix epoch, since which anybody is known to have been primary."""
    terms = (t.record.primary_term_start for t in view.tablets if t.record.type is TabletType.PRIMARY)
    return max(view.shard_record.primary_term_start, *terms, 0)


def last_primary(view: ShardView) -> TabletView | None:
    """The tablet that is primary, or was when the shard record was last written; None if it has no tablet record."""
    return view.primary or view.tablet(view.shard_record.primary_alias)


def semi_sync_seen(view: ShardView, policy: DurabilityPolicy) -> SemiSyncSeen:
    """Return how many acknowledgements the primary was seen to wait for, and who gives some that the policy does not
    ask for.

    A tablet in BACKUP or RESTORE is no stray: it does not replicate while its files are copied, and it is never
    waited for.
    """
    primary = last_primary(view)
    if primary is None or not policy.has_semi_sync:
        return NOTHING_SEEN
    status = _status_as_primary(primary)
    waits = _waits_for(status) if status is not None else None
    strays = (
        tablet.alias
        for tablet in view.replicas_of(primary)
        if tablet.status is not None
        and tablet.status.semi_sync.replica_enabled
        and tablet.record.type not in _BUSY_TYPES
        and not policy.may_ack(member(primary), member(tablet))
    )
    return SemiSyncSeen(
        wait_counts={primary.alias: waits} if waits is not None else {},
        strays=frozenset(strays),
    )


def excused(view: ShardView, reached: Collection[TabletAlias]) -> dict[TabletAlias, str]:
    """Name tablets that do not have to be reached to replace the primary of `view`, each with the sentence why.

    It takes the word of two tablet managers, its own and the primary's, that their MySQL is down, and the last status
    of the primary, from a time when the other had been down for `SETTLED` seconds. Then:

    * What it acknowledged, it did before that status, so the primary had committed it by then, and earlier terms'
      writes too: it is in that status. If the `reached` tablets have received all of that, they lack nothing that it
      holds.
    * What was acknowledged after that status, it did not acknowledge, being down; so others did, who are counted.
    * Neither it nor the primary takes part in a commit now. A MySQL that comes back replicates only when its tablet
      manager lets it, and is read-only (`skip_replica_start` and `super_read_only` in Vitess' `my.cnf`).

    Between two probes it could have come up, acknowledged and gone again; its tablet manager would have had to put
    replication right in that time. Nobody is excused if the primary was never seen as such, or fails in another way:
    one that is silent may be alive and get acknowledgements from a server that comes back.
    """
    primary = last_primary(view)
    status = _status_as_primary(primary)
    if primary is None or status is None or primary.failure is not ProbeFailure.MYSQL_DOWN:
        return {}
    held = EMPTY_GTID_SET.union(
        *(
            tablet.current_status.received
            for tablet in view.tablets
            if tablet.alias in reached and tablet.current_status is not None and tablet.record.type in ACKING_TYPES
        )
    )
    if not held.contains(status.executed):
        return {}
    return {
        tablet.alias: f"its MySQL was down before {primary.alias} was last seen alive, and what {primary.alias} had "
        f"committed by then was received by tablets that were reached"
        for tablet in view.tablets
        if tablet.alias not in {primary.alias, *reached} and _was_down_before(tablet, primary)
    }


def _was_down_before(tablet: TabletView, primary: TabletView) -> bool:
    """Whether it was down when the primary was last seen alive, and still was when the primary was down."""
    times = (tablet.failure_since, tablet.probed_at, primary.status_at, primary.failure_since)
    down, last, alive, died = times
    if tablet.failure is not ProbeFailure.MYSQL_DOWN or down is None or last is None or alive is None or died is None:
        return False
    return down + SETTLED <= alive and last >= died


def _primary_uuids(view: ShardView, primary: TabletView | None) -> frozenset[str]:
    if primary is None:
        return frozenset()
    uuids = {primary.status.server_uuid} if primary.status is not None else set()
    for replica in view.replicas_of(primary):
        if replica.status is not None and replica.status.replication is not None:
            uuids.add(replica.status.replication.source_uuid)
    return frozenset(uuids - {""})


def _status_as_primary(primary: TabletView | None) -> TabletStatus | None:
    """Its last status, if it was taking writes then; what it said as a replica says nothing about its term."""
    status = primary.status if primary is not None else None
    if status is None or status.read_only or status.has_source or status.disk_stalled:
        return None
    return status


def _waits_for(status: TabletStatus) -> int:
    """How many acknowledgements its commits waited for; 0 too if semi-sync had fallen back to asynchronous.

    A server that does not tell the count waits for one at least (MySQL manual,
    rpl_semi_sync_source_wait_for_replica_count).
    """
    semi_sync = status.semi_sync
    if not (semi_sync.primary_enabled and semi_sync.primary_active):
        return 0
    return max(1, semi_sync.wait_for_replica_count)
