"""Who may have acknowledged while the primary lived, whatever they are now."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    P,
    alias,
    changed,
    client_count,
    failing,
    gtids,
    primary,
    replica,
    shard,
    uuid,
)
from tests.unit.core.election.test_candidate_evidence import R1, R2, R3, stop
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import FormerType, ReplacedServer
from vtorc.core.facts.views import ShardView, TabletView

SEMI_SYNC = policy("semi_sync")
REPLICA, RDONLY, DRAINED, SPARE, BACKUP, RESTORE = (
    TabletType.REPLICA,
    TabletType.RDONLY,
    TabletType.DRAINED,
    TabletType.SPARE,
    TabletType.BACKUP,
    TabletType.RESTORE,
)
SEEN = 3.5
"""Seconds since the primary was last seen at work."""
DEAD = primary(dead_for=3, failure=ProbeFailure.TIMEOUT)
"""It failed half a second after that."""


def left(kind: TabletType, ago: float, *, found: float | None = None) -> dict[TabletType, FormerType]:
    """The record ceased to have that type so many seconds ago; the reading before began `found` seconds ago."""
    return {kind: FormerType(last_found_at=NOW - (ago + 5 if found is None else found), gone_at=NOW - ago)}


def was(tablet: TabletView, ago: float, kind: TabletType = REPLICA, **changes: Any) -> TabletView:
    """A tablet that had another type until so many seconds ago."""
    return changed(tablet, former_types=left(kind, ago), **changes)


def off(kind: TabletType, executed: str = "100:1-50", **changes: Any) -> TabletView:
    """R1 with another type, its side of semi-sync off."""
    return replica(R1, kind, io=CONNECTING, executed=executed, semi_sync=False, **changes)


def pointed_elsewhere(ago: float) -> TabletView:
    """R1 as a spare that acknowledges, to R3 since so many seconds."""
    span = ClientSpan(source_uuid=uuid(R3), source_host="", source_port=0, seen_from=NOW - ago, seen_to=NOW)
    return changed(replica(R1, SPARE, of=R3), client_span=span)


def shard_with(tablet: TabletView, others: str = "100:1-50", dead: TabletView = DEAD) -> ShardView:
    """A shard that lost its primary; R2 and R3, which have executed `others`, answer."""
    return shard(dead, tablet, replica(R2, io=CONNECTING, executed=others), replica(R3, io=CONNECTING, executed=others))


@pytest.mark.parametrize("kind", [DRAINED, SPARE, BACKUP])
@pytest.mark.parametrize("ago", [600.0, 2.0])
def test_the_last_acker_counts_whatever_it_has_become(kind: TabletType, ago: float) -> None:
    """What a replica alone acknowledged is fetched from it, though it was drained or began a backup since."""
    view = shard_with(was(off(kind, executed="100:1-60"), ago), others="100:1-40")
    choice = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(choice, Choice)
    assert (choice.winner, choice.source) == (alias(R2), alias(R1))


@pytest.mark.parametrize(
    ("tablet", "is_past_acker"),
    [
        pytest.param(was(off(BACKUP), SEEN + 1), False, id="a backup began before the primary was seen at work"),
        pytest.param(was(off(BACKUP), SEEN + 0.9), True, id="an acknowledgement may have been under way"),
        pytest.param(was(off(RESTORE), SEEN + 1), False, id="restored long ago"),
        pytest.param(was(off(SPARE), 1), True, id="made a spare after the primary had begun to fail"),
        pytest.param(was(off(DRAINED), 1), True, id="drained since, perhaps before the primary failed"),
        pytest.param(
            changed(off(DRAINED), former_types=left(REPLICA, 1, found=3)),
            False,
            id="drained when the primary had failed",
        ),
        pytest.param(
            changed(off(BACKUP), former_types=left(REPLICA, 1, found=3)), True, id="a backup is no word of a person"
        ),
        pytest.param(
            changed(off(DRAINED), former_types=left(REPLICA, 9) | left(SPARE, 1, found=3)),
            False,
            id="a spare, drained after the primary had failed",
        ),
        pytest.param(was(off(SPARE), 1, RDONLY), False, id="the policy never let it acknowledge"),
        pytest.param(off(SPARE), False, id="it never was anything else"),
        pytest.param(changed(off(SPARE), may_ack_until=NOW - 1), True, id="its side was on until now"),
        pytest.param(changed(off(SPARE), may_ack_until=NOW - SEEN - 1), False, id="its side was on before"),
        pytest.param(changed(off(SPARE), may_ack_until=math.inf), True, id="its side is not known to be off"),
        pytest.param(
            changed(off(SPARE, of=R3), may_ack_until=math.inf), False, id="its side is on, for another than the primary"
        ),
        pytest.param(
            changed(replica(R1, SPARE), status=TabletStatus(disk_stalled=True)), True, id="its stalled disk hides all"
        ),
        pytest.param(
            failing(changed(off(SPARE), may_ack_until=math.inf), ProbeFailure.TIMEOUT, never_heard=True, for_=600),
            True,
            id="its side was on before vtorc was restarted",
        ),
        pytest.param(pointed_elsewhere(1.0), True, id="pointed elsewhere when the primary had failed"),
        pytest.param(pointed_elsewhere(SEEN + 1), False, id="pointed elsewhere before"),
        pytest.param(changed(off(DRAINED), unknown_until=NOW - 1), True, id="first heard when the primary had failed"),
        pytest.param(
            changed(off(SPARE), unknown_until=NOW - SEEN - 0.9),
            True,
            id="first heard shortly before the primary was lost",
        ),
        pytest.param(changed(off(SPARE), unknown_until=NOW - SEEN - 1), False, id="first heard a second before"),
        pytest.param(
            failing(changed(off(RDONLY), unknown_until=NOW - 1), never_heard=True, for_=1),
            True,
            id="never heard at all",
        ),
        pytest.param(
            failing(replica(R1, BACKUP), for_=SEEN + 1), False, id="its MySQL went down before the primary did"
        ),
        pytest.param(failing(replica(R1, BACKUP), for_=SEEN), True, id="its MySQL went down at the same time"),
        pytest.param(
            failing(replica(R1, BACKUP), ProbeFailure.TIMEOUT, for_=600),
            True,
            id="it acknowledged when it was last heard",
        ),
    ],
)
def test_who_may_have_acknowledged_until_the_primary_was_lost(tablet: TabletView, is_past_acker: bool) -> None:
    """By its side of semi-sync or the type that it had; unless the primary was seen at work later, or a person has
    spoken.
    """
    view = shard_with(tablet)
    made = candidate_set(view, SEMI_SYNC, stop(view))
    assert made.semi_sync.past_ackers == ({alias(R1)} if is_past_acker else set())
    if not tablet.is_current:
        outcome = choose(made, SEMI_SYNC)
        assert isinstance(outcome, Refusal if is_past_acker else Choice)


@pytest.mark.parametrize(
    ("source", "seen_to", "is_past_acker"),
    [(P, NOW - 30, False), (P, NOW - 22.9, True), (P, NOW - 1, True), (R3, NOW - 1, False)],
)
def test_a_tablet_drained_while_others_received_was_not_given_up(
    source: str, seen_to: float, is_past_acker: bool
) -> None:
    """Only vtorc could not reach the primary, and it worked on with the tablet that was taken out of service."""
    drained = changed(off(DRAINED), former_types=left(REPLICA, 1, found=3))
    span = ClientSpan(source_uuid=uuid(source), source_host="", source_port=0, seen_from=NOW - 60, seen_to=seen_to)
    dead = changed(DEAD, server_uuid=uuid(P))
    view = shard(dead, drained, changed(replica(R2, io=CONNECTING), client_span=span))
    made = candidate_set(view, SEMI_SYNC, stop(view))
    assert (alias(R1) in made.semi_sync.past_ackers) == is_past_acker


def test_who_was_seen_to_have_ended_counts_while_others_lack_something() -> None:
    """That the primary was seen at work later helps only if what it had then is held by those that were stopped."""
    view = shard_with(was(off(BACKUP), 600), others="100:1-49")
    assert candidate_set(view, SEMI_SYNC, stop(view)).semi_sync.past_ackers == {alias(R1)}


def test_a_restarted_vtorc_counts_a_drained_tablet_while_others_lack_something() -> None:
    """The primary was seen at work since, but what it had then is on none of the tablets in service."""
    drained = changed(off(DRAINED, executed="100:1-60"), unknown_until=NOW - 600)
    view = shard_with(drained, others="100:1-49")
    choice = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(choice, Choice)
    assert (choice.winner, choice.source, choice.required) == (alias(R2), alias(R1), gtids("100:1-60"))


def test_without_memory_the_errant_transactions_of_a_drained_tablet_are_refused_with_a_way_out() -> None:
    """A vtorc that never heard the primary cannot tell them from acknowledged ones; an operator can."""
    drained = changed(off(DRAINED, executed="100:1-50,101:1"), unknown_until=NOW - 1)
    others = (replica(R2, io=CONNECTING), replica(R3, io=CONNECTING, executed="100:1-51"))
    view = shard(primary(dead_for=3, never_heard=True), drained, *others)
    refusal = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(refusal, Refusal)
    assert (
        "(it is DRAINED, but alone has 1 transaction: 00000101…:1, which it may have acknowledged before; to give"
        in refusal.sentence
    )
    heard = shard(DEAD, drained, *others)
    assert isinstance(choose(candidate_set(heard, SEMI_SYNC, stop(heard)), SEMI_SYNC), Choice)


@pytest.mark.parametrize(
    ("tablet", "is_past_acker"),
    [
        pytest.param(failing(off(RDONLY), ProbeFailure.TIMEOUT, for_=600), True, id="a silent RDONLY"),
        pytest.param(failing(off(SPARE), ProbeFailure.REFUSED, for_=600), True, id="a SPARE without a vttablet"),
        pytest.param(failing(off(RDONLY), for_=600), False, id="its MySQL is down"),
        pytest.param(off(RDONLY), False, id="it answers"),
        pytest.param(
            failing(changed(off(DRAINED), former_types=left(RDONLY, 1, found=3)), ProbeFailure.TIMEOUT, for_=600),
            False,
            id="drained when the primary had failed",
        ),
    ],
)
def test_a_silent_tablet_is_missed_if_the_primary_counted_a_client_that_may_be_it(
    tablet: TabletView, is_past_acker: bool
) -> None:
    """It was last heard with its side of semi-sync off, and its MySQL may have acknowledged since."""
    for unseen in (0, 1):
        count = client_count(3, unseen=unseen)
        view = replace(shard_with(tablet), client_count=count)
        made = candidate_set(view, SEMI_SYNC, stop(view))
        is_missed = bool(unseen) and is_past_acker
        assert made.semi_sync.past_ackers == ({alias(R1)} if is_missed else set())
        assert isinstance(choose(made, SEMI_SYNC), Refusal if is_missed else Choice)


@pytest.mark.parametrize("unseen", [0, 1])
def test_a_silent_replica_that_was_heard_with_semi_sync_off_may_be_a_client_since(unseen: int) -> None:
    """The policy asks it to acknowledge, and it did not until it fell silent."""
    tablet = failing(off(REPLICA), ProbeFailure.TIMEOUT, for_=600)
    view = replace(shard_with(tablet), client_count=client_count(3, unseen=unseen))
    assert candidate_set(view, SEMI_SYNC, stop(view)).silent == (set() if unseen else {alias(R1)})


@pytest.mark.parametrize(("ago", "is_silent"), [(600.0, True), (1.0, False)])
def test_a_replica_with_semi_sync_off_may_have_acknowledged_while_no_tablet_was_heard(
    ago: float, is_silent: bool
) -> None:
    """Another vtorc may have switched it on then; the primary was seen after the first gap, and not after the other."""
    view = shard_with(changed(failing(off(REPLICA), for_=900), unheard_until=NOW - ago))
    assert candidate_set(view, SEMI_SYNC, stop(view)).silent == ({alias(R1)} if is_silent else set())


def replaced(tablet: TabletView, ago: float, *, acked_ago: float | None = None) -> TabletView:
    """The tablet, under whose alias another server ran until so many seconds ago, and was known to acknowledge."""
    until = None if acked_ago is None else NOW - acked_ago
    gone = {uuid(901): ReplacedServer(successor=uuid(R1), gone_at=NOW - ago, acked_until=until)}
    return changed(tablet, server_uuid=uuid(R1), replaced_servers=gone)


@pytest.mark.parametrize(
    ("tablet", "others", "counts"),
    [
        pytest.param(replaced(replica(R1), 1), "100:1-50", False, id="rebuilt after the primary was lost"),
        pytest.param(replaced(replica(R1), SEEN + 0.9), "100:1-50", False, id="rebuilt shortly before"),
        pytest.param(replaced(replica(R1), 1, acked_ago=60), "100:1-50", True, id="it was down for long"),
        pytest.param(replaced(replica(R1), 1, acked_ago=7.8), "100:1-50", False, id="the count may have been with it"),
        pytest.param(
            replaced(replica(R1, executed="100:1-49"), 1, acked_ago=60),
            "100:1-49",
            False,
            id="down for long, and the others lack something",
        ),
        pytest.param(replaced(replica(R1), SEEN + 1), "100:1-50", True, id="the primary was seen at work since"),
        pytest.param(
            replaced(replica(R1, executed="100:1-49"), 600),
            "100:1-49",
            False,
            id="the others lack what the primary had then",
        ),
        pytest.param(replaced(was(replica(R1, BACKUP), 1), 1), "100:1-50", False, id="it is no acker by type now"),
        pytest.param(replaced(off(RDONLY), 1), "100:1-50", True, id="the policy never let it acknowledge"),
    ],
)
def test_another_server_under_an_old_alias_does_not_hold_what_the_first_acknowledged(
    tablet: TabletView, others: str, counts: bool
) -> None:
    """Its alias was reached, the server that may have acknowledged was not; the refusal names both."""
    view = replace(shard_with(tablet, others), client_count=client_count(2, R2, R3, explained_at=NOW - 6.9))
    made = candidate_set(view, SEMI_SYNC, stop(view))
    assert (alias(R1) in made.stopped) == counts
    outcome = choose(made, SEMI_SYNC)
    assert isinstance(outcome, Choice if counts else Refusal)
    if isinstance(outcome, Refusal):
        assert f"is server {uuid(R1)} now, and what server {uuid(901)} acknowledged" in outcome.sentence
        assert "was rebuilt" in outcome.removed[alias(R1)]


def test_replicas_that_answer_and_count_as_rebuilt_are_named() -> None:
    """No tablet counts as reached, and the refusal tells of each what became of its server."""
    view = shard(DEAD, replaced(replica(R1, io=CONNECTING), 1), replaced(replica(R2, io=CONNECTING), 1))
    refusal = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.NONE_REACHED
    assert refusal.sentence.count("start that server's data directory again") == 2


def test_a_server_under_the_alias_of_the_lost_primary_may_acknowledge_for_the_next() -> None:
    """It tells nothing of the past; the shard would stay without a primary if no other tablet may acknowledge."""
    assert DEAD.status is not None
    for has, expected in (("100:1-40", Choice), ("100:1-40,7:1", Refusal)):
        status = replace(DEAD.status, server_uuid=uuid(901), executed=gtids(has), read_only=True)
        rebuilt = changed(
            primary(),
            last_probe=LastProbe.answered(status, started=NOW, ended=NOW),
            observed_term=DEAD.memory.observed_term,
        )
        view = shard(rebuilt, replica(R1, io=CONNECTING), replica(R2, TabletType.RDONLY, io=CONNECTING))
        made = candidate_set(view, SEMI_SYNC, stop(view))
        assert alias(P) not in made.stopped
        assert isinstance(choose(made, SEMI_SYNC), expected)


@pytest.mark.parametrize("was_heard", [True, False])
def test_an_empty_server_under_the_alias_of_the_primary_is_not_the_primary(was_heard: bool) -> None:
    """It has nothing to fetch, and its lack of transactions proves nothing; vtorc's memory or the replicas tell."""
    assert DEAD.status is not None
    status = replace(DEAD.status, server_uuid=uuid(901), executed=gtids(""), read_only=True)
    term = DEAD.memory.observed_term if was_heard else None
    rebuilt = changed(primary(), last_probe=LastProbe.answered(status, started=NOW, ended=NOW), observed_term=term)
    view = shard(rebuilt, replica(R1, io=CONNECTING), failing(replica(R2), ProbeFailure.TIMEOUT, for_=600))
    refusal = choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)
    assert isinstance(refusal, Refusal)
    assert f"zone1-0000000100 is server {uuid(901)} now, which is not the one that was primary" in refusal.sentence
    all_reached = shard(rebuilt, replica(R1, io=CONNECTING), replica(R2, io=CONNECTING))
    assert isinstance(choose(candidate_set(all_reached, SEMI_SYNC, stop(all_reached)), SEMI_SYNC), Choice)
    assert alias(P) in candidate_set(shard(primary()), SEMI_SYNC, stop(shard(primary()))).stopped


