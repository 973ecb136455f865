"""An emergency reparent call by call: which tablets it stops, what it asks again, and which replicas it re-points."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.core.builders import (
    P,
    alias,
    failing,
    gtids,
    primary,
    replica,
    shard,
    uuid,
)
from tests.unit.core.facts.test_rolled_back import REFUSED as MORE_THAN_ITS_SOURCE
from tests.unit.recovery.fakes import NEVER, WALL, Rig, in_session, unreachable
from tests.unit.recovery.test_stop_calls import answer, threads
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView
from vtorc.errors import LockLost, TabletCallFailed
from vtorc.recovery.emergency import EmergencyReparent
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.session import Bounds

PRIMARY, FIRST, SECOND, THIRD = (str(alias(f"zone1-{number}")) for number in (100, 101, 102, 103))
FAR = str(alias("zone2-200"))
DEAD = primary(dead_for=3.0)
STOPPED, RUNNING = ThreadState.STOPPED, ThreadState.RUNNING


def tell(
    rig: Rig, name: str, *, executed: str | None = None, received: str = "100:1-60", takes: float | None = None
) -> None:
    """Let a replica hold this much when it is stopped, and for good; it applies its relay log in so many seconds.

    It has applied all that it received, unless it takes time for that or `executed` says otherwise.
    """
    if executed is None:
        executed = received if takes is None else "100:1-50"
    rig.tablets.tell(f"stop_replication_and_get_status {name}", answer(threads(executed, received)))
    rig.tablets.tell(f"replication_status {name}", threads(executed, received))
    rig.tablets.tell(f"wall_clock {name}", WALL)
    rig.tablets.tell(f"wait_for_position {name}", takes=takes or 0.0)


async def reparent(rig: Rig, view: ShardView, durability: str = "semi_sync") -> None:
    """Replace the primary."""
    await EmergencyReparent(rig.session, view, policy(durability)).run()


BOTH = (FIRST, SECOND)
THREE = shard(DEAD, replica(FIRST), replica(SECOND))


def test_a_reparent_stops_promotes_repoints_and_proves() -> None:
    """All replicas that answer are stopped and apply their relay logs; the record has winner, argument and moments."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name, takes=0.1)
        await reparent(rig, THREE)
        assert rig.session.winner == alias(FIRST)
        stops, rest = rig.steps[1:5], [rig.steps[0], *rig.steps[5:]]
        assert sorted(stops) == [f"{name} {each}" for name in ("read clock", "stop replication") for each in BOTH]
        assert rest[:4] == [
            "check lock",
            f"apply relay log {FIRST}",
            f"apply relay log {SECOND}",
            "check lock",
        ]
        assert sorted(rest[4:]) == [
            f"apply before re-pointing {SECOND}",
            f"promote {FIRST}",
            f"replicate from {FIRST} {SECOND}",
            f"write reparent journal {FIRST}",
        ]
        assert list(rig.session.marks) == ["stopped", "elected", "promoted", "acknowledged"]
        assert rig.session.argument is not None
        assert rig.session.argument.required == gtids("100:1-60")
        assert "position=100:1-60" in next(call for call in rig.calls if "journal" in call)

    in_session(main)


def test_a_replica_that_has_applied_all_is_repointed_at_once() -> None:
    """Its answer to the stop says so: the first write of the new primary waits for no other question to it."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        await reparent(rig, THREE)
        assert rig.session.winner == alias(FIRST)
        assert f"replicate from {FIRST} {SECOND}" in rig.steps
        assert f"apply before re-pointing {SECOND}" not in rig.steps

    in_session(main)


def test_nothing_is_stopped_without_the_lock() -> None:
    """The lock is checked before the first stop."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", LockLost("gone"))
        with pytest.raises(LockLost):
            await reparent(rig, THREE)
        assert rig.calls == []

    in_session(main)


