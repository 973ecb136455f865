"""Faults as operators write them, and the table of all kinds."""

from pathlib import Path

import pytest

from vtorc.core.facts.ids import ShardId
from vtorc.sim.cluster.plan import WorldPlan, shard_plan
from vtorc.sim.errors import SimPlanError
from vtorc.sim.faults.fault import Fault
from vtorc.sim.faults.notation import read_fault, table_of_kinds, write_fault

_DOC = Path(__file__).parents[3] / "docs" / "simulator.md"

_CELLS = ("zone1", "zone2")
_PLAN = WorldPlan(
    cells=_CELLS,
    shards=(
        shard_plan(ShardId("commerce", "-80"), _CELLS, durability="semi_sync", tablets=2, first_uid=100),
        shard_plan(ShardId("commerce", "80-"), _CELLS, durability="semi_sync", tablets=2, first_uid=200),
    ),
)


def test_the_documented_table_of_kinds_is_current() -> None:
    """docs/simulator.md has the table that `vtorc sim --kinds` prints."""
    assert table_of_kinds() in _DOC.read_text(encoding="utf-8")


def test_a_fault_is_read_as_it_was_written() -> None:
    """A fault that is written and read again is the same fault."""
    for fault in (
        Fault(kind="kill-mysqld", at=12.345, lasts=1.0, shard=2, target=3),
        Fault(kind="lose-cell", at=0.0, lasts=60.0),
        Fault(kind="power-off", at=1.5, lasts=2.25, shard=1, alias="zone2-0000000201"),
    ):
        assert read_fault(write_fault(fault), at=9.0, lasts=9.0, plan=_PLAN) == fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lose-cell:zone2", Fault(kind="lose-cell", at=5.0, lasts=60.0, target=1)),
        ("kill-mysqld:primary+3", Fault(kind="kill-mysqld", at=5.0, lasts=3.0)),
        ("kill-mysqld:replica@7", Fault(kind="kill-mysqld", at=7.0, lasts=60.0, target=1)),
        ("kill-mysqld:commerce/80-", Fault(kind="kill-mysqld", at=5.0, lasts=60.0, shard=1)),
        ("power-off:zone2-201", Fault(kind="power-off", at=5.0, lasts=60.0, shard=1, alias="zone2-0000000201")),
        ("topo-down", Fault(kind="topo-down", at=5.0, lasts=60.0)),
    ],
)
def test_a_target_is_something_of_the_topology(text: str, expected: Fault) -> None:
    """A target may be a cell, a role, a shard or a tablet; missing parts have defaults."""
    assert read_fault(text, at=5.0, lasts=60.0, plan=_PLAN) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lose cell", "expected KIND"),
        ("lose-cel:zone1", "did you mean lose-cell?"),
        ("lose-cell:zone9", "expected a number, primary, replica"),
        ("kill-mysqld:zone9-100", "there is no tablet"),
        ("kill-mysqld:commerce/0", "there is no shard"),
        ("kill-mysqld:0@soon", "expected KIND"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(text: str, complaint: str) -> None:
    """A wrong fault is refused with its text and what was expected."""
    with pytest.raises(SimPlanError, match=complaint):
        read_fault(text, at=5.0, lasts=60.0, plan=_PLAN)
