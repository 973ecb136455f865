"""One action from its decision to its record: read again, judged again, carried out or left."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from tests.unit.core.builders import SHARD, alias, failing, gtids, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, WALL, Rig, begun, with_rig
from tests.unit.recovery.test_stop_calls import answer, threads
from vtorc.core.decision.decisions import Action, Decision
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import DurabilityPolicy, policy
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import LockLost, TopoUnavailable
from vtorc.recovery import runner
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.commands import Commands
from vtorc.recovery.record import OperatorRequest, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement, Runner, begun_with
from vtorc.recovery.tablet_change import COMMANDS
from vtorc.sim.engine.loop import forever

PRIMARY, FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (100, 101, 102))
WELL = shard(primary(), replica(FIRST), replica(SECOND))
LOST = shard(primary(dead_for=3.0), replica(FIRST), replica(SECOND))
STOPPED = shard(primary(), replica(FIRST, io=ThreadState.STOPPED), replica(SECOND))


def action(recovery: Recovery, *problems: tuple[Code, str | None]) -> Action:
    """An action for these problems."""
    return Action(
        recovery=recovery,
        decisions=tuple(
            Decision(
                finding=Finding(
                    code=code, shard=SHARD, alias=alias(name) if name is not None else None, sentence="it is so"
                ),
                recovery=recovery,
                rule=Rule.ACT,
                sentence="it is so",
            )
            for code, name in problems
        ),
    )


DEAD = action(Recovery.RECOVER_DEAD_PRIMARY, (Code.DEAD_PRIMARY, PRIMARY))
FIX = action(Recovery.FIX_REPLICA, (Code.REPLICATION_STOPPED, FIRST))


@dataclass
class Watch:
    """A watch that shows one view, and notes what it is asked."""

    shown: ShardView
    calls: list[str] = field(default_factory=list)
    shard = SHARD

    def update(self, topology: object) -> None:
        self.calls.append(f"update with {topology}")

    def view(self) -> ShardView:
        return self.shown

    def silent_tablets(self) -> Collection[TabletAlias]:
        return frozenset({alias(PRIMARY)})

    async def refresh(self, deadline: float, *, leave_out: Collection[TabletAlias]) -> None:
        self.calls.append(f"refresh within {deadline:g} s without {', '.join(map(str, leave_out))}")


@pytest.fixture(autouse=True)
def topology(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the topology be read at once."""

    async def read_shard(*_: object) -> object:
        return "a reading"

    monkeypatch.setattr(runner, "read_shard", read_shard)
    monkeypatch.setattr("vtorc.recovery.commands.read_shard", read_shard)
    monkeypatch.setattr("vtorc.recovery.locked_run.read_shard", read_shard)


async def carry_out(
    rig: Rig,
    first: Action,
    again: Action | None,
    view: ShardView,
    *,
    durability: DurabilityPolicy | None = policy("semi_sync"),  # noqa: B008 (a value)
    heard: Callable[[float], None] = lambda since: None,
) -> tuple[RecoveryRecord, Watch]:
    """Carry out an action that is judged like this under the lock."""
    watch = Watch(view)

    def judge(*, heard_since: float = 0.0) -> Judgement:
        heard(heard_since)
        return Judgement(view, durability, again.decisions if again is not None else (), again)

    record = await Runner(rig.tools, cast(ShardWatch, watch), judge).run(first, begun_with(first, began=WALL))
    return record, watch


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (DEAD, None),
        (DEAD, FIX),
        (FIX, DEAD),
        (DEAD, action(Recovery.RECOVER_DEAD_PRIMARY, (Code.DEAD_PRIMARY, SECOND))),
        (DEAD, action(Recovery.RECOVER_PRIMARY_TABLET_DELETED, (Code.PRIMARY_TABLET_DELETED, None))),
    ],
    ids=["none", "a repair", "a replacement", "of another tablet", "of another kind"],
)
def test_an_action_that_is_not_called_for_again_changes_nothing(first: Action, again: Action | None) -> None:
    """The shard is read and asked again under the lock, and what it calls for then is left to the next round."""

    async def main(rig: Rig) -> None:
        record, watch = await carry_out(rig, first, again, WELL)
        assert record.outcome is Outcome.GONE
        assert record.sentence == (
            f"commerce/0: {first.code.value} is gone or calls for no action any more; nothing was changed"
        )
        assert (record.recovery, record.code, record.alias) == (first.recovery, first.code, first.alias)
        assert rig.calls == []
        assert watch.calls == ["update with a reading", f"refresh within 1 s without {PRIMARY}"]
        assert [step.name for step in record.steps] == ["read topology", "ask all tablets"]
        assert [step.target for step in record.steps] == [None, None]
        on = f" on {first.alias}" if first.alias is not None else ""
        assert rig.topo.calls == [f"lock VTOrc Recovery for {first.code.value}{on}"]

    with_rig(main)


