"""Catching up call by call: which tablet wins, what a failed fetch leaves behind, and what a rollback puts back."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, by_alias, changed, failing, gtids, primary, replica, shard, stopped, uuid
from tests.unit.recovery.fakes import NEVER, Rig, in_session, unreachable
from tests.unit.recovery.test_stop_calls import threads
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.choice import Choice
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView
from vtorc.errors import LockLost, TabletCallFailed
from vtorc.recovery.catch_up import CatchUp, ReadyToPromote
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused

FIRST, SECOND, THIRD = (str(alias(f"zone1-{number}")) for number in (101, 102, 103))
VIEW = shard(primary(dead_for=3.0), replica(FIRST), replica(SECOND), replica(THIRD))
STOPPED = by_alias(
    (stopped(FIRST, "100:1-60"), stopped(SECOND, "100:1-60", executed="100:1-55"), stopped(THIRD, "100:1-70"))
)


def choice(*holders: str, source: str | None = None, required: str = "100:1-60") -> Choice:
    """A choice of the first of these tablets, which has to fetch from `source` unless that is None."""
    return Choice(
        winner=alias(holders[0]),
        holders=tuple(alias(each) for each in holders) if source is None else (),
        source=alias(source) if source is not None else None,
        required=gtids(required),
        argument=SafetyArgument(policy="none", stopped=(), unreached=(), required=gtids(required), sentence=""),
        removed={alias(SECOND): "lags"},
        errant={alias(THIRD): gtids("103:1")},
    )


async def catch_up(
    rig: Rig, *choices: Choice, view: ShardView = VIEW, stopped_at: float | None = None
) -> ReadyToPromote:
    """Carry out these choices, whatever is stopped."""
    rig.seen = []

    def choose(stopped_tablets: Mapping[TabletAlias, StoppedTablet]) -> Choice:
        rig.seen.append(stopped_tablets)
        return replace(choices[0], otherwise=choices[1:])

    return await CatchUp(rig.session, view, choose, stopped_at).run(STOPPED)


def test_the_best_holder_wins_once_it_has_applied_its_relay_log() -> None:
    """Its position is all that it received, and the record has the choice that was carried out."""

    async def main(rig: Rig) -> None:
        chosen = choice(FIRST, SECOND)
        ready = await catch_up(rig, chosen)
        assert (ready.winner, ready.position, ready.stopped) == (alias(FIRST), gtids("100:1-60"), STOPPED)
        assert sorted(rig.calls) == [f"wait_for_position {each} position=100:1-60" for each in (FIRST, SECOND)]
        assert sorted(rig.steps) == [f"apply relay log {each}" for each in (FIRST, SECOND)]
        assert rig.session.argument is chosen.argument
        assert rig.session.removed == chosen.removed
        assert rig.session.errant == chosen.errant
        assert rig.session.marks == {"elected": 0.0}

    in_session(main)


@pytest.mark.parametrize(
    ("first", "second", "winner", "elapsed"),
    [
        (0.2, 0.0, FIRST, 0.2),
        (0.4, 0.0, FIRST, 0.4),
        (9.0, 1.0, SECOND, 1.5),
        (2.0, 9.0, FIRST, 2.0),
        (NEVER, 1.0, SECOND, 1.5),
    ],
)
def test_a_lesser_holder_wins_only_after_a_grace(first: float, second: float, winner: str, elapsed: float) -> None:
    """The best wins at once, and the wait for it ends half a second after another has applied everything."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=first)
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=second)
        assert (await catch_up(rig, choice(FIRST, SECOND))).winner == alias(winner)
        assert rig.session.elapsed() == pytest.approx(elapsed)
        assert len(rig.session.steps) == 2  # the one that lost is cancelled, and recorded, by now

    in_session(main)


def test_the_best_of_those_that_are_done_at_once_wins() -> None:
    """Of three holders the first fails, and the better of the other two wins though both are done."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {FIRST}", unreachable(), takes=1.0)
        ready = await catch_up(rig, choice(FIRST, THIRD, SECOND))
        assert ready.winner == alias(THIRD)
        assert ready.position == gtids("100:1-70")

    in_session(main)


def test_no_holder_that_applies_is_a_refusal_that_names_each() -> None:
    """A failed call and a missing answer are told; the record says what the next try waits for."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=6.0))
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        rig.tablets.tell(f"wait_for_position {SECOND}", TabletCallFailed("row missing"))
        rig.tablets.tell(f"replication_status {SECOND}", threads("100:1-57", "100:1-60", last_sql_error="Error 1032"))
        with pytest.raises(RecoveryRefused) as refused:
            await catch_up(rig, choice(FIRST, SECOND))
        assert refused.value.rule is Rule.APPLIER_BEHIND
        behind = "3 transactions left to apply and applied 2 transactions meanwhile (Error 1032)"
        assert f"was not: {FIRST}: no answer in time; {SECOND} has {behind}; see" in str(refused.value)
        assert rig.session.waits_for == {alias(FIRST): gtids("100:1-60"), alias(SECOND): gtids("100:1-60")}
        assert rig.session.removed == choice(FIRST).removed
        assert rig.session.elapsed() == pytest.approx(6.0)

    in_session(main)


