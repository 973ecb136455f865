"""Topology servers of a simulated world: the real memory backend, reached over the simulated network.

Locks, lease refreshes and watches of a client are the real code of `vtorc.topo`. Only its calls to the store go over
the network, where they may be late, lost, refused or stale.
"""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from vtorc.core.facts.ids import ShardId
from vtorc.errors import NoNode, TopoUnavailable
from vtorc.sim.engine.network import Network, NetworkError
from vtorc.sim.engine.process import Host, Life, Process
from vtorc.topo.embedded import EmbeddedConn, Row
from vtorc.topo.memory import MemoryStore

_T = TypeVar("_T")

ROOT = "/vitess"


def lock_directory(shard: ShardId) -> str:
    """Return where the global topology server has what belongs to a shard, its lock included."""
    return f"{ROOT}/global/keyspaces/{shard.keyspace}/shards/{shard.shard}"


class SimTopo:
    """One topology server process; in `conflict_share` of all compare-and-swaps another writer was faster."""

    def __init__(self, network: Network, host: Host, generator: random.Random, *, lease_ttl: float) -> None:
        self.network = network
        self.process = Process(host, "topo")
        self.process.start()
        self.store = MemoryStore(lease_ttl=lease_ttl)
        self.conflict_share = 0.0
        self._random = generator
        self._lease_ttl = lease_ttl
        self._relays: dict[Relay, None] = {}
        self._stale: dict[str, dict[str, Row]] = {}
        self._leases: dict[int, str] = {}
        self._confirmed: dict[tuple[str, str], float] = {}

    def connect(self, client: Life, root: str) -> EmbeddedConn:
        """Connect a client process to one root."""
        return EmbeddedConn(RemoteStore(self, client), root, lease_ttl=self._lease_ttl)

    def stop(self) -> None:
        """Go down, so that calls are refused and watches break."""
        self.process.crash()
        for relay in self._relays:
            relay.deliver()

    def start(self) -> None:
        """Come back with all stored keys."""
        self.process.start()

    def make_stale(self, host: str) -> None:
        """Show a host's clients the present state until `make_fresh`, whatever is written meanwhile."""
        self._stale[host] = {row.key: row for row in at_once(self.store.scan("/"))}

    def make_fresh(self, host: str) -> None:
        """End `make_stale`."""
        self._stale.pop(host, None)

    def end_leases(self) -> None:
        """End all leases, and the locks with them."""
        for lease in list(self._leases):
            at_once(self.revoke(lease))

    def backup(self) -> dict[str, bytes]:
        """Return all keys with their contents, but locks."""
        return {row.key: row.contents for row in at_once(self.store.scan("/")) if "/locks/" not in row.key}

    def restore(self, rows: Mapping[str, bytes]) -> None:
        """Bring back all keys as they were in a backup; locks are lost."""
        self.end_leases()
        present = self.backup()
        for key in present.keys() - rows.keys():
            at_once(self.store.delete(key, None))
        for key, contents in rows.items():
            if present.get(key) != contents:
                at_once(self.store.put(key, contents, None))

    def lock_holder(self, directory: str) -> str | None:
        """Return the host that holds the lock of a directory, None if it is free; `directory` includes its root."""
        queue = at_once(self.store.scan(f"{directory}/locks/"))
        if not queue:
            return None
        holder = min(queue, key=lambda row: row.created)
        return str(json.loads(holder.contents)["HostName"])

    def confirmed_at(self, host: str, directory: str) -> float:
        """Return when this server last confirmed to a host that it holds, or waits for, the lock of a directory."""
        return self._confirmed.get((host, directory), float("-inf"))

    # --- in the server

    def stale_rows(self, host: str, key: str) -> dict[str, Row] | None:
        """Return the old rows that a host is shown, None if it is shown the present ones; locks are never stale."""
        return None if "/locks" in key else self._stale.get(host)

    async def put(self, key: str, contents: bytes, expected: int | None) -> int:
        """Write a key, perhaps after another writer."""
        if expected and self.conflict_share and self._random.random() < self.conflict_share:
            row = await self.store.get(key)
            await self.store.put(key, row.contents, None)
        return await self.store.put(key, contents, expected)

    async def enqueue(
        self, host: str, directory: str, lease: int, contents: bytes, *, ttl: float, only_if_free: bool
    ) -> Row:
        """Put a key into the queue for a lock."""
        row = await self.store.enqueue(directory, lease, contents, ttl=ttl, only_if_free=only_if_free)
        self._leases[lease] = directory
        self.confirm(host, directory)
        return row

    async def refresh(self, host: str, lease: int, ttl: float) -> bool:
        """Prolong a lease."""
        alive = await self.store.refresh(lease, ttl)
        if alive:
            self.confirm(host, self._leases[lease])
        return alive

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        self._leases.pop(lease, None)
        await self.store.revoke(lease)

    def confirm(self, host: str, directory: str) -> None:
        """Note that this server confirms a lock to a host."""
        self._confirmed[host, directory] = asyncio.get_running_loop().time()

    def add_relay(self, relay: "Relay") -> None:
        """Signal changes below a prefix to a client."""
        self._relays[relay] = None
        self.store.subscribe(relay.prefix, relay)

    def drop_relay(self, relay: "Relay") -> None:
        """Undo `add_relay`."""
        del self._relays[relay]
        self.store.unsubscribe(relay.prefix, relay)


