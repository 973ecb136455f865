"""The calls that stop the tablets of a shard, and those of a rollback."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, answers, changed, failing, gtids, primary, replica, shard, stopped, uuid
from tests.unit.recovery.fakes import NEVER, WALL, Rig, in_session, unreachable
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import TabletView
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown
from vtorc.recovery.session import DEMOTION_PATIENCE
from vtorc.recovery.stop import (
    CONFIRM_DEADLINE,
    TabletStopper,
    as_if_stopped_now,
    is_still_stopped,
    read_clock,
    still_stopped,
)
from vtorc.sim.engine.loop import forever
from vtorc.tablet.api import StoppedReplication

PRIMARY, FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (100, 101, 102))
STOPPED, CONNECTING, RUNNING = ThreadState.STOPPED, ThreadState.CONNECTING, ThreadState.RUNNING


def threads(executed: str = "100:1-50", received: str = "100:1-60", **changes: object) -> ReplicationStatus:
    """The threads of a replica after its IO thread was stopped."""
    status = ReplicationStatus(
        source_host=f"mysql-{P}",
        source_port=3306,
        source_uuid=uuid(P),
        io_state=STOPPED,
        sql_state=RUNNING,
        executed=gtids(executed),
        received=gtids(received),
    )
    return replace(status, **changes)  # type: ignore[arg-type]


def answer(after: ReplicationStatus | None = None, **before: object) -> StoppedReplication:
    """The answer to the stop of a replica that was receiving."""
    now = after or threads()
    return StoppedReplication(before=replace(now, io_state=RUNNING, **before), after=now)  # type: ignore[arg-type]


def tell_stop(rig: Rig, name: str, *replies: object, takes: float = 0.0) -> None:
    """Let a tablet answer its stop like this; its clock shows WALL."""
    rig.tablets.tell(f"stop_replication_and_get_status {name}", *(replies or (answer(),)), takes=takes)
    rig.tablets.tell(f"wall_clock {name}", WALL)


async def stop(
    rig: Rig,
    *tablets: TabletView,
    of: TabletView | None = None,
    durability: str = "semi_sync",
    enough: int | None = None,
) -> Mapping[TabletAlias, StoppedTablet]:
    """Stop these tablets; so many of them are enough, None for never."""
    stopper = TabletStopper(
        rig.session,
        policy(durability),
        primary=of if of is not None else primary(),
        is_enough=lambda found: enough is not None and len(found) >= enough,
    )
    await stopper.run({each.alias: each for each in tablets})
    return stopper.stopped


async def rolled_back(rig: Rig) -> list[str]:
    """Roll back, and return the calls of that."""
    before = len(rig.calls)
    await rig.session.roll_back()
    return rig.calls[before:]


def test_all_that_a_stopped_replica_holds_is_read() -> None:
    """Its IO thread is stopped, and its position, server, source and clock are what it said after that."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, answer(threads(executed="100:1-55", received="100:1-60", backup_running=True)))
        found = await stop(rig, replica(FIRST))
        assert found == {
            alias(FIRST): StoppedTablet(
                member=replica(FIRST).member,
                server_uuid=uuid(FIRST),
                executed=gtids("100:1-55"),
                received=gtids("100:1-60"),
                source_uuid=uuid(P),
                backup_running=True,
                clock=WALL,
            )
        }
        assert sorted(rig.calls) == [f"stop_replication_and_get_status {FIRST} mode=IO_ONLY", f"wall_clock {FIRST}"]
        assert sorted(rig.steps) == [f"read clock {FIRST}", f"stop replication {FIRST}"]

    in_session(main)


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (threads(sql_state=STOPPED, last_sql_error="row missing"), "row missing"),
        (threads(sql_state=STOPPED), "its SQL thread is stopped"),
        (threads(sql_state=STOPPED, received="100:1-50"), ""),
        (threads(last_sql_error="of yesterday"), ""),
    ],
    ids=["error", "stopped", "nothing to apply", "runs"],
)
def test_a_relay_log_that_does_not_get_applied_is_noticed(after: ReplicationStatus, why: str) -> None:
    """A stopped SQL thread matters only while the relay log holds something."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, answer(after))
        found = await stop(rig, replica(FIRST))
        assert found[alias(FIRST)].applier_stopped == why

    in_session(main)


@pytest.mark.parametrize(("before", "stood"), [(STOPPED, True), (RUNNING, False)])
def test_a_replica_stood_if_its_sql_thread_was_stopped_before(before: ThreadState, stood: bool) -> None:
    """What became of the thread since tells nothing of what an operator did."""

    async def main(rig: Rig) -> None:
        now = threads(sql_state=RUNNING if stood else STOPPED, received="100:1-50")
        tell_stop(rig, FIRST, answer(now, sql_state=before))
        found = await stop(rig, replica(FIRST))
        assert found[alias(FIRST)].was_standing is stood

    in_session(main)


@pytest.mark.parametrize("semi_sync", [True, False])
def test_a_rollback_starts_a_replica_as_it_was(semi_sync: bool) -> None:
    """It acknowledges again if it did, also under a policy that would not ask for that."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        await stop(rig, replica(FIRST, semi_sync=semi_sync), durability="none" if semi_sync else "semi_sync")
        assert await rolled_back(rig) == [f"start_replication {FIRST} semi_sync={semi_sync}"]
        assert rig.steps[-1] == f"undo: stop replication {FIRST}"

    in_session(main)


