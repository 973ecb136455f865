"""Hints that something happened to a tablet, faster than the next probe: a broken health stream, a lost connection.

A hint proves nothing. It only makes the shard suspicious, so that its tablets are probed at once.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from vtorc.core.facts.records import TabletRecord
from vtorc.discovery.direct import DirectMysql
from vtorc.discovery.probe import TabletProbe
from vtorc.errors import TabletError
from vtorc.tablet.api import TabletManager

RETRY_AFTER = 1.0
"""Seconds between two attempts to open a tablet's health stream."""


class Sentinel(DirectMysql, Protocol):
    """Notices the end of a mysqld by a connection of its own, and asks it over another one."""

    async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
        """Watch the tablet's mysqld until cancelled, and call `lost` each time that it may have ended.

        `tablet` returns the record as last read. No error of the server is raised.
        """
        ...


async def watch_signals(
    probe: TabletProbe, tablets: TabletManager, suspect: Callable[[], None], *, sentinel: Sentinel | None = None
) -> None:
    """Call `suspect` when something may have happened to the tablet, until cancelled.

    It reads the tablet's health stream, and watches its mysqld if there is a sentinel. Both begin once the tablet has
    answered a probe: connections to all servers of a cluster at once would make vtorc late when it starts.
    """
    if sentinel is None:
        await _watch_health(probe, tablets, suspect)
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch_health(probe, tablets, suspect), name=f"health {probe.record.alias}")
        group.create_task(_watch_server(probe, sentinel, suspect), name=f"mysqld {probe.record.alias}")


async def _watch_server(probe: TabletProbe, sentinel: Sentinel, suspect: Callable[[], None]) -> None:
    await probe.wait_until_it_answers()
    await sentinel.watch_server(lambda: probe.record, suspect)


async def _watch_health(probe: TabletProbe, tablets: TabletManager, suspect: Callable[[], None]) -> None:
    """Call `suspect` when the health stream breaks, or reports a change for the worse.

    It is opened only while the tablet answers its probes, over the connection of the probe.
    """
    while True:
        await probe.wait_until_it_answers()
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
            probe.doubt()
            suspect()
        await asyncio.sleep(RETRY_AFTER)
