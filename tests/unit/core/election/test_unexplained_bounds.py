"""Servers that no tablet stands for, where one count after the other changes what is known of them."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, alias, primary, uuid
from tests.unit.core.election.test_unexplained_ackers import (
    CLIENT,
    HALTED,
    NO_ACKS,
    NO_SOURCE,
    OF_ANOTHER,
    R1,
    R2,
    R3,
    TRIES,
    UNTOLD,
    Watched,
    haunted,
    told,
)
from vtorc.core.election.unexplained_ackers import counted_without
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import TabletStatus

SILENT, DOWN = ProbeFailure.TIMEOUT, ProbeFailure.MYSQL_DOWN


def restarted(*, unknown: int = 0) -> Watched:
    """A shard with the numbers that an earlier process kept of complete counts."""
    made = Watched(R1, R2, R3)
    memory = replace(made.tablets[P].memory, unknown_clients=unknown, clients_explained=True, server_uuid=uuid(P))
    made.tablets[P] = replace(made.tablets[P], memory=memory)
    return made


def is_cleared(made: Watched, name: str, *, down_since: float = 0.0) -> bool:
    """Whether the primary counted its clients without that tablet."""
    return counted_without(made.view, made.tablets[name], alias(P), down_since=down_since)


def test_a_client_that_loses_its_record_hides_no_silent_tablet() -> None:
    """One client more can only be an unknown server, and the silent tablet may be another as before."""
    made = restarted(unknown=1).answers(R2, CLIENT, 6).fails(R3, 66, SILENT).counts(4, 66)
    assert (made.unknown, made.silent) == (1, frozenset({alias(R3)}))
    made.counts(0, 71).loses_record(R2, found_at=75)
    assert (made.unknown, made.silent) == (2, frozenset({alias(R3)}))


def test_what_was_kept_of_a_later_primary_as_a_replica_is_not_counted_for_it() -> None:
    """A new primary begins without unknown servers, whatever it had as primary before a restart of vtorc."""
    made = haunted()
    for name, term in ((P, 10), (R1, 20)):
        record = replace(made.tablets[name].record, type=TabletType.PRIMARY, primary_term_start=term)
        memory = replace(made.tablets[name].memory, unknown_clients=1)
        made.tablets[name] = replace(made.tablets[name], record=record, memory=memory)
    made.answers(R1, replace(told(primary(R1), primary_clients=1), server_uuid=uuid(R1)), 30)
    assert made.count is not None
    assert (made.count.primary, made.count.unexplained) == (alias(R1), 0)


def test_a_count_that_cannot_be_judged_stands_between_two_that_clear_an_unknown_server() -> None:
    """A replica had left and was not asked yet, so the number stays until two counts in a row say otherwise."""
    made = haunted().round(1, 15, r1=CLIENT, r2=CLIENT)
    assert made.round(2, 20, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.round(2, 25, r1=CLIENT, r2=CLIENT).unknown == 0


def test_a_tablet_stays_cleared_until_the_next_count_is_explained() -> None:
    """A new count alone takes nothing back of what the one before has shown."""
    made = Watched(R1, R2, R3).counts(2, 0).answers(R1, CLIENT, 0.1).answers(R2, CLIENT, 0.1).fails(R3, 0.2, DOWN)
    made.round(2, 5, r1=CLIENT, r2=CLIENT).round(2, 10, r1=CLIENT, r2=CLIENT)
    assert is_cleared(made, R3, down_since=4)
    assert is_cleared(made.counts(2, 15), R3, down_since=4)


def test_one_client_of_many_that_is_explained_clears_no_tablet() -> None:
    """Only once the whole count is explained it is known which tablets explain it."""
    made = Watched(R1, R2, R3).counts(4, 22).counts(4, 23)
    assert not is_cleared(made.answers(R2, CLIENT, 109), R3)


def test_a_number_that_was_kept_takes_two_complete_counts() -> None:
    """It was no assumption, though this process has not seen it proven."""
    made = restarted(unknown=1).counts(3, 67).counts(1, 134).answers(R2, CLIENT, 195)
    assert made.unknown == 1
    assert made.round(1, 200, r2=CLIENT).unknown == 0


def test_a_cell_that_was_never_read_may_explain_any_client() -> None:
    """Neither an unknown server nor a silent tablet is needed for it then."""
    made = Watched(R1, R2, R3)
    made.changes = {"never_read_cells": frozenset({"zone9"})}
    assert made.counts(0, 33).unknown == 0
    made.fails(R3, 34, SILENT).counts(3, 58)
    assert (made.unknown, made.silent) == (0, frozenset())


def test_of_a_first_count_only_what_was_assumed_is_taken_back() -> None:
    """Of four clients at most two can be these tablets, as one follows another server; a third was assumed."""
    made = Watched(R1, R2, R3).counts(4, 66).answers(R3, OF_ANOTHER, 133).answers(R1, UNTOLD, 139)
    assert made.answers(R2, CLIENT, 200).unknown == 3
    assert made.counts(1, 201).unknown == 2


def test_a_count_of_zero_takes_back_no_client_that_can_only_be_a_silent_tablet() -> None:
    """What was assumed once for want of answers is not assumed twice."""
    made = restarted(unknown=1)
    made.tablets[P] = replace(made.tablets[P], memory=replace(made.tablets[P].memory, clients_explained=False))
    made.answers(R3, NO_SOURCE, 1).fails(R2, 7, SILENT).counts(3, 11).fails(R1, 12, DOWN).answers(R3, HALTED, 72)
    assert made.unknown == 3
    assert made.counts(0, 73).unknown == 3


def test_a_primary_that_falls_silent_is_no_client_of_itself() -> None:
    """Only the other tablets may be the client that is left over."""
    made = restarted().counts(4, 86).fails(P, 88, SILENT).fails(R2, 88, SILENT)
    assert made.silent == {alias(R2)}


def test_a_client_that_never_was_left_out_of_a_count_is_no_silent_stranger() -> None:
    """No count was complete without it, so it is taken for the client that it was when it was last heard."""
    assert restarted().answers(R2, CLIENT, 62).counts(4, 92).fails(R2, 157, SILENT).silent == frozenset()


def test_a_tablet_that_becomes_a_client_of_another_later_may_have_been_one_before() -> None:
    """What it follows by then says nothing about the moment of the count."""
    made = Watched(R1, R2, R3).counts(0, 133).answers(R2, HALTED, 133).counts(2, 139).fails(R3, 159, DOWN)
    assert made.answers(R2, OF_ANOTHER, 159).unknown == 0


def test_the_answer_from_the_very_moment_of_a_count_is_one_after_it() -> None:
    """A tablet that was asked as the primary had told its count is none of its clients, if it says so."""
    made = restarted().counts(3, 10).answers(R1, NO_ACKS, 10.01)
    assert made.fails(R2, 10, DOWN).unknown == 2


def test_a_tablet_that_was_asked_before_the_count_was_told_says_nothing_of_it() -> None:
    """When its answer came does not matter: it may have joined in between."""
    assert restarted().counts(4, 1).answers(R2, NO_ACKS, 1).unknown == 1


@pytest.mark.parametrize(("source_uuid", "source_port", "unknown"), [("", 3306, 0), ("", 3307, 1), (uuid(P), 3307, 0)])
def test_a_client_is_told_by_the_address_of_its_source_where_the_uuid_is_not_known(
    source_uuid: str, source_port: int, unknown: int
) -> None:
    """Older tablets name only host and port."""
    assert CLIENT.replication is not None
    replication = replace(CLIENT.replication, source_uuid=source_uuid, source_port=source_port)
    client: Any = replace(CLIENT, replication=replication)
    made = Watched(R1)
    for at in (0, 5, 10):
        made.round(1, at, r1=client)
    assert made.unknown == unknown


# Moments that touch


def test_a_tablet_that_is_down_since_the_moment_of_the_first_of_two_complete_counts_is_cleared() -> None:
    """Down since later, it may have been a client at that count."""
    made = Watched(R1, R2, R3)
    for at in (0, 5, 10):
        made.round(2, at, r1=CLIENT, r2=CLIENT)
    assert is_cleared(made, R3, down_since=5)
    assert not is_cleared(made, R3, down_since=5.01)


def test_a_client_since_the_very_moment_of_a_count_was_counted() -> None:
    """It was seen before and after, so one later word of it changes nothing."""
    made = Watched(R1, R2, R3).answers(R1, NO_SOURCE, 1.0).answers(R1, CLIENT, 1.0).counts(2, 1.01)
    assert made.answers(R1, CLIENT, 1.02).unknown == 1
    assert made.answers(R1, NO_SOURCE, 61.03).unknown == 1


def test_a_client_that_was_asked_as_the_count_was_told_was_counted() -> None:
    """A count that it explains does not clear it."""
    made = restarted().counts(4, 9.99).counts(1, 14.99).counts(1, 20)
    assert is_cleared(made, R2)
    assert not is_cleared(made.answers(R2, CLIENT, 20.01), R2)


def test_a_client_that_left_a_minute_ago_may_still_be_counted() -> None:
    """MySQL notices it within that time, and not before its end."""
    made = restarted(unknown=1).answers(R2, CLIENT, 6.01).answers(R2, HALTED, 211.99).counts(4, 272)
    assert made.answers(R2, HALTED, 277).unknown == 1


def test_a_client_that_came_back_five_seconds_ago_may_be_counted_twice() -> None:
    """Then no silent tablet is needed to explain the second one."""
    stalled = TabletStatus(disk_stalled=True)
    made = restarted().answers(R1, stalled, 1).answers(R1, CLIENT, 22).counts(3, 27.01)
    assert made.fails(R3, 32.01, SILENT).silent == frozenset()


def test_a_client_that_was_last_seen_as_a_complete_count_was_asked_is_no_stranger() -> None:
    """That count was complete with it, so it may be the client that it was."""
    made = restarted(unknown=1).answers(R1, CLIENT, 2.01).counts(1, 2.01).counts(1, 62).fails(R1, 122, SILENT)
    assert made.counts(3, 123.01).fails(R2, 124.02, DOWN).silent == frozenset()


def test_a_tablet_that_follows_another_since_the_moment_of_the_count_was_no_client() -> None:
    """Only one that began to follow it later may have been one before."""
    made = restarted(unknown=1).answers(R1, CLIENT, 66).answers(R1, OF_ANOTHER, 72).counts(3, 72)
    assert made.answers(R2, NO_ACKS, 79).answers(R1, OF_ANOTHER, 79).unknown == 2


def test_a_stalled_disk_hides_whether_a_tablet_was_a_client() -> None:
    """It may explain one of the clients that were assumed, so that a later count takes that one back."""
    made = Watched(R1, R2, R3).answers(R2, TRIES, 191.04).counts(4, 251.04)
    made.answers(R1, TabletStatus(disk_stalled=True), 371.06).loses_record(R3, found_at=371.06)
    assert made.unknown == 4
    assert made.counts(1, 432.07).unknown == 2


@pytest.mark.parametrize(("at", "unknown"), [(60.0, 0), (60.01, 1)])
def test_a_tablet_that_has_tried_to_connect_for_a_minute_may_have_been_connected(at: float, unknown: int) -> None:
    """After that it would have been seen as a client."""
    made = restarted().answers(R3, TRIES, 0)
    assert made.round(1, at, r1=NO_ACKS, r2=NO_ACKS, r3=TRIES).unknown == unknown
