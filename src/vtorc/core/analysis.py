"""Names everything that is wrong with a shard: `analyse(ShardView, …) -> findings`, most urgent first.

Conditions follow Vitess (`go/vt/vtorc/inst/analysis_problem.go`) where it has the code; they are stricter where
Vitess acts on too little: a primary is dead only on evidence newer than its failure, a tablet is deleted only if the
cell it lived in could be read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from vtorc.core.durability import DurabilityPolicy, Member
from vtorc.core.ids import TabletAlias, TabletType
from vtorc.core.problems import Code, Finding
from vtorc.core.status import ThreadState
from vtorc.core.tablet import KeyspaceType
from vtorc.core.view import ProbeFailure, ShardView, TabletView

ANALYSED_TYPES_EXCLUDED = frozenset({TabletType.BACKUP, TabletType.RESTORE, TabletType.DRAINED})
"""Types that are seen and counted, but never repaired (Vitess analyses primaries and replica types only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """How much evidence a verdict needs.

    `confirmations` is the number of failed probes in a row that makes a primary suspect enough to be condemned;
    `silent_after` (seconds) is how long a primary must have failed when no replica can vouch by trying to reconnect.
    """

    confirmations: int = 2
    silent_after: float = 5.0


def member(tablet: TabletView) -> Member:
    """The tablet as durability arithmetic sees it: by the type of its record."""
    return Member(tablet.record.alias, tablet.record.type)


def analyse(view: ShardView, policy: DurabilityPolicy | None, bars: Bars, now: float) -> tuple[Finding, ...]:
    """Name all problems of the shard, most urgent first.

    `policy` is None where no usable policy is known: then everything that needs none is still found. `now` is in
    seconds on the clock of the view. SNAPSHOT keyspaces have no primary and so no problems.
    """
    if view.keyspace_record.type is KeyspaceType.SNAPSHOT:
        return ()
    return tuple(sorted(_Analysis(view, policy, bars, now).findings(), key=lambda finding: finding.sort_key))


class _Analysis:
    def __init__(self, view: ShardView, policy: DurabilityPolicy | None, bars: Bars, now: float) -> None:
        self.view = view
        self.policy = policy
        self.bars = bars
        self.now = now
        self.primary = view.primary

    def findings(self) -> Iterator[Finding]:
        yield from self._policy()
        yield from self._topology()
        if self.primary is None:
            yield from self._no_primary()
        else:
            yield from self._primary_lost(self.primary)
            yield from self._primary_wrong(self.primary)
            yield from self._stale_primaries(self.primary)
        for tablet in self.view.tablets:
            if tablet.is_replica_type and tablet.record.type not in ANALYSED_TYPES_EXCLUDED:
                yield from self._replica(tablet)

    def _found(
        self, code: Code, tablet: TabletView | None, what: str, *, confirmed: bool = True, **evidence: object
    ) -> Finding:
        subject = f"{self.view.shard}: {tablet.alias} {what}" if tablet is not None else f"{self.view.shard}: {what}"
        return Finding(
            code=code,
            shard=self.view.shard,
            alias=tablet.alias if tablet is not None else None,
            sentence=subject,
            confirmed=confirmed,
            evidence={name: str(value) for name, value in evidence.items()},
        )

    # The shard as the topology server has it

    def _policy(self) -> Iterator[Finding]:
        if self.policy is not None:
            return
        name = self.view.keyspace_record.durability_policy
        if name:
            yield self._found(
                Code.UNKNOWN_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has the durability policy {name!r}, which is not known "
                f"here, so nothing is done to it",
            )
        else:
            yield self._found(
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
        for cell, reason in sorted(self.view.blind_cells.items()):
            yield self._found(
                Code.BLIND_CELL,
                None,
                f"the topology server of cell {cell} does not answer ({reason}); its tablets are those last read",
            )

    def _no_primary(self) -> Iterator[Finding]:
        shard = self.view.shard_record
        if not shard.primary_term_start:
            yield self._found(
                Code.CLUSTER_HAS_NO_PRIMARY,
                None,
                "no tablet is primary and none ever was",
                confirmed=self._everybody_probed,
            )
            return
        named = shard.primary_alias
        if hidden := self._why_hidden(named):
            yield self._found(Code.BLIND_CELL, None, f"no primary is in sight, but {hidden}")
            return
        who = f"the primary {named}" if named is not None else "the primary"
        how = "is no longer of type PRIMARY" if self.view.tablet(named) is not None else "has no tablet record any more"
        yield self._found(
            Code.PRIMARY_TABLET_DELETED,
            None,
            f"{who} {how} and no other tablet is primary",
            confirmed=self._everybody_probed,
        )

    def _why_hidden(self, named: TabletAlias | None) -> str:
        """Why the primary may exist although it is not seen; a read that failed is no proof of a deletion."""
        if named is not None and named in self.view.bad_records:
            return f"the record of {named} cannot be read"
        cells = self.view.blind_cells if named is None else {named.cell} & self.view.blind_cells.keys()
        return f"cell {min(cells)} cannot be read" if cells else ""

    @property
    def _everybody_probed(self) -> bool:
        return all(tablet.probed for tablet in self.view.tablets)

    # A primary that may be lost

    def _primary_lost(self, primary: TabletView) -> Iterator[Finding]:
        if not primary.probed:
            return
        if primary.status is not None and primary.failure is None:
            if primary.status.disk_stalled:
                yield self._found(Code.PRIMARY_DISK_STALLED, primary, "reports that its disk is stalled")
            elif self._semi_sync_blocked(primary):
                yield self._found(
                    Code.PRIMARY_SEMI_SYNC_BLOCKED, primary, "reports commits that wait for acknowledgements in vain"
                )
            return
        yield self._silent_primary(primary)

    def _semi_sync_blocked(self, primary: TabletView) -> bool:
        """Blocked although enough replicas have semi-sync on: somewhere acknowledgements get lost (Vitess
        `PrimarySemiSyncBlocked`).
        """
        status = primary.status
        if status is None or not status.semi_sync_blocked or status.has_source:
            return False
        ready = sum(
            1 for tablet in self.view.replicas_of(primary) if tablet.status and tablet.status.semi_sync.replica_enabled
        )
        return ready >= max(1, status.semi_sync.wait_for_replica_count)

    def _silent_primary(self, primary: TabletView) -> Finding:
        evidence = _Witnesses.of(self.view, primary)
        told = evidence.as_text() | {"primary_failure": str(primary.failure), "failed_probes": str(primary.failures)}
        how = _failure_text(primary)
        if evidence.receiving:
            yielding = ", ".join(str(tablet.alias) for tablet in evidence.receiving)
            broken = any(
                not tablet.status.replication.is_replicating
                for tablet in evidence.valid
                if tablet.status and tablet.status.replication
            )
            code = Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS if broken else Code.UNREACHABLE_PRIMARY
            confirmed = self._condemnable(primary) and not evidence.unheard
            return self._found(
                code, primary, f"{how}, but {yielding} still receives from it", confirmed=confirmed, **told
            )
        if not evidence.replicas:
            return self._found(
                Code.DEAD_PRIMARY_WITHOUT_REPLICAS,
                primary,
                f"{how} and no tablet is known to replicate from it",
                confirmed=self._condemnable(primary),
                **told,
            )
        if not evidence.valid:
            what = f"{how}, nor does any of its {len(evidence.replicas)} replicas; it may be we who are cut off"
            return self._found(
                Code.DEAD_PRIMARY_AND_REPLICAS, primary, what, confirmed=self._condemnable(primary), **told
            )
        code = (
            Code.DEAD_PRIMARY if len(evidence.valid) == len(evidence.replicas) else Code.DEAD_PRIMARY_AND_SOME_REPLICAS
        )
        heard = (
            f"none of its {len(evidence.replicas)} replicas"
            if code is Code.DEAD_PRIMARY
            else f"none of the {len(evidence.valid)} reachable of its {len(evidence.replicas)} replicas"
        )
        confirmed = self._condemnable(primary) and not evidence.unheard and self._vouched(primary, evidence)
        return self._found(code, primary, f"{how} and {heard} receives from it", confirmed=confirmed, **told)

    def _condemnable(self, primary: TabletView) -> bool:
        return primary.failures >= self.bars.confirmations and self._everybody_probed

    def _vouched(self, primary: TabletView, evidence: "_Witnesses") -> bool:
        """Whether somebody besides us saw the primary fail: its own tablet, or a replica that tries to reach it and
        cannot.

        Replicas whose IO thread was stopped by hand see nothing; then only a long silence condemns.
        """
        if primary.failure is ProbeFailure.MYSQL_DOWN or evidence.trying:
            return True
        return primary.failing_since is not None and self.now - primary.failing_since >= self.bars.silent_after

    # A primary that answers

    def _primary_wrong(self, primary: TabletView) -> Iterator[Finding]:
        if not primary.probed:
            return
        if primary.status is None:
            yield self._found(
                Code.INVALID_PRIMARY, primary, f"is the primary but never gave a status: {_failure_text(primary)}"
            )
            return
        status = primary.current_status
        if status is None or status.disk_stalled:
            return
        if status.has_source and status.replication is not None:
            source = "{}:{}".format(*status.replication.source_address)
            yield self._found(Code.PRIMARY_HAS_PRIMARY, primary, f"is the primary but replicates from {source}")
        if status.read_only:
            yield self._found(Code.PRIMARY_IS_READ_ONLY, primary, "is the primary but read-only")
        if status.tablet_type is not None and status.tablet_type not in (TabletType.PRIMARY, TabletType.UNKNOWN):
            what = f"is PRIMARY in the topology server but runs as {status.tablet_type.name}"
            yield self._found(Code.PRIMARY_CURRENT_TYPE_MISMATCH, primary, what)
        yield from self._primary_semi_sync(primary)

    def _primary_semi_sync(self, primary: TabletView) -> Iterator[Finding]:
        status = primary.current_status
        if self.policy is None or status is None:
            return
        needed = self.policy.required_acks(member(primary))
        if needed == 0 and status.semi_sync.primary_enabled:
            what = f"waits for acknowledgements, which the policy {self.policy.name} does not ask for"
            yield self._found(Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET, primary, what)
        if needed > 0 and not status.semi_sync.primary_enabled:
            ready = [tablet for tablet in self.ackers_of(primary) if _acks(tablet)]
            what = (
                f"does not wait for acknowledgements; the policy {self.policy.name} asks for {needed}, "
                f"{len(ready)} replicas can give them"
            )
            yield self._found(Code.PRIMARY_SEMI_SYNC_MUST_BE_SET, primary, what, confirmed=len(ready) >= needed)

    def ackers_of(self, primary: TabletView) -> tuple[TabletView, ...]:
        """Replicas of `primary` that the policy lets acknowledge for it."""
        if self.policy is None:
            return ()
        return tuple(t for t in self.view.replicas_of(primary) if self.policy.may_ack(member(primary), member(t)))

    def _stale_primaries(self, primary: TabletView) -> Iterator[Finding]:
        for tablet in self.view.tablets:
            if tablet.record.type is TabletType.PRIMARY and tablet.alias != primary.alias:
                what = f"still claims to be primary, but {primary.alias} has been since a later time"
                yield self._found(Code.STALE_TOPO_PRIMARY, tablet, what, confirmed=tablet.is_current)

    # Replicas

    def _replica(self, tablet: TabletView) -> Iterator[Finding]:
        if tablet.failure is not None and tablet.failure is not ProbeFailure.SHUT_DOWN:
            yield self._found(Code.INVALID_REPLICA, tablet, _failure_text(tablet))
        status = tablet.current_status
        if status is None or status.disk_stalled:
            return
        if not status.read_only:
            yield self._found(Code.REPLICA_IS_WRITABLE, tablet, "is a replica but writable")
        if self.primary is None or tablet.alias == self.primary.alias:
            return
        yield from self._replica_source(tablet, self.primary)
        yield from self._replica_semi_sync(tablet, self.primary)
        yield from self._errant(tablet, self.primary)

    def _replica_source(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        replication = status.replication if status is not None else None
        if replication is None or not replication.has_source:
            yield self._found(
                Code.NOT_CONNECTED_TO_PRIMARY, tablet, f"replicates from nobody; it should from {primary.alias}"
            )
            return
        if not self.view.replicates_from(tablet, primary):
            other = self.view.at_address(replication.source_address)
            source = str(other.alias) if other is not None else "{}:{}".format(*replication.source_address)
            yield self._found(
                Code.CONNECTED_TO_WRONG_PRIMARY, tablet, f"replicates from {source}; it should from {primary.alias}"
            )
            return
        # A thread that is connecting is doing what it was told; only its source can help it.
        if replication.io_state is ThreadState.STOPPED or replication.sql_state is ThreadState.STOPPED:
            why = replication.last_sql_error or replication.last_io_error
            what = "has stopped replicating" + (f": {why}" if why else "")
            yield self._found(
                Code.REPLICATION_STOPPED, tablet, what, io=replication.io_state.name, sql=replication.sql_state.name
            )
        yield from self._misconfigured(tablet)

    def _misconfigured(self, tablet: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        if status is None or not status.heartbeat_interval or not status.replica_net_timeout:
            return
        if round(2 * status.heartbeat_interval) != status.replica_net_timeout:
            what = (
                f"has a heartbeat interval of {status.heartbeat_interval:g} s for a replica_net_timeout of "
                f"{status.replica_net_timeout} s; it should be half"
            )
            yield self._found(Code.REPLICA_MISCONFIGURED, tablet, what)

    def _replica_semi_sync(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        status = tablet.current_status
        if self.policy is None or status is None or not status.has_source:
            return
        should = self.policy.may_ack(member(primary), member(tablet))
        if should and not status.semi_sync.replica_enabled:
            what = f"does not acknowledge, but should for {primary.alias} under the policy {self.policy.name}"
            yield self._found(Code.REPLICA_SEMI_SYNC_MUST_BE_SET, tablet, what)
        if not should and status.semi_sync.replica_enabled:
            what = f"acknowledges, but must not for {primary.alias} under the policy {self.policy.name}"
            yield self._found(Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, tablet, what)

    def _errant(self, tablet: TabletView, primary: TabletView) -> Iterator[Finding]:
        """GTIDs that the primary lacks and did not write itself.

        The primary's set is older or newer than the replica's by a probe: what carries the primary's own UUID may
        just be newer.
        """
        if tablet.status is None or primary.current_status is None or not primary.current_status.executed:
            return
        extra = tablet.status.executed.difference(primary.current_status.executed).without_uuid(
            primary.current_status.server_uuid
        )
        if extra:
            yield self._found(
                Code.ERRANT_GTID_DETECTED,
                tablet,
                f"has transactions that {primary.alias} lacks: {extra.brief()}",
                errant=extra,
            )


@dataclass(frozen=True)
class _Witnesses:
    """The replicas of a primary that does not answer us, by what they can tell.

    `unheard` are reachable ones whose last answer is older than the primary's failure: what they said then says
    nothing about now.
    """

    replicas: tuple[TabletView, ...]
    failing_since: float

    @classmethod
    def of(cls, view: ShardView, primary: TabletView) -> "_Witnesses":
        return cls(
            view.replicas_of(primary), primary.failing_since if primary.failing_since is not None else float("inf")
        )

    @cached_property
    def valid(self) -> tuple[TabletView, ...]:
        return tuple(tablet for tablet in self.replicas if tablet.is_current)

    @cached_property
    def receiving(self) -> tuple[TabletView, ...]:
        return tuple(t for t in self.valid if t.status and t.status.replication and t.status.replication.is_receiving)

    @cached_property
    def unheard(self) -> tuple[TabletView, ...]:
        return tuple(t for t in self.valid if t.status_at is None or t.status_at < self.failing_since)

    @cached_property
    def trying(self) -> tuple[TabletView, ...]:
        return tuple(t for t in self.valid if t not in self.unheard and _tries_in_vain(t))

    def as_text(self) -> dict[str, str]:
        return {
            "replicas": _names(self.replicas),
            "reachable_replicas": _names(self.valid),
            "receiving_replicas": _names(self.receiving),
            "replicas_to_hear_again": _names(self.unheard),
        }


def _tries_in_vain(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is not None and (
        replication.io_state is ThreadState.CONNECTING or bool(replication.last_io_error)
    )


def _acks(tablet: TabletView) -> bool:
    status = tablet.current_status
    return (
        status is not None
        and status.semi_sync.replica_enabled
        and status.replication is not None
        and status.replication.is_receiving
    )


def _names(tablets: Iterable[TabletView]) -> str:
    return ", ".join(str(tablet.alias) for tablet in tablets) or "none"


_FAILURES = {
    ProbeFailure.REFUSED: "refuses connections",
    ProbeFailure.UNREACHABLE: "cannot be reached",
    ProbeFailure.TIMEOUT: "does not answer",
    ProbeFailure.MYSQL_DOWN: "answers that its MySQL is down",
    ProbeFailure.ERROR: "answers with an error",
    ProbeFailure.BAD_ANSWER: "answers nonsense",
    ProbeFailure.SHUT_DOWN: "was shut down",
}


def _failure_text(tablet: TabletView) -> str:
    if tablet.failure is None:
        return "answers"
    detail = (
        f" ({tablet.failure_text})"
        if tablet.failure in (ProbeFailure.ERROR, ProbeFailure.BAD_ANSWER) and tablet.failure_text
        else ""
    )
    return _FAILURES[tablet.failure] + detail
