"""The loop of one shard: what it judges, when it acts, what it remembers, and how fast it looks.

The recoveries end as a test tells them, in virtual time; views, detection and decisions are the real ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import cast

import pytest

from tests.unit.core.builders import (
    NOW,
    P,
    alias,
    answers,
    changed,
    failing,
    fresh_shard,
    gtids,
    held,
    hold,
    primary,
    replica,
    shard,
)
from vtorc.control import shard_loop
from vtorc.control.breaker import HOLD_NOTHING, Breaker
from vtorc.control.budget import BudgetLimits, FleetBudget, TurnRequest
from vtorc.control.observer import Announcement
from vtorc.control.operator_command import OperatorCommand
from vtorc.control.shard_loop import DecisionSettings, ShardLoop
from vtorc.core.decision.backoff import Attempt
from vtorc.core.decision.decisions import Action, Decision, DecisionLimits
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery, Urgency
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.holds import Effect, Purpose
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView
from vtorc.discovery.probe_pace import SLOWEST_HURRY_AT
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TopoUnavailable
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.record import BegunRecovery, OperatorRequest, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Deadlines, RecoveryTools, StepListener
from vtorc.sim.engine.loop import forever, run

FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (101, 102))
WELL = shard(primary(), replica(FIRST), replica(SECOND))
STOPPED = shard(primary(), replica(FIRST, io=ThreadState.STOPPED), replica(SECOND))
READ_AGAIN = "a reading of the topology"


def lost(for_: float = 3.0) -> ShardView:
    """A shard whose primary's MySQL has ended, as its replicas say."""
    return shard(
        primary(dead_for=for_),
        replica(FIRST, io=ThreadState.CONNECTING, io_error="refused"),
        replica(SECOND, io=ThreadState.CONNECTING, io_error="refused"),
    )


def broken_applier() -> ShardView:
    """A shard with a replica that cannot apply a transaction."""
    tablet = replica(FIRST, sql=ThreadState.STOPPED)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    threads = replace(tablet.status.replication, last_sql_error="Can't find record in 't', Error_code: 1032")
    return shard(primary(), answers(tablet, replication=threads), replica(SECOND))


def stopped_and_lost() -> ShardView:
    """The same shard with one replica that is to be repaired."""
    return shard(
        primary(dead_for=3.0),
        replica(FIRST, io=ThreadState.STOPPED),
        replica(SECOND, io=ThreadState.CONNECTING, io_error="refused"),
    )