def test_a_stop_without_an_answer_is_rolled_back_too() -> None:
    """The thread may have been stopped all the same."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, unreachable())
        assert await stop(rig, replica(FIRST)) == {}
        assert await rolled_back(rig) == [f"start_replication {FIRST} semi_sync=True"]

    in_session(main)


@pytest.mark.parametrize(
    "before",
    [replica(FIRST, io=STOPPED), replica(FIRST, of=None)],
    ids=["stopped", "no source"],
)
def test_a_rollback_does_not_start_what_did_not_run(before: TabletView) -> None:
    """A replica with a stopped IO thread is left as it was found."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        await stop(rig, before)
        assert await rolled_back(rig) == []

    in_session(main)


@pytest.mark.parametrize(
    ("of", "durability", "acker"),
    [(primary(), "semi_sync", True), (primary(), "none", False), (primary("zone2-200"), "semi_sync", True)],
)
def test_the_policy_tells_whether_a_replica_with_a_stalled_disk_acknowledged(
    of: TabletView, durability: str, acker: bool
) -> None:
    """Its status before holds only defaults; that it received is told by the answer to the stop."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        stalled = changed(replica(FIRST), status=TabletStatus(disk_stalled=True))
        await stop(rig, stalled, of=of, durability=durability)
        assert await rolled_back(rig) == [f"start_replication {FIRST} semi_sync={acker}"]

    in_session(main)


def test_a_replica_with_a_stalled_disk_that_did_not_receive_stays_stopped() -> None:
    """The answer to the stop says that its IO thread was not healthy before."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, StoppedReplication(before=threads(), after=threads()))
        await stop(rig, changed(replica(FIRST), status=TabletStatus(disk_stalled=True)))
        assert await rolled_back(rig) == []

    in_session(main)


def test_an_answer_with_a_running_thread_before_says_nothing_new_about_a_sound_tablet() -> None:
    """Only a stalled disk makes the answer to the stop count: a sound tablet was asked before."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        await stop(rig, replica(FIRST, io=STOPPED))
        assert await rolled_back(rig) == []

    in_session(main)


def test_an_io_thread_that_only_connects_is_stopped_as_well() -> None:
    """The tablet manager leaves it alone; it would connect and acknowledge later."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, answer(threads(io_state=CONNECTING), last_io_error="refused"))
        rig.tablets.tell(f"replication_status {FIRST}", threads(executed="100:1-61", received="100:1-62"))
        found = await stop(rig, replica(FIRST, io=STOPPED))
        assert found[alias(FIRST)].executed == gtids("100:1-61")
        assert found[alias(FIRST)].received == gtids("100:1-62")
        assert [s for s in rig.steps if "clock" not in s] == [
            f"stop replication {FIRST}",
            f"stop IO thread {FIRST}",
            f"read position {FIRST}",
        ]
        assert await rolled_back(rig) == [f"start_replication {FIRST} semi_sync=True"]

    in_session(main)