def test_nothing_is_promoted_without_the_lock() -> None:
    """It is checked again once the winner has applied everything; the stop is still there to be undone."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        rig.held.tell("check", None, LockLost("gone"))
        with pytest.raises(LockLost):
            await reparent(rig, THREE)
        assert not [call for call in rig.calls if call.startswith(("promote", "set_", "populate"))]
        before = len(rig.calls)
        await rig.session.roll_back()
        assert sorted(rig.calls[before:]) == [f"start_replication {each} semi_sync=True" for each in (FIRST, SECOND)]

    in_session(main)


def test_too_few_tablets_are_refused_before_anything_is_changed() -> None:
    """One of two replicas is silent and may have acknowledged: no tablet is called."""

    async def main(rig: Rig) -> None:
        view = shard(DEAD, replica(FIRST), failing(replica(SECOND)))
        with pytest.raises(RecoveryRefused):
            await reparent(rig, view)
        assert rig.calls == []
        assert rig.held.calls == []

    in_session(main)


def test_positions_of_before_refuse_nothing() -> None:
    """What the tablets hold is read once they are stopped: until then they may receive what they lacked."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        apart = shard(
            DEAD, replica(FIRST, executed="100:1-50,101:1"), replica(SECOND, executed="100:1-55", received="102:1-3")
        )
        await reparent(rig, apart)
        assert rig.session.winner is not None

    in_session(main)


@pytest.mark.parametrize(("takes", "asked"), [(0.25, False), (0.5, False), (0.75, True)])
def test_tablets_are_asked_again_only_if_they_had_time_to_start(takes: float, asked: bool) -> None:
    """Half a second after the stop began a tablet that restarted may be back."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name, takes=takes)
        await asyncio.sleep(2.0)  # the wait for the lock
        await reparent(rig, THREE)
        assert (f"replication_status {FIRST}" in rig.tablets.at) is asked
        assert (f"replication_status {SECOND}" in rig.tablets.at) is asked
        assert rig.steps.count("check lock") == 2  # before the stop, and before that look

    in_session(main, start=128.0)  # a power of two: sums of seconds are exact


def test_tablets_are_asked_again_after_a_slow_check_of_the_lock() -> None:
    """A topology server may take seconds for it, in which a tablet starts and acknowledges."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        rig.held.tell("check", None, takes=1.0)
        rig.tablets.tell(f"replication_status {SECOND}", threads("100:1-60", "100:1-61", io_state=RUNNING))
        with pytest.raises(RecoveryRefused):
            await reparent(rig, THREE)
        assert not [call for call in rig.calls if call.startswith(("promote", "set_", "populate"))]

    in_session(main)


