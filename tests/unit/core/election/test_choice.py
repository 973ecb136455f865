"""Who is promoted, or what is missing; scenarios are those of the failures that users reported."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import NO_ACK_TIMEOUT, P, alias, by_alias, gtids, stopped, uuid
from vtorc.core.election.ack_arithmetic import ObservedSemiSync
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, certain_refusal, choose
from vtorc.core.election.revocation import unrevoked
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule, policy
from vtorc.core.facts.fitness import fitness
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus
from vtorc.core.facts.unfitness import Subject

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
DEAD = Member(alias(P), TabletType.PRIMARY)
ACKING = TabletStatus(semi_sync=SemiSyncStatus(timeout=NO_ACK_TIMEOUT, wait_for_replica_count=1))
SEMI_SYNC, CROSS_CELL, NONE = policy("semi_sync"), policy("cross_cell"), policy("none")


def candidates(
    *tablets: StoppedTablet,
    unreached: tuple[Member, ...] = (DEAD,),
    known: str = "100:1-50",
    seen: str = "",
    **changes: Any,
) -> CandidateSet:
    """Tablets that were stopped after zone1-100 died, which was seen to hold `known`."""
    made = CandidateSet(
        members=[*(each.member for each in tablets), *unreached],
        stopped=by_alias(tablets),
        primary=alias(P),
        primary_uuids=frozenset({uuid(P)}),
        primary_executed=gtids(known),
        primary_committed=gtids(seen),
    )
    return replace(made, **changes)


def member(name: str, type_: TabletType = TabletType.REPLICA) -> Member:
    return Member(alias(name), type_)


def elected(candidates: CandidateSet, chosen: DurabilityPolicy = SEMI_SYNC) -> Choice:
    outcome = choose(candidates, chosen)
    assert isinstance(outcome, Choice), outcome
    return outcome


def refused(candidates: CandidateSet, chosen: DurabilityPolicy = SEMI_SYNC) -> Refusal:
    outcome = choose(candidates, chosen)
    assert isinstance(outcome, Refusal), outcome
    assert outcome.sentence.startswith("not promoting: ")
    return outcome


def test_who_received_everything_wins() -> None:
    """Of two replicas the one that received the last write wins, and no other may in its place."""
    choice = elected(candidates(stopped(R1, "100:1-49"), stopped(R2, "100:1-50", executed="100:1-40")))
    assert (choice.winner, choice.holders, choice.source) == (alias(R2), (alias(R2),), None)
    assert choice.required == gtids("100:1-50")
    assert choice.removed == {alias(P): "was not reached"}


def test_equals_are_ranked_by_cell_progress_and_name() -> None:
    """Among holders the old primary's cell comes first, then what is executed, then the alias; all of them may win."""
    choice = elected(
        candidates(
            stopped(R3, "100:1-50"),
            stopped(R2, "100:1-50", executed="100:1-49"),
            stopped("zone1-105", "100:1-50", executed="100:1-20"),
            stopped("zone1-104", "100:1-50", executed="100:1-20"),
        )
    )
    assert [str(each) for each in choice.holders] == [
        "zone1-0000000104",
        "zone1-0000000105",
        "zone3-0000000300",
        "zone2-0000000200",
    ]


@pytest.mark.parametrize(
    ("standing", "running", "wishes", "winner"),
    [
        (stopped(R2, "100:1-50", was_standing=True), stopped(R3, "100:1-50"), {}, R3),
        (stopped(R1, "100:1-50", was_standing=True), stopped(R3, "100:1-50"), {}, R3),
        (stopped(R1, "100:1-50", was_standing=True), stopped(R3, "100:1-50", executed="100:1-49"), {}, R3),
        (stopped(R2, "100:1-50", was_standing=True), stopped(R3, "100:1-49"), {}, R2),
        (stopped(R2, "100:1-50", was_standing=True), stopped(R3, "100:1-50"), {R2: PromotionRule.PREFER}, R2),
        (stopped(R2, "100:1-50", was_standing=True), stopped(R3, "100:1-50", was_standing=True), {}, R2),
    ],
    ids=["by name", "at home", "has applied more", "alone holds all", "wanted by an operator", "both stood"],
)
def test_of_those_that_hold_everything_one_that_ran_wins_over_one_that_stood(
    standing: StoppedTablet, running: StoppedTablet, wishes: dict[str, PromotionRule], winner: str
) -> None:
    """An operator may be at work on a replica with a stopped SQL thread, so that it wins only if more speaks for it."""
    wanted = {alias(name): rule for name, rule in wishes.items()}
    assert elected(candidates(standing, running, wishes=wanted)).winner == alias(winner)


def test_a_tablet_of_a_cell_without_topology_server_is_tried_last() -> None:
    """Its promotion would fail, as it cannot write that it is primary; it wins only where no other tablet can."""
    near = "zone1-104"
    choice = elected(
        candidates(stopped(near, "100:1-50"), stopped(R2, "100:1-50"), unreachable_cells=frozenset({"zone1"}))
    )
    assert choice.holders == (alias(R2),)
    assert [each.holders for each in choice.otherwise] == [(alias(near),)]
    choice = elected(
        candidates(stopped(near, "100:1-50"), stopped(R2, "100:1-49"), unreachable_cells=frozenset({"zone1"}))
    )
    assert (choice.winner, choice.source) == (alias(R2), alias(near))
    choice = elected(
        candidates(stopped(near, "100:1-50"), stopped(R2, "100:1-50"), unreachable_cells=frozenset({"zone1", "zone2"}))
    )
    assert choice.holders == (alias(near), alias(R2))


