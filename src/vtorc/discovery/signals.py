"""Hints that something happened to a tablet, faster than the next probe: a broken health stream, a lost connection.

A hint proves nothing; it only makes the shard suspicious, so that it is probed at once.
"""

import asyncio
from collections.abc import Callable

from vtorc.discovery.probe import TabletProbe
from vtorc.errors import TabletError
from vtorc.tablet.api import TabletManager

RETRY_AFTER = 1.0
"""Seconds between attempts to open the health stream of a tablet that has none."""


async def watch_signals(probe: TabletProbe, tablets: TabletManager, suspect: Callable[[], None]) -> None:
    """Follow the tablet's health stream until cancelled, and call `suspect` when it breaks or reports a change for
    the worse.
    """
    while True:
        heard = False
        try:
            serving = False
            async for report in tablets.stream_health(probe.record):
                worse = heard and serving and not (report.serving and not report.health_error)
                heard, serving = True, report.serving and not report.health_error
                if worse:
                    suspect()
        except TabletError:
            pass
        if heard:
            suspect()
        await asyncio.sleep(RETRY_AFTER)
