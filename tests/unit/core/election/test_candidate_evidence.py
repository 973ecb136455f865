"""What a shard view proves about its last primary's writes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    P,
    alias,
    answers,
    asked_after_others,
    changed,
    client_count,
    failing,
    gtids,
    of_old_version,
    primary,
    replica,
    shard,
    stopped,
    uuid,
)
from vtorc.core.election.ack_arithmetic import NOTHING_SEEN, ObservedSemiSync
from vtorc.core.election.candidate_evidence import candidate_set, semi_sync_seen
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.last_primary import last_primary
from vtorc.core.election.revocation import unrevoked
from vtorc.core.election.unacknowledged_tail import unacknowledged_tail
from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import ReplacedServer
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC, CROSS_CELL, NONE = policy("semi_sync"), policy("cross_cell"), policy("none")
WAITING_1, WAITING_2 = replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)
REACHED = frozenset((alias(R1), alias(R2)))


def stop(view: ShardView) -> dict[TabletAlias, StoppedTablet]:
    """Everybody that answers, stopped."""
    found = {}
    for tablet in view.tablets:
        status = tablet.current_status
        if status is not None:
            source = status.replication.source_uuid if status.replication is not None else ""
            found[tablet.alias] = replace(
                stopped(f"{tablet.alias}", "", type_=tablet.record.type),
                executed=status.executed,
                received=status.received,
                source_uuid=source,
            )
    return found


def test_a_primary_that_went_back_in_time_does_not_count_as_stopped() -> None:
    """It lost writes that it had committed, maybe more than any reached tablet shows: all of its ackers are needed."""
    went_back = primary(executed="100:1-40", read_only=True, super_read_only=True)
    view = asked_after_others(shard(went_back, replica(R1), replica(R2)))
    choice = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(choice, Choice)
    assert choice.winner != alias(P)
    view = asked_after_others(shard(went_back, replica(R1), failing(replica(R2))))
    refusal = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(refusal, Refusal)
    assert "zone1-0000000100 answers, but has lost 10 transactions: 00000100…:41-50" in refusal.sentence


def test_a_replica_with_a_hole_is_never_promoted() -> None:
    """A former primary that lost transactions of its own holds what it received since, but does not become primary."""
    hole = replica(R1, executed="100:1-60,101:1-5")
    dead = failing(primary(executed="100:1-60,101:1-9"))
    others = replica(R2, executed="100:1-50,101:1-9"), replica(R3, executed="100:1-50,101:1-9")
    view = asked_after_others(shard(dead, hole, *others))
    outcome = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert outcome.removed[alias(R1)] == "has lost 4 transactions: 00000101…:6-9, which it wrote itself; rebuild it"


def test_a_dead_primary_and_what_was_seen_of_it() -> None:
    """Its last status tells what it held, whose writes those are, and how many acknowledgements they waited for."""
    view = shard(primary(dead_for=3), WAITING_1, WAITING_2)
    made = candidate_set(view, SEMI_SYNC, stop(view), same_cell_only=True)
    assert [each.alias for each in made.members] == [alias(P), alias(R1), alias(R2)]
    assert made.primary == alias(P)
    assert made.primary_uuids == {uuid(P)}
    assert made.primary_executed == made.primary_committed == gtids("100:1-50")
    assert made.semi_sync == ObservedSemiSync(wait_counts={alias(P): 1})
    assert (made.exempt, made.same_cell_only, made.former_uuids) == ({}, True, frozenset())
    outcome = choose(made, SEMI_SYNC)
    assert isinstance(outcome, Choice)
    assert outcome.winner == alias(R1)
    assert "not seen" not in outcome.argument.sentence


@pytest.mark.parametrize(
    ("changes", "known", "seen", "waits"),
    [
        pytest.param({"clients": 0}, "100:1-50", "", 1, id="nobody could acknowledge yet"),
        pytest.param({"semi_sync": False}, "100:1-50", "", 0, id="it waited for nobody"),
        pytest.param({"wait_for": 2}, "100:1-50", "100:1-50", 2, id="it waited for two"),
        pytest.param({"wait_for": 0}, "100:1-50", "100:1-50", 1, id="it did not tell for how many it waited"),
        pytest.param({"read_only": True}, "", "", None, id="it took no writes"),
        pytest.param({"source": "zone1-109"}, "", "", None, id="it was somebody's replica"),
        pytest.param({"never_heard": True}, "", "", None, id="it was never heard"),
    ],
)
def test_only_a_primary_at_work_tells_of_its_term(
    changes: dict[str, Any], known: str, seen: str, waits: int | None
) -> None:
    """What it said before it took writes is no evidence, and what it committed counts only while it waited for acks."""
    view = shard(primary(dead_for=3, **changes), WAITING_1, WAITING_2)
    made = candidate_set(view, SEMI_SYNC, {})
    assert (made.primary_executed, made.primary_committed) == (gtids(known), gtids(seen))
    assert made.semi_sync.wait_counts == ({} if waits is None else {alias(P): waits})
    # Its replicas name its server even if it was never heard.
    assert made.primary_uuids == {uuid(P)}


def test_a_stalled_disk_is_no_evidence() -> None:
    """The status of a tablet with a stalled disk holds nothing but that."""
    stalled = TabletView(
        record=primary().record,
        last_probe=LastProbe.answered(TabletStatus(disk_stalled=True), started=NOW, ended=NOW),
    )
    for observed_term, known in ((None, ""), (primary().memory.observed_term, "100:1-50")):
        made = candidate_set(shard(changed(stalled, observed_term=observed_term), WAITING_1), SEMI_SYNC, {})
        assert made.primary_executed == gtids(known)
        assert made.primary_uuids == {uuid(P)}


def test_what_the_primary_once_told_of_its_term_still_holds() -> None:
    """Whoever came back read-only, or as somebody's replica, had committed what it had, and waited for whom it did."""
    source = WAITING_1.status.replication if WAITING_1.status is not None else None
    for after in ({"read_only": True}, {"disk_stalled": True}, {"replication": source}):
        view = shard(failing(answers(primary(), executed=gtids("100:1-3"), **after)), WAITING_1, WAITING_2)
        made = candidate_set(view, SEMI_SYNC, stop(view))
        assert made.primary_executed == made.primary_committed == gtids("100:1-50")
        assert made.semi_sync.wait_counts == {alias(P): 1}


