"""What a restart leaves of vtorc's memory, and what that is worth."""

import math
import re
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest

from tests.unit.core.builders import alias, gtids, primary, uuid
from vtorc.core.facts.ack_path import AckPath, AckPathState
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.plain import as_plain, from_plain
from vtorc.core.facts.remembered import LONGEST_GAP, RememberedTablet, ShardMemory, is_due_at_once, is_due_soon
from vtorc.core.facts.tablet_memory import FormerType, ReplacedServer, TabletMemory

NAME = alias("zone1-100")
TERM = primary().memory.observed_term
FULL = TabletMemory(
    unknown_until=-math.inf,
    was_heard=True,
    last_advance_at=90.0,
    last_commit_at=89.0,
    last_read_at=89.0,
    commits_steadily_since=80.0,
    failed_at=(86.0, 87.0),
    proves_past_since=85.0,
    client_span=ClientSpan(
        source_uuid=uuid(100), source_host="mysql", source_port=3306, seen_from=87.0, seen_to=88.0, ended=None
    ),
    commits_wait_since=84.0,
    not_receiving_since=91.0,
    unanswered_since=91.5,
    ack_path=AckPath(
        state=AckPathState.OPEN,
        source=("mysql", 3306),
        since=88.0,
        held=gtids(""),
        held_at=88.0,
        newest=gtids(""),
        newest_at=88.0,
    ),
    disk_stalled_since=92.0,
    received=gtids("100:1-50,101:3"),
    lost_after_receipt=gtids("100:51"),
    own_missing=gtids("100:52"),
    observed_term=TERM and replace(TERM, seen_at=95.0, semi_sync_active_at=94.0),
    may_ack_until=80.0,
    former_types={TabletType.REPLICA: FormerType(last_found_at=70.0, gone_at=75.0)},
    unknown_clients=1,
    was_unfollowed=True,
    clients_explained=True,
    before_stall=primary().status,
    server_uuid=uuid(100),
    replaced_servers={uuid(900): ReplacedServer(successor=uuid(100), gone_at=60.0, acked_until=50.0)},
    acts_as_primary_since=93.0,
    record_confirmed=True,
)
LASTING = replace(
    FULL,
    last_advance_at=None,
    last_commit_at=None,
    last_read_at=None,
    commits_steadily_since=None,
    failed_at=(),
    proves_past_since=None,
    client_span=None,
    commits_wait_since=None,
    not_receiving_since=None,
    unanswered_since=None,
    disk_stalled_since=None,
    before_stall=None,
    ack_path=None,
    was_unfollowed=False,
    acts_as_primary_since=None,
    record_confirmed=False,
)
KEPT = ShardMemory(
    wall=10**18, now=100.0, real=100.0, tablets={NAME: RememberedTablet(TabletType.SPARE, 98.0, LASTING)}
)


def recalled(*, after: float, wall_jumps: float = 0.0, kept: ShardMemory = KEPT) -> RememberedTablet:
    """Recall the tablet so many seconds later."""
    wall, real = kept.wall + round((after + wall_jumps) * 1e9), kept.real + after
    return kept.recalled(wall=wall, now=real, real=real)[NAME]


def test_every_field_comes_through_the_file() -> None:
    """Infinities, mappings, GTID sets and None are the same after they were written and read."""
    assert ShardMemory.from_text(KEPT.as_text()) == KEPT
    empty = ShardMemory(
        wall=0, now=0.0, real=0.0, tablets={NAME: RememberedTablet(TabletType.RESTORE, -math.inf, TabletMemory())}
    )
    assert ShardMemory.from_text(empty.as_text()) == empty


def test_evidence_of_the_present_is_not_kept() -> None:
    """It is worth nothing once vtorc has not looked for a while; every other field has a kind that a file can hold."""
    assert RememberedTablet.of(TabletType.SPARE, 98.0, FULL) == KEPT.tablets[NAME]
    unset = {field.name for field in fields(TabletMemory) if getattr(LASTING, field.name) in (None, False, ())}
    present = {
        "last_advance_at",
        "last_commit_at",
        "last_read_at",
        "commits_steadily_since",
        "failed_at",
        "proves_past_since",
        "ack_path",
        "not_receiving_since",
        "unanswered_since",
        "disk_stalled_since",
        "before_stall",
    }
    assert unset == present | {
        "client_span",
        "was_unfollowed",
        "commits_wait_since",
        "acts_as_primary_since",
        "record_confirmed",
    }


def test_a_short_restart_forgets_nothing() -> None:
    """As long as a running vtorc may not have looked, the tablet is taken to have stayed as it was."""
    assert recalled(after=LONGEST_GAP) == RememberedTablet(TabletType.SPARE, 98.0, LASTING)
    assert recalled(after=1.0, wall_jumps=2.0).memory == LASTING
    assert recalled(after=0.0).memory == LASTING


def test_after_a_longer_gap_the_tablet_may_have_been_anything_meanwhile() -> None:
    """What was seen before stays true with its times; how the tablet was since is unknown until it is heard."""
    memory = recalled(after=LONGEST_GAP + 0.1).memory
    unknown: dict[str, Any] = {
        "unknown_until": KEPT.now + LONGEST_GAP + 0.1,
        "unheard_until": KEPT.now + LONGEST_GAP + 0.1,
        "was_heard": False,
        "clients_explained": False,
    }
    assert memory == replace(LASTING, **unknown)


