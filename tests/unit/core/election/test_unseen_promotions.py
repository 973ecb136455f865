"""Who may have been promoted in a cell that cannot be read, and what that forbids."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import NOW, STOPPED, P, alias, failing, primary, replica, shard, stopped
from vtorc.core.decision.decisions import DecisionLimits, decide
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.unseen_promotions import unseen_writer
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView

R1, W, X = "zone1-101", "zone2-200", "zone2-201"
BLIND = {"zone2": "does not answer"}
DEMOTED = replica(P, of=W, executed="100:1-50")
AT_HOME = replica(R1, of=W)


def lost_with_its_cell(*reached: TabletView, unseen_promotions: tuple[str, ...] = (W, X), **changes: Any) -> ShardView:
    gone = [failing(replica(name), ProbeFailure.TIMEOUT) for name in unseen_promotions]
    return shard(*reached, *gone, **{"unreachable_cells": BLIND, **changes})


def elected(view: ShardView, name: str = "semi_sync") -> Choice | Refusal:
    """The outcome after everybody was stopped who answers and replicates from the primary, and the primary."""
    reached = {
        t.alias: stopped(str(t.alias), "100:1-50", type_=t.record.type, was_primary=str(t.alias) == P)
        for t in view.tablets
        if t.is_current
    }
    return choose(candidate_set(view, policy(name), reached), policy(name))


def test_a_promotion_that_was_lost_with_its_cell_is_not_forgotten() -> None:
    """A demoted primary is not promoted again while an unreached tablet of a blind cell may have taken over, with an
    acker there.
    """
    outcome = elected(lost_with_its_cell(DEMOTED, AT_HOME))
    assert isinstance(outcome, Refusal)
    assert outcome.rule == Rule.ACKERS_UNREACHED
    assert "cell zone2 cannot be read, so zone2-0000000200 may have become primary" in outcome.sentence
    assert "to exclude that, reach one of zone2-0000000200, zone2-0000000201" in outcome.sentence


@pytest.mark.parametrize(
    ("what", "view", "name"),
    [
        ("its cell can be read", lost_with_its_cell(DEMOTED, AT_HOME, unreachable_cells={}), "semi_sync"),
        ("it has no acker left", lost_with_its_cell(DEMOTED, AT_HOME, unseen_promotions=(W,)), "semi_sync"),
        (
            "its only company does not acknowledge for it",
            lost_with_its_cell(DEMOTED, AT_HOME, replica("zone3-300", of=W)),
            "cross_cell",
        ),
        (
            "the primary is gone too, and nothing stops either",
            lost_with_its_cell(
                failing(primary(semi_sync=False), ProbeFailure.TIMEOUT),
                replica(R1, of=W, semi_sync=False),
                replica("zone3-300", semi_sync=False),
                unseen_promotions=(W,),
            ),
            "none",
        ),
        ("the primary takes writes and a replica follows it", lost_with_its_cell(primary(), replica(R1)), "semi_sync"),
        ("the same, where nobody acknowledges", lost_with_its_cell(primary(), replica(R1)), "none"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_lost_cell_blocks_only_where_it_may_take_writes(what: str, view: ShardView, name: str) -> None:
    """A blind cell does not stop an election if nobody in it can have been promoted, or could take writes."""
    del what
    assert isinstance(elected(view, name), Choice)


@pytest.mark.parametrize(
    ("what", "reached", "name"),
    [
        ("the primary is read-only", (primary(read_only=True), replica(R1)), "semi_sync"),
        ("its ackers were stopped", (primary(), replica(R1, io=STOPPED)), "semi_sync"),
        ("without acknowledgements", (DEMOTED, AT_HOME), "none"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_primary_that_may_have_been_replaced_proves_nothing(
    what: str, reached: tuple[TabletView, ...], name: str
) -> None:
    """That the primary answers does not help where it may have been demoted, or its ackers stopped."""
    del what
    assert isinstance(elected(lost_with_its_cell(*reached), name), Refusal)


@pytest.mark.parametrize(
    ("unseen_promotions", "rule"),
    [((W, X), Rule.UNREACHABLE_CELL), ((W,), Rule.ACT)],
    ids=["with an acker", "without one"],
)
def test_a_read_only_primary_stays_so_beside_a_possible_heir(unseen_promotions: tuple[str, ...], rule: Rule) -> None:
    """A primary that was demoted is not made writable while one in a blind cell may have taken over."""
    view = lost_with_its_cell(primary(read_only=True), replica(R1), unseen_promotions=unseen_promotions)
    chosen = policy("semi_sync")
    findings = analyse(view, chosen, DetectionThresholds(), NOW)
    about = [
        d for d in decide(view, findings, chosen, DecisionLimits(), NOW) if d.finding.code is Code.PRIMARY_IS_READ_ONLY
    ]
    assert [each.rule for each in about] == [rule]


def test_who_follows_a_possible_heir_may_acknowledge_for_it() -> None:
    """A replica that answers and replicates from an unreached tablet of a blind cell keeps the primary read-only."""
    view = lost_with_its_cell(primary(read_only=True), replica(R1, of=W), unseen_promotions=(W,))
    chosen = policy("semi_sync")
    findings = analyse(view, chosen, DetectionThresholds(), NOW)
    about = [
        d for d in decide(view, findings, chosen, DecisionLimits(), NOW) if d.finding.code is Code.PRIMARY_IS_READ_ONLY
    ]
    assert [each.rule for each in about] == [Rule.UNREACHABLE_CELL]


@pytest.mark.parametrize(
    ("view", "who"),
    [
        (shard(primary(read_only=True), replica(R1)), ""),
        (lost_with_its_cell(primary(read_only=True), replica(R1)), W),
        (lost_with_its_cell(primary(), replica(R1)), ""),
        (shard(primary(read_only=True), replica(R1), never_read_cells=frozenset({"zone4"})), "zone4"),
        (shard(primary(), replica(R1), never_read_cells=frozenset({"zone4"})), ""),
    ],
    ids=["all is seen", "demoted", "takes writes", "a cell was never read", "the same, but it takes writes"],
)
def test_who_may_take_writes_beside_the_primary_is_named(view: ShardView, who: str) -> None:
    """Beside a primary that takes writes and is followed there is nobody; beside another one who cannot be seen."""
    said = unseen_writer(view, policy("semi_sync"))
    assert (str(alias(who)) if "-" in who else who) in said
    assert bool(said) == bool(who)


@pytest.mark.parametrize(
    ("tablet", "follower", "name", "undisturbed"),
    [
        (primary(), replica(R1), "semi_sync", True),
        (primary(), replica(R1, semi_sync=False), "semi_sync", False),
        (primary(), replica(R1, semi_sync=False), "none", True),
        (primary(), replica(R1, io=STOPPED), "none", False),
        (primary(source=W), replica(R1), "semi_sync", False),
        (primary(tablet_type=TabletType.REPLICA), replica(R1), "semi_sync", False),
    ],
    ids=[
        "followed by an acker",
        "its replica does not acknowledge",
        "and need not",
        "its replica does not receive",
        "it follows another",
        "it says that it is a replica",
    ],
)
def test_only_a_primary_that_is_at_work_and_followed_excludes_another(
    tablet: TabletView, follower: TabletView, name: str, undisturbed: bool
) -> None:
    """Its replicas would be with the other primary if that could commit."""
    said = unseen_writer(lost_with_its_cell(tablet, follower), policy(name))
    assert ("cell zone2 cannot be read" in said) is not undisturbed


def test_who_is_never_promoted_is_no_heir() -> None:
    """RDONLY tablets of a blind cell block nothing."""
    view = lost_with_its_cell(DEMOTED, AT_HOME, unseen_promotions=())
    rdonly = [failing(replica(name, TabletType.RDONLY), ProbeFailure.TIMEOUT) for name in (W, X)]
    view = replace(view, tablets=(*view.tablets, *rdonly))
    assert isinstance(elected(view, "semi_sync_with_rdonly_ack"), Choice)
    assert alias(W) not in candidate_set(view, policy("semi_sync_with_rdonly_ack"), {}).unseen_promotions