def test_a_tablet_that_is_gone_by_now_is_not_waited_for() -> None:
    """It did not apply its relay log, then failed to fetch, and does not answer any more."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {SECOND}", TabletCallFailed("row missing"))
        rig.tablets.tell(f"set_replication_source {SECOND}", unreachable("gone"))
        rig.tablets.tell(f"stop_io_thread {SECOND}", unreachable("gone"))
        with pytest.raises(RecoveryRefused, match=f"was not: {SECOND} could not fetch transactions from {THIRD}: gone"):
            await catch_up(rig, choice(FIRST, source=SECOND), choice(SECOND, source=THIRD))
        assert rig.session.waits_for == {}

    in_session(main)


def test_a_tablet_that_does_not_tell_how_far_it_came_holds_up_the_refusal_for_a_grace() -> None:
    """Its position is read after the deadline for catching up."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {FIRST}", TabletCallFailed("row missing"))
        rig.tablets.tell(f"replication_status {FIRST}", takes=NEVER)
        with pytest.raises(RecoveryRefused, match=f"{FIRST}: row missing"):
            await catch_up(rig, choice(FIRST))
        assert rig.session.elapsed() == pytest.approx(rig.deadlines.grace)
        assert rig.step("read position").target == alias(FIRST)

    in_session(main)


@pytest.mark.parametrize(
    ("choices", "waits"),
    [
        ((choice(FIRST), choice(FIRST, source=SECOND)), [(FIRST, 6.0), (SECOND, 6.0)]),
        ((choice(FIRST), choice(SECOND, source=FIRST)), [(FIRST, 12.0)]),
        ((choice(FIRST, SECOND), choice(THIRD, source=SECOND)), [(FIRST, 12.0), (SECOND, 12.0)]),
        ((choice(FIRST), choice(SECOND), choice(THIRD)), [(FIRST, 6.0), (SECOND, 3.0), (THIRD, 3.0)]),
    ],
    ids=["another log", "the same log", "one of two", "three"],
)
def test_all_choices_share_one_deadline_and_no_relay_log_is_waited_for_twice(
    choices: tuple[Choice, ...], waits: list[tuple[str, float]]
) -> None:
    """A relay log gets half of what is left if another choice needs none of those that failed, else all of it."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=12.0))
        for name in (FIRST, SECOND, THIRD):
            rig.tablets.tell(f"wait_for_position {name}", takes=NEVER)
        with pytest.raises(RecoveryRefused):
            await catch_up(rig, *choices)
        steps = [step for step in rig.session.steps if step.name == "apply relay log"]
        assert [(str(step.target), round(step.duration, 3)) for step in steps] == waits
        assert rig.session.elapsed() == pytest.approx(12.0)

    in_session(main)


def test_a_choice_is_tried_after_the_deadline_by_no_means() -> None:
    """The time of a fetch that failed is taken from all that follow."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=4.0))
        rig.tablets.tell(f"set_replication_source {FIRST}", TabletCallFailed("cannot connect"), takes=1.5)
        rig.tablets.tell(f"stop_io_thread {FIRST}", takes=2.5)
        with pytest.raises(RecoveryFailed, match=f"{FIRST} could not fetch transactions from {THIRD}: cannot connect"):
            await catch_up(rig, fetching(), choice(SECOND))
        assert f"wait_for_position {SECOND}" not in rig.tablets.at

    in_session(main)