def test_an_action_without_a_policy_changes_nothing() -> None:
    """The keyspace's record may have become unreadable meanwhile."""

    async def main(rig: Rig) -> None:
        record, _ = await carry_out(rig, DEAD, DEAD, LOST, durability=None)
        assert record.outcome is Outcome.GONE
        assert rig.calls == []

    with_rig(main)


def test_it_is_judged_by_what_was_heard_since_the_lock_was_taken() -> None:
    """What the replicas said before is no evidence any more."""

    async def main(rig: Rig) -> None:
        heard: list[float] = []
        rig.topo.tell(f"lock VTOrc Recovery for DeadPrimary on {PRIMARY}", takes=4.0)
        await carry_out(rig, DEAD, None, WELL, heard=heard.append)
        assert heard == [104.0]

    with_rig(main)


def test_a_shard_that_cannot_be_read_again_fails_the_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done on records of before."""

    async def unread(*_: object) -> object:
        raise TopoUnavailable("no answer")

    async def main(rig: Rig) -> None:
        monkeypatch.setattr(runner, "read_shard", unread)
        record, _ = await carry_out(rig, DEAD, DEAD, LOST)
        assert (record.outcome, rig.calls) == (Outcome.FAILED, [])

    with_rig(main)


def test_tablets_that_do_not_answer_again_do_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking ends a second after its own deadline."""

    async def hang(self: Watch, deadline: float, *, leave_out: Collection[TabletAlias]) -> None:
        await forever()

    async def main(rig: Rig) -> None:
        monkeypatch.setattr(Watch, "refresh", hang)
        record, _ = await carry_out(rig, DEAD, DEAD, LOST)
        assert record.outcome is Outcome.FAILED
        assert record.duration == pytest.approx(rig.deadlines.refresh + 1.0)

    with_rig(main)


def tell(rig: Rig) -> None:
    """Let the replicas be stopped, and the primary be asked."""
    for name in (FIRST, SECOND):
        rig.tablets.tell(f"stop_replication_and_get_status {name}", answer(threads("100:1-60", "100:1-60")))
        rig.tablets.tell(f"replication_status {name}", threads("100:1-60", "100:1-60"))
        rig.tablets.tell(f"wall_clock {name}", WALL)
    rig.tablets.tell(f"demote_primary {FIRST}", gtids("100:1-50"))
    rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-50"))
    rig.tablets.tell(f"primary_position {PRIMARY}", gtids("100:1-50"))
    found = WELL.tablet(alias(FIRST))
    assert found is not None
    rig.tablets.tell(f"full_status {FIRST}", found.status)
    (late,) = LATE_RECORD.tablets
    rig.tablets.tell(f"full_status {SECOND}", late.status)


NEW = shard(*(replica(name, of=None, executed="", semi_sync=False) for name in (FIRST, SECOND)), named=None, term=0)
LATE_RECORD = shard(replica(SECOND, of=None, tablet_type=TabletType.PRIMARY), named=SECOND)
STALE = shard(primary(), replica(FIRST, TabletType.PRIMARY, of=None, record_changes={"primary_term_start": 1}))


