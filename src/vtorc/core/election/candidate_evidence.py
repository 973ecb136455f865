"""Makes the `CandidateSet` of an election: all that a shard view proves about the writes of its last primary."""

import math
from collections.abc import Mapping
from dataclasses import replace

from vtorc.core.election.ack_arithmetic import NOTHING_SEEN, ObservedSemiSync
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.last_primary import LastPrimary, last_primary
from vtorc.core.election.past_ackers import PastAckers
from vtorc.core.election.protection import earlier_protection
from vtorc.core.election.unexplained_ackers import SETTLED, are_assumed, counted_without, unexplained_clients
from vtorc.core.election.unseen_promotions import possible_unseen_promotions
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.fitness import FIT, Fitness, shard_fitness
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import ShardView, TabletView


def candidate_set(
    view: ShardView,
    policy: DurabilityPolicy,
    stopped: Mapping[TabletAlias, StoppedTablet],
    *,
    same_cell_only: bool = False,
) -> CandidateSet:
    """Put together what an election goes by after the primary of `view` was lost and `stopped` were stopped.

    A tablet with a record that cannot be read counts as the worst that it may be, a REPLICA. One that was rebuilt since
    the primary was last seen at work does not count as stopped: it lost the writes that it held.
    """
    primary, fitness = last_primary(view), shard_fitness(view, policy)
    earlier = earlier_protection(view, policy, primary)
    went_back = rolled_back(view)
    rebuilt = _rebuilt(view, earlier or policy, primary, _proving(stopped, fitness), went_back)
    rebuilt_stopped = {alias: each for alias, each in stopped.items() if alias in rebuilt}
    stopped = {alias: each for alias, each in stopped.items() if alias not in rebuilt}
    is_matched = primary is not None and primary.is_matched_by(_proving(stopped, fitness))
    past = _past_ackers(view, earlier or policy, primary, is_matched=is_matched)
    term = primary.observed_term if primary is not None else None
    primary_alias = primary.alias if primary is not None else view.shard_record.primary_alias
    known = {tablet.alias for tablet in view.tablets}
    unreadable = [Member(alias, TabletType.REPLICA) for alias in sorted(view.bad_records) if alias not in known]
    return CandidateSet(
        members=[*(tablet.member for tablet in view.tablets), *unreadable],
        stopped=stopped,
        primary=primary_alias,
        primary_uuids=_primary_uuids(view, primary),
        former_uuids=_former_uuids(view, primary),
        primary_executed=term.executed if term is not None else EMPTY_GTID_SET,
        primary_committed=term.committed if term is not None else EMPTY_GTID_SET,
        semi_sync=_with_unknown_ackers(_observed_semi_sync(primary, past), view, primary_alias),
        lost_after_receipt=_lost_after_receipt(view, stopped),
        rebuilt=rebuilt,
        rebuilt_stopped=rebuilt_stopped,
        rolled_back=went_back,
        silent=past.silent() if past is not None else frozenset(),
        exempt=_exempt(view, primary, stopped) if is_matched else {},
        unreadable=frozenset(view.bad_records),
        unseen_promotions=possible_unseen_promotions(view, earlier or policy),
        unreachable_cells=frozenset(view.unreachable_cells),
        never_read_cells=view.never_read_cells,
        purged={t.alias: t.status.purged for t in view.tablets if t.status is not None},
        fitness=fitness,
        held=held_back(view),
        wishes=wishes(view),
        same_cell_only=same_cell_only,
        newest_term=newest_term(view),
        earlier_protection=earlier,
    )


def held_back(view: ShardView) -> dict[TabletAlias, str]:
    """Return the tablets that a hold forbids to promote, each with the end of a sentence that says whose."""
    return {t.alias: why for t in view.tablets if (why := view.holds.why_not_promoted(t.alias))}


def wishes(view: ShardView) -> dict[TabletAlias, PromotionRule]:
    """Return how much operators want tablets as primary; nothing of those that they say nothing of."""
    return {t.alias: rule for t in view.tablets if (rule := view.holds.wish(t.alias)) is not None}


def newest_term(view: ShardView) -> int:
    """Return the latest known beginning of a term, in nanoseconds since the Unix epoch; 0 if none is known."""
    terms = (t.record.primary_term_start for t in view.tablets if t.record.type is TabletType.PRIMARY)
    return max(view.shard_record.primary_term_start, *terms, 0)


