"""A readable way to say what a shard looks like: `shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING), …)`.

Servers are called by the number of their tablet: `gtids("100:1-50,101:3")` are the transactions 1 to 50 of the server
of tablet 100, and 3 of that of 101.
"""

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.ack_path import AckPath
from vtorc.core.facts.client_count import ClientCount
from vtorc.core.facts.durability import Member
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.holds import Effect, Hold, HoldScope, holds_on_shard
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.last_probe import NEVER_PROBED, LastProbe, ProbeFailure
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.records import KeyspaceRecord, KeyspaceType, ShardRecord, TabletRecord
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import ShardView, TabletView

NOW = 1000.0
SHARD = ShardId("commerce", "0")
P = "zone1-100"
NO_ACK_TIMEOUT = 10**18
"""Milliseconds of rpl_semi_sync_source_timeout as Vitess sets it."""
RUNNING, CONNECTING, STOPPED = ThreadState.RUNNING, ThreadState.CONNECTING, ThreadState.STOPPED

ANSWERS_SINCE = LastProbe(answering_since=NOW - 3600.0)
"""The last probe but one of replicas, which have answered for an hour."""


def alias(name: str) -> TabletAlias:
    """`zone1-101` as a value."""
    return TabletAlias.parse(name)


def uuid(server: str | int) -> str:
    """UUID of the server of a tablet, by its number or its name."""
    number = int(str(server).rpartition("-")[2])
    return f"{number:08d}-0000-0000-0000-000000000000"


def gtids(text: str) -> GtidSet:
    """`100:1-50,101:3`, servers being tablet numbers."""
    items = (item.partition(":") for item in text.split(",") if item)
    return GtidSet.parse(",".join(f"{uuid(server)}:{rest}" for server, _, rest in items))


def record(name: str, type_: TabletType, *, term: int = 0, **changes: Any) -> TabletRecord:
    """The record of a tablet that runs."""
    made = TabletRecord(
        alias=alias(name),
        keyspace=SHARD.keyspace,
        shard=SHARD.shard,
        type=type_,
        hostname=f"host-{name}",
        grpc_port=15999,
        mysql_hostname=f"mysql-{name}",
        mysql_port=3306,
        primary_term_start=term,
    )
    return replace(made, **changes)


def failing(
    tablet: TabletView,
    failure: ProbeFailure = ProbeFailure.MYSQL_DOWN,
    *,
    for_: float = 3.0,
    failures: int = 10,
    text: str = "",
    never_heard: bool = False,
) -> TabletView:
    """The same tablet after its probes have failed for so many seconds; its status is the one before that."""
    heard = NOW - for_ - 0.5
    seen, may_ack_until = tablet.memory.observed_term, tablet.memory.may_ack_until
    ends = may_ack_until == math.inf and failure is ProbeFailure.MYSQL_DOWN
    return changed(
        tablet,
        status=None if never_heard else tablet.status,
        status_at=None if never_heard else heard,
        observed_term=replace(seen, seen_at=heard) if seen is not None and not never_heard else None,
        may_ack_until=NOW - for_ if ends else may_ack_until,
        ended_at=NOW,
        failure=failure,
        failure_text=text,
        failures_in_row=failures,
        failing_since=NOW - for_,
        same_failure_since=NOW - for_,
    )


def changed(tablet: TabletView, **changes: Any) -> TabletView:
    """The same tablet with other values in its last probe, in what is remembered of it, or in the view itself."""
    of_probe, of_memory = ({each.name for each in fields(part)} for part in (LastProbe, TabletMemory))
    probe = {name: changes.pop(name) for name in of_probe & changes.keys()}
    memory = {name: changes.pop(name) for name in of_memory & changes.keys()}
    parts = {"last_probe": replace(tablet.last_probe, **probe), "memory": replace(tablet.memory, **memory)}
    return replace(tablet, **{**parts, **changes})


def answers(tablet: TabletView, *, at: float = NOW, **changes: Any) -> TabletView:
    """The same tablet after one more answer, which differs from the last in this."""
    assert tablet.status is not None
    status = replace(tablet.status, **changes)
    seen = ObservedTerm.after(
        tablet.memory.observed_term, status, tablet.record, at=at, heard_at=tablet.last_probe.status_at
    )
    return changed(tablet, last_probe=LastProbe.answered(status, started=at, ended=at), observed_term=seen)