@pytest.mark.parametrize("again", [threads("100:1-60", "100:1-61"), unreachable()], ids=["has received more", "silent"])
def test_no_tablet_wins_over_an_acker_that_did_not_stay_stopped(again: object) -> None:
    """Both replicas may have acknowledged: without one of them no election succeeds."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name, takes=1.0)
        rig.tablets.tell(f"replication_status {SECOND}", again)
        with pytest.raises(RecoveryRefused):
            await reparent(rig, THREE)
        assert not [call for call in rig.calls if call.startswith(("promote", "set_", "populate"))]

    in_session(main)


WITH_RDONLY = shard(DEAD, replica(FIRST), replica(SECOND), replica(THIRD, TabletType.RDONLY, semi_sync=False))


def test_a_tablet_that_did_not_stay_stopped_and_is_not_needed_is_not_repointed() -> None:
    """The election among the others chooses the same winner; the restarted tablet is left to ordinary repairs."""

    async def main(rig: Rig) -> None:
        for name in (FIRST, SECOND, THIRD):
            tell(rig, name, takes=1.0)
        rig.tablets.tell(f"replication_status {THIRD}", threads(io_state=RUNNING))
        await reparent(rig, WITH_RDONLY)
        assert rig.session.winner == alias(FIRST)
        assert f"set_replication_source {SECOND}" in rig.tablets.at
        assert f"set_replication_source {THIRD}" not in rig.tablets.at
        assert rig.session.argument is not None
        assert alias(THIRD) not in rig.session.argument.stopped
        assert rig.session.removed[alias(THIRD)] == "was not reached"

    in_session(main)


def test_a_winner_that_did_not_stay_stopped_is_not_promoted() -> None:
    """Under no policy the others elect another tablet: the reparent ends, and a new one begins with fresh facts."""

    async def main(rig: Rig) -> None:
        for name in (FIRST, SECOND, THIRD):
            tell(rig, name, takes=1.0)
        rig.tablets.tell(f"replication_status {FIRST}", threads(io_state=RUNNING))
        dead = primary(dead_for=3.0, semi_sync=False)
        others = [replica(each, semi_sync=False) for each in (FIRST, SECOND, THIRD)]
        with pytest.raises(RecoveryFailed, match=f"not promoting {FIRST}: {FIRST} did not stay stopped"):
            await reparent(rig, shard(dead, *others), "none")
        assert not [call for call in rig.calls if call.startswith(("promote", "set_", "populate"))]

    in_session(main)


# A winner that has to fetch


AHEAD = shard(DEAD, replica(FIRST), replica(SECOND), replica(THIRD, TabletType.RDONLY))


def ahead(rig: Rig, *, takes: float = 0.0) -> None:
    """Let an RDONLY tablet hold most, and apply the last of it; FIRST fetches from it."""
    tell(rig, FIRST, executed="100:1-60", received="100:1-60")
    tell(rig, SECOND, executed="100:1-50", received="100:1-50")
    tell(rig, THIRD, executed="100:1-65", received="100:1-70")
    rig.tablets.tell(f"set_replication_source {FIRST}", takes=takes)


FETCHING = threads("100:1-65", "100:1-70", io_state=RUNNING, source_uuid=uuid(THIRD))


@pytest.mark.parametrize(
    ("again", "promoted"),
    [
        (FETCHING, True),
        (replace(FETCHING, source_uuid=uuid(P)), False),
        (threads("100:1-60", "100:1-69", io_state=RUNNING, source_uuid=uuid(THIRD)), False),
        (unreachable(), False),
    ],
    ids=["fetched", "from another", "lost some", "silent"],
)
def test_a_winner_that_fetched_is_asked_whether_it_still_holds_it(again: object, promoted: bool) -> None:
    """Its IO thread runs, and must run from the tablet that it was let fetch from."""

    async def main(rig: Rig) -> None:
        ahead(rig, takes=1.0)
        rig.tablets.tell(f"replication_status {FIRST}", again)
        if promoted:
            await reparent(rig, AHEAD, "none")
            assert "position=100:1-70" in next(call for call in rig.calls if "journal" in call)
        else:
            with pytest.raises((RecoveryFailed, RecoveryRefused)):
                await reparent(rig, AHEAD, "none")
        assert (f"promote_replica {FIRST}" in rig.tablets.at) is promoted

    in_session(main)


def test_a_winner_that_fetched_at_once_is_promoted_at_the_position_it_fetched() -> None:
    """The source applies its relay log first, then the winner fetches all of it without acknowledging."""

    async def main(rig: Rig) -> None:
        ahead(rig)
        await reparent(rig, AHEAD, "none")
        fetch = f"set_replication_source {FIRST} source={THIRD} semi_sync=False force_start=True wait=100:1-70"
        assert rig.calls.index(f"wait_for_position {THIRD} position=100:1-70") < rig.calls.index(fetch)
        assert rig.steps.count("check lock") == 3
        assert f"promote_replica {FIRST}" in rig.tablets.at
        assert f"set_replication_source {SECOND}" in rig.tablets.at
        assert f"set_replication_source {THIRD}" in rig.tablets.at

    in_session(main)


def test_an_election_that_is_held_again_asks_for_no_more_than_the_winner_has() -> None:
    """The old primary's unacknowledged tail could not be fetched: it is not required either when a replica restarted.

    Otherwise the old primary would be re-pointed, and its tail dropped with nothing said about it.
    """

    async def main(rig: Rig) -> None:
        for name in (FIRST, SECOND, THIRD):
            tell(rig, name, takes=1.0)
        rig.tablets.tell(f"stop_replication_and_get_status {PRIMARY}", None)
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-70"))
        rig.tablets.tell(f"wall_clock {PRIMARY}", WALL)
        rig.tablets.tell(f"full_status {PRIMARY}", TabletStatus(read_only=True, executed=gtids("100:1-70")))
        for name in BOTH:
            rig.tablets.tell(f"set_replication_source {name}", TabletCallFailed("cannot connect"), None)
        rig.tablets.tell(f"replication_status {THIRD}", threads(io_state=RUNNING))
        rdonly = replica(THIRD, TabletType.RDONLY, semi_sync=False)
        await reparent(rig, shard(primary(), replica(FIRST), replica(SECOND), rdonly))
        assert rig.session.winner == alias(FIRST)
        assert rig.session.argument is not None
        assert rig.session.argument.required == gtids("100:1-60")
        assert f"set_replication_source {PRIMARY}" not in rig.tablets.at
        assert f"set_replication_source {THIRD}" not in rig.tablets.at
        assert rig.calls.count(f"set_replication_source {SECOND} source={FIRST} semi_sync=True force_start=True") == 1

    in_session(main)


# Which tablets are re-pointed


def test_a_tablet_with_more_than_the_winner_keeps_its_relay_log() -> None:
    """An errant tablet stays as it is, for an operator to look at."""

    async def main(rig: Rig) -> None:
        tell(rig, FIRST)
        tell(rig, SECOND)
        tell(rig, THIRD, executed="100:1-60,103:1", received="100:1-60,103:1")
        await reparent(rig, AHEAD)
        assert f"set_replication_source {SECOND}" in rig.tablets.at
        assert f"set_replication_source {THIRD}" not in rig.tablets.at
        assert f"set_replication_source {FIRST}" not in rig.tablets.at

    in_session(main)


def test_a_replica_that_waits_long_must_still_be_stopped_to_be_repointed() -> None:
    """It is asked again after it applied its relay log for more than a second."""

    async def main(rig: Rig) -> None:
        tell(rig, FIRST)
        tell(rig, SECOND, executed="100:1-50", takes=2.0)
        rig.tablets.tell(f"replication_status {SECOND}", threads(io_state=RUNNING))
        await reparent(rig, THREE)
        assert rig.session.winner == alias(FIRST)
        assert f"set_replication_source {SECOND}" not in rig.tablets.at

    in_session(main)


@pytest.mark.parametrize("went_back", [False, True])
def test_a_primary_that_answers_is_stopped_and_made_writable_by_a_rollback(went_back: bool) -> None:
    """It is known to be the primary; one that lacks writes of its own stays read-only all the same."""
    served = primary(executed="100:1-40" if went_back else "100:1-50")
    told = replica(SECOND, io_error=MORE_THAN_ITS_SOURCE if went_back else "")

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        rig.tablets.tell(f"stop_replication_and_get_status {PRIMARY}", None)
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-60"))
        rig.tablets.tell(f"wall_clock {PRIMARY}", WALL)
        rig.held.tell("check", None, LockLost("gone"))
        with pytest.raises(LockLost):
            await reparent(rig, shard(served, replica(FIRST), told))
        before = len(rig.calls)
        await rig.session.roll_back()
        assert (f"undo_demote_primary {PRIMARY} semi_sync=True" in rig.calls[before:]) is not went_back

    in_session(main)


def test_only_a_tablet_of_the_same_cell_is_promoted_if_that_is_set() -> None:
    """The setting is read when the election is held."""

    async def main(rig: Rig) -> None:
        for name in (FIRST, FAR):
            tell(rig, name, executed="100:1-50" if name == FAR else "100:1-60")
        view = shard(DEAD, replica(FIRST, record_changes={"type": TabletType.RDONLY}), replica(FAR))
        rig.bounds = Bounds(same_cell_only=True)
        with pytest.raises(RecoveryRefused):
            await reparent(rig, view, "none")

    in_session(main)


def test_a_tablet_of_the_same_cell_fetches_what_only_another_cell_holds() -> None:
    """The setting holds for the election among stopped tablets too."""

    async def main(rig: Rig) -> None:
        tell(rig, FIRST)
        tell(rig, FAR, received="100:1-70")
        rig.bounds = Bounds(same_cell_only=True)
        await reparent(rig, shard(DEAD, replica(FIRST), replica(FAR)), "none")
        assert rig.session.winner == alias(FIRST)
        fetch = f"set_replication_source {FIRST} source={FAR} semi_sync=False force_start=True wait=100:1-70"
        assert fetch in rig.calls

    in_session(main)


def test_a_grace_ends_the_stop_once_enough_have_answered() -> None:
    """A silent tablet that is not needed holds the failover up for the grace only."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        rig.tablets.tell(f"stop_replication_and_get_status {THIRD}", takes=NEVER)
        await reparent(rig, WITH_RDONLY)
        assert rig.session.marks["stopped"] == pytest.approx(rig.deadlines.grace)

    in_session(main)


def test_the_stop_goes_on_while_an_election_would_fail() -> None:
    """A slow acker is waited for."""

    async def main(rig: Rig) -> None:
        for name in BOTH:
            tell(rig, name)
        rig.tablets.tell(
            f"stop_replication_and_get_status {SECOND}", answer(threads("100:1-60", "100:1-60")), takes=3.0
        )
        await reparent(rig, THREE)
        assert rig.session.marks["stopped"] == pytest.approx(3.0)

    in_session(main)
