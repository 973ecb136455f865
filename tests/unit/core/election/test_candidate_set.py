"""What an election is given of each tablet and record, and what may be hoped for before any tablet is stopped."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    STOPPED,
    P,
    alias,
    answers,
    asked_after_others,
    changed,
    failing,
    fresh_shard,
    gtids,
    held,
    hold,
    primary,
    record,
    replica,
    shard,
    unprobed,
    uuid,
)
from tests.unit.core.election.test_candidate_evidence import NONE, R1, R2, R3, SEMI_SYNC, WAITING_1, WAITING_2, stop
from vtorc.core.election.candidate_evidence import as_if_stopped, candidate_set, newest_term, semi_sync_seen
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.durability import Member, PromotionRule
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus
from vtorc.core.facts.tablet_memory import ReplacedServer
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import TabletView


def test_a_tablet_that_was_rebuilt_is_kept_apart_from_the_stopped_ones() -> None:
    """It holds nothing of the past, and can follow a new primary all the same."""
    went_back = primary(executed="100:1-40", read_only=True, super_read_only=True)
    view = asked_after_others(shard(went_back, replica(R1), replica(R2)))
    made = candidate_set(view, SEMI_SYNC, stop(view))
    assert made.stopped.keys() == {alias(R1), alias(R2)}
    assert made.rebuilt_stopped.keys() == made.rebuilt.keys() == {alias(P)}
    assert made.lost_after_receipt == {}


def test_the_newest_primary_counts_and_not_the_one_that_the_shard_record_names() -> None:
    """The record of the shard is written after that of the tablet, and may be late."""
    view = shard(primary(term=20, dead_for=3), WAITING_1, named=R1, term=10)
    assert candidate_set(view, SEMI_SYNC, {}).primary == alias(P)


def test_what_cannot_be_read_is_handed_on() -> None:
    """A record that is garbage and a cell that never answered speak against a promotion."""
    view = shard(
        primary(dead_for=3), WAITING_1,
        bad_records={alias(R1): "truncated", alias(R3): "truncated"}, never_read_cells=frozenset({"zone4"}),
    )  # fmt: skip
    made = candidate_set(view, SEMI_SYNC, {})
    assert made.unreadable == {alias(R1), alias(R3)}
    assert made.never_read_cells == {"zone4"}


def test_what_decides_between_tablets_is_handed_on() -> None:
    """A cell without its topology server comes last, and what operators wish outweighs the policy."""
    view = held(shard(primary(dead_for=3), WAITING_1, unreachable_cells=frozenset({"zone3"})), hold(Effect.PREFER))
    made = candidate_set(view, SEMI_SYNC, {})
    assert made.unreachable_cells == {"zone3"}
    assert made.wishes == {alias(P): PromotionRule.PREFER, alias(R1): PromotionRule.PREFER}


def test_what_binary_logs_no_longer_hold_is_handed_on() -> None:
    """It is told by each tablet that ever answered."""
    view = shard(failing(primary(purged=gtids("100:1-7"))), replica(R1, purged=gtids("100:1-9")), unprobed(replica(R2)))
    assert candidate_set(view, SEMI_SYNC, {}).purged == {alias(P): gtids("100:1-7"), alias(R1): gtids("100:1-9")}


@pytest.mark.parametrize(("chosen", "is_last"), [(SEMI_SYNC, True), (NONE, False)])
def test_what_speaks_against_a_tablet_depends_on_the_policy(chosen: Any, is_last: bool) -> None:
    """A timeout of semi-sync matters only where writes are to be acknowledged."""
    semi_sync = SemiSyncStatus(replica_enabled=True, replica_active=True, timeout=10_000, wait_for_replica_count=1)
    view = shard(primary(dead_for=3), answers(replica(R1), semi_sync=semi_sync))
    assert candidate_set(view, chosen, {}).fitness[alias(R1)].is_last_choice(Use.LEAD) is is_last


@pytest.mark.parametrize(
    ("tablets", "shard_term", "newest"),
    [
        ((), 0, 0),
        ((record(P, TabletType.PRIMARY, term=20),), 10, 20),
        ((record(P, TabletType.PRIMARY, term=20), record(R1, TabletType.PRIMARY, term=25)), 10, 25),
        ((record(P, TabletType.PRIMARY, term=20), record(R1, TabletType.REPLICA, term=25)), 10, 20),
    ],
    ids=["none is known", "one primary", "two primaries", "a replica that was primary"],
)
def test_the_newest_term_is_that_of_a_primary(tablets: tuple[Any, ...], shard_term: int, newest: int) -> None:
    """A term that is left in the record of a replica is over, and zero means that none is known."""
    assert newest_term(shard(*(TabletView(record=each) for each in tablets), term=shard_term)) == newest


def test_the_servers_of_a_primary_are_known_without_its_replicas() -> None:
    """Its last answer names its server, and so does what is remembered of it at work."""
    never_at_work = primary(dead_for=3, read_only=True)
    stalled = changed(primary(), status=TabletStatus(disk_stalled=True))
    for tablet in (never_at_work, stalled):
        assert candidate_set(shard(tablet), SEMI_SYNC, {}).primary_uuids == {uuid(P)}


def test_no_server_is_a_former_primary_of_one_that_was_never_seen_at_work() -> None:
    """It may have been gone after that primary as well as before it."""
    gone = {uuid(900): ReplacedServer(successor=uuid(R2), gone_at=10.0, was_primary=True)}
    rebuilt = changed(replica(R2), server_uuid=uuid(R2), replaced_servers=gone)
    for dead, is_former in ((primary(dead_for=3), True), (primary(dead_for=3, never_heard=True), False)):
        made = candidate_set(shard(dead, rebuilt), SEMI_SYNC, {})
        assert (uuid(900) in made.former_uuids) is is_former


def test_a_primary_goes_on_waiting_though_the_policy_asks_for_nothing_any_more() -> None:
    """Its writes were acknowledged, and by the tablets that no policy asks for it."""
    view = shard(primary(dead_for=3), WAITING_1, WAITING_2, replica(R3, TabletType.DRAINED))
    seen = semi_sync_seen(view, NONE, stop(view))
    assert seen.wait_counts == {alias(P): 1}
    assert seen.past_ackers == {alias(R3)}


def test_each_tablet_that_answers_counts_as_if_it_were_stopped_now() -> None:
    """It is known with its type, server, transactions, source and SQL thread; one that fails now is left out."""
    view = shard(
        failing(primary()),
        replica(R1, TabletType.RDONLY, executed="100:1-40", received="100:41-50", sql=STOPPED),
        replica(R2, of=None),
        unprobed(replica(R3)),
    )
    expected = StoppedTablet(
        member=Member(alias(R1), TabletType.RDONLY),
        server_uuid=uuid(R1),
        executed=gtids("100:1-40"),
        received=gtids("100:1-50"),
        source_uuid=uuid(P),
        was_standing=True,
    )
    alone = replace(
        expected,
        was_standing=False,
        member=Member(alias(R2), TabletType.REPLICA),
        server_uuid=uuid(R2),
        executed=gtids("100:1-50"),
        source_uuid="",
    )
    assert as_if_stopped(view) == {alias(R1): expected, alias(R2): alone}
    assert as_if_stopped(fresh_shard()) == {}