def test_an_io_thread_that_was_seen_to_connect_in_vain_is_stopped_first() -> None:
    """The answer to the stop then has all that the replica holds, without another question."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, answer(threads(executed="100:1-61", received="100:1-62")))
        found = await stop(rig, replica(FIRST, io=CONNECTING, io_error="refused"))
        assert found[alias(FIRST)].received == gtids("100:1-62")
        assert [s for s in rig.steps if "clock" not in s] == [f"stop IO thread {FIRST}", f"stop replication {FIRST}"]
        assert await rolled_back(rig) == [f"start_replication {FIRST} semi_sync=True"]

    in_session(main)


def test_a_replica_that_tells_nothing_after_that_keeps_its_first_answer() -> None:
    """Without a source the later status says nothing about what it holds."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, answer(threads(io_state=CONNECTING)))
        rig.tablets.tell(f"replication_status {FIRST}", None)
        found = await stop(rig, replica(FIRST))
        assert found[alias(FIRST)].received == gtids("100:1-60")

    in_session(main)


# Tablets without a source


def demoted(rig: Rig, name: str = PRIMARY) -> None:
    """Let a tablet without a source be demoted."""
    tell_stop(rig, name, None)
    rig.tablets.tell(f"demote_primary {name}", gtids("100:1-70"))


def test_a_tablet_without_a_source_is_demoted() -> None:
    """It may be taking writes, so it is made read-only by force; it holds what it says then."""

    async def main(rig: Rig) -> None:
        demoted(rig)
        found = await stop(rig, primary())
        assert found[alias(PRIMARY)] == StoppedTablet(
            member=primary().member,
            server_uuid=uuid(PRIMARY),
            executed=gtids("100:1-70"),
            received=gtids("100:1-70"),
            was_primary=True,
            clock=WALL,
        )
        assert f"demote_primary {PRIMARY} force=True" in rig.calls
        assert rig.step("demote primary").target == alias(PRIMARY)

    in_session(main)


@pytest.mark.parametrize("semi_sync", [True, False])
def test_a_rollback_makes_the_primary_writable_again_as_it_was(semi_sync: bool) -> None:
    """It waits for acknowledgements again if it did, whatever the policy asks for."""

    async def main(rig: Rig) -> None:
        demoted(rig)
        found = primary(semi_sync=semi_sync)
        await stop(rig, found, of=found, durability="none" if semi_sync else "semi_sync")
        assert await rolled_back(rig) == [f"undo_demote_primary {PRIMARY} semi_sync={semi_sync}"]

    in_session(main)