def unprobed(tablet: TabletView) -> TabletView:
    """The same tablet before its first probe ended."""
    return TabletView(record=tablet.record)


def primary(
    name: str = P,
    *,
    dead_for: float | None = None,
    failure: ProbeFailure = ProbeFailure.MYSQL_DOWN,
    failures: int = 10,
    never_heard: bool = False,
    term: int = 10,
    executed: str = "100:1-50",
    semi_sync: bool = True,
    clients: int = 2,
    wait_for: int = 1,
    source: str | None = None,
    record_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> TabletView:
    """A writable tablet of type PRIMARY; with `dead_for` its probes have failed for so many seconds."""
    status = TabletStatus(
        server_uuid=uuid(name),
        read_only=False,
        super_read_only=False,
        executed=gtids(executed),
        tablet_type=TabletType.PRIMARY,
        replication=None if source is None else _replicates_from(source, executed, executed),
        semi_sync=SemiSyncStatus(
            primary_enabled=semi_sync,
            primary_active=semi_sync,
            replica_enabled=semi_sync,
            primary_clients=clients,
            timeout=NO_ACK_TIMEOUT,
            wait_for_replica_count=wait_for,
        ),
        semi_sync_blocked=False,
        disk_stalled=False,
    )
    status = replace(status, **changes)
    its_record = record(name, TabletType.PRIMARY, term=term, **(record_changes or {}))
    tablet = TabletView(
        record=its_record,
        last_probe=LastProbe.answered(status, started=NOW - 0.1, ended=NOW),
        memory=TabletMemory(observed_term=ObservedTerm.after(None, status, its_record, at=NOW - 0.1)),
    )
    if dead_for is None:
        return tablet
    return failing(tablet, failure, for_=dead_for, failures=failures, never_heard=never_heard)


def replica(
    name: str,
    type_: TabletType = TabletType.REPLICA,
    *,
    of: str | None = P,
    io: ThreadState = RUNNING,
    sql: ThreadState = RUNNING,
    io_error: str = "",
    executed: str = "100:1-50",
    received: str = "",
    semi_sync: bool = True,
    heard: float = 0.1,
    record_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> TabletView:
    """A read-only tablet that was heard so many seconds ago and replicates from `of`, None for nobody."""
    status = TabletStatus(
        server_uuid=uuid(name),
        read_only=True,
        super_read_only=True,
        executed=gtids(executed),
        tablet_type=type_,
        replication=None
        if of is None
        else replace(_replicates_from(of, executed, received), io_state=io, sql_state=sql, last_io_error=io_error),
        semi_sync=SemiSyncStatus(
            replica_enabled=semi_sync, replica_active=semi_sync, timeout=NO_ACK_TIMEOUT, wait_for_replica_count=1
        ),
        semi_sync_blocked=False,
        disk_stalled=False,
        heartbeat_interval=2.0,
        replica_net_timeout=4,
    )
    status = replace(status, **changes)
    return TabletView(
        record=record(name, type_, **(record_changes or {})),
        last_probe=LastProbe.answered(status, started=NOW - heard, ended=NOW - heard + 0.01, before=ANSWERS_SINCE),
        memory=TabletMemory(
            may_ack_until=math.inf if semi_sync and of is not None else None,
            ack_path=AckPath.after(None, status, NEVER_PROBED, ended=NOW - 60.0),
        ),
    )


def ack_path_for(tablet: TabletView, seconds: float) -> TabletView:
    """The same tablet, with a way of its acknowledgements that has been as it is now for so many seconds."""
    assert tablet.status is not None
    return changed(tablet, ack_path=AckPath.after(None, tablet.status, NEVER_PROBED, ended=NOW - seconds))


def new(name: str, **changes: Any) -> TabletView:
    """A tablet of a shard that never had a primary: it has no transactions and no source."""
    return replica(name, of=None, executed="", **changes)


def filtering(name: str, type_: TabletType = TabletType.REPLICA, **changes: Any) -> TabletView:
    """A replica with replication filters."""
    tablet = replica(name, type_, **changes)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, has_filters=True))


def _replicates_from(source: str, executed: str, received: str) -> ReplicationStatus:
    return ReplicationStatus(
        source_host=f"mysql-{source}",
        source_port=3306,
        source_uuid=uuid(source),
        io_state=RUNNING,
        sql_state=RUNNING,
        executed=gtids(executed),
        received=gtids(executed).union(gtids(received)),
        auto_position=True,
    )


