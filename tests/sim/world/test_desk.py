"""Operators at the desk of a simulated vtorc: what they ask for is done, beside vtorc's own recoveries."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.desk.requests import Asking, desk_of, fields_of, problem_of
from tests.unit.sim.servers import until
from tests.unit.sim.worlds import SHARD, in_world, small_plan
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord, StepRecord
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc, TraceObserver
from vtorc.sim.cluster.world import SimShard, World
from vtorc.vttablet.mysql_api import Threads


def at_the_desk(
    main: Callable[[World, SimShard, SimVtorc, Asking], Coroutine[Any, Any, None]],
    *,
    tablets: int = 3,
    durability: str = "semi_sync",
    seed: int = 1,
) -> None:
    """Run a test in the process of a vtorc whose shard is well."""

    async def start(world: World, shard: SimShard) -> None:
        (vtorc,) = world.vtorcs
        await vtorc.process.life.spawn(main(world, shard, vtorc, desk_of(vtorc)), name="desk")

    in_world(start, plan=small_plan(tablets=tablets, durability=durability), seed=seed)


async def ended(vtorc: SimVtorc) -> RecoveryRecord:
    """Wait until the recovery that an operator asked for has ended, and return its record."""
    await until(lambda: any(record.asked is not None for record in vtorc.records))
    (record,) = (record for record in vtorc.records if record.asked is not None)
    return record


def named(shard: SimShard, alias: str | None) -> SimTablet:
    """Return the tablet of that name."""
    return next(tablet for tablet in shard.tablets if str(tablet.config.alias) == alias)


def delay(vtorc: SimVtorc, monkeypatch: pytest.MonkeyPatch, call: str, seconds: float) -> None:
    """Let a call to tablets take longer on its way."""
    assert vtorc.tools is not None
    tablets = vtorc.tools.tablets
    real = getattr(tablets, call)

    async def late(*values: object, **named: object) -> object:
        await asyncio.sleep(seconds)
        return await real(*values, **named)

    monkeypatch.setattr(tablets, call, late)


def test_the_next_plan_tells_the_pause_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause counts from the begin of the demotion, however long that takes."""

    async def main(_: World, __: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        delay(vtorc, monkeypatch, "demote_primary", 4.0)
        await asking.execute(await asking.plan())
        record = await ended(vtorc)
        (demotion,) = (step for step in record.steps if step.name == "demote primary")
        assert demotion.duration >= 4.0
        pause = record.marks["acknowledged"] - demotion.started
        async with asyncio.timeout(300.0):
            while (plan := await asking.plan()).refusal is not None:  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(0.1)
        assert plan.write_gap.endswith(f"The last reparent of this shard paused them for {pause:.2f} s.")

    at_the_desk(main)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_plan_is_made_and_carried_out(seed: int) -> None:
    """The tablet of the plan becomes primary, and the record names the operator and the reason."""

    async def main(_: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        plan = await asking.plan()
        assert plan.refusal is None
        assert plan.from_primary == shard.primary.alias_text if shard.primary is not None else None
        reply = await asking.execute(plan)
        assert reply.status == 202
        running = fields_of(reply)["recovery"]
        assert (running["actor"], running["reason"], running["tablet"]) == ("ann", "a drill", plan.to)
        record = await ended(vtorc)
        assert (record.outcome, str(record.winner)) == (Outcome.SUCCEEDED, plan.to)
        assert str(record.began) == running["id"]
        assert record.asked is not None
        assert (record.asked.actor, record.asked.reason) == ("ann", "a drill")
        assert record.argument is not None
        assert record.argument.sentence == plan.argument
        assert shard.primary is named(shard, plan.to)

    at_the_desk(main, seed=seed)


def test_making_a_plan_changes_nothing_and_takes_no_lock() -> None:
    """Only the clocks of tablets are read."""

    async def main(world: World, shard: SimShard, _: SimVtorc, asking: Asking) -> None:
        changes: list[str] = []
        world.checker.listeners.append(lambda _caller, _tablet, _shard, name: changes.append(name))
        async with world.vtorcs[0].tools.topo.lock_shard(SHARD, "a test"):  # type: ignore[union-attr]
            plans = [await asking.plan(), await asking.plan("emergency")]
            plans.append(await asking.plan("forced", to=plans[0].to))
        assert [plan.kind for plan in plans] == ["planned", "emergency", "forced"]
        assert changes == []
        assert shard.primary is not None
        assert not shard.primary.mysqld.read_only

    at_the_desk(main)


def test_a_plan_is_executed_once() -> None:
    """The second execution is refused, also while the first one is under way."""

    async def main(_: World, __: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        plan = await asking.plan()
        first, second = await asyncio.gather(asking.execute(plan), asking.execute(plan))
        assert (first.status, second.status) == (202, 409)
        await ended(vtorc)
        assert (await asking.execute(plan)).status == 409
        await asyncio.sleep(10.0)
        assert len([record for record in vtorc.records if record.asked is not None]) == 1

    at_the_desk(main)


def test_one_reparent_of_a_shard_is_under_way_at_a_time() -> None:
    """A second plan of the same shard is refused until the first has ended."""

    async def main(_: World, __: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        first, second = await asking.plan(), await asking.plan()
        assert (await asking.execute(first)).status == 202
        problem = problem_of(await asking.execute(second))
        assert (problem.status, problem.why.split(":")[0]) == (409, "a recovery is in progress")
        await ended(vtorc)

    at_the_desk(main)


def test_a_plan_for_a_shard_that_has_changed_is_refused() -> None:
    """Its operator reads what has changed; writes alone change nothing."""

    async def main(_: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        plan = await asking.plan()
        written = shard.ledger.writes
        await until(lambda: shard.ledger.writes > written + 50)
        assert (await asking.plan()).shard_revision == plan.shard_revision
        other = next(each for each in shard.tablets if each.alias_text not in (plan.to, plan.from_primary))
        await other.mysqld.replication.stop(Threads.IO)
        await until(lambda: bool(vtorc.decisions(SHARD)))
        problem = problem_of(await asking.execute(plan))
        assert problem.status == 409
        assert other.alias_text in problem.why
        assert not [record for record in vtorc.records if record.asked is not None]

    at_the_desk(main)


def test_a_plan_older_than_a_minute_is_refused() -> None:
    """The operator makes a new one."""

    async def main(_: World, __: SimShard, ___: SimVtorc, asking: Asking) -> None:
        plan = await asking.plan()
        await asyncio.sleep(61.0)
        problem = problem_of(await asking.execute(plan))
        assert problem.status == 409
        assert "a plan lasts 60 s" in problem.why

    at_the_desk(main)


def test_each_step_is_told_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An observer hears the begin, then every step of the record in its order."""
    heard: list[StepRecord] = []
    begun: list[BegunRecovery] = []
    monkeypatch.setattr(TraceObserver, "started", lambda _, each: begun.append(each))
    monkeypatch.setattr(TraceObserver, "stepped", lambda _, shard, step: heard.append(step))

    async def main(_: World, __: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        begun.clear()
        heard.clear()
        await asking.execute(await asking.plan())
        await until(lambda: any(step.name == "demote primary" for step in heard))
        assert not [record for record in vtorc.records if record.asked is not None]
        record = await ended(vtorc)
        assert [each.asked for each in begun] == [record.asked]
        assert heard == list(record.steps)

    at_the_desk(main)


def test_the_steps_of_vtorcs_own_recoveries_are_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps that were heard are those of the records, one after the other."""
    heard: list[StepRecord] = []
    monkeypatch.setattr(TraceObserver, "stepped", lambda _, shard, step: heard.append(step))

    async def main(_: World, shard: SimShard, vtorc: SimVtorc, __: Asking) -> None:
        before = shard.primary
        assert before is not None
        heard.clear()
        vtorc.records.clear()
        before.mysqld.process.crash()
        await until(lambda: any(record.winner is not None for record in vtorc.records))
        done = [step for record in vtorc.records for step in record.steps]
        assert heard[: len(done)] == done
        assert any(step.name == "promote" for step in done)

    at_the_desk(main)


def test_a_refused_request_is_logged_with_its_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others read in the log that an operator asked for something, and why it was not done."""
    lines: list[str] = []

    async def main(world: World, _: SimShard, __: SimVtorc, asking: Asking) -> None:
        monkeypatch.setattr(world.trace, "note", lambda _, text: lines.append(text))
        assert (await asking.execute("17-4")).status == 404
        assert any("execute refused: plan 17-4: this vtorc has no such plan" in line for line in lines), lines
        assert any("actor=ann" in line or "'ann'" in line for line in lines), lines

    at_the_desk(main)


def test_a_command_is_cancelled_before_the_point_of_no_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old primary takes writes again, and the cancellation is recorded."""

    async def main(_: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        before = shard.primary
        assert before is not None
        delay(vtorc, monkeypatch, "wait_for_position", 3.0)
        await asking.execute(await asking.plan())
        await until(lambda: before.mysqld.read_only)
        assert (await asking.cancel()).status == 202
        record = await ended(vtorc)
        assert record.outcome is Outcome.CANCELLED
        assert record.sentence.endswith("was cancelled: ann asked for that: too late at night")
        assert [step.name for step in record.steps][-1] == "undo: demote primary"
        assert not before.mysqld.read_only
        written = shard.ledger.writes
        await until(lambda: shard.ledger.writes > written + 10)
        assert shard.primary is before
        assert problem_of(await asking.cancel()).why == "no recovery is in progress"

    at_the_desk(main)


def test_a_command_is_not_cancelled_after_the_point_of_no_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on to its end."""

    async def main(_: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        delay(vtorc, monkeypatch, "populate_reparent_journal", 1.0)
        plan = await asking.plan()
        await asking.execute(plan)
        await until(lambda: not named(shard, plan.to).mysqld.read_only)
        problem = problem_of(await asking.cancel())
        assert (problem.status, "past its point of no return" in problem.why) == (409, True)
        assert (await ended(vtorc)).outcome is Outcome.SUCCEEDED
        assert shard.primary is named(shard, plan.to)

    at_the_desk(main)


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_primary_lost_amid_a_planned_reparent_comes_first(monkeypatch: pytest.MonkeyPatch, is_silent: bool) -> None:
    """The reparent is broken off before its promotion, and vtorc replaces the primary by itself.

    Of a primary that is silent, vtorc first has to find out whether it is lost.
    """

    async def main(world: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        before = shard.primary
        assert before is not None
        delay(vtorc, monkeypatch, "primary_position", 14.0)
        await asking.execute(await asking.plan())
        await asyncio.sleep(1.0)
        if is_silent:
            world.power_off(before.host)
        else:
            before.mysqld.process.crash()
        record = await ended(vtorc)
        assert record.outcome is Outcome.CANCELLED, record.sentence
        assert record.duration < 13.0

        def own() -> list[Outcome]:
            return [r.outcome for r in vtorc.records if r.asked is None and r.recovery.replaces_primary]

        await until(lambda: Outcome.SUCCEEDED in own())
        assert own() == [Outcome.SUCCEEDED]
        assert shard.primary is not before

    at_the_desk(main)


def test_vtorc_begins_nothing_of_its_own_beside_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that stops meanwhile is repaired once the command has ended."""
    told: list[str] = []
    monkeypatch.setattr(TraceObserver, "started", lambda _, each: told.append(f"begins for {each.called_by}"))
    finished = TraceObserver.finished

    def note(self: TraceObserver, record: RecoveryRecord) -> None:
        told.append(f"ends {record.outcome.value}")
        finished(self, record)

    monkeypatch.setattr(TraceObserver, "finished", note)

    async def main(_: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        told.clear()
        delay(vtorc, monkeypatch, "primary_position", 8.0)
        plan = await asking.plan()
        await asking.execute(plan)
        await asyncio.sleep(1.0)
        other = next(each for each in shard.tablets if each.alias_text not in (plan.to, plan.from_primary))
        await other.mysqld.replication.stop(Threads.BOTH)
        assert (await ended(vtorc)).outcome is Outcome.SUCCEEDED
        await asyncio.sleep(10.0)
        assert told[:2] == ["begins for an operator", "ends succeeded"]
        assert vtorc.decisions(SHARD) == ()

    at_the_desk(main)


def test_a_lost_primary_is_replaced_by_an_operator_while_recoveries_are_stopped() -> None:
    """vtorc stands still with the operator's reason, carries out the command, and acts again once it may."""

    async def main(world: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        before = shard.primary
        assert before is not None
        assert (await asking.ask("recoveries", allow=False, reason="moving racks")).status == 200
        world.power_off(before.host)
        await until(lambda: Rule.RECOVERIES_STOPPED in [each.rule for each in vtorc.decisions(SHARD)])
        (lost, *_) = vtorc.decisions(SHARD)
        assert lost.sentence.endswith("; doing nothing: ann stopped all recoveries: moving racks")
        await asyncio.sleep(20.0)
        assert shard.primary in (None, before)
        plan = await asking.plan("emergency")
        assert plan.refusal is None
        assert (await asking.execute(plan)).status == 202
        record = await ended(vtorc)
        assert (record.outcome, str(record.winner)) == (Outcome.SUCCEEDED, plan.to)
        assert shard.primary is named(shard, plan.to)
        world.power_on(before.host)
        await until(lambda: any(each.rule is Rule.RECOVERIES_STOPPED for each in vtorc.decisions(SHARD)))
        assert (await asking.ask("recoveries", allow=True, reason="done")).status == 200
        assert await world.until_well(shard, limit=120.0) == []

    at_the_desk(main)


def test_a_forced_promotion_has_to_be_accepted_with_what_it_loses() -> None:
    """Its plan tells the loss; without acceptance nothing is done, and with it exactly that much may be lost."""

    async def main(world: World, shard: SimShard, vtorc: SimVtorc, asking: Asking) -> None:
        before = shard.primary
        assert before is not None
        rest = [tablet for tablet in shard.tablets if tablet is not before]
        for tablet in (before, rest[2]):
            world.power_off(tablet.host)
        await asyncio.sleep(30.0)
        refused = await asking.plan("emergency")
        assert refused.refusal is not None
        assert problem_of(await asking.execute(refused)).why == refused.refusal
        plan = await asking.plan("forced", to=rest[1].alias_text)
        assert plan.refusal is None
        assert rest[2].alias_text in plan.risk
        problem = problem_of(await asking.execute(plan))
        assert (problem.status, problem.what) == (409, "accept_loss: false")
        assert plan.risk in problem.why
        assert (await asking.execute(plan, accept_loss=True)).status == 202
        record = await ended(vtorc)
        assert (record.outcome, record.winner) == (Outcome.SUCCEEDED, rest[1].config.alias)
        assert record.data_loss is not None
        assert record.data_loss.sentence == plan.risk

    at_the_desk(main, tablets=4)


def test_a_stop_of_vtorc_puts_a_command_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that has not ended within the time for a stop is broken off like a recovery of vtorc's own."""
    told: list[str] = []
    monkeypatch.setattr(TraceObserver, "interrupted", lambda _, each: told.append(each.called_by))

    async def main(world: World, shard: SimShard) -> None:
        (vtorc,) = world.vtorcs
        before = shard.primary
        assert before is not None
        assert vtorc.fleet is not None
        settings = replace(vtorc.fleet._settings(), shutdown_wait=5.0)
        monkeypatch.setattr(vtorc.fleet, "_settings", lambda: settings)
        delay(vtorc, monkeypatch, "wait_for_position", 20.0)
        asking = desk_of(vtorc)
        plan = await vtorc.process.life.spawn(asking.plan(), name="desk")
        assert (await vtorc.process.life.spawn(asking.execute(plan), name="desk")).status == 202
        await until(lambda: before.mysqld.read_only)
        vtorc.fleet.stop()
        await until(lambda: bool(told))
        assert told == ["an operator"]
        assert not before.mysqld.read_only
        assert shard.primary is before

    in_world(main)
