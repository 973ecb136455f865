"""The decision about each finding, and the rule that makes it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    STOPPED,
    P,
    alias,
    answers,
    asked_after_others,
    changed,
    failing,
    filtering,
    fresh_shard,
    gtids,
    held,
    hold,
    new,
    of_old_version,
    primary,
    replica,
    shard,
    uuid,
)
from vtorc.core.decision.backoff import ESCALATE_AFTER, FIRST_BACKOFF, LAST_BACKOFF, Attempt
from vtorc.core.decision.backoff_waivers import waive_lifted
from vtorc.core.decision.decisions import RESTART_EVERY, Decision, DecisionLimits, decide, next_action, why_not_replaced
from vtorc.core.decision.repair_guards import repoint_would_lose
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.durability import DurabilityPolicy, policy
from vtorc.core.facts.holds import Effect, Purpose
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
UNSENT = "100:1-50,101:1"
HEIR = replica(R1, of=None, tablet_type=TabletType.PRIMARY, read_only=False, executed="100:1-50,101:1-9")
WAIT = Rule.UNCONFIRMED
BACK = asked_after_others(
    shard(primary(executed="100:1-40", read_only=True, super_read_only=True), replica(R1), replica(R2))
)
_HOLE = "100:1-50,101:1-5"
_PRIMARY = primary(executed="100:1-50,101:1-9")
HOLE = asked_after_others(shard(_PRIMARY, replica(R1, of=None, executed=_HOLE), replica(R2)))
HOLE_STOPPED = asked_after_others(shard(_PRIMARY, replica(R1, executed=_HOLE, io=STOPPED), replica(R2)))
HOLE_STALE = asked_after_others(
    shard(_PRIMARY, primary(R1, term=5, executed=_HOLE, read_only=True, super_read_only=True), replica(R2))
)
WAITING_1, WAITING_2 = replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)


def decided(view: ShardView, *, limits: DecisionLimits | None = None, now: float = NOW) -> tuple[Decision, ...]:
    name = view.keyspace_record.durability_policy
    chosen: DurabilityPolicy | None = policy(name) if name else None
    return decide(view, analyse(view, chosen, DetectionThresholds(), now), chosen, limits or DecisionLimits(), now)


def about(
    view: ShardView, code: Code, name: str = "", *, limits: DecisionLimits | None = None, now: float = NOW
) -> Decision:
    """The decision about one finding."""
    wanted = alias(name) if name else None
    matching = [
        decision
        for decision in decided(view, limits=limits, now=now)
        if decision.finding.code is code and (wanted is None or decision.finding.alias == wanted)
    ]
    assert len(matching) == 1, matching
    return matching[0]


def dead(*others: TabletView, **changes: Any) -> ShardView:
    return shard(primary(dead_for=3.0), *(others or (WAITING_1, WAITING_2)), **changes)


def with_relay_log(tablet: TabletView, text: str) -> TabletView:
    """The same tablet with more in its relay log."""
    assert tablet.status is not None
    assert tablet.status.replication is not None
    received = tablet.status.replication.received.union(gtids(text))
    replication = replace(tablet.status.replication, received=received)
    return changed(tablet, status=replace(tablet.status, replication=replication))


def tried(
    code: Code, name: str | None, *ago: float, succeeded: bool = False, may_be_load: bool = False
) -> tuple[Attempt, ...]:
    """Attempts that ended so many seconds ago."""
    recovery = code.problem.recovery
    assert recovery is not None
    return tuple(
        Attempt(
            code=code,
            recovery=recovery,
            alias=alias(name) if name is not None else None,
            ended_at=NOW - seconds,
            succeeded=succeeded,
            may_be_load=may_be_load,
        )
        for seconds in ago
    )


def replaced(ago: float, *, hung: bool = True) -> DecisionLimits:
    """Another primary was replaced so long ago, because it hung or for another reason."""
    return DecisionLimits(
        block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, R3, ago, succeeded=True, may_be_load=hung)
    )


def hung(*replicas: TabletView) -> ShardView:
    """A shard with a primary that has hung for long."""
    return shard(primary(dead_for=60, failure=ProbeFailure.HUNG), *replicas)


def cannot(error: str) -> TabletView:
    """A replica that got this error when it tried to connect to its source."""
    return replica(R1, io=CONNECTING, io_error=error)


CASES: Sequence[tuple[str, ShardView, Code, str, DecisionLimits, Rule]] = [
    ("a dead primary", dead(), Code.DEAD_PRIMARY, P, DecisionLimits(), Rule.ACT),
    (
        "no replica answers",
        dead(failing(WAITING_1), failing(WAITING_2)),
        Code.DEAD_PRIMARY_AND_REPLICAS,
        P,
        DecisionLimits(),
        Rule.NO_REMEDY,
    ),
    (
        "a primary that feeds its replicas but whose tablet manager is gone",
        shard(primary(dead_for=9, failure=ProbeFailure.REFUSED), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(),
        Rule.NO_REMEDY,
    ),
    (
        "a silent primary that feeds its replicas",
        shard(primary(dead_for=9, failure=ProbeFailure.TIMEOUT), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a primary that feeds its replicas although its MySQL is said to be down",
        shard(primary(dead_for=1.0), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "the same, a moment after",
        shard(primary(dead_for=0.9), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(),
        Rule.UNCONFIRMED,
    ),
    (
        "no policy",
        shard(primary(), replica(R1, read_only=False), policy_name=""),
        Code.REPLICA_IS_WRITABLE,
        R1,
        DecisionLimits(),
        Rule.NO_POLICY,
    ),
    (
        "one failed probe",
        shard(primary(dead_for=0.1, failures=1), WAITING_1),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.UNCONFIRMED,
    ),
    ("not ours", dead(), Code.DEAD_PRIMARY, P, DecisionLimits(controlled=False), Rule.NOT_CONTROLLED),
    (
        "recoveries off",
        shard(primary(), replica(R1, io=STOPPED)),
        Code.REPLICATION_STOPPED,
        R1,
        DecisionLimits(allow_recovery=False),
        Rule.RECOVERIES_DISABLED,
    ),
    (
        "recoveries stopped by an operator",
        held(shard(primary(), replica(R1, io=STOPPED)), hold(Effect.NO_REPAIR, purpose=Purpose.SWITCH)),
        Code.REPLICATION_STOPPED,
        R1,
        DecisionLimits(),
        Rule.RECOVERIES_STOPPED,
    ),
    (
        "a lost primary of a held shard",
        held(dead(), hold(Effect.NO_FAILOVER, on="shard:commerce/0")),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.HELD,
    ),
    (
        "a lost primary in a held cell",
        held(dead(), hold(Effect.NO_FAILOVER, on="cell:zone1")),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.HELD,
    ),
    (
        "a lost primary beside a held tablet",
        held(dead(), hold(Effect.NO_FAILOVER, Effect.NO_REPAIR, on=f"tablet:{R1}")),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a lost primary while repairs are held",
        held(dead(), hold(Effect.NO_REPAIR, Effect.NOT_PROMOTABLE, Effect.NO_ALERT)),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a primary that only a reconnecting replica can tell of, in a held shard",
        held(shard(primary(dead_for=1.0), replica(R1)), hold(Effect.NO_FAILOVER)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(),
        Rule.HELD,
    ),
    (
        "the first election of a held shard",
        held(fresh_shard(new(R1)), hold(Effect.NO_FAILOVER, on="keyspace:commerce")),
        Code.CLUSTER_HAS_NO_PRIMARY,
        "",
        DecisionLimits(),
        Rule.HELD,
    ),
    (
        "a held replica",
        held(shard(primary(), replica(R1, io=STOPPED)), hold(Effect.NO_REPAIR, on=f"tablet:{R1}")),
        Code.REPLICATION_STOPPED,
        R1,
        DecisionLimits(),
        Rule.HELD,
    ),
    (
        "a replica while failovers are held",
        held(shard(primary(), replica(R1, io=STOPPED)), hold(Effect.NO_FAILOVER)),
        Code.REPLICATION_STOPPED,
        R1,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "emergency reparents off",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(allow_emergency_reparent=False),
        Rule.EMERGENCY_REPARENT_DISABLED,
    ),
    (
        "emergency reparents off, but this is the first election",
        fresh_shard(new(R1)),
        Code.CLUSTER_HAS_NO_PRIMARY,
        "",
        DecisionLimits(allow_emergency_reparent=False),
        Rule.ACT,
    ),
    (
        "a stalled disk",
        shard(primary(disk_stalled=True), WAITING_1),
        Code.PRIMARY_DISK_STALLED,
        P,
        DecisionLimits(),
        Rule.NOT_ENABLED,
    ),
    (
        "a stalled disk, switched on",
        shard(primary(disk_stalled=True), WAITING_1),
        Code.PRIMARY_DISK_STALLED,
        P,
        DecisionLimits(disk_stalled_recovery=True),
        Rule.ACT,
    ),
    (
        "a replica while the primary is dead",
        dead(WAITING_1, replica(R2, sql=STOPPED, io=STOPPED)),
        Code.REPLICATION_STOPPED,
        R2,
        DecisionLimits(),
        Rule.PRIMARY_FIRST,
    ),
    (
        "a replica while the primary is suspect",
        shard(primary(dead_for=0.1, failures=1), WAITING_1, replica(R2, io=STOPPED)),
        Code.REPLICATION_STOPPED,
        R2,
        DecisionLimits(),
        Rule.PRIMARY_FIRST,
    ),
    (
        "a stale primary while the primary is dead",
        dead(WAITING_1, primary(R2, term=5)),
        Code.STALE_TOPO_PRIMARY,
        R2,
        DecisionLimits(),
        Rule.PRIMARY_FIRST,
    ),
    (
        "a replica while there is no primary",
        fresh_shard(replica(R1, of=None, read_only=False)),
        Code.REPLICA_IS_WRITABLE,
        R1,
        DecisionLimits(),
        Rule.PRIMARY_FIRST,
    ),
    (
        "a read-only primary that still has a source",
        shard(primary(read_only=True, source="zone9-900"), WAITING_1),
        Code.PRIMARY_IS_READ_ONLY,
        P,
        DecisionLimits(),
        Rule.PRIMARY_FIRST,
    ),
    (
        "acks are not there yet",
        shard(primary(semi_sync=False), replica(R1, semi_sync=False)),
        Code.PRIMARY_SEMI_SYNC_MUST_BE_SET,
        P,
        DecisionLimits(),
        Rule.ACKERS_FIRST,
    ),
    (
        "acks are there",
        shard(primary(semi_sync=False), replica(R1)),
        Code.PRIMARY_SEMI_SYNC_MUST_BE_SET,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a policy that no longer asks for acks, while the primary waits",
        shard(primary(), replica(R1), replica(R2), policy_name="none"),
        Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET,
        R1,
        DecisionLimits(),
        Rule.ACKS_WOULD_DROP,
    ),
    (
        "a policy that no longer asks for acks, once the primary does not wait",
        shard(primary(semi_sync=False), replica(R1), policy_name="none"),
        Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET,
        R1,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "the only acker is in the wrong cell",
        shard(primary(), replica(R1), replica(R2, io=CONNECTING), policy_name="cross_cell"),
        Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET,
        R1,
        DecisionLimits(),
        Rule.ACKS_WOULD_DROP,
    ),
    (
        "a proper acker is there, another is in the wrong cell",
        shard(primary(), replica(R1), replica(R2), policy_name="cross_cell"),
        Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET,
        R1,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "the primary waits for more acks than are left",
        shard(primary(wait_for=2), replica(R1), replica(R2), policy_name="cross_cell"),
        Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET,
        R1,
        DecisionLimits(),
        Rule.ACKS_WOULD_DROP,
    ),
    (
        "the last copy is in a relay log",
        shard(primary(), replica(R1, of=R2, received="99:7"), replica(R2)),
        Code.CONNECTED_TO_WRONG_PRIMARY,
        R1,
        DecisionLimits(),
        Rule.LAST_COPY,
    ),
    (
        "the copy in a relay log is not the last",
        shard(primary(executed="99:7,100:1-50"), replica(R1, of=R2, received="99:7"), replica(R2)),
        Code.CONNECTED_TO_WRONG_PRIMARY,
        R1,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a primary with a source holds the last copy in its relay log",
        shard(with_relay_log(primary(source="zone9-900"), "99:7"), replica(R1)),
        Code.PRIMARY_HAS_PRIMARY,
        P,
        DecisionLimits(),
        Rule.LAST_COPY,
    ),
    (
        "a primary with a source",
        shard(primary(source="zone9-900"), replica(R1)),
        Code.PRIMARY_HAS_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a stale primary holds the last copy in its relay log",
        shard(primary(), replica(R1), with_relay_log(primary(R2, term=5, source="zone9-900"), "99:7")),
        Code.STALE_TOPO_PRIMARY,
        R2,
        DecisionLimits(),
        Rule.LAST_COPY,
    ),
    (
        "a stale primary",
        shard(primary(), replica(R1), primary(R2, term=5)),
        Code.STALE_TOPO_PRIMARY,
        R2,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "a cell was never read",
        dead(unreachable_cells={"zone3": "no route"}, never_read_cells=frozenset({"zone3"})),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.UNREACHABLE_CELL,
    ),
    (
        "the first election, and a cell was never read",
        fresh_shard(new(R1), unreachable_cells={"zone3": "no route"}, never_read_cells=frozenset({"zone3"})),
        Code.CLUSTER_HAS_NO_PRIMARY,
        "",
        DecisionLimits(),
        Rule.UNREACHABLE_CELL,
    ),
    (
        "the first election, and a cell cannot be read now, but was",
        fresh_shard(new(R1), unreachable_cells={"zone3": "no route"}),
        Code.CLUSTER_HAS_NO_PRIMARY,
        "",
        DecisionLimits(),
        Rule.UNREACHABLE_CELL,
    ),
    (
        "the first election, and a record cannot be read",
        fresh_shard(new(R1), bad_records={alias(R2): "truncated"}),
        Code.CLUSTER_HAS_NO_PRIMARY,
        "",
        DecisionLimits(),
        Rule.UNREACHABLE_CELL,
    ),
    (
        "a cell cannot be read now, but was",
        dead(unreachable_cells={"zone3": "no route"}),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    (
        "this primary was replaced a moment ago",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, P, 2, succeeded=True)),
        Rule.COOLDOWN,
    ),
    (
        "this primary was replaced longer ago",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, P, 31, succeeded=True)),
        Rule.ACT,
    ),
    (
        "another primary was replaced a moment ago",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, R3, 10, succeeded=True)),
        Rule.ACT,
    ),
    (
        "the primary's record was deleted, as that of the one before it",
        shard(replica(R1), replica(R2)),
        Code.PRIMARY_TABLET_DELETED,
        "",
        DecisionLimits(block_seconds=30, attempts=tried(Code.PRIMARY_TABLET_DELETED, None, 10, succeeded=True)),
        Rule.ACT,
    ),
    ("the primary hangs, as the one before it", hung(WAITING_1), Code.DEAD_PRIMARY, P, replaced(10), Rule.COOLDOWN),
    ("the primary hangs, and one did long ago", hung(WAITING_1), Code.DEAD_PRIMARY, P, replaced(31), Rule.ACT),
    (
        "the primary hangs, and the one before it had crashed",
        hung(WAITING_1),
        Code.DEAD_PRIMARY,
        P,
        replaced(10, hung=False),
        Rule.ACT,
    ),
    ("the primary crashed, and the one before it hung", dead(), Code.DEAD_PRIMARY, P, replaced(10), Rule.ACT),
    (
        "the primary is silent, and the one before it hung",
        shard(primary(dead_for=60, failure=ProbeFailure.TIMEOUT), WAITING_1),
        Code.DEAD_PRIMARY,
        P,
        replaced(10),
        Rule.ACT,
    ),
    (
        "the primary hangs, as the one before it, and its replicas still count as connected",
        hung(replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        replaced(10),
        Rule.COOLDOWN,
    ),
    (
        "the primary's disk is stalled, as that of the one before it was",
        shard(primary(disk_stalled=True), replica(R1)),
        Code.PRIMARY_DISK_STALLED,
        P,
        replace(replaced(10), disk_stalled_recovery=True),
        Rule.COOLDOWN,
    ),
    (
        "this primary was replaced again and again, and no cooldown is asked for",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(attempts=tried(Code.DEAD_PRIMARY, P, 40, 30, 20, 10, 0.2, succeeded=True)),
        Rule.ACT,
    ),
    (
        "tried a moment ago",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(attempts=tried(Code.DEAD_PRIMARY, P, 0.2)),
        Rule.BACKOFF,
    ),
    (
        "tried a moment ago under another code of the same loss",
        dead(),
        Code.DEAD_PRIMARY,
        P,
        DecisionLimits(attempts=tried(Code.DEAD_PRIMARY_AND_SOME_REPLICAS, P, 0.2)),
        Rule.BACKOFF,
    ),
    (
        "something else of the same tablet was tried a moment ago",
        shard(primary(), replica(R1, io=STOPPED)),
        Code.REPLICATION_STOPPED,
        R1,
        DecisionLimits(attempts=tried(Code.REPLICA_IS_WRITABLE, R1, 0.2)),
        Rule.ACT,
    ),
    (
        "a replica was made to reconnect a moment ago",
        shard(primary(dead_for=9, failure=ProbeFailure.TIMEOUT), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(attempts=tried(Code.UNREACHABLE_PRIMARY, P, RESTART_EVERY - 1, succeeded=True)),
        Rule.COOLDOWN,
    ),
    (
        "a replica was made to reconnect a while ago",
        shard(primary(dead_for=90, failure=ProbeFailure.TIMEOUT), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(attempts=tried(Code.UNREACHABLE_PRIMARY, P, RESTART_EVERY + 1, succeeded=True)),
        Rule.ACT,
    ),
    *(
        (
            f"of a silent primary's replicas one was made to reconnect, and {what}",
            shard(primary(dead_for=silent, failure=ProbeFailure.TIMEOUT), *replicas),
            Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS,
            P,
            DecisionLimits(attempts=tried(Code.UNREACHABLE_PRIMARY, P, ago, succeeded=True)),
            rule,
        )
        for what, silent, ago, replicas, rule in (
            ("cannot", 9, 3.0, (replica(R1, io=CONNECTING), replica(R2)), Rule.ACT),
            ("cannot and says so", 9, 3.0, (cannot("Can't connect to MySQL server on 'a'"), replica(R2)), Rule.ACT),
            ("may still be about to", 9, 1.0, (replica(R1, io=CONNECTING), replica(R2)), Rule.COOLDOWN),
            ("cannot, but for a short time", 4, 3.0, (replica(R1, io=CONNECTING), replica(R2)), Rule.COOLDOWN),
            ("is refused by the server", 9, 3.0, (cannot("Too many connections"), replica(R2)), Rule.COOLDOWN),
            (
                "cannot, but another still receives writes",
                9,
                3.0,
                (replica(R1, io=CONNECTING), changed(replica(R2), last_advance_at=NOW - 2.0)),
                Rule.COOLDOWN,
            ),
            (
                "cannot, and what another received it received before",
                9,
                3.0,
                (replica(R1, io=CONNECTING), changed(replica(R2), last_advance_at=NOW - 8.0)),
                Rule.ACT,
            ),
            (
                "nor can a second one, a moment ago",
                9,
                1.0,
                (replica(R1, io=CONNECTING), replica(R2, io=CONNECTING), replica(R3)),
                Rule.ACT,
            ),
        )
    ),
    *(
        (
            f"of a silent primary's three replicas two cannot reconnect, after {tries} tries",
            shard(
                primary(dead_for=30, failure=ProbeFailure.TIMEOUT),
                replica(R1, io=CONNECTING),
                replica(R2, io=CONNECTING),
                replica(R3),
            ),
            Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS,
            P,
            DecisionLimits(
                attempts=tried(Code.UNREACHABLE_PRIMARY, P, *(1.0 + number for number in range(tries)), succeeded=True)
            ),
            rule,
        )
        for tries, rule in ((2, Rule.ACT), (3, Rule.COOLDOWN))
    ),
    *(
        (
            f"of a hung primary's replicas one was made to reconnect and cannot, for {hung} s",
            shard(primary(dead_for=hung, failure=ProbeFailure.HUNG), replica(R1, io=CONNECTING), replica(R2)),
            Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS,
            P,
            DecisionLimits(attempts=tried(Code.UNREACHABLE_PRIMARY, P, 3.0, succeeded=True)),
            rule,
        )
        for hung, rule in ((9, Rule.COOLDOWN), (11, Rule.ACT))
    ),
    (
        "a hung primary",
        shard(primary(dead_for=3, failure=ProbeFailure.HUNG), replica(R1)),
        Code.UNREACHABLE_PRIMARY,
        P,
        DecisionLimits(),
        Rule.ACT,
    ),
    *(
        (
            f"records may be late: {what}",
            shard(
                primary(source=source, read_only=True, tablet_type=TabletType.REPLICA),
                heir,
                replica(R2, of=R1),
            ),
            code,
            name,
            DecisionLimits(),
            rule,
        )
        for what, source, heir, code, name, rule in (
            ("the primary replicates from one that says it is primary", R1, HEIR, Code.PRIMARY_HAS_PRIMARY, P, WAIT),
            ("so does a replica", None, HEIR, Code.CONNECTED_TO_WRONG_PRIMARY, R2, WAIT),
            ("the primary stays read-only", None, HEIR, Code.PRIMARY_IS_READ_ONLY, P, WAIT),
            ("it stays so whatever else is wrong", None, HEIR, Code.PRIMARY_CURRENT_TYPE_MISMATCH, P, WAIT),
            ("its source is a replica", R1, replica(R1), Code.PRIMARY_HAS_PRIMARY, P, Rule.ACT),
        )
    ),
    (
        "records may be late: its source does not answer, and its own type is not known",
        shard(of_old_version(primary(source=R1, read_only=True)), failing(HEIR), replica(R2, of=R1)),
        Code.PRIMARY_HAS_PRIMARY,
        P,
        DecisionLimits(),
        WAIT,
    ),
    *(
        (f"a server went back in time: {what}", view, code, name, DecisionLimits(), rule)
        for what, view, code, name, rule in (
            ("the primary is replaced", BACK, Code.PRIMARY_ROLLED_BACK, P, Rule.ACT),
            ("it is not made writable", BACK, Code.PRIMARY_IS_READ_ONLY, P, Rule.PRIMARY_FIRST),
            ("a replica is told of", HOLE, Code.REPLICA_ROLLED_BACK, R1, Rule.NO_REMEDY),
            ("it is not attached", HOLE, Code.NOT_CONNECTED_TO_PRIMARY, R1, Rule.ROLLED_BACK),
            ("it is not started", HOLE_STOPPED, Code.REPLICATION_STOPPED, R1, Rule.ROLLED_BACK),
            ("nor reconciled", HOLE_STALE, Code.STALE_TOPO_PRIMARY, R1, Rule.ROLLED_BACK),
        )
    ),
    (
        "a primary that runs as a replica lacks what two replicas share",
        shard(
            primary(read_only=True, executed="100:1-5", tablet_type=TabletType.REPLICA),
            replica(R1, received="100:1-5,101:1"),
            replica(R2, received="100:1-5,101:1"),
        ),
        Code.PRIMARY_CURRENT_TYPE_MISMATCH,
        P,
        DecisionLimits(),
        Rule.MISSING_WRITES,
    ),
    (
        "a read-only primary lacks what two replicas share",
        shard(
            primary(read_only=True, executed="100:1-5"),
            replica(R1, received="100:1-5,101:1"),
            replica(R2, received="100:1-5,101:1"),
        ),
        Code.PRIMARY_IS_READ_ONLY,
        P,
        DecisionLimits(),
        Rule.MISSING_WRITES,
    ),
    *(
        (
            f"a read-only primary lacks what a replica received from one that {what}",
            shard(primary(read_only=True, executed="100:1-5"), wrote, replica(R2, of=R1, executed="100:1-5,101:1")),
            Code.PRIMARY_IS_READ_ONLY,
            P,
            DecisionLimits(),
            rule,
        )
        for what, wrote, rule in (
            ("does not answer", failing(replica(R1)), Rule.MISSING_WRITES),
            ("never answered", failing(replica(R1), never_heard=True), Rule.MISSING_WRITES),
            (
                "never answered, and whose record has no port",
                failing(replica(R1, record_changes={"mysql_port": 0}), never_heard=True),
                Rule.MISSING_WRITES,
            ),
            ("does not have it", replica(R1, executed="100:1-5"), Rule.ACT),
        )
    ),
    *(
        (
            f"a tablet declared itself primary when it last answered, {what}",
            shard(primary(read_only=True), changed(failing(HEIR), record_confirmed=stands), *others),
            Code.PRIMARY_IS_READ_ONLY,
            P,
            DecisionLimits(),
            rule,
        )
        for what, stands, others, rule in (
            ("and its record may be late", False, (), WAIT),
            ("and its record is not late", True, (), Rule.ACT),
            ("and a replica that knows no more", False, (replica(R2),), WAIT),
        )
    ),
    *(
        (
            f"a tablet {when} when it was last seen at work",
            shard(primary(read_only=True), changed(now, observed_term=primary(R1, term=term).memory.observed_term)),
            Code.PRIMARY_IS_READ_ONLY,
            P,
            DecisionLimits(),
            rule,
        )
        for when, now, term, rule in (
            ("was primary in a later term", failing(replica(R1), never_heard=True), 11, Rule.MISSING_WRITES),
            ("was primary in the same term", failing(replica(R1), never_heard=True), 10, Rule.ACT),
            ("was primary in a later term, and follows now,", replica(R1), 11, Rule.ACT),
        )
    ),
    (
        "an older tablet was writable, and a source of replication, when it last answered",
        shard(
            primary(read_only=True),
            failing(replica(R1, of=None, read_only=False, tablet_type=None)),
            replica(R2, of=R1, io=CONNECTING),
        ),
        Code.PRIMARY_IS_READ_ONLY,
        P,
        DecisionLimits(),
        WAIT,
    ),
    (
        "a replica that its source refuses",
        shard(primary(), replica(R1, io=CONNECTING, io_error="Access denied for user 'vt_repl'@'a'"), replica(R2)),
        Code.REPLICATION_BROKEN,
        R1,
        DecisionLimits(),
        Rule.REPLICATION_ERROR,
    ),
    (
        "a tablet with an external source",
        shard(primary(), replica(R1, of="zone9-900", executed="100:1-50,900:1-5")),
        Code.CONNECTED_TO_WRONG_PRIMARY,
        R1,
        DecisionLimits(),
        Rule.EXTERNAL_SOURCE,
    ),
    (
        "a primary with an external source",
        shard(primary(source="zone9-900", executed="100:1-50,900:1-5"), replica(R1)),
        Code.PRIMARY_HAS_PRIMARY,
        P,
        DecisionLimits(),
        Rule.EXTERNAL_SOURCE,
    ),
    (
        "a tablet that was refused with its errant transactions",
        shard(primary(), replica(R1, of=None, executed="100:1-50,101:1")),
        Code.NOT_CONNECTED_TO_PRIMARY,
        R1,
        DecisionLimits(attempts=tried(Code.NOT_CONNECTED_TO_PRIMARY, R1, 100.0)),
        Rule.ERRANT,
    ),
]


@pytest.mark.parametrize(
    ("view", "code", "name", "limits", "rule"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_each_rule_has_its_case(view: ShardView, code: Code, name: str, limits: DecisionLimits, rule: Rule) -> None:
    """That rule decides about the finding, in one sentence that begins with the finding."""
    decision = about(view, code, name, limits=limits)
    assert decision.rule is rule
    assert decision.acts == (rule is Rule.ACT)
    assert decision.recovery is (code.problem.recovery if decision.acts else None)
    joint = "; " if decision.acts else "; doing nothing: "
    assert decision.sentence.startswith(decision.finding.sentence + joint)


def test_no_rule_is_without_a_case() -> None:
    """The table above covers each rule of decisions, but the budget, the breaker and the sharing of the whole fleet."""
    of_decisions = {rule for rule in Rule if rule.traits.decides}
    assert {case[-1] for case in CASES} == of_decisions - {Rule.BUDGET, Rule.BREAKER, Rule.SHARED}


@pytest.mark.parametrize("where", ["keyspace", "shard"])
def test_the_topology_server_can_forbid_emergency_reparents(where: str) -> None:
    """Vitess' switch in the keyspace's or the shard's record is honoured."""
    view = dead()
    if where == "keyspace":
        view = replace(view, keyspace_record=replace(view.keyspace_record, emergency_reparent_disabled=True))
    else:
        view = replace(view, shard_record=replace(view.shard_record, emergency_reparent_disabled=True))
    assert about(view, Code.DEAD_PRIMARY).rule is Rule.EMERGENCY_REPARENT_DISABLED