def test_a_tablet_is_not_elected_whose_only_acker_cannot_acknowledge() -> None:
    """The refusal says of the acker what is missing; with another acker the tablet wins, and without acks it does."""
    mute = fitness(Subject(status=TabletStatus(), peers={alias(R1): ACKING}, required_acks=1))
    few = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), fitness={alias(R2): mute})
    refusal = refused(few)
    assert refusal.rule is Rule.NO_CANDIDATE
    needs = (
        f"{alias(R1)} would get 0 of the 1 acknowledgements that semi_sync requires, as {alias(R2)} tells no settings"
    )
    assert needs in refusal.sentence
    assert elected(few, NONE).winner == alias(R1)
    more = candidates(
        stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), stopped(R3, "100:1-50"), fitness={alias(R2): mute}
    )
    assert elected(more).holders == (alias(R1), alias(R3))


def test_scenario_9_a_relay_log_that_nobody_applies_is_not_ignored() -> None:
    """A broken applier whose relay log holds the last write makes the election refuse, naming its error; if another
    has the write too, that one wins.
    """
    broken = stopped(R1, "100:1-50", executed="100:1-40", applier_stopped="duplicate key")
    refusal = refused(candidates(broken, stopped(R2, "100:1-49")))
    assert refusal.rule == Rule.APPLIER_STOPPED
    assert refusal.sentence.endswith(
        "only zone1-0000000101 holds every transaction, but its relay log is not applied "
        "(zone1-0000000101: duplicate key)"
    )
    choice = elected(candidates(broken, stopped(R2, "100:1-50")))
    assert (choice.winner, choice.holders) == (alias(R2), (alias(R2),))


def test_a_broken_applier_does_not_win_over_one_that_must_fetch() -> None:
    """Who cannot apply is passed over for a sound tablet, even if that has to fetch the last writes from an RDONLY."""
    broken = stopped(R1, "100:1-50", executed="100:1-40", applier_stopped="duplicate key")
    feeder = stopped("zone1-112", "100:1-50", type_=TabletType.RDONLY)
    choice = elected(candidates(broken, stopped(R2, "100:1-49"), feeder))
    assert (choice.winner, choice.source) == (alias(R2), feeder.alias)


def test_scenario_10_nobody_is_promoted_below_what_the_primary_was_seen_at() -> None:
    """If all relay logs were lost at once, the election refuses and names the transactions."""
    refusal = refused(candidates(stopped(R1, "100:1-40"), stopped(R2, "100:1-41"), seen="100:1-50"))
    assert refusal.rule == Rule.BELOW_LAST_SEEN
    assert "zone1-0000000100 was seen to have committed 9 transactions: 00000100…:42-50" in refusal.sentence
    lagging = candidates(stopped(R1, "100:1-40"), stopped(R2, "100:1-41"), seen="100:1-50")
    assert elected(replace(lagging, primary_committed=gtids("")), NONE).winner == alias(R2)
    refusal = refused(lagging, NONE)
    assert refusal.rule == Rule.BELOW_LAST_SEEN
    assert "before it ceased to wait for acknowledgements" in refusal.sentence


def test_writes_of_earlier_terms_are_not_left_behind() -> None:
    """What the primary was seen to have of earlier primaries was acknowledged long ago: somebody must have it."""
    refusal = refused(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), known="99:1-7,100:1-50"))
    assert refusal.rule == Rule.BELOW_LAST_SEEN


def test_scenario_11_who_lags_by_hours_is_not_waited_for() -> None:
    """A candidate without the last writes is neither among those that may win nor in the way."""
    choice = elected(candidates(stopped(R1, "100:1-3"), stopped(R2, "100:1-50"), stopped(R3, "100:1-50")))
    assert choice.holders == (alias(R2), alias(R3))


def test_scenario_12_only_who_could_hold_acknowledged_writes_blocks() -> None:
    """An unreached acker blocks, unless it is excused; who cannot acknowledge never does."""
    tablets = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    assert refused(candidates(*tablets, unreached=(DEAD, member(R3)))).rule == Rule.ACKERS_UNREACHED
    rdonly = member(R3, TabletType.RDONLY)
    assert elected(candidates(*tablets, unreached=(DEAD, rdonly))).winner == alias(R1)
    same_cell = member("zone1-109")
    assert elected(candidates(*tablets, unreached=(DEAD, same_cell)), CROSS_CELL).winner == alias(R1)
    why = "its MySQL is down since yesterday"
    choice = elected(candidates(*tablets, unreached=(DEAD, member(R3)), exempt={alias(R3): why}))
    assert f"zone3-0000000300 need not be stopped: {why}" in choice.argument.sentence


@pytest.mark.parametrize("kind", [TabletType.BACKUP, TabletType.RESTORE])
def test_scenario_13_who_backs_up_or_restores_neither_wins_nor_blocks(kind: TabletType) -> None:
    """A tablet of that type is passed over reached or not, and one that takes a backup in another type comes last."""
    tablets = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    assert elected(candidates(*tablets, unreached=(DEAD, member(R3, kind)))).winner == alias(R1)
    choice = elected(candidates(*tablets, stopped("zone1-100", "100:1-50", type_=kind), unreached=()))
    assert choice.removed == {alias(P): f"is {kind.name}"}
    busy = stopped(R1, "100:1-50", backup_running=True)
    assert elected(candidates(busy, tablets[1])).holders == (alias(R2), alias(R1))
    assert elected(candidates(busy, replace(tablets[1], backup_running=True))).winner == alias(R1)


