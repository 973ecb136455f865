"""The process of a fake fleet: `python -m bench.fake_fleet --tablets N --topo FILE --port PORT`.

It makes the topology file, prints one line when all tablets listen, and then answers commands, one JSON object a line:
`{"do": "report"}`, and `{"do": "lose", "tablets": [...], "silent": false}`. It ends with its input.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.fake_fleet.fleet import FakeFleet
from bench.fake_fleet.layout import places
from bench.fake_fleet.records import topo_access, write_records
from vtorc.core.facts.ids import TabletAlias
from vtorc.topo.open import open_topo

_LONGEST_COMMAND = 1 << 22


async def serve(tablets: int, file: Path, port: int) -> None:
    """Serve so many tablets until the end of the input."""
    fleet, term = places(tablets), time.time_ns() - 3600 * 10**9
    topo = await open_topo(topo_access(file))
    try:
        await write_records(topo, file, fleet, port=port, term=term)
        served = FakeFleet(fleet, topo, port=port, term=term)
        await served.start()
        _say({"tablets": len(fleet)})
        commands = asyncio.StreamReader(limit=_LONGEST_COMMAND)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        async for line in commands:
            _say(_obey(served, json.loads(line)))
        await served.close()
    finally:
        await topo.close()


def _obey(served: FakeFleet, command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "report":
        return dataclasses.asdict(served.report())
    served.lose(map(TabletAlias.parse, command["tablets"]), silent=command["silent"])
    return {}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.fake_fleet", description=__doc__)
    parser.add_argument("--tablets", type=int, required=True)
    parser.add_argument("--topo", type=Path, required=True, help="the topology file, which is made")
    parser.add_argument("--port", type=int, required=True, help="the port of all tablets")
    options = parser.parse_args()
    uvloop.install()
    asyncio.run(serve(options.tablets, options.topo, options.port))


if __name__ == "__main__":
    main()
