"""The time without writes in a failover: `python -m bench.failover [--failovers 20] [--topo etcd2]`.

Runs `vtorc demo --failovers` under each policy and size that is promised to work, and prints one line of figures for
each. Exits with 1 if a row was lost, a failover did not converge, or the median gap is over its bar.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

GAP_BAR = 2000.0
"""Milliseconds without an acknowledged write, median."""

SETUPS = (("semi_sync", 3), ("cross_cell", 3), ("semi_sync", 5))
"""Durability policy and number of tablets."""


def measure(durability: str, tablets: int, *, failovers: int, topo: str) -> bool:
    """Run one series of failovers and print its figures; returns whether they are within the bar."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "vtorc.cli.main", "demo", f"--failovers={failovers}", f"--report={report}"),
            *(f"--durability={durability}", f"--tablets={tablets}", f"--topo={topo}"),
        ]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if not report.exists():
            sys.stdout.write(f"{durability}, {tablets} tablets: ended with {done.returncode} and no report\n")
            return False
        summary = json.loads(report.read_text())["summary"]
    times = ", ".join(
        f"{name} {summary[key]['p50']:.0f}/{summary[key]['p99']:.0f} ms"
        for name, key in (("detected", "detected_ms"), ("promoted", "promoted_ms"), ("write gap", "write_gap_ms"))
        if summary[key]["p50"] is not None
    )
    sys.stdout.write(
        f"{durability}, {tablets} tablets, {topo}: {summary['converged']} of {failovers} failovers, "
        f"{summary['lost']} of {summary['acked']} rows lost; p50/p99: {times}\n"
    )
    sys.stdout.flush()
    gap = summary["write_gap_ms"]["p50"]
    return done.returncode == 0 and gap is not None and gap <= GAP_BAR


def main() -> int:
    """Read the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--failovers", type=int, default=20, help="of each series")
    parser.add_argument("--topo", choices=["etcd2", "local"], default="etcd2")
    options = parser.parse_args()
    results = [measure(*setup, failovers=options.failovers, topo=options.topo) for setup in SETUPS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