@pytest.mark.parametrize(
    ("record", "shard_term", "counts"),
    [
        pytest.param({}, 10, True, id="the present term"),
        pytest.param({"primary_term_start": 30}, 10, False, id="it was promoted again since"),
        pytest.param({"type": TabletType.REPLICA, "primary_term_start": 0}, 10, True, id="it changed its type"),
        pytest.param({"type": TabletType.REPLICA, "primary_term_start": 0}, 30, False, id="that was long ago"),
    ],
)
def test_an_earlier_term_of_the_same_tablet_is_no_evidence(
    record: dict[str, Any], shard_term: int, counts: bool
) -> None:
    """What it held in a term before says nothing about what was acknowledged since."""
    before = primary(dead_for=3)
    now = replace(before, record=replace(before.record, **record))
    made = candidate_set(shard(now, WAITING_1, term=shard_term), SEMI_SYNC, {})
    assert made.primary_executed == made.primary_committed == gtids("100:1-50" if counts else "")
    assert made.semi_sync.wait_counts == ({alias(P): 1} if counts else {})


def test_a_fallback_to_asynchronous_is_seen() -> None:
    """Semi-sync that is enabled but not active waits for nobody."""
    working = primary().status
    assert working is not None
    inactive = replace(working.semi_sync, primary_active=False)
    view = shard(failing(answers(primary(), semi_sync=inactive)), WAITING_1, WAITING_2)
    assert semi_sync_seen(view, SEMI_SYNC, stop(view)).wait_counts == {alias(P): 0}
    assert isinstance(choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC), Refusal)
    assert semi_sync_seen(view, NONE, stop(view)) is NOTHING_SEEN


