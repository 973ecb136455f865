"""All fake tablets of one process: they listen, tell their health, and can be lost."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bench.fake_fleet import records
from bench.fake_fleet.http2 import GrpcConnection
from bench.fake_fleet.layout import TABLETS_PER_SHARD, Place
from bench.fake_fleet.servers import FakeShard
from bench.fake_fleet.tablets import FakeTablet, fake_tablets
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.topo.server import TopoServer

HEALTH_EVERY = 20
"""Seconds between two reports of a health stream, as of vttablets."""

_BACKLOG = 512
_BEAT = 0.02


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What the fleet was asked so far; `last_first_asked` is when the last of the tablets that were asked for their
    status was asked first, in seconds on the machine's monotonic clock.
    """

    asked: int
    last_first_asked: float
    calls: dict[str, int] = field(default_factory=dict)
    late: float = 0.0
    """Seconds of the longest round of the fleet's own event loop since the last report, beyond one beat."""


class _TopoRecords:
    def __init__(self, topo: TopoServer) -> None:
        self._topo = topo

    async def promoted(self, place: Place, term: int) -> None:
        """Write that a tablet is primary."""
        await records.record_promotion(self._topo, place, term)

    async def changed_type(self, alias: TabletAlias, type_: TabletType) -> None:
        """Write a tablet's type."""
        await records.record_type(self._topo, alias, type_)


class FakeFleet:
    """Serves all tablets of `fleet`, each at its own address, until `close`."""

    def __init__(self, fleet: Sequence[Place], topo: TopoServer, *, port: int, term: int) -> None:
        self.calls: Counter[str] = Counter()
        self.tablets: dict[TabletAlias, FakeTablet] = {}
        self._port = port
        self._listeners: dict[TabletAlias, asyncio.Server] = {}
        self._health: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._late = 0.0
        now, keep = time.monotonic(), _TopoRecords(topo)
        for number, (_, group) in enumerate(groupby(fleet, key=lambda place: place.shard)):
            shard = FakeShard(group, 1 + number * TABLETS_PER_SHARD, term=term, now=now)
            for tablet in fake_tablets(shard, keep, self.calls):
                self.tablets[tablet.server.place.alias] = tablet

    async def start(self) -> None:
        """Listen; raises OSError if an address is taken."""
        for alias, tablet in self.tablets.items():
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((tablet.server.place.host, self._port))
            self._listeners[alias] = await _serve(tablet, listener)
        self._health = asyncio.create_task(self._send_health(), name="health")
        self._beating = asyncio.create_task(self._beat(), name="beat")

    async def close(self) -> None:
        """End all tablets."""
        for task in (self._health, self._beating):
            if task is not None:
                task.cancel()
        self.lose(self.tablets, silent=False)

    def lose(self, aliases: Iterable[TabletAlias], *, silent: bool) -> None:
        """End the processes of tablets, so that connections are refused; or let the processes hang, so that everything
        stays open and nothing is answered.
        """
        for alias in aliases:
            tablet = self.tablets[alias]
            if tablet.server.lost_at is not None:
                continue
            tablet.server.lost_at, tablet.server.is_silent = time.monotonic(), silent
            tablet.shard.version += 1
            if not silent:
                self._listeners.pop(alias).close()
            for connection in list(tablet.connections):
                connection.abort() if not silent else connection.fall_silent()

    def report(self) -> FleetReport:
        """Count what was asked."""
        first = [t.first_asked_at for t in self.tablets.values() if t.first_asked_at is not None]
        late, self._late = self._late, 0.0
        return FleetReport(
            asked=len(first), last_first_asked=max(first, default=0.0), calls=dict(self.calls), late=late
        )

    async def _beat(self) -> None:
        """Measure by how much the fleet itself is late: its tablets seem to hang then."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(_BEAT)
            self._late = max(self._late, time.monotonic() - began - _BEAT)

    async def _send_health(self) -> None:
        """Report on a twentieth of the tablets each second, as their timers would."""
        tablets = list(self.tablets.values())
        second = 0
        while True:
            await asyncio.sleep(1)
            for tablet in tablets[second % HEALTH_EVERY :: HEALTH_EVERY]:
                tablet.send_health()
            second += 1


async def _serve(tablet: FakeTablet, listener: socket.socket) -> asyncio.Server:
    def connect() -> GrpcConnection:
        connection = GrpcConnection(tablet)
        if tablet.server.is_silent:
            connection.fall_silent()
        return connection

    return await asyncio.get_running_loop().create_server(connect, sock=listener, backlog=_BACKLOG)
