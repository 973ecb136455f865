"""What decides in a shard: which changes make a plan void, and which do not."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import alias, answers, changed, failing, gtids, primary, replica, shard
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import policy
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView
from vtorc.desk.basis import PlanBasis, ShardRevisions

FIRST = alias("zone1-101")
VIEW = shard(primary(), replica("zone1-101"), replica("zone1-102"))


def basis(view: ShardView = VIEW, *, durability: str = "semi_sync", problems: tuple[Decision, ...] = ()) -> PlanBasis:
    """The basis of a plan for this view."""
    return PlanBasis.of(view, policy(durability), problems)


def stopped() -> Decision:
    """A decision about a replica that has stopped."""
    finding = Finding(code=Code.REPLICATION_STOPPED, shard=VIEW.shard, alias=FIRST, sentence="it has stopped")
    return Decision(finding=finding, recovery=None, rule=Rule.BACKOFF, sentence="it has stopped; waiting")


def moved() -> ShardView:
    """The same shard, in which the replica has received more."""
    first, *_ = (tablet for tablet in VIEW.tablets if tablet.alias == FIRST)
    assert first.status is not None
    more = changed(first, status=replace(first.status, executed=gtids("100:1-5000")))
    return replace(VIEW, tablets=tuple(more if tablet is first else tablet for tablet in VIEW.tablets))


def test_positions_and_a_further_answer_change_nothing() -> None:
    """They move with each write, and a plan would never be executed."""
    assert basis().changes(basis(moved())) == ""
    again = replace(VIEW, tablets=tuple(answers(tablet) for tablet in VIEW.tablets))
    assert basis().changes(basis(again)) == ""


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (basis(shard(primary(), replica("zone1-101", io=ThreadState.STOPPED), replica("zone1-102"))), str(FIRST)),
        (basis(shard(primary(), failing(replica("zone1-101")), replica("zone1-102"))), str(FIRST)),
        (basis(shard(primary(), replica("zone1-101"))), str(alias("zone1-102"))),
        (basis(durability="none"), "the durability policy"),
        (basis(problems=(stopped(),)), f"ReplicationStopped of {FIRST}"),
        (basis(replace(VIEW, unreachable_cells={"zone2": "no answer"})), "the cells that can be read"),
        (
            basis(replace(VIEW, shard_record=replace(VIEW.shard_record, primary_term_start=77))),
            "the shard record",
        ),
    ],
)
def test_what_decides_is_told_once_it_changes(now: PlanBasis, told: str) -> None:
    """The operator reads what has become of the shard since."""
    assert basis().changes(now) == told
    assert now.changes(basis()) == told


def test_a_tablet_that_goes_on_failing_changes_nothing() -> None:
    """A plan to replace a lost primary must last longer than its next probe."""
    once = shard(failing(primary()), replica("zone1-101"))
    (lost, *rest) = once.tablets
    probe = lost.last_probe
    assert probe.failure is not None
    later = replace(
        once, tablets=(replace(lost, last_probe=replace(probe, failures_in_row=probe.failures_in_row + 1)), *rest)
    )
    assert basis(once).changes(basis(later)) == ""


def test_a_revision_stays_until_something_decides_otherwise() -> None:
    """It begins with 1 for each shard."""
    revisions = ShardRevisions()
    assert [revisions.of(each) for each in (basis(), basis(moved()), basis(durability="none"), basis())] == [1, 1, 2, 3]