def test_scenario_14_with_errant_writes_on_all_nobody_wins() -> None:
    """Every candidate has transactions of its own: the election refuses and lists them."""
    refusal = refused(candidates(stopped(R1, "100:1-50,101:1"), stopped(R2, "100:1-50,200:3-4")))
    assert refusal.rule == Rule.ERRANT
    assert refusal.errant == {alias(R1): gtids("101:1"), alias(R2): gtids("200:3-4")}
    assert refusal.sentence == (
        "not promoting: no tablet holds all that may have been acknowledged: zone1-0000000101 has errant "
        "1 transaction: 00000101…:1; zone2-0000000200 has errant 2 transactions: 00000200…:3-4"
    )


def test_scenario_15_diverged_leaders_are_listed() -> None:
    """Two tablets that each lack what the other has make the election refuse, with the ranges on both sides."""
    refusal = refused(
        candidates(stopped(R1, "99:1,100:1-50"), stopped(R2, "98:1-2,100:1-50"), stopped(R3, "100:1-9"), known="")
    )
    assert refusal.rule == Rule.DIVERGED
    assert "zone1-0000000101 lacks 2 transactions: 00000098…:1-2" in refusal.sentence
    assert "zone2-0000000200 lacks 1 transaction: 00000099…:1" in refusal.sentence


@pytest.mark.parametrize("named", [True, False])
def test_scenario_25_a_deleted_primary_is_replaced_once_all_its_ackers_are_stopped(named: bool) -> None:
    """The last primary need not have a record: named or not, each possible acker of it must be reached."""

    def lost(*unreached: Member) -> CandidateSet:
        made = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), unreached=unreached)
        return made if named else replace(made, primary=None, primary_uuids=frozenset(), newest_term=10)

    assert elected(lost()).winner == alias(R1)
    refusal = refused(lost(member(R3)))
    assert refusal.rule == Rule.ACKERS_UNREACHED
    assert "zone3-0000000300" in refusal.sentence


def test_scenario_32_a_tablet_that_cannot_be_read_counts_as_an_acker() -> None:
    """Nobody is promoted around a tablet of which nothing is known but its name."""
    tablets = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    assert refused(candidates(*tablets, unreached=(DEAD, member("zone3-999")))).rule == Rule.ACKERS_UNREACHED


def test_who_cannot_be_read_is_named_with_what_a_person_can_do() -> None:
    """The refusal says whose record is in the way, and how to take it out of it."""
    tablets = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    garbage = frozenset({alias("zone3-999")})
    refusal = refused(candidates(*tablets, unreached=(DEAD, member("zone3-999")), unreadable=garbage))
    assert "the tablet record of zone3-0000000999 cannot be read" in refusal.sentence
    assert "vtctldclient DeleteTablets zone3-0000000999" in refusal.sentence
    hidden = refused(candidates(*tablets, unreached=(DEAD, member("zone3-998")), unreadable=garbage))
    assert "record" not in hidden.sentence


@pytest.mark.parametrize(("name", "blocks"), [("zone1-999", False), ("zone3-999", True)])
def test_a_record_that_cannot_be_read_tells_its_cell(name: str, blocks: bool) -> None:
    """Where acknowledgements come from other cells only, one in the primary's own cell gave none."""
    garbage = member(name)
    shard = candidates(
        stopped(R1, "100:1-50"),
        stopped(R2, "100:1-50"),
        stopped(R3, "100:1-50"),
        unreached=(DEAD, garbage),
        unreadable=frozenset({garbage.alias}),
    )
    assert bool(unrevoked(shard, CROSS_CELL)) is blocks
    assert isinstance(choose(shard, CROSS_CELL), Refusal) is blocks


def test_scenario_35_the_only_candidate_in_a_forbidden_cell_is_named() -> None:
    """With prevent-cross-cell-failover a tablet of another cell never wins, and the refusal names the rule."""
    feeder = stopped("zone1-112", "100:1-50", type_=TabletType.RDONLY)
    refusal = refused(candidates(stopped(R2, "100:1-50"), stopped(R3, "100:1-50"), feeder, same_cell_only=True))
    assert refusal.rule == Rule.NO_CANDIDATE
    assert refusal.removed[alias(R2)] == (
        "is in cell zone2, and prevent-cross-cell-failover keeps the primary in zone1"
    )
    assert refusal.removed[feeder.alias] == "is RDONLY, which the policy never promotes"


def test_scenario_36_an_rdonly_feeds_but_does_not_win() -> None:
    """The most advanced tablet may not be primary: the winner fetches from it, which the argument says."""
    feeder = stopped("zone1-112", "100:1-50", type_=TabletType.RDONLY)
    choice = elected(
        candidates(stopped(R1, "100:1-48"), stopped(R2, "100:1-49"), feeder), policy("semi_sync_with_rdonly_ack")
    )
    assert (choice.winner, choice.holders, choice.source) == (alias(R2), (), feeder.alias)
    assert choice.argument.sentence.endswith(
        "zone1-0000000112 has every transaction that must survive, and zone2-0000000200 first fetches those that it "
        "lacks."
    )
    assert [(way.winner, way.source) for way in choice.otherwise] == [(alias(R1), feeder.alias)]


