"""Which hooks run after what."""

from collections.abc import Sequence

import pytest

from tests.unit.demo.shards import A, B, C, cut_off, failing, judge, primary, replica
from vtorc.control.hook_observer import HookObserver
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.rules import Rule
from vtorc.recovery.hooks import Hook, HookOccasion
from vtorc.recovery.record import BegunRecovery, OperatorRequest, Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement

WELL = judge(primary(), replica(B), replica(C))
LOST = judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C)))
SHARD = LOST.view.shard


class Started:
    """Keeps what is started."""

    def __init__(self) -> None:
        self.all: list[tuple[list[Hook], HookOccasion]] = []
        self.observer = HookObserver(self)

    def __call__(self, hooks: Sequence[Hook], occasion: HookOccasion) -> None:
        self.all.append((list(hooks), occasion))

    @property
    def hooks(self) -> list[list[Hook]]:
        """The hooks that were started."""
        return [hooks for hooks, _ in self.all]

    def judged(self, judgement: Judgement) -> None:
        """Tell of a judgement as the loop of a shard does."""
        for decision in judgement.decisions:
            self.observer.decided(decision)
        self.observer.judged(judgement)

    def recovery(
        self, recovery: Recovery, outcome: Outcome, *, rule: Rule | None = None, asked: OperatorRequest | None = None
    ) -> None:
        """Tell of a recovery from its begin to its end."""
        code = None if asked is not None else Code.DEAD_PRIMARY
        begun = BegunRecovery(shard=SHARD, recovery=recovery, code=code, alias=A, began=17, sentence="s", asked=asked)
        self.observer.started(begun)
        self.observer.finished(
            RecoveryRecord(
                shard=SHARD,
                recovery=recovery,
                code=code,
                alias=A,
                began=17,
                duration=0.5,
                outcome=outcome,
                sentence="it is over",
                rule=rule,
                winner=B if outcome is Outcome.SUCCEEDED and recovery is not Recovery.FIX_REPLICA else None,
                asked=asked,
            )
        )


@pytest.fixture
def started() -> Started:
    """An observer of a shard that is well."""
    started = Started()
    started.judged(WELL)
    return started


def test_a_proven_problem_is_told_once_for_as_long_as_it_lasts(started: Started) -> None:
    """A decision that changes runs nothing, and the same problem after its end runs the hook again."""
    started.judged(LOST)
    started.judged(LOST)
    assert started.hooks == [[Hook.ON_DETECTION]]
    words = started.all[0][1].words()
    assert (words["failureType"], words["failedHost"], words["failedPort"]) == ("DeadPrimary", "127.0.0.1", "3101")
    assert (words["isPrimary"], words["recoveryUID"]) == ("true", "")
    started.observer.cleared(LOST.decisions[0])
    started.judged(LOST)
    assert len(started.all) == 2


@pytest.mark.parametrize(
    ("recovery", "hooks"),
    [
        (Recovery.RECOVER_DEAD_PRIMARY, [Hook.POST_PRIMARY_FAILOVER, Hook.POST_FAILOVER]),
        (Recovery.ELECT_NEW_PRIMARY, [Hook.POST_FAILOVER]),
    ],
)
def test_a_promotion_runs_the_hooks_after_it(started: Started, recovery: Recovery, hooks: list[Hook]) -> None:
    """They are told of the primary that was lost and of its successor, although the view has changed since."""
    started.recovery(recovery, Outcome.SUCCEEDED)
    assert started.hooks == [hooks]
    words = started.all[0][1].words()
    assert (words["failedPort"], words["successorPort"], words["successorAlias"]) == ("3101", "3102", str(B))
    assert (words["isSuccessful"], words["recoveryUID"]) == ("true", "17")


def test_a_planned_reparent_runs_its_own_hook_last(started: Started) -> None:
    """As in v12 the other hooks run as well, with the command of the operator."""
    asked = OperatorRequest(actor="ann", origin="10.0.0.7", reason="a drill")
    started.recovery(Recovery.PLANNED_REPARENT, Outcome.SUCCEEDED, asked=asked)
    assert started.hooks == [[Hook.POST_PRIMARY_FAILOVER, Hook.POST_FAILOVER, Hook.POST_GRACEFUL_TAKEOVER]]
    assert started.all[0][1].command == "graceful-primary-takeover"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED, Outcome.LOCK_LOST])
def test_a_failure_is_told_once(started: Started, outcome: Outcome) -> None:
    """vtorc tries again and again; only another failure runs the hook again, and so does one after a success."""
    for _ in range(3):
        started.recovery(Recovery.RECOVER_DEAD_PRIMARY, outcome)
    assert started.hooks == [[Hook.POST_UNSUCCESSFUL_FAILOVER]]
    assert started.all[0][1].successor is None
    started.recovery(Recovery.RECOVER_DEAD_PRIMARY, Outcome.REFUSED, rule=Rule.DIVERGED)
    assert len(started.all) == 2
    started.recovery(Recovery.RECOVER_DEAD_PRIMARY, Outcome.SUCCEEDED)
    started.recovery(Recovery.RECOVER_DEAD_PRIMARY, outcome)
    assert len(started.all) == 4


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_repair_runs_no_hook(started: Started, outcome: Outcome) -> None:
    """v12 ran PostUnsuccessfulFailoverProcesses after each repair that succeeded, which woke operators for nothing."""
    started.recovery(Recovery.FIX_REPLICA, outcome)
    assert started.all == []


@pytest.mark.parametrize("outcome", [Outcome.GONE, Outcome.LOCK_HELD])
def test_what_was_no_attempt_runs_no_hook(started: Started, outcome: Outcome) -> None:
    """Another vtorc did it, or there was nothing to do."""
    started.recovery(Recovery.RECOVER_DEAD_PRIMARY, outcome)
    assert started.all == []


def test_a_shard_that_is_gone_is_forgotten(started: Started) -> None:
    """Its problems are new ones if it comes back."""
    started.judged(LOST)
    started.observer.gone(SHARD)
    started.judged(LOST)
    assert started.hooks == [[Hook.ON_DETECTION]] * 2
