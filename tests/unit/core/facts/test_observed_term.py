"""What is remembered of a primary at work, whatever it answers later."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, gtids, primary, record, replica, uuid
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus

RECORD = record(P, TabletType.PRIMARY, term=10)
LATE = record(P, TabletType.REPLICA)
WAITS = SemiSyncStatus(
    primary_enabled=True, primary_active=True, primary_clients=2, timeout=10**18, wait_for_replica_count=1
)


def told(executed: str = "100:1-50", semi_sync: SemiSyncStatus = WAITS, **changes: Any) -> TabletStatus:
    """A primary's answer."""
    status = primary(executed=executed).status
    assert status is not None
    return replace(status, semi_sync=semi_sync, **changes)


def seen(*answers: TabletStatus | tuple[TabletStatus, TabletRecord]) -> ObservedTerm | None:
    """What is known after these answers, one a second; with the record that the tablet had then."""
    observed_term: ObservedTerm | None = None
    for second, answer in enumerate(answers):
        status, its_record = answer if isinstance(answer, tuple) else (answer, RECORD)
        observed_term = ObservedTerm.after(
            observed_term, status, its_record, at=second, heard_at=second - 1 if second else None
        )
    return observed_term


def test_the_last_answer_at_work_counts() -> None:
    """What it has, and for whom it waits, is what it told last while it took writes."""
    assert seen(told("100:1-40"), told("100:1-50", replace(WAITS, wait_for_replica_count=2))) == ObservedTerm(
        term=10,
        seen_at=1,
        server_uuid=uuid(P),
        executed=gtids("100:1-50"),
        committed=gtids("100:1-50"),
        wait_count=2,
        semi_sync_reported=True,
        semi_sync_active_at=1,
    )


@pytest.mark.parametrize(
    "later",
    [
        told("100:1-60", read_only=True),
        TabletStatus(disk_stalled=True),
        told("100:1-60", replication=replica("zone1-101").status.replication),  # type: ignore[union-attr]
    ],
)
def test_who_is_not_at_work_takes_nothing_back(later: TabletStatus) -> None:
    """A read-only server, one with a source and one whose disk stalls tell nothing of the term, and nothing else."""
    assert seen(told(), later) == seen(told())
    assert seen(later) is None


def test_what_was_acknowledged_stays_so_without_ackers() -> None:
    """All that it had committed while its commits were acknowledged counts, though nobody is there any more."""
    after = seen(told("100:1-40"), told("100:1-50", replace(WAITS, primary_clients=0)))
    assert after is not None
    assert (after.executed, after.committed, after.wait_count) == (gtids("100:1-50"), gtids("100:1-40"), 1)


def test_fewer_clients_than_it_waits_for_acknowledge_nothing() -> None:
    """A commit that waits for two is not acknowledged by one."""
    after = seen(told("100:1-40", replace(WAITS, primary_clients=1, wait_for_replica_count=2)))
    assert after is not None
    assert after.committed == gtids("")


@pytest.mark.parametrize("crashed_in", [SemiSyncStatus(), SemiSyncStatus(primary_enabled=True)])
def test_statements_that_failed_are_no_word_about_semi_sync(crashed_in: SemiSyncStatus) -> None:
    """FullStatus reports what failed as off and 0; who told otherwise in this term is believed."""
    after = seen(told("100:1-40"), told("100:1-50", crashed_in))
    assert after is not None
    assert (after.wait_count, after.executed, after.committed) == (1, gtids("100:1-50"), gtids("100:1-40"))


def test_semi_sync_that_was_switched_off_is_seen() -> None:
    """Settings that came with the answer show that the statements did not fail; commits until then waited."""
    off = replace(WAITS, primary_enabled=False, primary_active=False)
    after = seen(told(), told("100:1-60", off))
    assert after is not None
    assert (after.wait_count, after.committed) == (0, gtids("100:1-60"))
    later = seen(told(), told("100:1-60", off), told("100:1-70", off))
    assert later is not None
    assert (later.executed, later.committed) == (gtids("100:1-70"), gtids("100:1-60"))


def test_another_server_under_the_alias_of_the_primary_is_not_the_primary() -> None:
    """A rebuilt server tells nothing about the term, and takes nothing away that the first one told."""
    before = seen(told())
    assert seen(told(), replace(told("101:1-3"), server_uuid=uuid(101))) == before


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [
        (10_000, 10.0),
        (500, 0.5),
        (86_399_999, 86_399.999),
        (86_400_000, math.inf),
        (4_294_967_295, math.inf),
        (10**18, math.inf),
        (0, math.inf),
    ],
)
def test_a_timeout_of_semi_sync_is_remembered(milliseconds: int, seconds: float) -> None:
    """Ten seconds are MySQL's default; a day and more is for ever, and 0 is what comes where nothing is told."""
    after = seen(told("100:1-40", replace(WAITS, timeout=milliseconds)), told("100:1-50", SemiSyncStatus()))
    assert after is not None
    assert (after.ack_timeout, after.semi_sync_active_at, after.seen_at) == (seconds, 0, 1)


