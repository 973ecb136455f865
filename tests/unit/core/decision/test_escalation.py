"""When an operator is called for a problem about which nothing is done."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import NOW, SHARD, alias
from vtorc.core.decision.backoff import Attempt
from vtorc.core.decision.decisions import Decision
from vtorc.core.decision.escalation import ESCALATE_STANDING_AFTER, GONE_AFTER, StandingProblems, is_critical
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.rules import Rule

P, R1 = alias("zone1-100"), alias("zone1-101")


def standing(code: Code, *, name: str | None = "zone1-100", rule: Rule = Rule.NO_REMEDY) -> Decision:
    """A decision to do nothing about a problem."""
    on = alias(name) if name is not None else None
    finding = Finding(code=code, shard=SHARD, alias=on, sentence="it is down")
    return Decision(finding=finding, recovery=None, rule=rule, sentence="it is down; doing nothing: why")


DEAD = standing(Code.DEAD_PRIMARY_AND_REPLICAS)
UNREACHED = standing(Code.UNREACHABLE_PRIMARY)


def attempt(ended_at: float, recovery: Recovery = Recovery.RECOVER_DEAD_PRIMARY) -> Attempt:
    return Attempt(code=Code.DEAD_PRIMARY, recovery=recovery, alias=P, ended_at=ended_at, succeeded=False)


def escalated(
    problems: StandingProblems, *decisions: Decision, at: float, attempts: tuple[Attempt, ...] = ()
) -> list[bool]:
    return [each.escalated for each in problems.escalate(decisions, attempts, NOW + at)]


def every_second(problems: StandingProblems, *decisions: Decision, first: int, last: int) -> None:
    """Let the problems be found once a second."""
    for at in range(first, last + 1):
        problems.escalate(decisions, (), NOW + at)


def test_an_operator_is_called_after_a_minute() -> None:
    """The decision is escalated once the problem has stood for 60 s, and says so."""
    problems = StandingProblems()
    every_second(problems, DEAD, first=0, last=59)
    assert escalated(problems, DEAD, at=ESCALATE_STANDING_AFTER - 0.1) == [False]
    (called,) = problems.escalate([DEAD], (), NOW + 60.0)
    assert (called.escalated, called.has_stood, called.rule) == (True, True, Rule.NO_REMEDY)
    assert called.sentence == "it is down; doing nothing: why; this has stood for 60 s, so an operator is needed"


def test_a_problem_that_goes_begins_anew() -> None:
    """A problem that was gone for more than a few seconds is a new one; one that flickers is not."""
    problems = StandingProblems()
    every_second(problems, DEAD, first=0, last=59)
    assert escalated(problems, DEAD, at=59.0 + GONE_AFTER) == [True]
    assert escalated(problems, DEAD, at=64.1 + GONE_AFTER) == [False]


def test_the_codes_of_one_tablet_are_one_problem() -> None:
    """A primary whose code changes is out of reach all the time, and an operator is called once."""
    problems = StandingProblems()
    for at in range(60):
        problems.escalate([DEAD if at % 10 < 5 else UNREACHED], (), NOW + at)
    assert escalated(problems, DEAD, at=60.0) == [True]
    assert escalated(problems, UNREACHED, at=61.0) == [False]
    assert escalated(problems, DEAD, UNREACHED, at=62.0) == [True, False]


def test_each_tablet_has_a_time_of_its_own() -> None:
    """A problem of the shard as a whole does not stand for one of its primary."""
    problems, whole = StandingProblems(), standing(Code.UNKNOWN_DURABILITY_POLICY, name=None)
    every_second(problems, whole, first=0, last=59)
    assert escalated(problems, whole, DEAD, at=60.0) == [True, False]


def test_an_attempt_begins_the_time_anew() -> None:
    """While vtorc tries it is no problem that nothing is done about; a test of the primary is no attempt."""
    problems = StandingProblems()
    every_second(problems, DEAD, first=0, last=60)
    tried, test = attempt(NOW + 30.0), attempt(NOW + 30.0, Recovery.RESTART_DIRECT_REPLICA)
    other = replace(tried, alias=R1)
    assert escalated(problems, DEAD, at=61.0, attempts=(test, other)) == [True]
    assert escalated(problems, DEAD, at=61.0, attempts=(tried,)) == [False]
    every_second(problems, DEAD, first=62, last=89)
    assert escalated(problems, DEAD, at=90.0, attempts=(tried,)) == [True]


def test_what_was_escalated_already_stays_as_it_is() -> None:
    """A decision that calls an operator for another reason keeps its words."""
    problems, called = StandingProblems(), replace(DEAD, escalated=True)
    every_second(problems, called, first=0, last=60)
    assert problems.escalate([called], (), NOW + 61.0) == (called,)


@pytest.mark.parametrize(
    ("code", "critical"),
    [
        (Code.SHARD_TAKES_NO_WRITES, True),
        (Code.INVALID_PRIMARY, True),
        (Code.UNREACHABLE_PRIMARY, True),
        (Code.PRIMARY_HAS_PRIMARY, True),
        (Code.PRIMARY_IS_READ_ONLY, True),
        (Code.NO_DURABILITY_POLICY, True),
        (Code.INVALID_REPLICA, False),
        (Code.STALE_TOPO_PRIMARY, False),
        (Code.ERRANT_GTID_DETECTED, False),
    ],
)
def test_only_a_problem_of_the_writes_is_critical(code: Code, critical: bool) -> None:
    """A problem is critical while the shard takes no writes or may take none; a replica's is not."""
    problems = StandingProblems()
    assert is_critical(code) is critical
    every_second(problems, standing(code), first=0, last=60)
    assert escalated(problems, standing(code), at=61.0) == [critical]