def as_if_stopped(view: ShardView) -> dict[TabletAlias, StoppedTablet]:
    """Return the tablets that answer, as if they had been stopped right then: what may be hoped for before any is."""
    return {
        t.alias: StoppedTablet(
            member=t.member,
            server_uuid=t.status.server_uuid,
            executed=t.status.executed,
            received=t.status.received,
            source_uuid=t.status.replication.source_uuid if t.status.replication is not None else "",
            was_standing=t.status.replication is not None and t.status.replication.sql_state is ThreadState.STOPPED,
        )
        for t in view.tablets
        if t.is_current and t.status is not None
    }


def semi_sync_seen(
    view: ShardView, policy: DurabilityPolicy, stopped: Mapping[TabletAlias, StoppedTablet]
) -> ObservedSemiSync:
    """Return how many acknowledgements the primary was seen to wait for, and which tablets may have given others.

    Those are tablets of which the policy does not ask any. The logs of the `stopped` tablets are known.
    """
    primary = last_primary(view)
    proving = _proving(stopped, shard_fitness(view, policy))
    is_matched = primary is not None and primary.is_matched_by(proving)
    protection = earlier_protection(view, policy, primary) or policy
    return _observed_semi_sync(primary, _past_ackers(view, protection, primary, is_matched=is_matched))


def _rebuilt(
    view: ShardView,
    policy: DurabilityPolicy,
    primary: LastPrimary | None,
    stopped: Mapping[TabletAlias, StoppedTablet],
    went_back: Mapping[TabletAlias, GtidSet],
) -> dict[TabletAlias, str]:
    """Name the tablets that answer and have lost what they acknowledged or wrote, each with the sentence that tells
    how.
    """
    if primary is None:
        return {}
    past = _past_ackers(view, policy, primary, is_matched=primary.is_matched_by(stopped))
    rebuilt = dict(past.rebuilt()) if past is not None else {}
    if successor := primary.replaced_by(view):
        rebuilt[primary.alias] = (
            f"{primary.alias} is server {successor} now, which is not the one that was primary and has none of its "
            f"writes; start that server's data directory again, or reach its replicas"
        )
    elif lost := went_back.get(primary.alias):
        rebuilt[primary.alias] = (
            f"{primary.alias} answers, but has lost {lost.brief()}, which it wrote itself, so it may have lost more"
        )
    return rebuilt


def _proving(
    stopped: Mapping[TabletAlias, StoppedTablet], fitness: Mapping[TabletAlias, Fitness]
) -> dict[TabletAlias, StoppedTablet]:
    """Return the tablets whose GTIDs prove that they have the data."""
    return {alias: each for alias, each in stopped.items() if fitness.get(alias, FIT).may(Use.HOLD)}


def _past_ackers(
    view: ShardView, policy: DurabilityPolicy, primary: LastPrimary | None, *, is_matched: bool
) -> PastAckers | None:
    if primary is None or not policy.has_semi_sync:
        return None
    return PastAckers(view=view, policy=policy, primary=primary, is_matched=is_matched)


def _observed_semi_sync(primary: LastPrimary | None, past: PastAckers | None) -> ObservedSemiSync:
    if primary is None or past is None:
        return NOTHING_SEEN
    term = primary.observed_term
    if term is None:
        return ObservedSemiSync(past_ackers=past.past_ackers())
    timed_out = primary.may_have_timed_out
    return ObservedSemiSync(
        wait_counts={primary.alias: 0 if timed_out else term.wait_count},
        ack_timeouts={primary.alias: term.ack_timeout} if timed_out else {},
        past_ackers=past.past_ackers(),
    )


def _with_unknown_ackers(
    seen: ObservedSemiSync, view: ShardView, primary_alias: TabletAlias | None
) -> ObservedSemiSync:
    """Add the servers without a tablet record that the primary counted among its semi-sync clients.

    The count stays true when the record of the primary is gone.
    """
    unknown = unexplained_clients(view, primary_alias)
    if not unknown or primary_alias is None:
        return seen
    assumed = frozenset({primary_alias}) if are_assumed(view, primary_alias) else frozenset()
    return replace(seen, unknown_ackers={primary_alias: unknown}, assumed_unknown=assumed)


def _lost_after_receipt(view: ShardView, stopped: Mapping[TabletAlias, StoppedTablet]) -> dict[TabletAlias, GtidSet]:
    """Return what stopped tablets once said that they had received, and do not have now that they are stopped.

    A last answer that tells of a stalled disk alone hides what the tablet had told before.
    """
    lost = {
        tablet.alias: EMPTY_GTID_SET.union(
            tablet.memory.lost_after_receipt, tablet.memory.received, tablet.status.received
        ).difference(stopped[tablet.alias].received)
        for tablet in view.tablets
        if tablet.alias in stopped and tablet.status is not None
    }
    return {alias: gone for alias, gone in lost.items() if gone}