def test_the_sentence_says_what_is_missing() -> None:
    """The sentence of doing nothing names the transactions, the tablets or the seconds."""
    view = shard(primary(), replica(R1, of=R2, received="99:7"), replica(R2))
    assert about(view, Code.CONNECTED_TO_WRONG_PRIMARY).sentence == (
        "commerce/0: zone1-0000000101 replicates from zone2-0000000200; it should replicate from "
        "zone1-0000000100; doing nothing: re-pointing it would drop 1 transaction: 00000099…:7 with its relay log, "
        "and no other reachable tablet has them"
    )
    limits = DecisionLimits(block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, P, 2, succeeded=True))
    assert about(dead(), Code.DEAD_PRIMARY, limits=limits).sentence.endswith(
        "doing nothing: it was replaced as primary 2 s ago, and may be again in 28 s (RecoveryPeriodBlockSeconds)"
    )


def test_of_two_primaries_with_the_same_term_none_is_said_to_be_silent() -> None:
    """A tablet that answers, with a record as primary since the same time, is left alone for another reason."""
    twin = about(shard(primary(), replica(R1), primary("zone1-099")), Code.STALE_TOPO_PRIMARY)
    older = about(shard(primary(), replica(R1), primary(R2, term=5, dead_for=3)), Code.STALE_TOPO_PRIMARY)
    assert twin.sentence.endswith("doing nothing: vtorc cannot tell which of the two is the former primary")
    assert older.sentence.endswith("doing nothing: it does not answer; vtorc makes it a replica once it does")


