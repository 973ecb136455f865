"""Commands on replicas call by call: what is asked of which tablet, what is refused, and what is put back."""

import asyncio

import pytest

from tests.unit.core.builders import STOPPED, alias, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, Rig, in_session
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import policy
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ReplicationStatus, TabletStatus
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.tablet_change import TabletChange

PRIMARY, FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (100, 101, 102))
WELL = shard(primary(), replica(FIRST), replica(SECOND))
STOOD_STILL = shard(primary(), replica(FIRST, io=STOPPED, sql=STOPPED), replica(SECOND))
BELOW_SECOND = shard(primary(), replica(FIRST, of=SECOND), replica(SECOND))
RECEIVED = "100:1-60"
"""What a replica has received that has not applied all of its relay log."""


async def change(rig: Rig, view: ShardView, command: Recovery, *tablets: str) -> str:
    """Carry a command out on tablets, the first replica if none is named."""
    aliases = tuple(alias(name) for name in tablets or (FIRST,))
    return await TabletChange(rig.session, view, policy("semi_sync"), command, aliases).run()


def status_of(tablet: TabletView) -> TabletStatus:
    """What a tablet tells of itself."""
    assert tablet.status is not None
    return tablet.status


def threads_of(tablet: TabletView) -> ReplicationStatus:
    """What a replica tells of its replication."""
    replication = status_of(tablet).replication
    assert replication is not None
    return replication


@pytest.mark.parametrize(
    ("command", "view", "calls", "told"),
    [
        (Recovery.STOP_REPLICATION, WELL, [f"stop_replication {FIRST}"], f"stopped replication on {FIRST}"),
        (Recovery.SET_READ_ONLY, WELL, [f"set_read_only {FIRST}"], f"made {FIRST} read-only"),
        (Recovery.FLUSH_BINARY_LOGS, WELL, [f"flush_binary_logs {FIRST}"], f"began a new binary log on {FIRST}"),
        (
            Recovery.START_REPLICATION,
            STOOD_STILL,
            [
                f"stop_replication {FIRST}",
                f"start_replication {FIRST} semi_sync=True",
                f"replication_status {FIRST}",
            ],
            f"started replication on {FIRST}",
        ),
        (
            Recovery.RESTART_REPLICATION,
            WELL,
            [
                f"stop_replication {FIRST}",
                f"start_replication {FIRST} semi_sync=True",
                f"replication_status {FIRST}",
            ],
            f"restarted replication on {FIRST}",
        ),
        (
            Recovery.REPARENT_TABLET,
            BELOW_SECOND,
            [
                f"full_status {FIRST}",
                f"set_replication_source {FIRST} source={PRIMARY} semi_sync=True force_start=True",
                f"replication_status {FIRST}",
            ],
            f"pointed {FIRST} at {PRIMARY}",
        ),
        (
            Recovery.STOP_REPLICATION_NICELY,
            WELL,
            [f"stop_io_thread {FIRST}", f"full_status {FIRST}", f"stop_replication {FIRST}"],
            f"stopped replication on {FIRST}, with nothing left to apply",
        ),
    ],
)
def test_a_command_asks_its_tablet_under_the_lock(
    command: Recovery, view: ShardView, calls: list[str], told: str
) -> None:
    """Each command makes its calls to that tablet alone, once the lock is confirmed, and tells what it did to it."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status_of(replica(FIRST)))
        rig.tablets.tell(f"replication_status {FIRST}", threads_of(replica(FIRST)))
        assert await change(rig, view, command) == told
        assert rig.calls == calls
        assert rig.steps[0] == "check lock"
        assert {step.target for step in rig.session.steps if step.name != "check lock"} == {alias(FIRST)}

    in_session(main)


@pytest.mark.parametrize(
    ("command", "view"),
    [
        (Recovery.REPARENT_TABLET, WELL),
        (Recovery.START_REPLICATION, WELL),
        (Recovery.STOP_REPLICATION, STOOD_STILL),
        (Recovery.STOP_REPLICATION_NICELY, STOOD_STILL),
    ],
)
def test_what_is_so_already_is_left_alone(command: Recovery, view: ShardView) -> None:
    """A replica that is as it should be is not touched: re-pointing it would drop its relay log for nothing."""

    async def main(rig: Rig) -> None:
        assert await change(rig, view, command) == f"{command.value} of {FIRST} has nothing to do: it is so already"
        assert rig.calls == []

    in_session(main)


def test_only_the_tablets_that_need_it_are_changed() -> None:
    """Of several tablets those that replicate from the primary already are left alone."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status_of(replica(FIRST)))
        told = await change(rig, BELOW_SECOND, Recovery.REPARENT_TABLET, FIRST, SECOND)
        assert told == f"pointed {FIRST} at {PRIMARY}"
        assert all(FIRST in call for call in rig.calls)

    in_session(main)


def test_a_replica_with_one_stopped_thread_is_started_and_reparented() -> None:
    """One thread that stands still is enough for a start, and for pointing the replica at the primary again."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status_of(replica(FIRST)))
        view = shard(primary(), replica(FIRST, sql=STOPPED), replica(SECOND))
        assert await change(rig, view, Recovery.START_REPLICATION) == f"started replication on {FIRST}"
        assert await change(rig, view, Recovery.REPARENT_TABLET) == f"pointed {FIRST} at {PRIMARY}"
        assert await change(rig, view, Recovery.STOP_REPLICATION) == f"stopped replication on {FIRST}"

    in_session(main)


def test_a_guard_refuses_before_anything_is_changed() -> None:
    """The last acker is not stopped, and the record of the refusal names the rule."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryRefused) as caught:
            await change(rig, shard(primary(), replica(FIRST)), Recovery.STOP_REPLICATION)
        assert caught.value.rule is Rule.ACKS_WOULD_DROP
        assert str(caught.value) == (
            f"StopReplication of {FIRST} is refused: {PRIMARY} waits for 1 acknowledgements and only 0 other replicas "
            f"give them"
        )
        assert rig.calls == []

    in_session(main)


