"""A fleet that loses many primaries replaces them in order, within its budget, and explains those that it does not."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from vtorc.control.budget import BudgetLimits
from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import Result, run_seed
from vtorc.sim.cluster.plan import fleet_plan
from vtorc.sim.cluster.vtorc import VtorcSettings
from vtorc.sim.faults.fault import Fault

SHARDS = 60
BUDGET = 8
SETTINGS = VtorcSettings(budget=BudgetLimits(recoveries=BUDGET, repairs=BUDGET // 2))


def _run(
    fault: Fault,
    *,
    settings: VtorcSettings = SETTINGS,
    shards: int = SHARDS,
    sink: Callable[[str], None] | None = None,
) -> Result:
    plan = fleet_plan(random.Random("fleet"), shards=shards, tablets=3)
    result = run_seed(1, replace(PROFILES["calm"], settings=settings), faults=(fault,), plan=plan, sink=sink)
    assert result.ok, "\n".join(f"{each.at:.3f} {each.rule}: {each.text}" for each in result.violations)
    return result


def test_a_fleet_that_loses_a_cell_fails_over_where_it_can() -> None:
    """All shards that can fail over do, a rule explains each of the others, and the loss is announced once."""
    report = _run(Fault(kind="lose-cell", at=1.0, lasts=50.0)).fleet
    assert report is not None
    assert report.lost > SHARDS // 3
    assert len(report.outages) == report.able
    assert sum(count for _, _, count in report.others) == report.lost - report.able > 0
    assert {rule for rule, _, _ in report.others} == {"ackers-unreached"}
    assert report.most <= BUDGET
    assert "all of them in cell zone1" in report.announcements[0]
    assert f"{report.lost - report.able} still without a primary" in report.announcements[-1]


def test_a_fleet_that_loses_all_primaries_takes_turns() -> None:
    """Losses beyond the budget wait for their turn, with one decision each that says so, and all are replaced."""
    few = VtorcSettings(budget=BudgetLimits(recoveries=3, repairs=2))
    trace: list[str] = []
    result = _run(Fault(kind="kill-all-primaries", at=1.0, lasts=30.0), settings=few, shards=24, sink=trace.append)
    report = result.fleet
    assert report is not None
    assert len(report.outages) == report.lost == 24
    assert report.most == 3
    assert len(report.turns) >= 24 - 2 * 3
    lines = [line for line in trace if "MySQL is down" in line and "waiting for its turn" in line]
    decisions = Counter((line.split()[1], line.split()[4]) for line in lines)
    assert set(decisions.values()) == {1}


def test_a_fleet_holds_replacements_back_beyond_its_limit() -> None:
    """Beyond a limit on the share of lost primaries none is replaced, and an announcement says what to do."""
    held = VtorcSettings(hold_above=50)
    result = _run(Fault(kind="kill-all-primaries", at=1.0, lasts=30.0), settings=held, shards=12)
    report = result.fleet
    assert report is not None
    assert len(report.outages) <= report.shards * held.hold_above // 100
    assert "no primary is replaced any more" in report.announcements[0]
    assert {rule for rule, _, _ in report.others} == {"breaker"}