@pytest.mark.parametrize("tries", range(1, 12))
def test_pauses_double_and_then_an_operator_is_called(tries: int) -> None:
    """Each failed try doubles the pause up to a limit, and from the fifth on the decision is escalated."""
    limits = DecisionLimits(attempts=tried(Code.DEAD_PRIMARY, P, *[0.0] * tries))
    pause = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** (tries - 1))
    for passed, acts in ((0.0, False), (pause - 0.01, False), (pause, True)):
        decision = about(dead(), Code.DEAD_PRIMARY, limits=limits, now=NOW + passed)
        assert decision.acts is acts
        assert decision.escalated == (tries >= ESCALATE_AFTER)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ([""], "doing nothing: DeadPrimary was tried once without lasting effect; the next attempt is in 0.5 s"),
        (
            ["no lock", "not promoting: reach zone1-101"],
            "tried 2 times without lasting effect; the next attempt is in "
            "1.0 s; last time: not promoting: reach zone1-101",
        ),
    ],
)
def test_a_pause_tells_why_the_last_try_was_in_vain(reasons: list[str], told: str) -> None:
    """The sentence of a shard without writes names what an operator has to bring back, and not only the tries."""
    attempts = [replace(tried(Code.DEAD_PRIMARY, P, 0.0)[0], in_vain=reason) for reason in reasons]
    limits = DecisionLimits(attempts=tuple(attempts))
    assert about(dead(), Code.DEAD_PRIMARY, limits=limits).sentence.endswith(told)


