"""Why a tablet is left as it is, where one fact more or less decides."""

from typing import Any

import pytest

from tests.unit.core.builders import (
    STOPPED,
    answers,
    changed,
    failing,
    gtids,
    primary,
    replica,
    shard,
    unprobed,
    uuid,
)
from tests.unit.core.decision.test_decisions import about, tried
from vtorc.core.decision.decisions import DecisionLimits
from vtorc.core.decision.repair_guards import acks_would_drop, is_another_server, misses_writes
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import DurabilityPolicy, policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC, CROSS_CELL, NONE = policy("semi_sync"), policy("cross_cell"), policy("none")
READ_ONLY = primary(read_only=True, super_read_only=True)


def rule_of(why: Any) -> Rule | None:
    """The rule of a reason, None for no reason."""
    return why[0] if why is not None else None


# Errant transactions


@pytest.mark.parametrize(
    ("others", "rule"), [("100:1-50,7:1", Rule.ERRANT), ("100:1-50,101:1", Rule.MISSING_WRITES)], ids=["theirs", "its"]
)
def test_what_other_tablets_share_speaks_for_no_transaction_that_they_lack(others: str, rule: Rule) -> None:
    """A tablet is to be rebuilt for its own transactions, whatever others have that the primary lacks, too."""
    tablet = replica(R1, of=None, executed="100:1-50,101:1")
    view = shard(primary(), tablet, replica(R2, executed=others), replica(R3, executed=others))
    limits = DecisionLimits(attempts=tried(Code.NOT_CONNECTED_TO_PRIMARY, R1, 100.0))
    assert about(view, Code.NOT_CONNECTED_TO_PRIMARY, R1, limits=limits).rule is rule


# Another server under the alias of the primary


@pytest.mark.parametrize(
    ("now", "replicas", "blocks"),
    [
        ("", (), True),
        ("100:1-40", (replica(R1, io=STOPPED, executed="100:1-40"),), True),
        ("100:1-50", (replica(R1, io=STOPPED, executed="100:1-40"),), False),
    ],
    ids=["it is empty, and alone", "no tablet has what the one before had", "it is a copy of the one before"],
)
def test_a_server_in_the_place_of_the_primary_needs_all_that_the_one_before_had(
    now: str, replicas: tuple[TabletView, ...], blocks: bool
) -> None:
    """The one before was seen at work, which no replica has to confirm."""
    another = answers(primary(executed="100:1-50"), server_uuid=uuid(900), read_only=True, executed=gtids(now))
    why = is_another_server(shard(another, *replicas), another)
    assert rule_of(why) is (Rule.MISSING_WRITES if blocks else None)


# Writes that the primary lacks


def test_any_two_tablets_may_share_what_the_primary_lacks() -> None:
    """That another tablet lacks it as well excludes nothing."""
    sharing = [replica(name, executed="100:1-50,7:1") for name in (R2, R3)]
    view = shard(READ_ONLY, replica(R1), *sharing)
    assert rule_of(misses_writes(view, SEMI_SYNC, READ_ONLY)) is Rule.MISSING_WRITES
    assert misses_writes(shard(READ_ONLY, replica(R1), sharing[0]), SEMI_SYNC, READ_ONLY) is None


def test_writes_of_an_unreached_server_are_known_by_its_last_answer() -> None:
    """The tablet that received them follows the primary by now."""
    view = shard(READ_ONLY, replica(R1, executed="100:1-50,300:1"), failing(replica(R3), ProbeFailure.TIMEOUT))
    assert rule_of(misses_writes(view, SEMI_SYNC, READ_ONLY)) is Rule.MISSING_WRITES


SPARE_HOST = "mysql-zone3-309"


@pytest.mark.parametrize(
    ("record", "blocks"),
    [
        ({"mysql_hostname": SPARE_HOST, "mysql_port": 0}, True),
        ({"mysql_hostname": "elsewhere", "mysql_port": 0}, False),
        ({"mysql_hostname": "elsewhere"}, False),
        ({"mysql_hostname": SPARE_HOST}, True),
    ],
    ids=["its host, and no port", "another host, and no port", "another host", "its address"],
)
def test_a_server_that_was_never_heard_is_known_by_its_replica(record: dict[str, Any], blocks: bool) -> None:
    """Its record may name no port, and another tablet may have had its address before; its host has to be the same."""
    before = replica("zone3-309", TabletType.SPARE, of=None)
    never_heard = unprobed(replica(R3, record_changes=record))
    holder = replica(R1, of="zone3-309", executed="100:1-50,309:1")
    view = shard(READ_ONLY, holder, never_heard, before)
    assert rule_of(misses_writes(view, SEMI_SYNC, READ_ONLY)) is (Rule.MISSING_WRITES if blocks else None)


def cut_off(*others: TabletView) -> ShardView:
    """Two tablets of zone2 that share writes of one of them, beside the primary and others."""
    both = [replica(name, executed="100:1-50,200:1-3") for name in (R2, "zone2-201")]
    return shard(READ_ONLY, *both, *others)


@pytest.mark.parametrize(
    ("other", "blocks"),
    [
        (replica(R1), False),
        (replica(R1, executed="100:1-50,200:1-3"), True),
        (changed(replica(R1), received=gtids("100:1-50,200:1-3")), True),
        (changed(replica(R1), lost_after_receipt=gtids("200:1-3")), True),
    ],
    ids=["it never had them", "it has them", "it had told of them", "it had lost them"],
)
def test_what_a_cell_that_was_cut_off_shares_is_kept_if_an_acker_ever_received_it(
    other: TabletView, blocks: bool
) -> None:
    """Under cross_cell only a tablet of another cell acknowledged it."""
    why = misses_writes(cut_off(other), CROSS_CELL, READ_ONLY)
    assert rule_of(why) is (Rule.MISSING_WRITES if blocks else None)


def test_a_missing_acker_of_one_writer_says_nothing_about_another() -> None:
    """A silent tablet of the cell that was cut off may have acknowledged for the primary, not for its own cell."""
    silent = failing(replica("zone2-209", of=None, executed=""), ProbeFailure.TIMEOUT)
    assert misses_writes(cut_off(replica(R1), silent), CROSS_CELL, READ_ONLY) is None


# Semi-sync of replicas


@pytest.mark.parametrize(
    ("chosen", "wait_for", "others", "stays_on"),
    [
        (SEMI_SYNC, 1, 1, False),
        (SEMI_SYNC, 2, 1, True),
        (DurabilityPolicy(name="two", acks=2, ackers=SEMI_SYNC.ackers), 1, 1, True),
        (DurabilityPolicy(name="two", acks=2, ackers=SEMI_SYNC.ackers), 1, 2, False),
        (SEMI_SYNC, 0, 0, True),
        (NONE, 0, 0, True),
    ],
)
def test_semi_sync_of_a_replica_stays_on_while_the_primary_waits_and_too_few_others_acknowledge(
    chosen: DurabilityPolicy, wait_for: int, others: int, stays_on: bool
) -> None:
    """It waits for as many as the policy or its MySQL asks for, and for one if neither says how many."""
    tablet = replica(R1, TabletType.RDONLY)
    view = shard(primary(wait_for=wait_for), tablet, *(replica(name) for name in (R2, R3)[:others]))
    assert rule_of(acks_would_drop(view, chosen, tablet)) is (Rule.ACKS_WOULD_DROP if stays_on else None)