def test_an_error_that_is_no_tablets_ends_the_recovery() -> None:
    """A mistake of our own is not taken for a tablet that cannot apply."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {FIRST}", ZeroDivisionError("ours"))
        with pytest.raises(ZeroDivisionError):
            await catch_up(rig, choice(FIRST), choice(SECOND))

    in_session(main)


# A winner that has to fetch

FETCH = f"set_replication_source {FIRST} source={THIRD} semi_sync=False force_start=True wait=100:1-70"


def fetching(name: str = FIRST) -> Choice:
    """A choice of a tablet that has to fetch from THIRD."""
    return choice(name, source=THIRD, required="100:1-70")


def test_the_source_applies_first_and_the_winner_fetches_without_acknowledging() -> None:
    """The lock is checked before the source is set, and the winner's position is what was required."""

    async def main(rig: Rig) -> None:
        ready = await catch_up(rig, fetching())
        assert (ready.winner, ready.position) == (alias(FIRST), gtids("100:1-70"))
        assert rig.calls == [f"wait_for_position {THIRD} position=100:1-70", FETCH]
        assert rig.steps == [f"apply relay log {THIRD}", "check lock", f"fetch from {THIRD} {FIRST}"]

    in_session(main)


def test_no_source_is_set_without_the_lock() -> None:
    """The lock may go while the source applies; nothing is there to be undone."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", LockLost("gone"))
        with pytest.raises(LockLost):
            await catch_up(rig, fetching())
        assert FETCH not in rig.calls
        assert not rig.session.can_undo

    in_session(main)


@pytest.mark.parametrize(
    ("applies_in", "stopped_at", "is_asked"),
    [(0.6, 0.0, True), (0.5, 0.0, False), (0.6, 0.2, False), (9.0, None, False)],
    ids=["late", "at once", "at once, of a late recovery", "not stopped at all"],
)
def test_a_winner_that_was_stopped_a_while_ago_is_looked_at_before_it_fetches(
    applies_in: float, stopped_at: float | None, is_asked: bool
) -> None:
    """The lock is checked before that, as a topology server may take seconds for it."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {THIRD}", takes=applies_in)
        rig.tablets.tell(f"replication_status {FIRST}", threads("100:1-60", io_state=ThreadState.STOPPED))
        assert (await catch_up(rig, fetching(), stopped_at=stopped_at)).winner == alias(FIRST)
        look = [f"check that it is still stopped {FIRST}"] if is_asked else []
        assert rig.steps == [f"apply relay log {THIRD}", "check lock", *look, f"fetch from {THIRD} {FIRST}"]

    in_session(main)


def test_a_winner_that_has_started_again_keeps_its_relay_log() -> None:
    """It may have acknowledged writes that stand there alone: it is stopped again, and counts with them."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {THIRD}", takes=1.0)
        rig.tablets.tell(f"replication_status {FIRST}", threads("100:1-60", "100:1-61"))
        ready = await catch_up(rig, fetching(), choice(SECOND), stopped_at=0.0)
        assert ready.winner == alias(SECOND)
        assert ready.stopped[alias(FIRST)] == stopped(FIRST, "100:1-61", executed="100:1-60")
        assert FETCH not in rig.calls

    in_session(main)


def test_a_fetch_ends_with_the_time_for_catching_up() -> None:
    """The next choice is tried then."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=6.0))
        rig.tablets.tell(f"set_replication_source {FIRST}", takes=NEVER)
        ready = await catch_up(rig, fetching(), choice(SECOND))
        assert ready.winner == alias(SECOND)
        assert rig.step(f"fetch from {THIRD}").duration == pytest.approx(3.0)

    in_session(main)


def test_the_only_fetch_gets_all_the_time_that_is_left() -> None:
    """It begins when its source has applied its relay log."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=6.0))
        rig.tablets.tell(f"wait_for_position {THIRD}", takes=2.0)
        rig.tablets.tell(f"set_replication_source {FIRST}", takes=NEVER)
        with pytest.raises(RecoveryFailed, match=f"{FIRST} could not fetch .*: no answer in time"):
            await catch_up(rig, fetching())
        assert rig.step(f"fetch from {THIRD}").duration == pytest.approx(4.0)

    in_session(main)


@pytest.mark.parametrize("call", ["stop_io_thread", "replication_status"])
def test_the_stop_after_a_failed_fetch_has_the_deadline_of_a_stop(call: str) -> None:
    """A tablet that hangs counts as not stopped."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"set_replication_source {FIRST}", TabletCallFailed("cannot connect"))
        rig.tablets.tell(f"{call} {FIRST}", takes=NEVER)
        await catch_up(rig, fetching(), choice(SECOND))
        assert rig.session.elapsed() == pytest.approx(rig.deadlines.stop)
        assert rig.seen[1].keys() == {alias(SECOND), alias(THIRD)}

    in_session(main)


