"""Hints from health streams and from lost connections to mysqld."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

from vtorc.core.facts.direct_answer import DirectAnswer
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.signals import watch_signals
from vtorc.errors import TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager

TABLET = TabletRecord(
    alias=TabletAlias("zone1", 100), keyspace="commerce", shard="0", type=TabletType.PRIMARY, hostname="h", grpc_port=1
)


async def answers() -> None:
    """Wait for nothing: the tablet answers its probes."""


def doubted() -> None:
    """Take no note of a doubt: the tablet goes on answering its probes."""


PROBE = cast(TabletProbe, SimpleNamespace(record=TABLET, wait_until_it_answers=answers, doubt=doubted))


class Tablets:
    """Tablets with a health stream that reports at these seconds whether they serve, then breaks."""

    def __init__(self, *reports: tuple[float, bool]) -> None:
        self._reports = reports

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        reports, self._reports = self._reports, ()
        for at, serving in reports:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            yield HealthReport(alias=tablet.alias, type=TabletType.PRIMARY, serving=serving)
        raise TabletUnreachable("gone", reason="refused")


class Sentinel:
    """A sentinel that loses its connection at these seconds."""

    def __init__(self, *losses: float) -> None:
        self._losses = losses
        self.watched: list[TabletRecord] = []
        self.ended = False

    async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
        try:
            self.watched.append(tablet())
            for at in self._losses:
                await asyncio.sleep(at - asyncio.get_running_loop().time())
                lost()
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended = True

    async def ask(self, tablet: TabletRecord) -> DirectAnswer:
        raise AssertionError("hints need no answers")


def suspicions(tablets: Tablets, sentinel: Sentinel | None, probe: TabletProbe = PROBE) -> list[float]:
    """Watch for a minute; returns when the shard was suspected."""

    async def main() -> list[float]:
        seen: list[float] = []
        now = asyncio.get_running_loop().time
        watching = asyncio.create_task(
            watch_signals(probe, cast(TabletManager, tablets), lambda: seen.append(now()), sentinel=sentinel)
        )
        await asyncio.sleep(60.0)
        assert not watching.done()
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()
        return seen

    return run(main())


def test_a_health_stream_that_worsens_or_breaks_is_a_signal() -> None:
    """A tablet that stops serving, or a stream that breaks, makes the shard suspicious; failed attempts to open it do
    not.
    """
    assert suspicions(Tablets((1.0, True), (2.0, True), (3.0, False)), None) == [3.0, 3.0]


def test_a_lost_connection_to_mysqld_is_a_signal() -> None:
    """Each loss that the sentinel reports makes the shard suspicious, beside what the health stream says."""
    sentinel = Sentinel(2.0, 9.0)
    assert suspicions(Tablets((1.0, True), (5.0, False)), sentinel) == [2.0, 5.0, 5.0, 9.0]
    assert sentinel.watched == [TABLET]
    assert sentinel.ended


def test_nothing_is_opened_before_the_tablet_answers_a_probe() -> None:
    """Neither its health stream nor a connection to its mysqld is dialled until its probe has reached it."""

    async def answers_at_30() -> None:
        await asyncio.sleep(30.0 - asyncio.get_running_loop().time())

    late = cast(TabletProbe, SimpleNamespace(record=TABLET, wait_until_it_answers=answers_at_30, doubt=doubted))
    opened: list[float] = []

    class Opened(Sentinel):
        async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
            opened.append(asyncio.get_running_loop().time())
            await super().watch_server(tablet, lost)

    assert suspicions(Tablets((1.0, True), (2.0, False)), Opened(), late) == [30.0, 30.0]
    assert opened == [30.0]


def test_a_health_stream_that_broke_is_opened_again_once_the_tablet_answers_another_probe() -> None:
    """Lost tablets are not dialled for their streams while their probes wait for slots."""
    opened: list[float] = []

    class Noting(Tablets):
        async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
            opened.append(asyncio.get_running_loop().time())
            async for report in super().stream_health(tablet):
                yield report

    class Doubted:
        record = TABLET
        answered_until = 0.0

        async def wait_until_it_answers(self) -> None:
            await asyncio.sleep(self.answered_until - asyncio.get_running_loop().time())

        def doubt(self) -> None:
            self.answered_until = 30.0

    suspicions(Noting((1.0, True)), None, cast(TabletProbe, Doubted()))
    assert opened[:2] == [0.0, 30.0]
