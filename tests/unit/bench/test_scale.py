"""What `bench.scale` takes for a right finding, and when it says that the bar does not hold."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.fake_fleet.layout import CELLS, places
from bench.half_core import half_a_core
from bench.scale_figures import Figures, HealthyFigures, write_figures
from bench.scale_losses import Loss, LossWatch, Times, losses
from vtorc.core.facts.ids import TabletAlias

LOST_AT = 1_700_000_000.0
FLEET = places(18)
REPLICA, PRIMARY, SHARD, CELL = losses(FLEET)


def finding(code: str, tablet: TabletAlias) -> dict[str, Any]:
    return {
        "timestamp": "2023-11-14T22:13:20.500Z",
        "event": "…",
        "code": code,
        "rule": "no-remedy",
        "tablet": str(tablet),
    }


def watch(loss: Loss, *lines: dict[str, Any], before: tuple[Loss, ...] = ()) -> LossWatch:
    watching = LossWatch(loss, (*before, loss), lost_at=LOST_AT)
    watching.read(lines)
    return watching


def test_each_shard_but_one_loses_one_tablet_in_all() -> None:
    """The losses of a replica, a primary, a shard and a cell name no tablet twice, and together hit each shard."""
    lost = [place for loss in (REPLICA, PRIMARY, SHARD, CELL) for place in loss.lost]
    assert len(lost) == len(set(lost)) == 8
    assert {place.shard for place in lost} == {place.shard for place in FLEET}
    assert {place.alias.cell for place in (*REPLICA.lost, *PRIMARY.lost, *CELL.lost)} == {CELLS[-1]}


def test_a_lost_replica_is_found_and_nothing_else_may_be() -> None:
    """Only the finding about the lost replica is right; a missing one and a further one are told as problems."""
    (lost,) = REPLICA.lost
    found = watch(REPLICA, finding("InvalidReplica", lost.alias))
    assert found.is_complete
    assert (found.figures().found_seconds, found.figures().problem) == (Times(0.5, 0.5, 0.5), "")
    other = finding("InvalidReplica", PRIMARY.lost[0].alias)
    assert watch(REPLICA, finding("InvalidReplica", lost.alias), other).figures().problem == "1 wrong findings"
    assert watch(REPLICA, other).figures().problem == "1 of 1 findings missing, 1 wrong findings"
    wrong = watch(REPLICA, finding("DeadPrimary", lost.alias)).figures()
    assert (wrong.wrong, wrong.told_wrongly) == ({"DeadPrimary": 1}, ("after 0.50 s: …",))


def test_what_was_lost_before_may_be_found_again() -> None:
    """A finding about an earlier loss is right, and wrong where there was none."""
    lines = [finding("InvalidReplica", loss.lost[0].alias) for loss in (REPLICA,)]
    assert watch(PRIMARY, *lines, before=(REPLICA,)).figures().wrong == {}
    assert watch(PRIMARY, *lines).figures().wrong == {"InvalidReplica": 1}


def test_a_lost_primary_has_to_be_replaced_as_well() -> None:
    """The loss of a primary is a problem until a recovery of its shard has succeeded."""
    (lost,) = PRIMARY.lost
    dead = [finding("UnreachablePrimary", lost.alias), finding("DeadPrimary", lost.alias)]
    assert watch(PRIMARY, *dead).figures().problem == "1 of 1 primaries not replaced"
    replaced = {"timestamp": "2023-11-14T22:13:21.000Z", "event": "…", "outcome": "succeeded", "shard": str(lost.shard)}
    figures = watch(PRIMARY, *dead, replaced, finding("StaleTopoPrimary", lost.alias)).figures()
    assert (figures.problem, figures.replaced_seconds) == ("", Times(1.0, 1.0, 1.0))
    assert figures.codes == {"DeadPrimary": 1, "StaleTopoPrimary": 1, "UnreachablePrimary": 1}


def test_a_lost_shard_has_no_dead_primary_but_dead_replicas_too() -> None:
    """Where no tablet of a shard answers, a finding that calls only the primary dead is wrong."""
    lines = [
        finding("DeadPrimaryAndReplicas" if place.is_primary else "InvalidReplica", place.alias) for place in SHARD.lost
    ]
    assert watch(SHARD, *lines).figures().problem == ""
    primary = next(place for place in SHARD.lost if place.is_primary)
    assert watch(SHARD, finding("DeadPrimary", primary.alias)).figures().wrong == {"DeadPrimary": 1}


def healthy(**changed: Any) -> HealthyFigures:
    figures: dict[str, Any] = {
        "seconds": 60.0,
        "asked": 18,
        "asked_seconds": 1.5,
        "findings": {},
        "acts": 0,
        "changes": {},
        "status_per_second": 3.6,
        "lateness": None,
        "cpu": 4.0,
        "others": 0.0,
        "fleet_late": 0.0,
        "resident": 80.0,
    }
    return HealthyFigures(**(figures | changed))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"asked": 17, "asked_seconds": None}, "only 17 tablets were ever asked"),
        ({"findings": {"InvalidReplica": 2}}, "2 findings on a healthy fleet"),
        ({"acts": 1}, "1 decisions to act on a healthy fleet"),
        ({"changes": {"StopReplication": 3}}, "3 calls that change a healthy server"),
    ],
)
def test_a_healthy_fleet_has_nothing_to_find_and_nothing_to_do(changed: dict[str, Any], problem: str) -> None:
    """On a fleet at rest each finding, decision, change or tablet that was never asked is a problem."""
    assert healthy().problems == []
    assert healthy(**changed).problems == [problem]


def test_figures_are_plain_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are written as lines without colour, and end with whether the bar holds."""
    figures = Figures(
        tablets=18, shards=6, core="one core", load=0.5, healthy=healthy(), losses=[watch(CELL).figures()]
    )
    write_figures(figures)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "18 tablets in 6 shards, one core for the daemon, load average 0.5 at the start"
    assert "  every tablet asked after: 1.5 s (18 of 18 in 60 s)" in lines
    assert "  cell zone3 lost: 0 of 3 found; 0 of 0 primaries replaced" not in lines
    assert lines[-1] == "  holds: yes"


async def test_half_a_core_is_half_a_core_and_leaves_nothing_behind() -> None:
    """A busy process gets about half a second of processor in a second, and no group of it is left."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        async with half_a_core(process.pid) as way:
            await asyncio.sleep(0.2)
            before = _cpu_seconds(process.pid)
            await asyncio.sleep(1.0)
            used = _cpu_seconds(process.pid) - before
        assert used < 0.7, way
        assert process.returncode is None
        assert not _groups_of(process.pid)
    finally:
        process.kill()
        await process.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _groups_of(pid: int) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/vtorc-bench-{pid}"))