def test_a_replica_that_takes_writes_is_demoted_after_its_replication_has_stopped() -> None:
    """It holds what it says once it is read-only."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        rig.tablets.tell(f"demote_primary {FIRST}", gtids("100:1-61"))
        rig.tablets.tell(f"replication_status {FIRST}", threads("100:1-60", "100:1-62"))
        found = await stop(rig, replica(FIRST, read_only=False), of=primary())
        assert found[alias(FIRST)].received == gtids("100:1-62")
        assert f"demote_primary {FIRST} force=True" in rig.calls
        assert rig.step("read position").target == alias(FIRST)

    in_session(main)


def stalled_after(tablet: TabletView) -> TabletView:
    """The tablet, which now tells of a stalled disk alone."""
    return changed(tablet, before_stall=tablet.status, status=TabletStatus(disk_stalled=True))


@pytest.mark.parametrize("semi_sync", [True, False])
def test_what_was_told_before_the_disk_stalled_tells_how_the_primary_was(semi_sync: bool) -> None:
    """It is made writable again as it was, and is the server that it was."""

    async def main(rig: Rig) -> None:
        demoted(rig)
        stalled = stalled_after(primary(semi_sync=semi_sync))
        found = await stop(rig, stalled, of=stalled, durability="none" if semi_sync else "semi_sync")
        assert found[alias(PRIMARY)].server_uuid == uuid(PRIMARY)
        assert await rolled_back(rig) == [f"undo_demote_primary {PRIMARY} semi_sync={semi_sync}"]

    in_session(main)


def test_a_primary_that_told_of_a_stalled_disk_alone_stays_read_only() -> None:
    """Its answer holds only defaults: it may have been read-only before, as it went back in time."""

    async def main(rig: Rig) -> None:
        demoted(rig)
        stalled = changed(primary(), status=TabletStatus(disk_stalled=True, semi_sync=SemiSyncStatus()))
        await stop(rig, stalled, of=stalled)
        assert await rolled_back(rig) == []

    in_session(main)


@pytest.mark.parametrize(
    ("tablet", "of"),
    [
        (primary(read_only=True), primary()),
        (primary("zone1-101"), primary()),
        (replica(FIRST, of=None), primary()),
        (stalled_after(primary(read_only=True)), stalled_after(primary(read_only=True))),
    ],
    ids=["read-only before", "another tablet is primary", "replica without a source", "read-only before it stalled"],
)
def test_what_was_not_the_writable_primary_stays_read_only(tablet: TabletView, of: TabletView) -> None:
    """A rollback makes no other tablet writable than the primary that was (storm seed 436)."""

    async def main(rig: Rig) -> None:
        demoted(rig, str(tablet.alias))
        await stop(rig, tablet, of=of)
        assert [call for call in await rolled_back(rig) if "undo_demote" in call] == []

    in_session(main)


def test_a_demotion_without_an_answer_is_rolled_back_too() -> None:
    """The primary may be read-only all the same."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, PRIMARY, None)
        assert await stop(rig, primary()) == {}
        assert await rolled_back(rig) == [f"undo_demote_primary {PRIMARY} semi_sync=True"]

    in_session(main)


# Errors and times


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TabletCallFailed("syntax error"), "syntax error"),
        (TabletCallUnknown("unimplemented"), "unimplemented"),
        (TabletBadAnswer("no GTID set"), "no GTID set"),
        (unreachable(), None),
    ],
)
def test_only_a_tablet_that_was_reached_has_an_error_to_tell(error: Exception, told: str | None) -> None:
    """A tablet that answers its stop with an error was reached; one that is silent has nothing to tell."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, error)
        assert await stop(rig, replica(FIRST)) == {}
        assert rig.session.stop_errors == ({alias(FIRST): told} if told else {})

    in_session(main)


def test_a_tablet_that_does_not_stop_is_given_up_at_the_deadline() -> None:
    """The others count, its call is cancelled, and the cancelled step is in the record when the stop returns."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        tell_stop(rig, SECOND, takes=NEVER)
        assert (await stop(rig, replica(FIRST), replica(SECOND))).keys() == {alias(FIRST)}
        assert rig.session.elapsed() == pytest.approx(rig.deadlines.stop)
        assert f"stop replication {SECOND} !" in rig.steps
        assert len(asyncio.all_tasks()) == 1

    in_session(main)


