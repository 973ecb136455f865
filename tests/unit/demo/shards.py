"""Judgements of vtorc about a small shard, for the tests of the demo's display."""

from collections.abc import Iterable
from dataclasses import replace

from vtorc.core.decision.decisions import DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.runner import Judgement

SHARD = ShardId.parse("commerce/0")
A, B, C = (TabletAlias(f"zone{number}", 100 + number) for number in (1, 2, 3))
UUIDS = {alias: f"0000000{alias.uid % 10}-0000-0000-0000-000000000000" for alias in (A, B, C)}
NOW = 100.0


def written(count: int, by: TabletAlias = A) -> GtidSet:
    """Return the first `count` transactions of a server."""
    return GtidSet.of(UUIDS[by], 1, count)


def primary(alias: TabletAlias = A, *, executed: GtidSet | None = None, acks: int = 1, at: float = 99.0) -> TabletView:
    """Return a primary that answers."""
    return TabletView(
        record=_record(alias, TabletType.PRIMARY),
        last_probe=LastProbe.answered(
            TabletStatus(
                server_uuid=UUIDS[alias],
                executed=executed or written(50, alias),
                semi_sync=SemiSyncStatus(
                    primary_enabled=acks > 0, primary_clients=2, timeout=10**18, wait_for_replica_count=max(acks, 1)
                ),
            ),
            started=at,
            ended=at,
        ),
    )


def replica(
    alias: TabletAlias,
    *,
    of: TabletAlias = A,
    executed: GtidSet | None = None,
    received: GtidSet | None = None,
    acks: bool = True,
    at: float = 99.5,
) -> TabletView:
    """Return a replica that answers and replicates."""
    executed = executed or written(50, of)
    return TabletView(
        record=_record(alias, TabletType.REPLICA),
        last_probe=LastProbe.answered(
            TabletStatus(
                server_uuid=UUIDS[alias],
                read_only=True,
                executed=executed,
                replication=ReplicationStatus(
                    source_host="127.0.0.1",
                    source_port=3000 + of.uid,
                    source_uuid=UUIDS[of],
                    io_state=ThreadState.RUNNING,
                    sql_state=ThreadState.RUNNING,
                    executed=executed,
                    received=received or executed,
                    lag=0,
                ),
                semi_sync=SemiSyncStatus(
                    replica_enabled=acks, replica_active=acks, timeout=10**18, wait_for_replica_count=1
                ),
            ),
            started=at,
            ended=at,
        ),
    )


def failing(tablet: TabletView, failure: ProbeFailure = ProbeFailure.MYSQL_DOWN) -> TabletView:
    """Return the tablet after two failed probes."""
    probe = tablet.last_probe.failed(failure, "", started=99.4, ended=99.5)
    return replace(tablet, last_probe=probe.failed(failure, "", started=99.8, ended=99.9))


def cut_off(replica: TabletView) -> TabletView:
    """Return the replica with an IO thread that tries to reach its source."""
    return _with_io(replica, ThreadState.CONNECTING, "gone")


def stopped(replica: TabletView) -> TabletView:
    """Return the replica with its IO thread stopped."""
    return _with_io(replica, ThreadState.STOPPED, "")


def _with_io(replica: TabletView, state: ThreadState, error: str) -> TabletView:
    assert replica.status is not None
    assert replica.status.replication is not None
    replication = replace(replica.status.replication, io_state=state, last_io_error=error)
    return replace(
        replica, last_probe=replace(replica.last_probe, status=replace(replica.status, replication=replication))
    )


def judge(*tablets: TabletView, durability: str = "semi_sync") -> Judgement:
    """Judge a shard of these tablets."""
    view = ShardView(
        shard=SHARD,
        keyspace_record=KeyspaceRecord(name="commerce", durability_policy=durability),
        shard_record=ShardRecord(shard=SHARD, primary_alias=A, primary_term_start=1),
        tablets=tuple(sorted(tablets, key=_alias)),
    )
    chosen = policy(durability)
    findings = analyse(view, chosen, DetectionThresholds(), NOW)
    decisions = decide(view, findings, chosen, DecisionLimits(), NOW)
    return Judgement(view, chosen, decisions, next_action(decisions))


def healthy() -> Judgement:
    """Judge a shard without problems."""
    return judge(*_healthy())


def _healthy() -> Iterable[TabletView]:
    return primary(), replica(B), replica(C)


def _alias(tablet: TabletView) -> TabletAlias:
    return tablet.alias


def _record(alias: TabletAlias, type_: TabletType) -> TabletRecord:
    return TabletRecord(
        alias=alias,
        keyspace="commerce",
        shard="0",
        type=type_,
        hostname="127.0.0.1",
        grpc_port=2000 + alias.uid,
        mysql_hostname="127.0.0.1",
        mysql_port=3000 + alias.uid,
        primary_term_start=1 if type_ is TabletType.PRIMARY else 0,
    )
