"""Names everything that is wrong with a shard: `analyse(ShardView, …) -> findings`, most urgent first.

Conditions follow Vitess (`go/vt/vtorc/inst/analysis_problem.go`) where it has the code. They are stricter where Vitess
acts on too little. A primary is dead only on evidence newer than its failure. A tablet is deleted only if its cell
could be read. No primary is replaced, and no tablet repaired, around a self-declared primary.
"""

import math
from collections.abc import Iterator

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.lost_primary import LostPrimary
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import names
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import KeyspaceType
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView


def analyse(
    view: ShardView, policy: DurabilityPolicy | None, thresholds: DetectionThresholds, now: float
) -> tuple[Finding, ...]:
    """Return all problems of the shard, most urgent first.

    `policy` is None where no usable policy is known; every problem that needs none is found all the same. `now` is in
    seconds on the clock of the view. SNAPSHOT keyspaces have no primary and so no problems.
    """
    if view.keyspace_record.type is KeyspaceType.SNAPSHOT:
        return ()
    return tuple(sorted(_Analysis(view, policy, thresholds, now).findings(), key=lambda finding: finding.sort_key))


class _Analysis(ShardCheck):
    def findings(self) -> Iterator[Finding]:
        yield from self._policy()
        yield from self._topology()
        if self.primary is None:
            yield from self._no_primary()
        else:
            yield from LostPrimary(self.view, self.policy, self.thresholds, self.now).findings(self.primary)
            yield from self._primary_wrong(self.primary)
            yield from self._stale_primaries(self.primary)
        for tablet in self.view.tablets:
            if tablet.is_replica_type:
                yield from self._replica(tablet)
            elif tablet.record.type is not TabletType.PRIMARY:
                yield from self._out_of_service(tablet)

    # The shard as the topology server has it

    def _policy(self) -> Iterator[Finding]:
        if self.policy is not None:
            return
        name = self.view.keyspace_record.durability_policy
        if name:
            yield self.found(
                Code.UNKNOWN_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has the durability policy {name!r}, which vtorc does not know",
            )
        else:
            yield self.found(
                Code.NO_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has no durability policy, and the configuration names no "
                f"Durability",
            )

    def _topology(self) -> Iterator[Finding]:
        for alias, reason in sorted(self.view.bad_records.items()):
            yield Finding(
                code=Code.BAD_TABLET_RECORD,
                shard=self.view.shard,
                alias=alias,
                sentence=f"{self.view.shard}: the record of tablet {alias} cannot be read and is left out ({reason})",
            )
        for cell, reason in sorted(self.view.unreachable_cells.items()):
            yield self.found(
                Code.UNREACHABLE_CELL,
                None,
                f"the topology server of cell {cell} does not answer, so its tablets are those last read ({reason})",
            )

    def _no_primary(self) -> Iterator[Finding]:
        shard = self.view.shard_record
        if not any(tablet.is_replica_type for tablet in self.view.tablets):
            return
        if not shard.primary_term_start and shard.primary_alias is None:
            what = f"no tablet is primary, and the shard record never named one{self.late_record_note}"
            confirmed = self.all_probed and not self.self_declared_primaries
            yield self.found(Code.CLUSTER_HAS_NO_PRIMARY, None, what, confirmed=confirmed)
            return
        named = shard.primary_alias
        if hidden := self._why_hidden(named):
            yield self.found(Code.UNREACHABLE_CELL, None, f"no tablet is known to be primary, but {hidden}")
            return
        confirmed = self.all_probed and not self.self_declared_primaries
        how = "has lost its tablet record"
        if (tablet := self.view.tablet(named)) is not None:
            how = "is no longer of type PRIMARY"
            # Without its answer only its replicas can tell whether it is primary all the same.
            confirmed = confirmed and (
                tablet.is_current or not any(replica.is_receiving for replica in self.view.replicas_of(tablet))
            )
        subject = f"the primary {named}" if named is not None else "the primary"
        what = f"{subject} {how}, and no other tablet is primary{self.late_record_note}"
        yield self.found(Code.PRIMARY_TABLET_DELETED, None, what, confirmed=confirmed)

    def _why_hidden(self, named: TabletAlias | None) -> str:
        """Return why the primary may exist unseen; empty if it cannot. A read that failed does not prove a deletion."""
        if named is not None and named in self.view.bad_records:
            return f"the record of {named} cannot be read"
        cells = self.view.unreachable_cells if named is None else {named.cell} & self.view.unreachable_cells.keys()
        return f"cell {min(cells)} cannot be read" if cells else ""

    # A primary that answers

    def _primary_wrong(self, primary: TabletView) -> Iterator[Finding]:
        if not primary.probed:
            return
        if primary.status is None and not self.view.replicas_of(primary):
            yield self.found(
                Code.INVALID_PRIMARY, primary, f"is the primary and has never told its status: {primary.failure_phrase}"
            )
        status = primary.current_status
        if status is None or status.disk_stalled:
            return
        if status.has_source and status.replication is not None:
            yield self._primary_has_primary(primary, status.replication)
        if status.read_only:
            yield self.found(Code.PRIMARY_IS_READ_ONLY, primary, "is the primary and is read-only")
        if status.tablet_type is not None and status.tablet_type not in (TabletType.PRIMARY, TabletType.UNKNOWN):
            what = f"is PRIMARY in the topology server but runs as {status.tablet_type.name}"
            yield self.found(Code.PRIMARY_CURRENT_TYPE_MISMATCH, primary, what)
        yield from self._primary_semi_sync(primary)

    def _primary_has_primary(self, primary: TabletView, replication: ReplicationStatus) -> Finding:
        """Return that the primary has a source: it was pointed at another server, or that server has taken its place.

        In the second case the records are late: a topology server may answer with an old state for a while (simulator,
        seed 3802).
        """
        source = self.view.at_address(replication.source_address)
        at = "{}:{}".format(*replication.source_address)
        what = f"is the primary and replicates from {at}"
        confirmed = not self.self_declared_primaries and (source is None or source.is_current)
        if self.self_declared_primaries:
            what += f", and {names(self.self_declared_primaries)} declares itself primary, so the records may be late"
        elif source is not None and not source.is_current:
            what += f", and its tablet {source.alias} does not tell whether it is primary by now"
        return self.found(Code.PRIMARY_HAS_PRIMARY, primary, what, confirmed=confirmed)

    def _primary_semi_sync(self, primary: TabletView) -> Iterator[Finding]:
        status = primary.current_status
        if self.policy is None or status is None:
            return
        needed = self.policy.required_acks(primary.member)
        if needed == 0 and status.semi_sync.primary_enabled:
            what = f"waits for acknowledgements, and the policy {self.policy.name} asks for none"
            yield self.found(Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET, primary, what)
        if needed > 0 and not status.semi_sync.primary_enabled:
            ready = [tablet for tablet in self.ackers_of(primary) if tablet.would_acknowledge and tablet.is_receiving]
            waits_for = max(needed, status.semi_sync.wait_for_replica_count)
            what = f"does not wait for acknowledgements; the policy {self.policy.name} asks for {needed}, "
            if waits_for > needed:
                what += f"its MySQL would wait for {waits_for}, "
            what += f"{len(ready)} replicas can give them"
            yield self.found(Code.PRIMARY_SEMI_SYNC_MUST_BE_SET, primary, what, confirmed=len(ready) >= waits_for)

    def ackers_of(self, primary: TabletView) -> tuple[TabletView, ...]:
        """Return the replicas of `primary` that the policy lets acknowledge for it."""
        if self.policy is None:
            return ()
        return tuple(t for t in self.view.replicas_of(primary) if self.policy.may_ack(primary.member, t.member))

    def _stale_primaries(self, primary: TabletView) -> Iterator[Finding]:
        for tablet in self.view.tablets:
            if tablet.record.type is TabletType.PRIMARY and tablet.alias != primary.alias:
                what = f"has a record as primary, but the term of {primary.alias} began later"
                later = primary.record.primary_term_start > tablet.record.primary_term_start
                if not later:
                    what = f"has a record as primary, and the term of {primary.alias} began at the same time"
                yield self.found(Code.STALE_TOPO_PRIMARY, tablet, what, confirmed=later and tablet.is_current)

    # Replicas

    def _replica(self, tablet: TabletView) -> Iterator[Finding]:
        if tablet.failure is not None and tablet.failure is not ProbeFailure.SHUT_DOWN:
            yield self.found(Code.INVALID_REPLICA, tablet, tablet.failure_phrase)
        status = tablet.current_status
        if status is None or status.disk_stalled:
            return
        if any(each is tablet for each in self.self_declared_primaries):
            what = "has a record as replica and declares itself primary, so its record may be late"
            yield self.found(Code.NOT_CONNECTED_TO_PRIMARY, tablet, what, confirmed=False)
            return
        if not status.read_only:
            yield self.found(Code.REPLICA_IS_WRITABLE, tablet, "is a replica and is writable")
        if self.primary is None:
            return
        yield from self._replica_source(tablet, self.primary)
        yield from self._replica_semi_sync(tablet, self.primary)
        yield from self._errant(tablet, self.primary)

    def _replica_source(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
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
            if is_declared := any(each is other for each in self.self_declared_primaries):
                what += f", but {source} declares itself primary, so the records may be late"
            yield self.found(Code.CONNECTED_TO_WRONG_PRIMARY, tablet, what, confirmed=not is_declared)
            return
        # The same server under another address: a primary that was scheduled elsewhere took its data along. A replica
        # that reaches it under the old name, or by another name of the same host, stays as it is.
        at = primary.record.mysql_address
        connects = replication.io_state is ThreadState.CONNECTING
        if primary.record.mysql_hostname and replication.source_address != at and connects:
            old, new = ("{}:{}".format(*address) for address in (replication.source_address, at))
            what = f"tries to reach {primary.alias} at {old}, but it is at {new}"
            yield self.found(Code.CONNECTED_TO_WRONG_PRIMARY, tablet, what)
            return
        # Otherwise a connecting thread does as it was told, and only its source can help it.
        if replication.io_state is ThreadState.STOPPED or replication.sql_state is ThreadState.STOPPED:
            why = replication.last_sql_error or replication.last_io_error
            what = "has stopped replicating" + (f": {why}" if why else "")
            yield self.found(
                Code.REPLICATION_STOPPED, tablet, what, io=replication.io_state.name, sql=replication.sql_state.name
            )
        yield from self._misconfigured(tablet)

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

    def _replica_semi_sync(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        if self.policy is None or status is None or not status.has_source:
            return
        should = self.policy.may_ack(primary.member, tablet.member)
        if should and not status.semi_sync.replica_enabled:
            what = f"has semi-sync off, but the policy {self.policy.name} lets it acknowledge for {primary.alias}"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        elif should and tablet.receives_without_acknowledging:
            what = f"receives from {primary.alias} without acknowledging until its IO thread connects again"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        if not should and status.semi_sync.replica_enabled:
            what = f"has semi-sync on, but the policy {self.policy.name} forbids it to acknowledge for {primary.alias}"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, tablet, what)

    def _out_of_service(self, tablet: TabletView) -> Iterator[Finding]:
        """Yield the errant transactions of BACKUP, RESTORE and DRAINED tablets, which are never repaired, as in Vitess.

        Vitess drains a tablet because of errant transactions, and then tells nothing more of them.
        """
        if tablet.is_current and self.primary is not None:
            yield from self._errant(tablet, self.primary)

    def _errant(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        if extra := errant_gtids(tablet, primary):
            yield self.found(
                Code.ERRANT_GTID_DETECTED,
                tablet,
                f"has transactions that {primary.alias} lacks: {extra.brief()}",
                errant=extra,
            )


def errant_gtids(tablet: TabletView, primary: TabletView) -> GtidSet:
    """Return the GTIDs that the tablet was last seen to have executed, and that the primary lacks and did not write.

    The primary's set is older or newer than the replica's by a probe. GTIDs with its own UUID may just be newer than
    its status. While the primary has a source itself, any GTID may be.
    """
    status = primary.current_status
    if tablet.status is None or status is None or status.has_source or not status.executed:
        return EMPTY_GTID_SET
    if tablet.status.executed.entries == status.executed.entries:
        return EMPTY_GTID_SET
    return tablet.status.executed.difference(status.executed).without_uuid(status.server_uuid)