@pytest.mark.parametrize(("takes", "found", "elapsed"), [(0.4, 2, 0.4), (0.6, 1, 0.5)])
def test_once_enough_have_stopped_the_others_get_a_grace(takes: float, found: int, elapsed: float) -> None:
    """A tablet that stops within the grace still counts."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        tell_stop(rig, SECOND, takes=takes)
        assert len(await stop(rig, replica(FIRST), replica(SECOND), enough=1)) == found
        assert rig.session.elapsed() == pytest.approx(elapsed)

    in_session(main)


@pytest.mark.parametrize(("takes", "found", "elapsed"), [(1.4, 2, 1.4), (1.6, 1, DEMOTION_PATIENCE)])
def test_a_demotion_that_was_begun_is_waited_for(takes: float, found: int, elapsed: float) -> None:
    """A primary that is being demoted by force may commit without acknowledgements until it answers."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        tell_stop(rig, PRIMARY, None)
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-70"), takes=takes)
        assert len(await stop(rig, primary(), replica(FIRST), enough=1)) == found
        assert rig.session.elapsed() == pytest.approx(elapsed)

    in_session(main)


def test_the_grace_of_a_demotion_ends_with_it() -> None:
    """A primary that was demoted takes no writes any more, so a replica that is silent gets the ordinary grace."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, PRIMARY, None)
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-70"), takes=0.2)
        tell_stop(rig, FIRST, takes=0.3)
        tell_stop(rig, SECOND, takes=NEVER)
        assert len(await stop(rig, primary(), replica(FIRST), replica(SECOND), enough=2)) == 2
        assert rig.session.elapsed() == pytest.approx(0.3 + rig.deadlines.grace)

    in_session(main)


def test_no_question_is_under_way_once_all_have_stopped() -> None:
    """The clock of a tablet that does not stop is not waited for, and its question has ended."""
    under_way: list[TabletRecord] = []

    async def slow_to_end(tablet: TabletRecord) -> int:
        under_way.append(tablet)
        try:
            await forever()
        finally:
            await asyncio.sleep(0.2)
            under_way.remove(tablet)
        raise AssertionError

    async def main(rig: Rig) -> None:
        rig.tablets.wall_clock = slow_to_end  # type: ignore[method-assign]
        rig.tablets.tell(f"stop_replication_and_get_status {FIRST}", unreachable(), takes=0.1)
        assert await stop(rig, replica(FIRST)) == {}
        assert rig.session.elapsed() == pytest.approx(0.3)
        assert under_way == []

    in_session(main)


@pytest.mark.parametrize(
    ("takes", "cancelled_at", "elapsed", "result"),
    [(1.0, 0.1, 1.0, "done"), (2.0, 0.1, DEMOTION_PATIENCE, "cancelled"), (NEVER, 1.8, 1.8, "cancelled")],
    ids=["ends", "takes longer", "took longer"],
)
def test_a_demotion_that_is_cancelled_may_end(takes: float, cancelled_at: float, elapsed: float, result: str) -> None:
    """It is waited for until so long after its begin: a tablet that is broken off while MySQL still switches semi-sync
    off takes writes again.
    """

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-70"), takes=takes)
        demoting = asyncio.create_task(rig.session.demote(primary().record, force=False), name="demoting")
        await asyncio.sleep(cancelled_at)
        demoting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await demoting
        assert rig.session.elapsed() == pytest.approx(elapsed)
        assert rig.step("demote primary").result == result
        assert len(asyncio.all_tasks()) == 1

    in_session(main)


def test_a_demotion_that_fails_while_its_cancellation_waits_is_cancelled_all_the_same() -> None:
    """The error of the tablet does not hide that vtorc stops, or that an operator cancelled the recovery."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"demote_primary {PRIMARY}", unreachable("no route"), takes=1.0)
        demoting = asyncio.create_task(rig.session.demote(primary().record, force=False), name="demoting")
        await asyncio.sleep(0.1)
        demoting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await demoting
        assert rig.step("demote primary").result == "no route"

    in_session(main)