def test_nobody_reached_is_said() -> None:
    """Without any tablet of a type that may hold writes there is nothing to decide."""
    assert refused(candidates()).rule == Rule.NONE_REACHED
    assert refused(candidates(stopped(R1, "100:1-50", type_=TabletType.DRAINED))).rule == Rule.NONE_REACHED


# Errant transactions


@pytest.mark.parametrize(
    ("tablets", "winner", "errant"),
    [
        pytest.param(
            (
                stopped(R1, "99:1-30,100:1-50,101:1"),
                stopped(R2, "99:1-30,100:1-49"),
                stopped(R3, "99:1-30,100:1-50"),
            ),
            R3,
            {R1: "101:1"},
            id="written on a replica",
        ),
        pytest.param(
            (stopped(R1, "99:1-31,100:1-50"), stopped(R2, "99:1-30,100:1-50"), stopped(R3, "99:1-30,100:1-50")),
            R2,
            {R1: "99:31"},
            id="left over from a former primary",
        ),
        pytest.param(
            (stopped(R1, "99:1-30,100:1-51"), stopped(R2, "99:1-30,100:1-50"), stopped(R3, "99:1-20,100:1-5")),
            R1,
            {},
            id="only one has the last writes",
        ),
        pytest.param(
            (stopped(R1, "99:1-30,100:1-51"), stopped(R2, "99:1-9"), stopped(R3, "99:1-20")),
            R1,
            {},
            id="the others have not even all of the last term",
        ),
        pytest.param(
            (
                stopped(R1, "99:1-31", source=None, was_primary=True),
                stopped(R2, "99:1-30,100:1-50"),
                stopped(R3, "99:1-30,100:1-50"),
            ),
            R2,
            {R1: "99:31"},
            id="the former primary is back, with a write that reached nobody",
        ),
    ],
)
def test_what_the_primary_was_never_seen_to_have_is_errant(
    tablets: tuple[StoppedTablet, ...], winner: str, errant: dict[str, str]
) -> None:
    """Writes that nobody else has, the primary did not have and cannot have made were never acknowledged."""
    choice = elected(candidates(*tablets, known="99:1-30,100:1-45"))
    assert choice.winner == alias(winner)
    assert choice.errant == {alias(name): gtids(text) for name, text in errant.items()}


def cut_off_cell(*others: StoppedTablet, follows: str | None = None, **changes: Any) -> CandidateSet:
    """Two tablets of the cell that was cut off, which share the last writes of one of them, and others."""
    former = stopped(R1, "99:1-30,100:1-50,101:1-3", source=follows, was_primary=follows is None)
    beside = stopped("zone1-102", "99:1-30,100:1-50,101:1-3", source=R1)
    return candidates(former, beside, *others, **changes)


def test_what_no_acker_received_is_errant_although_two_tablets_share_it() -> None:
    """Under cross_cell, the last writes of a cell that was cut off were acknowledged by no tablet of another cell."""
    sound = stopped(R2, "99:1-30,100:1-50"), stopped(R3, "99:1-30,100:1-50")
    lost = gtids("101:1-3")
    choice = elected(cut_off_cell(*sound), CROSS_CELL)
    assert (choice.winner, choice.errant) == (alias(R2), {alias(R1): lost, alias("zone1-102"): lost})
    assert not elected(cut_off_cell(*sound), SEMI_SYNC).errant


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(cut_off_cell(stopped(R2, "100:1-50"), stopped(R3, "100:1-50,101:1-3")), id="another cell has it"),
        pytest.param(cut_off_cell(stopped(R2, "100:1-50"), unreached=(DEAD, member(R3))), id="another cell is missing"),
        pytest.param(
            cut_off_cell(stopped(R2, "100:1-50"), unreached=(DEAD, member(R3)), follows=P),
            id="another cell is missing, and the writer follows again",
        ),
        pytest.param(
            cut_off_cell(
                stopped(R2, "100:1-50"),
                stopped(R3, "100:1-50"),
                semi_sync=ObservedSemiSync(past_ackers=frozenset({alias("zone1-102")})),
            ),
            id="the other tablet of its cell was seen to acknowledge",
        ),
        pytest.param(
            cut_off_cell(
                stopped(R2, "100:1-50"),
                stopped(R3, "100:1-50"),
                lost_after_receipt={alias(R3): gtids("101:2")},
            ),
            id="another cell had a part of it",
        ),
    ],
)
def test_what_an_acker_may_have_received_is_not_errant(received: CandidateSet) -> None:
    """Shared writes are kept while a tablet that may have acknowledged them has them, had them, or is missing."""
    outcome = choose(received, CROSS_CELL)
    assert gtids("101:2") not in [each.intersection(gtids("101:2")) for each in outcome.errant.values()]


def test_without_having_seen_the_primary_nothing_is_errant() -> None:
    """What may be an acknowledged write of an earlier term is kept, though it looks like an errant one."""
    tablets = stopped(R1, "99:1-31,100:1-50"), stopped(R2, "99:1-30,100:1-50"), stopped(R3, "100:1-50")
    choice = elected(candidates(*tablets, known=""))
    assert (choice.winner, choice.holders, choice.errant) == (alias(R1), (alias(R1),), {})


