"""What a server is fit for, by all that its tablet tells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.builders import NO_ACK_TIMEOUT, P, alias, answers, changed, failing, primary, replica, shard, uuid
from vtorc.core.facts.durability import policy
from vtorc.core.facts.fitness import FIT, Fitness, fitness, fitness_of, shard_fitness
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.observed_term import ENDLESS_ACK_TIMEOUT
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus
from vtorc.core.facts.unfitness import Fact, Subject, Use
from vtorc.core.facts.views import TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC, NONE = policy("semi_sync"), policy("none")
SOUND = TabletStatus(
    server_id=101,
    server_uuid=uuid(R1),
    version="8.0.36",
    gtid_mode="ON",
    log_bin=True,
    log_replica_updates=True,
    binlog_format="ROW",
    replication=ReplicationStatus(has_filters=False, sql_delay=0),
    semi_sync=SemiSyncStatus(timeout=NO_ACK_TIMEOUT, wait_for_replica_count=1),
)
TWIN = replace(SOUND, server_id=200, server_uuid=uuid(R2))
HOLD, FEED, ACK, LEAD = Use.HOLD, Use.FEED, Use.ACKNOWLEDGE, Use.LEAD


def judged(status: TabletStatus, **changes: Any) -> Fitness:
    """The fitness of a server beside a sound one, in a shard that asks for one acknowledgement."""
    made = Subject(status=status, peers={alias(R2): TWIN}, required_acks=1, others_that_may_ack=1)
    return fitness(replace(made, **changes))


def replicating(**changes: Any) -> TabletStatus:
    return replace(SOUND, replication=replace(SOUND.replication or ReplicationStatus(), **changes))


def acking(**changes: Any) -> TabletStatus:
    return replace(SOUND, semi_sync=replace(SOUND.semi_sync, **changes))


def test_a_server_set_up_as_by_vitess_is_fit_for_everything() -> None:
    """Nothing speaks against such a server, and nothing about it is unknown."""
    assert judged(SOUND) == Fitness(wait_count=1)


@pytest.mark.parametrize(
    ("status", "fact", "never", "last", "why"),
    [
        (replicating(has_filters=True), Fact.FILTERS, {HOLD, FEED, LEAD}, {ACK}, "leaves out transactions"),
        (replace(SOUND, log_bin=False), Fact.NO_BINARY_LOG, {FEED, LEAD}, set(), "log_bin=OFF"),
        (replace(SOUND, log_replica_updates=False), Fact.NO_REPLICA_UPDATES, {FEED}, {LEAD}, "log_replica_updates=OFF"),
        (replace(SOUND, gtid_mode="OFF_PERMISSIVE"), Fact.GTID_MODE, {FEED, LEAD}, set(), "gtid_mode=OFF_PERMISSIVE"),
        (replace(SOUND, binlog_format="MIXED"), Fact.BINLOG_FORMAT, set(), {LEAD}, "binlog_format=MIXED"),
        (replace(SOUND, server_uuid=uuid(R2)), Fact.SHARED_UUID, set(), {ACK, LEAD}, "server_uuid of zone2-0000000200"),
        (replace(SOUND, server_id=200), Fact.SHARED_ID, set(), {LEAD}, "server_id of zone2-0000000200"),
        (replace(SOUND, version="8.4.2"), Fact.NEWER_RELEASE, set(), {LEAD}, "MySQL 8.4, and replicas of 8.0"),
        (replicating(sql_delay=3600), Fact.DELAY, set(), {LEAD}, "3600 s late on purpose"),
        (
            replace(SOUND, semi_sync=SemiSyncStatus()),
            Fact.NO_SEMI_SYNC,
            {ACK, LEAD},
            set(),
            "tells no settings of semi-sync",
        ),
        (acking(wait_for_replica_count=2), Fact.WAIT_COUNT, set(), {LEAD}, "would wait for 2 acknowledgements"),
        (acking(timeout=10_000), Fact.ACK_TIMEOUT, set(), {LEAD}, "after 10 s (rpl_semi_sync_source_timeout)"),
        (replicating(backup_running=True), Fact.BACKUP, set(), {LEAD}, "is being backed up"),
    ],
    ids=lambda each: each.name if isinstance(each, Fact) else "",
)
def test_each_fact_speaks_against_its_uses_only(
    status: TabletStatus, fact: Fact, never: set[Use], last: set[Use], why: str
) -> None:
    """One fact rules out some uses, makes the tablet the last choice for others, and leaves the rest alone."""
    found = judged(status)
    assert [flaw.fact for flaw in found.flaws] == [fact]
    assert why in found.flaws[0].why
    assert {use for use in Use if not found.may(use)} == never
    assert {use for use in Use if found.is_last_choice(use)} == never | last
    assert {use for use in Use if found.why_not(use)} == never
    assert all(fact.traits.remedy in found.why_not(use) for use in never)


def test_every_fact_has_a_case() -> None:
    """The table above has a row for each row of the table of facts."""
    marks = [mark for mark in test_each_fact_speaks_against_its_uses_only.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert [case[1] for case in marks[0].args[1]] == list(Fact)


def test_operators_read_the_same_table() -> None:
    """docs/operating.md has a row for each fact, in the same order and with the same uses."""
    page = (Path(__file__).parents[4] / "docs" / "operating.md").read_text(encoding="utf-8")
    section = page.partition("## A tablet is unfit")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.split("|")[1:6]) for line in section.splitlines() if line[:1] == "|"]

    def words(fact: Fact) -> list[str]:
        never, last = fact.traits.never, fact.traits.last
        return ["never" if use in never else "last" if use in last else "yes" for use in Use]

    assert rows[2:] == [(fact.value, *words(fact)) for fact in Fact]


def test_what_is_not_told_speaks_against_nothing() -> None:
    """A tablet that tells nothing of its settings is unknown in all of them, and unfit for nothing."""
    found = judged(TabletStatus(replication=ReplicationStatus()), peers={})
    assert found.flaws == ()
    assert set(found.unknown) == set(Fact) - {Fact.BACKUP}


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        pytest.param(replace(SOUND, gtid_mode="ON_PERMISSIVE"), {}, id="writes GTIDs"),
        pytest.param(replace(SOUND, version="8.0.20"), {}, id="an earlier release of the same series"),
        pytest.param(replace(SOUND, version="mysqld  Ver 5.7.44 for Linux on x86_64"), {}, id="an older series"),
        pytest.param(acking(wait_for_replica_count=2), {"others_that_may_ack": 2}, id="enough ackers for its count"),
        pytest.param(acking(wait_for_replica_count=2), {"required_acks": 0}, id="a count without semi-sync"),
        pytest.param(acking(timeout=10_000), {"required_acks": 0}, id="a timeout without semi-sync"),
        pytest.param(acking(timeout=round(ENDLESS_ACK_TIMEOUT * 1000)), {}, id="a timeout that counts as none"),
        pytest.param(acking(timeout=0, wait_for_replica_count=0, replica_enabled=True), {}, id="a plugin that is on"),
        pytest.param(replace(SOUND, replication=None), {}, id="no source, so no filters and no delay"),
        pytest.param(
            replace(SOUND, log_bin=False, log_replica_updates=False), {"peers": {}}, id="no log at all is one fact"
        ),
    ],
)
def test_what_nearly_is_a_flaw(status: TabletStatus, changes: dict[str, Any]) -> None:
    """Settings that look like a flaw and are none, or none besides another, are not held against a server."""
    assert [flaw.fact for flaw in judged(status, **changes).flaws if flaw.fact is not Fact.NO_BINARY_LOG] == []


def test_the_gaps_of_filters_stay_when_the_filters_go() -> None:
    """A server that was seen with filters proves nothing by its GTIDs, although it has none now."""
    assert not judged(SOUND, was_filtered=True).may(Use.HOLD)
    tablet = changed(replica(R1), filtered_server=uuid(R1))
    assert not fitness_of(shard(primary(), tablet), tablet, SEMI_SYNC).may(Use.HOLD)


def test_without_a_policy_no_setting_of_semi_sync_is_a_flaw() -> None:
    """It is not known whether any write waits for an acknowledgement."""
    tablet = replica(R1)
    assert tablet.status is not None
    hasty = answers(tablet, semi_sync=replace(tablet.status.semi_sync, timeout=10_000))
    view = shard(primary(), hasty)
    assert fitness_of(view, hasty, None).flaws == ()
    assert [flaw.fact for flaw in fitness_of(view, hasty, SEMI_SYNC).flaws] == [Fact.ACK_TIMEOUT]


def test_a_server_without_replica_updates_still_feeds_what_it_wrote() -> None:
    """Its binary log lacks what it received, and not the transactions of its own time as primary."""
    assert judged(replace(SOUND, log_replica_updates=False)).feeds_own_writes
    assert judged(SOUND).feeds_own_writes
    assert not judged(replace(SOUND, gtid_mode="OFF")).feeds_own_writes


def with_uuid(tablet: TabletView, server: str) -> TabletView:
    return answers(tablet, server_uuid=uuid(server))


def test_an_identity_is_shared_with_a_tablet_that_answers() -> None:
    """Two tablets of one server_uuid are twins while both answer; a copy of a host that is gone is none."""
    a, b = replica(R1), with_uuid(replica(R2), R1)
    view = shard(primary(), a, b)
    assert fitness_of(view, a, SEMI_SYNC).twins == {b.alias}
    assert fitness_of(view, b, SEMI_SYNC).twins == {a.alias}
    assert fitness_of(shard(primary(), failing(a, ProbeFailure.TIMEOUT), b), b, SEMI_SYNC).twins == frozenset()


def test_a_stalled_disk_hides_no_flaw_that_was_told_before() -> None:
    """The tablet is judged by its answer before, and so is one with the same identity."""
    a, b = answers(replica(R1), log_bin=False), with_uuid(replica(R2), R1)
    stalled = changed(a, status=TabletStatus(disk_stalled=True), before_stall=a.status)
    view = shard(primary(), stalled, b)
    assert not fitness_of(view, stalled, SEMI_SYNC).may(Use.LEAD)
    assert fitness_of(view, b, SEMI_SYNC).twins == {a.alias}


def test_a_tablet_that_told_of_a_stalled_disk_alone_is_hidden() -> None:
    """Nothing is known of it, which is more than that it tells some facts and others not."""
    stalled = answers(replica(R1), disk_stalled=True)
    assert fitness_of(shard(primary(), stalled), stalled, SEMI_SYNC).is_hidden
    known = changed(stalled, before_stall=replica(R1).status)
    assert not fitness_of(shard(primary(), known), known, SEMI_SYNC).is_hidden
    assert not judged(SOUND).is_hidden


def waiting_for(tablet: TabletView, count: int) -> TabletView:
    assert tablet.status is not None
    return answers(tablet, semi_sync=replace(tablet.status.semi_sync, wait_for_replica_count=count))


@pytest.mark.parametrize(
    ("others", "asked", "unfit"),
    [
        ((replica(R2),), SEMI_SYNC, True),
        ((replica(R2), replica(R3)), SEMI_SYNC, False),
        ((replica(R2), replica(R3, TabletType.RDONLY)), SEMI_SYNC, True),
        ((replica(R2), replica(R3, TabletType.RDONLY)), policy("semi_sync_with_rdonly_ack"), False),
        ((replica(R2),), NONE, False),
    ],
)
def test_a_count_is_too_high_if_the_loss_of_the_primary_leaves_fewer_ackers(
    others: tuple[TabletView, ...], asked: Any, unfit: bool
) -> None:
    """A replica that would wait for two acknowledgements needs two ackers beside it, the present primary left out."""
    heir = waiting_for(replica(R1), 2)
    found = fitness_of(shard(primary(), heir, *others), heir, asked)
    assert [flaw.fact for flaw in found.flaws] == ([Fact.WAIT_COUNT] if unfit else [])


def test_the_present_primary_is_not_judged_as_its_own_heir() -> None:
    """A count that the present ackers can meet is told of the replicas, which would have one acker less."""
    now = primary(wait_for=2)
    assert fitness_of(shard(now, replica(R1), replica(R2)), now, SEMI_SYNC).flaws == ()


def test_a_tablet_that_never_answered_is_unknown() -> None:
    """Nothing is held against a tablet of which nothing is known, and each tablet of a shard is judged."""
    view = shard(primary(dead_for=3.0, never_heard=True), replica(R1))
    assert shard_fitness(view, SEMI_SYNC)[alias(P)] == FIT
    assert set(shard_fitness(view, None)) == {alias(P), alias(R1)}