def test_a_problem_that_never_ends_is_tried_for_ever() -> None:
    """After thousands of tries the pause is still the longest one."""
    limits = DecisionLimits(attempts=tried(Code.DEAD_PRIMARY, P, *[LAST_BACKOFF] * 5000))
    assert about(dead(), Code.DEAD_PRIMARY, limits=limits).acts


def test_repairs_of_one_kind_are_one_action() -> None:
    """All replicas are repaired in one run, but a replacement carries out one decision."""
    view = shard(primary(), replica(R1, io=STOPPED, read_only=False), replica(R2, io=STOPPED))
    action = next_action(decided(view))
    assert action is not None
    assert action.recovery is Recovery.FIX_REPLICA
    assert [(decision.finding.code, str(decision.finding.alias)) for decision in action.decisions] == [
        (Code.REPLICA_IS_WRITABLE, "zone1-0000000101"),
        (Code.REPLICATION_STOPPED, "zone1-0000000101"),
        (Code.REPLICATION_STOPPED, "zone2-0000000200"),
    ]
    assert (action.code, action.alias) == (Code.REPLICA_IS_WRITABLE, alias(R1))
    action = next_action(decided(dead()))
    assert action is not None
    assert [decision.finding.code for decision in action.decisions] == [Code.DEAD_PRIMARY]


