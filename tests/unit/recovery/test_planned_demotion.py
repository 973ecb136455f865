"""The demotion of a primary that is well: which replica is disconnected for it, when, and what is put back."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.unit.core.builders import STOPPED, alias, changed, failing, gtids, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, Rig, in_session, unreachable
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import TabletCallUnknown, TabletUnreachable
from vtorc.recovery.planned_demotion import (
    ASK_AT_ONCE,
    ASK_DEADLINE,
    ASK_EVERY,
    SILENT_AFTER,
    PlannedDemotion,
    acker_to_disconnect,
)
from vtorc.recovery.session import DEMOTION_PATIENCE
from vtorc.sim.engine.loop import forever

PRIMARY, FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (100, 101, 102))
THREE = shard(primary(), replica(FIRST), replica(SECOND))
TWO = shard(primary(), replica(FIRST))
END = gtids("100:1-70")
ON, OFF = {"Rpl_semi_sync_source_status": "ON"}, {"Rpl_semi_sync_source_status": "OFF"}
ASKED = f"global_status {PRIMARY}"
BEFORE = (ON,) * ASK_AT_ONCE
"""What the primary tells before the demotion."""


def tell(rig: Rig, *statuses: object, takes: float = 0.9) -> None:
    """Let the demotion take so many seconds, and the primary tell of semi-sync what is given, in turn."""
    rig.tablets.tell(f"demote_primary {PRIMARY}", END, takes=takes)
    rig.tablets.tell(ASKED, *statuses)


async def demote(rig: Rig, view: ShardView, winner: str = FIRST) -> GtidSet:
    """Demote the primary for `winner`."""
    old = view.tablet(alias(PRIMARY))
    assert old is not None
    return await PlannedDemotion(
        session=rig.session,
        primary=old,
        winner=alias(winner),
        acker=acker_to_disconnect(view, old, alias(winner)),
        semi_sync=True,
    ).run()


def silence(rig: Rig, *, after: int) -> None:
    """Let the primary answer no further question about semi-sync after so many."""
    answer = rig.tablets.global_status

    async def global_status(tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        if rig.calls.count(ASKED) >= after:
            await forever()
        return await answer(tablet, names)

    rig.tablets.global_status = global_status  # type: ignore[method-assign]


def needing(acks: int, view: ShardView) -> ShardView:
    """The same shard, whose primary waits for so many acknowledgements; 0 if it does not tell."""
    old = view.tablet(alias(PRIMARY))
    assert old is not None
    assert old.status is not None
    semi_sync = replace(old.status.semi_sync, wait_for_replica_count=acks)
    waits = changed(old, status=replace(old.status, semi_sync=semi_sync))
    return replace(view, tablets=tuple(waits if each is old else each for each in view.tablets))


def changes(rig: Rig) -> list[str]:
    """Return the calls that change something, in order."""
    return [call for call in rig.calls if call != ASKED]


def test_a_replica_is_disconnected_once_no_commit_waits_any_more() -> None:
    """It is another one than the new primary, and it stays stopped, because the promotion re-points it."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, ON, ON, OFF)
        assert await demote(rig, THREE) == END
        assert rig.calls[:ASK_AT_ONCE] == [ASKED] * ASK_AT_ONCE
        assert rig.calls.count(ASKED) == ASK_AT_ONCE + 3
        assert changes(rig) == [f"demote_primary {PRIMARY} force=False", f"stop_io_thread {SECOND}"]
        assert 0.03 < rig.tablets.at[f"stop_io_thread {SECOND}"] - rig.tablets.at[f"demote_primary {PRIMARY}"] < 0.1
        await rig.session.roll_back()
        assert sorted(changes(rig)[2:]) == [
            f"start_replication {SECOND} semi_sync=True",
            f"undo_demote_primary {PRIMARY} semi_sync=True",
        ]

    in_session(main)


def test_the_new_primary_receives_again_if_it_is_the_one_that_is_disconnected() -> None:
    """It needs the last writes; a rollback does not start it a second time. The record names it in each step."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, OFF)
        assert await demote(rig, TWO) == END
        assert changes(rig) == [
            f"demote_primary {PRIMARY} force=False",
            f"stop_io_thread {FIRST}",
            f"start_replication {FIRST} semi_sync=True",
        ]
        assert rig.step("start replication").started >= rig.step("demote primary").duration
        assert rig.step("stop IO thread").target == rig.step("start replication").target == alias(FIRST)
        await rig.session.roll_back()
        assert changes(rig)[3:] == [f"undo_demote_primary {PRIMARY} semi_sync=True"]

    in_session(main)


def test_a_replica_that_no_commit_needs_is_disconnected_without_an_answer() -> None:
    """MySQL may answer nothing while it switches semi-sync off; the commits' acknowledgements come from the others."""

    async def main(rig: Rig) -> None:
        tell(rig, ON)
        silence(rig, after=ASK_AT_ONCE + 1)
        assert await demote(rig, THREE) == END
        assert changes(rig)[1:] == [f"stop_io_thread {SECOND}"]
        waited = rig.tablets.at[f"stop_io_thread {SECOND}"] - rig.tablets.at[f"demote_primary {PRIMARY}"]
        assert waited == pytest.approx(ASK_EVERY + SILENT_AFTER, abs=0.01)

    in_session(main)