@pytest.mark.parametrize(
    ("todo", "view", "call", "sentence"),
    [
        (DEAD, LOST, f"promote_replica {FIRST}", f"promoted {FIRST}. "),
        (
            action(Recovery.RECOVER_PRIMARY_TABLET_DELETED, (Code.PRIMARY_TABLET_DELETED, PRIMARY)),
            LOST,
            f"promote_replica {FIRST}",
            f"promoted {FIRST}. ",
        ),
        (
            action(Recovery.ELECT_NEW_PRIMARY, (Code.CLUSTER_HAS_NO_PRIMARY, None)),
            NEW,
            f"init_primary {FIRST}",
            f"elected {FIRST} as the first primary",
        ),
        (
            action(Recovery.FIX_PRIMARY, (Code.PRIMARY_IS_READ_ONLY, PRIMARY)),
            shard(primary(read_only=True), replica(FIRST)),
            f"undo_demote_primary {PRIMARY}",
            f"repaired {PRIMARY} (PrimaryIsReadOnly)",
        ),
        (
            action(Recovery.RECOVER_PRIMARY_HAS_PRIMARY, (Code.PRIMARY_HAS_PRIMARY, PRIMARY)),
            shard(primary(source=SECOND), replica(FIRST)),
            f"reset_replication_parameters {PRIMARY}",
            f"{PRIMARY} has no replication source any more",
        ),
        (FIX, STOPPED, f"start_replication {FIRST}", f"repaired {FIRST} (ReplicationStopped)"),
        (
            action(
                Recovery.FIX_REPLICA,
                (Code.REPLICATION_STOPPED, SECOND),
                (Code.REPLICATION_STOPPED, FIRST),
                (Code.REPLICA_IS_WRITABLE, FIRST),
            ),
            STOPPED,
            f"set_read_only {FIRST}",
            f"repaired {FIRST}, {SECOND} (ReplicationStopped, ReplicaIsWritable)",
        ),
        (
            action(Recovery.RECONCILE_STALE_TOPO_PRIMARY, (Code.STALE_TOPO_PRIMARY, FIRST)),
            STALE,
            f"demote_primary {FIRST}",
            f"made {FIRST} replicate from the present primary",
        ),
        (
            action(Recovery.RESTART_DIRECT_REPLICA, (Code.UNREACHABLE_PRIMARY, PRIMARY)),
            LOST,
            f"stop_io_thread {FIRST}",
            f"made one replica of {PRIMARY} reconnect",
        ),
        (
            action(
                Recovery.DRAIN_ERRANT_TABLET, (Code.ERRANT_GTID_DETECTED, FIRST), (Code.ERRANT_GTID_DETECTED, SECOND)
            ),
            STOPPED,
            f"change_type {FIRST}",
            f"{FIRST} is DRAINED, because of its errant transactions",
        ),
        (
            action(Recovery.CORRECT_PRIMARY_RECORD, (Code.PRIMARY_RECORD_OUTDATED, SECOND)),
            LATE_RECORD,
            f"full_status {SECOND}",
            f"the record of {SECOND} says again that it is primary",
        ),
    ],
    ids=[
        "dead primary",
        "deleted primary",
        "first election",
        "primary",
        "primary with a source",
        "replica",
        "replicas",
        "former primary",
        "reconnect",
        "errant replica",
        "record of a primary",
    ],
)
def test_each_recovery_is_carried_out_and_said(todo: Action, view: ShardView, call: str, sentence: str) -> None:
    """The record says in one sentence what was done; a rollback would expect the primary of the view."""

    async def main(rig: Rig) -> None:
        tell(rig)
        if todo.recovery is Recovery.FIX_REPLICA:  # it looks whether the replicas replicate by then
            for name in (FIRST, SECOND):
                rig.tablets.tell(f"replication_status {name}", threads(io_state=ThreadState.RUNNING))
        record, _ = await carry_out(rig, todo, todo, view)
        assert record.outcome is Outcome.SUCCEEDED, record.sentence
        assert call in rig.tablets.at
        assert record.sentence.startswith(f"commerce/0: {sentence}")

    with_rig(main)


def test_a_replacement_that_loses_its_lock_starts_the_replicas_again() -> None:
    """No other vtorc has replaced the primary that was judged under the lock."""

    async def main(rig: Rig) -> None:
        tell(rig)
        for name in (FIRST, SECOND):
            rig.tablets.tell(f"wait_for_position {name}", takes=NEVER)
        locks = [rig.lock, rig.topo.try_lock_shard(SHARD, "another")]
        rig.topo.try_lock_shard = lambda *_: locks.pop(0)  # type: ignore[method-assign]
        rig.held.tell("check", None, LockLost("gone"))
        asyncio.get_running_loop().call_later(2.0, rig.held.lost.set)
        record, _ = await carry_out(rig, DEAD, DEAD, LOST)
        assert record.outcome is Outcome.LOCK_LOST
        assert sorted(rig.calls[-2:]) == [f"start_replication {each} semi_sync=True" for each in (FIRST, SECOND)]

    with_rig(main)