def test_nobody_is_excused_by_a_primary_that_was_never_seen_at_work() -> None:
    """Without a status of the primary in its term nothing shows what it had after the tablet ceased to acknowledge."""
    view = shard_with(was(off(SPARE), 600), dead=failing(primary(read_only=True)))
    assert candidate_set(view, SEMI_SYNC, stop(view)).semi_sync.past_ackers == {alias(R1)}


@pytest.mark.parametrize(
    ("tablet", "counts"),
    [
        pytest.param(was(off(RESTORE, executed=""), 1), False, id="being restored"),
        pytest.param(
            changed(replica(R1, executed="100:1-9"), former_types=left(REPLICA, 2) | left(RESTORE, 1)),
            False,
            id="restored",
        ),
        pytest.param(was(off(RESTORE, executed=""), 600), True, id="being restored since long ago"),
        pytest.param(
            changed(replica(R1, executed="100:1-9"), former_types=left(REPLICA, 600) | left(RESTORE, 1)),
            True,
            id="the restore began long ago",
        ),
        pytest.param(
            changed(replica(R1, executed="100:1-9"), former_types=left(RESTORE, 1)), True, id="it had been nothing else"
        ),
        pytest.param(was(replica(R1, executed="100:1-9"), 1, BACKUP), True, id="only a backup was taken"),
    ],
)
def test_what_is_rebuilt_does_not_hold_what_it_acknowledged(tablet: TabletView, counts: bool) -> None:
    """An acker that was restored since the primary was last seen at work is as good as not reached."""
    view = shard_with(tablet)
    made = candidate_set(view, SEMI_SYNC, stop(view))
    assert (alias(R1) in made.stopped) == counts
    outcome = choose(made, SEMI_SYNC)
    assert isinstance(outcome, Choice if counts else Refusal)
    if isinstance(outcome, Refusal):
        assert R1.replace("-", "-0000000") in outcome.sentence
    assert made.primary == alias(P)