def _exempt(
    view: ShardView, primary: LastPrimary | None, stopped: Mapping[TabletAlias, StoppedTablet]
) -> dict[TabletAlias, str]:
    """Name the tablets that do not have to be reached to replace `primary`, each with the sentence why.

    The `stopped` tablets have received all that the primary had executed when it was last seen at work.

    Two tablet managers have to say that their MySQL is down: that of such a tablet and that of the primary. The last
    status of the primary has to be from a time when the other had been down for `SETTLED` seconds. Then:

    * The writes that the tablet acknowledged, it acknowledged before that status. The primary had committed them by
      then, and the writes of earlier terms too, so they are in that status. The stopped tablets have received all of
      it, so they lack no write that the tablet holds.
    * The writes that were acknowledged after that status, other tablets acknowledged, as this one was down. Those are
      counted.
    * It was down indeed, by the primary's own count of semi-sync clients. A tablet manager says the same of a mysqld
      that lives, when only the socket between the two is gone.
    * Neither the tablet nor the primary takes part in a commit now. A MySQL that comes back replicates only when its
      tablet manager lets it, and is read-only (`skip_replica_start` and `super_read_only` in Vitess' `my.cnf`).

    Between two probes it could have come up, acknowledged and gone again; its tablet manager would have had to put
    replication right in that time. No tablet is exempt if the primary was never seen at work, or fails in another way.
    A silent primary may be alive and get acknowledgements from a server that comes back.
    """
    if primary is None or primary.tablet.failure is not ProbeFailure.MYSQL_DOWN:
        return {}
    return {
        tablet.alias: f"its MySQL was down before {primary.alias} was last seen alive, and reached tablets have "
        f"received all that {primary.alias} had committed by then"
        for tablet in view.tablets
        if tablet.alias not in {primary.alias, *stopped} and _was_down_before(tablet, primary, view)
    }


def _was_down_before(tablet: TabletView, primary: LastPrimary, view: ShardView) -> bool:
    """Whether it was down when the primary was last seen at work, and still was when the primary was down.

    A primary that waited for acknowledgements must have counted its clients without it since. A probe that fails found
    MySQL down at some moment before it ended, so that its end is what counts. If no tablet was heard for long since
    then, it may have come up in that time.
    """
    probe, died_at = tablet.last_probe, primary.tablet.last_probe.same_failure_since
    if tablet.failure is not ProbeFailure.MYSQL_DOWN or primary.observed_term is None or died_at is None:
        return False
    if probe.same_failure_since is None or probe.ended_at is None:
        return False
    down_since, term = probe.same_failure_since + SETTLED, primary.observed_term
    if term.wait_count and not counted_without(view, tablet, primary.alias, down_since=down_since):
        return False
    was_heard = tablet.memory.unheard_until <= term.seen_at
    return was_heard and down_since <= term.seen_at and probe.ended_at >= died_at


def _former_uuids(view: ShardView, primary: LastPrimary | None) -> frozenset[str]:
    """Return the UUIDs of servers that were primary before the last one at most.

    They are of tablets that have the record of a former primary, or that were gone when the last primary was still seen
    at work. A replica that had missed a failover followed such a one, and held up the next for ever.
    """
    former = {
        tablet.status.server_uuid
        for tablet in view.tablets
        if tablet.record.type is TabletType.PRIMARY
        and tablet.status is not None
        and (primary is None or tablet.alias != primary.alias)
    }
    term = primary.observed_term if primary is not None else None
    replaced = (each for tablet in view.tablets for each in tablet.memory.replaced_servers.items())
    seen_at = term.seen_at if term is not None else -math.inf
    gone = {uuid for uuid, server in replaced if server.was_primary and server.gone_at + SETTLED <= seen_at}
    return frozenset(former | gone)


def _primary_uuids(view: ShardView, primary: LastPrimary | None) -> frozenset[str]:
    """Return the UUIDs of servers that the last primary's writes may carry: as it told them, or as its replicas do."""
    if primary is None:
        return frozenset()
    status, term = primary.tablet.status, primary.observed_term
    uuids = {status.server_uuid if status is not None else "", term.server_uuid if term is not None else ""}
    for replica in view.replicas_of(primary.tablet):
        if replica.status is not None and replica.status.replication is not None:
            uuids.add(replica.status.replication.source_uuid)
    return frozenset(uuids - {""})
