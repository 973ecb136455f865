"""What would follow if the primary died now, worked out while it lives."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    NOW,
    RUNNING,
    STOPPED,
    P,
    alias,
    answers,
    changed,
    client_count,
    failing,
    filtering,
    primary,
    replica,
    shard,
)
from vtorc.core.election.readiness import Readiness, readiness
from vtorc.core.election.survivability import LossOutcome
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import SemiSyncStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC, CROSS_CELL, NONE = policy("semi_sync"), policy("cross_cell"), policy("none")
WRITTEN = primary(executed="100:1-60")
"""A primary that has told more than the replicas."""


def follower(name: str, type_: TabletType = TabletType.REPLICA, *, lag: int | None = 0, **changes: Any) -> TabletView:
    """A replica that is so many seconds behind; by default it keeps up."""
    delay = changes.pop("sql_delay", None)
    tablet = replica(name, type_, **changes)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, lag=lag, sql_delay=delay))


HEALTHY = shard(primary(), follower(R1), follower(R2))


def ready(view: ShardView, durability: str = "semi_sync", *, same_cell_only: bool = False) -> Readiness:
    """Return what would follow, of a shard where that can be said."""
    found = readiness(view, policy(durability), same_cell_only=same_cell_only, catch_up=30.0)
    assert found is not None
    return found


def test_a_healthy_shard_is_ready() -> None:
    """The replica in the cell of the primary would win, and the other one if it has applied its relay log first."""
    found = ready(HEALTHY)
    assert (found.winner, found.others) == (alias(R1), (alias(R2),))
    assert (found.rule, found.blocked_by, dict(found.removed)) == (None, (), {})
    assert (found.first, found.doubts, found.at_risk) == ("", (), ())
    assert found.sentence == (
        "if zone1-0000000100 died now, zone1-0000000101 (or zone2-0000000200) would become primary"
    )


@pytest.mark.parametrize(
    "view",
    [
        shard(follower(R1), follower(R2)),
        shard(primary(dead_for=3.0), follower(R1), follower(R2)),
        shard(answers(primary(), disk_stalled=True), follower(R1), follower(R2)),
    ],
    ids=["no primary", "dead", "stalled disk"],
)
def test_nothing_is_said_without_a_primary_that_answers(view: ShardView) -> None:
    """A primary that is lost is no question of readiness any more."""
    assert readiness(view, SEMI_SYNC, same_cell_only=False, catch_up=30.0) is None


def test_nothing_is_said_without_a_policy() -> None:
    """Without a policy no election can be held."""
    assert readiness(HEALTHY, None, same_cell_only=False, catch_up=30.0) is None


@pytest.mark.parametrize(
    ("tablets", "winner", "others"),
    [
        ((WRITTEN, follower(R1), follower(R2)), R1, (R2,)),
        ((WRITTEN, follower(R1, io=STOPPED), follower(R2)), R2, ()),
        ((primary(), follower(R1), follower(R2, executed="100:1-61")), R1, (R2,)),
        ((primary(), follower(R1, io=STOPPED), follower(R2, executed="100:1-61")), R2, ()),
        ((WRITTEN, follower(R1), follower(R2, of=R1)), R1, ()),
    ],
    ids=[
        "behind by its last answer",
        "one receives nothing",
        "ahead of the primary",
        "ahead, and one is stopped",
        "one receives from the other",
    ],
)
def test_a_replica_that_receives_has_received_all_by_then(
    tablets: tuple[TabletView, ...], winner: str, others: tuple[str, ...]
) -> None:
    """Answers are of different moments: all that was told of the primary's writes reaches each replica that receives,
    and none other.
    """
    found = ready(shard(*tablets))
    assert (found.winner, found.others) == (alias(winner), tuple(map(alias, others)))


@pytest.mark.parametrize(
    ("io", "sql", "winner", "other"),
    [(STOPPED, STOPPED, R3, R2), (RUNNING, STOPPED, R3, R2), (STOPPED, RUNNING, R2, R3), (RUNNING, RUNNING, R2, R3)],
)
def test_a_replica_that_an_operator_stopped_wins_after_one_that_runs(
    io: ThreadState, sql: ThreadState, winner: str, other: str
) -> None:
    """Without writes since it stopped it has everything too, and its name came first."""
    found = ready(shard(primary(), follower(R2, io=io, sql=sql), follower(R3)))
    assert (found.winner, found.others) == (alias(winner), (alias(other),))


def test_transactions_of_a_replica_of_its_own_reach_no_other() -> None:
    """Errant transactions of one replica do not make the others lack something."""
    found = ready(shard(primary(), follower(R1), follower(R2, executed="100:1-50,200:1-3"), follower(R3)))
    assert (found.winner, found.others) == (alias(R1), (alias(R3),))
    assert found.removed == {alias(R2): "has errant transactions 3 transactions: 00000200…:1-3"}


@pytest.mark.parametrize(
    ("tablets", "rule", "reason"),
    [
        (
            (primary(clients=0), follower(R1, executed="100:1-40", io=STOPPED)),
            Rule.NO_CANDIDATE,
            "no tablet may become primary: zone1-0000000101 would get 0 of the 1 acknowledgements that semi_sync "
            "requires",
        ),
        (
            (WRITTEN, follower(R1, io=STOPPED), follower(R2, io=STOPPED)),
            Rule.BELOW_LAST_SEEN,
            "zone1-0000000100 was seen to have committed 10 transactions: 00000100…:51-60, which no reached tablet has "
            "received",
        ),
        (
            (primary(), failing(follower(R1), ProbeFailure.TIMEOUT), follower(R2)),
            Rule.ACKERS_UNREACHED,
            "writes can still be committed on zone1-0000000100, acknowledged by zone1-0000000101, and may have been "
            "already; to exclude that, reach one of zone1-0000000100, zone1-0000000101",
        ),
        (
            (WRITTEN, follower(R1, sql=STOPPED, lag=None), follower(R2, sql=STOPPED, lag=None)),
            Rule.APPLIER_STOPPED,
            "only zone1-0000000101, zone2-0000000200 holds every transaction, but its relay log is not applied",
        ),
        (
            (WRITTEN, follower(R1, sql_delay=60, lag=60), follower(R2, sql_delay=60, lag=60)),
            Rule.APPLIER_STOPPED,
            "only zone1-0000000101, zone2-0000000200 holds every transaction, but its relay log is not applied",
        ),
    ],
    ids=["no acker left", "none receives", "an acker is silent", "appliers stopped", "appliers late on purpose"],
)
def test_what_would_refuse_the_election_is_named_before_it(
    tablets: tuple[TabletView, ...], rule: Rule, reason: str
) -> None:
    """The rule and the sentence are those of the refusal that would follow."""
    found = ready(shard(*tablets))
    assert (found.winner, found.rule) == (None, rule)
    assert found.blocked_by[0].startswith(reason)
    assert found.sentence == f"if zone1-0000000100 died now, no tablet would become primary: {found.blocked_by[0]}"


def test_a_tablet_with_a_stalled_disk_is_not_counted_on() -> None:
    """It would hardly stop in time, and what it holds is not told."""
    stalled = answers(follower(R1), disk_stalled=True)
    found = ready(shard(primary(), stalled, follower(R2)))
    assert found.rule is Rule.ACKERS_UNREACHED
    plain = primary(semi_sync=False), follower(R2, semi_sync=False), follower(R3, semi_sync=False)
    found = ready(shard(*plain, answers(follower(R1, semi_sync=False), disk_stalled=True)), "none")
    assert (found.winner, found.others) == (alias(R2), (alias(R3),))
    assert found.removed == {alias(R1): "was not reached"}


def test_a_shard_that_is_not_ready_names_the_tablets_that_cannot_win() -> None:
    """Each has its own reason, beside the one for all; the primary that has died is none of them."""
    found = ready(shard(primary(), follower(R1, TabletType.RDONLY), follower(R2, io=STOPPED, executed="100:1-40")))
    assert found.winner is None
    assert alias(R1) in found.removed
    assert alias(P) not in found.removed


def test_the_next_primary_may_have_to_be_in_the_same_cell() -> None:
    """The setting counts for the winner and for the losses."""
    far = shard(primary(), follower(R2), follower(R3))
    assert ready(far).winner is not None
    found = ready(far, same_cell_only=True)
    assert found.rule is Rule.NO_CANDIDATE
    assert "is in cell zone2, and prevent-cross-cell-failover keeps the primary in zone1" in found.blocked_by[0]
    assert [loss.what for loss in found.losses.tablets] == ["tablet zone1-0000000100"]
    assert [loss.what for loss in ready(far).losses.tablets] == []


def test_what_is_certain_before_a_stop_refuses_first() -> None:
    """A failover stops no tablet then, so that it is refused for cells and not for errant transactions."""
    errant = follower(R2, executed="100:1-50,200:1-3")
    found = ready(shard(primary(), errant, follower(R3)), same_cell_only=True)
    assert found.rule is Rule.NO_CANDIDATE
    assert found.blocked_by[0].startswith("no tablet may become primary: zone2-0000000200 is in cell zone2")


def test_an_unknown_acker_counts() -> None:
    """A semi-sync client without a tablet record may hold writes alone, and none stops it."""
    found = ready(replace(HEALTHY, client_count=client_count(3, unknown=1)))
    assert found.rule is Rule.ACKERS_UNREACHED
    assert "a server without a tablet record" in found.blocked_by[0]


def test_a_tablet_in_a_cell_that_was_never_read_counts() -> None:
    """Tablets that are not known at all may be anything."""
    found = ready(replace(HEALTHY, unreachable_cells={"zone9": "refused"}, never_read_cells=frozenset({"zone9"})))
    assert found.blocked_by[0].startswith("cell zone9 was never read")


def test_a_replica_that_keeps_up_wins_before_one_that_is_late() -> None:
    """The late one is better by its cell, and has not applied its relay log when the other has."""
    late = follower(R1, lag=40, received="100:1-80", executed="100:1-50")
    found = ready(shard(WRITTEN, late, follower(R2)))
    assert (found.winner, found.others, found.first) == (alias(R2), (alias(R1),), "")


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"lag": 1}, ""),
        ({"lag": 40}, "first zone1-0000000101 has 30 transactions of its relay log to apply and is 40 s behind"),
        ({"lag": None}, "first zone1-0000000101 has 30 transactions of its relay log to apply, and gets 30 s for that"),
        (
            {"lag": 0, "sql_delay": 9},
            "first zone1-0000000101, which applies each transaction 9 s late on purpose (SOURCE_DELAY), has 30 "
            "transactions of its relay log to apply, and gets 30 s for that",
        ),
        (
            {"lag": 9, "sql_delay": 9},
            "first zone1-0000000101, which applies each transaction 9 s late on purpose (SOURCE_DELAY), has 30 "
            "transactions of its relay log to apply and is 9 s behind",
        ),
    ],
    ids=["keeps up", "late", "unknown", "late on purpose and idle", "late on purpose"],
)
def test_what_the_promotion_would_wait_for_is_told(changes: dict[str, Any], first: str) -> None:
    """The relay log of the winner, if it is late: nothing else that takes time is known beforehand."""
    late = follower(R1, received="100:1-80", executed="100:1-50", semi_sync=False, **changes)
    found = ready(shard(primary(executed="100:1-80", semi_sync=False), late), "none")
    assert found.winner == alias(R1)
    assert found.first.startswith(first)
    assert bool(found.first) is bool(first)
    assert found.sentence.endswith(found.first)


def test_a_winner_that_must_fetch_is_told() -> None:
    """The only tablet with everything may not become primary, so that the winner fetches from it."""
    read_only = follower(R2, TabletType.RDONLY)
    found = ready(shard(WRITTEN, follower(R1, io=STOPPED), read_only), "semi_sync_with_rdonly_ack")
    assert found.winner == alias(R1)
    assert found.first == "zone1-0000000101 has to fetch from zone2-0000000200 what it lacks"


def test_a_source_that_is_late_is_waited_for() -> None:
    """The winner fetches only what its source has applied, so the relay log of the source is told."""
    late = follower(R2, TabletType.RDONLY, received="100:1-60", lag=40)
    found = ready(shard(WRITTEN, follower(R1, io=STOPPED), late), "semi_sync_with_rdonly_ack")
    assert (found.winner, found.others) == (alias(R1), ())
    assert found.first == (
        "first zone2-0000000200 has 10 transactions of its relay log to apply and is 40 s behind, and gets 30 s for "
        "that; zone1-0000000101 has to fetch from zone2-0000000200 what it lacks"
    )


def test_a_replica_that_does_not_tell_its_lag_is_not_waited_for_without_a_reason() -> None:
    """It may be late, and has nothing left to apply."""
    assert ready(shard(primary(), follower(R1, lag=None), follower(R2, lag=None))).first == ""


def test_a_tablet_without_a_source_would_be_demoted_and_comes_last() -> None:
    """It may be a primary that no record names."""
    stray = replica(R1, of=None, executed="100:1-50")
    found = ready(shard(primary(), stray, follower(R2), follower(R3)))
    assert (found.winner, found.others) == (alias(R2), (alias(R3),))


def test_a_tablet_that_was_down_before_need_not_be_reached() -> None:
    """Its MySQL was down while the primary was seen at work and counted its clients without it."""
    down = failing(follower(R3), for_=100.0)
    asked = changed(down, ended_at=NOW - 2.0)
    view = replace(shard(primary(), follower(R1), follower(R2), asked), client_count=client_count(2))
    found = ready(view)
    assert (found.winner, found.removed) == (alias(R1), {alias(R3): "was not reached"})
    assert found.at_risk == (
        "if zone1-0000000100 went silent with its host, no tablet would win: writes can still be committed on "
        "zone1-0000000100, acknowledged by zone3-0000000300, and may have been already; to exclude that, reach one of "
        "zone1-0000000100, zone3-0000000300",
    )


def test_an_end_of_waiting_for_acknowledgements_is_a_risk() -> None:
    """A primary with a finite timeout may go on without acknowledgements once no tablet hears of it."""
    semi_sync = primary().status.semi_sync  # type: ignore[union-attr]
    found = ready(shard(answers(primary(), semi_sync=replace(semi_sync, timeout=10_000)), follower(R1), follower(R2)))
    assert found.winner is not None
    (risk,) = found.at_risk
    assert risk.startswith("if zone1-0000000100 went silent with its host, no tablet would win")
    assert "waits 10 s for acknowledgements" in risk


def test_a_timeout_that_the_last_answers_leave_open_refuses() -> None:
    """Between the last answer of the primary and its death it may have gone on without acknowledgements."""
    semi_sync = primary().status.semi_sync  # type: ignore[union-attr]
    hasty = answers(primary(), semi_sync=replace(semi_sync, timeout=2_000))
    assert ready(shard(hasty, follower(R1), follower(R2))).winner is not None
    later = follower(R2)
    assert later.status is not None
    found = ready(shard(hasty, follower(R1), answers(later, at=NOW + 3.0)))
    assert found.rule is Rule.ACKERS_UNREACHED


def test_writes_without_acknowledgements_are_at_risk() -> None:
    """The policy promises nothing about the last writes."""
    found = ready(shard(primary(semi_sync=False), follower(R1, semi_sync=False), follower(R2, semi_sync=False)), "none")
    assert found.at_risk == (
        "the policy none asks for no acknowledgements, so writes that no replica has received when zone1-0000000100 "
        "dies are lost",
    )


def test_a_winner_that_is_used_only_for_want_of_a_better_one_is_doubted() -> None:
    """What speaks against it is told with the remedy."""
    bad = answers(follower(R1), binlog_format="STATEMENT")
    found = ready(shard(primary(), bad, follower(R2)), same_cell_only=True)
    assert found.doubts == (
        "zone1-0000000101 would win for want of a better one: it logs statements that may do other things elsewhere "
        "(binlog_format=STATEMENT) (set binlog_format to ROW)",
    )
    assert ready(shard(primary(), bad, follower(R2))).doubts == ()


def test_a_winner_without_certain_acknowledgements_is_doubted() -> None:
    """The only other tablet has replication filters, so that it acknowledges rows that it leaves out."""
    found = ready(shard(primary(), follower(R1), filtering(R2)))
    assert found.winner == alias(R1)
    assert found.doubts == ("zone1-0000000101 needs 1 acknowledgement, has 0 that may give one for certain",)


def test_a_shard_with_an_only_acker_that_cannot_acknowledge_is_not_ready() -> None:
    """The only other tablet tells no settings of semi-sync, so no write of the winner would be acknowledged."""
    silent = answers(follower(R2), semi_sync=SemiSyncStatus())
    found = ready(shard(primary(), follower(R1), silent))
    assert found.winner is None
    assert found.rule is Rule.NO_CANDIDATE
    assert any("install the plugins" in why for why in found.blocked_by)


def test_a_winner_in_a_cell_without_its_topology_server_is_doubted() -> None:
    """The tablet writes there that it is primary, before it takes writes."""
    cells = {tablet.alias.cell: "refused" for tablet in HEALTHY.tablets}
    found = ready(replace(HEALTHY, unreachable_cells=cells))
    assert found.doubts == (
        "the topology server of cell zone1 does not answer, and zone1-0000000101 has to write there that it is primary",
    )


def test_only_losses_that_the_shard_does_not_survive_are_told() -> None:
    """Each names what is lost and what follows."""
    found = ready(HEALTHY)
    assert [(loss.what, loss.outcome) for loss in found.losses.tablets] == []
    assert [(loss.what, loss.outcome) for loss in found.losses.cells] == [("cell zone1", LossOutcome.NO_CANDIDATE)]
    wide = ready(shard(primary(clients=3), follower(R1), follower(R2), follower(R3)), "cross_cell")
    assert (wide.losses.tablets, wide.losses.cells) == ((), ())
    few = ready(shard(primary(), follower(R1), failing(follower(R2))), "cross_cell")
    assert [loss.outcome for loss in few.losses.cells] == [LossOutcome.NO_CANDIDATE]


def test_losses_heed_what_speaks_against_tablets() -> None:
    """A replica with filters neither takes over nor makes a write of its successor safe."""
    found = ready(shard(primary(), filtering(R1), follower(R2)))
    assert [loss.what for loss in found.losses.tablets] == ["tablet zone1-0000000100", "tablet zone2-0000000200"]


def test_the_primary_of_the_shard_stays_as_it_is() -> None:
    """The question changes nothing of what is known."""
    before = [tablet.last_probe for tablet in HEALTHY.tablets]
    ready(HEALTHY)
    assert [tablet.last_probe for tablet in HEALTHY.tablets] == before
    assert HEALTHY.primary is not None
    assert HEALTHY.primary.alias == alias(P)