def test_relay_logs_are_dropped_one_by_one() -> None:
    """Repairs that drop the relay log of a replica that acknowledges are done one by one, other repairs all at once."""
    view = shard(primary(), replica(R1, heartbeat_interval=5.0), replica(R2, read_only=False, heartbeat_interval=5.0))
    action = next_action(decided(view))
    assert action is not None
    assert [(decision.finding.code, decision.finding.alias) for decision in action.decisions] == [
        (Code.REPLICA_IS_WRITABLE, alias(R2)),
        (Code.REPLICA_MISCONFIGURED, alias(R1)),
    ]


def test_without_anything_to_do_there_is_no_action() -> None:
    """A shard has no action if it is healthy, or if every decision is to do nothing."""
    assert next_action(decided(shard(primary(), replica(R1)))) is None
    assert next_action(decided(dead(), limits=DecisionLimits(controlled=False))) is None


def test_the_policy_is_changed_in_the_order_that_stalls_nothing() -> None:
    """To semi_sync the replicas acknowledge first, then the primary waits; to none it is the other way round."""
    to = [
        shard(primary(semi_sync=False), replica(R1, semi_sync=False)),
        shard(primary(semi_sync=False), replica(R1)),
        shard(primary(), replica(R1)),
    ]
    back = [replace(view, keyspace_record=replace(view.keyspace_record, durability_policy="none")) for view in to[::-1]]
    assert [_next(view) for view in to] == [Recovery.FIX_REPLICA, Recovery.FIX_PRIMARY, None]
    assert [_next(view) for view in back] == [Recovery.FIX_PRIMARY, Recovery.FIX_REPLICA, None]