def test_a_reached_primary_tells_what_is_errant() -> None:
    """A primary that was stopped itself holds everything acknowledged, so what it lacks is not."""
    demoted = stopped(P, "100:1-50", type_=TabletType.PRIMARY, source=None, was_primary=True)
    choice = elected(
        candidates(demoted, stopped(R1, "100:1-50,101:1"), stopped(R2, "100:1-50"), unreached=(), known="")
    )
    assert choice.winner == alias(R2)
    assert choice.errant == {alias(R1): gtids("101:1")}
    assert choice.argument.sentence.startswith(
        "zone1-0000000100 was made read-only first, so the stopped tablets hold every acknowledged write"
    )


def test_an_errant_tablet_is_no_acker() -> None:
    """It is not made a replica of the winner, so it cannot be the one whose acknowledgements are counted on."""
    refusal = refused(candidates(stopped(R1, "100:1-50,101:1"), stopped(R2, "100:1-50")))
    assert refusal.rule == Rule.NO_CANDIDATE
    assert refusal.removed[alias(R2)] == "would get 0 of the 1 acknowledgements that semi_sync requires"


def test_writes_of_a_rival_are_kept_while_its_ackers_are_missing() -> None:
    """A tablet that was nobody's replica may have become primary unheard: its writes are errant only if nobody who
    could acknowledge them is missing.
    """
    rival = stopped(R1, "100:1-50,101:1-9", source=None, was_primary=True)
    others = stopped(R2, "100:1-50"), stopped(R3, "100:1-50")
    choice = elected(candidates(rival, *others))
    assert (choice.winner, choice.errant) == (alias(R2), {alias(R1): gtids("101:1-9")})
    # The one that is missing, in the primary's own cell, could acknowledge for the rival, in another.
    rival = replace(rival, member=member(R2))
    missing = member("zone1-109")
    choice = elected(candidates(rival, stopped(R3, "100:1-50"), unreached=(DEAD, missing)), CROSS_CELL)
    assert (choice.source, choice.errant) == (alias(R2), {})


# Whose writes can still be acknowledged


def test_followers_of_an_unreached_stranger_stop_the_election() -> None:
    """Who replicates from neither the primary nor anybody reached may have dropped what it acknowledged."""
    tablets = stopped(R1, "100:1-50"), stopped(R2, "100:1-9", source="zone1-109")
    refusal = refused(candidates(*tablets, unreached=(DEAD, member("zone1-109"))), CROSS_CELL)
    assert refusal.rule == Rule.ACKERS_UNREACHED
    assert "zone2-0000000200 does not replicate from zone1-0000000100 but from server 00000109" in refusal.sentence
    former = candidates(*tablets, unreached=(DEAD, member("zone1-109")), former_uuids=frozenset({uuid(109)}))
    assert elected(former, CROSS_CELL).winner == alias(R1)


@pytest.mark.parametrize("former", [frozenset(), frozenset({uuid(109)})])
def test_a_primary_that_follows_somebody_was_replaced(former: frozenset[str]) -> None:
    """That the named primary is stopped proves nothing while it replicates from a server that was not reached."""
    tablets = stopped(P, "100:1-50", source="zone1-109"), stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    refusal = refused(candidates(*tablets, unreached=(member("zone1-109"),), former_uuids=former))
    assert refusal.rule == Rule.ACKERS_UNREACHED
    assert "zone1-0000000100 is no longer primary but replicates from server 00000109" in refusal.sentence
    itself = stopped("zone1-109", "100:1-50,109:1-3", source=None, was_primary=True)
    elected(candidates(*tablets, itself, former_uuids=former))


def test_a_cell_that_was_never_read_stops_the_election() -> None:
    """Nobody is promoted while there may be tablets that nobody knows of, whoever asks for it."""
    refusal = refused(
        candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), never_read_cells=frozenset({"zone4"}))
    )
    assert refusal.rule == Rule.ACKERS_UNREACHED
    assert "cell zone4 was never read" in refusal.sentence


def test_a_stray_acker_counts() -> None:
    """MySQL counts whoever has its side of semi-sync on: such a tablet blocks when missing, and its log counts."""
    drained = Member(alias("zone1-112"), TabletType.DRAINED)
    tablets = stopped(R1, "100:1-49"), stopped(R2, "100:1-49")
    seen = ObservedSemiSync(past_ackers=frozenset({drained.alias}))
    assert elected(candidates(*tablets, unreached=(DEAD, drained))).winner == alias(R1)
    assert refused(candidates(*tablets, unreached=(DEAD, drained), semi_sync=seen)).rule == Rule.ACKERS_UNREACHED
    reached = stopped("zone1-112", "100:1-50", type_=TabletType.DRAINED)
    choice = elected(candidates(*tablets, reached, semi_sync=seen))
    assert (choice.winner, choice.source) == (alias(R1), drained.alias)


def test_a_primary_that_waited_for_nobody_is_not_replaced() -> None:
    """If semi-sync was seen off, the primary may hold acknowledged writes alone, whatever the policy asks."""
    off = ObservedSemiSync(wait_counts={alias(P): 0})
    refusal = refused(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), semi_sync=off))
    assert refusal.rule == Rule.ACKERS_UNREACHED
    assert "zone1-0000000100, which waits for no acknowledgement" in refusal.sentence


