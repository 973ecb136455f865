"""The little that a fake tablet remembers: its type, its replication, and transactions that grow by themselves.

A shard advances once a second, when it is asked. Its primary then has some more transactions, if it takes writes and
has a replica to acknowledge them, and all replicas that receive have them too.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.fake_fleet.layout import MYSQL_PORT, Place
from vtorc.core.facts.ids import TabletType

WRITES_PER_SECOND = 10
NET_TIMEOUT = 8
"""Seconds after which a replica gives up a source that is silent (`replica_net_timeout`), twice the heartbeat."""


@dataclass(eq=False, slots=True)
class FakeServer:
    """One tablet with its MySQL.

    `term` is in nanoseconds since the Unix epoch, 0 for a tablet that is no primary; `lost_at` on the fleet's clock.
    """

    place: Place
    server_id: int
    uuid: str
    type: TabletType
    term: int = 0
    read_only: bool = True
    requires_acks: bool = False
    acknowledges: bool = True
    source: "FakeServer | None" = None
    io_running: bool = False
    sql_running: bool = False
    connected_at: float = 0.0
    executed: dict[str, int] = field(default_factory=dict)
    lost_at: float | None = None
    is_silent: bool = False

    @property
    def position(self) -> str:
        """The executed transactions as the wire has them."""
        return "MySQL56/" + ",".join(f"{uuid}:1-{last}" for uuid, last in sorted(self.executed.items()))

    def is_receiving(self, now: float) -> bool:
        """Whether its IO thread is connected, or believes so: a silent source is missed after `NET_TIMEOUT` seconds."""
        source = self.source
        if source is None or not self.io_running:
            return False
        if source.lost_at is None:
            return True
        return source.is_silent and self.connected_at < source.lost_at and now < source.lost_at + NET_TIMEOUT

    def io_error(self, now: float) -> str:
        """What the IO thread complains of; empty if it is connected or stopped."""
        if not self.io_running or self.source is None or self.is_receiving(now):
            return ""
        where = f"{self.source.place.host}:{MYSQL_PORT}"
        return (
            f"Error connecting to source 'vt_repl@{where}'. This was attempt 1/86400, with a delay of 10 seconds "
            f"between attempts. Message: Can't connect to MySQL server on '{where}' (111)"
        )


class FakeShard:
    """The servers of one shard."""

    def __init__(self, places: Iterable[Place], first_server_id: int, *, term: int, now: float) -> None:
        self.servers = [
            FakeServer(
                place=place,
                server_id=first_server_id + number,
                uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, str(place.alias))),
                type=TabletType.PRIMARY if place.is_primary else TabletType.REPLICA,
            )
            for number, place in enumerate(places)
        ]
        primary = next(server for server in self.servers if server.place.is_primary)
        history = {server.uuid: 1000 * server.server_id for server in self.servers}
        for server in self.servers:
            server.executed = dict(history)
            if server is primary:
                server.read_only, server.requires_acks, server.term = False, True, term
            else:
                server.source, server.io_running, server.sql_running = primary, True, True
        self._advanced_at = now
        self.version = 0
        """Changes whenever any answer of the shard may have changed."""

    def advance(self, now: float) -> None:
        """Let the whole seconds since the last time have their writes."""
        seconds = int(now - self._advanced_at)
        if not seconds:
            return
        self._advanced_at += seconds
        self.version += 1
        for primary in self.servers:
            if primary.read_only or primary.lost_at is not None:
                continue
            if not primary.requires_acks or self.ackers_of(primary, now):
                last = primary.executed.get(primary.uuid, 0)
                primary.executed[primary.uuid] = last + WRITES_PER_SECOND * seconds
                self.replicate(primary, now)

    def ackers_of(self, primary: FakeServer, now: float) -> list[FakeServer]:
        """Return the replicas that acknowledge for this primary."""
        return [s for s in self._receivers(primary, now) if s.acknowledges]

    def replicate(self, primary: FakeServer, now: float) -> None:
        """Let the replicas of a primary have all its transactions."""
        for replica in self._receivers(primary, now):
            if replica.sql_running:
                replica.executed = dict(primary.executed)

    def _receivers(self, primary: FakeServer, now: float) -> list[FakeServer]:
        if primary.lost_at is not None:
            return []
        return [s for s in self.servers if s.source is primary and s.lost_at is None and s.is_receiving(now)]
