"""A planned reparent call by call: whom it chooses, what it waits for, and what a rollback puts back."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import alias, changed, failing, gtids, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, WALL, Rig, in_session, unreachable
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import LockLost
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.planned import PlannedReparent
from vtorc.recovery.planned_demotion import ASK_AT_ONCE

PRIMARY, FIRST, SECOND, THIRD = (str(alias(f"zone1-{number}")) for number in (100, 101, 102, 103))
FAR = str(alias("zone2-200"))
THREE = shard(primary(), replica(FIRST), replica(SECOND))


def tell(rig: Rig, view: ShardView) -> None:
    """Let the primary be demoted at 100:1-70, ten more than it said before, and every clock be right."""
    rig.tablets.tell(f"primary_position {PRIMARY}", gtids("100:1-60"))
    rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-70"))
    for tablet in view.tablets:
        rig.tablets.tell(f"wall_clock {tablet.alias}", WALL)


async def move(
    rig: Rig, view: ShardView, new_primary: str | None = None, *, durability: str = "semi_sync"
) -> TabletAlias | None:
    """Move the primary; returns the winner."""
    await PlannedReparent(
        session=rig.session,
        view=view,
        policy=policy(durability),
        new_primary=alias(new_primary) if new_primary is not None else None,
    ).run()
    return rig.session.winner


def with_threads(tablet: TabletView, **changes: object) -> TabletView:
    """The same replica, with other threads."""
    status = tablet.status
    assert status is not None
    assert status.replication is not None
    replication = replace(status.replication, **changes)  # type: ignore[arg-type]
    return changed(tablet, status=replace(status, replication=replication))


def with_lag(tablet: TabletView, lag: int | None) -> TabletView:
    """The same replica, so many seconds behind."""
    return with_threads(tablet, lag=lag)


def test_a_planned_reparent_waits_demotes_waits_again_and_promotes() -> None:
    """Writes pause only for the last transactions; the lock is checked before the demotion and before the promotion."""

    async def main(rig: Rig) -> None:
        tell(rig, THREE)
        assert await move(rig, THREE) == alias(FIRST)
        assert [call for call in rig.calls if "clock" not in call and "global_status" not in call][:5] == [
            f"primary_position {PRIMARY}",
            f"wait_for_position {FIRST} position=100:1-60",
            f"demote_primary {PRIMARY} force=False",
            f"wait_for_position {FIRST} position=100:1-70",
            f"promote_replica {FIRST} semi_sync=True",
        ]
        wait = rig.calls.index(f"wait_for_position {SECOND} position=100:1-70")
        assert wait < rig.calls.index(f"set_replication_source {SECOND} source={FIRST} semi_sync=True force_start=True")
        assert f"set_replication_source {PRIMARY} source={FIRST} semi_sync=True force_start=True" in rig.calls
        assert f"wait_for_position {PRIMARY} position=100:1-70" not in rig.calls  # it has told this position itself
        assert rig.steps[:9] == [
            f"read clock {FIRST}",
            f"read clock {SECOND}",
            f"read position {PRIMARY}",
            f"catch up {FIRST}",
            "check lock",
            f"demote primary {PRIMARY}",
            f"apply the last writes {FIRST}",
            "check lock",
            f"promote {FIRST}",
        ]
        assert list(rig.session.marks) == ["elected", "demoted", "promoted", "acknowledged"]
        argument = rig.session.argument
        assert argument is not None
        assert (argument.stopped, argument.unreached) == ((alias(PRIMARY),), ())
        assert argument.required == gtids("100:1-70")
        assert argument.policy == "semi_sync"

    in_session(main)


def test_a_planned_reparent_spares_clients_the_second_that_mysql_takes() -> None:
    """A replica that acknowledges is disconnected once no commit waits for it, and follows the new primary later."""

    async def main(rig: Rig) -> None:
        tell(rig, THREE)
        rig.tablets.tell(f"demote_primary {PRIMARY}", gtids("100:1-70"), takes=0.9)
        on, off = ({"Rpl_semi_sync_source_status": value} for value in ("ON", "OFF"))
        rig.tablets.tell(f"global_status {PRIMARY}", *[on] * ASK_AT_ONCE, off)
        assert await move(rig, THREE) == alias(FIRST)
        assert f"stop IO thread {SECOND}" in rig.steps
        assert f"replicate from {FIRST} {SECOND}" in rig.steps

    in_session(main)


@pytest.mark.parametrize("step", ["catch up", "apply the last writes"])
def test_a_wait_for_the_new_primary_ends_with_the_time_for_catching_up(step: str) -> None:
    """The old primary is made writable again if it was demoted already."""

    async def main(rig: Rig) -> None:
        tell(rig, THREE)
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=7.0))
        if step == "catch up":
            rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        else:
            rig.tablets.tell(f"demote_primary {PRIMARY}", lambda: hang(rig))
        with pytest.raises(TimeoutError):
            await move(rig, THREE)
        assert rig.step(step).duration == pytest.approx(7.0)
        assert rig.step(step).target == alias(FIRST)
        assert rig.session.can_undo is (step != "catch up")
        before = len(rig.calls)
        await rig.session.roll_back()
        undone = [] if step == "catch up" else [f"undo_demote_primary {PRIMARY} semi_sync=True"]
        assert rig.calls[before:] == undone

    def hang(rig: Rig) -> object:
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        return gtids("100:1-70")

    in_session(main)


@pytest.mark.parametrize(("durability", "semi_sync"), [("semi_sync", True), ("none", False)])
def test_a_demotion_without_an_answer_is_undone(durability: str, semi_sync: bool) -> None:
    """The primary may be read-only all the same; it waits for acknowledgements again if the policy asks for any."""

    async def main(rig: Rig) -> None:
        tell(rig, THREE)
        rig.tablets.tell(f"demote_primary {PRIMARY}", unreachable())
        with pytest.raises(type(unreachable())):
            await move(rig, THREE, durability=durability)
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [f"undo_demote_primary {PRIMARY} semi_sync={semi_sync}"]

    in_session(main)


def test_nothing_is_demoted_without_the_lock() -> None:
    """The lock may go while the new primary catches up."""

    async def main(rig: Rig) -> None:
        tell(rig, THREE)
        rig.held.tell("check", LockLost("gone"))
        with pytest.raises(LockLost):
            await move(rig, THREE)
        assert not rig.session.can_undo
        assert f"demote_primary {PRIMARY}" not in rig.tablets.at

    in_session(main)


# Which tablet


@pytest.mark.parametrize(
    ("tablets", "winner"),
    [
        ((replica(FIRST), replica(SECOND)), FIRST),
        ((with_lag(replica(FIRST), 9), with_lag(replica(SECOND), 2)), SECOND),
        ((with_lag(replica(FIRST), None), with_lag(replica(SECOND), 100)), SECOND),
        ((with_lag(replica(FIRST), 5), replica(FAR)), FIRST),
        ((failing(replica(FIRST)), replica(SECOND), replica(THIRD)), SECOND),
    ],
    ids=["by name", "least lag", "unknown lag", "same cell first", "silent"],
)
def test_the_best_replica_wins(tablets: tuple[TabletView, ...], winner: str) -> None:
    """By the policy's rule, then the primary's cell, then the lag, then the name."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), *tablets)
        tell(rig, view)
        assert await move(rig, view) == alias(winner)

    in_session(main)


