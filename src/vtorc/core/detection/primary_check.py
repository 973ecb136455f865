"""Checks a primary that answers, and the other tablets that have a record as primary."""

from collections.abc import Iterator

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import names
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ReplicationStatus
from vtorc.core.facts.views import TabletView

CLIENTS_UNKNOWN_AFTER = 10.0
"""Seconds from the first count of unknown semi-sync clients to one that makes them a finding.

A replica that comes, goes or is replaced may be counted twice for a moment.
"""


class PrimaryCheck(ShardCheck):
    """The checks of a primary that is not lost."""

    def findings(self, primary: TabletView) -> Iterator[Finding]:
        """Yield how the primary is set up wrongly, and which tablets have a record as primary beside it."""
        yield from self._primary(primary)
        yield from self._stale_primaries(primary)

    def _primary(self, primary: TabletView) -> Iterator[Finding]:
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
            yield self._source(primary, status.replication)
        if lost := self.rolled_back.get(primary.alias):
            what = (
                f"is the primary and has lost {lost.brief()}, which it wrote itself: its disk went back to an older "
                f"state, or never got them"
            )
            is_heard = primary.status_at is not None and primary.status_at >= self.thresholds.heard_since
            confirmed = is_heard and not self.self_declared_primaries
            yield self.found(Code.PRIMARY_ROLLED_BACK, primary, what, confirmed=confirmed, lost=lost)
        if status.read_only:
            yield self.found(Code.PRIMARY_IS_READ_ONLY, primary, "is the primary and is read-only")
        if status.tablet_type is not None and status.tablet_type not in (TabletType.PRIMARY, TabletType.UNKNOWN):
            what = f"is PRIMARY in the topology server but runs as {status.tablet_type.name}"
            yield self.found(Code.PRIMARY_CURRENT_TYPE_MISMATCH, primary, what)
        yield from self._semi_sync(primary)
        yield from self._unknown_clients(primary)

    def _source(self, primary: TabletView, replication: ReplicationStatus) -> Finding:
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

    def _semi_sync(self, primary: TabletView) -> Iterator[Finding]:
        status = primary.current_status
        if self.policy is None or status is None:
            return
        needed = self.policy.required_acks(primary.member)
        if needed == 0 and status.semi_sync.primary_enabled:
            what = f"waits for acknowledgements, and the policy {self.policy.name} asks for none"
            yield self.found(Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET, primary, what)
        if needed > 0 and not status.semi_sync.primary_enabled:
            ready = [tablet for tablet in self._ackers(primary) if tablet.would_acknowledge and tablet.is_receiving]
            waits_for = max(needed, status.semi_sync.wait_for_replica_count)
            what = f"does not wait for acknowledgements; the policy {self.policy.name} asks for {needed}, "
            if waits_for > needed:
                what += f"its MySQL would wait for {waits_for}, "
            what += f"{len(ready)} {'replica' if len(ready) == 1 else 'replicas'} can give them"
            yield self.found(Code.PRIMARY_SEMI_SYNC_MUST_BE_SET, primary, what, confirmed=len(ready) >= waits_for)

    def _unknown_clients(self, primary: TabletView) -> Iterator[Finding]:
        """Yield that servers without a tablet record acknowledge, once several counts in a row have shown it."""
        count = self.view.client_count
        if count is None or count.primary != primary.alias or count.certain_since is None:
            return
        if count.asked_at - count.certain_since < CLIENTS_UNKNOWN_AFTER or not self._waits_for_acks(primary):
            return
        unknown = count.unexplained
        servers, find = "a server acknowledges", "find it"
        start = "start its vttablet, which gives it a tablet record, or stop its replication"
        if unknown > 1:
            servers, find = f"{unknown} servers acknowledge", "find them"
            start = "start the vttablet of each, which gives it a tablet record, or stop its replication"
        down = [t for t in self.view.tablets if t.failure is ProbeFailure.MYSQL_DOWN]
        what = (
            f"counts {count.clients} semi-sync clients, and known tablets explain {max(0, count.clients - unknown)}: "
            f"{servers} its writes and cannot be asked, so no lost primary is replaced; {find} with SHOW REPLICAS or "
            f"among the Binlog Dump threads of performance_schema.processlist on {primary.alias}; {start}"
        )
        lives = [t for t in down if t.tells_directly_that_it_acknowledges]
        if lives:
            what += f"; asked directly, the MySQL of {names(lives)} tells that it acknowledges"
        elif down:
            what += f"; it may be the MySQL that the tablet manager of {names(down)} cannot reach"
        yield self.found(Code.UNKNOWN_SEMI_SYNC_CLIENTS, primary, what, clients=count.clients, unknown=unknown)

    def _waits_for_acks(self, primary: TabletView) -> bool:
        """Whether its writes wait for acknowledgements, by the policy or by its own settings."""
        status = primary.status
        asked = self.policy is not None and self.policy.required_acks(primary.member) > 0
        return asked or (status is not None and status.semi_sync.primary_enabled)

    def _ackers(self, primary: TabletView) -> tuple[TabletView, ...]:
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