def test_the_argument_says_what_was_seen_and_what_is_assumed() -> None:
    """A promotion is argued with numbers, and an assumption in it is called one."""
    tablets = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    seen = ObservedSemiSync(wait_counts={alias(P): 1})
    assert elected(candidates(*tablets, semi_sync=seen)).argument.sentence == (
        "zone1-0000000100 can no longer commit, and every write it acknowledged is on a stopped tablet: semi_sync "
        "needs 1 ack, and none of its possible ackers is left running (stopped: zone1-0000000101, zone2-0000000200). "
        "zone1-0000000101 has received every transaction that must survive."
    )
    argument = elected(candidates(*tablets)).argument
    assert "; vtorc did not see that it waited for them, but the policy asks for it. " in argument.sentence
    assert (argument.policy, argument.stopped) == ("semi_sync", (alias(R1), alias(R2)))
    assert argument.unreached == (alias(P),)
    argument = elected(candidates(*tablets, known="100:1-53"), NONE).argument
    assert "3 transactions: 00000100…:51-53 reached no other tablet and is lost" in argument.sentence


@pytest.mark.parametrize(
    ("reached", "missing", "blocks"),
    [
        ((R1,), (), False),
        ((R1, R2), (), False),
        ((R1,), (R2,), True),
        ((R1, R2), (R3,), False),
        ((R1, R2), (R3, "zone3-301"), True),
        ((P, R1), (R2, R3), False),
    ],
)
def test_without_acks_most_of_the_others_must_be_with_us(
    reached: tuple[str, ...], missing: tuple[str, ...], blocks: bool
) -> None:
    """Under a policy without acknowledgements a minority promotes nobody: it may be cut off from the primary."""
    tablets = [stopped(name, "100:1-50", was_primary=name == P) for name in reached]
    unreached = tuple(map(member, missing)) + (() if P in reached else (DEAD,))
    outcome = choose(candidates(*tablets, unreached=unreached), NONE)
    assert isinstance(outcome, Refusal) == blocks
    if isinstance(outcome, Refusal):
        assert "so vtorc itself may be cut off" in outcome.sentence


def test_preflight_and_election_agree() -> None:
    """What `unrevoked` says beforehand is what the election refuses with."""
    missing = candidates(stopped(R1, "100:1-50"), unreached=(DEAD, member(R2)))
    sentence = unrevoked(missing, SEMI_SYNC)
    assert sentence == (
        "writes can still be committed on zone1-0000000100, acknowledged by zone2-0000000200, and may have been "
        "already; to exclude that, reach one of zone1-0000000100, zone2-0000000200"
    )
    assert refused(missing).sentence == f"not promoting: {sentence}"


@pytest.mark.parametrize(
    ("tablets", "unreached", "rule"),
    [
        ((), (DEAD, member(R1)), Rule.NONE_REACHED),
        ((R1,), (DEAD, member(R2)), Rule.ACKERS_UNREACHED),
        ((R1,), (DEAD,), Rule.NO_CANDIDATE),
        ((R1, R2), (DEAD,), None),
    ],
)
def test_what_no_log_can_change_is_known_before_they_are_read(
    tablets: tuple[str, ...], unreached: tuple[Member, ...], rule: Rule | None
) -> None:
    """Who is there decides some elections by itself, with the same refusal as once the tablets were stopped."""
    unread = candidates(*(stopped(each, "") for each in tablets), unreached=unreached)
    refusal = certain_refusal(unread, SEMI_SYNC)
    assert (refusal.rule if refusal is not None else None) == rule
    if refusal is not None:
        assert refused(candidates(*(stopped(each, "100:1-50") for each in tablets), unreached=unreached)) == refusal


# Ranking