def test_a_tablet_of_a_cell_without_topology_server_is_moved_to_last() -> None:
    """It could not write that it is primary; the plan says so."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica(FIRST), replica(FAR), unreachable_cells={"zone1": "refused"})
        tell(rig, view)
        assert await move(rig, view) == alias(FAR)

    in_session(main)


def test_the_tablet_that_is_named_wins() -> None:
    """It wins also if another is better."""

    async def main(rig: Rig) -> None:
        tell(rig, THREE)
        assert await move(rig, THREE, SECOND) == alias(SECOND)
        assert f"promote_replica {SECOND}" in rig.tablets.at

    in_session(main)


@pytest.mark.parametrize(
    ("view", "wanted", "rule", "text"),
    [
        (THREE, THIRD, Rule.NOT_ELIGIBLE, f"{THIRD} is no tablet of the shard, or is already its primary"),
        (THREE, PRIMARY, Rule.NOT_ELIGIBLE, f"{PRIMARY} is no tablet of the shard, or is already its primary"),
        (
            shard(primary(), failing(replica(FIRST)), replica(SECOND), replica(THIRD)),
            FIRST,
            Rule.NOT_ELIGIBLE,
            f"{FIRST} does not answer",
        ),
        (
            shard(primary(), replica(FIRST, of=SECOND), replica(SECOND), replica(THIRD)),
            FIRST,
            Rule.NOT_ELIGIBLE,
            f"{FIRST} does not replicate from {PRIMARY}",
        ),
        (shard(primary(), failing(replica(FIRST))), None, Rule.NO_CANDIDATE, f"{FIRST} does not answer"),
        (shard(failing(primary()), replica(FIRST)), None, Rule.NO_PRIMARY, "no primary that answers"),
        (shard(replica(FIRST), named=None), None, Rule.NO_PRIMARY, "no primary that answers"),
        (
            shard(
                primary(read_only=True),
                replica(FIRST),
                replica(SECOND),
                failing(replica(FAR)),
                failing(replica("zone2-201")),
                unreachable_cells={"zone2": "no answer"},
            ),
            None,
            Rule.UNREACHABLE_CELL,
            "may have become primary unseen",
        ),
        (
            shard(primary(), replica(FIRST), replica(SECOND, of="zone9-900", executed="900:1-9")),
            None,
            Rule.EXTERNAL_SOURCE,
            f"{SECOND} cannot be re-pointed",
        ),
    ],
    ids=[
        "unknown",
        "primary",
        "silent",
        "of another",
        "none",
        "silent primary",
        "no primary",
        "unseen",
        "external source",
    ],
)
def test_what_cannot_be_moved_safely_is_refused_before_anything_is_changed(
    view: ShardView, wanted: str | None, rule: Rule, text: str
) -> None:
    """The refusal has its rule and names the tablet; no tablet is changed."""

    async def main(rig: Rig) -> None:
        tell(rig, view)
        with pytest.raises(RecoveryRefused, match=text) as refused:
            await move(rig, view, wanted)
        assert refused.value.rule is rule
        assert [call for call in rig.calls if "clock" not in call] == []
        assert rig.session.winner is None

    in_session(main)


def test_a_refusal_says_of_each_tablet_why_it_was_removed() -> None:
    """The record has all reasons, whether a tablet was named or not."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), failing(replica(FIRST)), replica(SECOND, of=THIRD))
        for wanted in (FIRST, None):
            rig.session.removed = {}
            with pytest.raises(RecoveryRefused):
                await move(rig, view, wanted)
            assert rig.session.removed.keys() == {alias(FIRST), alias(SECOND)}
            assert rig.session.removed[alias(FIRST)] == "does not answer"

    in_session(main)