@pytest.mark.parametrize(
    ("timeout", "failure", "dead_for", "status", "gives_up"),
    [
        pytest.param(10_000, ProbeFailure.TIMEOUT, 3, {}, True, id="it is silent and may go on alone"),
        pytest.param(10_000, ProbeFailure.MYSQL_DOWN, 3, {}, False, id="it ended before it could give up"),
        pytest.param(10_000, ProbeFailure.MYSQL_DOWN, 3, {"semi_sync_blocked": True}, True, id="a commit waited"),
        pytest.param(400, ProbeFailure.MYSQL_DOWN, 3, {}, True, id="it had half a second for it"),
        pytest.param(10**18, ProbeFailure.TIMEOUT, 3, {}, False, id="it waits for ever"),
        pytest.param(0, ProbeFailure.TIMEOUT, 3, {}, False, id="it does not tell"),
    ],
)
def test_a_primary_that_gives_up_waiting_must_be_reached(
    timeout: int, failure: ProbeFailure, dead_for: float, status: dict[str, Any], gives_up: bool
) -> None:
    """With a finite timeout of semi-sync it may have told clients OK alone, unless its MySQL ended before that."""
    working = primary().status
    assert working is not None
    heard = answers(primary(), at=NOW - dead_for - 0.5, semi_sync=replace(working.semi_sync, timeout=timeout), **status)
    view = shard(failing(heard, failure, for_=dead_for), WAITING_1, WAITING_2)
    made = candidate_set(view, SEMI_SYNC, stop(view))
    outcome = choose(made, SEMI_SYNC)
    assert isinstance(outcome, Refusal) == gives_up
    assert made.semi_sync.ack_timeouts == ({alias(P): timeout / 1000} if gives_up else {})
    if isinstance(outcome, Refusal):
        assert f"which waits {timeout / 1000:g} s for acknowledgements and then tells clients OK" in outcome.sentence
        assert "to exclude that, reach zone1-0000000100;" in outcome.sentence
        assert "set rpl_semi_sync_source_timeout to 1000000000000000000" in outcome.sentence


@pytest.mark.parametrize(
    ("late", "told_since", "gives_up"),
    [
        pytest.param(0.0, False, False, id="vtorc heard its end within the timeout"),
        pytest.param(9.0, False, False, id="and was late for less than the rest of it"),
        pytest.param(10.0, False, True, id="vtorc was late, and the primary had ten seconds more"),
        pytest.param(0.0, True, True, id="its last answer did not tell whether it still waited"),
    ],
)
def test_a_primary_had_the_time_in_which_vtorc_was_late(late: float, told_since: bool, gives_up: bool) -> None:
    """The clock of the evidence stands while vtorc is late, and the timeout of semi-sync goes on in the server."""
    working = primary().status
    assert working is not None
    heard = answers(primary(), at=NOW - 1.5, semi_sync=replace(working.semi_sync, timeout=10_000))
    dead = failing(heard, ProbeFailure.MYSQL_DOWN, for_=1)
    probe = replace(dead.last_probe, late_before_failure=late, status_at=NOW - 1.2 if told_since else NOW - 1.5)
    view = shard(replace(dead, last_probe=probe), WAITING_1, WAITING_2)
    assert isinstance(choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC), Refusal) == gives_up


def test_members_that_cannot_be_read_are_possible_ackers() -> None:
    """A record that cannot be read is a REPLICA, unless the tablet is known from before."""
    view = shard(primary(dead_for=3), WAITING_1, bad_records={alias(R3): "truncated", alias(R1): "truncated"})
    members = candidate_set(view, SEMI_SYNC, {}).members
    assert members == [
        Member(alias(P), TabletType.PRIMARY),
        Member(alias(R1), TabletType.REPLICA),
        Member(alias(R3), TabletType.REPLICA),
    ]


def test_the_last_primary_is_known_by_the_shard_record() -> None:
    """Without a tablet of type PRIMARY it is whom the shard record names, with or without a tablet record."""
    retyped = shard(replica(P, of=None), WAITING_1)
    found = last_primary(retyped)
    assert found is not None
    assert found.tablet is retyped.tablet(alias(P))
    deleted = shard(WAITING_1, WAITING_2)
    assert last_primary(deleted) is None
    assert candidate_set(deleted, SEMI_SYNC, {}).primary == alias(P)
    assert candidate_set(shard(WAITING_1, named=None), SEMI_SYNC, {}).primary is None


def test_former_primaries_are_told_from_strangers() -> None:
    """A replica that was left behind with a former primary does not stop an election."""
    view = shard(
        primary(dead_for=3),
        primary("zone1-109", term=5, dead_for=90),
        replica(R1, io=CONNECTING),
        replica(R2, of="zone1-109", io=CONNECTING),
        replica(R3, io=CONNECTING),
        policy_name="cross_cell",
    )
    made = candidate_set(view, CROSS_CELL, stop(view))
    assert made.former_uuids == {uuid("zone1-109")}
    assert isinstance(choose(made, CROSS_CELL), Choice)
    assert isinstance(choose(replace(made, former_uuids=frozenset()), CROSS_CELL), Refusal)


