"""Names everything that is wrong with a shard: `analyse(ShardView, …) -> findings`, most urgent first.

Conditions follow Vitess (`go/vt/vtorc/inst/analysis_problem.go`) where it has the code; they are stricter where
Vitess acts on too little: a primary is dead only on evidence newer than its failure, a tablet is deleted only if the
cell it lived in could be read, and nobody is condemned or repaired around a tablet that is primary by its own account.
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
from vtorc.core.facts.records import KeyspaceType
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.views import ProbeFailure, ShardView, TabletView


def analyse(
    view: ShardView, policy: DurabilityPolicy | None, thresholds: DetectionThresholds, now: float
) -> tuple[Finding, ...]:
    """Name all problems of the shard, most urgent first.

    `policy` is None where no usable policy is known: then everything that needs none is still found. `now` is in
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
                yield from self._set_aside(tablet)

    # The shard as the topology server has it

    def _policy(self) -> Iterator[Finding]:
        if self.policy is not None:
            return
        name = self.view.keyspace_record.durability_policy
        if name:
            yield self.found(
                Code.UNKNOWN_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has the durability policy {name!r}, which is not known "
                f"here, so nothing is done to it",
            )
        else:
            yield self.found(
                Code.NO_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has no durability policy and the configuration names no "
                f"Durability for it",
            )

    def _topology(self) -> Iterator[Finding]:
        for alias, reason in sorted(self.view.bad_records.items()):
            yield Finding(
                code=Code.BAD_TABLET_RECORD,
                shard=self.view.shard,
                alias=alias,
                sentence=f"{self.view.shard}: the record of tablet {alias} cannot be read ({reason}); it is left out",
            )
        for cell, reason in sorted(self.view.unreachable_cells.items()):
            yield self.found(
                Code.UNREACHABLE_CELL,
                None,
                f"the topology server of cell {cell} does not answer ({reason}); its tablets are those last read",
            )

    def _no_primary(self) -> Iterator[Finding]:
        shard = self.view.shard_record
        if not any(tablet.is_replica_type for tablet in self.view.tablets):
            return
        if not shard.primary_term_start and shard.primary_alias is None:
            what = f"no tablet is primary and none ever was{self.yet}"
            confirmed = self.everybody_probed and not self.self_declared_primaries
            yield self.found(Code.CLUSTER_HAS_NO_PRIMARY, None, what, confirmed=confirmed)
            return
        named = shard.primary_alias
        if hidden := self._why_hidden(named):
            yield self.found(Code.UNREACHABLE_CELL, None, f"no primary is in sight, but {hidden}")
            return
        confirmed = self.everybody_probed and not self.self_declared_primaries
        how = "has no tablet record any more"
        if (tablet := self.view.tablet(named)) is not None:
            how = "is no longer of type PRIMARY"
            # Without its answer we cannot tell whether it is primary all the same; its replicas can.
            confirmed = confirmed and (
                tablet.is_current or not any(replica.is_receiving for replica in self.view.replicas_of(tablet))
            )
        who = f"the primary {named}" if named is not None else "the primary"
        what = f"{who} {how} and no other tablet is primary{self.yet}"
        yield self.found(Code.PRIMARY_TABLET_DELETED, None, what, confirmed=confirmed)

    def _why_hidden(self, named: TabletAlias | None) -> str:
        """Why the primary may exist although it is not seen; a read that failed is no proof of a deletion."""
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
                Code.INVALID_PRIMARY, primary, f"is the primary but never gave a status: {primary.failure_phrase}"
            )
        status = primary.current_status
        if status is None or status.disk_stalled:
            return
        if status.has_source and status.replication is not None:
            yield self._primary_has_primary(primary, status.replication)
        if status.read_only:
            yield self.found(Code.PRIMARY_IS_READ_ONLY, primary, "is the primary but read-only")
        if status.tablet_type is not None and status.tablet_type not in (TabletType.PRIMARY, TabletType.UNKNOWN):
            what = f"is PRIMARY in the topology server but runs as {status.tablet_type.name}"
            yield self.found(Code.PRIMARY_CURRENT_TYPE_MISMATCH, primary, what)
        yield from self._primary_semi_sync(primary)

    def _primary_has_primary(self, primary: TabletView, replication: ReplicationStatus) -> Finding:
        """Either somebody pointed the primary at another server, or it has lost its place to that one and the records
        are late: a topology server that may answer with an old state says so for a while (simulator, seed 3802).
        """
        source = self.view.at_address(replication.source_address)
        at = "{}:{}".format(*replication.source_address)
        what = f"is the primary but replicates from {at}"
        confirmed = not self.self_declared_primaries and (source is None or source.is_current)
        if self.self_declared_primaries:
            what += (
                f", and {names(self.self_declared_primaries)} is primary by its own account, so the records may be late"
            )
        elif source is not None and not source.is_current:
            what += f", whose tablet {source.alias} does not tell whether it is primary by now"
        return self.found(Code.PRIMARY_HAS_PRIMARY, primary, what, confirmed=confirmed)

    def _primary_semi_sync(self, primary: TabletView) -> Iterator[Finding]:
        status = primary.current_status
        if self.policy is None or status is None:
            return
        needed = self.policy.required_acks(primary.member)
        if needed == 0 and status.semi_sync.primary_enabled:
            what = f"waits for acknowledgements, which the policy {self.policy.name} does not ask for"
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
        """Replicas of `primary` that the policy lets acknowledge for it."""
        if self.policy is None:
            return ()
        return tuple(t for t in self.view.replicas_of(primary) if self.policy.may_ack(primary.member, t.member))

    def _stale_primaries(self, primary: TabletView) -> Iterator[Finding]:
        for tablet in self.view.tablets:
            if tablet.record.type is TabletType.PRIMARY and tablet.alias != primary.alias:
                what = f"still claims to be primary, but {primary.alias} has been since a later time"
                later = primary.record.primary_term_start > tablet.record.primary_term_start
                if not later:
                    what = f"claims to be primary since the same time as {primary.alias}"
                yield self.found(Code.STALE_TOPO_PRIMARY, tablet, what, confirmed=later and tablet.is_current)

    # Replicas

    def _replica(self, tablet: TabletView) -> Iterator[Finding]:
        if tablet.failure is not None and tablet.failure is not ProbeFailure.SHUT_DOWN:
            yield self.found(Code.INVALID_REPLICA, tablet, tablet.failure_phrase)
        status = tablet.current_status
        if status is None or status.disk_stalled:
            return
        if any(rival is tablet for rival in self.self_declared_primaries):
            what = "is a replica by its record but primary by its own account; its record may be late"
            yield self.found(Code.NOT_CONNECTED_TO_PRIMARY, tablet, what, confirmed=False)
            return
        if not status.read_only:
            yield self.found(Code.REPLICA_IS_WRITABLE, tablet, "is a replica but writable")
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
                Code.NOT_CONNECTED_TO_PRIMARY, tablet, f"replicates from nobody; it should from {primary.alias}"
            )
            return
        if not self.view.replicates_from(tablet, primary):
            other = self.view.at_address(replication.source_address)
            source = str(other.alias) if other is not None else "{}:{}".format(*replication.source_address)
            what = f"replicates from {source}; it should from {primary.alias}"
            if is_rival := any(rival is other for rival in self.self_declared_primaries):
                what += f", but {source} is primary by its own account, so the records may be late"
            yield self.found(Code.CONNECTED_TO_WRONG_PRIMARY, tablet, what, confirmed=not is_rival)
            return
        # The same server under another address: a primary that was scheduled elsewhere took its data along. Who reaches
        # it under the old name, or by another name of the same host, is left alone.
        at = primary.record.mysql_address
        connects = replication.io_state is ThreadState.CONNECTING
        if primary.record.mysql_hostname and replication.source_address != at and connects:
            old, new = ("{}:{}".format(*address) for address in (replication.source_address, at))
            what = f"tries to reach {primary.alias} at {old}, but it is at {new}"
            yield self.found(Code.CONNECTED_TO_WRONG_PRIMARY, tablet, what)
            return
        # Else a thread that is connecting is doing what it was told; only its source can help it.
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
                f"{status.replica_net_timeout} s; it should be half"
            )
            yield self.found(Code.REPLICA_MISCONFIGURED, tablet, what)

    def _replica_semi_sync(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        if self.policy is None or status is None or not status.has_source:
            return
        should = self.policy.may_ack(primary.member, tablet.member)
        if should and not status.semi_sync.replica_enabled:
            what = f"does not acknowledge, but should for {primary.alias} under the policy {self.policy.name}"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        elif should and tablet.receives_without_acknowledging:
            what = f"receives from {primary.alias} and does not acknowledge, until its IO thread connects again"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        if not should and status.semi_sync.replica_enabled:
            what = f"acknowledges, but must not for {primary.alias} under the policy {self.policy.name}"
            yield self.found(Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, tablet, what)

    def _set_aside(self, tablet: TabletView) -> Iterator[Finding]:
        """BACKUP, RESTORE and DRAINED tablets are never repaired, as in Vitess, but their errant transactions are told:
        there a tablet is drained because of them, and nobody hears of them any more.
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
    """GTIDs that the tablet was last seen to have executed, and that the primary lacks and did not write itself.

    The primary's set is older or newer than the replica's by a probe: what carries its own UUID may just be newer, and
    while it is somebody's replica itself, anything may.
    """
    status = primary.current_status
    if tablet.status is None or status is None or status.has_source or not status.executed:
        return EMPTY_GTID_SET
    if tablet.status.executed.entries == status.executed.entries:
        return EMPTY_GTID_SET
    return tablet.status.executed.difference(status.executed).without_uuid(status.server_uuid)
