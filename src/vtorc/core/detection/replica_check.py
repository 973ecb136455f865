"""Checks the tablets that have no record as primary."""

import math
from collections.abc import Iterator

from vtorc.core.detection.errant_gtids import errant_gtids
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import names
from vtorc.core.detection.replication_errors import (
    Culprit,
    ReplicationError,
    brief_error,
    error_of,
    lasting_error,
)
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.detection.thresholds import CUT_OFF_AFTER
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import TabletView


class ReplicaCheck(ShardCheck):
    """The checks of replicas, and of errant transactions on all tablets.

    BACKUP, RESTORE and DRAINED tablets are never repaired, as in Vitess. Vitess drains a tablet because of errant
    transactions and reports nothing more of them; vtorc does.
    """

    def findings(self) -> Iterator[Finding]:
        """Yield how the replicas are set up wrongly, and which tablets have errant transactions."""
        for tablet in self.view.tablets:
            if tablet is not self.primary:
                yield from self._rolled_back(tablet)
            if tablet.is_replica_type:
                yield from self._replica(tablet)
            elif tablet.record.type is not TabletType.PRIMARY and tablet.is_current and self.primary is not None:
                yield from self._errant(tablet, self.primary)

    def _rolled_back(self, tablet: TabletView) -> Iterator[Finding]:
        """Yield that the tablet has lost transactions of its own, whatever its type: it is a former primary then."""
        if lost := self.rolled_back.get(tablet.alias):
            what = (
                f"has lost {lost.brief()}, which it wrote itself, and never gets them back by replication: rebuild it "
                f"from a backup or from another tablet"
            )
            yield self.found(Code.REPLICA_ROLLED_BACK, tablet, what, lost=lost)

    def _replica(self, tablet: TabletView) -> Iterator[Finding]:
        if tablet.failure is not None and tablet.failure is not ProbeFailure.SHUT_DOWN:
            yield self.found(Code.INVALID_REPLICA, tablet, tablet.failure_phrase)
        status = tablet.current_status
        if status is None or status.disk_stalled:
            return
        if self._is_declared(tablet):
            what = "has a record as replica and declares itself primary, so its record may be late"
            yield self.found(Code.NOT_CONNECTED_TO_PRIMARY, tablet, what, confirmed=False)
            return
        if not status.read_only:
            yield self.found(Code.REPLICA_IS_WRITABLE, tablet, "is a replica and is writable")
        if self.primary is None:
            return
        yield from self._source(tablet, self.primary)
        yield from self._semi_sync(tablet, self.primary)
        yield from self._errant(tablet, self.primary)

    def _is_declared(self, tablet: TabletView | None) -> bool:
        return any(declared is tablet for declared in self.self_declared_primaries)

    def _source(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        replication = status.replication if status is not None else None
        if replication is None or not replication.has_source:
            yield self.found(
                Code.NOT_CONNECTED_TO_PRIMARY, tablet, f"has no source; it should replicate from {primary.alias}"
            )
            return
        if not self.view.replicates_from(tablet, primary):
            other = self.view.at_address(replication.source_address)
            source = str(other.alias) if other is not None else "{}:{}".format(*replication.source_address)
            what = f"replicates from {source}; it should replicate from {primary.alias}"
            if is_declared := self._is_declared(other):
                what += f", but {source} declares itself primary, so the records may be late"
            yield self.found(Code.CONNECTED_TO_WRONG_PRIMARY, tablet, what, confirmed=not is_declared)
            return
        # The same server under another address: a primary that was scheduled elsewhere took its data along. A replica
        # that reaches it under the old name, or by another name of the same host, stays as it is.
        at = primary.record.mysql_address
        connects = replication.io_state is ThreadState.CONNECTING
        if primary.record.has_mysql_address and replication.source_address != at and connects:
            old, new = ("{}:{}".format(*address) for address in (replication.source_address, at))
            what = f"tries to reach {primary.alias} at {old}, but it is at {new}"
            yield self.found(Code.CONNECTED_TO_WRONG_PRIMARY, tablet, what)
            return
        # Otherwise a connecting thread does as it was told, and only its source can help it, or the network between.
        if (error := lasting_error(replication)) is not None:
            yield self._broken(tablet, primary, replication, error)
        elif replication.io_state is ThreadState.STOPPED or replication.sql_state is ThreadState.STOPPED:
            why = replication.last_sql_error or replication.last_io_error
            what = "has stopped replicating" + (f": {why}" if why else "")
            yield self.found(
                Code.REPLICATION_STOPPED, tablet, what, io=replication.io_state.name, sql=replication.sql_state.name
            )
        elif connects and self._is_cut_off(tablet, primary):
            why = f" ({brief_error(replication.last_io_error)})" if replication.last_io_error else ""
            yield self.found(
                Code.REPLICA_CUT_OFF, tablet, f"cannot connect to {primary.alias}, which answers vtorc{why}"
            )
        yield from self._misconfigured(tablet)

    def _is_cut_off(self, tablet: TabletView, primary: TabletView) -> bool:
        """Return whether the replica has long tried in vain to connect to a primary that answers vtorc.

        A shard with such a replica was called healthy, although it might be the last one to lose before writes stop.
        """
        since = tablet.memory.not_receiving_since
        return primary.current_status is not None and since is not None and self.now - since >= CUT_OFF_AFTER

    def _broken(
        self, tablet: TabletView, primary: TabletView, replication: ReplicationStatus, error: ReplicationError
    ) -> Finding:
        """Return that replication has met an error that a restart cannot change, with its number and what helps."""
        text = replication.last_sql_error if error_of(replication.last_sql_error) is error else ""
        words = brief_error(text or replication.last_io_error)
        what = f"{error.meaning} (MySQL error {error.number}: {words}); {error.advice}"
        if error.culprit is Culprit.SOURCE and (others := self._could_feed(tablet, primary)):
            what += f"; {names(others)} could feed it as primary (PlannedReparentShard --new-primary)"
        at = "{}:{}".format(*replication.source_address)
        return self.found(
            Code.REPLICATION_BROKEN,
            tablet,
            what,
            cause=f"{error.number} from {at} at {replication.executed}",
            error=error.number,
            io=replication.io_state.name,
            sql=replication.sql_state.name,
        )

    def _could_feed(self, tablet: TabletView, primary: TabletView) -> list[TabletView]:
        """Return the other replicas that have all that the tablet lacks, and still have it in their binary logs."""
        mine, source = tablet.current_status, primary.current_status
        if mine is None or source is None:
            return []
        lacks = source.executed.difference(mine.executed)
        purged_there = lacks.intersection(source.purged)
        return [
            t
            for t in self.view.tablets
            if t.record.type is TabletType.REPLICA
            and t.alias != tablet.alias
            and (other := t.current_status) is not None
            and other.executed.contains(purged_there)
            and not other.purged.intersection(lacks)
        ]

    def _misconfigured(self, tablet: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        if status is None or status.heartbeat_interval is None or not status.replica_net_timeout:
            return
        if math.floor(2 * status.heartbeat_interval + 0.5) != status.replica_net_timeout:
            what = (
                f"has a heartbeat interval of {status.heartbeat_interval:g} s for a replica_net_timeout of "
                f"{status.replica_net_timeout} s; half of that would be right"
            )
            yield self.found(Code.REPLICA_MISCONFIGURED, tablet, what)

    def _semi_sync(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        """Yield whether its side of semi-sync is set wrongly.

        It is never to be set on a tablet with another source, which would get the acknowledgements: a former primary
        could commit with them. Pointing such a tablet at the primary sets it as well.
        """
        status = tablet.current_status
        if self.policy is None or status is None or not status.has_source:
            return
        should = self.policy.may_ack(primary.member, tablet.member)
        if should and (hollow := self._hollow_acker(self.policy, tablet, primary)):
            if status.semi_sync.replica_enabled:
                what = f"has semi-sync on and {hollow}, while fit replicas can give all acknowledgements"
                yield self.found(Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, tablet, what)
            return
        acknowledges_for_it = should and self.view.replicates_from(tablet, primary)
        if acknowledges_for_it and not status.semi_sync.replica_enabled:
            what = f"has semi-sync off, but the policy {self.policy.name} lets it acknowledge for {primary.alias}"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        elif acknowledges_for_it and tablet.receives_without_acknowledging:
            what = f"receives from {primary.alias} without acknowledging until its IO thread connects again"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        if not should and status.semi_sync.replica_enabled:
            what = f"has semi-sync on, but the policy {self.policy.name} forbids it to acknowledge for {primary.alias}"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, tablet, what)

    def _hollow_acker(self, policy: DurabilityPolicy, tablet: TabletView, primary: TabletView) -> str:
        """Return why a replica cannot acknowledge, or why its acknowledgements keep no write safe; empty if they do, or
        if there are too few others.

        A replica with filters may be the first to acknowledge a write, and no tablet has its row if the primary ends
        then. With too few fit ackers it is let acknowledge, as writes would stop.
        """
        fitness = self.fitness_of(tablet)
        if why := fitness.why_not(Use.ACKNOWLEDGE):
            return why
        flaws = [flaw for flaw in fitness.flaws if Use.ACKNOWLEDGE in flaw.fact.traits.last]
        if not flaws or primary.status is None:
            return ""
        fit = [
            other
            for other in self.view.replicas_of(primary)
            if policy.may_ack(primary.member, other.member)
            and other.would_acknowledge
            and other.is_receiving
            and not self.fitness_of(other).is_last_choice(Use.ACKNOWLEDGE)
        ]
        needed = max(policy.required_acks(primary.member), primary.status.semi_sync.wait_for_replica_count)
        return flaws[0].why if len(fit) >= needed else ""

    def _errant(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        if extra := errant_gtids(tablet, primary):
            yield self.found(
                Code.ERRANT_GTID_DETECTED,
                tablet,
                f"has transactions that {primary.alias} lacks: {extra.brief()}",
                errant=extra,
            )
