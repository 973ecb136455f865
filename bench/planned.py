"""The time without writes in planned moves: `python -m bench.planned [--times 20]`.

Starts the demo's cluster on real servers, and has `vtorc ctl promote` move the primary round the replicas while the
demo's application writes. Exits with 1 if a move failed, a row was lost, or the median gap is over its bar.

Under semi-sync it is over the bar by a second, as measured in November 2026. vttablet switches the source side off
while the old primary is read-only, and MySQL 9.7 takes a second for that if no acknowledgement arrives meanwhile.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import uvloop

from vtorc.core.facts.durability import POLICY_NAMES
from vtorc.demo.demo_observer import DemoObserver
from vtorc.demo.health import why_unhealthy
from vtorc.demo.report import percentile
from vtorc.demo.running_demo import DemoSpec, RunningDemo, open_demo
from vtorc.demo.servers import DemoTablet, RealServers
from vtorc.desk.desk import ACTS_A_MINUTE
from vtorc.lab.parts import find_mysqld

T = TypeVar("T")

GAP_BAR = 0.3
"""Seconds without an acknowledged write, median."""

PACE = 60.0 / ACTS_A_MINUTE + 1
"""Seconds between the begins of two moves: vtorc takes no more on."""

PATIENCE = 90.0
"""Seconds until a shard that is not well, or takes no writes, ends the series."""


@dataclass(slots=True)
class Moves:
    """What was measured; times are seconds."""

    wanted: int
    bar: float
    """The longest median gap that is accepted."""
    gaps: list[float] = field(default_factory=list)
    """For how long the application got no acknowledgement, of each move that succeeded."""
    demotions: list[float] = field(default_factory=list)
    """How long the old primary took to be demoted, which is part of the gap."""
    commands: list[float] = field(default_factory=list)
    """How long `vtorc ctl` ran, of each move that succeeded."""
    problems: list[str] = field(default_factory=list)
    """Why moves failed."""
    acknowledged: int = 0
    """Rows that were acknowledged in all."""
    lost: int = 0
    """Acknowledged rows that the primary lacked after some move."""

    @property
    def succeeded(self) -> bool:
        """Whether all is within the bar."""
        median = percentile(self.gaps, 50)
        is_done = len(self.gaps) == self.wanted and not self.problems
        return is_done and not self.lost and median is not None and median <= self.bar

    def lines(self) -> Iterator[str]:
        """Yield the figures."""
        yield f"{len(self.gaps)} of {self.wanted} moves, {self.lost} of {self.acknowledged:,} rows lost"
        yield f"write gap p50/p90/worst: {_distribution(self.gaps)}; the bar for p50 is {self.bar * 1000:.0f} ms"
        yield f"of it the demotion p50/p90/worst: {_distribution(self.demotions)}"
        yield f"whole command p50/p90/worst: {_distribution(self.commands)}"
        yield from (f"FAILED: {problem}" for problem in self.problems)


def _distribution(values: list[float]) -> str:
    shown = (percentile(values, 50), percentile(values, 90), max(values, default=None))
    return "/".join("–" if value is None else f"{value * 1000:.0f}" for value in shown) + " ms"


class Mover:
    """Moves the primary of a demo from tablet to tablet."""

    def __init__(self, demo: RunningDemo, moves: Moves) -> None:
        self._demo = demo
        self._moves = moves

    async def run(self) -> None:
        """Make the moves; ends early after one that failed."""
        loop = asyncio.get_running_loop()
        while len(self._moves.gaps) < self._moves.wanted and not self._moves.problems:
            began = loop.time()
            try:
                old = await self._wait_well()
                tablets = self._demo.tablets
                await self._move(old, tablets[(tablets.index(old) + 1) % len(tablets)])
            except TimeoutError as error:
                self._moves.problems.append(str(error))
            await asyncio.sleep(began + PACE - loop.time())

    async def _wait_well(self) -> DemoTablet:
        """Wait for a shard without problems; returns its primary."""
        since = time.monotonic()

        def primary() -> DemoTablet | None:
            return None if why_unhealthy(self._demo.observer.judgement, heard_since=since) else self._demo.primary

        return await self._wait_for(
            primary, lambda: f"not well: {why_unhealthy(self._demo.observer.judgement, heard_since=since)}"
        )

    async def _move(self, old: DemoTablet, new: DemoTablet) -> None:
        """Have `vtorc ctl` move the primary, and enter what the ledger says of that."""
        ledger = self._demo.writer.ledger
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vtorc.cli.main", "ctl", "--server", self._demo.address),
            *("promote", str(self._demo.shard), "--to", str(new.alias), "--yes", "--reason", "bench", "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        ended = time.monotonic()
        if process.returncode:
            self._moves.problems.append(f"vtorc ctl ended with {process.returncode}: {said.decode()}")
            return
        gap = await self._wait_for(
            lambda: ledger.handover_from(old.alias, began), lambda: f"{new.alias} acknowledges no rows"
        )
        self._moves.commands.append(ended - began)
        steps = json.loads(said)["steps"]
        self._moves.demotions += [step["seconds"] for step in steps if step["name"] == "demote primary"]
        self._moves.gaps.append(gap.seconds)
        if gap.ended_by != new.alias:
            self._moves.problems.append(f"{gap.ended_by} took the writes, not {new.alias}")
        self._moves.lost += len(await self._demo.writer.missing(new))
        self._moves.acknowledged = ledger.count
        _write(f"{old.alias} to {new.alias}: gap {gap.seconds * 1000:.0f} ms, command {ended - began:.2f} s")

    async def _wait_for(self, look: Callable[[], T | None], why_not: Callable[[], str]) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._demo.observer.wait_for(look)
        except TimeoutError:
            raise TimeoutError(f"still so after {PATIENCE:g} s: {why_not()}") from None


async def measure(times: int, *, durability: str, tablets: int, topo: str) -> bool:
    """Make the moves and print the figures; returns whether they are within the bar."""
    moves = Moves(times, GAP_BAR)
    spec = DemoSpec(tablets=tablets, durability=durability, topo=topo)
    async with open_demo(spec, RealServers(find_mysqld()), DemoObserver(), _progress) as demo:
        await Mover(demo, moves).run()
    _write(f"{durability}, {tablets} tablets, {topo}")
    for line in moves.lines():
        _write(line)
    return moves.succeeded


@contextlib.contextmanager
def _progress(step: str) -> Iterator[None]:
    _write(step)
    yield


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.planned", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how many moves")
    parser.add_argument("--tablets", type=int, default=3)
    parser.add_argument("--durability", choices=POLICY_NAMES, default="semi_sync")
    parser.add_argument("--topo", choices=["etcd2", "local"], default="etcd2")
    options = parser.parse_args()
    is_within = uvloop.run(
        measure(options.times, durability=options.durability, tablets=options.tablets, topo=options.topo)
    )
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