def test_each_step_of_an_action_or_a_command_is_heard() -> None:
    """The observer of the shard tells operators while it is under way."""

    async def main(rig: Rig) -> None:
        steps: list[StepRecord] = []
        watch = cast(ShardWatch, Watch(LOST))
        judgement = Judgement(LOST, policy("semi_sync"), DEAD.decisions, DEAD)
        tell(rig)
        record = await Runner(rig.tools, watch, lambda **_: judgement, steps.append).run(
            DEAD, begun_with(DEAD, began=WALL)
        )
        assert steps == list(record.steps) != []
        steps.clear()
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        switch = CancelSwitch()
        assert switch.cancel("not now")
        record = await Commands(rig.tools, watch, steps.append).emergency_reparent(policy("semi_sync"))
        assert steps == list(record.steps) != []
        record = await Commands(rig.tools, watch, steps.append, switch).emergency_reparent(policy("semi_sync"))
        assert record.outcome is Outcome.CANCELLED

    with_rig(main)


def test_a_replacement_says_why_it_is_safe() -> None:
    """The sentence of the safety argument follows."""

    async def main(rig: Rig) -> None:
        tell(rig)
        record, _ = await carry_out(rig, DEAD, DEAD, LOST)
        assert record.argument is not None
        assert record.sentence == f"commerce/0: promoted {FIRST}. {record.argument.sentence}"
        assert record.winner == alias(FIRST)

    with_rig(main)


@pytest.mark.parametrize("recovery", [Recovery.PLANNED_REPARENT, Recovery.EMERGENCY_REPARENT, *COMMANDS])
def test_no_problem_calls_for_what_only_operators_ask_for(recovery: Recovery) -> None:
    """Such an action would be a mistake, and does nothing."""

    async def main(rig: Rig) -> None:
        todo = action(recovery, (Code.DEAD_PRIMARY, PRIMARY))
        record, _ = await carry_out(rig, todo, todo, LOST)
        assert record.outcome is Outcome.FAILED
        assert "only operators ask for" in record.sentence
        assert rig.calls == []

    with_rig(main)


# Commands of operators


def test_a_command_on_tablets_reads_the_shard_again_and_changes_them() -> None:
    """It takes the shard lock, which names command and tablets, and its record tells what it did."""

    async def main(rig: Rig) -> None:
        watch = Watch(WELL)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        commands = Commands(rig.tools, cast(ShardWatch, watch))
        asked = begun(Recovery.SET_READ_ONLY, about=alias(FIRST))
        record = await commands.change_tablets(policy("semi_sync"), (alias(FIRST),), begun=asked)
        assert (record.outcome, record.recovery, record.alias) == (Outcome.SUCCEEDED, asked.recovery, alias(FIRST))
        assert record.sentence == f"commerce/0: made {FIRST} read-only"
        assert rig.topo.calls == [f"lock SetReadOnly({FIRST})"]
        assert rig.calls == [f"set_read_only {FIRST}"]
        assert watch.calls == ["update with a reading", f"refresh within 1 s without {PRIMARY}"]

    with_rig(main)


@pytest.mark.parametrize("wanted", [None, SECOND])
def test_a_planned_reparent_reads_the_shard_again_and_moves_the_primary(wanted: str | None) -> None:
    """Its lock says what Vitess' says, and a lost lock would put back the primary that was seen then."""

    async def main(rig: Rig) -> None:
        watch = Watch(WELL)
        for tablet in WELL.tablets:
            rig.tablets.tell(f"wall_clock {tablet.alias}", WALL)
        rig.tablets.tell(f"primary_position {PRIMARY}", gtids("100:1-50"))
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-50"))
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        commands = Commands(rig.tools, cast(ShardWatch, watch))
        new_primary = alias(wanted) if wanted is not None else None
        record = await commands.planned_reparent(policy("semi_sync"), new_primary)
        assert (record.outcome, record.code, record.alias) == (Outcome.SUCCEEDED, None, new_primary)
        assert record.recovery is Recovery.PLANNED_REPARENT
        assert record.sentence == f"commerce/0: promoted {wanted or FIRST} as planned"
        assert rig.topo.calls == [f"lock PlannedReparentShard({wanted or '<nil>'}, AvoidPrimary = <nil>)"]
        assert watch.calls == ["update with a reading", f"refresh within 1 s without {PRIMARY}"]
        assert [step.name for step in record.steps][:1] == ["read topology"]

    with_rig(main)