def test_promotion_rules_come_before_progress() -> None:
    """A preferred tablet that has to fetch wins over one that has everything."""
    chosen = policy("test")
    choice = elected(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-49"), known="100:1-50"), chosen)
    assert (choice.winner, choice.source) == (alias(R2), alias(R1))
    specified = policy("specified", rules={alias(R1): PromotionRule.MUST_NOT})
    assert elected(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-49")), specified).winner == alias(R2)


def test_the_demoted_primary_wins_only_if_nobody_else_can() -> None:
    """It was taken down for a reason: another fetches from it first."""
    demoted = stopped(P, "100:1-50", type_=TabletType.PRIMARY, source=None, was_primary=True)
    choice = elected(candidates(demoted, stopped(R1, "100:1-49"), unreached=()))
    assert (choice.winner, choice.source) == (alias(R1), alias(P))
    only_rdonly = stopped("zone1-112", "100:1-50", type_=TabletType.RDONLY)
    choice = elected(candidates(demoted, only_rdonly, unreached=()), policy("semi_sync_with_rdonly_ack"))
    assert choice.winner == alias(P)


# The first term


def test_the_first_primary_is_who_holds_everything() -> None:
    """In a shard that never had a primary, no tablet has to be stopped or waited for, and nothing is errant."""
    first: dict[str, Any] = {"primary": None, "primary_uuids": frozenset(), "known": "", "first_term": True}
    restored = stopped(R2, "200:1-5", source=None)
    empty = stopped(R1, "", source=None)
    choice = elected(candidates(empty, restored, unreached=(member(R3),), **first))
    assert (choice.winner, choice.errant) == (alias(R2), {})
    assert choice.argument.sentence.startswith("The shard never had a primary")
    assert refused(candidates(stopped(R1, "101:1", source=None), restored, unreached=(), **first)).rule == Rule.DIVERGED
    assert refused(candidates(empty, unreached=(), **first)).rule == Rule.NO_CANDIDATE


@pytest.mark.parametrize(
    ("unreached", "chosen", "promotes"),
    [
        ((), SEMI_SYNC, True),
        ((member(R2),), SEMI_SYNC, True),
        ((member(R2), member(R3)), SEMI_SYNC, False),
        ((member(R2), member(R3, TabletType.RDONLY)), SEMI_SYNC, True),
        ((member(R2), member("zone2-201")), CROSS_CELL, True),
        ((member(R2), member(R3)), NONE, True),
    ],
)
def test_tablets_that_were_not_reached_may_be_a_primary_and_its_acker(
    unreached: tuple[Member, ...], chosen: DurabilityPolicy, promotes: bool
) -> None:
    """New tablets prove nothing about others: a first primary needs all but too few of those to acknowledge a write."""
    first: dict[str, Any] = {"primary": None, "primary_uuids": frozenset(), "known": "", "first_term": True}
    new = [stopped(name, "", source=None) for name in (R1, "zone1-102", "zone2-209")]
    outcome = choose(candidates(*new, unreached=unreached, **first), chosen)
    assert isinstance(outcome, Choice) is promotes
    if isinstance(outcome, Refusal):
        assert outcome.rule is Rule.ACKERS_UNREACHED
        assert "to exclude that, reach one of zone2-0000000200, zone3-0000000300" in outcome.sentence


@pytest.mark.parametrize("name", [None, P])
def test_followers_of_a_server_without_a_record_elect_no_primary(name: str | None) -> None:
    """All tablets that have a record were stopped, but follow a server that has none and may have other ackers."""
    lost: dict[str, Any] = {"primary": alias(name) if name else None, "primary_uuids": frozenset(), "known": ""}
    followers = [stopped(each, "100:1-50", source="zone9-900") for each in (R1, R2)]
    refusal = refused(candidates(*followers, unreached=(DEAD,) if name else (), **lost))
    assert refusal.rule is Rule.ACKERS_UNREACHED
    assert f"from server {uuid(900)}, which may have become primary" in refusal.sentence


def test_a_tablet_with_a_garbage_record_acknowledges_but_never_wins() -> None:
    """Promotion writes the tablet's record, so one that cannot be read is left to others; what it holds counts."""
    both = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    assert elected(candidates(*both, unreadable=frozenset({alias(R1)}))).winner == alias(R2)
    assert "record" in elected(candidates(*both, unreadable=frozenset({alias(R1)}))).removed[alias(R1)]


@pytest.mark.parametrize(("clock", "winner"), [(None, R1), (1_500, R1), (1_000, R2), (0, R2)])
def test_whose_clock_is_behind_the_present_term_does_not_win(clock: int | None, winner: str) -> None:
    """A term that would not be the newest is none; a clock that nobody knows is no reason."""
    first = stopped(R1, "100:1-50", clock=clock)
    choice = elected(candidates(first, stopped(R2, "100:1-50", clock=1_500), newest_term=1_000))
    assert choice.winner == alias(winner)
    assert choice.removed.get(alias(R1), "has a clock").startswith("has a clock")


def test_clocks_that_are_all_behind_are_named() -> None:
    """Nobody wins, and the sentence says by how much the clocks are behind and what helps."""
    late = [stopped(name, "100:1-50", clock=10**9) for name in (R1, R2)]
    refusal = refused(candidates(*late, newest_term=3_600 * 10**9))
    assert refusal.rule == Rule.NO_CANDIDATE
    assert "zone1-0000000101 has a clock that is 3599.0 s behind" in refusal.sentence
    assert "correct its clock" in refusal.sentence


@pytest.mark.parametrize(
    ("clocks", "told"),
    [
        ((10**9, 31 * 10**9), True),
        ((3_000 * 10**9, 3_060 * 10**9), True),
        ((10**9, 100 * 10**9), False),
        ((3_539 * 10**9, 3_539 * 10**9), True),
        ((3_530 * 10**9, 3_540 * 10**9), False),
        ((3_550 * 10**9, 3_560 * 10**9), False),
    ],
)
def test_a_term_in_the_future_is_told_from_clocks_that_are_late(clocks: tuple[int, int], told: bool) -> None:
    """Where the tablets' clocks agree and are all behind the present term, the sentence says that the term is wrong."""
    late = [stopped(name, "100:1-50", clock=clock) for name, clock in zip((R1, R2), clocks, strict=True)]
    sentence = refused(candidates(*late, newest_term=3_600 * 10**9)).sentence
    assert ("the clocks of 2 tablets agree" in sentence) is told
    assert ("correct the clock of zone1-0000000100" in sentence) is told


LOST_LOG = {alias(R1): gtids("100:51-52")}


@pytest.mark.parametrize(
    ("changes", "promotes"),
    [
        ({}, False),
        ({"lost_after_receipt": {alias(R1): gtids("101:7")}}, True),
        ({"lost_after_receipt": {alias(R1): gtids("101:7")}, "primary_executed": gtids("")}, False),
        ({"lost_after_receipt": {alias(R1): gtids("100:49-50")}}, True),
        ({"policy": NONE}, True),
        ({"policy": CROSS_CELL}, True),
        ({"first_term": True}, True),
    ],
    ids=[
        "it may have acknowledged it",
        "it was errant",
        "nobody knows what was errant",
        "others have it",
        "nobody acknowledges",
        "it does not acknowledge",
        "there was no primary",
    ],
)
def test_what_went_with_a_relay_log_must_be_elsewhere(changes: dict[str, Any], promotes: bool) -> None:
    """Nobody is promoted while a possible acker had received, and lost, what no reached tablet has."""
    chosen = changes.get("policy", SEMI_SYNC)
    shard = candidates(
        stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), stopped(R3, "100:1-50"), lost_after_receipt=LOST_LOG
    )
    outcome = choose(replace(shard, **{name: each for name, each in changes.items() if name != "policy"}), chosen)
    assert isinstance(outcome, Choice) is promotes
    if isinstance(outcome, Refusal):
        assert outcome.rule == Rule.RELAY_LOG_LOST
        assert f"{alias(R1)} had received" in outcome.sentence


def test_a_primary_that_was_stopped_has_all_that_was_acknowledged() -> None:
    """What a replica had received of it and lost need not be looked for."""
    old = stopped(P, "100:1-50", type_=TabletType.PRIMARY, source=None, was_primary=True)
    elected(
        candidates(old, stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), unreached=(), lost_after_receipt=LOST_LOG)
    )