@pytest.mark.parametrize(
    ("after", "wall_jumps"),
    [
        pytest.param(1.0, 3600.0, id="the wall clock was set"),
        pytest.param(1.0, -2.1, id="it was set back a little"),
        pytest.param(-50.0, 80.0, id="the machine was started again"),
        pytest.param(-1.0, 0.0, id="both clocks were set back"),
    ],
)
def test_times_of_another_clock_are_moved_together(after: float, wall_jumps: float) -> None:
    """Facts stay, times keep their order as if all was kept just now, and the tablet may have been anything since."""
    now = KEPT.real + after
    tablet = recalled(after=after, wall_jumps=wall_jumps)
    memory, term = tablet.memory, tablet.memory.observed_term
    assert (tablet.read_at, memory.unknown_until, memory.was_heard, memory.may_ack_until) == (
        now - 2.0,
        now,
        False,
        now - 20.0,
    )
    assert memory.former_types == {TabletType.REPLICA: FormerType(last_found_at=now - 30.0, gone_at=now - 25.0)}
    gone = ReplacedServer(successor=uuid(100), gone_at=now - 40.0, acked_until=now - 50.0)
    assert memory.replaced_servers == {uuid(900): gone}
    assert (memory.received, memory.lost_after_receipt) == (FULL.received, FULL.lost_after_receipt)
    assert term is not None
    assert (term.seen_at, term.semi_sync_active_at) == (now - 5.0, now - 6.0)
    assert (term.executed, term.committed, term.wait_count) == (gtids("100:1-50"), gtids("100:1-50"), 1)


def test_a_vtorc_that_was_late_leaves_the_same_memory() -> None:
    """Its times leave out the lateness of its whole life; a restart is found by the clock that leaves out nothing."""
    late = replace(KEPT, real=KEPT.now + 7.0)
    tablet = recalled(after=1.0, kept=late)
    term = tablet.memory.observed_term
    assert (tablet.read_at, tablet.memory.was_heard, tablet.memory.unknown_until) == (105.0, True, -math.inf)
    assert term is not None
    assert (term.seen_at, tablet.memory.may_ack_until) == (102.0, 87.0)


def test_a_time_in_which_no_tablet_was_heard_is_moved_with_all_others() -> None:
    """It lay a second before the memory was kept, and so it does for the next process."""
    unheard = replace(LASTING, unheard_until=99.0, unknown_until=97.0)
    kept = replace(KEPT, tablets={NAME: RememberedTablet(TabletType.SPARE, 98.0, unheard)})
    memory = replace(kept, now=200.0).recalled(wall=kept.wall, now=500.0, real=kept.real)[NAME].memory
    assert (memory.unheard_until, memory.unknown_until) == (399.0, 397.0)


def test_no_time_is_later_than_the_moment_of_keeping() -> None:
    """A file that claims so is not believed: what is seen from now on is later than all that it tells."""
    ahead = {NAME: RememberedTablet(TabletType.SPARE, 150.0, replace(LASTING, may_ack_until=1e9))}
    tablet = recalled(after=-50.0, kept=replace(KEPT, tablets=ahead))
    assert (tablet.read_at, tablet.memory.may_ack_until) == (50.0, 50.0)


@pytest.mark.parametrize("until", [None, math.inf])
def test_an_end_that_was_not_seen_stays_unseen(until: float | None) -> None:
    """A tablet that acknowledged when vtorc ended counts as acknowledging still."""
    acking = replace(
        KEPT, tablets={NAME: RememberedTablet(TabletType.REPLICA, 98.0, replace(FULL, may_ack_until=until))}
    )
    assert recalled(after=1.0, wall_jumps=3600.0, kept=acking).memory.may_ack_until == until