@pytest.mark.parametrize("semi_sync", [True, False])
def test_a_rollback_gives_a_winner_its_old_source_back_and_does_not_start_it(semi_sync: bool) -> None:
    """It acknowledges again if it did; the stop before it says whether it is started."""

    async def main(rig: Rig) -> None:
        view = shard(primary(dead_for=3.0), replica(FIRST, semi_sync=semi_sync), replica(SECOND), replica(THIRD))
        await catch_up(rig, fetching(), view=view)
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [
            f"set_replication_source {FIRST} source={alias(P)} semi_sync={semi_sync} force_start=False"
        ]
        assert rig.steps[-1] == f"undo: fetch {FIRST}"

    in_session(main)


@pytest.mark.parametrize(
    "tablet",
    [replica(FIRST, of="zone9-900"), replica(FIRST, of=None), failing(replica(FIRST), never_heard=True)],
    ids=["unknown source", "no source", "never heard"],
)
def test_a_source_that_is_not_known_is_not_put_back(tablet: object) -> None:
    """The ordinary repairs attach such a tablet."""

    async def main(rig: Rig) -> None:
        assert isinstance(tablet, type(replica(FIRST)))
        await catch_up(rig, fetching(), view=shard(primary(dead_for=3.0), tablet, replica(SECOND), replica(THIRD)))
        assert not rig.session.can_undo

    in_session(main)


def test_a_tablet_that_failed_to_fetch_is_stopped_again_and_counts_with_what_it_has() -> None:
    """It may have received some of it; the election is held again with that."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"set_replication_source {FIRST}", TabletCallFailed("cannot connect"))
        rig.tablets.tell(f"replication_status {FIRST}", threads("100:1-62", "100:1-65", source_uuid=uuid(THIRD)))
        ready = await catch_up(rig, fetching(), choice(SECOND))
        again = stopped(FIRST, "100:1-65", executed="100:1-62")
        assert rig.seen == [STOPPED, {**STOPPED, alias(FIRST): again}]
        assert ready.stopped == rig.seen[1]
        assert ready.winner == alias(SECOND)
        assert rig.steps[3:5] == [f"stop IO thread {FIRST}", f"read position {FIRST}"]

    in_session(main)


@pytest.mark.parametrize(
    ("stop", "threads_then"),
    [(unreachable(), threads()), (None, unreachable()), (None, None)],
    ids=["does not stop", "silent", "no source"],
)
def test_a_tablet_that_failed_to_fetch_and_does_not_stop_is_not_stopped_any_more(
    stop: object, threads_then: object
) -> None:
    """It may be receiving, so the election is held without it."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"set_replication_source {FIRST}", TabletCallFailed("cannot connect"))
        rig.tablets.tell(f"stop_io_thread {FIRST}", stop)
        rig.tablets.tell(f"replication_status {FIRST}", threads_then)
        await catch_up(rig, fetching(), choice(SECOND))
        assert rig.seen[1].keys() == {alias(SECOND), alias(THIRD)}

    in_session(main)


def test_each_choice_is_tried_once_and_all_failures_are_told() -> None:
    """A choice that failed is not carried out again, and one without a fetch stops nothing again."""

    async def main(rig: Rig) -> None:
        for name in (FIRST, SECOND):
            rig.tablets.tell(f"wait_for_position {name}", TabletCallFailed(f"no disk on {name}"))
        rig.tablets.tell(f"wait_for_position {THIRD}", TimeoutError(), takes=1.0)
        with pytest.raises(RecoveryRefused) as refused:
            await catch_up(rig, choice(FIRST), fetching(FIRST), choice(SECOND))
        each = f"{FIRST}: no disk on {FIRST}; {SECOND}: no disk on {SECOND}; {THIRD}: no answer in time"
        assert f"was not: {each}; see" in str(refused.value)
        assert [step for step in rig.steps if "stop" in step] == []
        assert rig.session.marks == {"elected": 0.0}

    in_session(main)


def test_a_tablet_that_has_left_the_shard_is_named() -> None:
    """It cannot be asked."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryFailed, match=f"{FIRST} has left the shard"):
            await catch_up(rig, choice(FIRST), view=shard(primary(dead_for=3.0), replica(SECOND)))

    in_session(main)


def test_a_status_without_threads_gives_no_source() -> None:
    """A tablet whose status is all defaults has no source to be put back."""

    async def main(rig: Rig) -> None:
        bare = changed(replica(FIRST), status=TabletStatus())
        await catch_up(rig, fetching(), view=shard(primary(dead_for=3.0), bare, replica(THIRD)))
        assert not rig.session.can_undo

    in_session(main)
