"""A forced promotion and a first election call by call."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, failing, fresh_shard, gtids, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, WALL, Rig, in_session, unreachable
from tests.unit.recovery.test_stop_calls import answer, threads
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView
from vtorc.errors import LockLost
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.first_election import FirstElection
from vtorc.recovery.forced_promotion import ForcedPromotion

PRIMARY, FIRST, SECOND, THIRD, LOST = (str(alias(f"zone1-{number}")) for number in (100, 101, 102, 103, 104))
DEAD = primary(dead_for=3.0)
VIEW = shard(DEAD, replica(FIRST), replica(SECOND), replica(THIRD), failing(replica(LOST)))
"""A shard whose primary and one of its ackers are lost, so that the election refuses."""

RUNNING = ThreadState.RUNNING


def tell(rig: Rig, *, takes: float = 0.0, **executed: str) -> None:
    """Let the three that answer hold this much when they are stopped and ever after."""
    for name, held in zip((FIRST, SECOND, THIRD), executed.values() or ("100:1-60",) * 3, strict=True):
        rig.tablets.tell(f"stop_replication_and_get_status {name}", answer(threads(held, held)))
        rig.tablets.tell(f"replication_status {name}", threads(held, held))
        rig.tablets.tell(f"wall_clock {name}", WALL)
        rig.tablets.tell(f"wait_for_position {name}", takes=takes)


async def estimate(rig: Rig, view: ShardView = VIEW) -> DataLossEstimate:
    """Return what is lost if FIRST is promoted, as the refusal of the first try tells it."""
    with pytest.raises(RecoveryRefused) as refused:
        await force(rig, None, view)
    assert refused.value.rule is Rule.DATA_LOSS_NOT_ACCEPTED
    assert rig.session.data_loss is not None
    return rig.session.data_loss


async def force(rig: Rig, accepted: DataLossEstimate | None, view: ShardView = VIEW, named: str = FIRST) -> None:
    """Promote a tablet at this loss."""
    session = rig.session
    await ForcedPromotion(
        session=session, view=view, policy=policy("semi_sync"), named=alias(named), accepted=accepted
    ).run()


def test_the_loss_is_told_before_anything_is_changed() -> None:
    """No tablet is called and the lock is not even checked until an operator has accepted it."""

    async def main(rig: Rig) -> None:
        tell(rig)
        found = await estimate(rig)
        assert found.unreached == {alias(PRIMARY), alias(LOST)}
        assert rig.calls == []
        assert rig.held.calls == []

    in_session(main)


def test_the_named_tablet_is_promoted_once_all_that_answer_are_stopped() -> None:
    """The lock is checked before the stop and before the promotion; the record says what was accepted."""

    async def main(rig: Rig) -> None:
        tell(rig)
        accepted = await estimate(rig)
        await force(rig, accepted)
        assert [s for s in rig.steps if s.startswith("stop replication")] == [
            f"stop replication {each}" for each in (FIRST, SECOND, THIRD)
        ]
        rest = [s for s in rig.steps if not s.startswith(("stop replication", "read clock"))]
        assert rest[:4] == ["check lock", f"apply relay log {FIRST}", "check lock", f"promote {FIRST}"]
        assert list(rig.session.marks) == ["stopped", "elected", "promoted", "acknowledged"]
        assert rig.session.winner == alias(FIRST)
        for name in (SECOND, THIRD):
            assert f"set_replication_source {name}" in rig.tablets.at
        assert f"replication_status {SECOND}" not in rig.tablets.at
        argument = rig.session.argument
        assert argument is not None
        assert argument.stopped == (alias(FIRST), alias(SECOND), alias(THIRD))
        assert argument.unreached == (alias(PRIMARY), alias(LOST))
        assert argument.required == gtids("100:1-60")

    in_session(main)


def test_nothing_is_stopped_without_the_lock() -> None:
    """The lock is checked once the loss is known to be accepted."""

    async def main(rig: Rig) -> None:
        tell(rig)
        accepted = await estimate(rig)
        rig.held.tell("check", LockLost("gone"))
        with pytest.raises(LockLost):
            await force(rig, accepted)
        assert rig.calls == []

    in_session(main)


def test_every_tablet_that_answers_is_waited_for() -> None:
    """None of them may go on acknowledging, so there is no grace that ends the wait."""

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.tablets.tell(f"stop_replication_and_get_status {THIRD}", answer(threads("100:1-60", "100:1-60")), takes=4.0)
        accepted = await estimate(rig)
        await force(rig, accepted)
        assert rig.session.marks["stopped"] == pytest.approx(4.0)

    in_session(main)


def test_a_primary_that_is_stopped_is_made_writable_by_a_rollback() -> None:
    """It is known to be the primary."""

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.tablets.tell(f"stop_replication_and_get_status {PRIMARY}", None)
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-60"))
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        view = shard(primary(read_only=False), replica(FIRST), replica(SECOND), failing(replica(LOST)))
        named = DataLossEstimate(named=alias(FIRST), unreached=frozenset({alias(LOST), alias(PRIMARY)}))
        with pytest.raises(TimeoutError):
            await force(rig, named, view)
        before = len(rig.calls)
        await rig.session.roll_back()
        assert f"undo_demote_primary {PRIMARY} semi_sync=True" in rig.calls[before:]

    in_session(main)


def test_the_wait_for_its_relay_log_ends_with_the_time_for_catching_up() -> None:
    """The record names the tablet."""

    async def main(rig: Rig) -> None:
        tell(rig)
        accepted = await estimate(rig)
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=6.0))
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        with pytest.raises(TimeoutError):
            await force(rig, accepted)
        assert rig.step("apply relay log").duration == pytest.approx(6.0)
        assert rig.step("apply relay log").target == alias(FIRST)

    in_session(main)


@pytest.mark.parametrize(("takes", "asked"), [(0.25, False), (0.5, False), (0.75, True)])
def test_tablets_are_asked_again_only_if_they_had_time_to_start(takes: float, asked: bool) -> None:
    """Half a second after the stop began a tablet that restarted may be back."""

    async def main(rig: Rig) -> None:
        tell(rig, takes=takes)
        await asyncio.sleep(2.0)  # the wait for the lock
        await force(rig, await estimate(rig))
        assert (f"replication_status {SECOND}" in rig.tablets.at) is asked
        assert rig.steps.count("check lock") == 2  # before the stop, and before that look

    in_session(main, start=128.0)  # a power of two: sums of seconds are exact


def test_tablets_are_asked_again_after_a_slow_check_of_the_lock() -> None:
    """A topology server may take seconds for it, in which a tablet starts and acknowledges."""

    async def main(rig: Rig) -> None:
        tell(rig)
        accepted = await estimate(rig)
        rig.held.tell("check", None, takes=1.0)
        rig.tablets.tell(f"replication_status {THIRD}", threads(io_state=RUNNING))
        with pytest.raises(RecoveryRefused, match="more than was accepted"):
            await force(rig, accepted)
        assert f"promote_replica {FIRST}" not in rig.tablets.at

    in_session(main)


def test_a_tablet_that_did_not_stay_stopped_makes_the_loss_larger_than_was_accepted() -> None:
    """It may hold more by now, so that the operator has to accept that as well."""

    async def main(rig: Rig) -> None:
        tell(rig, takes=1.0)
        accepted = await estimate(rig)
        rig.tablets.tell(f"replication_status {THIRD}", threads(io_state=RUNNING))
        with pytest.raises(RecoveryRefused, match="more than was accepted") as refused:
            await force(rig, accepted)
        assert refused.value.rule is Rule.DATA_LOSS_NOT_ACCEPTED
        assert f"promote_replica {FIRST}" not in rig.tablets.at

    in_session(main)


def test_a_replica_is_repointed_late_only_if_it_is_still_stopped() -> None:
    """It is asked again after it applied its relay log for more than a second."""

    async def main(rig: Rig) -> None:
        tell(rig)
        accepted = await estimate(rig)
        rig.tablets.tell(f"stop_replication_and_get_status {SECOND}", answer(threads("100:1-50", "100:1-60")))
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=2.0)
        rig.tablets.tell(f"replication_status {SECOND}", threads(io_state=RUNNING))
        await force(rig, accepted)
        assert f"set_replication_source {SECOND}" not in rig.tablets.at
        assert f"set_replication_source {THIRD}" in rig.tablets.at

    in_session(main)


def test_a_tablet_with_more_than_the_new_primary_keeps_its_relay_log() -> None:
    """What the operator has accepted to lose stays there, for an operator to look at."""

    async def main(rig: Rig) -> None:
        tell(rig, first="100:1-60", second="100:1-60", third="100:1-65")
        found = await estimate(rig)
        accepted = replace(found, left={alias(THIRD): gtids("100:61-65")})
        await force(rig, accepted)
        assert f"set_replication_source {SECOND}" in rig.tablets.at
        assert f"set_replication_source {THIRD}" not in rig.tablets.at
        assert "position=100:1-60" in next(call for call in rig.calls if "journal" in call)

    in_session(main)


@pytest.mark.parametrize("named", [LOST, str(alias("zone1-199"))])
def test_a_tablet_that_is_not_reached_cannot_be_promoted(named: str) -> None:
    """Nothing is changed for that."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryRefused) as refused:
            await force(rig, None, named=named)
        assert refused.value.rule is Rule.FORCED_IMPOSSIBLE
        assert rig.calls == []

    in_session(main)