def test_a_demotion_that_is_broken_off_has_ended_before_anything_is_put_back() -> None:
    """A rollback that overtakes the call would make a primary writable that is demoted right after."""
    events: list[str] = []

    async def slow_to_end(tablet: TabletRecord, *, force: bool) -> GtidSet:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.2)
            events.append("the call has ended")
        raise AssertionError

    async def main(rig: Rig) -> None:
        rig.tablets.demote_primary = slow_to_end  # type: ignore[method-assign]
        demoting = asyncio.create_task(rig.session.demote(primary().record, force=False), name="demoting")
        await asyncio.sleep(0.1)
        demoting.cancel()
        await asyncio.wait([demoting])
        events.append("the cancellation goes on")
        assert events == ["the call has ended", "the cancellation goes on"]

    in_session(main)


def test_while_too_few_have_stopped_the_others_are_waited_for() -> None:
    """The grace begins with the tablet that makes them enough."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        tell_stop(rig, SECOND, takes=2.0)
        tell_stop(rig, PRIMARY, takes=NEVER)
        assert len(await stop(rig, primary(), replica(FIRST), replica(SECOND), enough=2)) == 2
        assert rig.session.elapsed() == pytest.approx(2.5)

    in_session(main)


def test_a_clock_that_is_not_told_is_unknown_and_holds_up_nothing_for_long() -> None:
    """A tablet counts as stopped with an unknown clock, at most a second later."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST)
        rig.tablets.tell(f"wall_clock {FIRST}", takes=NEVER)
        found = await stop(rig, replica(FIRST))
        assert found[alias(FIRST)].clock is None
        assert rig.session.elapsed() == pytest.approx(1.0)

    in_session(main)


def test_the_question_for_a_clock_ends_with_the_stop() -> None:
    """A tablet that cannot be stopped is not asked for its clock any longer."""

    async def main(rig: Rig) -> None:
        tell_stop(rig, FIRST, unreachable(), takes=0.5)
        rig.tablets.tell(f"wall_clock {FIRST}", takes=NEVER)
        await stop(rig, replica(FIRST))
        assert rig.session.elapsed() == pytest.approx(0.5)
        assert f"read clock {FIRST} !" in rig.steps
        assert await read_clock(rig.session, replica(SECOND).record) is None

    in_session(main)


# Whether they stayed stopped

HELD = stopped(FIRST, "100:1-60", executed="100:1-50")


@pytest.mark.parametrize(
    ("now", "fetch_source", "is_stopped"),
    [
        (threads(), None, True),
        (threads(executed="100:1-60"), None, True),
        (threads(received="100:1-61"), None, False),
        (threads(received="100:1-59"), None, False),
        (threads(io_state=RUNNING), None, False),
        (threads(io_state=CONNECTING), None, False),
        (None, None, False),
        (unreachable(), None, False),
        (threads(io_state=RUNNING), uuid(P), True),
        (threads(received="100:1-99", io_state=RUNNING), uuid(P), True),
        (threads(received="100:1-59", io_state=RUNNING), uuid(P), False),
        (threads(io_state=RUNNING), uuid(SECOND), False),
        (threads(received="100:1-59"), uuid(SECOND), False),
        (unreachable(), uuid(P), False),
    ],
    ids=[
        "stopped",
        "has applied",
        "has received more",
        "has lost some",
        "receives",
        "connects",
        "no source",
        "silent",
        "fetches",
        "has fetched",
        "fetches and has lost some",
        "receives from another",
        "lost and from another",
        "silent fetcher",
    ],
)
def test_a_replica_is_still_stopped_if_it_holds_what_it_held(
    now: object, fetch_source: str | None, is_stopped: bool
) -> None:
    """It receives nothing, or only from the server that it was let fetch from."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"replication_status {FIRST}", now)
        record = replica(FIRST).record
        assert await is_still_stopped(rig.session, record, HELD, fetch_source=fetch_source) is is_stopped
        assert rig.step("check that it is still stopped").target == alias(FIRST)

    in_session(main)


@pytest.mark.parametrize(
    ("now", "is_stopped"),
    [
        (TabletStatus(read_only=True, executed=gtids("100:1-70")), True),
        (TabletStatus(read_only=False, executed=gtids("100:1-70")), False),
        (TabletStatus(read_only=True, executed=gtids("100:1-71")), False),
        (unreachable(), False),
    ],
    ids=["read-only", "writable", "has more", "silent"],
)
def test_a_demoted_tablet_is_still_stopped_if_it_took_no_writes(now: object, is_stopped: bool) -> None:
    """It is read-only, and has executed what it had."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {PRIMARY}", now)
        held = stopped(PRIMARY, "100:1-70", was_primary=True)
        assert await is_still_stopped(rig.session, primary().record, held) is is_stopped
        assert rig.step("check that it is still stopped").target == alias(PRIMARY)

    in_session(main)