@pytest.mark.parametrize("named", [None, FIRST])
def test_a_tablet_with_a_late_clock_is_no_candidate(named: str | None) -> None:
    """Its term would begin before the present one, and readers of the topology would not take it for the primary."""

    async def main(rig: Rig) -> None:
        view = shard(primary(term=WALL), replica(FIRST), replica(SECOND), term=WALL)
        tell(rig, view)
        rig.tablets.tell(f"wall_clock {FIRST}", WALL - 10**9)
        rig.tablets.tell(f"wall_clock {SECOND}", WALL + 1)
        if named is None:
            assert await move(rig, view) == alias(SECOND)
        else:
            with pytest.raises(RecoveryRefused, match=f"{FIRST} .*clock"):
                await move(rig, view, named)

    in_session(main)


def test_only_the_clocks_of_candidates_are_read() -> None:
    """A tablet that does not answer would hold up the others."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), failing(replica(FIRST)), replica(SECOND), replica(THIRD))
        tell(rig, view)
        await move(rig, view)
        assert sorted(call for call in rig.calls if "clock" in call) == [
            f"wall_clock {SECOND}",
            f"wall_clock {THIRD}",
        ]

    in_session(main)


@pytest.mark.parametrize(
    "tablet",
    [
        with_threads(replica(FIRST), backup_running=True),
        changed(replica(FIRST), failure=None, status=None),
    ],
    ids=["backup", "no status"],
)
def test_a_tablet_in_a_backup_or_without_a_status_is_no_candidate(tablet: TabletView) -> None:
    """Its backup would break, or nothing is known of it."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), tablet, replica(SECOND), replica(THIRD))
        tell(rig, view)
        assert await move(rig, view) == alias(SECOND)

    in_session(main)