@pytest.mark.parametrize("view", [TWO, needing(0, THREE), needing(2, THREE)], ids=["alone", "not told", "both"])
def test_a_replica_that_a_commit_may_need_is_left_alone_without_an_answer(view: ShardView) -> None:
    """The demotion may still wait for commits, and they for its acknowledgement."""

    async def main(rig: Rig) -> None:
        tell(rig, ON)
        silence(rig, after=ASK_AT_ONCE + 1)
        assert await demote(rig, view) == END
        assert changes(rig) == [f"demote_primary {PRIMARY} force=False"]

    in_session(main)


def test_a_stop_without_an_answer_holds_no_promotion_up() -> None:
    """MySQL may take two seconds to stop the IO thread whose connection it has closed at once."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, OFF, takes=0.2)
        rig.tablets.tell(f"stop_io_thread {SECOND}", takes=NEVER)
        assert await demote(rig, THREE) == END
        assert rig.session.elapsed() == pytest.approx(0.2, abs=0.05)
        assert rig.step("stop IO thread").result == "cancelled"

    in_session(main)


def test_a_stop_without_an_answer_ends_nothing() -> None:
    """It may have been carried out all the same, so the new primary is started again."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, OFF, takes=0.2)
        rig.tablets.tell(f"stop_io_thread {FIRST}", takes=NEVER)
        assert await demote(rig, TWO) == END
        assert changes(rig)[-1] == f"start_replication {FIRST} semi_sync=True"
        assert rig.step("stop IO thread").duration == pytest.approx(ASK_DEADLINE)

    in_session(main)


def test_a_demotion_that_fails_starts_the_replica_again() -> None:
    """The primary may go on with its writes, which need the replica's acknowledgements."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, OFF)
        rig.tablets.tell(f"demote_primary {PRIMARY}", unreachable(), takes=0.9)
        with pytest.raises(TabletUnreachable):
            await demote(rig, TWO)
        assert changes(rig)[1:] == [f"stop_io_thread {FIRST}"]
        await rig.session.roll_back()
        assert sorted(changes(rig)[2:]) == [
            f"start_replication {FIRST} semi_sync=True",
            f"undo_demote_primary {PRIMARY} semi_sync=True",
        ]

    in_session(main)


@pytest.mark.parametrize(
    ("silent", "result"), [(f"demote_primary {PRIMARY}", "cancelled"), (f"stop_io_thread {FIRST}", "done")]
)
def test_a_cancelled_demotion_starts_the_replica_again(silent: str, result: str) -> None:
    """The cancellation waits a while for the demotion, and the rollback puts back what the calls may have done."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, OFF)
        rig.tablets.tell(silent, takes=NEVER)
        demotion = asyncio.create_task(demote(rig, TWO))
        await asyncio.sleep(0.5)
        demotion.cancel()
        await asyncio.wait([demotion])
        assert demotion.cancelled()
        assert rig.step("demote primary").result == result
        await rig.session.roll_back()
        assert sorted(changes(rig)[2:]) == [
            f"start_replication {FIRST} semi_sync=True",
            f"undo_demote_primary {PRIMARY} semi_sync=True",
        ]

    in_session(main)


def test_a_demotion_that_is_cancelled_while_commits_wait_gets_no_longer_than_any_other() -> None:
    """The cancellation breaks it off after a second and a half, and no replica was disconnected by then."""

    async def main(rig: Rig) -> None:
        tell(rig, ON)
        rig.tablets.tell(f"demote_primary {PRIMARY}", takes=NEVER)
        demotion = asyncio.create_task(demote(rig, THREE))
        await asyncio.sleep(0.5)
        demotion.cancel()
        await asyncio.wait([demotion])
        assert demotion.cancelled()
        assert rig.session.elapsed() == pytest.approx(DEMOTION_PATIENCE)
        assert rig.step("demote primary").result == "cancelled"
        await rig.session.roll_back()
        assert changes(rig)[1:] == [f"undo_demote_primary {PRIMARY} semi_sync=True"]

    in_session(main)


