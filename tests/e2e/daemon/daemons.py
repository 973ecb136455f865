"""The vtorcs of a lab."""

import asyncio
import json
import math
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from tests.e2e.daemon.watching import until
from vtorc.core.election.unexplained_ackers import SETTLED
from vtorc.lab.cluster import LabCluster
from vtorc.lab.vtorc_process import LogLine, VtorcProcess

MEMORY = "vtorc-memory.sqlite"


class Daemons:
    """Starts vtorcs that watch a lab; `end` kills them."""

    def __init__(self, cluster: LabCluster) -> None:
        self._cluster = cluster
        self._started: list[VtorcProcess] = []

    async def start(self, *flags: str) -> VtorcProcess:
        """Start one more with the lab's topology, no cooldown, and these flags; returns once it watches the shard."""
        vtorc = await self.start_with(
            *self._cluster.topo_flags, "--log-dir={folder}", "--recovery-period-block-duration=0s", *flags
        )
        await vtorc.wait_for(lambda line: ": watching " in line["event"])
        return vtorc

    async def start_knowing(self, *flags: str) -> VtorcProcess:
        """Start one more for a shard that is well; returns once each tablet has answered it, and it has kept that.

        A vtorc without memory of its replicas takes the clients of a primary that is lost at once for unknown servers.
        """
        vtorc = await self.start(*flags)
        await until(lambda: asyncio.to_thread(why_not_heard, vtorc.folder / MEMORY, len(self._cluster.tablets)))
        return vtorc

    async def start_with(self, *flags: str) -> VtorcProcess:
        """Start one more with no flags but these; `{folder}` stands for a folder of its own."""
        name = f"vtorc-{sum(1 for _ in self._cluster.folder.glob('vtorc-*')) + 1}"
        folder = self._cluster.folder / name
        vtorc = VtorcProcess(folder, [flag.format(folder=folder) for flag in flags], name=name, on_line=echo(name))
        self._started.append(vtorc)
        await vtorc.start()
        return vtorc

    async def end(self) -> None:
        """Kill the vtorcs that still run."""
        for vtorc in self._started:
            await vtorc.kill()
        self._started.clear()


@asynccontextmanager
async def daemons_of(cluster: LabCluster) -> AsyncIterator[Daemons]:
    """Give a starter of vtorcs that kills them in the end."""
    daemons = Daemons(cluster)
    try:
        yield daemons
    finally:
        await daemons.end()


def why_not_heard(file: Path, tablets: int) -> str:
    """Return which part of the shard a vtorc's memory does not tell of yet; empty if it tells of all tablets."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            texts = [text for (text,) in db.execute("SELECT memory FROM shard_memory")]
    except sqlite3.Error as error:
        return f"{file}: {error}"
    known = [each["memory"]["was_heard"] for text in texts for each in json.loads(text)["tablets"].values()]
    return "" if sum(known) == tablets else f"{sum(known)} of {tablets} tablets were heard"


def why_not_asked_since(file: Path, rebuilt: str, server: str, primary: str) -> str:
    """Return why a vtorc cannot know yet that a rebuilt tablet took nothing along; empty if it knows.

    What the tablet's server before acknowledged, others have for sure only by an answer of the primary that came a
    second after the first one of `server`. A vtorc that does not watch the shard has nothing to know.
    """
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            texts = [text for (text,) in db.execute("SELECT memory FROM shard_memory")]
    except sqlite3.Error as error:
        return f"{file}: {error}"
    for tablets in (json.loads(text)["tablets"] for text in texts):
        if not {rebuilt, primary} <= tablets.keys():
            continue
        memory, term = tablets[rebuilt]["memory"], tablets[primary]["memory"]["observed_term"]
        if memory["server_uuid"] != server:
            return f"{file}: {rebuilt} is server {memory['server_uuid']}, not {server}"
        gone_at = max((each["gone_at"] for each in memory["replaced_servers"].values()), default=-math.inf)
        if term is None or term["seen_at"] < gone_at + SETTLED:
            return f"{file}: {primary} has not answered since {rebuilt} was rebuilt"
    return ""


def echo(name: str) -> Callable[[LogLine], None]:
    """Return a function that copies log lines to stderr, where the report of a failed test has them."""

    def copy(line: LogLine) -> None:
        rest = {key: value for key, value in line.items() if key not in ("timestamp", "event", "level")}
        sys.stderr.write(f"{str(line.get('timestamp', ''))[11:23]} {name} {line['event']} {rest or ''}\n")

    return copy
