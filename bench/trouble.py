"""What is no failure of a primary: `python -m bench.trouble [--minutes 10] [--only pauses,packet-loss]`.

A shard of three real servers takes a row every 10 ms under semi_sync while one trouble after another lasts. vtorc may
replace no primary for any of them. In the end vtorc itself stands still (SIGSTOP): alone, when it may do nothing, and
amid a failover that it or a second vtorc has to bring to a right end. Prints a line for each. Exits with 1 if a primary
was replaced in vain, a row was lost, or a shard did not become well.

Packets are lost in a network namespace of the bench's own, which needs root and `tc`.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged, dba
from vtorc.app import HISTORY_FILE
from vtorc.core.detection.recoveries import Recovery
from vtorc.demo.ledger import NOTABLE_GAP
from vtorc.demo.writer import Writer
from vtorc.history.reader import HistoryReader, Selection
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.mysql_connection import MysqlConnection
from vtorc.lab.tablet_handle import LabTablet
from vtorc.lab.vtorc_process import VtorcProcess

LOST = 0.02
"""Share of the packets that are lost, in each direction."""

PAUSE = 0.1
"""Seconds for which a server stands still."""

PAUSE_EVERY = 1.0
"""Seconds between two pauses of one server, on average."""

TRANSACTION = 60.0
"""Seconds for which a transaction is open."""

ROWS = 200_000
"""Rows of one statement that writes many."""

SPINNERS_PER_CORE = 4
"""Busy processes beside the cluster."""

STANDS = (1.0, 5.0, 30.0, 120.0)
"""Seconds for which vtorc stands still."""

FAILOVER_TAKES = 0.5
"""Seconds after a primary's death within which vtorc is stopped, at a random moment: most failovers take as long."""

SETTLED_AFTER = 10.0
"""Seconds after vtorc stood still in which it would have acted on what is too old."""

REPLACING = frozenset(each.value for each in Recovery if each.traits.replaces_primary)
"""The recoveries that make another tablet the primary."""

_IN_NAMESPACE = "VTORC_BENCH_TROUBLE_NAMESPACE"


@dataclass(frozen=True, slots=True)
class Scene:
    """The shard with its application and its vtorcs."""

    shard: Shard
    writer: Writer
    vtorcs: Sequence[VtorcProcess]

    def recoveries(self, since: float) -> list[str]:
        """Return the recoveries that began since a time (seconds since the Unix epoch), each with its outcome."""
        found = []
        for vtorc in self.vtorcs:
            with contextlib.closing(HistoryReader(str(vtorc.folder / HISTORY_FILE))) as history:
                stored = history.recoveries(Selection(since=int(since * 1e9), limit=None))
            found += [f"{each.recovery} {each.outcome}" for each in stored]
        return sorted(found)


Trouble = Callable[[Scene], AbstractAsyncContextManager[None]]
"""Makes trouble while inside."""


@asynccontextmanager
async def packet_loss(_: Scene) -> AsyncIterator[None]:
    """Lose packets between all parts, vtorc and the topology server included."""
    # A classic BPF program: load a random number; below the threshold drop the packet (2), else let it pass (0).
    program = f"4,32 0 0 4294963256,37 1 0 {int(LOST * 2**32)},6 0 0 2,6 0 0 0"
    _tc("qdisc", "add", "dev", "lo", "clsact")
    _tc("filter", "add", "dev", "lo", "egress", "bpf", "da", "bytecode", program)
    try:
        yield
    finally:
        _tc("qdisc", "del", "dev", "lo", "clsact")


@asynccontextmanager
async def pauses(scene: Scene) -> AsyncIterator[None]:
    """Let each server stand still with its tablet manager again and again, for a tenth of a second."""

    async def pause(tablet: LabTablet) -> None:
        while True:
            await asyncio.sleep(random.uniform(0, 2 * PAUSE_EVERY))
            await tablet.hang_host()
            try:
                await asyncio.sleep(PAUSE)
            finally:
                await tablet.wake_host()

    async with _doing(*(lambda tablet=tablet: pause(tablet) for tablet in scene.shard.tablets)):
        yield