def test_a_planned_reparent_that_hangs_makes_the_primary_writable_again() -> None:
    """The shard's primary is the one that was read under the lock."""

    async def main(rig: Rig) -> None:
        for tablet in WELL.tablets:
            rig.tablets.tell(f"wall_clock {tablet.alias}", WALL)
        rig.tablets.tell(f"primary_position {PRIMARY}", gtids("100:1-50"))
        rig.tablets.tell(f"demote_primary {PRIMARY}", takes=NEVER)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        record = await Commands(rig.tools, cast(ShardWatch, Watch(WELL))).planned_reparent(policy("semi_sync"))
        assert record.outcome is Outcome.FAILED
        assert rig.calls[-1] == f"undo_demote_primary {PRIMARY} semi_sync=True"

    with_rig(main)


def test_a_planned_reparent_that_loses_its_lock_makes_the_primary_writable_again() -> None:
    """No other vtorc has moved the primary that was read under the lock."""

    async def main(rig: Rig) -> None:
        for tablet in WELL.tablets:
            rig.tablets.tell(f"wall_clock {tablet.alias}", WALL)
        rig.tablets.tell(f"primary_position {PRIMARY}", gtids("100:1-50"))
        rig.tablets.tell(f"demote_primary {PRIMARY}", takes=NEVER)
        rig.topo.lock_shard = lambda *_: rig.lock  # type: ignore[method-assign]
        rig.held.tell("check", None, LockLost("gone"))
        asyncio.get_running_loop().call_later(1.0, rig.held.lost.set)
        record = await Commands(rig.tools, cast(ShardWatch, Watch(WELL))).planned_reparent(policy("semi_sync"))
        assert record.outcome is Outcome.LOCK_LOST
        assert rig.calls[-1] == f"undo_demote_primary {PRIMARY} semi_sync=True"

    with_rig(main)


@pytest.mark.parametrize("asked", [True, False], ids=["an operator asked", "the record alone counts"])
def test_an_emergency_reparent_promotes_the_tablet_of_the_election(asked: bool) -> None:
    """Its record has the safety argument, and what the operator was told of it."""
    request = OperatorRequest(actor="ann", origin="127.0.0.1", reason="a drill") if asked else None

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        given = replace(begun(Recovery.EMERGENCY_REPARENT), asked=request) if asked else None
        commands = Commands(rig.tools, cast(ShardWatch, Watch(LOST)))
        record = await commands.emergency_reparent(policy("semi_sync"), begun=given)
        assert (record.outcome, record.code, record.alias) == (Outcome.SUCCEEDED, None, None)
        assert (record.recovery, record.asked) == (Recovery.EMERGENCY_REPARENT, request)
        assert record.argument is not None
        assert record.sentence == f"commerce/0: promoted {FIRST} as an operator asked. {record.argument.sentence}"
        assert rig.topo.calls == ["lock EmergencyReparentShard(<nil>)"]

    with_rig(main)


def test_a_forced_promotion_tells_its_cost() -> None:
    """The command is refused with an estimate, and done once that is accepted."""

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        view = shard(primary(dead_for=3.0), replica(FIRST), replica(SECOND), failing(replica("zone1-104")))
        commands = Commands(rig.tools, cast(ShardWatch, Watch(view)))
        refused = await commands.force_promotion(policy("semi_sync"), alias(FIRST))
        assert (refused.outcome, refused.rule) == (Outcome.REFUSED, Rule.DATA_LOSS_NOT_ACCEPTED)
        assert refused.data_loss is not None
        done = await commands.force_promotion(policy("semi_sync"), alias(FIRST), refused.data_loss)
        assert (done.outcome, done.alias, done.code) == (Outcome.SUCCEEDED, alias(FIRST), None)
        assert done.recovery is Recovery.EMERGENCY_REPARENT
        cost = refused.data_loss.sentence
        assert done.sentence == f"commerce/0: promoted {FIRST} as an operator decided; {cost}"
        assert rig.topo.calls == [f"lock EmergencyReparentShard({FIRST})"] * 2

    with_rig(main)