@pytest.mark.parametrize(
    ("tablet", "past_ackers"),
    [
        pytest.param(replica(R1), True, id="in the wrong cell"),
        pytest.param(failing(replica(R1)), True, id="in the wrong cell, and gone"),
        pytest.param(replica(R2), False, id="a proper acker"),
        pytest.param(replica(R1, semi_sync=False), False, id="its side is off"),
        pytest.param(replica(R2, TabletType.DRAINED), True, id="drained"),
        pytest.param(replica(R2, TabletType.BACKUP), True, id="taking a backup while it replicates"),
        pytest.param(replica(R2, TabletType.RESTORE), True, id="restored, and replicating already"),
        pytest.param(replica(R2, TabletType.RESTORE, semi_sync=False), False, id="being restored"),
        pytest.param(replica(R1, of=R2), False, id="not its replica"),
    ],
)
def test_strays_acknowledge_though_the_policy_does_not_ask(tablet: TabletView, past_ackers: bool) -> None:
    """MySQL counts whoever is connected with its side of semi-sync on; where it was last seen so, it may have."""
    seen = semi_sync_seen(shard(primary(dead_for=3), tablet), CROSS_CELL, {})
    assert seen.past_ackers == ({tablet.alias} if past_ackers else set())


# Who does not have to be reached


def exempt(view: ShardView, reached: Mapping[TabletAlias, StoppedTablet]) -> Mapping[TabletAlias, str]:
    """Name the tablets that do not have to be reached once these were stopped."""
    return candidate_set(view, SEMI_SYNC, reached).exempt


def down(name: str = R3, *, since: float = 3600.0, probed: float = 0.0, **changes: Any) -> TabletView:
    """A replica whose tablet manager says that its MySQL is down."""
    tablet = failing(replica(name, executed="100:1-9"), for_=since)
    return changed(tablet, ended_at=NOW - probed, **changes)


def dead(**changes: Any) -> TabletView:
    """A primary whose MySQL died three seconds ago, last seen alive half a second before."""
    return primary(**{"dead_for": 3.0, **changes})


BEHIND_1, BEHIND_2 = replica(R1, io=CONNECTING, executed="100:1-49"), replica(R2, io=CONNECTING, executed="100:1-49")
IN_RELAY_LOG = replica(R2, io=CONNECTING, executed="100:1-40", received="100:41-50")


def counted(*tablets: TabletView, **changes: Any) -> ShardView:
    """A shard with a primary that counted its two other replicas as semi-sync clients."""
    return shard(*tablets, **{"client_count": client_count(), **changes})