@pytest.mark.parametrize("was_primary", [True, False])
def test_the_question_whether_it_is_still_stopped_takes_no_longer_than_a_second(was_primary: bool) -> None:
    """A tablet that hangs counts as not stopped."""

    async def main(rig: Rig) -> None:
        for call in ("full_status", "replication_status"):
            rig.tablets.tell(f"{call} {FIRST}", takes=NEVER)
        held = replace(HELD, was_primary=was_primary)
        assert not await is_still_stopped(rig.session, replica(FIRST).record, held)
        assert rig.session.elapsed() == pytest.approx(CONFIRM_DEADLINE)

    in_session(main)


def test_all_are_asked_at_once_and_those_that_are_stopped_remain() -> None:
    """Each tablet is asked about what it holds, and one that was let fetch about the server it fetches from."""

    async def main(rig: Rig) -> None:
        view = shard(primary(dead_for=3.0), replica(FIRST), replica(SECOND), replica("zone1-103"))
        held = {alias(name): stopped(name, "100:1-60", executed="100:1-50") for name in (FIRST, SECOND, "zone1-103")}
        rig.tablets.tell(f"replication_status {FIRST}", threads(io_state=RUNNING, source_uuid=uuid(103)), takes=0.5)
        rig.tablets.tell(f"replication_status {SECOND}", threads(io_state=RUNNING), takes=0.5)
        rig.tablets.tell(f"replication_status {alias('zone1-103')}", threads(), takes=0.5)
        found = await still_stopped(
            rig.session,
            {t.alias: t.record for t in view.tablets},
            held,
            fetch_sources={alias(FIRST): uuid(103)},
        )
        assert found == {each: held[each] for each in (alias(FIRST), alias("zone1-103"))}
        assert rig.session.elapsed() == pytest.approx(0.5)

    in_session(main)


def delayed(seconds: int, *, source_uuid: str = "") -> TabletView:
    """A replica that is being backed up, and applies each transaction so many seconds late."""
    tablet = replica(FIRST, executed="100:1-40", received="100:41-50")
    assert tablet.status is not None
    assert tablet.status.replication is not None
    late = replace(tablet.status.replication, sql_delay=seconds, backup_running=True, source_uuid=source_uuid)
    return answers(tablet, replication=late)


def test_a_plan_foresees_what_a_stop_would_find() -> None:
    """The last answer tells all of it but the wall clock; a tablet that does not answer would not be stopped."""
    late = as_if_stopped_now(delayed(60, source_uuid=uuid(P)), catch_up=10.0)
    assert late is not None
    assert late.applier_stopped.startswith("applies each transaction 60 s late on purpose")
    assert replace(late, applier_stopped="") == stopped(FIRST, "100:1-50", executed="100:1-40", backup_running=True)
    in_time = as_if_stopped_now(delayed(60), catch_up=60.0)
    assert in_time is not None
    assert (in_time.applier_stopped, in_time.source_uuid) == ("", "")
    assert as_if_stopped_now(primary(), catch_up=10.0) == stopped(
        P, "100:1-50", type_=TabletType.PRIMARY, source=None, was_primary=True
    )
    standing = as_if_stopped_now(replica(FIRST, sql=STOPPED), catch_up=10.0)
    assert standing == stopped(FIRST, "100:1-50", was_standing=True)
    assert as_if_stopped_now(failing(replica(FIRST)), catch_up=10.0) is None
