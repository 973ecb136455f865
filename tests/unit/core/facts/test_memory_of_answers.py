"""What is remembered of a tablet's answers: since when it shows something, and what it showed before."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import CONNECTING, STOPPED, gtids, primary, record, replica, uuid
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import NEVER_PROBED, LastProbe
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus
from vtorc.core.facts.tablet_memory import NOTHING_REMEMBERED, FormerType, TabletMemory

R1 = "zone1-101"
AS_REPLICA, AS_PRIMARY = record(R1, TabletType.REPLICA), record(R1, TabletType.PRIMARY, term=10)
STALLED = TabletStatus(disk_stalled=True)


def told(**changes: Any) -> TabletStatus:
    """An answer of a replica that tells of semi-sync."""
    status = replica(R1, **changes).status
    assert status is not None
    return status


def at_work(**changes: Any) -> TabletStatus:
    """An answer of a primary that takes writes."""
    status = primary(R1, **changes).status
    assert status is not None
    return status


def after(*answers: TabletStatus, as_type: Any = AS_REPLICA) -> TabletMemory:
    """What is remembered after these answers, one every ten seconds."""
    memory, before = NOTHING_REMEMBERED, NEVER_PROBED
    for second, status in enumerate(answers):
        started = 10.0 * second
        memory = memory.after_answer(
            status, before, started=started, ended=started + 1, asked_record=as_type, record=as_type
        )
        before = LastProbe.answered(status, started=started, ended=started + 1)
    return memory


SOURCELESS = told(of=None)


@pytest.mark.parametrize(
    ("answers", "as_type", "unfollowed"),
    [
        ((SOURCELESS,), AS_REPLICA, True),
        ((told(),), AS_REPLICA, True),
        ((at_work(clients=0),), AS_REPLICA, False),
        ((SOURCELESS,), AS_PRIMARY, False),
        ((replace(SOURCELESS, semi_sync=replace(SOURCELESS.semi_sync, primary_clients=1)),), AS_REPLICA, False),
        ((replace(SOURCELESS, disk_stalled=True),), AS_REPLICA, False),
        ((SOURCELESS, at_work(clients=2)), AS_REPLICA, True),
        ((SOURCELESS, replace(at_work(clients=2), server_uuid=uuid(900))), AS_REPLICA, False),
        ((at_work(clients=0), SOURCELESS), AS_REPLICA, False),
    ],
    ids=[
        "without a source",
        "a replica",
        "it takes writes",
        "a primary by its record",
        "a client follows it",
        "its disk is stalled",
        "it takes writes since",
        "another server takes writes since",
        "it took writes before",
    ],
)
def test_a_server_is_remembered_as_followed_by_none(
    answers: tuple[TabletStatus, ...], as_type: Any, unfollowed: bool
) -> None:
    """It was no primary and had no semi-sync client, which holds until another server answers."""
    assert after(*answers, as_type=as_type).was_unfollowed is unfollowed


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        ((told(),), 0.0),
        ((told(), told()), 0.0),
        ((told(), STALLED), 0.0),
        ((told(of=None, executed=""),), None),
        ((told(), told(of=None, executed="")), None),
    ],
    ids=["at once", "from the first on", "through a stalled disk", "never", "not any more"],
)
def test_since_when_it_proves_a_past_is_remembered(answers: tuple[TabletStatus, ...], since: float | None) -> None:
    """A source or transactions prove that the shard had a primary; a stalled disk hides them only."""
    assert after(*answers).proves_past_since == since


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        ((told(io=CONNECTING),), 0.0),
        ((told(io=CONNECTING), told(io=CONNECTING)), 0.0),
        ((told(io=CONNECTING), STALLED), 0.0),
        ((told(), STALLED), None),
        ((told(), told(io=CONNECTING)), 10.0),
    ],
)
def test_since_when_it_does_not_receive_is_remembered(answers: tuple[TabletStatus, ...], since: float | None) -> None:
    """A stalled disk says nothing about its IO thread."""
    assert after(*answers).not_receiving_since == since


def failing(status: TabletStatus, error: str) -> TabletStatus:
    """Return the answer with this error of the IO thread."""
    assert status.replication is not None
    return replace(status, replication=replace(status.replication, last_io_error=error))


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        ((told(io=CONNECTING),), 0.0),
        ((told(), failing(told(io=CONNECTING), "Can't connect to MySQL server"), told(io=CONNECTING)), 10.0),
        ((told(io=CONNECTING), told(io=STOPPED)), 0.0),
        ((told(), failing(told(io=STOPPED), "Lost connection to MySQL server")), 10.0),
        ((told(io=CONNECTING), STALLED), 0.0),
        ((told(io=CONNECTING), told(of=None)), 0.0),
        ((told(), told(io=STOPPED)), None),
        ((told(io=CONNECTING), told()), None),
        ((told(io=CONNECTING), failing(told(io=CONNECTING), "Account is locked")), None),
    ],
)
def test_since_when_no_server_speaks_to_it_is_remembered(
    answers: tuple[TabletStatus, ...], since: float | None
) -> None:
    """A stop of its IO thread changes nothing about it, and a server that refuses it speaks to it."""
    assert after(*answers).unanswered_since == since


@pytest.mark.parametrize(
    ("received", "at"), [(("100:1-50", "100:1-50"), None), (("100:1-50", "100:1-51"), 10.0)], ids=["same", "more"]
)
def test_when_it_last_received_something_is_remembered(received: tuple[str, ...], at: float | None) -> None:
    """The first answer says nothing of that."""
    assert after(*(told(executed=each) for each in received)).last_advance_at == at
    assert after(told(executed=received[0], of=None), told(executed=received[1])).last_advance_at is None


def test_servers_that_ran_under_its_alias_before_are_remembered() -> None:
    """Each with its successor, and whether it was the primary; one that came back is not gone."""
    first = at_work()
    others = [replace(SOURCELESS, server_uuid=uuid(number)) for number in (900, 901)]
    memory = after(first, *others, as_type=AS_PRIMARY)
    assert {each: (gone.successor, gone.was_primary) for each, gone in memory.replaced_servers.items()} == {
        uuid(R1): (uuid(900), True),
        uuid(900): (uuid(901), False),
    }
    back = after(first, *others, others[0], as_type=AS_PRIMARY)
    assert back.replaced_servers.keys() == {uuid(R1), uuid(901)}


def test_until_when_a_server_that_is_gone_acknowledged_is_kept_if_it_is_known() -> None:
    """It is not known of one that acknowledged when it was last heard."""
    other = replace(SOURCELESS, server_uuid=uuid(900))
    assert after(told(), other).replaced_servers[uuid(R1)].acked_until is None
    assert after(told(), SOURCELESS, other).replaced_servers[uuid(R1)].acked_until == 11.0


def test_an_end_of_acknowledgements_before_no_tablet_was_heard_is_none() -> None:
    """Its server may have acknowledged again, until it is heard, and so may one that is gone by then."""
    other = replace(SOURCELESS, server_uuid=uuid(900))
    heard = after(told(), SOURCELESS)
    unheard = heard.after_silence(50.0)

    def then(memory: TabletMemory, status: TabletStatus) -> TabletMemory:
        return memory.after_answer(
            status, NEVER_PROBED, started=60.0, ended=61.0, asked_record=AS_REPLICA, record=AS_REPLICA
        )

    assert (heard.may_ack_until, unheard.may_ack_until) == (11.0, 11.0)
    assert then(heard, other).replaced_servers[uuid(R1)].acked_until == 11.0
    assert then(unheard, other).replaced_servers[uuid(R1)].acked_until is None
    again = then(unheard, SOURCELESS)
    assert (then(heard, SOURCELESS).may_ack_until, again.may_ack_until) == (11.0, 61.0)
    assert unheard.after_mysql_down(ended=62.0).may_ack_until == 62.0
    assert then(again, other).replaced_servers[uuid(R1)].acked_until == 61.0
    assert then(after(SOURCELESS).after_silence(50.0), SOURCELESS).may_ack_until is None
    # What ended at the very moment at which a tablet was heard again may have gone on.
    at_once = heard.after_silence(11.0)
    assert at_once.after_mysql_down(ended=62.0).may_ack_until == 62.0
    assert then(at_once, other).replaced_servers[uuid(R1)].acked_until is None


def test_commits_are_steady_since_the_answer_that_brought_some() -> None:
    """A vtorc that was not late adds nothing to the moment."""
    assert after(told(executed="100:1-50"), told(executed="100:1-60")).commits_steadily_since == 10.0


def test_what_it_received_and_lost_is_remembered_until_it_has_it_again() -> None:
    """An answer without transactions changes neither."""
    for nothing in (STALLED, told(of=None, executed=""), replace(told(executed="100:1-3"), disk_stalled=True)):
        memory = after(told(executed="100:1-50"), told(executed="100:1-40"), nothing)
        assert (memory.received, memory.lost_after_receipt) == (gtids("100:1-40"), gtids("100:41-50"))
    assert not after(told(executed="100:1-50"), told(executed="100:1-40"), told(executed="100:1-50")).lost_after_receipt


def test_what_an_answer_says_nothing_of_is_kept() -> None:
    """Counts, former types and a record that was confirmed are of other answers and readings."""
    writable = told(of=None, read_only=False)
    kept = replace(
        after(writable),
        unknown_clients=2,
        clients_explained=True,
        former_types={TabletType.RDONLY: FormerType(last_found_at=1.0, gone_at=2.0)},
        record_confirmed=True,
    )
    before = LastProbe.answered(writable, started=0.0, ended=1.0)
    memory = kept.after_answer(writable, before, started=10.0, ended=11.0, asked_record=AS_REPLICA, record=AS_REPLICA)
    assert (memory.unknown_clients, memory.clients_explained, memory.record_confirmed) == (2, True, True)
    assert memory.former_types == kept.former_types
    another = replace(writable, server_uuid=uuid(900))
    memory = kept.after_answer(another, before, started=10.0, ended=11.0, asked_record=AS_REPLICA, record=AS_REPLICA)
    assert not memory.clients_explained


def test_when_it_was_a_client_and_how_it_acknowledges_is_remembered() -> None:
    """The end of both is told by a later answer."""
    memory = after(told(), told())
    assert memory.client_span is not None
    assert (memory.client_span.seen_to, memory.client_span.ended) == (10.0, None)
    assert memory.ack_path is not None
    assert memory.ack_path.since == 1.0
    ended = after(told(), SOURCELESS)
    assert ended.client_span is not None
    assert (ended.client_span.ended, ended.ack_path) == (11.0, None)


@pytest.mark.parametrize(
    ("answers", "seen_from"), [((told(),), -math.inf), ((SOURCELESS, told()), 11.0)], ids=["at first", "later"]
)
def test_a_client_that_was_one_at_the_first_answer_may_always_have_been(
    answers: tuple[TabletStatus, ...], seen_from: float
) -> None:
    """Only an earlier answer tells that it was none before."""
    span = after(*answers).client_span
    assert span is not None
    assert span.seen_from == seen_from


@pytest.mark.parametrize("answer", [STALLED, replace(told(), semi_sync=SemiSyncStatus())], ids=["stalled", "untold"])
def test_an_answer_that_does_not_tell_of_semi_sync_ends_no_time_as_a_client(answer: TabletStatus) -> None:
    """The tablet may be a client as before."""
    span = after(told()).client_span
    assert span is not None
    assert after(told(), answer).client_span == span


def test_a_server_that_is_down_is_no_client_any_more() -> None:
    """Its time as a client ends as soon as its tablet says that MySQL is down, and so do its acknowledgements."""
    memory = after(told()).after_mysql_down(ended=15.0)
    assert memory.client_span is not None
    assert (memory.client_span.ended, memory.may_ack_until) == (15.0, 15.0)


@pytest.mark.parametrize(
    ("answers", "as_type", "since"),
    [
        ((told(of=None, read_only=False),), AS_REPLICA, 0.0),
        ((told(of=None, read_only=False), told(of=None, read_only=False)), AS_REPLICA, 0.0),
        ((SOURCELESS,), AS_REPLICA, None),
        ((told(read_only=False),), AS_REPLICA, None),
        ((told(of=None, read_only=False, disk_stalled=True),), AS_REPLICA, None),
        ((told(of=None, read_only=False),), AS_PRIMARY, None),
    ],
    ids=["at once", "from the first on", "read-only", "with a source", "with a stalled disk", "by its record"],
)
def test_since_when_it_acts_as_primary_is_remembered(
    answers: tuple[TabletStatus, ...], as_type: TabletRecord, since: float | None
) -> None:
    """It does so if it takes writes without a source, although its record does not call it PRIMARY."""
    assert after(*answers, as_type=as_type).acts_as_primary_since == since


def test_a_reading_soon_after_it_took_writes_does_not_confirm_its_record() -> None:
    """The record of a tablet that has just become primary is late for up to a minute."""
    memory = replace(NOTHING_REMEMBERED, acts_as_primary_since=100.0)
    for read_at, confirmed in ((110.0, False), (160.0, True)):
        after_it = memory.after_reading(AS_REPLICA, AS_REPLICA, read_at=read_at, before_read_at=90.0, now=read_at)
        assert after_it.record_confirmed is confirmed


@pytest.mark.parametrize(("asked", "now"), [(AS_PRIMARY, AS_REPLICA), (AS_REPLICA, AS_PRIMARY)])
def test_a_record_that_changed_while_it_was_asked_may_be_that_of_a_primary(
    asked: TabletRecord, now: TabletRecord
) -> None:
    """A server counts as no primary only if neither record calls it PRIMARY."""
    memory = NOTHING_REMEMBERED.after_answer(
        SOURCELESS, NEVER_PROBED, started=0.0, ended=1.0, asked_record=asked, record=now
    )
    assert not memory.was_unfollowed


def test_the_term_goes_on_under_a_late_record() -> None:
    """A primary by its own account keeps what it committed in the term, answer after answer."""
    memory = after(at_work(executed="100:1-50"), at_work(executed="100:1-60", clients=0), as_type=AS_REPLICA)
    assert memory.observed_term is not None
    assert memory.observed_term.committed == gtids("100:1-50")