@pytest.mark.parametrize(
    ("view", "is_excused"),
    [
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down()), True, id="down since an hour, the primary since now"
        ),
        pytest.param(counted(dead(), BEHIND_1, IN_RELAY_LOG, down()), True, id="the others have it in a relay log"),
        pytest.param(counted(dead(), WAITING_1, WAITING_2, down(since=4.5)), True, id="down a second before"),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(since=4.4)), False, id="an ack may have been under way"
        ),
        pytest.param(counted(dead(), WAITING_1, WAITING_2, down(since=3.2)), False, id="both went down together"),
        pytest.param(counted(dead(), BEHIND_1, BEHIND_2, down()), False, id="the others lack what the primary had"),
        pytest.param(
            counted(dead(), BEHIND_1, replica(R2, TabletType.DRAINED), down()),
            False,
            id="only a tablet that no election listens to has it",
        ),
        pytest.param(counted(dead(), BEHIND_1, failing(WAITING_2), down()), False, id="who had it is not reached"),
        pytest.param(
            counted(dead(failure=ProbeFailure.TIMEOUT), WAITING_1, WAITING_2, down()), False, id="the primary is silent"
        ),
        pytest.param(
            counted(dead(failure=ProbeFailure.REFUSED), WAITING_1, WAITING_2, down()),
            False,
            id="nobody speaks for the primary's MySQL",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(failure=ProbeFailure.TIMEOUT)), False, id="the tablet is silent"
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(failure=ProbeFailure.SHUT_DOWN)),
            False,
            id="the tablet was stopped, its MySQL perhaps not",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(same_failure_since=NOW - 3.2)),
            False,
            id="it failed for an hour, but its MySQL is down only now",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(same_failure_since=None)), False, id="it is not known since when"
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(probed=3.5)), False, id="not asked since the primary went down"
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(probed=3.0)), True, id="asked as the primary went down"
        ),
        pytest.param(
            counted(dead(never_heard=True), WAITING_1, WAITING_2, down()), False, id="the primary was never seen"
        ),
        pytest.param(
            counted(dead(read_only=True), WAITING_1, WAITING_2, down()), False, id="the primary was never seen at work"
        ),
        pytest.param(counted(primary(), WAITING_1, WAITING_2, down()), False, id="the primary is alive"),
        pytest.param(counted(WAITING_1, WAITING_2, down()), False, id="the primary's record is gone"),
        pytest.param(
            counted(
                of_old_version(dead()), of_old_version(WAITING_1), of_old_version(WAITING_2), of_old_version(down())
            ),
            True,
            id="older versions tell enough",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(unheard_until=NOW - 1)),
            False,
            id="no tablet was heard for long after the primary was seen",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(unheard_until=NOW - 600)),
            True,
            id="the primary was seen after no tablet was heard",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(), client_count=None), False, id="the clients were not counted"
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(), client_count=client_count(3)),
            False,
            id="the primary counts one client more than the others are",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(since=5.5), client_count=client_count(explained_at=NOW - 4.6)),
            False,
            id="the others were not seen as all clients since it went down",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(), client_count=client_count(2, R1, R3)),
            False,
            id="it was one of the clients",
        ),
        pytest.param(
            counted(dead(), WAITING_1, WAITING_2, down(), client_count=client_count(primary=alias(R1))),
            False,
            id="another primary counted",
        ),
    ],
)
def test_scenario_12_who_was_down_before_is_excused_only_with_proof(view: ShardView, is_excused: bool) -> None:
    """Both tablet managers must say that their MySQL is down, in the right order, and the others must have it all."""
    reached = {name: each for name, each in stop(view).items() if name in REACHED}
    assert set(exempt(view, reached)) == ({alias(R3)} if is_excused else set())
    made = candidate_set(view, SEMI_SYNC, stop(view))
    assert isinstance(choose(made, SEMI_SYNC), Choice) == (is_excused or alias(P) in made.stopped)


def test_a_primary_that_waits_for_no_acknowledgement_need_not_count_clients() -> None:
    """Without acknowledgements no client can hold a write that others lack, so that the count is not asked for."""
    view = shard(dead(semi_sync=False), WAITING_1, WAITING_2, down())
    assert candidate_set(view, NONE, stop(view)).exempt.keys() == {alias(R3)}


def test_clients_that_no_tablet_explains_are_ackers_that_cannot_be_reached() -> None:
    """The primary's count holds for that primary alone, also when its record is gone."""
    view = counted(dead(), WAITING_1, WAITING_2, client_count=client_count(3, unknown=1))
    for each in (view, counted(WAITING_1, WAITING_2, client_count=view.client_count)):
        made = candidate_set(each, SEMI_SYNC, stop(each))
        assert made.semi_sync.unknown_ackers == {alias(P): 1}
        outcome = choose(made, SEMI_SYNC)
        assert isinstance(outcome, Refusal)
        assert "acknowledged by a server without a tablet record" in outcome.sentence
        assert "find the mysqld that replicates from it and has no tablet record" in outcome.sentence
        assert "began to watch" not in outcome.sentence
    other = counted(dead(), WAITING_1, WAITING_2, client_count=client_count(3, unknown=1, primary=alias(R3)))
    assert isinstance(choose(candidate_set(other, SEMI_SYNC, stop(other)), SEMI_SYNC), Choice)


def test_a_refusal_for_clients_that_are_only_assumed_says_that_vtorc_began_to_watch() -> None:
    """No operator looks in vain for a server that may be a replica which vtorc had not yet seen at work."""
    view = counted(dead(), WAITING_1, WAITING_2, client_count=client_count(2, unknown=2, assumed=2))
    outcome = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(outcome, Refusal)
    assert "vtorc began to watch this shard moments before the loss" in outcome.sentence
    assert "vtorc ctl force promotes one of them" in outcome.sentence


