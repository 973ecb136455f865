"""What HTTP costs vtorc: `python -m bench.server [--shards 3000 --tablets 10000 --listeners 100 --stuck 10]`.

The demo's cluster runs on real servers, and its primary is killed again and again. Beside it, the same vtorc hears of a
made fleet. Turns without HTTP alternate with turns in which a server process tells clients of all of it: listeners of
events, stuck ones among them, and a reader. With `--attack` the clients mean harm, and the server process is killed and
stopped. Each turn with HTTP stands between two without, and the difference of these two is printed beside each ratio:
it is what chance does. Prints each figure with its bar, and exits with 1 if one is missed.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.server.arms import Arm, Load, run_arm
from bench.server.bars import Arms, Bar, age_bars, arm_bars, back_bars, failed, memory_bar, write_gaps
from bench.server.clients import Heard
from bench.server.loads import attack, reading
from bench.server.strikes import Strikes
from vtorc.config.settings import LogSettings
from vtorc.demo.demo_observer import DemoObserver
from vtorc.demo.report import percentile
from vtorc.demo.running_demo import DemoSpec, RunningDemo
from vtorc.demo.servers import RealServers
from vtorc.lab.cluster import LabSpec
from vtorc.lab.parts import find_mysqld
from vtorc.logs import setup_logging
from vtorc.server.listener import Listener, bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to measure."""

    shards: int
    tablets: int
    failovers: int
    """Of each arm."""
    turns: int
    """Of each arm."""
    topo: str


async def measure(plan: Plan, load: Load, name: str) -> Arms:
    """Run all arms by turns; returns what was measured without HTTP, and with it under `load`."""
    arms = Arms(Arm("without HTTP"), Arm(name), Arm("without HTTP, again"))
    spec = DemoSpec(topo=plan.topo)
    servers = RealServers(find_mysqld())
    cluster = servers.cluster(LabSpec(tablets=spec.tablets, durability=spec.durability, topo=spec.topo), None)
    try:
        await cluster.start_topo()
        setup_logging(LogSettings(log_dir=str(cluster.folder), log_level="info"), stderr=False)
        await servers.prepare(_progress)
        with _progress("starting the tablets"):
            await cluster.start_tablets()
        # Each arm has a vtorc of its own; the demo's stays off, and its address unserved.
        own = bind(Listener.V12, "127.0.0.1", 0)
        demo = RunningDemo(spec, servers, cluster, DemoObserver(), own)
        writing = asyncio.create_task(demo.writer.run(), name="writer")
        try:
            await _by_turns(plan, demo, arms, load)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            own.sock.close()
    finally:
        await asyncio.shield(cluster.stop())
    return arms


async def _by_turns(plan: Plan, demo: RunningDemo, arms: Arms, load: Load) -> None:
    """Run all arms until a failover does not converge: later ones could not begin on the cluster that it leaves."""
    for turn in range(plan.turns):
        share = (turn + 1) * plan.failovers // plan.turns - turn * plan.failovers // plan.turns
        for arm in arms:
            with _progress(f"turn {turn + 1} of {plan.turns}, {arm.name}: {share} failovers"):
                await run_arm(
                    demo,
                    arm,
                    failovers=share,
                    shards=plan.shards,
                    tablets=plan.tablets,
                    load=load if arm is arms.loaded else None,
                )
            if arm.failovers and not arm.failovers[-1].converged:
                return


async def run(plan: Plan, *, listeners: int, stuck: int) -> bool:
    """Measure with clients that read, and print; returns whether all bars are met."""
    heard = Heard()
    arms = await measure(plan, reading(heard, listeners=listeners, stuck=stuck), "with HTTP")
    return write([*age_bars(heard), *arm_bars(arms), memory_bar(arms.loaded)], arms, str(heard))


async def run_attack(plan: Plan, *, connections: int) -> bool:
    """Measure under attack, and print; returns whether all bars are met."""
    strikes = Strikes()
    arms = await measure(plan, attack(strikes, connections=connections), "under attack")
    return write([*arm_bars(arms), *back_bars(strikes)], arms, str(strikes))


def write(bars: Sequence[Bar], arms: Arms, detail: str) -> bool:
    """Print each figure with its bar; returns whether all are met, and no failover failed."""
    problems = failed(arms)
    _write(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; {_pressure()}")
    for arm in arms:
        gaps = " ".join(f"{gap * 1000:.0f}" for gap in sorted(write_gaps(arm.failovers)))
        _write(f"{arm.name}: made fleet late by at most {arm.made_late:.3f} s; write gaps in ms: {gaps}")
        detected = [each.detected_ms for each in arm.failovers if each.detected_ms is not None]
        promoted = [each.promoted_ms for each in arm.failovers if each.promoted_ms is not None]
        slowest = max(arm.failovers, key=lambda each: each.write_gap_ms or 0.0, default=None)
        if slowest is not None:
            _write(f"  slowest: detected after {slowest.detected_ms} ms, promoted after {slowest.promoted_ms} ms")
        _write(f"  p50 in ms: detected after {percentile(detected, 50)}, promoted after {percentile(promoted, 50)}")
    _write(detail)
    for bar in bars:
        _write(str(bar))
    for problem in problems:
        _write(f"MISS  {problem}")
    return all(bar.is_within for bar in bars) and not problems


def _pressure() -> str:
    """Return for how much of the last minute some process waited for a processor."""
    try:
        line = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return "how long processes waited for a processor is not known"
    waited = next(part.partition("=")[2] for part in line.split() if part.startswith("avg60="))
    return f"some process waited for a processor in {waited} % of the last minute"


@contextlib.contextmanager
def _progress(step: str) -> Iterator[None]:
    began = time.monotonic()
    _write(step)
    yield
    _write(f"  {time.monotonic() - began:.1f} s")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.server", description=__doc__)
    parser.add_argument("--shards", type=int, default=3000, help="of the made fleet")
    parser.add_argument("--tablets", type=int, default=10000, help="of the made fleet, in all its shards")
    parser.add_argument("--listeners", type=int, default=100, help="clients that hear all events")
    parser.add_argument("--stuck", type=int, default=10, help="those among them that take nothing")
    parser.add_argument("--failovers", type=int, default=20, help="with HTTP, and twice as many without")
    parser.add_argument("--turns", type=int, default=4, help="how often the two alternate")
    parser.add_argument("--topo", choices=["etcd2", "local"], default="etcd2")
    parser.add_argument("--attack", action="store_true", help="clients that mean harm instead of those that read")
    parser.add_argument("--connections", type=int, default=600, help="of the attack")
    options = parser.parse_args()
    plan = Plan(
        shards=options.shards,
        tablets=options.tablets,
        failovers=options.failovers,
        turns=options.turns,
        topo=options.topo,
    )
    if options.attack:
        running = run_attack(plan, connections=options.connections)
    else:
        running = run(plan, listeners=options.listeners, stuck=options.stuck)
    return 0 if asyncio.run(running) else 1


if __name__ == "__main__":
    sys.exit(main())
