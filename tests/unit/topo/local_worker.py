"""A process that works on a topology file, for the tests: `local_worker.py FILE increment N | hold TTL`."""

import asyncio
import contextlib
import sys
from pathlib import Path

from vtorc.errors import BadVersion, NodeExists
from vtorc.topo.conn import TopoConn
from vtorc.topo.local import LocalStore

ROOT = "/vitess/global"
COUNTER = "keyspaces/ks/shards/0/Shard"


async def increment(conn: TopoConn, times: int) -> None:
    """Add to the counter with compare-and-swap."""
    for _ in range(times):
        while True:
            stored = await conn.get(COUNTER)
            try:
                await conn.update(COUNTER, b"%d" % (int(stored.contents) + 1), stored.version)
            except BadVersion:
                continue
            break


async def main(file: str, task: str, argument: str) -> None:
    """Do one task."""
    store = await LocalStore.open(Path(file))
    conn = store.connect(ROOT)
    if task == "increment":
        with contextlib.suppress(NodeExists):
            await conn.create(COUNTER, b"0")
        await increment(conn, int(argument))
        await conn.close()
    else:
        await conn.try_lock("keyspaces/ks/shards/0", b"worker", ttl=float(argument))
        print("held", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