def test_every_time_of_the_memory_is_thought_of() -> None:
    """A new field that holds a time has to be dealt with where another clock is found."""
    times = {
        f"{kind.__name__}.{field.name}"
        for kind in (TabletMemory, ObservedTerm, FormerType, ReplacedServer)
        for field in fields(kind)
        if "float" in str(get_type_hints(kind)[field.name])
    }
    assert times == {
        "ReplacedServer.acked_until",
        "TabletMemory.unknown_until",
        "TabletMemory.unheard_until",
        "TabletMemory.last_advance_at",
        "TabletMemory.last_commit_at",
        "TabletMemory.last_read_at",
        "TabletMemory.commits_steadily_since",
        "TabletMemory.failed_at",
        "TabletMemory.proves_past_since",
        "TabletMemory.commits_wait_since",
        "TabletMemory.not_receiving_since",
        "TabletMemory.unanswered_since",
        "TabletMemory.disk_stalled_since",
        "TabletMemory.may_ack_until",
        "TabletMemory.acts_as_primary_since",
        "ObservedTerm.seen_at",
        "ObservedTerm.ack_timeout",  # a length of time
        "ObservedTerm.semi_sync_active_at",
        "FormerType.last_found_at",
        "FormerType.gone_at",
        "ReplacedServer.gone_at",
    }


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({"received": gtids("100:1-60")}, False),
        ({"last_advance_at": 99.0}, False),
        ({"observed_term": TERM and replace(TERM, seen_at=99.0, semi_sync_active_at=94.0)}, False),
        ({"observed_term": TERM and replace(TERM, wait_count=0)}, True),
        ({"observed_term": TERM and replace(TERM, term=11)}, True),
        ({"observed_term": None}, True),
        ({"may_ack_until": math.inf}, True),
        ({"former_types": {}}, True),
        ({"server_uuid": uuid(900)}, True),
        ({"unknown_clients": 2}, True),
        ({"clients_explained": False}, True),
        ({"lost_after_receipt": gtids("100:51-52")}, True),
        ({"filtered_server": uuid(100)}, True),
        ({"own_missing": gtids("100:52-53")}, True),
    ],
)
def test_what_cannot_wait_to_be_kept(changes: dict[str, Any], is_due: bool) -> None:
    """Terms, ends of acknowledgements, losses and servers; positions and times may be a little behind."""
    assert is_due_at_once(FULL, replace(FULL, **changes)) is is_due


@pytest.mark.parametrize(
    "changes",
    [
        {"received": gtids("100:1-60")},
        {"observed_term": TERM and replace(TERM, executed=gtids("100:1-60"))},
        {"observed_term": TERM and replace(TERM, committed=gtids("100:1-60"))},
        {"observed_term": TERM and replace(TERM, semi_sync_reported=not TERM.semi_sync_reported)},
        {"was_heard": False},
        {"replaced_servers": {}},
        {"may_ack_until": math.inf},
    ],
)
def test_what_was_learnt_is_kept_soon(changes: dict[str, Any]) -> None:
    """Positions and facts are due soon, as all that is due at once is."""
    after = replace(FULL, observed_term=TERM, unknown_until=1.0)
    assert is_due_soon(after, replace(after, **changes))


def test_times_at_which_the_same_was_seen_can_wait() -> None:
    """In an idle cluster nothing but these changes, with each answer of each tablet."""
    seen_again = TERM and replace(TERM, seen_at=99.0, semi_sync_active_at=99.0)
    later = replace(
        FULL,
        observed_term=seen_again,
        received=gtids("100:1-50,101:3"),
        lost_after_receipt=gtids("100:51"),
        last_advance_at=99.0,
        failed_at=(99.0,),
    )
    assert not is_due_soon(FULL, later)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"wall":1,"now":1.0}',
        KEPT.as_text().replace('"now":100.0', '"now":"100"'),
        KEPT.as_text().replace('"was_heard":true', '"was_heard":1'),
        KEPT.as_text().replace("SPARE", "SPEAR"),
        KEPT.as_text().replace("zone1-0000000100", "zone1"),
        KEPT.as_text().replace(":1-50", ":50-x"),
        KEPT.as_text().replace('"may_ack_until":80.0', '"may_ack_till":80.0'),
        KEPT.as_text().replace('"now":100.0', '"now":NaN'),
        KEPT.as_text().replace('"may_ack_until":80.0', '"may_ack_until":NaN'),
        KEPT.as_text().replace('"real":100.0', '"real":Infinity'),
        KEPT.as_text().replace('"real":100.0', f'"real":1{"0" * 400}'),
        KEPT.as_text().replace(f'"wall":{10**18}', f'"wall":{10**400}'),
        KEPT.as_text().replace(f'"wall":{10**18}', f'"wall":{2**63}'),
        KEPT.as_text().replace(f'"wall":{10**18}', '"wall":-1'),
        pytest.param("[" * 100_000, id="nested deeply"),
    ],
)
def test_a_text_that_is_no_memory_is_refused(text: str) -> None:
    """Whatever is wrong with it, there is one kind of error."""
    with pytest.raises(ValueError, match=r".+"):
        ShardMemory.from_text(text)


def test_only_values_that_can_be_read_again_become_plain() -> None:
    """A kind of value that is not known is a mistake of vtorc."""
    with pytest.raises(TypeError):
        as_plain({1, 2})
    assert from_plain(float, 3) == 3.0
    assert from_plain(tuple[float, ...], as_plain((1.0, 2.5))) == (1.0, 2.5)


def test_a_field_that_an_older_vtorc_did_not_know_has_its_default() -> None:
    """An upgrade forgets nothing; a field without a default, or one that is not known, is refused."""
    text = KEPT.as_text()
    older = re.sub(r'"clients_explained":true,|,"acked_until":50.0', "", text)
    assert len(older) < len(text) - 40
    memory = ShardMemory.from_text(older).tablets[NAME].memory
    assert (memory.clients_explained, memory.unknown_clients) == (False, 1)
    assert memory.replaced_servers[uuid(900)].acked_until is None
    for wrong in (text.replace('"gone_at":60.0,', ""), text.replace('"was_heard":', '"was_herd":')):
        with pytest.raises(ValueError, match="expected the fields"):
            ShardMemory.from_text(wrong)