def test_a_replica_that_restarts_from_a_backup_is_missed() -> None:
    """Whether its record says REPLICA still or RESTORE already, what it alone acknowledged may be gone."""
    silent = failing(replica(R1), ProbeFailure.TIMEOUT, for_=4)
    for tablet in (silent, was(failing(off(RESTORE), ProbeFailure.TIMEOUT, for_=4), 1)):
        view = shard_with(tablet)
        assert isinstance(choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC), Refusal)


def test_the_primary_is_no_past_acker_of_itself() -> None:
    """It acknowledged as a replica until it was promoted, to the primary before it."""
    view = shard_with(off(SPARE), dead=changed(DEAD, may_ack_until=NOW - 1))
    assert candidate_set(view, SEMI_SYNC, stop(view)).semi_sync.past_ackers == frozenset()


def test_the_last_server_that_went_is_named() -> None:
    """Of several under one alias, its data directory is the one to start again first."""
    gone = {
        uuid(number): ReplacedServer(successor=uuid(R2), gone_at=NOW - ago, was_primary=False)
        for number, ago in ((901, 2.0), (900, 1.0))
    }
    rebuilt = changed(replica(R2, io=CONNECTING), server_uuid=uuid(R2), replaced_servers=gone)
    view = shard(DEAD, rebuilt, replica(R3, io=CONNECTING))
    assert f"what server {uuid(900)} acknowledged" in candidate_set(view, SEMI_SYNC, stop(view)).rebuilt[alias(R2)]


def test_a_restore_that_began_as_the_tablet_ceased_to_acknowledge_lost_its_writes() -> None:
    """One reading of its record found both over."""
    restored = changed(replica(R1, io=CONNECTING), former_types=left(REPLICA, 1) | left(RESTORE, 1))
    view = shard_with(restored)
    assert "was restored from a backup" in candidate_set(view, SEMI_SYNC, stop(view)).rebuilt[alias(R1)]
