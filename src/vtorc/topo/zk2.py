"""The topology in ZooKeeper, in the layout of Vitess' `zk2` (`go/vt/topo/zk2topo`).

A record is one node; its parents are made with it and go with the last node below them. ZooKeeper counts the versions
of a node anew when it is created again. So a version here also has the transaction that created the node, and a record
that was made anew in between is noticed. A write that got no answer is tried again, as in `etcd2`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence

from kazoo.protocol.states import ZnodeStat

from vtorc.errors import BadVersion, LockHeld, NodeExists, NoNode, TopoUnsupported
from vtorc.topo.conn import RecordChange, Stored, TopoLock, Version
from vtorc.topo.lease import OwnedLocks
from vtorc.topo.lock_contents import describe_lock
from vtorc.topo.root import TopoRoot
from vtorc.topo.zk_client import NodeFull, NodeMissing, NodeOutdated, NodeThere, ZkClient
from vtorc.topo.zk_lock_queue import ZkLockQueue

_ANY = -1
_VERSION_BITS = 32


class Zk2Conn:
    """One root of a ZooKeeper ensemble; see `TopoConn`."""

    def __init__(self, client: ZkClient, root: str) -> None:
        self._client = client
        self._root = TopoRoot(f"/{root.strip('/')}")
        self._locks = OwnedLocks()
        self._queues: dict[str, ZkLockQueue] = {}

    async def get(self, path: str) -> Stored:
        """Read one record."""
        try:
            return _stored(*await self._client.get(self._root.key(path)))
        except NodeMissing:
            raise NoNode(self._root.key(path)) from None

    async def list_dir(self, path: str) -> Sequence[str]:
        """List the names directly below a directory."""
        try:
            names = sorted(await self._client.children(self._root.key(path)))
        except NodeMissing:
            names = []
        if not names:
            raise NoNode(self._root.key(path))
        return names

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Refuse: ZooKeeper reads one node at a time."""
        raise TopoUnsupported(f"ZooKeeper cannot read all records below {path} at once; read them one by one")

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a new record."""
        key = self._root.key(path)
        try:
            stat = await self._client.create(key, contents)
        except NodeThere as refusal:
            now = await self._now(key)
            if refusal.in_doubt and now is not None and now.contents == contents:
                return now.version
            raise NodeExists(key) from None
        return _version(stat)

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record."""
        key = self._root.key(path)
        if version is None:
            return await self._overwrite(path, contents)
        await self._expect(key, version)
        try:
            stat = await self._client.set(key, contents, _number(version))
        except NodeMissing:
            raise NoNode(key) from None
        except NodeOutdated as refusal:
            now = await self._now(key)
            if refusal.in_doubt and now is not None and now.contents == contents:
                return now.version
            raise BadVersion(key) from None
        return _version(stat)

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record, and the directories above it that become empty."""
        key = self._root.key(path)
        if version is not None:
            await self._expect(key, version)
        try:
            await self._client.delete(key, _ANY if version is None else _number(version))
        except NodeOutdated:
            raise BadVersion(key) from None
        except NodeMissing as refusal:
            if not refusal.in_doubt:
                raise NoNode(key) from None
        directory = path.rpartition("/")[0]
        with contextlib.suppress(NodeMissing, NodeFull):
            while directory:
                await self._client.delete(self._root.key(directory))
                directory = directory.rpartition("/")[0]

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Queue for a lock; it lives as long as the session, whatever `ttl` says, as in Vitess."""
        queue = self._queue(directory)
        place = await queue.join(contents, only_if_free=False)
        try:
            async with asyncio.timeout(timeout):
                await queue.wait_for_turn(place)
        except TimeoutError:
            await self._locks.give_up(place.lock.release())
            raise LockHeld(self._root.key(directory), describe_lock(place.holder)) from None
        except BaseException:
            await self._locks.give_up(place.lock.release())
            raise
        return place.lock

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        """Take a lock that is free."""
        queue = self._queue(directory)
        place = await queue.join(contents, only_if_free=True)
        try:
            if not await queue.is_first(place):
                raise LockHeld(self._root.key(directory), describe_lock(place.holder))
        except BaseException:
            await self._locks.give_up(place.lock.release())
            raise
        return place.lock

    async def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Watch one record."""
        key = self._root.key(path)
        last: Stored | None = None
        first = True
        while True:
            changed = asyncio.Event()
            try:
                now: Stored | None = _stored(*await self._client.get(key, watch=changed))
            except NodeMissing:
                now = None
                if await self._client.exists(key, watch=changed) is not None:
                    continue  # it was created in between
            if first or now != last:
                yield RecordChange(path, now)
            first, last = False, now
            await changed.wait()

    async def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Refuse: ZooKeeper watches one node at a time."""
        raise TopoUnsupported(f"ZooKeeper cannot watch all records below {path}; read them now and then")
        yield ()

    async def close(self) -> None:
        """Close the connection."""
        await self._locks.close()
        await self._client.close()

    async def _overwrite(self, path: str, contents: bytes) -> Version:
        key = self._root.key(path)
        while True:
            try:
                stat = await self._client.set(key, contents, _ANY)
                return _version(stat)
            except NodeMissing:
                with contextlib.suppress(NodeExists):
                    return await self.create(path, contents)

    async def _expect(self, key: str, version: Version) -> None:
        """Refuse a version of a node that was deleted and made anew since."""
        stat = await self._client.exists(key)
        if stat is None:
            raise NoNode(key)
        if stat.czxid != version >> _VERSION_BITS:
            raise BadVersion(key)

    async def _now(self, key: str) -> Stored | None:
        try:
            return _stored(*await self._client.get(key))
        except NodeMissing:
            return None

    def _queue(self, directory: str) -> ZkLockQueue:
        key = self._root.key(directory)
        found = self._queues.get(key)
        if found is None:
            found = self._queues[key] = ZkLockQueue(self._client, self._locks, key)
        return found


def _stored(contents: bytes, stat: ZnodeStat) -> Stored:
    return Stored(contents, _version(stat))


def _version(stat: ZnodeStat) -> Version:
    return Version((stat.czxid << _VERSION_BITS) | stat.version)


def _number(version: Version) -> int:
    return version & ((1 << _VERSION_BITS) - 1)
