"""What a plan tells: the choice of the code that acts, the reasons against the others, and what it would cost."""

import pytest

from tests.unit.core.builders import alias, failing, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, WALL, Rig, with_rig
from tests.unit.recovery.test_planned_calls import with_lag
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.desk.outlook import Outlook, OutlookMaker

PRIMARY, FIRST, SECOND, THIRD = (alias(f"zone1-{number}") for number in (100, 101, 102, 103))
WELL = shard(primary(), replica("zone1-101"), replica("zone1-102"))
LOST = shard(
    primary(dead_for=3.0),
    replica("zone1-101", io=ThreadState.CONNECTING),
    replica("zone1-102", io=ThreadState.CONNECTING),
)


def maker(rig: Rig, view: ShardView, *, durability: str = "semi_sync", gap: float | None = None) -> OutlookMaker:
    """Return what tells of reparents of this view; every clock is right."""
    for tablet in view.tablets:
        rig.tablets.tell(f"wall_clock {tablet.alias}", WALL)
    return OutlookMaker(rig.tools, view, policy(durability), gap)


def told(outlook: Outlook) -> str:
    """Return all that an outlook says, in lower case."""
    return " ".join([*outlook.steps, outlook.argument, outlook.write_gap, outlook.risk]).lower()


def test_a_planned_reparent_is_told_with_its_choice_and_its_steps() -> None:
    """Clocks are read, and nothing else is asked of tablets or of the topology server."""

    async def main(rig: Rig) -> None:
        outlook = await maker(rig, WELL).planned(None)
        assert (outlook.to, outlook.refusal, outlook.risk) == (FIRST, None, "")
        assert outlook.why_not == {
            SECOND: f"may be promoted, but {FIRST} comes first: the other comes first by name",
        }
        order = [f"applied all that {PRIMARY}", f"make {PRIMARY} read-only", f"make {FIRST} primary", "no way back"]
        places = [told(outlook).index(text) for text in order]
        assert places == sorted(places)
        assert outlook.steps[2].endswith(f"If MySQL is slow to switch semi-sync off, disconnect {SECOND}.")
        assert outlook.steps[5] == f"Make these replicate from {FIRST}: {PRIMARY}, {SECOND}."
        assert set(rig.calls) == {f"wall_clock {FIRST}", f"wall_clock {SECOND}"}
        assert rig.topo.calls == []

    with_rig(main)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (with_lag(replica("zone1-101"), 9), "the other is less behind"),
        (with_lag(replica("zone2-101"), 0), "the other is in the cell of the primary"),
        (with_lag(replica("zone3-101"), 0), "the topology server of its cell does not answer"),
    ],
)
def test_a_tablet_that_comes_second_is_told_why(other: TabletView, why: str) -> None:
    """The first part of the order in which they differ is the reason."""

    async def main(rig: Rig) -> None:
        view = shard(
            primary(),
            other,
            with_lag(replica("zone1-102"), 0),
            unreachable_cells={"zone3": "the connection is refused"},
        )
        outlook = await maker(rig, view).planned(None)
        assert outlook.to == SECOND
        (told_why,) = outlook.why_not.values()
        assert told_why.endswith(why)

    with_rig(main)


def test_a_named_tablet_is_chosen_and_the_others_were_not_named() -> None:
    """The operator's word counts as far as the tablet may be promoted at all."""

    async def main(rig: Rig) -> None:
        outlook = await maker(rig, WELL).planned(SECOND)
        assert (outlook.to, outlook.why_not) == (SECOND, {FIRST: f"{SECOND} was named"})
        refused = await maker(rig, WELL).planned(THIRD)
        assert refused.to is None
        assert refused.refusal == f"not promoting: {THIRD} is no tablet of the shard, or is already its primary"
        assert refused.steps == ()

    with_rig(main)


def test_a_clock_that_does_not_come_in_time_is_left_out() -> None:
    """A plan waits no longer for a tablet than the reparent would."""

    async def main(rig: Rig) -> None:
        asked = maker(rig, WELL)
        rig.tablets.tell(f"wall_clock {FIRST}", takes=NEVER)
        before = rig.tools.clock.now()
        assert (await asked.planned(None)).to == FIRST
        assert rig.tools.clock.now() - before == pytest.approx(1.0)

    with_rig(main)


