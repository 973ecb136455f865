"""What vtorc makes of thousands of healthy tablets: `python -m bench.scale [--tablets 300,1000,3000] [--half]`.

The daemon with default settings starts on one core, and a fake fleet (`bench.fake_fleet`) with gRPC and a topology
server of its own on the others. On a healthy fleet there is nothing to find and nothing to do, however late the daemon
may be. Then a replica, a primary, a shard and a cell are lost, and exactly those are to be found. Exits with 1 if any
of this does not hold.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.daemon import LATENESS_FIELD, CpuTimes, Daemon
from bench.fake_fleet.fleet import FleetReport
from bench.fake_fleet.handle import FleetProcess
from bench.fake_fleet.layout import Place, places
from bench.fake_fleet.records import topo_access
from bench.fake_fleet.tablets import CHANGING_CALLS
from bench.half_core import half_a_core
from bench.scale_figures import Figures, HealthyFigures, write_figures
from bench.scale_losses import Loss, LossFigures, LossWatch, losses
from vtorc.core.facts.rules import Rule

LOOK_EVERY = 0.25
"""Seconds between two looks at the daemon's log and at what the fleet was asked."""

RIGHT_AFTER = 5.0
"""Seconds that the daemon is listened to after everything was found: what is wrong may come later."""

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A file system in memory, where there is one: the topology file is not to wait for a disk."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: on which cores, for how many seconds on the healthy fleet, and how tablets are lost."""

    daemons_core: int
    fleets_cores: frozenset[int]
    healthy_seconds: float
    half: bool
    silent: bool
    with_losses: bool


async def measure(tablets: int, plan: Plan) -> Figures:
    """Measure one size."""
    fleet, load = places(tablets), os.getloadavg()[0]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vtorc-scale-", dir=_MEMORY)))
        topo_file = folder / "topo.sqlite"
        served = await stack.enter_async_context(FleetProcess(len(fleet), topo_file, cores=plan.fleets_cores))
        began = time.monotonic()
        daemon = await stack.enter_async_context(Daemon(folder, topo_access(topo_file), core=plan.daemons_core))
        core = "one core"
        if plan.half:
            core = f"half a core ({await stack.enter_async_context(half_a_core(daemon.pid))})"
        healthy = await _watch_healthy(daemon, served, len(fleet), began=began, seconds=plan.healthy_seconds)
        problems = healthy.problems
        found: list[LossFigures] = []
        if plan.with_losses:
            found = await _lose_all(daemon, served, fleet, silent=plan.silent)
            problems += [f"{each.name} lost: {each.problem}" for each in found if each.problem]
        if daemon.exit_code is not None:
            problems.append(f"the daemon ended with {daemon.exit_code}: {daemon.last_words}")
        return Figures(
            tablets=len(fleet),
            shards=len({place.shard for place in fleet}),
            core=core,
            load=load,
            healthy=healthy,
            losses=found,
            problems=problems,
        )


async def _watch_healthy(
    daemon: Daemon, served: FleetProcess, tablets: int, *, began: float, seconds: float
) -> HealthyFigures:
    first = daemon.cpu_times()
    while time.monotonic() - began < seconds and daemon.exit_code is None:
        await asyncio.sleep(LOOK_EVERY)
        daemon.read_log()
    took = time.monotonic() - began
    report = await served.report()
    ended = daemon.exit_code is not None
    last = first if ended else daemon.cpu_times()
    return HealthyFigures(
        seconds=took,
        asked=report.asked,
        asked_seconds=report.last_first_asked - began if report.asked == tablets else None,
        findings=_findings(daemon),
        acts=sum(line.get("rule") == Rule.ACT.value for line in daemon.lines),
        changes=_changes(report),
        status_per_second=report.calls.get("FullStatus", 0) / took,
        lateness=max((float(line[LATENESS_FIELD]) for line in daemon.lines if LATENESS_FIELD in line), default=None),
        cpu=100 * (last.daemon - first.daemon) / took,
        others=_others(first, last, took),
        fleet_late=report.late,
        resident=0.0 if ended else daemon.resident_mib(),
    )


async def _lose_all(
    daemon: Daemon, served: FleetProcess, fleet: tuple[Place, ...], *, silent: bool
) -> list[LossFigures]:
    figures: list[LossFigures] = []
    so_far: list[Loss] = []
    for loss in losses(fleet):
        if daemon.exit_code is not None:
            break
        so_far.append(loss)
        daemon.read_log()
        watch = LossWatch(loss, so_far, lost_at=time.time())
        await served.lose((place.alias for place in loss.lost), silent=silent)
        until = time.monotonic() + loss.patience
        while time.monotonic() < until and not watch.is_complete and daemon.exit_code is None:
            await asyncio.sleep(LOOK_EVERY)
            watch.read(daemon.read_log())
        await asyncio.sleep(RIGHT_AFTER)
        watch.read(daemon.read_log())
        figures.append(dataclasses.replace(watch.figures(), fleet_late=(await served.report()).late))
    return figures


def _findings(daemon: Daemon) -> dict[str, int]:
    about = {
        (line["code"], line["shard"], line["tablet"]) for line in daemon.lines if "rule" in line and "code" in line
    }
    return dict(Counter(code for code, _, _ in about).most_common())


def _changes(report: FleetReport) -> dict[str, int]:
    return {name: count for name, count in sorted(report.calls.items()) if name in CHANGING_CALLS}


def _others(first: CpuTimes, last: CpuTimes, took: float) -> float:
    return max(0.0, 100 * ((last.core - first.core) - (last.daemon - first.daemon)) / took)


async def run(sizes: list[int], plan: Plan, *, as_json: bool) -> int:
    """Measure each size and print its figures."""
    code = 0
    for tablets in sizes:
        figures = await measure(tablets, plan)
        if as_json:
            sys.stdout.write(json.dumps(dataclasses.asdict(figures)) + "\n")
        else:
            write_figures(figures)
        sys.stdout.flush()
        code |= bool(figures.problems)
    return code


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--tablets", default="300,1000,3000", help="sizes with commas between, one after another")
    parser.add_argument("--seconds", type=float, default=60.0, help="on the healthy fleet, from the cold start on")
    parser.add_argument("--half", action="store_true", help="give the daemon half a core, in turns of 10 ms")
    parser.add_argument("--silent", action="store_true", help="lost tablets hang; else they refuse connections")
    parser.add_argument("--no-losses", action="store_true", help="measure the healthy fleet only")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each size")
    options = parser.parse_args()
    sizes = [int(size) for size in options.tablets.split(",")]
    first, *others = sorted(os.sched_getaffinity(0))
    plan = Plan(
        daemons_core=first,
        fleets_cores=frozenset(others or [first]),
        healthy_seconds=options.seconds,
        half=options.half,
        silent=options.silent,
        with_losses=not options.no_losses,
    )
    os.sched_setaffinity(0, plan.fleets_cores)
    return asyncio.run(run(sizes, plan, as_json=options.json))


if __name__ == "__main__":
    sys.exit(main())
