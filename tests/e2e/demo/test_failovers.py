"""`vtorc demo --failovers` on real servers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.demo.demos import left_behind, running

SERIES = [
    ("semi_sync", 3, "local", 2),
    ("semi_sync", 3, "etcd2", 2),
    ("cross_cell", 5, "etcd2", 2),
]


@pytest.mark.parametrize(("durability", "tablets", "topo", "failovers"), SERIES)
async def test_a_series_of_failovers_loses_nothing_and_converges(
    durability: str, tablets: int, topo: str, failovers: int, tmp_path: Path
) -> None:
    """Another tablet replaces each killed primary, every acknowledged row survives, and the dead server rejoins."""
    report = tmp_path / "report.json"
    words = (
        *("--failovers", str(failovers), "--report", str(report)),
        *("--durability", durability, "--tablets", str(tablets), "--topo", topo),
    )
    async with running(tmp_path, *words) as demo:
        assert await demo.ended() == 0, demo.tail
        assert left_behind(demo.folder) == []
    stored: dict[str, Any] = json.loads(report.read_text())
    assert len(stored["failovers"]) == failovers
    primary, acked = "", 0
    for each in stored["failovers"]:
        assert primary in ("", each["old_primary"])
        assert each["new_primary"] not in (None, each["old_primary"])
        assert (each["fault"], each["lost"], each["one_cell"], each["problem"]) == ("kill-mysqld", 0, 0, "")
        assert 0 < each["detected_ms"] <= each["promoted_ms"]
        assert each["write_gap_ms"] > 0
        assert each["acked"] > acked
        assert durability in each["argument"]
        primary, acked = each["new_primary"], each["acked"]
    summary = stored["summary"]
    assert (summary["failovers"], summary["converged"], summary["lost"]) == (failovers, failovers, 0)
    assert f"{failovers} of {failovers} failovers converged; 0 of {acked:,} acknowledged rows lost." in demo.lines


async def test_a_series_that_is_stopped_reports_how_far_it_came(tmp_path: Path) -> None:
    """SIGTERM in the middle writes the report, ends all servers, and is no success."""
    report = tmp_path / "report.json"
    async with running(tmp_path, "--failovers", "50", "--report", str(report), "--topo", "local") as demo:
        await demo.wait_line("  1  zone1-101")
        demo.process.terminate()
        assert await demo.ended() == 128 + 15, demo.tail
        assert left_behind(demo.folder) == []
    stored = json.loads(report.read_text())
    assert stored["summary"]["failures"][-1] == f"interrupted after {len(stored['failovers'])} of 50 failovers"