def test_a_newer_term_begins_anew() -> None:
    """What was seen in an earlier term of the same tablet does not count any more."""
    newer = record(P, TabletType.PRIMARY, term=20)
    after = seen(told("100:1-40"), (told("100:1-30"), newer))
    assert after == replace(seen((told("100:1-30"), newer)), seen_at=1, semi_sync_active_at=1)  # type: ignore[type-var]
    assert after is not None
    assert after.is_of(20)
    assert after.is_of(10)
    assert not after.is_of(30)


def test_an_old_record_does_not_bring_an_old_term_back() -> None:
    """A reading of the topology that is late changes nothing about the term."""
    newer = record(P, TabletType.PRIMARY, term=20)
    for late in (RECORD, LATE):
        after = seen((told("100:1-40"), newer), (told("100:1-50"), late))
        assert after is not None
        assert (after.term, after.executed) == (20, gtids("100:1-50"))


def test_a_primary_by_its_own_account_gets_its_term_later() -> None:
    """Before its record says so its reign has begun; it is that of the term which the record then names."""
    begun = seen((told("100:1-40"), LATE))
    assert begun is not None
    assert (begun.term, begun.is_of(30)) == (0, True)
    after = seen((told("100:1-40"), LATE), told("100:1-50"))
    assert after is not None
    assert (after.term, after.committed) == (10, gtids("100:1-50"))


def test_who_was_something_else_in_between_begins_anew() -> None:
    """A tablet that was a replica after its term and says that it is primary again was promoted again."""
    after = seen(told("100:1-40"), (told("100:1-45", read_only=True), LATE), (told("100:1-30"), LATE))
    assert after is not None
    assert (after.term, after.committed) == (0, gtids("100:1-30"))


def test_a_writable_replica_reigns_over_nothing() -> None:
    """Who is primary neither by its record nor by its own account is not at work, nor who is too old to tell."""
    for own in (TabletType.REPLICA, None):
        assert seen((told(tablet_type=own), LATE)) is None
    assert seen((told(tablet_type=None), RECORD)) is not None


OFF = replace(WAITS, primary_enabled=False, primary_active=False)
FELL_BACK = replace(WAITS, primary_active=False)


def test_a_commit_that_was_acknowledged_before_the_record_named_the_term_stays_so() -> None:
    """The record came late, and the term is the same."""
    term = seen((told("100:1-50"), LATE), (told("100:1-60", replace(WAITS, primary_clients=0)), RECORD))
    assert term is not None
    assert (term.term, term.committed) == (10, gtids("100:1-50"))


@pytest.mark.parametrize(
    ("answers", "active_at"),
    [((OFF,), -math.inf), ((WAITS,), 0), ((WAITS, OFF), 0), ((WAITS, FELL_BACK), 0), ((WAITS, WAITS), 1)],
    ids=["never", "now", "switched off since", "fallen back since", "still"],
)
def test_when_commits_were_last_seen_to_wait_is_remembered(
    answers: tuple[SemiSyncStatus, ...], active_at: float
) -> None:
    """An answer by which they wait for none does not move it."""
    term = seen(*(told(semi_sync=each) for each in answers))
    assert term is not None
    assert term.semi_sync_active_at == active_at
    assert term.wait_count == int(answers[-1] is WAITS)


def test_settings_that_came_once_are_believed_through_any_number_of_failures() -> None:
    """Each later answer without them is a statement that failed."""
    term = seen(told(), told(semi_sync=SemiSyncStatus()), told(semi_sync=SemiSyncStatus()))
    assert term is not None
    assert (term.wait_count, term.semi_sync_reported) == (1, True)


def test_a_server_that_did_not_tell_its_uuid_is_no_other_one() -> None:
    """The next answer tells it, and counts."""
    term = seen(told("100:1-50", server_uuid=""), told("100:1-60"))
    assert term is not None
    assert (term.executed, term.server_uuid) == (gtids("100:1-60"), uuid(P))


def test_what_was_committed_stays_so_when_the_server_goes_back_in_time() -> None:
    """It was acknowledged, whatever the server has now."""
    term = seen(told("100:1-50"), told("100:1-40"))
    assert term is not None
    assert term.committed == gtids("100:1-50")
