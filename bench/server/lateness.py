"""How late the timers of an event loop are."""

import asyncio

EVERY = 0.005
"""Seconds between two timers."""


class Lateness:
    """Sets one timer after another while it runs."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        """By how much each timer was late."""

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self.seconds.append(loop.time() - due)