def _next(view: ShardView) -> Recovery | None:
    action = next_action(decided(view))
    return action.recovery if action is not None else None


def test_replicas_of_a_blocked_primary_are_repaired_unless_it_is_replaced() -> None:
    """While commits hang and the primary stays, another acker may help; repairs of the primary itself wait."""
    view = shard(primary(semi_sync_blocked=True, clients=0, read_only=True), replica(R1), replica(R2, semi_sync=False))
    assert about(view, Code.REPLICA_SEMI_SYNC_MUST_BE_SET).rule is Rule.PRIMARY_FIRST
    off = DecisionLimits(allow_emergency_reparent=False)
    assert about(view, Code.REPLICA_SEMI_SYNC_MUST_BE_SET, limits=off).rule is Rule.ACT
    assert about(view, Code.PRIMARY_IS_READ_ONLY, limits=off).rule is Rule.PRIMARY_FIRST
    pause = DecisionLimits(attempts=tried(Code.PRIMARY_SEMI_SYNC_BLOCKED, P, 0.1))
    assert about(view, Code.REPLICA_SEMI_SYNC_MUST_BE_SET, limits=pause).rule is Rule.ACT


@pytest.mark.parametrize(
    ("view", "lost"),
    [
        pytest.param(shard(primary(), replica(R1, received="100:51-60")), "", id="the primary's own"),
        pytest.param(shard(primary(), replica(R1, received="99:7")), "99:7", id="no other tablet has it"),
        pytest.param(
            shard(primary(), replica(R1, received="99:7"), replica(R2, received="99:7")),
            "99:7",
            id="another has it, but in a relay log too",
        ),
        pytest.param(
            shard(primary(), replica(R1, received="99:7"), replica(R2, executed="99:7,100:1-50")),
            "",
            id="another has executed it",
        ),
        pytest.param(
            shard(primary(), replica(R1, received="99:7"), filtering(R2, executed="99:7,100:1-50")),
            "99:7",
            id="another has executed what its filters let through",
        ),
        pytest.param(
            shard(primary(), replica(R1, received="99:7"), failing(replica(R2, executed="99:7,100:1-50"))),
            "99:7",
            id="another had executed it, but does not answer",
        ),
        pytest.param(
            shard(primary(dead_for=3), replica(R1, received="100:51-60")), "100:51-60", id="the primary is dead"
        ),
        pytest.param(shard(primary(), failing(replica(R1, received="99:7"))), "", id="it does not answer itself"),
    ],
)
def test_last_copies_are_what_no_other_answering_tablet_has_executed(view: ShardView, lost: str) -> None:
    """A relay log may be dropped if another tablet that answers has executed its transactions."""
    tablet = view.tablet(alias(R1))
    assert tablet is not None
    assert repoint_would_lose(view, tablet) == gtids(lost)


TABLETS = st.sampled_from(
    [
        replica(R1),
        WAITING_1,
        failing(replica(R1), ProbeFailure.TIMEOUT),
        replica(R1, of=None, read_only=False),
        replica(R1, of=R2, received="99:3", semi_sync=False),
        replica(R1, TabletType.RDONLY),
        primary(R1, term=9),
    ]
)
PRIMARIES = st.sampled_from(
    [
        primary(),
        primary(dead_for=9),
        primary(dead_for=9, failure=ProbeFailure.TIMEOUT),
        primary(source="zone9-900", read_only=True),
        primary(semi_sync_blocked=True),
        primary(semi_sync=False, tablet_type=TabletType.REPLICA),
        changed(primary(), status=TabletStatus(disk_stalled=True)),
        replica(P, of=None),
    ]
)


@given(
    PRIMARIES,
    TABLETS,
    TABLETS,
    st.booleans(),
    st.sampled_from([DecisionLimits(), DecisionLimits(disk_stalled_recovery=True)]),
)
def test_the_primary_comes_first(
    first: TabletView, second: TabletView, third: TabletView, cross_cell: bool, limits: DecisionLimits
) -> None:
    """Whatever the shard, no replica is repaired while the primary does not answer or is about to be replaced."""
    third = replace(third, record=replace(third.record, alias=alias(R2), mysql_hostname=f"mysql-{R2}"))
    view = shard(first, second, third, policy_name="cross_cell" if cross_cell else "semi_sync")
    decisions = decided(view, limits=limits)
    assert len(decisions) == len(analyse(view, policy("semi_sync"), DetectionThresholds(), NOW)) or cross_cell
    repairs = {Recovery.FIX_REPLICA, Recovery.FIX_PRIMARY, Recovery.RECONCILE_STALE_TOPO_PRIMARY}
    replacing = any(decision.recovery is not None and decision.recovery.replaces_primary for decision in decisions)
    answers = view.primary is not None and view.primary.is_current
    if replacing or not answers:
        assert not any(decision.recovery in repairs for decision in decisions)


def test_a_repair_that_held_does_not_slow_down_the_next() -> None:
    """A problem that comes back after a while is a new one, until it has come back too often."""
    held = [replace(attempt, held=True, succeeded=True) for attempt in tried(Code.DEAD_PRIMARY, P, 1.0)]
    few = about(dead(), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=held * 3))
    many = about(
        dead(), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=[replace(h, succeeded=False) for h in held * 10])
    )
    assert (few.acts, few.escalated) == (True, False)
    assert (many.acts, many.escalated) == (True, True)


def test_a_waived_pause_is_not_waited_for_but_counts() -> None:
    """A recovery with a waived pause is tried at once, and an operator is called all the same."""
    waived = [replace(attempt, waived=True) for attempt in tried(Code.DEAD_PRIMARY, P, 0.1) * ESCALATE_AFTER]
    once_more = about(dead(), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=waived))
    assert (once_more.acts, once_more.escalated) == (True, True)
    since = DecisionLimits(attempts=[*waived, *tried(Code.DEAD_PRIMARY, P, 0.1)])
    assert about(dead(), Code.DEAD_PRIMARY, limits=since).rule is Rule.BACKOFF


@pytest.mark.parametrize(("ago", "rule"), [(29.0, Rule.BACKOFF), (31.0, Rule.ACT)])
def test_a_recovery_that_waited_for_relay_logs_in_vain_pauses_as_long_as_it_took(ago: float, rule: Rule) -> None:
    """Half a second would leave the shard lock to nobody else, and only an applier can help."""
    waited = [replace(a, waits_for={alias(R1): gtids("100:1-60")}, took=30.0) for a in tried(Code.DEAD_PRIMARY, P, ago)]
    assert about(dead(), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=waited)).rule is rule