class Relay(asyncio.Event):
    """Carries the signal that something changed from the server to a client's event."""

    def __init__(self, topo: SimTopo, client: Life, prefix: str, signal: asyncio.Event) -> None:
        super().__init__()
        self.prefix = prefix
        self._topo = topo
        self._client = client
        self._signal = signal
        self._under_way = False

    def set(self) -> None:
        """Signal a change in the store."""
        self._topo.process.when_running(self.deliver)

    def deliver(self) -> None:
        """Send the signal, unless one is under way already."""
        if not self._under_way:
            self._under_way = True
            self._topo.network.post(self._topo.process.host, self._client.host, self._arrive)

    def _arrive(self) -> None:
        self._under_way = False
        if self._client.alive:
            self._client.process.when_running(self._signal.set)


class RemoteStore:
    """The store as one client process reaches it; implements `vtorc.topo.embedded.Store`."""

    def __init__(self, topo: SimTopo, client: Life) -> None:
        self._topo = topo
        self._client = client
        self._host = client.host.name
        self._relays: dict[tuple[str, asyncio.Event], Relay] = {}

    async def get(self, key: str) -> Row:
        """Read one key."""
        return await self._ask(lambda: self._get(key))

    async def _get(self, key: str) -> Row:
        stale = self._topo.stale_rows(self._host, key)
        if stale is None:
            return await self._topo.store.get(key)
        if key not in stale:
            raise NoNode(key)
        return stale[key]

    async def scan(self, prefix: str) -> Sequence[Row]:
        """Read all keys below a prefix."""
        return await self._ask(lambda: self._scan(prefix))

    async def _scan(self, prefix: str) -> Sequence[Row]:
        stale = self._topo.stale_rows(self._host, prefix)
        if stale is None:
            return await self._topo.store.scan(prefix)
        return [row for key, row in stale.items() if key.startswith(prefix)]

    async def keys(self, prefix: str) -> Sequence[str]:
        """List all keys below a prefix."""
        return [row.key for row in await self.scan(prefix)]

    async def put(self, key: str, contents: bytes, expected: int | None) -> int:
        """Write a key."""
        return await self._ask(lambda: self._topo.put(key, contents, expected))

    async def delete(self, key: str, expected: int | None) -> None:
        """Delete a key."""
        await self._ask(lambda: self._topo.store.delete(key, expected))

    def new_lease(self) -> int:
        """Return a number for a new lease."""
        return self._topo.store.new_lease()

    async def enqueue(self, directory: str, lease: int, contents: bytes, *, ttl: float, only_if_free: bool) -> Row:
        """Put a key into the queue for a lock."""
        return await self._ask(
            lambda: self._topo.enqueue(self._host, directory, lease, contents, ttl=ttl, only_if_free=only_if_free)
        )

    async def refresh(self, lease: int, ttl: float) -> bool:
        """Prolong a lease."""
        return await self._ask(lambda: self._topo.refresh(self._host, lease, ttl))

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        await self._ask(lambda: self._topo.revoke(lease))

    def subscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Set `signal` at each change below a prefix."""
        relay = self._relays[prefix, signal] = Relay(self._topo, self._client, prefix, signal)
        self._topo.add_relay(relay)

    def unsubscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Undo `subscribe`."""
        self._topo.drop_relay(self._relays.pop((prefix, signal)))

    async def release(self) -> None:
        """Do nothing, as the server lives on."""

    async def _ask(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        topo = self._topo
        try:
            return await topo.network.call_instantly(self._client, topo.process, lambda: at_once(work()))
        except NetworkError as error:
            raise TopoUnavailable(f"the topology server on {topo.process.host.name} is {error.reason}") from error


def at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of a coroutine that never waits, such as those of the memory store."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    work.close()
    raise AssertionError(f"{work!r} waits for something")