# When a way fails


def test_the_nearest_of_those_that_must_fetch_comes_first() -> None:
    """Who lacks least is asked to fetch first, wherever it is, and each other is a way for when that fails."""
    feeder = stopped("zone3-312", "100:1-50", type_=TabletType.RDONLY)
    tablets = stopped(R1, "100:1-5"), stopped(R2, "100:1-49"), stopped(R3, "100:1-40"), feeder
    choice = elected(candidates(*tablets, known="100:1-5"), policy("semi_sync_with_rdonly_ack"))
    ways = [(way.winner, way.source) for way in (choice, *choice.otherwise)]
    assert ways == [(alias(each), feeder.alias) for each in (R2, R3, R1)]


def test_a_better_tablet_that_lags_keeps_nobody_from_winning() -> None:
    """All that have received everything are waited for at once, best first, also those that are less wanted."""
    busy = stopped(R2, "100:1-50", backup_running=True)
    choice = elected(candidates(stopped(R1, "100:1-50", executed="100:1-5"), busy))
    assert (choice.holders, choice.otherwise) == ((alias(R1), alias(R2)), ())
    choice = elected(candidates(stopped(R1, "100:1-5"), busy, known="100:1-5"))
    assert (choice.winner, choice.source) == (alias(R1), alias(R2))
    assert [(way.winner, way.holders) for way in choice.otherwise] == [(alias(R2), (alias(R2),))]


def test_nobody_fetches_from_who_has_purged_it() -> None:
    """A feeder whose binary logs begin after what the winner has is of no use to it."""
    feeder = stopped("zone3-312", "100:1-50", type_=TabletType.RDONLY)
    tablets = candidates(stopped(R1, "100:1-5"), stopped(R2, "100:1-40"), feeder, known="100:1-5")
    acks = policy("semi_sync_with_rdonly_ack")
    choice = elected(replace(tablets, purged={feeder.alias: gtids("100:1-30")}), acks)
    assert [way.winner for way in (choice, *choice.otherwise)] == [alias(R2)]
    refusal = refused(replace(tablets, purged={feeder.alias: gtids("100:1-45")}), acks)
    assert refusal.rule == Rule.PURGED
    assert "zone3-0000000312 purged the missing ones" in refusal.sentence


SEEN = ObservedSemiSync(wait_counts={alias(P): 1})


@pytest.mark.parametrize(
    ("what", "goes_on", "changes"),
    [
        ("nobody acknowledged it", True, {}),
        ("an acker is missing", False, {"unreached": (member(R3),)}),
        ("it was seen to be committed", False, {"seen": "100:1-52"}),
        ("an acker had received it", False, {"lost_after_receipt": {alias(R1): gtids("100:51-52")}}),
        ("it was seen to wait for nobody", False, {"semi_sync": ObservedSemiSync(wait_counts={alias(P): 0})}),
        ("it was never seen", False, {"semi_sync": ObservedSemiSync()}),
        ("another server wrote it", False, {"primary_uuids": frozenset({uuid(R3)})}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_the_old_primary_alone_has_is_left_behind_last(what: str, goes_on: bool, changes: dict[str, Any]) -> None:
    """What nobody can have acknowledged is fetched from the old primary if possible, and only then done without."""
    del what
    demoted = stopped(P, "100:1-52", type_=TabletType.PRIMARY, source=None, was_primary=True)
    tablets = demoted, stopped(R1, "100:1-50"), stopped(R2, "100:1-50")
    choice = elected(candidates(*tablets, **{"unreached": (), "semi_sync": SEEN, **changes}))
    assert (choice.source, choice.required) == (alias(P), gtids("100:1-52"))
    last = choice.otherwise[-1]
    assert (last.source is None) is goes_on
    if goes_on:
        assert (last.required, last.holders) == (gtids("100:1-50"), (alias(R1), alias(R2)))
        assert last.errant == {alias(P): gtids("100:51-52")}
        assert "alone cannot be fetched and stays behind" in last.argument.sentence