def test_a_tablet_that_is_left_running_counts_for_no_estimate() -> None:
    """A tablet in a backup is not stopped, so that it cannot be promoted either."""

    async def main(rig: Rig) -> None:
        busy = replica(FIRST, of=None, record_changes={"type": TabletType.RESTORE})
        with pytest.raises(RecoveryRefused) as refused:
            await force(rig, None, shard(DEAD, busy, replica(SECOND), failing(replica(LOST))))
        assert refused.value.rule is Rule.FORCED_IMPOSSIBLE
        assert "was not reached" in str(refused.value)

    in_session(main)


# First elections


NEW = [replica(name, of=None, executed="", semi_sync=False) for name in (FIRST, SECOND)]


async def elect(rig: Rig, view: ShardView, durability: str = "semi_sync") -> None:
    """Elect the first primary."""
    await FirstElection(rig.session, view, policy(durability)).run()


def test_the_first_primary_is_initialised_and_the_others_follow_it() -> None:
    """Nothing is stopped and nothing waits: no write was acknowledged before."""

    async def main(rig: Rig) -> None:
        spare = replica(THIRD, TabletType.SPARE, of=None, executed="", semi_sync=False)
        view = fresh_shard(*NEW, spare, failing(replica(LOST, of=None)))
        await elect(rig, view)
        assert rig.session.winner == alias(FIRST)
        assert rig.calls[0] == f"init_primary {FIRST} semi_sync=True"
        row = f"created={100 * 10**9} action=PlannedReparentShard primary={FIRST} position="
        assert sorted(rig.calls[1:]) == [
            f"populate_reparent_journal {FIRST} {row}",
            f"set_replication_source {SECOND} source={FIRST} semi_sync=True force_start=True",
        ]
        assert rig.held.calls == ["check"]
        assert list(rig.session.marks) == ["elected", "promoted", "acknowledged"]
        assert rig.session.argument is not None

    in_session(main)


def test_a_first_primary_applies_its_relay_log_first() -> None:
    """A tablet that was restored may still hold something to be applied."""

    async def main(rig: Rig) -> None:
        behind = replica(FIRST, of=P, executed="100:1-50", received="100:51-60", semi_sync=False)
        await elect(rig, fresh_shard(behind, NEW[1]))
        assert rig.calls[0] == f"wait_for_position {FIRST} position=100:1-60"
        assert "position=100:1-60" in next(call for call in rig.calls if "journal" in call)

    in_session(main)


def test_a_first_election_without_a_candidate_is_refused() -> None:
    """One tablet alone could have no write acknowledged; the record says why it was removed."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryRefused):
            await elect(rig, fresh_shard(NEW[0]))
        assert rig.calls == []
        assert rig.session.removed.keys() == {alias(FIRST)}

    in_session(main)


def test_a_first_primary_that_cannot_be_initialised_fails_the_election() -> None:
    """Nothing proves that it is primary."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"init_primary {FIRST}", unreachable("no route"))
        with pytest.raises(RecoveryFailed, match="could not be promoted: no route"):
            await elect(rig, fresh_shard(*NEW))

    in_session(main)
