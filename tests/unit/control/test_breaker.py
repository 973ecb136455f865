"""Many primaries lost at once: one announcement with what they share, and held-back replacements if the
operator wants.
"""

from dataclasses import replace

import pytest

from tests.unit.core.builders import alias, primary
from vtorc.control.breaker import (
    ANNOUNCE_AFTER,
    END_AFTER,
    HOLD_NOTHING,
    LOSS_WINDOW,
    MIN_LOSSES,
    SETTLED_AFTER,
    Breaker,
)
from vtorc.control.observer import Announcement
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement


class Fleet:
    """A breaker, the shards that it watches, and what it announces."""

    def __init__(self, shards: int = 100, *, hold_above: int = HOLD_NOTHING) -> None:
        self.time = 0.0
        self.hold_above = hold_above
        self.counted = 0
        """How often the breaker has asked for the number of shards, as it does whenever it looks at a storm."""
        self.announced: list[Announcement] = []

        def count() -> int:
            self.counted += 1
            return shards

        self.breaker = Breaker(
            now=lambda: self.time,
            shards=count,
            hold_above=lambda: self.hold_above,
            announce=self.announced.append,
        )

    def lose(
        self, *numbers: int, code: Code = Code.DEAD_PRIMARY, rule: Rule = Rule.ACT, cell: str = "zone1", host: str = ""
    ) -> None:
        """Report that shards have lost their primary."""
        for number in numbers:
            name = f"{cell}-{number}"
            finding = Finding(code=code, shard=_id(number), alias=alias(name), sentence="it is lost")
            recovery = Recovery.RECOVER_DEAD_PRIMARY if rule is Rule.ACT else None
            decision = Decision(finding=finding, recovery=recovery, rule=rule, sentence="it is lost")
            self._see(number, name, (decision,), host=host)

    def well(self, *numbers: int, by: str = "zone2-900") -> None:
        """Report that shards are well, with the primary `by`, or the old one if that is empty."""
        for number in numbers:
            self._see(number, by or f"zone1-{number}", ())

    def refuse(self, *numbers: int) -> None:
        """Report that replacing the primary was refused."""
        for number in numbers:
            self.breaker.note_recovery(
                RecoveryRecord(
                    shard=_id(number),
                    recovery=Recovery.RECOVER_DEAD_PRIMARY,
                    code=Code.DEAD_PRIMARY,
                    alias=alias(f"zone1-{number}"),
                    began=0,
                    duration=0.1,
                    outcome=Outcome.REFUSED,
                    sentence="not promoting",
                    rule=Rule.ACKERS_UNREACHED,
                )
            )

    def wait(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass; the loop of a shard that is well reports once a second, or every `step` seconds."""
        for _ in range(round(seconds / step)):
            self.time += step
            self.well(99)

    def _see(self, number: int, name: str, decisions: tuple[Decision, ...], *, host: str = "") -> None:
        tablet = primary(name, record_changes={"hostname": host or f"host-{name}"})
        view = ShardView(
            shard=_id(number),
            keyspace_record=KeyspaceRecord(name="commerce"),
            shard_record=ShardRecord(shard=_id(number)),
            tablets=(tablet,),
        )
        self.breaker.note_judgement(Judgement(view, None, decisions, None))


def _id(number: int) -> ShardId:
    return ShardId("commerce", f"{number:02x}-{number + 1:02x}")


def test_few_losses_are_no_storm() -> None:
    """Fewer than five shards are not announced, nor fewer than a fiftieth of a large fleet."""
    fleet = Fleet()
    fleet.lose(*range(MIN_LOSSES - 1))
    large = Fleet(1000)
    large.lose(*range(19))
    for each in (fleet, large):
        each.wait(60.0)
        assert each.announced == []


def test_many_losses_are_announced_once_with_what_they_share() -> None:
    """A storm is one sentence: how many of how many shards, how fast, where, and whether replicas confirm it."""
    fleet = Fleet()
    fleet.lose(*range(6))
    assert fleet.announced == []
    fleet.wait(ANNOUNCE_AFTER)
    fleet.lose(6, 7)
    fleet.wait(5.0)
    assert [each.sentence for each in fleet.announced] == [
        "6 of 100 shards lost their primary within 1 s, all of them in cell zone1; their replicas confirm it; "
        "confirmed losses are replaced, the longest outage first"
    ]


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ({"host": "host-1"}, "all of them on host host-1"),
        ({"cell": "zone2"}, "5 in cell zone1, 2 in cell zone2"),
    ],
)
def test_what_the_lost_share_is_named(other: dict[str, str], shared: str) -> None:
    """One host is named before the cell; several cells are named with their numbers."""
    fleet = Fleet()
    fleet.lose(*range(5), host="host-1")
    fleet.lose(5, 6, **other)  # type: ignore[arg-type]
    fleet.wait(ANNOUNCE_AFTER)
    assert shared in fleet.announced[0].sentence


def test_of_many_cells_three_are_named() -> None:
    """The losses in further cells are counted together."""
    fleet = Fleet()
    fleet.lose(0, 1, 2, cell="a")
    fleet.lose(3, 4, cell="b")
    fleet.lose(5, 6, cell="c")
    fleet.lose(7, cell="d")
    fleet.lose(8, cell="e")
    fleet.wait(ANNOUNCE_AFTER)
    assert "3 in cell a, 2 in cell b, 2 in cell c, 2 in others;" in fleet.announced[0].sentence


def test_the_announcement_waits_from_the_loss_that_makes_a_storm() -> None:
    """Fewer losses before it do not shorten the wait in which it becomes known what they share."""
    fleet = Fleet()
    fleet.lose(*range(4))
    fleet.wait(1.0)
    fleet.lose(4)
    fleet.wait(ANNOUNCE_AFTER - 1.0)
    assert fleet.announced == []
    fleet.wait(1.0)
    assert len(fleet.announced) == 1


def test_a_storm_is_looked_at_four_times_a_second() -> None:
    """It is announced at the moment at which it may be, and more reports do not make vtorc count more often."""
    fleet = Fleet()
    fleet.lose(*range(5))
    fleet.wait(ANNOUNCE_AFTER, step=0.25)
    assert len(fleet.announced) == 1
    fleet.wait(0.25)
    counted = fleet.counted
    for _ in range(100):
        fleet.well(99)
    assert fleet.counted == counted


@pytest.mark.parametrize(("apart", "announced"), [(LOSS_WINDOW, 1), (LOSS_WINDOW + 1.0, 0)])
def test_losses_within_thirty_seconds_belong_together(apart: float, announced: int) -> None:
    """They do whether or not the first was replaced meanwhile, and the end counts them all."""
    fleet = Fleet()
    fleet.lose(0)
    fleet.well(0)
    fleet.wait(apart)
    fleet.lose(*range(1, 5))
    fleet.wait(ANNOUNCE_AFTER)
    assert [each.sentence.split()[0] for each in fleet.announced] == ["5"] * announced
    fleet.well(*range(1, 5))
    fleet.wait(SETTLED_AFTER)
    assert all("the 5 shards" in each.sentence for each in fleet.announced[1:])
    assert len(fleet.announced) == 2 * announced


def test_a_blip_is_not_announced() -> None:
    """Primaries that are back before the announcement are no news."""
    fleet = Fleet()
    fleet.lose(*range(8))
    fleet.well(*range(8), by="")
    fleet.wait(30.0)
    assert fleet.announced == []


def test_unconfirmed_losses_that_pass_are_announced_as_over() -> None:
    """When all primaries of an unconfirmed storm are back, only its end is announced (mutant
    keep-slot-after-failure).
    """
    fleet = Fleet()
    fleet.lose(*range(8), code=Code.UNREACHABLE_PRIMARY, rule=Rule.NO_REMEDY)
    fleet.wait(ANNOUNCE_AFTER)
    fleet.well(*range(7), by="")
    fleet.wait(2.0)
    fleet.well(7, by="")
    fleet.wait(SETTLED_AFTER)
    assert [each.is_end for each in fleet.announced] == [False, True]


def test_a_storm_that_doubles_is_announced_again() -> None:
    """Twice as many losses as were announced are news."""
    fleet = Fleet()
    fleet.lose(*range(5))
    fleet.wait(ANNOUNCE_AFTER)
    fleet.lose(*range(5, 10))
    fleet.wait(1.0)
    assert [each.sentence.split()[0] for each in fleet.announced] == ["5", "10"]


def test_unconfirmed_losses_may_be_the_network_of_vtorc() -> None:
    """An announcement says that no replica confirms the losses; another one follows once replicas confirm
    half of them.
    """
    fleet = Fleet()
    fleet.lose(*range(6), code=Code.UNREACHABLE_PRIMARY, rule=Rule.UNCONFIRMED)
    fleet.wait(ANNOUNCE_AFTER)
    assert "this vtorc is cut off" in fleet.announced[0].sentence
    fleet.lose(0, 1)
    fleet.wait(1.0)
    assert len(fleet.announced) == 1
    fleet.lose(2)
    fleet.wait(1.0)
    assert "replicas confirm 3 of these losses" in fleet.announced[1].sentence


def test_the_end_says_what_became_of_all() -> None:
    """Once all is settled, one sentence counts the replaced primaries, those that are back, and why the
    others are not.
    """
    fleet = Fleet()
    fleet.lose(*range(8))
    fleet.lose(8, code=Code.DEAD_PRIMARY_AND_REPLICAS, rule=Rule.NO_REMEDY)
    fleet.wait(ANNOUNCE_AFTER)
    fleet.well(0, 1, 2, 3)
    fleet.well(4, by="")
    fleet.refuse(5, 6, 7)
    fleet.wait(SETTLED_AFTER + 1.0)
    assert fleet.announced[-1] == Announcement(
        "after 12 s, the 9 shards that lost their primary at once: 4 with a new primary, 1 with the old one back, "
        "4 still without a primary (3 refused: ackers-unreached, 1 no-remedy)",
        Rule.BREAKER,
        is_end=True,
    )
    fleet.wait(120.0)
    assert len(fleet.announced) == 2


def test_the_end_is_announced_even_if_losses_stay_undecided() -> None:
    """A loss that stays undecided does not keep the end from being announced."""
    fleet = Fleet()
    fleet.lose(*range(6), rule=Rule.UNCONFIRMED)
    for _ in range(round(END_AFTER)):
        assert not any(each.is_end for each in fleet.announced)
        fleet.wait(1.0)
        fleet.lose(*range(6), rule=Rule.UNCONFIRMED)
    assert fleet.announced[-1].is_end


def test_a_decision_that_changes_keeps_a_storm_going() -> None:
    """The end waits for a minute without any news; after a failed attempt only its pauses come and go."""
    fleet = Fleet()
    fleet.lose(*range(6), rule=Rule.UNCONFIRMED)
    fleet.wait(END_AFTER - 1.0)
    fleet.lose(0, rule=Rule.NO_CANDIDATE)
    fleet.wait(END_AFTER - 1.0)
    assert not fleet.announced[-1].is_end
    fleet.lose(*range(6))
    fleet.refuse(*range(6))
    for _ in range(round(SETTLED_AFTER)):
        assert not fleet.announced[-1].is_end
        fleet.wait(1.0)
        fleet.lose(0, rule=Rule.BACKOFF)
        fleet.lose(0)
    assert fleet.announced[-1].is_end


def test_a_primary_that_is_lost_again_counts() -> None:
    """That it was replaced before does not matter."""
    fleet = Fleet()
    fleet.lose(*range(4))
    fleet.well(*range(4))
    fleet.lose(*range(5))
    fleet.wait(ANNOUNCE_AFTER)
    fleet.well(*range(4))
    fleet.wait(SETTLED_AFTER + 1.0)
    assert not fleet.announced[-1].is_end
    fleet.well(4)
    fleet.wait(SETTLED_AFTER)
    assert "5 with a new primary, 0 with the old one back" in fleet.announced[-1].sentence


def test_a_later_storm_is_another_one() -> None:
    """After the end the next losses are counted anew, without the shards that are still without a primary."""
    fleet = Fleet()
    fleet.lose(40)
    fleet.wait(LOSS_WINDOW + 1.0)
    fleet.lose(*range(6))
    fleet.wait(ANNOUNCE_AFTER)
    fleet.refuse(*range(6))
    fleet.wait(SETTLED_AFTER + 1.0)
    fleet.lose(*range(10, 15))
    fleet.wait(ANNOUNCE_AFTER)
    assert fleet.announced[-1].sentence.startswith("5 of 100 shards")
    fleet.refuse(*range(10, 15))
    fleet.wait(SETTLED_AFTER + 1.0)
    assert fleet.announced[-1].sentence.startswith("after 10 s, the 5 shards")


def test_nothing_is_held_back_unless_asked() -> None:
    """By default every primary may be replaced, however many are lost."""
    for fleet in (Fleet(), Fleet(0)):
        fleet.lose(*range(99))
        assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""


def test_an_operator_may_hold_replacements_back() -> None:
    """Above the operator's share no primary is replaced, repairs go on, and a reload or primaries that
    return end it.
    """
    fleet = Fleet(hold_above=10)
    fleet.lose(*range(10))
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""
    fleet.lose(10)
    assert "11 of 100 shards" in fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)
    assert fleet.breaker.reason_to_hold(Recovery.FIX_REPLICA) == ""
    fleet.wait(ANNOUNCE_AFTER)
    assert "no primary is replaced any more" in fleet.announced[0].sentence
    fleet.well(0, by="")
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""
    fleet.wait(1.0)
    assert "confirmed losses are replaced" in fleet.announced[1].sentence
    fleet.lose(11)
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)
    fleet.hold_above = HOLD_NOTHING
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""


def test_five_losses_are_enough_for_a_hold() -> None:
    """Fewer are never held back, however small the share."""
    fleet = Fleet(hold_above=1)
    fleet.lose(*range(MIN_LOSSES - 1))
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""
    fleet.lose(MIN_LOSSES - 1)
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)


def test_a_hold_is_announced_although_its_shards_report_all_the_time() -> None:
    """The wait for the announcement does not begin anew with each report."""
    fleet = Fleet(hold_above=10)
    fleet.lose(*range(11))
    for _ in range(round(ANNOUNCE_AFTER)):
        fleet.wait(1.0)
        fleet.lose(*range(11))
    assert len(fleet.announced) == 1


def test_a_hold_does_not_count_what_passed_long_ago() -> None:
    """It takes every present loss in, however old, but no primary that was replaced before its storm."""
    fleet = Fleet(hold_above=10)
    fleet.lose(40)
    fleet.wait(60.0)
    fleet.lose(41)
    fleet.well(41)
    fleet.wait(60.0)
    fleet.lose(*range(10))
    fleet.wait(ANNOUNCE_AFTER)
    assert fleet.announced[0].sentence.startswith("11 of 100 shards")


@pytest.mark.parametrize(("ago", "is_held"), [(LOSS_WINDOW, True), (LOSS_WINDOW + 1.0, False)])
def test_what_was_replaced_just_now_counts_for_the_hold(ago: float, is_held: bool) -> None:
    """Quick replacements do not let a storm pass below the share."""
    fleet = Fleet(hold_above=10)
    fleet.lose(0)
    fleet.well(0)
    fleet.wait(ago)
    for number in range(1, 11):
        fleet.lose(number)
        fleet.well(number)
    assert bool(fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)) is is_held


def test_a_hold_lasts_until_an_operator_or_the_primaries_end_it() -> None:
    """A hold stays however long nothing happens; it is announced once, and so is its end."""
    fleet = Fleet(hold_above=10)
    fleet.lose(*range(11), rule=Rule.BREAKER)
    for _ in range(20):
        fleet.wait(END_AFTER / 4)
        assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)
    assert len(fleet.announced) == 1
    fleet.hold_above = HOLD_NOTHING
    fleet.lose(*range(11))
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""
    fleet.well(*range(11))
    fleet.wait(SETTLED_AFTER + 1.0)
    assert fleet.announced[-1].sentence.endswith(
        "the 11 shards that lost their primary at once: 11 with a new primary, 0 with the old one back"
    )


def test_a_small_share_holds_a_large_fleet() -> None:
    """A hold below the share that makes a storm takes effect and is announced."""
    fleet = Fleet(1000, hold_above=1)
    fleet.lose(*range(10))
    assert fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY) == ""
    fleet.lose(10)
    assert "11 of 1000 shards" in fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)
    fleet.wait(ANNOUNCE_AFTER)
    assert "no primary is replaced any more" in fleet.announced[0].sentence


def test_what_is_still_without_counts_for_the_hold() -> None:
    """Losses that were announced already count with a few new ones; so does a share that the operator lowers."""
    fleet = Fleet(hold_above=10)
    fleet.lose(*range(9))
    fleet.wait(ANNOUNCE_AFTER)
    fleet.refuse(*range(9))
    fleet.wait(SETTLED_AFTER + 1.0)
    assert fleet.announced[-1].is_end
    fleet.wait(3600.0)
    fleet.lose(20, 21)
    assert "11 of 100 shards" in fleet.breaker.reason_to_hold(Recovery.RECOVER_DEAD_PRIMARY)
    fleet.wait(ANNOUNCE_AFTER)
    assert fleet.announced[-1].sentence.startswith("11 of 100 shards")
    fleet.hold_above = HOLD_NOTHING
    fleet.wait(END_AFTER + 1.0)
    assert fleet.announced[-1].is_end
    fleet.hold_above = 10
    fleet.lose(20)
    fleet.wait(ANNOUNCE_AFTER)
    assert "no primary is replaced any more" in fleet.announced[-1].sentence


def test_a_shard_that_is_gone_counts_no_more() -> None:
    """A shard that was deleted is no loss, and one that was well before is forgotten all the same."""
    fleet = Fleet()
    fleet.lose(*range(5))
    fleet.breaker.forget(_id(0))
    fleet.breaker.forget(_id(77))
    fleet.wait(30.0)
    assert fleet.announced == []


def test_a_record_that_is_late_is_no_loss() -> None:
    """Between an election and the new primary's record its tablet looks deleted; that is a loss only once it is
    confirmed.
    """
    fleet = Fleet()
    for confirmed in (False, True):
        for number in range(5):
            finding = Finding(
                code=Code.PRIMARY_TABLET_DELETED, shard=_id(number), alias=None, sentence="gone", confirmed=confirmed
            )
            record = ShardRecord(shard=_id(number), primary_alias=alias("zone3-7"), primary_term_start=1)
            view = ShardView(shard=_id(number), keyspace_record=KeyspaceRecord(name="commerce"), shard_record=record)
            decision = Decision(finding=finding, recovery=None, rule=Rule.UNCONFIRMED, sentence="gone")
            fleet.breaker.note_judgement(Judgement(view, None, (decision,), None))
        fleet.wait(ANNOUNCE_AFTER)
        assert len(fleet.announced) == confirmed
    assert "all of them in cell zone3" in fleet.announced[0].sentence


def test_a_primary_that_does_not_answer_yet_is_not_back() -> None:
    """Between the loss and the next primary's first answer a shard counts as lost."""
    fleet = Fleet()
    fleet.lose(*range(5))
    view = ShardView(
        shard=_id(0), keyspace_record=KeyspaceRecord(name="commerce"), shard_record=ShardRecord(shard=_id(0))
    )
    fleet.breaker.note_judgement(Judgement(view, None, (), None))
    fleet.breaker.note_judgement(Judgement(replace(view, tablets=(primary("zone2-1", dead_for=1.0),)), None, (), None))
    fleet.wait(ANNOUNCE_AFTER)
    assert fleet.announced[0].sentence.startswith("5 of 100")