def test_tablets_that_do_not_answer_are_no_ackers_of_the_new_primary() -> None:
    """The new primary could have no write acknowledged by a silent tablet; the old primary becomes its acker."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica(FIRST), failing(replica(SECOND)))
        tell(rig, view)
        assert await move(rig, view) == alias(FIRST)
        assert rig.session.argument is not None
        assert rig.session.argument.unreached == (alias(SECOND),)

    in_session(main)


def test_a_new_primary_needs_an_acker_that_answers() -> None:
    """Under cross_cell no tablet of its own cell may acknowledge, and the one elsewhere is silent."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica(FIRST), failing(replica(FAR)))
        tell(rig, view)
        with pytest.raises(RecoveryRefused) as refused:
            await move(rig, view, durability="cross_cell")
        assert refused.value.rule is Rule.NO_CANDIDATE

    in_session(main)


def test_a_new_primary_needs_an_acker_that_can_acknowledge() -> None:
    """The former primary acknowledges; a replica that tells no settings of semi-sync does not count."""

    async def main(rig: Rig) -> None:
        mute = changed(replica(SECOND), status=replace(_status(replica(SECOND)), semi_sync=SemiSyncStatus()))
        view = shard(primary(), replica(FIRST), mute)
        tell(rig, view)
        assert await move(rig, view) == alias(FIRST)
        far = changed(replica(FAR), status=replace(_status(replica(FAR)), semi_sync=SemiSyncStatus()))
        with pytest.raises(RecoveryRefused, match=f"as {alias(FAR)} tells no settings of semi-sync") as refused:
            await move(rig, shard(primary(), replica(FIRST), far), durability="cross_cell")
        assert refused.value.rule is Rule.NO_CANDIDATE

    in_session(main)


def _status(tablet: TabletView) -> TabletStatus:
    assert tablet.status is not None
    return tablet.status


# Which tablets are re-pointed


@pytest.mark.parametrize(
    ("tablet", "repointed"),
    [
        (replica(THIRD), True),
        (replica(THIRD, received="100:51-70"), True),
        (replica(THIRD, received="100:51-71"), False),
        (replica(THIRD, executed="100:1-50,103:1"), True),
        (replica(THIRD, TabletType.RDONLY, semi_sync=False), True),
        (replica(THIRD, TabletType.SPARE, semi_sync=False), False),
        (failing(replica(THIRD)), False),
    ],
    ids=["replica", "behind", "has more", "errant but applied", "rdonly", "spare", "silent"],
)
def test_tablets_that_lose_nothing_are_repointed(tablet: TabletView, repointed: bool) -> None:
    """The new primary must have all of a relay log that is dropped; what is applied is not dropped."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica(FIRST), replica(SECOND), tablet)
        tell(rig, view)
        await move(rig, view, FIRST)
        assert (f"set_replication_source {THIRD}" in rig.tablets.at) is repointed
        assert (f"wait_for_position {THIRD} position=100:1-70" in rig.calls) is repointed
        assert f"set_replication_source {FIRST}" not in rig.tablets.at

    in_session(main)
