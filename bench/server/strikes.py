"""Signals to the server process, from a process of their own: `python -m bench.server.strikes HOST PORT PARENT`.

It kills the server that the process PARENT has started, and stops it, by turns, and asks until there is an answer. It
ends when its standard input does, and prints how long the server was gone. In vtorc's own process all of that took the
processor from what is measured.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field

from bench.server.arms import Served
from bench.server.clients import NICENESS, end_of_input

STRIKES_EVERY = 6.0
"""Seconds between two signals to the server process, after the first of which it is back."""

BACK_WITHIN = 60.0
"""Seconds until a server counts as never back."""

_ASK_EVERY = 0.02
_ANSWERS_WITHIN = 1.0


@dataclass(slots=True)
class Strikes:
    """How long the server was gone after each signal, in seconds."""

    killed: list[float] = field(default_factory=list)
    """After SIGKILL."""
    stopped: list[float] = field(default_factory=list)
    """After SIGSTOP, which nothing but vtorc ends."""
    attempts: int = 0
    """How many connections the attackers have begun."""

    def __str__(self) -> str:
        return (
            f"the server was killed {len(self.killed)} times, and stopped {len(self.stopped)} times; "
            f"attackers connected {self.attempts} times"
        )

    def add(self, more: "Strikes") -> None:
        """Add what was measured in another turn."""
        self.killed += more.killed
        self.stopped += more.stopped
        self.attempts += more.attempts


async def strike(served: Served, strikes: Strikes) -> None:
    """Kill the server, and stop it, by turns until cancelled."""
    for number, times in itertools.cycle(((signal.SIGKILL, strikes.killed), (signal.SIGSTOP, strikes.stopped))):
        await asyncio.sleep(STRIKES_EVERY)
        pid = served.pid
        if pid is None:
            continue
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while time.monotonic() - began < BACK_WITHIN:
            if await asyncio.to_thread(served.status, "/api/v1/status", seconds=_ANSWERS_WITHIN) == 200:
                break
            await asyncio.sleep(_ASK_EVERY)
        times.append(time.monotonic() - began)


async def _run(served: Served) -> Strikes:
    strikes = Strikes()
    striking = asyncio.create_task(strike(served, strikes))
    await end_of_input()
    striking.cancel()
    await asyncio.gather(striking, return_exceptions=True)
    return strikes


def main() -> None:
    """Read the command line, and strike."""
    host, port, parent = sys.argv[1:]
    os.nice(NICENESS)
    strikes = asyncio.run(_run(Served(host, int(port), 0, int(parent))))
    sys.stdout.write(json.dumps(asdict(strikes)))


if __name__ == "__main__":
    main()
