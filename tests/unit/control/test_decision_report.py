"""What the observer of a shard is told of its decisions, and what it is spared."""

from dataclasses import dataclass, field

from tests.unit.core.builders import NOW, P, alias, changed, primary, replica, shard
from vtorc.control.decision_report import REPEAT_AFTER, DecisionReport
from vtorc.control.observer import Observers
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.rules import Rule
from vtorc.recovery.runner import Judgement

R1 = "zone1-101"
STABLE = shard(primary(), replica(R1))
UNSTABLE = shard(primary(), changed(replica(R1), failed_at=(NOW - 9, NOW - 7, NOW - 5, NOW - 3, NOW - 1)))


@dataclass
class Heard(Observers):
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def decided(self, decision: Decision) -> None:
        """Keep the decision."""
        self.lines.append(f"{decision.finding.code.value} {decision.rule.value}{' !' if decision.escalated else ''}")

    def cleared(self, decision: Decision) -> None:
        """Keep the problem that is gone."""
        self.lines.append(f"{decision.finding.code.value} is gone")


def decision(
    code: Code, rule: Rule = Rule.NO_REMEDY, *, tablet: str = R1, escalated: bool = False, acts: bool = False
) -> Decision:
    """Return a decision about a problem of a tablet."""
    finding = Finding(code=code, shard=ShardId("commerce", "0"), alias=alias(tablet), sentence="")
    recovery = Recovery.FIX_REPLICA if acts else None
    return Decision(finding=finding, recovery=recovery, rule=rule, sentence="", escalated=escalated)


def told(*rounds: tuple[object, ...], unstable: bool = False, every: float = 1.0) -> tuple[list[str], list[bool]]:
    """Return what is told of rounds of decisions, and after which of them the problems of the shard were others."""
    heard = Heard([])
    report, others = DecisionReport(heard), []
    for number, decisions in enumerate(rounds):
        view = UNSTABLE if unstable else STABLE
        judgement = Judgement(view, None, decisions, None)  # type: ignore[arg-type]
        others.append(report.report(judgement, NOW + number * every))
    return heard.lines, others


FAILS = decision(Code.INVALID_REPLICA)


def test_a_decision_is_told_once_and_again_when_its_rule_changes() -> None:
    """A decision that stays says nothing new; its end is told."""
    waits, acts = decision(Code.REPLICATION_STOPPED, Rule.BACKOFF), decision(Code.REPLICATION_STOPPED, Rule.ACT)
    lines, others = told((waits,), (waits,), (acts,), (waits,), ())
    assert lines == [
        "ReplicationStopped backoff",
        "ReplicationStopped act",
        "ReplicationStopped backoff",
        "ReplicationStopped is gone",
    ]
    assert others == [True, False, False, False, True]


def test_an_escalation_is_news() -> None:
    """The same rule is told again once an operator is needed."""
    lines, _ = told((FAILS,), (decision(Code.INVALID_REPLICA, escalated=True),))
    assert lines == ["InvalidReplica no-remedy", "InvalidReplica no-remedy !"]


def test_a_shard_that_queues_again_is_no_news() -> None:
    """A shard that found the lock held asks for its turn several times a second."""
    acts, queues = (
        decision(Code.REPLICATION_STOPPED, Rule.ACT, acts=True),
        decision(Code.REPLICATION_STOPPED, Rule.BUDGET),
    )
    assert told((acts,), (queues,), (acts,))[0] == ["ReplicationStopped act"]
    assert told((queues,), (acts,), (queues,))[0] == ["ReplicationStopped budget", "ReplicationStopped act"]


def test_the_failures_of_a_tablet_that_comes_and_goes_are_told_once() -> None:
    """Each failure and each answer had been a line of the log, and a reason to ask the whole shard in a hurry."""
    lines, others = told((FAILS,), (), (FAILS,), (), (FAILS,), unstable=True)
    assert lines == ["InvalidReplica no-remedy"]
    assert not any(others)


def test_of_such_a_tablet_each_rule_is_told_once_but_actions_each_time() -> None:
    """Verdicts that alternate with each answer say nothing; that vtorc acts is always told."""
    unsure, waits = (
        decision(Code.REPLICATION_STOPPED, Rule.UNCONFIRMED),
        decision(Code.REPLICATION_STOPPED, Rule.BACKOFF),
    )
    acts = decision(Code.REPLICATION_STOPPED, Rule.ACT, acts=True)
    lines, _ = told((unsure,), (waits,), (unsure,), (waits,), (acts,), (waits,), (acts,), unstable=True)
    assert [line.split()[1] for line in lines] == ["unconfirmed", "backoff", "act", "act"]


def test_a_problem_that_ended_meanwhile_is_gone_once_the_tablet_is_stable() -> None:
    """What was told of an unstable tablet is taken back at the end, and not before."""
    heard = Heard([])
    report = DecisionReport(heard)
    for view, decisions, now in (
        (UNSTABLE, (FAILS,), NOW),
        (UNSTABLE, (), NOW + 1),
        (UNSTABLE, (), NOW + 50),
        (UNSTABLE, (), NOW + 52),
    ):
        report.report(Judgement(view, None, decisions, None), now)
        if now < NOW + 52:
            assert heard.lines == ["InvalidReplica no-remedy"]
    assert heard.lines == ["InvalidReplica no-remedy", "InvalidReplica is gone"]


def test_other_tablets_of_the_shard_are_told_as_ever() -> None:
    """A replica that comes and goes hides nothing of its primary."""
    lost = decision(Code.DEAD_PRIMARY, Rule.UNCONFIRMED, tablet=P)
    lines, others = told((FAILS,), (lost, FAILS), (FAILS,), (lost,), unstable=True)
    assert lines == [
        "InvalidReplica no-remedy",
        "DeadPrimary unconfirmed",
        "DeadPrimary is gone",
        "DeadPrimary unconfirmed",
    ]
    assert others == [False, True, True, True]


def test_that_a_tablet_comes_and_goes_is_told_again_now_and_then() -> None:
    """An operator who looks at the last minutes of the log finds it."""
    unstable = decision(Code.UNSTABLE_TABLET)
    lines, _ = told(*[(unstable,)] * 7, every=REPEAT_AFTER / 2)
    assert lines == ["UnstableTablet no-remedy"] * 4
