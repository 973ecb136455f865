"""What a shard view proves about the writes of its last primary: makes the `CandidateSet` of an election."""

import math
from collections.abc import Mapping

from vtorc.core.election.ack_arithmetic import NOTHING_SEEN, ObservedSemiSync
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.past_ackers import SETTLED, PastAckers, held_by
from vtorc.core.election.unseen_promotions import possible_unseen_promotions
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.views import ShardView, TabletView


def candidate_set(
    view: ShardView,
    policy: DurabilityPolicy,
    stopped: Mapping[TabletAlias, StoppedTablet],
    *,
    same_cell_only: bool = False,
) -> CandidateSet:
    """Put together what an election goes by after the primary of `view` was lost and `stopped` were stopped.

    A tablet whose record cannot be read counts as the worst that it may be, a REPLICA. One that was restored from a
    backup since the primary was last seen at work does not count as stopped: what it held is gone.
    """
    primary = last_primary(view)
    observed_term = observed_term_of(view, primary)
    if primary is not None and policy.has_semi_sync:
        rebuilt = PastAckers(view, policy, primary, observed_term, stopped).rebuilt()
        stopped = {alias: each for alias, each in stopped.items() if alias not in rebuilt}
    known = {tablet.alias for tablet in view.tablets}
    unreadable = [Member(alias, TabletType.REPLICA) for alias in sorted(view.bad_records) if alias not in known]
    return CandidateSet(
        members=[*(tablet.member for tablet in view.tablets), *unreadable],
        stopped=stopped,
        primary=primary.alias if primary is not None else view.shard_record.primary_alias,
        primary_uuids=_primary_uuids(view, primary),
        former_uuids=frozenset(
            tablet.status.server_uuid
            for tablet in view.tablets
            if tablet != primary and tablet.record.type is TabletType.PRIMARY and tablet.status is not None
        ),
        known_at_primary=observed_term.executed if observed_term is not None else EMPTY_GTID_SET,
        seen_at_primary=observed_term.committed if observed_term is not None else EMPTY_GTID_SET,
        semi_sync=semi_sync_seen(view, policy, stopped),
        lost=_lost(view, stopped),
        exempt=exempt(view, stopped),
        unreadable=frozenset(view.bad_records),
        unseen_promotions=possible_unseen_promotions(view, policy),
        never_read_cells=view.never_read_cells,
        purged={t.alias: t.status.purged for t in view.tablets if t.status is not None},
        same_cell_only=same_cell_only,
        newest_term=newest_term(view),
    )


