"""What the views of a tablet and of a shard tell by themselves."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    RUNNING,
    STOPPED,
    P,
    alias,
    changed,
    failing,
    gtids,
    of_old_version,
    primary,
    replica,
    shard,
    unprobed,
    uuid,
)
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
REPLICA = replica(R1)
ANSWERS, GREETS, NO_GREETING = DirectOutcome.ANSWERS, DirectOutcome.GREETS, DirectOutcome.NO_GREETING


def told(tablet: TabletView, **changes: Any) -> TabletView:
    """The same tablet with another last status."""
    assert tablet.status is not None
    return changed(tablet, status=replace(tablet.status, **changes))


def replicating(tablet: TabletView, **changes: Any) -> TabletView:
    """The same replica with another state of its replication."""
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return told(tablet, replication=replace(tablet.status.replication, **changes))


def semi_sync(tablet: TabletView, **changes: Any) -> TabletView:
    """The same tablet with another state of semi-sync."""
    assert tablet.status is not None
    return told(tablet, semi_sync=replace(tablet.status.semi_sync, **changes))


def directly(outcome: DirectOutcome, *, at: float = NOW, server: str = R1, **changes: Any) -> DirectAnswer:
    """The answer of a server to vtorc itself, with the status of a replica that was changed so."""
    status = REPLICA.status if outcome is ANSWERS else None
    status = replace(status, server_uuid=uuid(server), **changes) if status is not None else None
    return DirectAnswer(outcome=outcome, status=status, asked_at=at)


def test_only_the_last_probe_brings_what_a_tablet_says_now() -> None:
    """A failure leaves the last status, and makes it one of the past."""
    silent = failing(REPLICA, ProbeFailure.TIMEOUT)
    assert [(t.status is not None, t.current_status is not None, t.is_current, t.is_receiving, t.probed) for t in (
        REPLICA, silent, failing(REPLICA, never_heard=True), unprobed(REPLICA)
    )] == [
        (True, True, True, True, True),
        (True, False, False, False, True),
        (False, False, False, False, True),
        (False, False, False, False, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tablet", "acknowledges", "only_receives"),
    [
        (REPLICA, True, False),
        (replicating(REPLICA, io_state=CONNECTING), True, False),
        (replicating(REPLICA, io_state=STOPPED), False, False),
        (told(REPLICA, replication=None), False, False),
        (failing(REPLICA), False, False),
        (semi_sync(REPLICA, replica_enabled=False), False, False),
        (semi_sync(REPLICA, replica_enabled=False, replica_active=False), False, False),
        (semi_sync(REPLICA, replica_active=False), False, True),
        (replicating(semi_sync(REPLICA, replica_active=False), io_state=CONNECTING), True, False),
        (semi_sync(REPLICA, replica_active=False, timeout=0, wait_for_replica_count=0), True, False),
        (semi_sync(REPLICA, replica_active=False, timeout=0), False, True),
        (failing(semi_sync(REPLICA, replica_active=False)), False, False),
        (unprobed(REPLICA), False, False),
    ],
)
def test_a_replica_acknowledges_with_semi_sync_on_and_at_work(
    tablet: TabletView, acknowledges: bool, only_receives: bool
) -> None:
    """One whose semi-sync was switched on after it had connected only receives; an answer without it tells nothing."""
    assert tablet.would_acknowledge is acknowledges
    assert tablet.receives_without_acknowledging is only_receives


@pytest.mark.parametrize(
    ("direct", "acknowledges", "lives"),
    [
        (None, False, False),
        (directly(ANSWERS), True, True),
        (directly(ANSWERS, server=R2), False, False),
        (directly(ANSWERS, replication=None), False, True),
        (directly(ANSWERS, semi_sync=SemiSyncStatus(replica_enabled=True)), False, True),
        (directly(ANSWERS, replication=ReplicationStatus(io_state=CONNECTING)), False, True),
        (directly(DirectOutcome.REFUSES_LOGIN), False, True),
        (directly(GREETS), False, False),
        (directly(ANSWERS, at=NOW - 1.0), True, True),
        (directly(ANSWERS, at=NOW - 1.1), True, False),
    ],
)
def test_mysql_itself_tells_of_its_acknowledgements_and_its_life(
    direct: DirectAnswer | None, acknowledges: bool, lives: bool
) -> None:
    """Only the server of the tablet counts, and of its life only what began late enough."""
    tablet = changed(failing(REPLICA), direct=direct, server_uuid=uuid(R1))
    assert tablet.tells_directly_that_it_acknowledges is acknowledges
    assert tablet.has_shown_life(since=NOW - 1.0) is lives


@pytest.mark.parametrize(
    ("tablet", "is_asked", "leaves", "may_leave"),
    [
        (failing(REPLICA), True, False, True),
        (failing(REPLICA), False, False, False),
        (changed(failing(REPLICA), direct=directly(NO_GREETING)), True, True, True),
        (changed(failing(REPLICA), direct=directly(NO_GREETING)), False, True, False),
        (changed(failing(REPLICA, for_=3.0), direct=directly(NO_GREETING, at=NOW - 3.0)), True, True, True),
        (changed(failing(REPLICA, for_=3.0), direct=directly(NO_GREETING, at=NOW - 3.1)), True, False, True),
        (changed(failing(REPLICA), direct=directly(GREETS)), True, False, False),
        (changed(failing(REPLICA, for_=3.0), direct=directly(GREETS, at=NOW - 3.1)), True, False, True),
        (changed(REPLICA, direct=directly(NO_GREETING)), True, False, True),
    ],
)
def test_a_server_leaves_vtorc_ungreeted_by_a_question_that_began_since_it_fails(
    tablet: TabletView, is_asked: bool, leaves: bool, may_leave: bool
) -> None:
    """Until such a question is answered it may do so, if vtorc asks at all."""
    tablet = replace(tablet, is_asked_directly=is_asked)
    assert (tablet.leaves_vtorc_ungreeted, tablet.may_leave_vtorc_ungreeted) == (leaves, may_leave)


@pytest.mark.parametrize(
    ("tablet", "phrase"),
    [
        (failing(REPLICA, ProbeFailure.REFUSED), "refuses connections"),
        (
            changed(failing(REPLICA, ProbeFailure.REFUSED), direct=directly(GREETS)),
            "refuses connections (asked directly, its MySQL sends a greeting and no answer)",
        ),
        (
            changed(failing(REPLICA, ProbeFailure.HUNG), direct=directly(GREETS)),
            "hangs (its tablet manager answers, its MySQL does not; asked directly, its MySQL sends a greeting and no "
            "answer)",
        ),
        (
            changed(failing(REPLICA, ProbeFailure.REFUSED), direct=directly(ANSWERS, server=R2), server_uuid=uuid(R1)),
            "refuses connections (asked directly, another server than its MySQL answers at its address)",
        ),
    ],
)
def test_a_failure_is_told_with_the_answer_of_mysql_itself(tablet: TabletView, phrase: str) -> None:
    """There is one pair of brackets, whatever it has to hold."""
    assert tablet.failure_phrase == phrase


def test_a_tablet_that_answers_has_no_phrase_of_a_direct_answer() -> None:
    """What its MySQL told while it failed is over."""
    assert "asked directly" not in changed(REPLICA, direct=directly(GREETS)).failure_phrase


def test_what_a_stalled_disk_hides_is_told_by_the_answer_before() -> None:
    """Without one, and without a stall, it is the last answer."""
    stalled = TabletStatus(disk_stalled=True)
    assert changed(REPLICA, status=stalled, before_stall=REPLICA.status).told is REPLICA.status
    assert changed(REPLICA, status=stalled).told is stalled
    assert REPLICA.told is REPLICA.status


def of(tablet: TabletView, source: TabletView, *others: TabletView) -> bool:
    """Whether a tablet replicates from another one of its shard, in both ways to ask."""
    view = shard(tablet, source, *others)
    assert (tablet in view.replicas_of(source)) is view.replicates_from(tablet, source)
    return view.replicates_from(tablet, source)


MOVED = replace(primary(), record=replace(primary().record, mysql_hostname="elsewhere"))
BLANKED = replace(primary(), record=replace(primary().record, mysql_hostname="", mysql_port=0))
NEVER_HEARD = failing(primary(), never_heard=True)
BLANKED_UNHEARD = changed(BLANKED, status=None)


@pytest.mark.parametrize(
    ("tablet", "source", "others", "follows"),
    [
        pytest.param(REPLICA, primary(), (), True, id="address and UUID"),
        pytest.param(failing(REPLICA), primary(), (), True, id="by the last status of one that fails"),
        pytest.param(failing(REPLICA, never_heard=True), primary(), (), False, id="never heard"),
        pytest.param(told(REPLICA, replication=None), primary(), (), False, id="no source"),
        pytest.param(replicating(REPLICA, source_host=""), primary(), (), False, id="no host of a source"),
        pytest.param(REPLICA, MOVED, (), True, id="UUID alone"),
        pytest.param(replicating(REPLICA, source_uuid=""), primary(), (), True, id="address alone"),
        pytest.param(replicating(REPLICA, source_uuid=""), MOVED, (), False, id="another address"),
        pytest.param(REPLICA, NEVER_HEARD, (), True, id="address of one that was never heard"),
        pytest.param(replicating(REPLICA, source_uuid=uuid(R3)), primary(), (), False, id="receives from another"),
        pytest.param(
            replicating(REPLICA, source_uuid=uuid(R3), io_state=CONNECTING), primary(), (), True, id="did once"
        ),
        pytest.param(replicating(REPLICA, source_uuid=""), BLANKED, (), True, id="unknown address"),
        pytest.param(
            replicating(REPLICA, source_uuid="", source_host=f"mysql-{R2}"), BLANKED, (replica(R2),), False, id="known"
        ),
        pytest.param(
            replicating(REPLICA, source_uuid=uuid(R3), io_state=CONNECTING), BLANKED, (), False, id="another UUID"
        ),
        pytest.param(REPLICA, BLANKED_UNHEARD, (), True, id="unknown address, unknown UUID"),
    ],
)
def test_a_replica_follows_the_server_that_its_last_status_names(
    tablet: TabletView, source: TabletView, others: tuple[TabletView, ...], follows: bool
) -> None:
    """By the UUID where both are known, else by the address."""
    assert of(tablet, source, *others) is follows


def test_no_tablet_is_its_own_replica() -> None:
    """One that is pointed at itself replicates nothing."""
    itself = replica(R1, of=R1)
    assert shard(primary(), itself).replicas_of(itself) == ()


def test_replicas_are_those_of_the_view_of_the_source_that_was_asked_for() -> None:
    """Another view of the same tablet has replicas of its own."""
    view = shard(primary(), REPLICA, replica(R2, of=R1))
    source = view.tablets[0]
    assert [each.alias for each in view.replicas_of(source)] == [alias(R1)]
    assert view.replicas_of(source) is view.replicas_of(source)
    assert [each.alias for each in view.replicas_of(view.tablets[1])] == [alias(R2)]
    other = changed(MOVED, status=None)
    assert view.replicas_of(other) == ()


def test_of_several_tablets_at_an_address_the_one_that_answers_is_there() -> None:
    """In whatever order their aliases are."""
    silent, there = (
        failing(REPLICA),
        replace(replica(R2), record=replace(replica(R2).record, mysql_hostname=f"mysql-{R1}")),
    )
    for tablets in ((silent, there), (failing(there), REPLICA)):
        found = shard(primary(), *tablets).at_address((f"mysql-{R1}", 3306))
        assert found is not None
        assert found.is_current
    assert shard(primary()).at_address((f"mysql-{R1}", 3306)) is None


def test_a_tablet_is_found_by_its_alias() -> None:
    """There is none without an alias."""
    view = shard(primary(), REPLICA)
    assert [view.tablet(name) for name in (alias(R1), alias(R2), None)] == [REPLICA, None, None]


@pytest.mark.parametrize(
    ("tablets", "term", "named", "name"),
    [
        pytest.param((REPLICA,), 0, None, None, id="none"),
        pytest.param((primary(), REPLICA), 10, P, P, id="one"),
        pytest.param((primary(), primary(R1, term=11)), 10, P, R1, id="the newest"),
        pytest.param((primary(), primary(R1)), 10, P, R1, id="two of one term"),
        pytest.param((primary(), REPLICA), 11, R1, None, id="the shard names another since"),
        pytest.param((primary(), REPLICA), 10, R1, P, id="the shard names another at that time"),
        pytest.param((primary(), REPLICA), 11, P, P, id="the shard names it since"),
        pytest.param((primary(), REPLICA), 11, None, P, id="the shard names none since"),
    ],
)
def test_the_primary_has_the_newest_term(
    tablets: tuple[TabletView, ...], term: int, named: str | None, name: str | None
) -> None:
    """It is a former one if the shard record names another since later."""
    found = shard(*tablets, term=term, named=named).primary
    assert (found and found.alias) == (name and alias(name))


FOLLOWS = replace(replica(P, of=R1), record=primary().record)
"""The recorded primary, which follows another tablet by its own account."""
HEIR = failing(primary(R1, record_changes={"type": TabletType.REPLICA}))


@pytest.mark.parametrize(
    ("tablets", "name"),
    [
        pytest.param((FOLLOWS, HEIR), R1, id="it follows a silent tablet"),
        pytest.param((FOLLOWS, HEIR, replica(R2, of=R1), replica(R3, of=R1)), R1, id="all others follow it"),
        pytest.param((FOLLOWS, HEIR, replica(R2, of=R1), replica(R3)), P, id="another follows the recorded one"),
        pytest.param((FOLLOWS, HEIR, failing(replica(R2))), R1, id="one that does not answer counts not"),
        pytest.param((FOLLOWS, HEIR, replica(R2, of=None)), R1, id="one without a source counts not"),
        pytest.param((FOLLOWS, primary(R1, record_changes={"type": TabletType.REPLICA})), P, id="it answers"),
        pytest.param((FOLLOWS,), P, id="it has no record"),
        pytest.param((failing(FOLLOWS), HEIR), P, id="the recorded one does not answer"),
        pytest.param((told(FOLLOWS, tablet_type=None), HEIR), P, id="the type is not told"),
        pytest.param((told(FOLLOWS, tablet_type=TabletType.UNKNOWN), HEIR), P, id="the type is unknown"),
        pytest.param((told(FOLLOWS, tablet_type=TabletType.PRIMARY), HEIR), P, id="it takes itself for primary"),
        pytest.param((told(FOLLOWS, read_only=False), HEIR), P, id="it is writable"),
        pytest.param((told(FOLLOWS, disk_stalled=True), HEIR), P, id="its disk stalls"),
        pytest.param((told(FOLLOWS, replication=None), HEIR), P, id="it has no source"),
    ],
)
def test_the_successor_of_a_recorded_primary_is_told_by_the_servers(tablets: tuple[TabletView, ...], name: str) -> None:
    """A topology that was restored from a backup names a former primary, which follows the lost one."""
    found = shard(*tablets).primary
    assert found is not None
    assert found.alias == alias(name)


TAKES_ITSELF = primary(R1, record_changes={"type": TabletType.REPLICA})
OLD = of_old_version(TAKES_ITSELF)
ITS_REPLICA = replica(R2, of=R1)


@pytest.mark.parametrize(
    ("tablets", "declares"),
    [
        pytest.param((TAKES_ITSELF,), True, id="by its own account"),
        pytest.param((primary(R1),), False, id="by its record as well"),
        pytest.param((REPLICA,), False, id="a replica"),
        pytest.param(
            (told(TAKES_ITSELF, replication=ReplicationStatus(source_host="a", source_port=1)),), False, id="source"
        ),
        pytest.param((told(TAKES_ITSELF, disk_stalled=True),), False, id="its disk stalls"),
        pytest.param((changed(TAKES_ITSELF, record_confirmed=True),), True, id="its record is confirmed"),
        pytest.param((OLD,), False, id="old without replicas"),
        pytest.param((OLD, ITS_REPLICA), True, id="old with a replica that receives"),
        pytest.param((OLD, replicating(ITS_REPLICA, io_state=CONNECTING)), False, id="old with one that connects"),
        pytest.param((told(OLD, read_only=True), ITS_REPLICA), False, id="old and read-only"),
        pytest.param((changed(OLD, record_confirmed=True), ITS_REPLICA), False, id="old with a confirmed record"),
    ],
)
def test_a_tablet_is_a_self_declared_primary_by_its_own_account(
    tablets: tuple[TabletView, ...], declares: bool
) -> None:
    """An old one that does not tell its type is so if it is writable and a replica receives from it."""
    view = shard(primary(), *tablets)
    assert [each.alias for each in view.self_declared_primaries] == [alias(R1)] * declares
    assert view.unreachable_self_declared == ()


@pytest.mark.parametrize(
    ("tablets", "declared"),
    [
        ((failing(TAKES_ITSELF),), True),
        ((changed(failing(TAKES_ITSELF), record_confirmed=True),), False),
        ((failing(TAKES_ITSELF, never_heard=True),), False),
        ((failing(REPLICA),), False),
        ((failing(OLD), replicating(ITS_REPLICA, io_state=CONNECTING)), True),
        ((failing(OLD),), False),
    ],
)
def test_a_silent_tablet_was_a_self_declared_primary_until_its_record_is_confirmed(
    tablets: tuple[TabletView, ...], declared: bool
) -> None:
    """Its replicas need not receive any more, as it may be their source that is lost."""
    view = shard(primary(), *tablets)
    assert [each.alias for each in view.unreachable_self_declared] == [alias(R1)] * declared
    assert view.self_declared_primaries == ()


@pytest.mark.parametrize(
    ("io_state", "error", "is_healthy", "is_replicating"),
    [
        (RUNNING, "", True, True),
        (RUNNING, "refused", True, True),
        (CONNECTING, "", True, False),
        (CONNECTING, "refused", False, False),
        (STOPPED, "", False, False),
        (ThreadState.UNKNOWN, "", False, False),
    ],
)
def test_an_io_thread_that_connects_is_healthy_until_it_fails(
    io_state: ThreadState, error: str, is_healthy: bool, is_replicating: bool
) -> None:
    """A replica replicates only while both of its threads run."""
    status = ReplicationStatus(io_state=io_state, last_io_error=error, sql_state=RUNNING)
    assert (status.io_healthy, status.is_replicating) == (is_healthy, is_replicating)
    assert not replace(status, sql_state=STOPPED).is_replicating


@pytest.mark.parametrize(("host", "port", "has_source"), [("a", 1, True), ("a", 0, False), ("", 3306, False)])
def test_a_source_has_a_host_and_a_port(host: str, port: int, has_source: bool) -> None:
    """A status without replication has none."""
    replication = ReplicationStatus(source_host=host, source_port=port)
    assert TabletStatus(replication=replication).has_source is has_source
    assert not TabletStatus().has_source


def test_a_server_holds_what_it_has_executed_and_what_waits_in_its_relay_log() -> None:
    """A status without replication tells of no relay log."""
    replication = ReplicationStatus(received=gtids("100:1-60"))
    executed = gtids("100:1-50,101:3")
    assert TabletStatus(executed=executed, replication=replication).received == gtids("100:1-60,101:3")
    assert TabletStatus(executed=executed).received == executed
