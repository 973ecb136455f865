"""The time without writes in a failover: `python -m bench.failover [--fault kill-mysqld] [--count 20] [--topo etcd2]`.

Runs `vtorc demo --failovers` with one fault under each policy and size that is promised to work, or under one policy
with `--durability`. Prints one line of figures for each series, and the median of each phase. Exits with 1 if a row was
lost, a failover did not converge, a primary was replaced in vain, or a write gap is over the fault's bar.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtorc.demo.faults import OF_SERIES


@dataclass(frozen=True, slots=True)
class GapBar:
    """The longest time without an acknowledged write, in milliseconds."""

    median: float
    worst: float


BARS = {
    "kill-mysqld": GapBar(250.0, 1000.0),
    "kill-host": GapBar(500.0, 2000.0),
    "silent-host": GapBar(3000.0, 6000.0),
    "stop-mysqld": GapBar(5000.0, 8000.0),
    "move-primary": GapBar(150.0, 400.0),
}
"""The bars by fault; a fault without one is only measured."""

SETUPS = (("semi_sync", 3), ("cross_cell", 3), ("semi_sync", 5))
"""Durability policy and number of tablets."""


def measure(fault: str, durability: str, tablets: int, *, failovers: int, topo: str) -> bool:
    """Run one series of failovers and print its figures; returns whether they are within the bar."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "vtorc.cli.main", "demo", f"--failovers={failovers}", f"--report={report}"),
            *(f"--durability={durability}", f"--tablets={tablets}", f"--topo={topo}", f"--fault={fault}"),
        ]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if not report.exists():
            sys.stdout.write(f"{fault}, {durability}, {tablets} tablets: ended with {done.returncode} and no report\n")
            return False
        summary = json.loads(report.read_text())["summary"]
    sys.stdout.write(f"{fault}, {durability}, {tablets} tablets, {topo}: {_figures(summary, failovers)}\n")
    sys.stdout.writelines(f"FAILED: {failure}\n" for failure in summary["failures"])
    sys.stdout.flush()
    gap, bar = summary["write_gap_ms"], BARS.get(fault)
    if done.returncode != 0 or gap["p50"] is None:
        return False
    return bar is None or (gap["p50"] <= bar.median and gap["max"] <= bar.worst)


def _figures(summary: dict[str, Any], failovers: int) -> str:
    gap = summary["write_gap_ms"]
    times = f"write gap p50/worst {gap['p50']:.0f}/{gap['max']:.0f} ms" if gap["p50"] is not None else "no write gap"
    phases = ", ".join(f"{name} {took['p50']:.0f}" for name, took in summary["phases_ms"].items() if took["p50"])
    return (
        f"{summary['converged']} of {failovers} times, {summary['lost']} of {summary['acked']} rows lost; {times}; "
        f"median ms: {phases}"
    )


def main() -> int:
    """Read the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--fault", choices=OF_SERIES, default=OF_SERIES[0], help="what happens to the primary")
    parser.add_argument("--count", type=int, default=20, help="how often in each series (default 20)")
    parser.add_argument("--durability", choices=sorted({each for each, _ in SETUPS}), help="only this, with 3 tablets")
    parser.add_argument("--topo", choices=["etcd2", "local"], default="etcd2")
    options = parser.parse_args()
    setups = SETUPS if options.durability is None else ((options.durability, 3),)
    results = [measure(options.fault, *setup, failovers=options.count, topo=options.topo) for setup in setups]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