def test_an_unknown_client_may_hold_the_tail_of_a_stopped_primary() -> None:
    """What only the demoted primary has, a server without a record may have acknowledged."""
    view = counted(answers(primary(), read_only=True, executed=gtids("100:1-60")), replica(R1), replica(R2))
    held = {
        alias(P): replace(stopped(P, "100:1-60", type_=TabletType.PRIMARY, source=None), was_primary=True),
        alias(R1): stopped(R1, "100:1-50"),
        alias(R2): stopped(R2, "100:1-50"),
    }
    assert unacknowledged_tail(candidate_set(view, SEMI_SYNC, held), SEMI_SYNC) == gtids("100:51-60")
    unknown = replace(view, client_count=client_count(3, unknown=1))
    assert not unacknowledged_tail(candidate_set(unknown, SEMI_SYNC, held), SEMI_SYNC)


def test_nobody_is_excused_by_tablets_that_were_not_stopped() -> None:
    """What counts is what was stopped, not what answered before."""
    view = counted(dead(), WAITING_1, WAITING_2, down())
    assert exempt(view, {}) == {}
    one = {alias(R1): stop(view)[alias(R1)]}
    assert exempt(view, one) == {alias(R3): exempt(view, stop(view))[alias(R3)]}
    lagging = {alias(R1): replace(one[alias(R1)], received=gtids("100:1-49"))}
    assert exempt(view, lagging) == {}
    assert "zone2-0000000200" in unrevoked(
        candidate_set(view, SEMI_SYNC, {alias(R1): stop(view)[alias(R1)]}), SEMI_SYNC
    )


def test_the_primary_itself_is_never_excused() -> None:
    """Replacing it is what all this is about."""
    view = shard(dead(dead_for=3600.0), WAITING_1, WAITING_2, down(since=9000))
    assert alias(P) not in exempt(view, stop(view))


def test_what_stopped_tablets_once_had_is_remembered() -> None:
    """What was lost before, and since the last answer, counts; of who was not stopped nothing is known."""
    forgetful = changed(replica(R1, io=CONNECTING, received="100:1-55"), lost_after_receipt=gtids("100:60"))
    gone = failing(changed(WAITING_2, lost_after_receipt=gtids("100:70")))
    view = shard(primary(dead_for=3), forgetful, gone)
    now = {alias(R1): stopped(R1, "100:1-53")}
    assert candidate_set(view, SEMI_SYNC, now).lost_after_receipt == {alias(R1): gtids("100:54-55,100:60")}


@pytest.mark.parametrize(
    ("gone_ago", "was_primary", "is_former"),
    [(10.0, True, True), (4.5, True, True), (4.1, True, False), (10.0, False, False)],
)
def test_a_primary_that_was_gone_while_the_next_one_worked_is_no_later_one(
    gone_ago: float, was_primary: bool, is_former: bool
) -> None:
    """A replica that missed a failover follows the former primary's server, which was rebuilt since."""
    gone = {uuid(900): ReplacedServer(successor=uuid(R2), gone_at=NOW - gone_ago, was_primary=was_primary)}
    rebuilt = changed(replica(R2), server_uuid=uuid(R2), replaced_servers=gone)
    made = candidate_set(shard(primary(dead_for=3), rebuilt), SEMI_SYNC, {})
    assert (uuid(900) in made.former_uuids) == is_former


def test_what_a_tablet_had_before_its_disk_stalled_is_remembered() -> None:
    """Its relay log may be lost while its answers tell of a stalled disk alone."""
    stalled = changed(replica(R1), status=TabletStatus(disk_stalled=True), received=gtids("100:1-55"))
    now = {alias(R1): stopped(R1, "100:1-53")}
    made = candidate_set(shard(primary(dead_for=3), stalled), SEMI_SYNC, now)
    assert made.lost_after_receipt == {alias(R1): gtids("100:54-55")}


@pytest.mark.parametrize(("record_term", "shard_term", "newest"), [(10, 10, 10), (20, 10, 20), (10, 30, 30)])
def test_the_newest_term_may_be_in_either_record(record_term: int, shard_term: int, newest: int) -> None:
    """Both the shard's record and its tablets' tell since when somebody is primary."""
    view = shard(primary(dead_for=3, term=record_term), WAITING_1, term=shard_term)
    assert candidate_set(view, SEMI_SYNC, stop(view)).newest_term == newest