@pytest.mark.parametrize(("ago", "rule"), [(119.0, Rule.BACKOFF), (121.0, Rule.ACT)])
def test_the_pause_after_waits_for_relay_logs_doubles(ago: float, rule: Rule) -> None:
    """Three waits of 30 s are followed by a pause of 120 s."""
    waited = [replace(a, waits_for={alias(R1): gtids("100:1-60")}, took=30.0) for a in tried(Code.DEAD_PRIMARY, P, ago)]
    assert about(dead(), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=waited * 3)).rule is rule


def test_a_primary_that_lacks_writes_that_several_tablets_share_stays_read_only() -> None:
    """Writes that the primary lacks may be acknowledged if two replicas share them; those of one replica are errant."""
    one_has_them = [
        primary(read_only=True, executed="100:1-5"),
        replica(R1, received="100:1-5,101:1"),
        replica(R2, received="100:1-5"),
    ]
    both_have_them = [*one_has_them[:2], replica(R2, received="100:1-5,101:1")]
    assert about(shard(*one_has_them), Code.PRIMARY_IS_READ_ONLY).rule is Rule.ACT
    refused = about(shard(*both_have_them), Code.PRIMARY_IS_READ_ONLY)
    assert (refused.acts, refused.rule) == (False, Rule.MISSING_WRITES)
    assert refused.escalated
    assert "SetWritable zone1-0000000100 true" in refused.sentence


def seen_acknowledging(name: str, received: str = "") -> TabletView:
    """A replica that was seen to receive with its side of semi-sync at work."""
    span = ClientSpan(source_uuid=uuid(R1), source_host="", source_port=3306, seen_from=NOW - 9, seen_to=NOW - 5)
    return changed(replica(name, received=received), client_span=span)


@pytest.mark.parametrize(
    ("others", "rule"),
    [
        pytest.param([replica(R2)], Rule.ACT, id="no other cell has them"),
        pytest.param([replica(R2, received=UNSENT)], Rule.MISSING_WRITES, id="another cell has them"),
        pytest.param([failing(replica(R2))], Rule.MISSING_WRITES, id="another cell does not answer"),
        pytest.param([replica(R2), seen_acknowledging("zone1-103")], Rule.ACT, id="one that acknowledged lacks them"),
        pytest.param(
            [replica(R2), seen_acknowledging("zone1-103", UNSENT)], Rule.MISSING_WRITES, id="one that acknowledged has"
        ),
        pytest.param(
            [answers(replica(R2), server_uuid=uuid(R1))], Rule.MISSING_WRITES, id="another has the writer's server_uuid"
        ),
    ],
)
def test_writes_that_no_acker_received_keep_no_primary_read_only(others: list[TabletView], rule: Rule) -> None:
    """Under cross_cell, two tablets of a cell that was cut off share what no other cell acknowledged."""
    former, beside = replica(R1, of=None, executed=UNSENT), replica("zone1-102", received=UNSENT)
    view = shard(primary(read_only=True), former, beside, *others, policy_name="cross_cell")
    assert about(view, Code.PRIMARY_IS_READ_ONLY).rule is rule


def test_another_server_under_the_alias_of_the_primary_stays_read_only() -> None:
    """An empty server in the place of the primary is not repaired, by what vtorc or the replicas remember of it."""
    served = primary()
    rebuilt = answers(served, read_only=True, server_uuid=uuid(901), executed=gtids(""))
    for tablet in (rebuilt, changed(rebuilt, observed_term=None)):
        refused = about(shard(tablet, replica(R1), replica(R2)), Code.PRIMARY_IS_READ_ONLY)
        assert (refused.acts, refused.rule, refused.escalated) == (False, Rule.MISSING_WRITES, True)
        assert f"under its alias runs server {uuid(901)}" in refused.sentence
    assert about(shard(answers(served, read_only=True), replica(R1), replica(R2)), Code.PRIMARY_IS_READ_ONLY).acts


@pytest.mark.parametrize(
    ("others", "changes", "acts"),
    [
        ((replica(R1, io=STOPPED), replica(R2, io=STOPPED)), {}, True),
        ((replica(R1, io=STOPPED), failing(replica(R2))), {}, False),
        ((replica(R1, io=STOPPED), replica(R2)), {}, False),
        ((replica(R1, io=STOPPED), replica(R2, io=STOPPED, received="100:51")), {}, False),
        ((replica(R1, io=STOPPED), replica(R2, io=STOPPED)), {"unreachable_cells": {"zone3": "no route"}}, False),
    ],
    ids=[
        "all is there",
        "one does not answer",
        "one receives from the server before",
        "one has more",
        "a cell is lost",
    ],
)
def test_a_primary_that_was_rebuilt_as_a_copy_is_made_writable(
    others: tuple[TabletView, ...], changes: dict[str, Any], acts: bool
) -> None:
    """Another server under its alias is right once every tablet answers and none has a write that it lacks."""
    rebuilt = answers(primary(), read_only=True, server_uuid=uuid(901))
    decision = about(shard(rebuilt, *others, **changes), Code.PRIMARY_IS_READ_ONLY)
    assert decision.acts is acts


def test_tablets_with_writes_that_may_be_acknowledged_are_not_to_be_rebuilt() -> None:
    """The advice is to rebuild none of the tablets that share writes which the primary lacks, read-only or not."""
    two = [replica(name, of=None, executed=ERRANT) for name in (R1, R2)]
    for read_only in (True, False):
        view = shard(primary(read_only=read_only), *two)
        refused = about(view, Code.NOT_CONNECTED_TO_PRIMARY, R1, limits=REFUSED)
        assert (refused.acts, refused.rule, refused.escalated) == (False, Rule.MISSING_WRITES, True)
        assert "2 tablets share 1 transaction: 00000101" in refused.sentence
        assert "rebuild none of these tablets" in refused.sentence


def test_an_operator_is_told_how_to_get_a_first_primary() -> None:
    """A first election that waits for records that cannot be read calls an operator and says the way out."""
    view = fresh_shard(new(R1), unreachable_cells={"zone3": "no route"})
    refused = about(view, Code.CLUSTER_HAS_NO_PRIMARY)
    assert refused.escalated
    assert "cell zone3 cannot be read" in refused.sentence
    assert "DeleteCellInfo" in refused.sentence


ERRANT = "100:1-50,101:1"
REFUSED = DecisionLimits(attempts=tried(Code.NOT_CONNECTED_TO_PRIMARY, R1, 100.0))


def test_errant_transactions_are_named() -> None:
    """The sentence names the errant transactions, the primary that lacks them and the remedy, and calls an operator."""
    refused = about(
        shard(primary(), replica(R1, of=None, executed=ERRANT)), Code.NOT_CONNECTED_TO_PRIMARY, limits=REFUSED
    )
    assert "because it has 1 transaction: 00000101" in refused.sentence
    assert "which zone1-0000000100 lacks; rebuild it" in refused.sentence
    assert refused.escalated


