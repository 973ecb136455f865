"""Decisions that turn on one fact: which action is next, which pause ends, and what keeps a primary read-only."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    SHARD,
    STOPPED,
    P,
    alias,
    answers,
    changed,
    failing,
    primary,
    replica,
    shard,
)
from tests.unit.core.decision.test_backoff import dies_again, replaced
from tests.unit.core.decision.test_decisions import R1, R2, R3, about, cannot, dead, decided, tried, with_relay_log
from tests.unit.core.decision.test_escalation import DEAD, UNREACHED, attempt, escalated, every_second, standing
from vtorc.core.decision.decisions import RESTART_EVERY, Decision, DecisionLimits, decide, next_action
from vtorc.core.decision.escalation import StandingProblems
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView

SHARED = "100:1-50,7:1"


def wants(code: Code, name: str) -> Decision:
    """A decision to carry out what the problem asks for."""
    finding = Finding(code=code, shard=SHARD, alias=alias(name), sentence="it is so")
    return Decision(finding=finding, recovery=code.problem.recovery, rule=Rule.ACT, sentence="it is so")


def test_a_replacement_is_carried_out_alone() -> None:
    """A second tablet that is to be replaced waits for its turn, and so does each repair."""
    first = wants(Code.DEAD_PRIMARY, P)
    action = next_action([first, wants(Code.DEAD_PRIMARY, R1), wants(Code.REPLICATION_STOPPED, R2)])
    assert action is not None
    assert action.decisions == (first,)


def test_repairs_of_another_kind_wait() -> None:
    """A repair of the primary is not carried out as one of its replicas."""
    repairs = [wants(Code.REPLICATION_STOPPED, R1), wants(Code.REPLICATION_STOPPED, R2)]
    action = next_action([repairs[0], wants(Code.PRIMARY_IS_READ_ONLY, P), repairs[1]])
    assert action is not None
    assert action.decisions == tuple(repairs)


def test_a_problem_without_a_remedy_calls_no_operator_at_once() -> None:
    """It may pass by itself; how long it stands decides."""
    silent = [failing(replica(name), ProbeFailure.TIMEOUT) for name in (R1, R2)]
    decision = about(dead(*silent), Code.DEAD_PRIMARY_AND_REPLICAS)
    assert (decision.rule, decision.escalated) == (Rule.NO_REMEDY, False)


def test_an_unconfirmed_loss_is_said_to_lack_evidence() -> None:
    """The reasons for which two primaries are left alone are not those of a lost one."""
    heard_before = [replica(name, io=CONNECTING, heard=10.0) for name in (R1, R2)]
    decision = about(dead(*heard_before), Code.DEAD_PRIMARY)
    assert decision.sentence.endswith("doing nothing: the evidence is not complete yet")


@pytest.mark.parametrize(
    ("tries", "words", "escalated"), [(1, "once", False), (4, "4 times", False), (5, "5 times", True)]
)
def test_between_two_refusals_the_last_one_stays_the_reason(tries: int, words: str, escalated: bool) -> None:
    """The evidence is heard anew after each attempt, and meanwhile the tablets to bring back are named."""
    refused = "not promoting: to exclude that, reach zone1-101"
    tried_in_vain = [replace(each, in_vain=refused) for each in tried(Code.DEAD_PRIMARY, P, *range(40, 40 + tries))]
    heard_before = [replica(name, io=CONNECTING, heard=10.0) for name in (R1, R2)]
    decision = about(dead(*heard_before), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=tried_in_vain))
    assert (decision.rule, decision.escalated) == (Rule.BACKOFF, escalated)
    assert decision.sentence.endswith(
        f"doing nothing: DeadPrimary was tried {words} without lasting effect; the evidence is not complete yet; "
        f"last time: {refused}"
    )


def test_a_refusal_is_no_reason_any_more_once_a_tablet_declares_itself_primary() -> None:
    """The tablet that was missing then may be this one, and its record is about to follow."""
    refused = [replace(each, in_vain="not promoting") for each in tried(Code.DEAD_PRIMARY, P, 40.0)]
    declared = replica(R1, of=None)
    declared = answers(declared, read_only=False, tablet_type=TabletType.PRIMARY)
    decision = about(
        dead(declared, replica(R2, io=CONNECTING)), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=refused)
    )
    assert decision.rule is Rule.UNCONFIRMED


@pytest.mark.parametrize(
    ("problem", "code", "would"),
    [
        (dead(), Code.DEAD_PRIMARY, "replacing the primary"),
        (shard(primary(), replica(R1, io=STOPPED), replica(R2)), Code.REPLICATION_STOPPED, "repairing the replica"),
    ],
)
def test_a_vtorc_that_only_watches_says_what_it_would_do(problem: ShardView, code: Code, would: str) -> None:
    """An operator compares that with what another one does."""
    decision = about(problem, code, limits=DecisionLimits(allow_recovery=False))
    assert decision.sentence.endswith(
        f"; doing nothing: recoveries are disabled (allow-recovery), which keeps vtorc from {would}"
    )


@pytest.mark.parametrize("earlier", [{"succeeded": True}, {"held": True, "in_vain": "no"}])
def test_an_attempt_that_was_not_in_vain_is_no_reason_between_two(earlier: dict[str, Any]) -> None:
    """The problem is a new one, and its evidence is not complete yet."""
    before = [replace(each, **earlier) for each in tried(Code.DEAD_PRIMARY, P, 40.0)]
    heard_before = [replica(name, io=CONNECTING, heard=10.0) for name in (R1, R2)]
    decision = about(dead(*heard_before), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=before))
    assert (decision.rule, decision.escalated) == (Rule.UNCONFIRMED, False)


def test_no_replica_is_repaired_without_a_primary_that_answers() -> None:
    """Whatever was found before: there is nothing to attach it to."""
    stopped = replica(R1, io=STOPPED)
    (finding,) = [each.finding for each in decided(shard(primary(), stopped)) if each.finding.alias == alias(R1)]
    for view in (shard(stopped, named=None), shard(primary(dead_for=3.0), stopped)):
        (decision,) = decide(view, [finding], policy("semi_sync"), DecisionLimits(), NOW)
        assert decision.rule is Rule.PRIMARY_FIRST


def test_the_only_copy_in_a_relay_log_holds_up_no_repair_that_keeps_it() -> None:
    """To make a replica read-only drops nothing."""
    last_copy = with_relay_log(replica(R1, read_only=False), "99:1")
    assert about(shard(primary(), last_copy, replica(R2)), Code.REPLICA_IS_WRITABLE).rule is Rule.ACT


@pytest.mark.parametrize("read_only", [True, False])
def test_what_keeps_a_primary_read_only_holds_up_no_repair_of_one_that_takes_writes(read_only: bool) -> None:
    """It takes writes already, and the repair makes them safer."""
    lacks = primary(semi_sync=False, read_only=read_only, super_read_only=read_only)
    view = shard(lacks, *(replica(name, executed=SHARED) for name in (R1, R2)))
    rule = about(view, Code.PRIMARY_SEMI_SYNC_MUST_BE_SET).rule
    assert rule is (Rule.MISSING_WRITES if read_only else Rule.ACT)


def test_a_primary_stays_read_only_beside_one_that_may_have_been_promoted_unseen() -> None:
    """Two tablets of a cell that cannot be read are enough to take writes and to acknowledge them."""
    gone = [failing(replica(name), ProbeFailure.TIMEOUT) for name in (R2, "zone2-201")]
    view = shard(primary(read_only=True), replica(R1), *gone, unreachable_cells={"zone2": "does not answer"})
    assert about(view, Code.PRIMARY_IS_READ_ONLY).rule is Rule.UNREACHABLE_CELL


# Pauses


def _renamed(tablet: TabletView, name: str) -> TabletView:
    return replace(tablet, record=replace(tablet.record, alias=alias(name)))


def reconnected(*ago: float) -> DecisionLimits:
    """Limits with replicas that were made to reconnect so many seconds ago."""
    attempts = tried(Code.UNREACHABLE_PRIMARY, P, *ago, succeeded=True)
    return DecisionLimits(attempts=attempts)


@pytest.mark.parametrize(("ago", "rule"), [(RESTART_EVERY - 0.1, Rule.COOLDOWN), (RESTART_EVERY, Rule.ACT)])
def test_a_replica_is_made_to_reconnect_once_a_minute(ago: float, rule: Rule) -> None:
    """What else was done in the meantime does not count."""
    view = shard(primary(dead_for=90.0, failure=ProbeFailure.TIMEOUT), replica(R1), replica(R2))
    limits = reconnected(ago)
    assert about(view, Code.UNREACHABLE_PRIMARY, limits=limits).rule is rule
    repaired = (*limits.attempts, *tried(Code.REPLICATION_STOPPED, R3, 1.0, succeeded=True))
    assert about(view, Code.UNREACHABLE_PRIMARY, limits=replace(limits, attempts=repaired)).rule is rule


NO_ROUTE = cannot("Can't connect to MySQL server on 'mysql-zone1-100' (113)")


@pytest.mark.parametrize(
    ("dead_for", "unasked", "others", "ago", "rule"),
    [
        (5.0, 0.0, (replica(R2),), (3.0,), Rule.ACT),
        (4.9, 0.0, (replica(R2),), (3.0,), Rule.COOLDOWN),
        (10.0, 0.0, (replica(R2),), (9.0, 3.0), Rule.COOLDOWN),
        (10.0, 2.0, (replica(R2),), (9.0, 3.0), Rule.COOLDOWN),
        (10.0, 0.0, (replica(R2),), (11.0, 3.0), Rule.ACT),
        (10.0, 0.0, (replica(R2), _renamed(NO_ROUTE, R3)), (0.61,), Rule.ACT),
        (10.0, 0.0, (replica(R2), _renamed(NO_ROUTE, R3)), (0.55,), Rule.COOLDOWN),
    ],
    ids=[
        "silent for long",
        "silent for a moment",
        "each replica was tried",
        "the same, though the primary was not asked for a while",
        "one was tried before it failed",
        "two cannot for half a second",
        "two cannot for less",
    ],
)
def test_another_replica_is_made_to_reconnect_if_the_first_cannot(
    dead_for: float, unasked: float, others: tuple[TabletView, ...], ago: tuple[float, ...], rule: Rule
) -> None:
    """The primary is silent for five seconds by then, and not every replica was made to since it failed."""
    gone = changed(primary(dead_for=dead_for, failure=ProbeFailure.TIMEOUT), unasked=unasked)
    view = shard(gone, NO_ROUTE, *others)
    (decision,) = [each for each in decided(view, limits=reconnected(*ago)) if each.finding.alias == alias(P)]
    assert decision.rule is rule


def test_only_a_wait_for_relay_logs_makes_the_pause_as_long_as_the_try() -> None:
    """A replacement that failed after a minute for another reason is tried again at once."""
    failed = [replace(each, took=60.0) for each in tried(Code.DEAD_PRIMARY, P, 1.0)]
    assert about(dead(), Code.DEAD_PRIMARY, limits=DecisionLimits(attempts=failed)).acts


def test_a_tablet_may_die_in_two_ways() -> None:
    """Whether all replicas answered then and now makes no other death of it."""
    assert dies_again(replaced(20.0, code=Code.DEAD_PRIMARY_AND_SOME_REPLICAS)).rule is Rule.ACT


@pytest.mark.parametrize(("ago", "rule"), [(29.9, Rule.COOLDOWN), (30.0, Rule.ACT)])
def test_a_replacement_counts_for_as_long_as_the_block_lasts(ago: float, rule: Rule) -> None:
    """After that the same tablet may be replaced once more."""
    assert dies_again(replaced(ago), replaced(ago)).rule is rule


# Calls for an operator


def test_a_problem_begins_to_stand_when_it_becomes_critical() -> None:
    """A harmless problem of the same tablet before it does not count."""
    problems = StandingProblems()
    every_second(problems, standing(Code.REPLICATION_STOPPED), first=0, last=60)
    assert escalated(problems, DEAD, at=61.0) == [False]


def test_an_operator_is_called_once_after_an_action() -> None:
    """The action is over, and the next code of the same problem is no news."""
    problems, acted = StandingProblems(), (attempt(NOW + 1.0),)
    for at in range(62):
        problems.escalate([DEAD], acted, NOW + at)
    assert escalated(problems, DEAD, at=62.0, attempts=acted) == [True]
    assert escalated(problems, UNREACHED, at=63.0, attempts=acted) == [False]
