"""What is told of a primary that may be lost, and the moments and facts on which that turns."""

from typing import Any

import pytest

from tests.unit.core.builders import NOW, P, alias, failing, primary, replica, shard, unprobed
from tests.unit.core.detection.test_analysis import (
    LOST_1,
    LOST_2,
    R1,
    R2,
    SHUT_OUT,
    WAITING_1,
    WAITING_2,
    codes,
    dead,
    found,
    idle,
    lone_heir,
    quiet,
    shut_out,
    stalled,
)
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView

RIVAL = replica("zone1-103", of=None, tablet_type=TabletType.PRIMARY)
DEAD_BEHIND_ITS_DISK = stalled(SHUT_OUT, quiet(WAITING_2, 20))


def without_replicas(failure: ProbeFailure, dead_for: float, *others: Any) -> ShardView:
    """A primary that no tablet replicates from, beside two tablets that could."""
    return shard(primary(dead_for=dead_for, failure=failure), *(others or (idle(R1), idle(R2))))


def test_nothing_is_said_of_a_primary_that_was_not_asked_yet() -> None:
    """That its replicas cannot connect is no evidence before its own tablet was asked."""
    assert not any(finding.alias == alias(P) for finding in found(shard(unprobed(primary()), WAITING_1, WAITING_2)))


# A stalled disk


def test_a_mysql_that_ended_behind_a_stalled_disk_is_told_of() -> None:
    """The primary is named with both facts, and may have been overloaded."""
    finding = found(DEAD_BEHIND_ITS_DISK)[0]
    assert (finding.code, finding.alias) == (Code.DEAD_PRIMARY, alias(P))
    assert (finding.confirmed, finding.may_be_load) == (True, True)
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 reports that its disk is stalled, none of its replicas receives from it, and "
        "zone1-0000000101 cannot connect to it"
    )
    assert finding.evidence


@pytest.mark.parametrize(
    ("view", "heard_since", "code"),
    [
        (DEAD_BEHIND_ITS_DISK, NOW - 1.0, Code.DEAD_PRIMARY),
        (DEAD_BEHIND_ITS_DISK, NOW - 0.05, Code.PRIMARY_DISK_STALLED),
        (stalled(SHUT_OUT, quiet(WAITING_2, 20), for_=5.0), NOW - 1.0, Code.DEAD_PRIMARY),
        (stalled(SHUT_OUT, quiet(WAITING_2, 20), RIVAL), NOW - 1.0, Code.PRIMARY_DISK_STALLED),
        (stalled(SHUT_OUT, quiet(WAITING_2, 20), unprobed(idle("zone1-103"))), NOW - 1.0, Code.PRIMARY_DISK_STALLED),
    ],
    ids=["heard since", "not heard since", "for just so long", "beside a rival", "a tablet was not asked yet"],
)
def test_a_stalled_disk_needs_as_much_evidence_as_silence(view: ShardView, heard_since: float, code: Code) -> None:
    """All tablets were asked, its replicas since the shard was locked, and none says that it is primary."""
    assert found(view, thresholds=DetectionThresholds(heard_since=heard_since))[0].code is code


# Silence


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (dead(WAITING_1, WAITING_2), Code.DEAD_PRIMARY),
        (dead(shut_out(R1), replica(R2)), Code.DEAD_PRIMARY),
        (dead(WAITING_1, replica(R2)), Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS),
        (dead(idle(R1)), Code.DEAD_PRIMARY_WITHOUT_REPLICAS),
        (dead(LOST_1, LOST_2), Code.DEAD_PRIMARY_AND_REPLICAS),
        (dead(idle(R1), idle(R2)), Code.DEAD_PRIMARY),
    ],
    ids=["dead", "shut out", "still feeds one", "alone", "with its replicas", "just promoted"],
)
def test_each_loss_is_told_with_its_evidence(view: ShardView, code: Code) -> None:
    """An operator sees how the primary fails, how often it did in a row, and what else was seen."""
    finding = found(view)[0]
    assert (finding.code, finding.alias, finding.may_be_load) == (code, alias(P), False)
    assert finding.evidence["primary_failure"] == str(ProbeFailure.MYSQL_DOWN)
    assert finding.evidence["failed_probes"] == "10"
    assert "primary_by_its_own_account" not in finding.evidence


def test_tablets_that_could_replicate_are_named() -> None:
    """The primary had none when it failed."""
    assert found(dead(idle(R1), idle(R2)))[0].evidence["could_replicate"] == "zone1-0000000101, zone2-0000000200"


def test_a_rival_is_named_in_the_evidence() -> None:
    """Its record may be late, and it may have taken over."""
    assert found(dead(WAITING_1, WAITING_2, RIVAL))[0].evidence["primary_by_its_own_account"] == "zone1-0000000103"


def test_two_failed_probes_are_enough() -> None:
    """A third says nothing new."""
    assert [found(dead(WAITING_1, WAITING_2, failures=count))[0].confirmed for count in (1, 2)] == [False, True]


# A primary without replicas


def test_successors_have_to_answer() -> None:
    """One that answers and one that is silent cannot go on without the primary."""
    assert codes(without_replicas(ProbeFailure.MYSQL_DOWN, 3.0, idle(R1), failing(idle(R2), ProbeFailure.TIMEOUT)))[
        0
    ] is (Code.DEAD_PRIMARY_WITHOUT_REPLICAS)


@pytest.mark.parametrize(
    ("view", "confirmed", "may_be_load"),
    [
        (lone_heir(4.9), False, False),
        (lone_heir(5.0), True, False),
        (lone_heir(6.0, heard=6.0), True, False),
        (lone_heir(6.0, heard=6.1), False, False),
        (without_replicas(ProbeFailure.HUNG, 9.9), False, True),
        (without_replicas(ProbeFailure.HUNG, 10.0), True, True),
    ],
    ids=["silent", "silent for long", "heard just then", "heard before", "hung", "hung for long"],
)
def test_a_primary_without_replicas_is_lost_after_a_while(view: ShardView, confirmed: bool, may_be_load: bool) -> None:
    """It has to be silent for five seconds, or hung for ten, and the tablets that go on were heard since."""
    finding = found(view)[0]
    assert (finding.code, finding.alias) == (Code.DEAD_PRIMARY, alias(P))
    assert (finding.confirmed, finding.may_be_load) == (confirmed, may_be_load)
    assert finding.sentence.endswith("it gets 10 s to recover") is (may_be_load and not confirmed)


# A primary that lives and gets no acknowledgements


def test_what_a_shard_without_writes_waits_for_is_told() -> None:
    """How many acknowledgements are waited for, and which replicas give them, cannot connect, or are not known."""
    waits = primary(clients=1, wait_for=2, semi_sync_blocked=True)
    view = shard(waits, replica(R1), LOST_2)
    finding = next(each for each in found(view) if each.code is Code.SHARD_TAKES_NO_WRITES)
    assert finding.evidence == {
        "waits_for": "2",
        "acknowledge": "zone1-0000000101",
        "cannot_connect": "none",
        "unknown": "zone2-0000000200",
    }