def test_a_new_primary_that_cannot_be_started_again_ends_the_reparent() -> None:
    """It would never receive the last writes, and all clients would wait for it."""

    async def main(rig: Rig) -> None:
        tell(rig, *BEFORE, OFF)
        rig.tablets.tell(f"start_replication {FIRST}", unreachable())
        with pytest.raises(TabletUnreachable):
            await demote(rig, TWO)
        rig.tablets.tell(f"start_replication {FIRST}", None)
        await rig.session.roll_back()
        assert sorted(changes(rig)[-2:]) == [
            f"start_replication {FIRST} semi_sync=True",
            f"undo_demote_primary {PRIMARY} semi_sync=True",
        ]

    in_session(main)


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [
        ((ON,), ASK_AT_ONCE + 1),
        ((OFF,), ASK_AT_ONCE),
        ((*BEFORE[1:], OFF), ASK_AT_ONCE),
        ((TabletCallUnknown("unimplemented"),), ASK_AT_ONCE),
        (({},), ASK_AT_ONCE),
        ((*BEFORE, unreachable()), ASK_AT_ONCE + 1),
        ((*BEFORE, {}), ASK_AT_ONCE + 1),
    ],
    ids=["done at once", "off before", "off amid", "unknown call", "no plugins", "no answer", "not told"],
)
def test_no_replica_is_disconnected_without_need_or_proof(statuses: tuple[object, ...], asked: int) -> None:
    """A demotion that is quick, or a primary that does not tell of semi-sync, leaves all replicas alone."""

    async def main(rig: Rig) -> None:
        tell(rig, *statuses, takes=0.0 if statuses == (ON,) else 0.9)
        assert await demote(rig, THREE) == END
        assert changes(rig) == [f"demote_primary {PRIMARY} force=False"]
        assert rig.calls.count(ASKED) == asked

    in_session(main)


def test_a_primary_that_does_not_answer_about_semi_sync_is_not_waited_for() -> None:
    """The question has a deadline of its own, and the demotion goes on as if nobody had asked."""

    async def main(rig: Rig) -> None:
        tell(rig, ON)
        rig.tablets.tell(ASKED, takes=NEVER)
        assert await demote(rig, THREE) == END
        assert rig.tablets.at[f"demote_primary {PRIMARY}"] - rig.tablets.at[ASKED] == pytest.approx(ASK_DEADLINE)
        assert changes(rig) == [f"demote_primary {PRIMARY} force=False"]

    in_session(main)


def test_no_question_is_under_way_once_the_demotion_has_ended() -> None:
    """The promotion that follows finds the old primary left alone."""
    under_way: list[int] = [0]

    async def main(rig: Rig) -> None:
        tell(rig, ON, takes=0.5)
        answer = rig.tablets.global_status

        async def global_status(tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
            under_way[0] += 1
            try:
                if rig.calls.count(ASKED) > ASK_AT_ONCE:
                    await forever()
                return await answer(tablet, names)
            finally:
                await asyncio.sleep(0.1)
                under_way[0] -= 1

        rig.tablets.global_status = global_status  # type: ignore[method-assign]
        assert await demote(rig, TWO) == END
        assert rig.calls.count(ASKED) > ASK_AT_ONCE
        assert under_way == [0]

    in_session(main)


def test_plugins_of_old_servers_tell_under_their_old_name() -> None:
    """MySQL before 8.0.26 calls the source "master"."""

    async def main(rig: Rig) -> None:
        tell(rig, *({"Rpl_semi_sync_master_status": value} for value in (*["ON"] * ASK_AT_ONCE, "OFF")))
        assert await demote(rig, THREE) == END
        assert changes(rig)[1:] == [f"stop_io_thread {SECOND}"]

    in_session(main)


def quiet(tablet: TabletView) -> TabletView:
    """The same tablet with semi-sync that is switched on and not at work."""
    status = tablet.status
    assert status is not None
    passive = replace(status.semi_sync, primary_active=False, replica_active=False)
    return changed(tablet, status=replace(status, semi_sync=passive))


@pytest.mark.parametrize(
    ("view", "acker"),
    [
        (THREE, SECOND),
        (TWO, FIRST),
        (shard(primary(), replica(SECOND), replica("zone1-103")), SECOND),
        (shard(quiet(primary()), replica(FIRST), replica(SECOND)), None),
        (shard(failing(primary()), replica(FIRST), replica(SECOND)), None),
        (shard(primary(), replica(FIRST), quiet(replica(SECOND))), FIRST),
        (shard(primary(), replica(FIRST), failing(replica(SECOND))), FIRST),
        (shard(primary(), replica(FIRST), replica(SECOND, io=STOPPED)), FIRST),
        (shard(primary(), replica(FIRST), replica(SECOND, of=FIRST)), FIRST),
        (shard(primary(), replica(FIRST), replica(SECOND, of=None)), FIRST),
        (shard(primary(), replica(FIRST), replica(SECOND, TabletType.SPARE)), FIRST),
        (shard(primary(), replica(FIRST), replica(SECOND, TabletType.RDONLY)), SECOND),
        (shard(primary(), quiet(replica(FIRST))), None),
        (shard(primary(), replica(FIRST), changed(replica(SECOND), own_missing=gtids("102:1"))), FIRST),
    ],
    ids=[
        "other than the winner",
        "the winner alone",
        "by name",
        "passive primary",
        "silent primary",
        "passive",
        "silent",
        "stopped",
        "of another",
        "no source",
        "spare",
        "rdonly",
        "no acker",
        "went back in time",
    ],
)
def test_only_a_replica_that_acknowledges_can_be_disconnected(view: ShardView, acker: str | None) -> None:
    """It acknowledges the primary now, and is one that the promotion re-points or the new primary itself."""
    old = view.tablet(alias(PRIMARY))
    assert old is not None
    found = acker_to_disconnect(view, old, alias(FIRST))
    assert (str(found.tablet.alias) if found is not None else None) == acker