@asynccontextmanager
async def busy_replica(scene: Scene) -> AsyncIterator[None]:
    """Let queries take all the processor that one replica can get."""
    replica = (await scene.shard.replicas())[0]

    async def burn() -> None:
        async with dba(replica) as session:
            while True:
                await session.value("SELECT BENCHMARK(20000000, SHA2('vtorc', 256))")

    async with _doing(*[burn] * (os.cpu_count() or 1)):
        yield


@asynccontextmanager
async def long_transactions(scene: Scene) -> AsyncIterator[None]:
    """Hold rows locked for a minute at a time, and write many rows by one statement beside it."""
    primary, database = await scene.shard.primary(), f"vt_{scene.shard.id.keyspace}"
    async with dba(primary) as session:
        for name in ("held", "many"):
            await session.run(
                f"CREATE TABLE IF NOT EXISTS {database}.{name} (id BIGINT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(99))"
            )

    async def hold() -> None:
        async with dba(primary) as session:
            while True:
                await session.run("BEGIN")
                await session.run(f"INSERT INTO {database}.held (text) VALUES ('held')")
                await asyncio.sleep(TRANSACTION)
                await session.run("COMMIT")

    async def write_many() -> None:
        async with dba(primary) as session:
            await session.run(f"SET SESSION cte_max_recursion_depth = {ROWS}")
            while True:
                await _write_rows(session, database)

    async with _doing(hold, write_many):
        yield


async def _write_rows(session: MysqlConnection, database: str) -> None:
    numbers = f"WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i FROM n"
    await session.run(f"INSERT INTO {database}.many (text) SELECT REPEAT('x', 90) FROM ({numbers}) AS numbers")
    await session.run(f"DELETE FROM {database}.many")


