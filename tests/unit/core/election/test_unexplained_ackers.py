"""How many semi-sync clients of a primary are servers that no tablet stands for, as answers come in."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.builders import CONNECTING, STOPPED, P, alias, primary, replica, shard, uuid
from vtorc.core.election.unexplained_ackers import (
    DEAD_CONNECTION_STANDS,
    LINGERS,
    are_assumed,
    client_count_after,
    client_count_without,
    clients_without_count,
    counted_without,
    lost_since,
    silent_clients,
    unexplained_clients,
)
from vtorc.core.facts.client_count import ClientCount
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SETTINGS = SemiSyncStatus(timeout=10**18, wait_for_replica_count=1)
TAKES = 0.01
"""Seconds that each answer takes."""


def told(tablet: TabletView, **semi_sync: Any) -> TabletStatus:
    """Return the tablet's answer, with other semi-sync settings, which it tells of."""
    assert tablet.status is not None
    changed = {"timeout": SETTINGS.timeout, "wait_for_replica_count": 1, **semi_sync}
    return replace(tablet.status, semi_sync=replace(tablet.status.semi_sync, **changed))


CLIENT = told(replica(R1))
NO_SOURCE, NO_ACKS = told(replica(R1, of=None)), told(replica(R1, semi_sync=False), replica_active=False)
TRIES, HALTED = told(replica(R1, io=CONNECTING)), told(replica(R1, io=STOPPED))
OF_ANOTHER = told(replica(R1, of=R3))
UNTOLD = replace(CLIENT, semi_sync=SemiSyncStatus())


def failing(status: TabletStatus, error: str) -> TabletStatus:
    """Return the answer with this error of the IO thread."""
    assert status.replication is not None
    return replace(status, replication=replace(status.replication, last_io_error=error))


CUT_OFF = failing(TRIES, "Error connecting to source 'vt_repl@h:1'. Message: Can't connect to MySQL server on 'h:1'")


def told_term() -> ObservedTerm | None:
    """Return a term in which the primary was seen at work."""
    return primary().memory.observed_term


class Watched:
    """A shard, of which one answer after the other is heard."""

    def __init__(self, *names: str, counts: ClientCount | None = None) -> None:
        types = {P: TabletType.PRIMARY}
        self.tablets = {
            name: TabletView(record=replica(name, types.get(name, TabletType.REPLICA)).record) for name in (P, *names)
        }
        self.tablets[P] = TabletView(record=primary().record)
        self.count = counts
        self.kept_for = 0.0
        self.changes: dict[str, Any] = {}

    @property
    def view(self) -> ShardView:
        """The shard as it is known."""
        return shard(*self.tablets.values(), client_count=self.count, **self.changes)

    @property
    def unknown(self) -> int:
        """How many clients count as unknown."""
        return unexplained_clients(self.view, alias(P))

    @property
    def silent(self) -> frozenset[TabletAlias]:
        """Which silent tablets may be a client for which nothing else is left."""
        return silent_clients(self.view, alias(P))

    def counts(self, clients: int, at: float, **changes: Any) -> "Watched":
        """Let the primary answer that it has so many clients."""
        return self.answers(P, replace(told(primary(), primary_clients=clients), **changes), at)

    def answers(self, name: str, status: TabletStatus, at: float) -> "Watched":
        """Let a tablet answer."""
        before = self.tablets[name]
        memory = before.memory.after_answer(
            status,
            before.last_probe,
            started=at,
            ended=at + TAKES,
            asked_record=before.record,
            record=before.record,
        )
        probe = type(before.last_probe).answered(status, started=at, ended=at + TAKES, before=before.last_probe)
        self.tablets[name] = replace(before, last_probe=probe, memory=memory)
        return self._heard()

    def fails(self, name: str, at: float, failure: ProbeFailure = ProbeFailure.MYSQL_DOWN) -> "Watched":
        """Let a tablet's probe fail."""
        before = self.tablets[name]
        probe = before.last_probe.failed(failure, "", started=at, ended=at + TAKES)
        is_down = failure is ProbeFailure.MYSQL_DOWN
        memory = before.memory.after_mysql_down(ended=at + TAKES) if is_down else before.memory
        self.tablets[name] = replace(before, last_probe=probe, memory=memory)
        return self._heard()

    def loses_record(self, name: str, *, found_at: float = 0.0) -> "Watched":
        """Let a tablet's record be deleted, which a reading found last that began at this moment."""
        self.count = client_count_without(self.count, self.view, {alias(name): found_at})
        del self.tablets[name]
        return self

    def round(self, clients: int, at: float, **answers: TabletStatus) -> "Watched":
        """Let the primary count, and then each named tablet answer; the names are `r1` and so on."""
        self.counts(clients, at)
        for number, (name, status) in enumerate(answers.items(), 1):
            self.answers({"r1": R1, "r2": R2, "r3": R3}[name], status, at + number / 10)
        return self

    def _heard(self) -> "Watched":
        self.count = client_count_after(self.count, self.view, kept_for=self.kept_for)
        return self


def asked_often(kept_for: float) -> int:
    """Return how many clients are unknown after a server got its tablet record back, while the primary is asked once a
    second and each replica every five, at a time of its own.
    """
    made = haunted()
    made.kept_for = kept_for
    made.tablets[R3] = TabletView(record=replica(R3).record)
    for second in range(11, 40):
        made.counts(3, second)
        for name, phase in ((R1, 0), (R2, 1), (R3, 3)):
            if second % 5 == phase:
                made.answers(name, CLIENT, second + 0.5)
    return made.unknown


def well(*names: str) -> Watched:
    """A shard with two replicas that have been seen as clients for ten seconds."""
    made = Watched(R1, R2, *names)
    for at in (0, 5, 10):
        made.round(2, at, r1=CLIENT, r2=CLIENT)
    return made