@pytest.mark.parametrize(
    ("tablet", "of_primary", "limits"),
    [
        (replica(R1, of=None, executed=ERRANT), "100:1-50", DecisionLimits()),
        (of_old_version(replica(R1, of=None, executed=ERRANT)), "100:1-50", REFUSED),
        (replica(R1, of=None, executed="100:1-50"), "100:1-50", REFUSED),
        (replica(R1, of=None, executed="100:1-51"), "100:1-50", REFUSED),
        (replica(R1, of=None, executed=ERRANT), ERRANT, REFUSED),
    ],
    ids=["not refused yet", "its version asks nothing", "rebuilt", "ahead of the last answer", "made good"],
)
def test_a_tablet_is_attached_unless_it_was_refused(
    tablet: TabletView, of_primary: str, limits: DecisionLimits
) -> None:
    """A tablet is attached until its tablet manager refuses, and again once the reason is gone."""
    view = shard(primary(executed=of_primary), tablet)
    assert about(view, Code.NOT_CONNECTED_TO_PRIMARY, limits=limits).rule is Rule.ACT


BROKEN = shard(primary(), replica(R1, io=STOPPED, io_error="Got fatal error 1236 from source: purged"), replica(R2))
CAUSE = next(f.cause for f in analyse(BROKEN, policy("semi_sync"), DetectionThresholds(), NOW))


def restarted(*ago: float, cause: str = CAUSE) -> DecisionLimits:
    """Limits with restarts of replication that ended so many seconds ago and met the same error."""
    return DecisionLimits(attempts=[replace(a, cause=cause) for a in tried(Code.REPLICATION_BROKEN, R1, *ago)])


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (DecisionLimits(), Rule.ACT),
        (restarted(1.0), Rule.REPLICATION_ERROR),
        (restarted(29.0), Rule.REPLICATION_ERROR),
        (restarted(30.0), Rule.ACT),
        (restarted(31.0), Rule.ACT),
        (restarted(90.0, 59.0), Rule.REPLICATION_ERROR),
        (restarted(91.0, 61.0), Rule.ACT),
        (restarted(*range(2000, 200, -150), 119.0), Rule.REPLICATION_ERROR),
        (restarted(*range(2000, 200, -150), 121.0), Rule.ACT),
        (restarted(1.0, cause="1236 from elsewhere"), Rule.ACT),
    ],
)
def test_replication_with_a_lasting_error_is_restarted_once_and_then_rarely(limits: DecisionLimits, rule: Rule) -> None:
    """It is restarted at once for each new cause, and for the same one after 30 s, 60 s, and then every 120 s."""
    decision = about(BROKEN, Code.REPLICATION_BROKEN, R1, limits=limits)
    assert decision.rule is rule
    assert decision.escalated or decision.acts


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (DecisionLimits(), None),
        (DecisionLimits(controlled=False), Rule.NOT_CONTROLLED),
        (DecisionLimits(allow_recovery=False), Rule.RECOVERIES_DISABLED),
        (DecisionLimits(allow_emergency_reparent=False), Rule.EMERGENCY_REPARENT_DISABLED),
        (
            DecisionLimits(block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, P, 20, 2, succeeded=True)),
            Rule.COOLDOWN,
        ),
        (DecisionLimits(block_seconds=30, attempts=tried(Code.DEAD_PRIMARY, R3, 2, succeeded=True)), None),
    ],
    ids=["none", "not watched", "no recovery", "no reparent", "replaced twice just now", "another was"],
)
def test_what_would_keep_a_dead_primary_is_known_while_it_lives(limits: DecisionLimits, rule: Rule | None) -> None:
    """The rule is the one that holds when the primary is dead."""
    alive = shard(primary(), replica(R1), replica(R2))
    why = why_not_replaced(alive, policy("semi_sync"), limits, NOW)
    assert (why[0] if why is not None else None) is rule
    dead = about(shard(primary(dead_for=3), WAITING_1, WAITING_2), Code.DEAD_PRIMARY, P, limits=limits)
    assert dead.rule is (rule or Rule.ACT)
    assert why is None or f"doing nothing: {why[1]}" in dead.sentence


def test_a_keyspace_in_which_emergency_reparents_are_disabled_keeps_a_dead_primary() -> None:
    """The switch in the topology server counts as it does when the primary is dead."""
    view = shard(primary(), replica(R1), replica(R2))
    off = replace(view, keyspace_record=replace(view.keyspace_record, emergency_reparent_disabled=True))
    why = why_not_replaced(off, policy("semi_sync"), DecisionLimits(), NOW)
    assert why is not None
    assert why[0] is Rule.EMERGENCY_REPARENT_DISABLED


def test_a_shard_without_a_primary_has_none_to_keep() -> None:
    """Nothing is said about a primary that the shard does not have."""
    assert why_not_replaced(fresh_shard(new(R1)), policy("semi_sync"), DecisionLimits(controlled=False), NOW) is None


def test_a_decision_that_stands_still_says_whose_hold_it_is() -> None:
    """Until when, and why, is there as well."""
    view = held(dead(), hold(Effect.NO_FAILOVER, on="cell:zone1", expires=1_700_000_000 * 10**9))
    decision = about(view, Code.DEAD_PRIMARY, P)
    assert decision.sentence.endswith(
        "; doing nothing: hold 3 of ann on cell zone1 until 2023-11-14T22:13:20Z: a drill"
    )


@pytest.mark.parametrize(
    ("on", "is_silenced"), [("fleet", True), (f"tablet:{R1}", True), ("cell:zone2", False), (f"tablet:{P}", False)]
)
def test_a_silenced_finding_is_decided_as_ever(on: str, *, is_silenced: bool) -> None:
    """It keeps its place, its rule and its sentence, and tells the hold that silences it."""
    view, silent = shard(primary(), replica(R1, io=STOPPED)), hold(Effect.NO_ALERT, on=on)
    decision = about(held(view, silent), Code.REPLICATION_STOPPED, R1)
    assert decision.silenced_by == (silent if is_silenced else None)
    assert replace(decision, silenced_by=None) == about(view, Code.REPLICATION_STOPPED, R1)


def test_a_hold_says_beforehand_that_the_primary_would_not_be_replaced() -> None:
    """A hold that was forgotten is seen before it costs an outage."""
    view = shard(primary(), replica(R1))
    durability = policy("semi_sync")
    assert why_not_replaced(view, durability, DecisionLimits(), NOW) is None
    why = why_not_replaced(held(view, hold(Effect.NO_FAILOVER)), durability, DecisionLimits(), NOW)
    assert why == (Rule.HELD, "hold 3 of ann on the fleet until it is lifted: a drill")


def test_an_attempt_that_a_hold_refused_is_repeated_once_the_holds_change() -> None:
    """Its pause is over at once; that after an attempt which failed for another reason is not."""
    view, refused = shard(primary(), replica(R1)), held(shard(primary(), replica(R1)), hold(Effect.NOT_PROMOTABLE))
    (failed,) = tried(Code.DEAD_PRIMARY, P, 1.0)
    attempts = [failed, replace(failed, refused_with=refused.holds)]
    assert [each.waived for each in waive_lifted(refused, attempts)] == [False, False]
    assert [each.waived for each in waive_lifted(view, attempts)] == [False, True]