def of_old_version(tablet: TabletView) -> TabletView:
    """The same tablet, of a version that leaves out all that came later."""
    assert tablet.status is not None
    status = replace(
        tablet.status,
        super_read_only=None,
        semi_sync_blocked=None,
        disk_stalled=None,
        tablet_type=None,
        heartbeat_interval=None,
        replica_net_timeout=None,
    )
    return changed(tablet, status=status)


def shard(
    *tablets: TabletView,
    named: str | None = P,
    term: int = 10,
    policy_name: str = "semi_sync",
    kind: KeyspaceType = KeyspaceType.NORMAL,
    **changes: Any,
) -> ShardView:
    """A shard whose record names `named` as primary since `term`."""
    view = ShardView(
        shard=SHARD,
        keyspace_record=KeyspaceRecord(name=SHARD.keyspace, type=kind, durability_policy=policy_name),
        shard_record=ShardRecord(
            shard=SHARD, primary_alias=alias(named) if named is not None else None, primary_term_start=term
        ),
        tablets=tuple(sorted(tablets, key=lambda tablet: tablet.alias)),
    )
    return replace(view, **changes)


def hold(*effects: Effect, on: str = "fleet", **changes: Any) -> Hold:
    """A hold of ann, number 3, that stays until it is lifted."""
    made = Hold(
        number=3, scope=HoldScope.parse(on), effects=frozenset(effects), owner="ann", reason="a drill", created=1
    )
    return replace(made, **changes)


def held(view: ShardView, *holds: Hold) -> ShardView:
    """The same shard with these holds, as far as they are about it."""
    return replace(view, holds=holds_on_shard(holds, view.shard, [t.alias for t in view.tablets], wall=2))


def client_count(clients: int = 2, *explained_by: str, unknown: int = 0, **changes: Any) -> ClientCount:
    """The semi-sync clients that the primary counted as it was last seen at work, four seconds ago.

    The named tablets, two replicas if there are none, were clients before and after that.
    """
    names = explained_by or ("zone1-101", "zone2-200")
    made = ClientCount(
        primary=alias(P),
        server_uuid=uuid(P),
        clients=clients,
        asked_at=NOW - 3.5,
        told_at=NOW - 3.45,
        unexplained=unknown,
        unseen=unknown,
        explained_at=NOW - 3.5,
        explained_by=frozenset(map(alias, names)),
    )
    return replace(made, **changes)


def asked_after_others(view: ShardView) -> ShardView:
    """The same shard, with every status asked for after all other tablets had told theirs."""
    return replace(view, tablets=tuple(_asked_after_others(view, tablet) for tablet in view.tablets))


def _asked_after_others(view: ShardView, tablet: TabletView) -> TabletView:
    if tablet.status is None:
        return tablet
    others = [other for other in view.tablets if other is not tablet]
    told = [other.status.received for other in others if other.status is not None and not other.status.disk_stalled]
    after = tablet.memory.after_answer(
        tablet.status,
        tablet.last_probe,
        started=NOW,
        ended=NOW,
        asked_record=tablet.record,
        record=tablet.record,
        told_before=[*told, *(other.memory.lost_after_receipt for other in others)],
    )
    return changed(tablet, own_missing=after.own_missing)


def fresh_shard(*tablets: TabletView, **changes: Any) -> ShardView:
    """A shard that never had a primary."""
    return shard(*tablets, named=None, term=0, **changes)


def stopped(
    name: str,
    received: str,
    *,
    executed: str | None = None,
    type_: TabletType = TabletType.REPLICA,
    source: str | None = P,
    **changes: Any,
) -> StoppedTablet:
    """A tablet that was stopped, with what it holds; it has executed all of it unless said otherwise."""
    made = StoppedTablet(
        member=Member(alias(name), type_),
        server_uuid=uuid(name),
        executed=gtids(received if executed is None else executed),
        received=gtids(received),
        source_uuid=uuid(source) if source is not None else "",
    )
    return replace(made, **changes)


def by_alias(tablets: Iterable[StoppedTablet]) -> dict[TabletAlias, StoppedTablet]:
    """Stopped tablets as a `CandidateSet` wants them."""
    return {each.alias: each for each in tablets}