def test_a_tablet_with_a_late_clock_is_no_candidate() -> None:
    """Its term would begin before the present one."""

    async def main(rig: Rig) -> None:
        asked = maker(rig, WELL)
        rig.tablets.tell(f"wall_clock {FIRST}", 0)
        outlook = await asked.planned(None)
        assert outlook.to == SECOND
        assert "clock" in outlook.why_not[FIRST]

    with_rig(main)


def test_the_write_gap_is_told_from_what_is_known() -> None:
    """The lag of the new primary, the longest wait, and the gap of an earlier reparent of the shard."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), with_lag(replica("zone1-101"), 4), with_lag(replica("zone1-102"), 7))
        gap = (await maker(rig, view, gap=0.213).planned(None)).write_gap
        assert f"{FIRST} was 4 s behind when last asked." in gap
        assert "within 30 s" in gap
        assert gap.endswith("The last reparent of this shard paused them for 0.21 s.")
        assert "The last reparent" not in (await maker(rig, view).planned(None)).write_gap

    with_rig(main)


def test_an_emergency_reparent_is_told_with_the_election_as_of_now() -> None:
    """Its argument is that of the election; the lost primary is no candidate."""

    async def main(rig: Rig) -> None:
        outlook = await maker(rig, LOST).emergency()
        assert (outlook.to, outlook.refusal, outlook.risk) == (FIRST, None, "")
        assert outlook.why_not[PRIMARY] == "was not reached"
        assert outlook.why_not[SECOND].startswith(f"comes after {FIRST}")
        assert "every write it acknowledged is on a stopped tablet" in outlook.argument
        assert outlook.steps[1] == f"Stop replication on {FIRST}, {SECOND}."
        assert outlook.write_gap.startswith(f"Writes fail already if {PRIMARY} is lost")
        assert {call.split()[0] for call in rig.calls} == {"wall_clock"}

    with_rig(main)


def test_an_emergency_reparent_of_a_primary_that_answers_promotes_another() -> None:
    """The primary is stopped first, and its writes pause from then on."""

    async def main(rig: Rig) -> None:
        outlook = await maker(rig, WELL).emergency()
        assert outlook.to == FIRST
        assert outlook.steps[1].endswith(f"make {PRIMARY} read-only: writes pause from here.")
        assert outlook.write_gap.startswith(f"Writes pause as soon as {PRIMARY} is stopped")

    with_rig(main)


def test_an_emergency_reparent_that_the_election_would_refuse_is_refused() -> None:
    """Before any tablet was stopped the operator reads what is missing."""

    async def main(rig: Rig) -> None:
        view = shard(
            failing(primary(), ProbeFailure.TIMEOUT),
            replica("zone1-101", io=ThreadState.CONNECTING),
            failing(replica("zone1-102"), ProbeFailure.TIMEOUT),
        )
        outlook = await maker(rig, view).emergency()
        assert outlook.to is None
        assert outlook.refusal is not None
        assert outlook.refusal.startswith("not promoting: ")
        assert outlook.steps == ()

    with_rig(main)


def test_without_acknowledgements_an_emergency_reparent_has_a_risk() -> None:
    """The policy promises nothing about writes that only the lost primary has."""

    async def main(rig: Rig) -> None:
        outlook = await maker(rig, LOST, durability="none").emergency()
        assert outlook.to == FIRST
        assert outlook.risk.startswith("The policy none asks for no acknowledgements")

    with_rig(main)


def test_a_forced_promotion_is_told_with_its_loss() -> None:
    """The estimate is that of the promotion itself, and has to be accepted."""

    async def main(rig: Rig) -> None:
        view = shard(primary(dead_for=3.0), replica("zone1-101"), replica("zone1-102"), failing(replica("zone1-103")))
        outlook = maker(rig, view).forced(SECOND)
        assert (outlook.to, outlook.refusal) == (SECOND, None)
        assert outlook.data_loss is not None
        assert outlook.risk == outlook.data_loss.sentence
        assert str(THIRD) in outlook.risk
        assert outlook.why_not == dict.fromkeys((PRIMARY, FIRST, THIRD), "was not named")
        assert rig.calls == []

    with_rig(main)


def test_a_forced_promotion_that_is_impossible_is_refused() -> None:
    """No acceptance changes that a tablet does not answer."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica("zone1-101"), failing(replica("zone1-102")))
        outlook = maker(rig, view).forced(SECOND)
        assert outlook.to is None
        assert outlook.refusal == f"not promoting: {SECOND} was not reached"
        assert outlook.why_not[FIRST] == "was not named"

    with_rig(main)