def test_one_refusal_keeps_all_tablets_as_they_are() -> None:
    """If one of several tablets must not be changed, none is."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryRefused):
            await change(rig, BELOW_SECOND, Recovery.REPARENT_TABLET, FIRST, PRIMARY)
        assert rig.calls == []

    in_session(main)


def test_a_tablet_that_has_left_is_told() -> None:
    """A tablet that is gone by the time the shard is read again ends the command."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryFailed, match="zone1-0000000107 has left the shard"):
            await change(rig, WELL, Recovery.STOP_REPLICATION, "zone1-107")

    in_session(main)


def test_a_nice_stop_waits_for_the_relay_log() -> None:
    """The SQL thread stops once it has applied all that was received; each step names the replica."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status_of(replica(FIRST, received=RECEIVED)))
        await change(rig, WELL, Recovery.STOP_REPLICATION_NICELY)
        assert rig.calls[-2:] == [f"wait_for_position {FIRST} position=100:1-60", f"stop_replication {FIRST}"]
        assert {step.target for step in rig.session.steps if step.name != "check lock"} == {alias(FIRST)}
        assert not rig.session.can_undo

    in_session(main)


def test_a_nice_stop_of_one_replica_leaves_the_command_to_be_cancelled() -> None:
    """The operator may cancel it before the next replica is stopped, and the one that was stopped stays so."""

    async def main(rig: Rig) -> None:
        switch = CancelSwitch()
        rig.session = RecoverySession(rig.tools, rig.lock, began=rig.tools.clock.now(), switch=switch)
        rig.tablets.tell(f"full_status {FIRST}", status_of(replica(FIRST)))
        await change(rig, WELL, Recovery.STOP_REPLICATION_NICELY)
        assert switch.cancel("not now")
        assert not rig.session.can_undo

    in_session(main)


@pytest.mark.parametrize(
    ("command", "view", "tablet", "call"),
    [
        (Recovery.FLUSH_BINARY_LOGS, WELL, PRIMARY, f"flush_binary_logs {PRIMARY}"),
        (
            Recovery.REPARENT_TABLET,
            shard(primary(), replica(FIRST, of=None), replica(SECOND)),
            FIRST,
            f"set_replication_source {FIRST} source={PRIMARY} semi_sync=True force_start=True",
        ),
    ],
    ids=["a new binary log of the primary", "a new source"],
)
def test_a_tablet_without_a_source_is_not_taken_for_done(
    command: Recovery, view: ShardView, tablet: str, call: str
) -> None:
    """It has no replication to be compared with what the command asks for, so the command is carried out."""

    async def main(rig: Rig) -> None:
        found = view.tablet(alias(tablet))
        assert found is not None
        rig.tablets.tell(f"full_status {tablet}", status_of(found))
        rig.tablets.tell(f"replication_status {tablet}", threads_of(replica(FIRST)))
        await change(rig, view, command, tablet)
        assert call in rig.calls

    in_session(main)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_nice_stop_that_takes_too_long_lets_the_replica_go_on(acknowledged: bool) -> None:
    """A relay log that is not applied in time is told, and the rollback starts the IO thread as it was."""

    async def main(rig: Rig) -> None:
        tablet = replica(FIRST, semi_sync=acknowledged)
        rig.tablets.tell(f"full_status {FIRST}", status_of(replica(FIRST, received=RECEIVED)))
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        began = asyncio.get_running_loop().time()
        with pytest.raises(RecoveryRefused, match=r"did not apply .* within 30 s, and replicates again") as caught:
            await change(rig, shard(primary(), tablet, replica(SECOND)), Recovery.STOP_REPLICATION_NICELY)
        assert asyncio.get_running_loop().time() - began == pytest.approx(30.0)
        assert caught.value.rule is Rule.APPLIER_BEHIND
        assert rig.step("apply its relay log").duration == pytest.approx(rig.deadlines.catch_up)
        assert f"stop_replication {FIRST}" not in rig.calls
        await rig.session.roll_back()
        assert rig.calls[-1] == f"start_replication {FIRST} semi_sync={acknowledged}"

    in_session(main)


def test_the_primary_begins_a_new_binary_log() -> None:
    """It has no replication, which makes no other command on it one that is done already."""

    async def main(rig: Rig) -> None:
        assert await change(rig, WELL, Recovery.FLUSH_BINARY_LOGS, PRIMARY) == f"began a new binary log on {PRIMARY}"
        assert rig.calls == [f"flush_binary_logs {PRIMARY}"]

    in_session(main)


def test_no_other_recovery_is_a_command_on_a_tablet() -> None:
    """A recovery of vtorc's own is no command, and is refused as a mistake."""

    async def main(rig: Rig) -> None:
        with pytest.raises(AssertionError):
            await change(rig, WELL, Recovery.FIX_REPLICA)
        assert rig.calls == []

    in_session(main)