def _lost(view: ShardView, stopped: Mapping[TabletAlias, StoppedTablet]) -> dict[TabletAlias, GtidSet]:
    """What stopped tablets said at any time that they had received, and do not have now that they are stopped."""
    lost = {
        tablet.alias: tablet.memory.lost_after_receipt.union(tablet.status.received).difference(
            stopped[tablet.alias].received
        )
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


def as_if_stopped(view: ShardView) -> dict[TabletAlias, StoppedTablet]:
    """The tablets that answer, as if they had been stopped right then: what may be hoped for before anything is."""
    return {
        t.alias: StoppedTablet(
            member=t.member,
            server_uuid=t.status.server_uuid,
            executed=t.status.executed,
            received=t.status.received,
            source_uuid=t.status.replication.source_uuid if t.status.replication is not None else "",
        )
        for t in view.tablets
        if t.is_current and t.status is not None
    }


def observed_term_of(view: ShardView, primary: TabletView | None) -> ObservedTerm | None:
    """What was seen of the last primary in its present term; what it showed in an earlier one does not count."""
    if primary is None or primary.memory.observed_term is None:
        return None
    record = primary.record
    is_primary = record.type is TabletType.PRIMARY
    term = record.primary_term_start if is_primary else view.shard_record.primary_term_start
    observed_term = primary.memory.observed_term
    return observed_term if observed_term.is_of(term) else None


def semi_sync_seen(
    view: ShardView, policy: DurabilityPolicy, stopped: Mapping[TabletAlias, StoppedTablet]
) -> ObservedSemiSync:
    """Return how many acknowledgements the primary was seen to wait for, and who may have given some that the policy
    does not ask for; `stopped` are the tablets whose logs are known.
    """
    primary = last_primary(view)
    if primary is None or not policy.has_semi_sync:
        return NOTHING_SEEN
    observed_term = observed_term_of(view, primary)
    waits = {primary.alias: observed_term.wait_count} if observed_term is not None else {}
    ack_timeouts = {}
    if observed_term is not None and _may_have_given_up(primary, observed_term):
        waits, ack_timeouts = {primary.alias: 0}, {primary.alias: observed_term.ack_timeout}
    return ObservedSemiSync(
        wait_counts=waits,
        ack_timeouts=ack_timeouts,
        past_ackers=PastAckers(view, policy, primary, observed_term, stopped).past_ackers(),
    )


def _may_have_given_up(primary: TabletView, observed_term: ObservedTerm) -> bool:
    """Whether its commits may have gone on without the acknowledgements that they were seen to wait for.

    With a finite `rpl_semi_sync_source_timeout` a commit that waited so long returns, and those after it wait for
    nobody until a replica has caught up (MySQL manual, "Semisynchronous Replication"): a primary that is cut off does
    so while we hear nothing of it. One that was at work less than that before its own tablet found its MySQL down
    had no time for it, unless a commit waited already; where the tablet tells that, it is believed.
    """
    if math.isinf(observed_term.ack_timeout) or not observed_term.wait_count:
        return False
    if primary.failure is not ProbeFailure.MYSQL_DOWN or primary.last_probe.same_failure_since is None:
        return True
    if primary.status is not None and primary.status.semi_sync_blocked:
        return True
    return primary.last_probe.same_failure_since >= observed_term.semi_sync_active_at + observed_term.ack_timeout


def exempt(view: ShardView, stopped: Mapping[TabletAlias, StoppedTablet]) -> dict[TabletAlias, str]:
    """Name tablets that do not have to be reached to replace the primary of `view`, each with the sentence why.

    It takes the word of two tablet managers, its own and the primary's, that their MySQL is down, and the last status
    of the primary, from a time when the other had been down for `SETTLED` seconds. Then:

    * What it acknowledged, it did before that status, so the primary had committed it by then, and earlier terms'
      writes too: it is in that status. If the `stopped` tablets have received all of that, they lack nothing that it
      holds.
    * What was acknowledged after that status, it did not acknowledge, being down; so others did, who are counted.
    * Neither it nor the primary takes part in a commit now. A MySQL that comes back replicates only when its tablet
      manager lets it, and is read-only (`skip_replica_start` and `super_read_only` in Vitess' `my.cnf`).

    Between two probes it could have come up, acknowledged and gone again; its tablet manager would have had to put
    replication right in that time. Nobody is excused if the primary was never seen as such, or fails in another way:
    one that is silent may be alive and get acknowledgements from a server that comes back.
    """
    primary = last_primary(view)
    observed_term = observed_term_of(view, primary)
    if primary is None or observed_term is None or primary.failure is not ProbeFailure.MYSQL_DOWN:
        return {}
    if not held_by(stopped).contains(observed_term.executed):
        return {}
    return {
        tablet.alias: f"its MySQL was down before {primary.alias} was last seen alive, and reached tablets have "
        f"received all that {primary.alias} had committed by then"
        for tablet in view.tablets
        if tablet.alias not in {primary.alias, *stopped} and _was_down_before(tablet, primary, observed_term)
    }


def _was_down_before(tablet: TabletView, primary: TabletView, observed_term: ObservedTerm) -> bool:
    """Whether it was down when the primary was last seen at work, and still was when the primary was down.

    A probe that fails found MySQL down at some moment before it ended, so that its end is what counts.
    """
    down, last, died = (
        tablet.last_probe.same_failure_since,
        tablet.last_probe.ended_at,
        primary.last_probe.same_failure_since,
    )
    if tablet.failure is not ProbeFailure.MYSQL_DOWN or down is None or last is None or died is None:
        return False
    return down + SETTLED <= observed_term.seen_at and last >= died


def _primary_uuids(view: ShardView, primary: TabletView | None) -> frozenset[str]:
    if primary is None:
        return frozenset()
    observed_term = observed_term_of(view, primary)
    uuids = {
        primary.status.server_uuid if primary.status is not None else "",
        observed_term.server_uuid if observed_term else "",
    }
    for replica in view.replicas_of(primary):
        if replica.status is not None and replica.status.replication is not None:
            uuids.add(replica.status.replication.source_uuid)
    return frozenset(uuids - {""})
