"""The cost of an idle vtorc: `python -m bench.idle [--topo etcd2|local] [--seconds 30]`.

It watches three tablets with real MySQL servers, with default settings. The period begins once the shard has a primary
and the hurried pace after a change has ended. Prints the share of one core that vtorc used over the period, and its
resident memory at the end. Exits with 1 if a figure is over its bar.
"""

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

CPU_BAR = 3.0
"""Percent of one core."""

MEMORY_BAR = 120.0
"""MiB of resident memory."""

SETTLING = 8.0
"""Seconds of the hurried pace after the first election, which are not measured."""

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Figures:
    """CPU in percent of one core, memory in MiB."""

    cpu: float
    memory: float

    @property
    def within_bars(self) -> bool:
        """Whether both figures are."""
        return self.cpu <= CPU_BAR and self.memory <= MEMORY_BAR


async def measure(topo: str, *, tablets: int, seconds: float) -> Figures:
    """Measure an idle vtorc over so many seconds."""
    async with LabCluster(LabSpec(topo=topo, tablets=tablets)) as cluster:
        folder = cluster.folder / "vtorc"
        async with VtorcProcess(folder, [*cluster.topo_flags, f"--log-dir={folder}"]) as vtorc:
            await vtorc.wait_for(lambda line: line.get("outcome") == "succeeded")
            await asyncio.sleep(SETTLING)
            used, began = _cpu_seconds(vtorc.pid), time.monotonic()
            await asyncio.sleep(seconds)
            used, took = _cpu_seconds(vtorc.pid) - used, time.monotonic() - began
            return Figures(cpu=100 * used / took, memory=_resident(vtorc.pid))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


async def run(topologies: list[str], *, tablets: int, seconds: float) -> int:
    """Measure with each kind of topology server and print the figures; returns the exit code."""
    code = 0
    for topo in topologies:
        figures = await measure(topo, tablets=tablets, seconds=seconds)
        verdict = "" if figures.within_bars else f"  over the bar of {CPU_BAR:g} %, {MEMORY_BAR:g} MiB"
        sys.stdout.write(
            f"idle, {topo}, {tablets} tablets, {seconds:g} s: {figures.cpu:.1f} % of a core, "
            f"{figures.memory:.0f} MiB{verdict}\n"
        )
        sys.stdout.flush()
        code |= not figures.within_bars
    return code


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--topo", action="append", choices=["etcd2", "local"], help="default: both, one after another")
    parser.add_argument("--tablets", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the measured period")
    options = parser.parse_args()
    return asyncio.run(run(options.topo or ["etcd2", "local"], tablets=options.tablets, seconds=options.seconds))


if __name__ == "__main__":
    sys.exit(main())