@asynccontextmanager
async def busy_machine(_: Scene) -> AsyncIterator[None]:
    """Let busy processes compete with all parts for the processor."""
    command = (sys.executable, "-c", "while True: pass")
    count = SPINNERS_PER_CORE * (os.cpu_count() or 1)
    spinners = [await asyncio.create_subprocess_exec(*command) for _ in range(count)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            await spinner.wait()


@asynccontextmanager
async def _doing(*works: Callable[[], "asyncio._CoroutineLike[None]"]) -> AsyncIterator[None]:
    """Do several things while inside; an error of one ends the body."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def _tc(*words: str) -> None:
    subprocess.run(("tc", *words), check=True)


TROUBLES: Mapping[str, Trouble] = {
    "packet-loss": packet_loss,
    "pauses": pauses,
    "busy-replica": busy_replica,
    "long-transactions": long_transactions,
    "busy-machine": busy_machine,
}
STANDING = "stopped-vtorc"


async def endure(scene: Scene, name: str, minutes: float) -> bool:
    """Have one trouble for so long, and print what became of the shard; returns whether its primary stayed."""
    await scene.shard.well()
    primary, began, before = await scene.shard.primary(), time.time(), scene.writer.ledger.count
    known = len(scene.writer.ledger.gaps)
    async with TROUBLES[name](scene):
        await asyncio.sleep(60 * minutes)
    await scene.shard.well()
    stayed = await scene.shard.primary() is primary
    lost = await scene.writer.missing(await scene.shard.primary())
    recoveries = scene.recoveries(began)
    replaced = [each for each in recoveries if each.split()[0] in REPLACING]
    gaps = [each.seconds for each in scene.writer.ledger.gaps[known:]]
    pause = f"one pause of {max(gaps):.2f} s" if gaps else f"no pause of {NOTABLE_GAP:g} s"
    _say(
        f"{name}, {minutes:g} min: primary {'stayed' if stayed else 'was REPLACED'}, "
        f"{scene.writer.ledger.count - before} rows acknowledged, {len(lost)} lost, {pause}; "
        f"vtorc did: {', '.join(recoveries) or 'nothing'}"
    )
    return stayed and not replaced and not lost


async def stand_still(scene: Scene, seconds: float) -> bool:
    """Stop all vtorcs of a healthy shard for a while; returns whether they did nothing about it."""
    await scene.shard.well()
    began = time.time()
    for vtorc in scene.vtorcs:
        vtorc.send(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    for vtorc in scene.vtorcs:
        vtorc.send(signal.SIGCONT)
    await asyncio.sleep(SETTLED_AFTER)
    await scene.shard.well()
    recoveries = scene.recoveries(began)
    _say(f"vtorcs stopped for {seconds:g} s, all well: they did {', '.join(recoveries) or 'nothing'}")
    return not recoveries


async def stand_still_amid_failover(scene: Scene, seconds: float) -> bool:
    """Stop the vtorc that acts amid a failover; returns whether the shard is right in the end, with all rows."""
    await scene.shard.well()
    old, began = await scene.shard.primary(), time.time()
    await acknowledged(scene.writer, 10, by=old)
    await old.kill_mysqld()
    after = random.uniform(0, FAILOVER_TAKES)
    await asyncio.sleep(after)
    stopped = _acting(scene.vtorcs)
    stopped.send(signal.SIGSTOP)
    killed_at = time.monotonic()
    woken = asyncio.create_task(_continue(stopped, seconds), name="continue vtorc")
    new = await scene.shard.replaced(old)
    took = time.monotonic() - killed_at
    await woken
    await asyncio.sleep(SETTLED_AFTER)
    lost = await scene.writer.missing(new)
    stayed = await scene.shard.primary() is new
    await scene.shard.return_of(old)
    recoveries = scene.recoveries(began)
    _say(
        f"{stopped.name} stopped for {seconds:g} s {after * 1000:.0f} ms into a failover: replaced {took:.1f} s later, "
        f"{len(lost)} rows lost{'' if stayed else ', and REPLACED once more'}; {', '.join(recoveries)}"
    )
    return stayed and not lost


def _acting(vtorcs: Sequence[VtorcProcess]) -> VtorcProcess:
    """Return the vtorc whose log tells of the failover last: the one that acts, once one does."""
    return max(vtorcs, key=lambda vtorc: str(vtorc.lines[-1].get("timestamp", "")))


async def _continue(vtorc: VtorcProcess, seconds: float) -> None:
    await asyncio.sleep(seconds)
    vtorc.send(signal.SIGCONT)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def run(names: Sequence[str], minutes: float) -> int:
    """Run all; returns the exit code."""
    held = []
    async with LabCluster(LabSpec(topo="etcd2")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        shard.watched_by = vtorcs = [await daemons.start() for _ in range(2)]
        await shard.well()
        async with shard.written_to() as writer:
            scene = Scene(shard, writer, vtorcs)
            for name in names:
                if name != STANDING:
                    held.append(await endure(scene, name, minutes))
                    continue
                for seconds in STANDS:
                    held.append(await stand_still(scene, seconds))
                    held.append(await stand_still_amid_failover(scene, seconds))
    return 0 if all(held) else 1


def _in_own_namespace() -> int:
    """Run this command in a network namespace of its own; returns its exit code."""
    if os.geteuid() != 0 or not all(shutil.which(each) for each in ("unshare", "ip", "tc")):
        sys.stderr.write("packet-loss needs root, and the commands unshare, ip and tc; leave it out with --only\n")
        return 2
    command = 'ip link set lo up && exec "$@"'
    words = ("unshare", "--net", "sh", "-c", command, "sh", sys.executable, "-m", "bench.trouble", *sys.argv[1:])
    return subprocess.run(words, env={**os.environ, _IN_NAMESPACE: "1"}, check=False).returncode


def main() -> int:
    """Read the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.trouble", description=__doc__)
    known = (*TROUBLES, STANDING)
    parser.add_argument("--minutes", type=float, default=10.0, help="for which each trouble lasts (default 10)")
    parser.add_argument("--only", default=",".join(known), help=f"names with commas between, of {', '.join(known)}")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--only {options.only}: there is no {unknown[0]}; there are {', '.join(known)}")
    if "packet-loss" in names and _IN_NAMESPACE not in os.environ:
        return _in_own_namespace()
    return asyncio.run(run(names, options.minutes))


if __name__ == "__main__":
    sys.exit(main())