class Watch:
    """A watch that shows what the test says."""

    shard = WELL.shard

    def __init__(self, view: ShardView) -> None:
        self.shown = view
        self.revision = 1
        self.changes = 1
        self.calls: list[str] = []
        self.paces: list[float | None] = []
        self.paced_at: list[float] = []
        """When each pace began, in seconds since the test did."""
        self.suspected = False
        self._changed = asyncio.Event()

    def show(self, view: ShardView) -> None:
        """Show another view from now on, and wake the loop."""
        self.shown = view
        self.revision += 1
        self.changes += 1
        self.wake()

    def view(self) -> ShardView:
        return self.shown

    async def run(self) -> None:
        await forever()

    def wake(self) -> None:
        self._changed.set()

    async def wait_changed(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def suspect(self) -> None:
        self.calls.append("suspect")
        self.suspected = True
        self.wake()

    def take_suspicion(self) -> bool:
        suspected, self.suspected = self.suspected, False
        return suspected

    def hurry(self, *, since: float | None) -> None:
        if not self.paces or self.paces[-1] != since:
            self.paces.append(since)
            self.paced_at.append(round(Tools.clock.now() - NOW, 3))

    def update(self, topology: object) -> None:
        self.calls.append(f"update with {topology}")

    def silent_tablets(self) -> Collection[TabletAlias]:
        return frozenset({alias(P)})

    async def refresh(self, deadline: float, *, leave_out: Collection[TabletAlias]) -> None:
        self.calls.append(f"refresh within {deadline:g} s without {', '.join(map(str, leave_out))}")


class Notes:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.judgements: list[Judgement] = []

    def judged(self, judgement: Judgement) -> None:
        self.judgements.append(judgement)

    def decided(self, decision: Decision) -> None:
        self.heard.append(f"decided {decision.finding.code.value}: {decision.rule.value}")

    def cleared(self, decision: Decision) -> None:
        self.heard.append(f"cleared {decision.finding.code.value}")

    def started(self, begun: BegunRecovery) -> None:
        self.heard.append(f"started {begun.recovery.value}")

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        self.heard.append(f"stepped {step.name}")

    def finished(self, record: RecoveryRecord) -> None:
        self.heard.append(f"finished {record.outcome.value}")

    def interrupted(self, begun: BegunRecovery) -> None:
        self.heard.append(f"interrupted {begun.recovery.value}")

    def announced(self, announcement: Announcement) -> None:
        raise AssertionError(announcement.sentence)

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        raise AssertionError from error


class Tools:
    """The clock and the deadlines of recoveries."""

    class clock:
        """Virtual time."""

        now = staticmethod(lambda: asyncio.get_running_loop().time())
        wall = staticmethod(lambda: 0)

    topo = None
    deadlines = Deadlines()


class Rig:
    """One loop, with recoveries that end as is told."""

    def __init__(self, view: ShardView, *, controlled: bool = True) -> None:
        self.watch = Watch(view)
        self.notes = Notes()
        self.ran: list[tuple[float, Recovery, TabletAlias | None]] = []
        """The recoveries that began: when, in seconds since the test did, which, and about which tablet."""
        self.ends: Callable[[], Outcome] = lambda: Outcome.SUCCEEDED
        self.takes = 1.0
        self.waits_for: dict[TabletAlias, GtidSet] = {}
        """What the record of each recovery says that tablets have to apply first."""
        self.refused_by: Rule | None = None
        """The rule that the record of each recovery names."""
        self.settings = DecisionSettings()
        self.limits = BudgetLimits()
        self.held_back = ""
        self.slowed_by = 1.0
        self.recorded: list[RecoveryRecord] = []
        now = Tools.clock.now
        self.budget = FleetBudget(lambda: self.limits, now)
        self.breaker = Breaker(now=now, shards=lambda: 1, hold_above=lambda: HOLD_NOTHING, announce=lambda _: None)
        self.loop = ShardLoop(
            cast(ShardWatch, self.watch),
            cast(RecoveryTools, Tools),
            lambda: self.settings,
            self.notes,
            controlled=controlled,
            budget=self.budget,
            breaker=self.breaker,
            slowed_by=lambda: self.slowed_by,
        )
        self.loop._runner = self  # type: ignore[assignment]
        self.on_start: Callable[[], object] = lambda: None

    async def run(self, action: Action, begun: BegunRecovery) -> RecoveryRecord:
        """Stand in for the runner."""
        self.ran.append((round(Tools.clock.now() - NOW, 3), action.recovery, action.alias))
        self.on_start()
        await asyncio.sleep(self.takes)
        return RecoveryRecord(
            shard=self.watch.shard,
            recovery=action.recovery,
            code=action.code,
            alias=action.alias,
            began=0,
            duration=self.takes,
            outcome=self.ends(),
            sentence=f"{self.watch.shard}: it ended",
            rule=self.refused_by,
            waits_for=self.waits_for,
        )

    async def for_seconds(self, seconds: float) -> None:
        """Let the loop run for so long, and stop it."""
        running = asyncio.create_task(self.loop.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def at_now(monkeypatch: pytest.MonkeyPatch, main: Callable[[], Awaitable[None]]) -> None:
    """Run a test whose clock begins at the time of the builders' views."""

    async def read_shard(*_: object) -> object:
        return READ_AGAIN

    monkeypatch.setattr(shard_loop, "read_shard", read_shard)

    async def work() -> None:
        await asyncio.sleep(NOW)
        await main()

    run(work(), seed=1)


Patch = pytest.MonkeyPatch
ASKED = BegunRecovery(
    shard=WELL.shard,
    recovery=Recovery.PLANNED_REPARENT,
    code=None,
    alias=alias(FIRST),
    began=0,
    sentence="commerce/0: ann asked to move the primary: a drill",
    asked=OperatorRequest(actor="ann", origin="127.0.0.1", reason="a drill"),
)


class Asked:
    """A command that takes as long as a test says, with one step."""

    def __init__(self, begun: BegunRecovery = ASKED, *, takes: float = 1.0) -> None:
        self.begun, self.takes = begun, takes
        self.command = OperatorCommand(begun, self._work)
        self.ran: list[float] = []

    async def _work(
        self, _: RecoveryTools, __: ShardWatch, heard: StepListener, switch: CancelSwitch
    ) -> RecoveryRecord:
        self.ran.append(round(Tools.clock.now() - NOW, 3))
        outcome = Outcome.SUCCEEDED
        switch.begin()
        try:
            heard(StepRecord(name="move", target=None, started=0.0, duration=0.0))
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            if not switch.absorbs_cancellation():
                raise
            outcome = Outcome.CANCELLED
        return RecoveryRecord(
            shard=self.begun.shard,
            recovery=self.begun.recovery,
            code=None,
            alias=self.begun.alias,
            began=0,
            duration=self.takes,
            outcome=outcome,
            sentence="it ended",
            asked=self.begun.asked,
        )


def test_a_command_of_an_operator_runs_at_once_and_alone(monkeypatch: Patch) -> None:
    """A repair that is needed meanwhile begins once it has ended, and the command counts as no attempt at it."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked(takes=2.0)
        rig.settings = DecisionSettings(rejudge_every=10.0)
        running = asyncio.create_task(rig.loop.run())
        await asyncio.sleep(1.0)
        rig.loop.take_command(asked.command)
        await asyncio.sleep(0.5)
        assert (rig.loop.under_way, rig.loop.command) == (ASKED, asked.command)
        assert rig.budget.holding == ()
        rig.watch.show(STOPPED)
        await asyncio.sleep(5.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert asked.ran == [1.0]
        assert [(began, recovery) for began, recovery, _ in rig.ran][:1] == [(3.0, Recovery.FIX_REPLICA)]
        assert rig.notes.heard[:4] == [
            "started PlannedReparentShard",
            "stepped move",
            "finished succeeded",
            "decided ReplicationStopped: act",
        ]
        assert (rig.loop.under_way, rig.loop.command) == (None, None)
        assert rig.watch.calls[:2] == ["suspect", f"update with {READ_AGAIN}"]

    at_now(monkeypatch, main)


@pytest.mark.parametrize(
    ("recovery", "outcome"),
    [(Recovery.PLANNED_REPARENT, "cancelled"), (Recovery.EMERGENCY_REPARENT, "succeeded")],
)
def test_a_lost_primary_ends_what_only_moves_it(monkeypatch: Patch, recovery: Recovery, outcome: str) -> None:
    """A planned reparent is cancelled, so that vtorc replaces the primary; an emergency reparent does that itself."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked(replace(ASKED, recovery=recovery), takes=3.0)
        asyncio.get_running_loop().call_later(1.0, rig.watch.show, lost())
        rig.on_start = lambda: rig.watch.show(WELL)
        rig.loop.take_command(asked.command)
        await rig.for_seconds(8.0)
        assert f"finished {outcome}" in rig.notes.heard
        begins = [began for began, *_ in rig.ran]
        assert begins == ([1.0] if outcome == "cancelled" else [3.0])

    at_now(monkeypatch, main)


def test_a_command_past_its_point_of_no_return_is_not_outranked(monkeypatch: Patch) -> None:
    """Its promotion may have been asked for already."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked(takes=3.0)
        asyncio.get_running_loop().call_later(1.0, rig.watch.show, lost())
        asyncio.get_running_loop().call_later(0.5, asked.command.switch.pass_point_of_no_return)
        rig.on_start = lambda: rig.watch.show(WELL)
        rig.loop.take_command(asked.command)
        await rig.for_seconds(8.0)
        assert "finished succeeded" in rig.notes.heard
        assert [began for began, *_ in rig.ran] == [3.0]

    at_now(monkeypatch, main)


def test_a_command_that_never_begins_is_told_as_broken_off(monkeypatch: Patch) -> None:
    """vtorc was stopped in the moment when the command was given; it cannot be cancelled any more either."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked()
        rig.loop.take_command(asked.command)
        rig.loop.stop()
        await rig.for_seconds(1.0)
        assert asked.ran == []
        assert rig.notes.heard == ["interrupted PlannedReparentShard"]
        assert not asked.command.switch.cancel("too late")

    at_now(monkeypatch, main)


def test_after_a_command_the_shard_is_read_again(monkeypatch: Patch) -> None:
    """What was known before it would call for a repair of what it has moved."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked()
        rig.loop.take_command(asked.command)
        await rig.for_seconds(3.0)
        assert rig.watch.calls == [
            "suspect",
            f"update with {READ_AGAIN}",
            f"refresh within 1 s without {alias(P)}",
        ]
        assert (rig.watch.paces, rig.watch.paced_at) == ([NOW + 1.0], [1.0])

    at_now(monkeypatch, main)


def test_a_command_gives_up_the_place_in_the_queue(monkeypatch: Patch) -> None:
    """It needs no turn, and another shard must not wait for this one meanwhile."""

    async def main() -> None:
        rig, asked = Rig(lost()), Asked(takes=2.0)
        take_slot(rig)
        running = asyncio.create_task(rig.loop.run())
        await asyncio.sleep(0.5)
        assert rig.budget.waiting
        rig.loop.take_command(asked.command)
        await asyncio.sleep(0.5)
        assert rig.loop.under_way == ASKED
        assert not rig.budget.waiting
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    at_now(monkeypatch, main)


def test_a_mistake_of_an_observer_of_steps_is_raised_after_the_recovery(monkeypatch: Patch) -> None:
    """It must not break off a recovery half-way."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked()

        def mistaken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(rig.notes, "stepped", mistaken)
        rig.loop.take_command(asked.command)
        with pytest.raises(ExceptionGroup) as caught:
            await rig.loop.run()
        assert caught.group_contains(ZeroDivisionError)
        assert rig.notes.heard == ["started PlannedReparentShard", "finished succeeded"]

    at_now(monkeypatch, main)


def test_a_mistake_amid_a_command_ends_the_command_first(monkeypatch: Patch) -> None:
    """No recovery goes on that no task waits for, and observers hear that the command was broken off."""

    async def main() -> None:
        rig, asked = Rig(WELL), Asked(takes=5.0)
        rig.settings = DecisionSettings(rejudge_every=1.0)
        monkeypatch.setattr(rig.loop, "judge", lambda: 1 // 0)
        rig.loop.take_command(asked.command)
        with pytest.raises(ExceptionGroup) as caught:
            await rig.loop.run()
        assert caught.group_contains(ZeroDivisionError)
        assert rig.notes.heard == ["started PlannedReparentShard", "stepped move", "interrupted PlannedReparentShard"]
        assert len(asyncio.all_tasks()) == 1
        assert rig.loop.under_way is None
        assert Tools.clock.now() == NOW

    at_now(monkeypatch, main)


def test_a_recovery_that_raises_a_mistake_is_told_as_broken_off(monkeypatch: Patch) -> None:
    """Observers would else show it as one in progress for ever."""

    async def main() -> None:
        rig = Rig(lost())
        monkeypatch.setattr(rig, "ends", lambda: 1 // 0)
        with pytest.raises(ExceptionGroup) as caught:
            await rig.loop.run()
        assert caught.group_contains(ZeroDivisionError)
        assert rig.notes.heard[-2:] == ["started RecoverDeadPrimary", "interrupted RecoverDeadPrimary"]

    at_now(monkeypatch, main)


def test_a_recovery_does_not_begin_without_the_word_that_it_does(monkeypatch: Patch) -> None:
    """A mistake of the observer that hears of the begin ends the loop, and leaves no recovery behind."""

    async def main() -> None:
        rig = Rig(lost())
        monkeypatch.setattr(rig.notes, "started", lambda _: 1 // 0)
        with pytest.raises(ExceptionGroup) as caught:
            await rig.loop.run()
        assert caught.group_contains(ZeroDivisionError)
        assert rig.ran == []
        assert rig.notes.heard[-1] == "interrupted RecoverDeadPrimary"
        assert len(asyncio.all_tasks()) == 1

    at_now(monkeypatch, main)


def test_recoveries_that_an_operator_stopped_do_not_begin(monkeypatch: Patch) -> None:
    """They begin as soon as they are allowed again."""

    async def main() -> None:
        rig = Rig(held(lost(), hold(Effect.NO_FAILOVER, purpose=Purpose.SWITCH)))
        rig.on_start = lambda: rig.watch.show(WELL)
        asyncio.get_running_loop().call_later(5.0, rig.watch.show, lost())
        await rig.for_seconds(8.0)
        assert [began for began, *_ in rig.ran] == [5.0]
        assert rig.notes.heard[0] == "decided DeadPrimary: recoveries-stopped"

    at_now(monkeypatch, main)


def test_a_lost_primary_is_replaced_and_the_shard_read_again(monkeypatch: Patch) -> None:
    """The decision is told, the recovery runs once, and before it is judged again everything is read anew."""

    async def main() -> None:
        rig = Rig(lost())
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(0.5)
        assert rig.ran == [(0.0, Recovery.RECOVER_DEAD_PRIMARY, alias(P))]
        assert rig.budget.under_way(repairs=False) == 0
        assert rig.notes.heard[-1] == "interrupted RecoverDeadPrimary"

        rig = Rig(lost())
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(5.0)
        assert len(rig.ran) == 1
        assert rig.notes.heard == [
            "decided DeadPrimary: act",
            "started RecoverDeadPrimary",
            "finished succeeded",
            "cleared DeadPrimary",
        ]
        assert rig.watch.calls == [
            "suspect",
            f"update with {READ_AGAIN}",
            f"refresh within 1 s without {alias(P)}",
        ]
        assert rig.budget.holding == ()
        assert rig.loop.decisions == ()

    at_now(monkeypatch, main)


def test_the_slot_is_free_before_the_shard_is_read_again(monkeypatch: Patch) -> None:
    """Another shard that lost its primary must not wait for a reading."""

    async def main() -> None:
        rig = Rig(lost())
        holding: list[object] = []

        async def read_shard(*_: object) -> object:
            holding.append(rig.budget.holding)
            return READ_AGAIN

        monkeypatch.setattr(shard_loop, "read_shard", read_shard)
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(3.0)
        assert holding == [()]

    at_now(monkeypatch, main)


def test_an_attempt_is_remembered_with_all_that_decides_about_the_next(monkeypatch: Patch) -> None:
    """How long it took, what it waits for, and what caused the problem."""

    async def main() -> None:
        rig = Rig(broken_applier())
        rig.ends = lambda: Outcome.FAILED
        rig.takes = 2.0
        rig.waits_for = {alias(FIRST): gtids("100:1-50")}
        await rig.for_seconds(2.5)
        (attempt,) = rig.loop._attempts
        assert (attempt.took, attempt.waits_for, attempt.ended_at) == (2.0, rig.waits_for, NOW + 2.0)
        (finding,) = (decision.finding for decision in rig.loop.decisions)
        assert (attempt.cause, attempt.code) == (finding.cause, finding.code)
        assert attempt.cause

    at_now(monkeypatch, main)


@pytest.mark.parametrize(("outcome", "in_vain"), [(Outcome.REFUSED, "it ended"), (Outcome.SUCCEEDED, "")])
def test_an_attempt_in_vain_is_remembered_with_its_reason(monkeypatch: Patch, outcome: Outcome, in_vain: str) -> None:
    """The decisions that follow are about the same shard, and name it themselves."""

    async def main() -> None:
        rig = Rig(lost())
        rig.ends = lambda: outcome
        await rig.for_seconds(1.5)
        assert rig.loop._attempts[0].in_vain == in_vain

    at_now(monkeypatch, main)


def test_a_shard_that_is_not_ours_is_judged_and_left_alone(monkeypatch: Patch) -> None:
    """It is acted on as soon as it is ours."""

    async def main() -> None:
        rig = Rig(lost(), controlled=False)
        await rig.for_seconds(1.5)
        assert rig.ran == []
        assert [d.finding.code for d in rig.loop.decisions] == [Code.DEAD_PRIMARY]
        rig.loop.update(cast(ShardTopology, "a newer reading"), controlled=True)
        assert rig.watch.calls == ["update with a newer reading"]
        await rig.for_seconds(0.5)
        assert len(rig.ran) == 1

    at_now(monkeypatch, main)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED, Outcome.LOCK_LOST])
def test_a_recovery_in_vain_is_tried_again_after_a_growing_pause(monkeypatch: Patch, outcome: Outcome) -> None:
    """Half a second after the first, one after the second; tablets are asked anew, and the records are not read."""

    async def main() -> None:
        rig = Rig(lost())
        rig.ends = lambda: outcome
        rig.takes = 0.0
        rig.settings = DecisionSettings(rejudge_every=0.125)
        await rig.for_seconds(4.0)
        assert [began for began, *_ in rig.ran] == [0.0, 0.5, 1.5, 3.5]
        assert rig.watch.calls == ["suspect"] * 4

    at_now(monkeypatch, main)


@pytest.mark.parametrize("answers_again", [True, False])
def test_a_tablet_that_answers_again_ends_the_pause(monkeypatch: Patch, answers_again: bool) -> None:
    """The replacement may have failed for want of that tablet; one that stays silent ends nothing."""

    async def main() -> None:
        third = replica("zone1-103", io=ThreadState.CONNECTING, io_error="refused")
        before = shard(*lost().tablets, failing(third))
        after = shard(*lost().tablets, third) if answers_again else before
        rig = Rig(before)
        rig.ends = lambda: Outcome.FAILED
        rig.takes = 0.0
        rig.settings = DecisionSettings(rejudge_every=0.125)
        asyncio.get_running_loop().call_later(2.0, rig.watch.show, after)
        await rig.for_seconds(2.25)
        assert [began for began, *_ in rig.ran] == [0.0, 0.5, 1.5, *([2.0] if answers_again else [])]

    at_now(monkeypatch, main)


@pytest.mark.parametrize(("rule", "ends"), [(Rule.HELD, True), (Rule.NO_CANDIDATE, False), (None, False)])
def test_a_hold_that_is_lifted_ends_the_pause_of_what_it_refused(
    monkeypatch: Patch, rule: Rule | None, ends: bool
) -> None:
    """A replacement that was refused for another reason waits on."""

    async def main() -> None:
        rig = Rig(held(lost(), hold(Effect.NOT_PROMOTABLE, on=f"tablet:{FIRST}")))
        rig.ends = lambda: Outcome.REFUSED
        rig.refused_by = rule
        rig.takes = 0.0
        rig.settings = DecisionSettings(rejudge_every=0.125)
        asyncio.get_running_loop().call_later(2.0, rig.watch.show, lost())
        await rig.for_seconds(2.25)
        assert [began for began, *_ in rig.ran] == [0.0, 0.5, 1.5, *([2.0] if ends else [])]

    at_now(monkeypatch, main)


def test_a_held_lock_is_tried_for_again_soon_and_then_later(monkeypatch: Patch) -> None:
    """Its holder most likely repairs the same problem: the pause doubles up to two seconds, and nothing is read."""

    async def main() -> None:
        rig = Rig(lost())
        rig.ends = lambda: Outcome.LOCK_HELD
        rig.takes = 0.0
        rig.settings = DecisionSettings(rejudge_every=0.125)
        await rig.for_seconds(9.0)
        assert [began for began, *_ in rig.ran] == [0.0, 0.25, 0.75, 1.75, 3.75, 5.75, 7.75]
        assert rig.watch.calls == []
        assert [line for line in rig.notes.heard if line.startswith("decided")] == ["decided DeadPrimary: act"]
        rig.ends = lambda: Outcome.GONE
        rig.ran.clear()
        await asyncio.sleep(0.75)
        await rig.for_seconds(0.7)
        assert [round(began % 10, 2) for began, *_ in rig.ran] == [9.75, 0.0, 0.25]

    at_now(monkeypatch, main)


def test_a_problem_that_was_gone_under_the_lock_is_no_attempt(monkeypatch: Patch) -> None:
    """It is tried again a quarter of a second later each time, and everything is looked at anew."""

    async def main() -> None:
        rig = Rig(lost())
        rig.ends = lambda: Outcome.GONE
        rig.takes = 0.0
        rig.settings = DecisionSettings(rejudge_every=0.125)
        await rig.for_seconds(0.9)
        assert [began for began, *_ in rig.ran] == [0.0, 0.25, 0.5, 0.75]
        assert rig.watch.calls == ["suspect"] * 4

    at_now(monkeypatch, main)


def test_a_topology_server_that_is_away_after_a_recovery_is_no_failure(monkeypatch: Patch) -> None:
    """The tablets are not asked then; the loop goes on with what is known."""

    async def main() -> None:
        async def unread(*_: object) -> object:
            raise TopoUnavailable("no answer")

        monkeypatch.setattr(shard_loop, "read_shard", unread)
        rig = Rig(lost())
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(3.0)
        assert rig.watch.calls == ["suspect"]
        assert rig.notes.heard[-1] == "cleared DeadPrimary"

    at_now(monkeypatch, main)


# Turns


def take_slot(rig: Rig, *, urgency: Urgency = Urgency.LOST_PRIMARY) -> Callable[[], None]:
    """Let another shard have the only slot; returns what gives it back."""
    rig.limits = BudgetLimits(recoveries=1, repairs=1)
    slot = rig.budget.new_slot(lambda: None)
    assert slot.ask(TurnRequest(shard=ShardId("other", "0"), urgency=urgency, since=0.0))
    return slot.leave


def test_a_shard_without_a_slot_waits_and_says_so(monkeypatch: Patch) -> None:
    """It acts at once when its turn has come, on a new judgement, and probes calmly until then."""

    async def main() -> None:
        rig = Rig(lost())
        leave = take_slot(rig)
        asyncio.get_running_loop().call_later(0.4, leave)
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(0.3)
        assert rig.ran == []
        assert [d.rule for d in rig.loop.decisions] == [Rule.BUDGET]
        assert rig.loop.decisions[0].recovery is None
        assert "waiting for its turn: 1 recovery is under way" in rig.loop.decisions[0].sentence
        assert rig.watch.paces == [None]
        assert rig.budget.waiting == ()
        await rig.for_seconds(3.0)
        assert [began for began, *_ in rig.ran] == [0.4]
        assert rig.notes.heard[:3] == [
            "decided DeadPrimary: budget",
            "decided DeadPrimary: act",
            "started RecoverDeadPrimary",
        ]

    at_now(monkeypatch, main)


def test_the_longest_outage_counts_from_the_first_failure(monkeypatch: Patch) -> None:
    """The queue is ordered by how long the tablet has failed, not by when the shard asked."""

    async def main() -> None:
        rig = Rig(lost(for_=7.0))
        take_slot(rig)
        running = asyncio.create_task(rig.loop.run())
        await asyncio.sleep(0.5)
        (waiting,) = rig.budget.waiting
        assert waiting.request == TurnRequest(shard=WELL.shard, urgency=Urgency.LOST_PRIMARY, since=NOW - 7.0, tries=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert rig.budget.waiting == ()

    at_now(monkeypatch, main)


def test_a_repair_counts_from_when_it_was_wanted_first(monkeypatch: Patch) -> None:
    """It keeps its place in the queue while it waits, and failed tries put it behind."""

    async def main() -> None:
        rig = Rig(STOPPED)
        rig.ends = lambda: Outcome.FAILED
        rig.takes = 0.0
        running = asyncio.create_task(rig.loop.run())
        await asyncio.sleep(0.25)
        take_slot(rig, urgency=Urgency.REPLICA_REPAIR)
        await asyncio.sleep(1.0)
        (waiting,) = rig.budget.waiting
        assert waiting.request is not None
        assert (waiting.request.urgency, waiting.request.since) == (Urgency.REPLICA_REPAIR, NOW)
        assert waiting.request.tries == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    at_now(monkeypatch, main)


def test_a_breaker_that_holds_a_replacement_back_takes_no_slot(monkeypatch: Patch) -> None:
    """The decision names the breaker's reason."""

    async def main() -> None:
        rig = Rig(lost())
        monkeypatch.setattr(rig.breaker, "reason_to_hold", lambda recovery: f"held back: {recovery.value}")
        await rig.for_seconds(2.0)
        assert rig.ran == []
        assert [(d.rule, d.recovery) for d in rig.loop.decisions] == [(Rule.BREAKER, None)]
        assert rig.loop.decisions[0].sentence.endswith("; held back: RecoverDeadPrimary")
        assert rig.loop.judgement is not None
        assert rig.loop.judgement.action is None
        assert rig.budget.waiting == rig.budget.holding == ()
        rig = Rig(stopped_and_lost())
        monkeypatch.setattr(rig.breaker, "reason_to_hold", lambda _: "held back")
        await rig.for_seconds(0.5)
        rules = {d.finding.code: d.rule for d in rig.loop.decisions}
        assert rules == {Code.DEAD_PRIMARY: Rule.BREAKER, Code.REPLICATION_STOPPED: Rule.PRIMARY_FIRST}

    at_now(monkeypatch, main)


@pytest.mark.parametrize("why", ["it is well", "the breaker holds it"])
def test_a_shard_that_needs_no_turn_any_more_leaves_the_queue(monkeypatch: Patch, why: str) -> None:
    """Another shard would wait for it."""

    async def main() -> None:
        rig = Rig(lost())
        take_slot(rig)
        running = asyncio.create_task(rig.loop.run())
        await asyncio.sleep(0.5)
        assert rig.budget.waiting
        if why == "it is well":
            rig.watch.show(WELL)
        else:
            monkeypatch.setattr(rig.breaker, "reason_to_hold", lambda _: "held back")
            rig.watch.wake()
        await asyncio.sleep(0.1)
        assert not rig.budget.waiting
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    at_now(monkeypatch, main)


def test_only_failed_tries_of_this_kind_at_this_tablet_put_a_shard_behind(monkeypatch: Patch) -> None:
    """A success, another tablet and a repair say nothing about this replacement."""

    async def main() -> None:
        rig = Rig(lost())
        judgement = rig.loop.judge()
        tried = Attempt(
            code=Code.DEAD_PRIMARY,
            recovery=Recovery.RECOVER_DEAD_PRIMARY,
            alias=alias(P),
            ended_at=NOW,
            succeeded=False,
        )
        rig.loop._attempts = [
            tried,
            replace(tried, succeeded=True),
            replace(tried, alias=alias(FIRST)),
            replace(tried, recovery=Recovery.FIX_REPLICA),
        ]
        request = rig.loop._turn_request(judgement)
        assert request is not None
        assert request.tries == 1

    at_now(monkeypatch, main)


def test_the_breaker_hears_of_each_judgement_and_recovery(monkeypatch: Patch) -> None:
    """It counts the shards that lost their primaries."""

    async def main() -> None:
        rig = Rig(lost())
        judged: list[Judgement] = []
        ended: list[RecoveryRecord] = []
        monkeypatch.setattr(rig.breaker, "note_judgement", judged.append)
        monkeypatch.setattr(rig.breaker, "note_recovery", ended.append)
        await rig.for_seconds(1.5)
        assert len(judged) >= len(rig.notes.judgements) > 1
        assert [each.outcome for each in ended] == [Outcome.SUCCEEDED]

    at_now(monkeypatch, main)


# Recoveries that are broken off


@pytest.mark.parametrize("again", [True, False])
def test_a_repair_is_broken_off_when_the_primary_is_lost(monkeypatch: Patch, again: bool) -> None:
    """The primary comes first; any other change does not break it off."""

    async def main() -> None:
        rig = Rig(STOPPED)
        rig.takes = 60.0
        asyncio.get_running_loop().call_later(2.0, rig.watch.show, stopped_and_lost() if again else STOPPED)
        await rig.for_seconds(10.0)
        assert rig.notes.heard[:2] == ["decided ReplicationStopped: act", "started FixReplica"]
        kinds = [recovery for _, recovery, _ in rig.ran]
        assert kinds == ([Recovery.FIX_REPLICA, Recovery.RECOVER_DEAD_PRIMARY] if again else [Recovery.FIX_REPLICA])
        if again:
            assert rig.notes.heard[2] == "interrupted FixReplica"
            assert rig.ran[1][0] == 2.0

    at_now(monkeypatch, main)


def test_a_repair_that_is_broken_off_gives_its_slot_back(monkeypatch: Patch) -> None:
    """Another shard may have it before this one is judged again."""

    async def main() -> None:
        rig = Rig(STOPPED)
        rig.takes = 60.0
        holding: list[object] = []
        monkeypatch.setattr(rig.watch, "hurry", lambda **_: holding.append(rig.budget.holding))
        asyncio.get_running_loop().call_later(2.0, rig.watch.show, stopped_and_lost())
        await rig.for_seconds(3.0)
        assert "interrupted FixReplica" in rig.notes.heard
        assert holding[0] == ()

    at_now(monkeypatch, main)


def test_a_replacement_is_broken_off_by_nothing(monkeypatch: Patch) -> None:
    """What changes meanwhile is looked at when it has ended."""

    async def main() -> None:
        rig = Rig(lost())
        rig.takes = 5.0
        asyncio.get_running_loop().call_later(1.0, rig.watch.show, stopped_and_lost())
        asyncio.get_running_loop().call_later(2.0, rig.watch.show, WELL)
        await rig.for_seconds(8.0)
        assert rig.notes.heard[1:] == [
            "started RecoverDeadPrimary",
            "finished succeeded",
            "cleared DeadPrimary",
        ]

    at_now(monkeypatch, main)


def test_a_loop_that_is_told_to_stop_ends_after_the_recovery_under_way(monkeypatch: Patch) -> None:
    """No other recovery begins, although the problem is still there."""

    async def main() -> None:
        rig = Rig(lost())
        rig.ends = lambda: Outcome.FAILED
        rig.takes = 3.0
        asyncio.get_running_loop().call_later(1.0, rig.loop.stop)
        await rig.loop.run()
        assert Tools.clock.now() == NOW + 3.0
        assert len(rig.ran) == 1
        assert rig.notes.heard[-1] == "finished failed"
        assert len(asyncio.all_tasks()) == 1

    at_now(monkeypatch, main)


def test_a_loop_without_work_ends_at_once(monkeypatch: Patch) -> None:
    """A shard that is well has nothing to wait for."""

    async def main() -> None:
        rig = Rig(WELL)
        asyncio.get_running_loop().call_later(0.5, rig.loop.stop)
        await rig.loop.run()
        assert Tools.clock.now() == NOW + 0.5
        assert rig.budget.holding == ()

    at_now(monkeypatch, main)


# Judgements


def test_a_shard_without_problems_is_not_analysed_again_until_something_is_heard(monkeypatch: Patch) -> None:
    """Time alone makes no problem; a probe, a setting or control does."""

    async def main() -> None:
        rig = Rig(WELL)
        await rig.for_seconds(3.5)
        assert len(rig.notes.judgements) == 4
        assert len({id(each) for each in rig.notes.judgements}) == 1
        rig.watch.revision += 1
        await rig.for_seconds(0.1)
        rig.settings = DecisionSettings(rejudge_every=2.0)
        await rig.for_seconds(0.1)
        rig.loop.controlled = False
        await rig.for_seconds(0.1)
        assert len({id(each) for each in rig.notes.judgements}) == 4

    at_now(monkeypatch, main)


def test_a_shard_whose_tablets_answer_the_same_again_is_not_analysed_again(monkeypatch: Patch) -> None:
    """The same judgement is told with the new view, and what differs in the view is found once it is a change."""

    async def main() -> None:
        rig = Rig(WELL)
        await rig.for_seconds(0.5)
        rig.watch.shown = replace(STOPPED)
        rig.watch.revision += 1
        await rig.for_seconds(1.0)
        assert rig.notes.judgements[-1].view is rig.watch.shown
        assert not rig.notes.judgements[-1].decisions
        rig.watch.show(rig.watch.shown)
        await rig.for_seconds(0.1)
        assert rig.notes.judgements[-1].decisions

    at_now(monkeypatch, main)


def test_a_shard_whose_problem_only_needs_time_is_analysed_with_each_answer(monkeypatch: Patch) -> None:
    """Commits that wait are found to be blocked by answers that are all the same."""

    async def main() -> None:
        waits = primary()
        waits = replace(waits, memory=replace(waits.memory, commits_wait_since=NOW - 1.0))
        rig = Rig(shard(waits, replica(FIRST), replica(SECOND)))
        await rig.for_seconds(0.5)
        assert not rig.notes.judgements[-1].decisions
        later = replace(waits, last_probe=replace(waits.last_probe, status_at=NOW + 60.0))
        rig.watch.shown = shard(later, replica(FIRST), replica(SECOND))
        rig.watch.revision += 1
        await rig.for_seconds(1.0)
        assert rig.notes.judgements[-1].decisions

    at_now(monkeypatch, main)


def test_a_shard_with_problems_is_judged_each_time(monkeypatch: Patch) -> None:
    """Its verdicts depend on time."""

    async def main() -> None:
        rig = Rig(lost(), controlled=False)
        await rig.for_seconds(2.5)
        assert len({id(each) for each in rig.notes.judgements}) == len(rig.notes.judgements) == 3
        assert len(rig.notes.heard) == 1

    at_now(monkeypatch, main)


@pytest.mark.parametrize(
    ("view", "waits", "times"), [(STOPPED, False, 1), (lost(), False, 5), (lost(), True, 1)], ids=str
)
def test_a_late_vtorc_judges_less_often_what_waits_or_has_its_primary(
    monkeypatch: Patch, view: ShardView, waits: bool, times: int
) -> None:
    """A lost primary that may be replaced now is judged as often as ever."""

    async def main() -> None:
        rig = Rig(view, controlled=waits)
        rig.slowed_by = 16.0
        if waits:
            take_slot(rig)
        await rig.for_seconds(4.5)
        assert len(rig.notes.judgements) == times

    at_now(monkeypatch, main)


@pytest.mark.parametrize(("heard_since", "counts"), [(NOW - 2.0, True), (NOW - 0.1, False)])
def test_only_replicas_heard_since_then_are_evidence(monkeypatch: Patch, heard_since: float, counts: bool) -> None:
    """Under the lock the replicas are asked again, and what they said before counts no more."""

    async def main() -> None:
        view = shard(
            primary(dead_for=3.0),
            replica(FIRST, io=ThreadState.CONNECTING, io_error="refused", heard=1.0),
            replica(SECOND, io=ThreadState.CONNECTING, io_error="refused", heard=1.0),
        )
        judgement = Rig(view).loop.judge(heard_since=heard_since)
        assert (judgement.action is not None) is counts

    at_now(monkeypatch, main)


def test_the_first_election_waits_for_tablets_that_are_starting(monkeypatch: Patch) -> None:
    """Ten seconds at most, so that no tablet with data is missed; none if all answer."""
    new = [replica(name, of=None, executed="", semi_sync=False) for name in (FIRST, SECOND)]
    silent = failing(replica("zone1-103", of=None), never_heard=True)

    async def main() -> None:
        rig = Rig(fresh_shard(*new, silent))
        await rig.for_seconds(11.5)
        assert [(began, recovery) for began, recovery, _ in rig.ran][:1] == [(10.0, Recovery.ELECT_NEW_PRIMARY)]
        rig = Rig(fresh_shard(*new))
        await rig.for_seconds(0.5)
        assert [recovery for _, recovery, _ in rig.ran] == [Recovery.ELECT_NEW_PRIMARY]

    at_now(monkeypatch, main)


def test_a_replacement_that_another_vtorc_made_counts_as_an_attempt(monkeypatch: Patch) -> None:
    """The old primary hung, and another tablet is primary now: the next that hangs is not replaced at once."""

    async def main() -> None:
        rig = Rig(shard(primary(dead_for=3.0, failure=ProbeFailure.HUNG), replica(FIRST)), controlled=False)
        (load,) = (d.finding for d in rig.loop.judge().decisions if d.finding.may_be_load)
        rig.watch.show(shard(replica(P, of=FIRST), primary(FIRST, term=20), named=FIRST, term=20))
        rig.loop.judge()
        (attempt,) = rig.loop._attempts
        assert (attempt.alias, attempt.recovery, attempt.succeeded) == (alias(P), Recovery.RECOVER_DEAD_PRIMARY, True)
        assert attempt.may_be_load
        assert attempt.ended_at == Tools.clock.now()
        assert attempt.code is load.code
        rig.loop.judge()
        assert len(rig.loop._attempts) == 1

    at_now(monkeypatch, main)


def test_a_replacement_of_a_primary_that_did_not_hang_counts_as_none(monkeypatch: Patch) -> None:
    """A load that made the next primary hang as well is not known of it."""

    async def main() -> None:
        rig = Rig(lost(), controlled=False)
        rig.loop.judge()
        rig.watch.show(shard(replica(P, of=FIRST), primary(FIRST, term=20), named=FIRST, term=20))
        rig.loop.judge()
        assert rig.loop._attempts == []

    at_now(monkeypatch, main)


def test_a_judgement_tells_by_what_it_was_made(monkeypatch: Patch) -> None:
    """The durability policy, and the limits of the settings."""

    async def main() -> None:
        rig = Rig(lost())
        rig.settings = DecisionSettings(limits=DecisionLimits(block_seconds=30.0))
        judgement = rig.loop.judge()
        assert judgement.policy is not None
        assert judgement.policy.name == "semi_sync"
        assert judgement.limits == replace(rig.settings.limits, controlled=True)

    at_now(monkeypatch, main)


def test_attempts_are_forgotten_once_their_problem_stayed_away(monkeypatch: Patch) -> None:
    """A minute after it was last seen; a replacement is remembered for as long as it blocks the next one."""

    async def main() -> None:
        rig = Rig(STOPPED)
        rig.ends = lambda: Outcome.FAILED
        rig.takes = 0.0
        await rig.for_seconds(0.25)
        assert [a.code for a in rig.loop._attempts] == [Code.REPLICATION_STOPPED]
        rig.watch.show(WELL)
        await rig.for_seconds(59.0)
        await asyncio.sleep(NOW + 60.0 - Tools.clock.now())
        rig.loop.judge()
        assert len(rig.loop._attempts) == 1
        await asyncio.sleep(0.5)
        rig.loop.judge()
        assert rig.loop._attempts == []

    at_now(monkeypatch, main)


@pytest.mark.parametrize(("block", "kept"), [(30.0, 60.25), (300.0, 300.0)])
def test_a_replacement_is_remembered_for_as_long_as_it_may_block(monkeypatch: Patch, block: float, kept: float) -> None:
    """The longer of the cooldown and a minute."""

    async def main() -> None:
        rig = Rig(lost())
        rig.takes = 0.0
        rig.settings = DecisionSettings(limits=DecisionLimits(block_seconds=block))
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(0.25)
        await asyncio.sleep(NOW + kept - 0.5 - Tools.clock.now())
        rig.loop.judge()
        assert len(rig.loop._attempts) == 1
        await asyncio.sleep(0.5)
        rig.loop.judge()
        assert rig.loop._attempts == []

    at_now(monkeypatch, main)


@pytest.mark.parametrize(("away", "held"), [(4.9, False), (5.0, True)])
def test_a_repair_held_if_its_problem_stayed_away_for_a_while(monkeypatch: Patch, away: float, held: bool) -> None:
    """A problem that returns sooner than five seconds later never went."""

    async def main() -> None:
        rig = Rig(STOPPED)
        rig.takes = 0.0
        rig.on_start = lambda: rig.watch.show(WELL)
        await rig.for_seconds(0.25)
        await asyncio.sleep(NOW + away - Tools.clock.now())
        rig.watch.show(STOPPED)
        rig.loop.judge()
        assert [a.held for a in rig.loop._attempts] == [held]

    at_now(monkeypatch, main)


# Pace


def test_the_pace_is_hurried_after_a_change_and_calm_again_later(monkeypatch: Patch) -> None:
    """Three seconds after the findings changed, or after a hint."""

    async def main() -> None:
        rig = Rig(WELL)
        rig.settings = DecisionSettings(rejudge_every=0.5)
        asyncio.get_running_loop().call_later(1.0, rig.watch.suspect)
        asyncio.get_running_loop().call_later(10.0, rig.watch.show, shard(primary(), replica(FIRST, read_only=False)))
        await rig.for_seconds(8.0)
        assert rig.watch.paces == [None, NOW + 1.0, None]
        assert rig.watch.paced_at == [0.0, 1.0, 4.0]

    at_now(monkeypatch, main)


def test_the_pace_is_hurried_while_the_primary_fails_and_calm_when_that_lasts(monkeypatch: Patch) -> None:
    """Thirty seconds since the first failure."""

    async def main() -> None:
        rig = Rig(lost(for_=28.0), controlled=False)
        rig.settings = DecisionSettings(rejudge_every=0.5, hurry_after_change=1.0)
        await rig.for_seconds(5.0)
        assert rig.watch.paces == [NOW, NOW - 28.0, None]
        assert rig.watch.paced_at == [0.0, 1.0, 2.0]
        rig = Rig(lost(for_=28.0), controlled=False)
        rig.settings = DecisionSettings(rejudge_every=0.5, hurry_after_failure=20.0)
        await rig.for_seconds(5.0)
        assert rig.watch.paces[-1] is None
        assert NOW - 28.0 not in rig.watch.paces

    at_now(monkeypatch, main)


def test_a_primary_that_comes_and_goes_hurries_the_shard_least(monkeypatch: Patch) -> None:
    """For as long as it fails, all tablets are asked as if it had failed for five seconds."""
    failures = tuple(NOW - seconds for seconds in (40.0, 30.0, 20.0, 10.0, 1.0))
    for dead_for, since in ((1.0, NOW - SLOWEST_HURRY_AT), (8.0, NOW - 8.0)):

        async def main(dead_for: float = dead_for, since: float = since) -> None:
            unstable = changed(primary(dead_for=dead_for), failed_at=failures)
            rig = Rig(shard(unstable, replica(FIRST), replica(SECOND)), controlled=False)
            await rig.for_seconds(0.5)
            assert rig.watch.paces == [since]

        at_now(monkeypatch, main)


def test_a_replica_that_fails_does_not_hurry_the_shard_for_long(monkeypatch: Patch) -> None:
    """Only a primary that fails is worth thirty seconds of hurry."""

    async def main() -> None:
        rig = Rig(shard(primary(), failing(replica(FIRST)), replica(SECOND)), controlled=False)
        await rig.for_seconds(6.0)
        assert rig.watch.paces[-1] is None

    at_now(monkeypatch, main)


def test_an_answer_changes_nothing_that_was_decided(monkeypatch: Patch) -> None:
    """A decision is told once, though it is judged many times, and told again when its rule changes."""

    async def main() -> None:
        rig = Rig(STOPPED)
        rig.ends = lambda: Outcome.FAILED
        rig.takes = 0.0
        first = STOPPED.tablets[1]
        asyncio.get_running_loop().call_later(
            0.25, rig.watch.show, shard(primary(), changed(answers(first), ended_at=NOW), replica(SECOND))
        )
        await rig.for_seconds(0.4)
        assert [line for line in rig.notes.heard if line.startswith("decided")] == [
            "decided ReplicationStopped: act",
            "decided ReplicationStopped: backoff",
        ]

    at_now(monkeypatch, main)