def haunted() -> Watched:
    """A shard with a third client, a server that has lost its tablet record."""
    made = Watched(R1, R2, R3)
    for at in (0, 5, 10):
        made.round(3, at, r1=CLIENT, r2=CLIENT, r3=CLIENT)
    made.loses_record(R3)
    assert made.unknown == 1
    return made


def test_a_primary_that_is_asked_more_often_than_its_replicas_is_explained() -> None:
    """A count stays until each replica has answered after it; if newer ones took its place, none would be complete."""
    assert asked_often(kept_for=10.0) == 0
    assert asked_often(kept_for=0.0) == 1


def test_two_replicas_explain_two_clients() -> None:
    """Each was seen as a client before and after the count."""
    made = well()
    count = made.count
    assert count is not None
    assert (made.unknown, count.is_settled, count.certain_since) == (0, True, None)
    assert count.explained_at == 5
    assert count.explained_by == {alias(R1), alias(R2)}


def test_a_server_that_loses_its_record_is_unknown_from_that_moment_on() -> None:
    """It acknowledges as before, and vtorc cannot stop it any more."""
    made = haunted()
    assert made.count is not None
    assert made.count.certain_since == 10
    for at in (15, 20, 25):
        assert made.round(3, at, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.count.certain_since == 10
    assert made.round(2, 30, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.round(2, 35, r1=CLIENT, r2=CLIENT).unknown == 0
    assert made.count.certain_since is None
    assert made.round(2, 40, r1=CLIENT, r2=CLIENT).unknown == 0


def test_a_replica_that_reconnects_between_two_answers_hides_no_unknown_server() -> None:
    """It was seen as a client before and after a count that lacked it."""
    made = haunted().round(2, 15, r1=CLIENT, r2=CLIENT)
    assert made.unknown == 1
    assert made.round(3, 20, r1=CLIENT, r2=CLIENT).unknown == 1
    # In the same way it cannot clear a tablet that is said to be down.
    lost = Watched(R1, R2, R3)
    for at in (0, 5, 10):
        lost.round(3, at, r1=CLIENT, r2=CLIENT, r3=CLIENT)
    lost.fails(R3, 12).round(2, 15, r1=CLIENT, r2=CLIENT)
    assert not counted_without(lost.view, lost.tablets[R3], alias(P), down_since=13)
    lost.round(3, 20, r1=CLIENT, r2=CLIENT).round(2, 25, r1=CLIENT, r2=CLIENT)
    assert not counted_without(lost.view, lost.tablets[R3], alias(P), down_since=13)


@pytest.mark.parametrize(
    ("fails_at", "found_at", "unknown"), [(12, 30.1, 1), (12, 30.2, 0), (40, 39.9, 1), (40, 40.0, 0)]
)
def test_a_record_deleted_after_the_primary_was_lost_is_the_word_of_an_operator(
    fails_at: float, found_at: float, unknown: int
) -> None:
    """The tablet is gone for good then. One deleted while the primary answered, or its replicas received, may run."""
    made = well().fails(P, fails_at, ProbeFailure.TIMEOUT).fails(R2, fails_at + 1, ProbeFailure.TIMEOUT)
    made.answers(R1, TRIES, fails_at + 1)
    made.loses_record(R2, found_at=found_at)
    assert made.unknown == unknown
    assert made.fails(P, 44, ProbeFailure.TIMEOUT).answers(R1, TRIES, 45).unknown == unknown
    assert made.round(2, 50, r1=CLIENT).unknown == 1


@pytest.mark.parametrize(("heard_at", "unknown"), [(None, 1), (39.9, 1), (60.0, 1), (59.9, 0)])
def test_a_record_is_no_word_of_an_operator_while_vtorc_hears_no_tablet(heard_at: float | None, unknown: int) -> None:
    """A vtorc that is cut off from all tablets cannot tell that the primary is lost, and a reading before counts not.

    The other replica was heard when the record was last found, or only after that, or not since the primary fails.
    """
    made = well()
    for name in (P, R1, R2):
        made.fails(name, 40, ProbeFailure.TIMEOUT)
    if heard_at is not None:
        made.answers(R1, TRIES, heard_at)
    assert made.loses_record(R2, found_at=59.9).unknown == unknown


def test_a_tablet_that_told_of_the_loss_may_fail_to_answer_later() -> None:
    """It was heard without its source first when that mattered."""
    made = well().fails(P, 40, ProbeFailure.TIMEOUT).answers(R1, TRIES, 41)
    for at in (70, 90):
        made.fails(R1, at, ProbeFailure.TIMEOUT).answers(R1, TRIES, at + 10)
    assert lost_since(made.view, made.tablets[P]) == 41
    stopped = well().answers(R1, HALTED, 38).fails(P, 40, ProbeFailure.TIMEOUT).answers(R1, HALTED, 42)
    assert lost_since(stopped.view, stopped.tablets[P]) == 40


def test_a_tablet_heard_at_the_very_moment_of_the_loss_tells_of_it() -> None:
    """It may lose its source, or answer again without one, just as the primary begins to fail."""
    loses = well().answers(R1, TRIES, 40)
    lost_at = loses.tablets[R1].memory.not_receiving_since
    assert lost_at is not None
    loses.fails(P, lost_at, ProbeFailure.TIMEOUT).fails(R1, lost_at + 1, ProbeFailure.TIMEOUT).answers(R1, TRIES, 90)
    assert lost_since(loses.view, loses.tablets[P]) == lost_at
    stopped = well().answers(R1, HALTED, 38).answers(R1, HALTED, 40).fails(P, 40, ProbeFailure.TIMEOUT)
    assert lost_since(stopped.view, stopped.tablets[P]) == 40


@pytest.mark.parametrize(
    ("heard", "acknowledged", "lost_at"),
    [
        pytest.param((R1,), (), 62.0, id="the primary was never heard"),
        pytest.param((P, R1), (R2,), 61.0, id="an acker was never heard"),
        pytest.param((P, R1), (), 42.0, id="the one that was never heard did not acknowledge"),
        pytest.param((P, R1, R2), (R2,), 42.0, id="all were heard"),
    ],
)
def test_what_was_never_heard_may_have_been_at_work_until_it_was_first_asked(
    heard: tuple[str, ...], acknowledged: tuple[str, ...], lost_at: float
) -> None:
    """A vtorc that has just started has not seen whether its last acker received."""
    made = Watched(R1, R2)
    for name in acknowledged:
        memory = replace(made.tablets[name].memory, may_ack_until=math.inf)
        made.tablets[name] = replace(made.tablets[name], memory=memory)
    for name in heard:
        made.answers(name, told(primary()) if name == P else HALTED, 40)
    for at, name in ((41, R2), (42, P)):
        made.fails(name, at, ProbeFailure.TIMEOUT)
    made.answers(R1, HALTED, 43)
    assert lost_since(made.view, made.tablets[P]) == lost_at


def test_a_count_stays_only_while_equal_ones_come_soon_after_it() -> None:
    """Another number takes its place at once, and an equal one after the time for which counts are kept."""
    made = well()
    made.kept_for = 10.0
    made.counts(2, 12).counts(2, 13)
    assert made.count is not None
    assert made.count.asked_at == 12
    late = made.count.told_at + 10.0
    made.kept_for = late - made.count.told_at
    made.counts(2, late)
    assert made.count.asked_at == late
    made.counts(3, late + 1)
    assert (made.count.clients, made.count.asked_at) == (3, late + 1)


@pytest.mark.parametrize("aged", [TabletMemory.after_gap, TabletMemory.after_silence])
def test_a_record_deleted_after_a_time_without_news_may_be_that_of_an_acker(
    aged: Callable[[TabletMemory, float], TabletMemory],
) -> None:
    """It may have begun to acknowledge in that time, until the primary was seen at work a second later."""

    def after_gap(at_work: float | None) -> Watched:
        made = Watched(R1, R2)
        for at in (0, 5, 10):
            made.round(1, at, r1=CLIENT, r2=NO_SOURCE)
        made.tablets = {name: replace(each, memory=aged(each.memory, 50.0)) for name, each in made.tablets.items()}
        if at_work is not None:
            made.counts(1, at_work)
        return made.loses_record(R2, found_at=10)

    assert [after_gap(at_work).unknown for at_work in (None, 50.9, 51.0)] == [1, 1, 0]
    late = after_gap(None)
    assert late.round(1, 60, r1=CLIENT).unknown == 0


def test_a_tablet_without_record_may_be_a_client_that_was_not_seen_to_cease() -> None:
    """Before the first count, that goes by what is remembered of it and of the primary."""
    at_work = well().tablets[P]
    still, ceased = TabletMemory(may_ack_until=math.inf), TabletMemory(may_ack_until=9.0)
    appeared, unseen = TabletMemory(unknown_until=9.0), TabletMemory(unknown_until=9.1)
    found = [clients_without_count([each], at_work) for each in (still, ceased, TabletMemory(), appeared, unseen)]
    assert found == [1, 0, 0, 0, 1]
    never_at_work = TabletView(record=primary().record)
    assert clients_without_count([still, ceased, TabletMemory(), appeared, unseen], never_at_work) == 3


@pytest.mark.parametrize("other", [NO_SOURCE, NO_ACKS, HALTED, OF_ANOTHER])
def test_a_replica_that_leaves_hides_no_unknown_server(other: TabletStatus) -> None:
    """With one client fewer, the replica that left may be the one that is left over, for a minute."""
    made = haunted()
    made.answers(R2, other, 12)
    for at in (15, 20, 72, 90):
        assert made.round(2, at, r1=CLIENT, r2=other).unknown == 1
    assert made.round(3, 95, r1=CLIENT, r2=CLIENT).unknown == 1


def test_a_replica_that_ends_hides_no_unknown_server_whatever_its_tablet_tells() -> None:
    """That holds for a MySQL that is down, and for a host that is silent."""
    for failure in (ProbeFailure.MYSQL_DOWN, ProbeFailure.TIMEOUT):
        made = haunted().fails(R2, 12, failure)
        for at in (15, 20, 100):
            made.round(2, at, r1=CLIENT).fails(R2, at + 1, failure)
            assert made.unknown == 1


def test_a_replica_that_has_just_ended_is_still_counted_and_makes_no_unknown_server() -> None:
    """MySQL notices that a replica is gone when it writes to it the next time but one."""
    for failure in (ProbeFailure.MYSQL_DOWN, ProbeFailure.TIMEOUT):
        made = well().fails(R2, 12, failure).round(2, 15, r1=CLIENT).fails(R2, 16, failure)
        assert made.unknown == 0
        assert made.count is not None
        assert not made.count.is_settled


def test_a_mysql_that_is_counted_long_after_its_end_lives() -> None:
    """Its tablet manager cannot reach it and takes it for dead; a silent tablet explains its client for ever."""
    made = well().fails(R2, 12)
    for at in (15, 40, 70):
        assert made.round(2, at, r1=CLIENT).fails(R2, at + 1).unknown == 0
    assert made.round(2, 12 + LINGERS + 1, r1=CLIENT).fails(R2, 75).unknown == 1
    silent = well().fails(R2, 12, ProbeFailure.TIMEOUT)
    assert silent.round(2, 500, r1=CLIENT).fails(R2, 501, ProbeFailure.TIMEOUT).unknown == 0


@pytest.mark.parametrize("failure", [ProbeFailure.MYSQL_DOWN, ProbeFailure.TIMEOUT])
def test_whatever_comes_and_goes_between_two_answers_makes_no_unknown_server(failure: ProbeFailure) -> None:
    """The replica came back and the primary was lost before it was asked again."""
    made = well().fails(R2, 12, failure).round(1, 15, r1=CLIENT).fails(R2, 16, failure)
    made.round(1, 70, r1=CLIENT).fails(R2, 71, failure).round(1, 80, r1=CLIENT).fails(R2, 81, failure)
    made.counts(2, 85).fails(P, 85.5)
    assert made.unknown == 0
    assert made.answers(R1, TRIES, 86).answers(R2, TRIES, 86).unknown == 0


@pytest.mark.parametrize("status", [CLIENT, UNTOLD, TRIES, replace(CLIENT, disk_stalled=True)])
def test_a_tablet_that_may_have_joined_makes_no_unknown_server(status: TabletStatus) -> None:
    """It was counted before it was asked again, and its answer does not say that it is no client."""
    made = well(R3)
    made.answers(R3, NO_SOURCE, 11).counts(3, 12)
    assert made.unknown == 0
    assert made.answers(R1, CLIENT, 13).answers(R2, CLIENT, 13).answers(R3, status, 13).unknown == 0


@pytest.mark.parametrize("status", [HALTED, NO_SOURCE, NO_ACKS, told(replica(R1, semi_sync=False, io=CONNECTING))])
def test_a_tablet_that_answers_that_it_is_no_client_explains_none(status: TabletStatus) -> None:
    """Its IO thread is stopped, or it has no source, or its side of semi-sync is off."""
    made = well(R3).answers(R3, status, 11).round(3, 12, r1=CLIENT, r2=CLIENT)
    assert made.answers(R3, status, 13).unknown == 1


def test_a_tablet_that_has_tried_to_connect_for_a_minute_explains_no_client() -> None:
    """It would have been seen as one in between."""
    made = well(R3).answers(R3, TRIES, 11).round(3, 40, r1=CLIENT, r2=CLIENT, r3=TRIES)
    assert made.unknown == 0
    assert made.round(3, 11 + LINGERS + 1, r1=CLIENT, r2=CLIENT, r3=TRIES).unknown == 1


@pytest.mark.parametrize("status", [TRIES, CUT_OFF, failing(HALTED, "Lost connection to MySQL server")])
def test_a_replica_that_is_cut_off_explains_its_dead_connection(status: TabletStatus) -> None:
    """The primary counts it until its host gives the connection up, and then no client is left to explain."""
    made = well().answers(R2, status, 12)
    assert made.tablets[R2].memory.unanswered_since == 12
    for at in (15, 100, 12 + DEAD_CONNECTION_STANDS):
        assert made.round(2, at, r1=CLIENT, r2=status).unknown == 0
    assert made.count is not None
    assert made.count.certain_since is None
    assert made.round(2, 12 + DEAD_CONNECTION_STANDS + 1, r1=CLIENT, r2=status).unknown == 1


@pytest.mark.parametrize("status", [HALTED, NO_SOURCE, replace(CLIENT, disk_stalled=True)])
def test_a_replica_that_is_stopped_while_it_is_cut_off_explains_its_dead_connection(status: TabletStatus) -> None:
    """Its stop does not reach the primary either; once a server has spoken to it, the primary hears of it."""
    made = well().answers(R2, CUT_OFF, 12).answers(R2, status, 14)
    assert made.round(2, 12 + LINGERS + 1, r1=CLIENT, r2=status).unknown == 0
    for spoken in (failing(TRIES, "Account is locked"), CLIENT):
        heard = well().answers(R2, CUT_OFF, 12).answers(R2, spoken, 13).answers(R2, HALTED, 14)
        assert heard.round(2, 14 + LINGERS + 1, r1=CLIENT, r2=HALTED).unknown == 1


@pytest.mark.parametrize("status", [HALTED, NO_SOURCE, failing(TRIES, "Account is locked")])
def test_a_replica_that_the_primary_can_reach_leaves_no_dead_connection(status: TabletStatus) -> None:
    """Its stop reached the primary, or the primary answers it: a client that is counted a minute later is another."""
    made = well().answers(R2, status, 12)
    assert made.round(2, 15, r1=CLIENT, r2=status).unknown == 0
    assert made.round(2, 12 + LINGERS + 1, r1=CLIENT, r2=status).unknown == 1


def test_a_dead_connection_that_was_given_up_explains_no_client_any_more() -> None:
    """Two counts without the cut-off replica show that; a client that comes then is an unknown server."""
    made = well().answers(R2, CUT_OFF, 12)
    made.round(2, 20, r1=CLIENT, r2=CUT_OFF).round(1, 100, r1=CLIENT, r2=CUT_OFF)
    made.round(1, 105, r1=CLIENT, r2=CUT_OFF)
    assert made.round(2, 110, r1=CLIENT, r2=CUT_OFF).unknown == 1


def test_a_server_that_joins_beside_a_dead_connection_is_unknown() -> None:
    """The connection explains one client, and no more; when it ends, the other one stays unknown."""
    made = well().answers(R2, CUT_OFF, 12)
    assert made.round(2, 100, r1=CLIENT, r2=CUT_OFF).unknown == 0
    assert made.round(3, 105, r1=CLIENT, r2=CUT_OFF).unknown == 1
    assert made.round(2, 1000, r1=CLIENT, r2=CUT_OFF).unknown == 1
    assert made.round(2, 1005, r1=CLIENT, r2=CLIENT).unknown == 1


def test_a_vtorc_that_starts_amid_a_cut_finds_no_server_for_certain() -> None:
    """It has not seen the replica as a client: it takes the client for unknown, and calls no operator for it."""
    made = Watched(R1, R2)
    for at in (0, 5, 100, 200):
        made.round(2, at, r1=CLIENT, r2=CUT_OFF)
    assert made.count is not None
    assert (made.unknown, made.count.certain_since) == (1, None)
    late = 0 + DEAD_CONNECTION_STANDS + 1
    made.round(2, late, r1=CLIENT, r2=CUT_OFF)
    assert made.count.certain_since == late


def test_a_cut_off_replica_that_was_not_watched_explains_no_client() -> None:
    """The number of clients may have dropped meanwhile, and an unknown server may have come."""

    def unheard(until: float) -> int:
        made = well().answers(R2, CUT_OFF, 12)
        made.tablets = {
            name: replace(each, memory=each.memory.after_silence(until)) for name, each in made.tablets.items()
        }
        return made.round(2, 12 + LINGERS + 1, r1=CLIENT, r2=CUT_OFF).unknown

    assert (unheard(12 + TAKES), unheard(12 + 2 * TAKES)) == (0, 1)
    gap = well().answers(R2, CUT_OFF, 12)
    gap.tablets = {name: replace(each, memory=each.memory.after_gap(20)) for name, each in gap.tablets.items()}
    assert gap.round(2, 12 + LINGERS + 1, r1=CLIENT, r2=CUT_OFF).unknown == 1


def test_a_client_that_is_no_tablet_by_all_their_answers_is_an_unknown_server() -> None:
    """It need not have had a record before."""
    made = well(R3)
    made.answers(R3, NO_SOURCE, 11).round(3, 12, r1=CLIENT, r2=CLIENT)
    assert made.unknown == 0
    assert made.answers(R3, NO_SOURCE, 13).unknown == 1
    # The record that cannot be read is that of a tablet that may be the client.
    maybe = well(R3)
    maybe.changes = {"bad_records": {alias("zone9-900"): "not a tablet"}}
    assert maybe.answers(R3, NO_SOURCE, 11).round(3, 12, r1=CLIENT, r2=CLIENT, r3=NO_SOURCE).unknown == 0
    # So may the tablets of a cell that was never read be.
    maybe.changes = {"never_read_cells": frozenset({"zone9"})}
    assert maybe.round(3, 20, r1=CLIENT, r2=CLIENT, r3=NO_SOURCE).unknown == 0
    maybe.changes = {}
    assert maybe.round(3, 30, r1=CLIENT, r2=CLIENT, r3=NO_SOURCE).unknown == 1


def test_the_first_count_of_all_is_explained_by_tablets_that_say_so_alone() -> None:
    """A vtorc that has just started knows no number before it: unknown is not none."""
    made = Watched(R1, R2).answers(R1, CLIENT, 0).fails(R2, 0, ProbeFailure.TIMEOUT).counts(2, 0.1)
    assert made.unknown == 1
    assert made.count is not None
    assert made.count.certain_since is None
    assert made.round(2, 5, r1=CLIENT).fails(R2, 6, ProbeFailure.TIMEOUT).unknown == 1
    assert made.round(2, 10, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.round(2, 15, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.round(2, 20, r1=CLIENT, r2=CLIENT).unknown == 0
    prompt = Watched(R1, R2).counts(2, 0)
    assert prompt.unknown == 2
    assert prompt.answers(R1, CLIENT, 0.1).answers(R2, CLIENT, 0.1).unknown == 0
    assert prompt.counts(2, 5).unknown == 0
    # All are asked at once, and the primary answers first.
    early = Watched(R1, R2).counts(2, 0.1).answers(R1, CLIENT, 0.1).answers(R2, CLIENT, 0.1)
    assert early.unknown == 0
    for left in (HALTED, None):
        gone = Watched(R1, R2).answers(R1, CLIENT, 0).answers(R2, CLIENT, 0)
        if left is None:
            gone.fails(R2, 0.05, ProbeFailure.TIMEOUT)
        else:
            gone.answers(R2, left, 0.05)
        assert gone.counts(2, 0.1).unknown == 1


def silent_idler(*names: str) -> Watched:
    """A shard with two clients, and with one tablet that answered that it is none before it fell silent."""
    made = Watched(R1, R2, R3, *names)
    for at in (0, 5, 10):
        made.round(2, at, r1=CLIENT, r2=CLIENT, r3=NO_ACKS)
    return made.fails(R3, 11, ProbeFailure.TIMEOUT).round(2, 15, r1=CLIENT, r2=CLIENT)


def test_a_silent_tablet_is_as_it_was_last_heard_while_the_count_is_complete() -> None:
    """Also when a replica ends, or the primary is lost before the replicas are asked again."""
    made = silent_idler()
    assert made.silent == frozenset()
    assert made.counts(2, 20).fails(P, 21, ProbeFailure.TIMEOUT).silent == frozenset()
    assert made.answers(R1, TRIES, 22).answers(R2, TRIES, 22).silent == frozenset()
    for failure in (ProbeFailure.MYSQL_DOWN, ProbeFailure.TIMEOUT):
        ends = silent_idler().fails(R2, 17, failure).round(2, 20, r1=CLIENT).fails(R2, 21, failure)
        assert ends.silent == frozenset()


def test_a_client_that_can_only_be_a_silent_tablet_is_taken_for_each_of_these() -> None:
    """It need not be an unknown server; and it stays until two counts in a row are complete without it."""
    made = silent_idler().round(3, 20, r1=CLIENT, r2=CLIENT)
    assert (made.unknown, made.silent) == (0, frozenset({alias(R3)}))
    assert silent_clients(made.view, alias(R1)) == frozenset()
    # A replica that ends does not hide it.
    assert made.answers(R2, HALTED, 21).round(2, 25, r1=CLIENT, r2=HALTED).silent == {alias(R3)}
    assert made.round(3, 30, r1=CLIENT, r2=CLIENT).silent == {alias(R3)}
    assert made.round(2, 35, r1=CLIENT, r2=CLIENT).silent == {alias(R3)}
    assert made.round(2, 40, r1=CLIENT, r2=CLIENT).silent == frozenset()
    # Once it answers, its answer counts.
    assert made.round(3, 95, r1=CLIENT, r2=CLIENT).silent == {alias(R3)}
    assert made.answers(R3, CLIENT, 96).silent == frozenset()
    assert made.answers(R3, NO_ACKS, 97).round(3, 160, r1=CLIENT, r2=CLIENT, r3=NO_ACKS).unknown == 1
    assert made.silent == frozenset()


@pytest.mark.parametrize("ends", [False, True])
def test_a_silent_tablet_that_the_count_has_is_none_that_may_be_the_client_in_doubt(ends: bool) -> None:
    """It was seen as a client before and after the count, whether its connection has ended since or not."""
    made = silent_idler().round(3, 20, r1=CLIENT, r2=CLIENT)
    if ends:
        made.answers(R2, HALTED, 21)
    assert made.fails(R2, 22, ProbeFailure.TIMEOUT).silent == {alias(R3)}


def test_a_silent_tablet_may_have_come_back_after_counts_without_it() -> None:
    """So may another silent one have come: both have to be reached, although one of them was a client before."""
    other = "zone3-301"
    made = silent_idler(other)
    for at in (20, 25):
        made.round(3, at, r1=CLIENT, r2=CLIENT).answers(R3, CLIENT, at + 1)
    made.round(3, 30, r1=CLIENT, r2=CLIENT).answers(R3, CLIENT, 31)
    made.fails(R3, 32, ProbeFailure.TIMEOUT).fails(other, 32, ProbeFailure.TIMEOUT)
    assert made.round(3, 35, r1=CLIENT, r2=CLIENT).silent == frozenset()
    made.round(2, 40, r1=CLIENT, r2=CLIENT).round(2, 45, r1=CLIENT, r2=CLIENT)
    assert made.silent == frozenset()
    assert made.round(3, 50, r1=CLIENT, r2=CLIENT).silent == {alias(R3), alias(other)}
    assert made.unknown == 0


def test_a_tablet_that_ended_and_is_silent_since_may_have_come_back() -> None:
    """MySQL may count the connection that ended, or a new one."""
    made = silent_idler().answers(R3, CLIENT, 16)
    made.round(3, 20, r1=CLIENT, r2=CLIENT, r3=CLIENT).round(3, 25, r1=CLIENT, r2=CLIENT, r3=CLIENT)
    assert made.answers(R3, NO_SOURCE, 26).round(3, 30, r1=CLIENT, r2=CLIENT).silent == frozenset()
    assert made.fails(R3, 31, ProbeFailure.TIMEOUT).silent == {alias(R3)}


def test_a_tablet_that_was_never_heard_may_become_a_client_unseen() -> None:
    """The first count finds it, later ones are complete without it, and then it is counted again."""
    made = Watched(R1, R2, R3)
    for clients, at in ((3, 0), (3, 5), (2, 10), (2, 15), (2, 20)):
        made.round(clients, at, r1=CLIENT, r2=CLIENT).fails(R3, at + 1, ProbeFailure.TIMEOUT)
    assert (made.unknown, made.silent) == (0, frozenset())
    for at in (25, 30, 90):
        made.round(3, at, r1=CLIENT, r2=CLIENT).fails(R3, at + 1, ProbeFailure.TIMEOUT)
        assert (made.unknown, made.silent) == (0, frozenset({alias(R3)}))


def test_a_first_count_that_cannot_be_judged_is_no_count() -> None:
    """The primary answers 0 as a statement failed: what was found before holds, and the next count is the first."""
    made = Watched(R1, R2, R3)
    made.tablets[P] = replace(made.tablets[P], memory=replace(made.tablets[P].memory, unknown_clients=1))
    made.answers(R1, CLIENT, 0).answers(R2, CLIENT, 0).fails(R3, 0, ProbeFailure.TIMEOUT).counts(0, 1)
    assert made.unknown == 1
    assert made.count is not None
    assert made.count.unseen == 1
    without = Watched(R1, R2, R3).answers(R1, CLIENT, 0).answers(R2, CLIENT, 0).fails(R3, 0, ProbeFailure.TIMEOUT)
    without.counts(0, 1)
    for at in (5, 10, 15):
        assert without.round(3, at, r1=CLIENT, r2=CLIENT).fails(R3, at + 1, ProbeFailure.TIMEOUT).unknown == 1


def test_what_an_earlier_process_found_holds_until_the_next_count() -> None:
    """A vtorc that was started after the primary was lost has no count of its own."""
    made = Watched(R1, R2)
    made.tablets[P] = replace(made.tablets[P], memory=replace(made.tablets[P].memory, unknown_clients=1))
    assert made.fails(P, 0, ProbeFailure.TIMEOUT).unknown == 1
    assert unexplained_clients(made.view, alias(R1)) == unexplained_clients(made.view, None) == 0
    made.counts(2, 5).answers(R1, CLIENT, 5.1).answers(R2, CLIENT, 5.1)
    assert made.unknown == 0
    assert made.tablets[P].memory.unknown_clients == 1


@pytest.mark.parametrize(
    ("kept", "explained", "unknown", "silent"), [(0, True, 0, {R2}), (1, True, 1, set()), (0, False, 1, set())]
)
def test_a_restarted_vtorc_goes_on_with_the_number_of_a_complete_count(
    kept: int, explained: bool, unknown: int, silent: set[str]
) -> None:
    """A tablet that is silent after the restart may be the client; an unknown server was seen there by no count."""
    made = Watched(R1, R2)
    memory = replace(made.tablets[P].memory, unknown_clients=kept, clients_explained=explained, server_uuid=uuid(P))
    made.tablets[P] = replace(made.tablets[P], memory=memory)
    made.answers(R1, CLIENT, 0).fails(R2, 0, ProbeFailure.TIMEOUT).counts(2, 0).answers(R1, CLIENT, 1)
    assert (made.unknown, made.silent) == (unknown, frozenset(alias(name) for name in silent))
    made.fails(P, 2, ProbeFailure.TIMEOUT).answers(R2, TRIES, 20)
    assert made.unknown == unknown


def test_one_count_after_a_restart_takes_no_unknown_server_back() -> None:
    """One replica may have connected after the count, and the unknown server may be what was counted."""
    made = Watched(R1, R2)
    memory = replace(made.tablets[P].memory, unknown_clients=1, clients_explained=True, server_uuid=uuid(P))
    made.tablets[P] = replace(made.tablets[P], memory=memory)
    assert made.round(2, 0, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.round(2, 5, r1=CLIENT, r2=CLIENT).unknown == 0


def test_a_new_primary_begins_without_unknown_servers() -> None:
    """A server without a record is not pointed at it, and the replicas that were have not been asked again yet."""
    made = haunted()
    for name in (P, R1):
        made.tablets[name] = replace(
            made.tablets[name],
            record=replace(
                made.tablets[name].record,
                type=TabletType.PRIMARY,
                primary_term_start=20 if name == R1 else 10,
            ),
        )
    new = replace(told(primary(R1), primary_clients=1), server_uuid=uuid(R1))
    made.answers(R1, new, 30)
    assert made.count is not None
    assert (made.count.primary, made.count.unexplained) == (alias(R1), 0)
    assert unexplained_clients(made.view, alias(P)) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"read_only": True},
        {"replication": CLIENT.replication},
        {"disk_stalled": True},
        {"semi_sync": SemiSyncStatus()},
    ],
)
def test_only_a_primary_at_work_counts(changes: dict[str, Any]) -> None:
    """The count that it told while at work stands, also when it or its record is gone."""
    made = haunted()
    before = made.count
    assert made.counts(0, 15, **changes).count == before
    assert made.fails(P, 16).loses_record(P).unknown == 1
    assert Watched(R1).counts(1, 0, **changes).count is None


def test_a_count_below_the_clients_that_were_seen_is_not_believed() -> None:
    """FullStatus reports 0 if the statement that counts them failed."""
    made = haunted()
    for at in (15, 20, 25):
        assert made.round(0, at, r1=CLIENT, r2=CLIENT).unknown == 1


def test_a_tablet_is_cleared_by_a_count_that_others_explain_alone() -> None:
    """The count has to be from a time when the tablet was down, and nothing unknown may have joined since."""

    def is_cleared(made: Watched, *, down_since: float = 12.0) -> bool:
        return counted_without(made.view, made.tablets[R2], alias(P), down_since=down_since)

    made = well()
    assert not is_cleared(made)
    made.fails(R2, 12).counts(1, 15)
    assert not is_cleared(made)
    assert not is_cleared(made.answers(R1, CLIENT, 16))
    assert is_cleared(made.round(1, 20, r1=CLIENT))
    assert not is_cleared(made, down_since=15.5)
    assert not is_cleared(made.counts(2, 25))
    assert not counted_without(Watched(R2).view, made.tablets[R2], alias(P), down_since=0.0)


NAMES = (R1, R2, R3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("toggle"), st.sampled_from((*NAMES, "ghost"))),
        st.tuples(st.just("ask"), st.sampled_from((P, *NAMES))),
        st.tuples(st.just("silent"), st.sampled_from(NAMES)),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_history_hides_a_server_that_had_a_record_when_all_was_settled(steps: list[tuple[str, str]]) -> None:
    """While it stays a client, at least one client is unknown, whatever the replicas do and whenever they are asked.

    The primary counts at once what has changed. It is not asked while a replica is gone and not known to be.
    """
    made = haunted()
    connected, at = {R1, R2, "ghost"}, 12.0
    made.tablets[R3] = TabletView(record=replica(R3).record)
    for kind, name in steps:
        at += 1.0
        if kind == "toggle":
            connected ^= {name}
            if "ghost" not in connected:
                return
        elif kind == "silent":
            made.fails(name, at, ProbeFailure.TIMEOUT)
        elif name == P:
            made.counts(len(connected), at)
        else:
            made.answers(name, CLIENT if name in connected else NO_SOURCE, at)
        assert made.unknown >= 1


def test_no_time_is_remembered_of_a_tablet_that_was_first_seen_as_a_client() -> None:
    """Nothing says that it was no client before."""
    made = Watched(R1).answers(R1, CLIENT, 7)
    span = made.tablets[R1].memory.client_span
    assert span is not None
    assert (span.seen_from, span.seen_to, span.ended) == (-math.inf, 7, None)
    span = made.answers(R1, HALTED, 8).answers(R1, CLIENT, 9).tablets[R1].memory.client_span
    assert span is not None
    assert (span.seen_from, span.seen_to) == (9 + TAKES, 9)
    assert TabletAlias.parse(R1) == alias(R1)


def test_a_replica_that_connected_lately_may_be_counted_twice() -> None:
    """Its connection from before may be counted as well; seconds later that cannot be, and the client is unknown."""
    made = Watched(R1, R2)
    for at in (0, 5):
        made.round(2, at, r1=CLIENT, r2=CLIENT)
    made.answers(R2, HALTED, 8).answers(R2, CLIENT, 9)
    assert made.round(3, 10, r1=CLIENT, r2=CLIENT).unknown == 0
    assert made.fails(R2, 11, ProbeFailure.TIMEOUT).answers(R2, TRIES, 12).unknown == 0
    assert made.answers(R2, CLIENT, 13).round(3, 19, r1=CLIENT, r2=CLIENT).unknown == 1


def test_a_client_whose_record_is_deleted_is_unknown_although_others_may_be_counted_twice() -> None:
    """All connected lately, so the other two could explain three clients; but the deleted one was a client."""
    made = Watched(R1, R2, R3).round(0, 0, r1=HALTED, r2=HALTED, r3=HALTED)
    made.round(3, 1, r1=CLIENT, r2=CLIENT, r3=CLIENT).round(3, 2, r1=CLIENT, r2=CLIENT, r3=CLIENT)
    assert made.unknown == 0
    assert made.fails(P, 3, ProbeFailure.TIMEOUT).loses_record(R1).unknown == 1


def test_a_replica_that_connects_long_after_the_count_was_not_counted_twice() -> None:
    """It hides no unknown server that was counted before."""
    made = Watched(R1, R2).round(1, 0, r1=CLIENT, r2=HALTED).counts(3, 5).answers(R1, CLIENT, 5.1)
    assert made.answers(R2, CLIENT, 11).unknown == 1


def test_a_client_that_was_only_assumed_at_first_is_taken_back_by_one_complete_count() -> None:
    """A primary that was lost right after its election once stayed unreplaced, for a replica not asked since."""
    made = Watched(R1, R2).answers(R1, HALTED, 0).answers(R2, HALTED, 0).counts(2, 1)
    assert made.unknown == 2
    assert are_assumed(made.view, alias(P))
    assert not are_assumed(made.view, alias(R1))
    made.answers(R1, CLIENT, 2).answers(R2, CLIENT, 2).counts(2, 3)
    assert made.unknown == 2
    assert made.answers(R1, CLIENT, 4).answers(R2, CLIENT, 4).unknown == 0
    assert not are_assumed(made.view, alias(P))
    assert made.fails(P, 5, ProbeFailure.TIMEOUT).unknown == 0


@pytest.mark.parametrize(
    ("clients", "kind", "unknown"),
    [
        pytest.param(0, TabletType.REPLICA, 0, id="not followed"),
        pytest.param(1, TabletType.REPLICA, 2, id="followed by another"),
        pytest.param(0, TabletType.PRIMARY, 2, id="a primary that was restarted"),
    ],
)
def test_the_first_primary_of_all_begins_without_unknown_clients_if_none_followed_it(
    clients: int, kind: TabletType, unknown: int
) -> None:
    """Its replicas were not asked again since they follow it, so they may be its clients."""
    made = Watched(R1, R2).answers(R1, NO_SOURCE, 0).answers(R2, NO_SOURCE, 0)
    made.tablets[P] = TabletView(record=replica(P, kind).record)
    made.counts(clients, 0, read_only=True)
    made.tablets[P] = replace(made.tablets[P], record=primary().record)
    assert made.counts(2, 1).unknown == unknown
    assert made.fails(P, 2).unknown == unknown


def test_unknown_clients_of_before_a_restart_stay_although_the_primary_was_restarted_too() -> None:
    """Clients that only connect again were pointed at it before, and one of them is no tablet."""
    made = Watched(R1, R2)
    memory = replace(made.tablets[P].memory, unknown_clients=1, observed_term=told_term())
    made.tablets[P] = replace(made.tablets[P], memory=memory)
    made.answers(R1, CLIENT, 0).fails(R2, 0, ProbeFailure.TIMEOUT).counts(0, 0, read_only=True)
    made.counts(2, 1).answers(R1, CLIENT, 2)
    assert made.unknown == 1


def test_a_replica_that_follows_another_server_since_explains_its_client_of_before() -> None:
    """Its primary was lost and it was pointed elsewhere, before an answer had proven that it was the client."""
    made = Watched(R1, R2).round(1, 0, r1=CLIENT, r2=NO_SOURCE).round(1, 5, r1=CLIENT, r2=NO_SOURCE)
    made.counts(1, 10).fails(P, 11).answers(R2, NO_SOURCE, 11).answers(R1, TRIES, 11)
    assert made.unknown == 0
    assert made.answers(R1, OF_ANOTHER, 100).answers(R2, NO_SOURCE, 100).unknown == 0


def test_a_replica_that_vtorc_stopped_still_explains_the_client_that_it_may_have_been() -> None:
    """It joined shortly before the primary was lost; the first answer after the count decides, and no later one."""
    made = Watched(R1, R2).round(1, 0, r1=CLIENT, r2=NO_SOURCE).round(1, 5, r1=CLIENT, r2=NO_SOURCE)
    made.counts(2, 10).fails(P, 10.5).answers(R1, TRIES, 11).answers(R2, TRIES, 11)
    assert made.unknown == 0
    assert made.answers(R1, HALTED, 12).answers(R2, HALTED, 12).unknown == 0


def test_a_replica_that_followed_another_server_before_explains_no_client() -> None:
    """It was no client of the primary when that counted, and hides no unknown server."""
    made = Watched(R1, R2).round(0, 0, r1=OF_ANOTHER, r2=NO_SOURCE).round(0, 5, r1=OF_ANOTHER, r2=NO_SOURCE)
    assert made.round(1, 10, r1=OF_ANOTHER, r2=NO_SOURCE).unknown == 1


def test_a_client_that_answers_prove_is_not_taken_back_by_one_complete_count() -> None:
    """What was assumed at first is proven once a count has more clients than there are tablets."""
    made = Watched(R1, R2).answers(R1, HALTED, 0).answers(R2, HALTED, 0).counts(3, 1)
    made.round(3, 70, r1=CLIENT, r2=CLIENT).round(3, 80, r1=CLIENT, r2=CLIENT)
    assert made.round(2, 90, r1=CLIENT, r2=CLIENT).unknown == 1
    assert made.round(2, 95, r1=CLIENT, r2=CLIENT).unknown == 0
