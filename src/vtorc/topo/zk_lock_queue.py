"""The queue for a lock in ZooKeeper, with the same nodes as that of Vitess (`go/vt/topo/zk2topo/lock.go`).

Each request for the lock of directory D is an ephemeral node below `D/locks`, named by ZooKeeper's counter. The lowest
one holds the lock, and every other waits for the node just before its own to go. All nodes of a connection live as long
as its session. So a node that could not be deleted is deleted later: it would otherwise keep every process out. A node
is known by its name and by the transaction that created it, since the counter begins anew with the directory.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from vtorc.errors import LockHeld, LockLost, NoNode, TopoError
from vtorc.topo.conn import LOOK_AGAIN
from vtorc.topo.lease import LeasedLock, OwnedLocks
from vtorc.topo.lock_contents import describe_lock
from vtorc.topo.zk_client import NodeFull, NodeMissing, ZkClient

_SWEEP_PAUSE = 1.0
"""Seconds between two attempts to delete nodes that no request wants."""

_SAFE_PART = 2 / 3
"""Part of a session's time that we count on: a follower tells the leader of living sessions only now and then."""


@dataclass(slots=True)
class ZkPlace:
    """A place in the queue; `holder` is the contents of the lock while another request holds it."""

    lock: LeasedLock
    node: str
    holder: bytes = b""


class _NodeLease:
    """The node of one request; its lease is the session."""

    def __init__(self, queue: "ZkLockQueue", node: str, born: int, session_seconds: float) -> None:
        self._queue = queue
        self._node = node
        self._born = born
        self._session_seconds = session_seconds

    async def refresh(self) -> bool:
        """Return whether the leader has our node, of our session: only then it has not ended the session.

        A session that another server lets live for a shorter time than was promised is as good as ended.
        """
        return await self._queue.has(self._node, self._born, self._session_seconds)

    async def revoke(self) -> None:
        await self._queue.leave(self._node, self._born)


class ZkLockQueue:
    """The queue for the lock of one directory, and the nodes of this connection in it."""

    def __init__(self, client: ZkClient, locks: OwnedLocks, directory: str) -> None:
        self._client = client
        self._locks = locks
        self._directory = directory
        self._queue = f"{directory}/locks"
        self._wanted: dict[str, int] = {}
        self._creating = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None

    async def join(self, contents: bytes, *, only_if_free: bool) -> ZkPlace:
        """Take the last place in the queue, or the first if it is empty; see `TopoConn.lock` and `try_lock`."""
        try:
            if not await self._client.children(self._directory):
                raise NoNode(self._directory)
        except NodeMissing:
            raise NoNode(self._directory) from None
        if only_if_free and (names := await self._names()):
            raise LockHeld(self._directory, describe_lock(await self._contents(names[0])))
        started = asyncio.get_running_loop().time()
        try:
            node, born = await self._create(contents)
        except BaseException:  # cancelled or failed, ZooKeeper may have created a node
            await self._locks.give_up(self._clean_up())
            raise
        seconds = self._client.session_seconds
        lease = _NodeLease(self, node, born, seconds)
        lock = self._locks.add(node, lease, ttl=seconds * _SAFE_PART, granted_at=started)
        return ZkPlace(lock, node)

    async def is_first(self, place: ZkPlace) -> bool:
        """Return whether our place is the first now; raises LockLost."""
        return await self._before(place) is None

    async def wait_for_turn(self, place: ZkPlace) -> None:
        """Wait until our place is the first; raises LockLost when our node is deleted meanwhile."""
        lost = asyncio.create_task(place.lock.lost.wait(), name="place lost")
        try:
            while (before := await self._before(place)) is not None:
                changed = asyncio.Event()
                if await self._client.exists(f"{self._queue}/{before}", watch=changed) is None:
                    continue
                gone = asyncio.create_task(changed.wait(), name=f"wait for {before}")
                try:
                    await asyncio.wait((lost, gone), timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    gone.cancel()
        finally:
            lost.cancel()

    async def has(self, node: str, born: int, session_seconds: float) -> bool:
        """Return whether a node of ours exists, as the leader knows it, and its session lives for that long."""
        await self._client.sync(node)
        stat = await self._client.exists(node)
        if stat is None or stat.czxid != born or stat.ephemeralOwner != self._client.session:
            return False
        return self._client.session_seconds >= session_seconds

    async def leave(self, node: str, born: int) -> None:
        """Delete a node of ours, now or later."""
        if self._wanted.get(node) == born:
            del self._wanted[node]
        try:
            stat = await self._client.exists(node)
            if stat is not None and stat.czxid == born:
                with contextlib.suppress(NodeMissing):
                    await self._client.delete(node)
            await self._prune()
        except BaseException:
            self._sweep_later()
            raise

    async def _create(self, contents: bytes) -> tuple[str, int]:
        async with self._creating:
            node, born, in_doubt = await self._client.create_numbered(f"{self._queue}/", contents)
            if in_doubt:
                await self._sweep(keep=node)
            self._wanted[node] = born
            return node, born

    async def _clean_up(self) -> None:
        try:
            async with self._creating:
                await self._sweep()
        except BaseException:
            self._sweep_later()
            raise

    async def _before(self, place: ZkPlace) -> str | None:
        names = await self._names()
        mine = place.node.rpartition("/")[2]
        if place.lock.lost.is_set() or mine not in names:
            raise LockLost(f"the place in the queue for lock {place.node} was lost; ask for it again")
        at = names.index(mine)
        place.holder = await self._contents(names[0]) if at else b""
        return names[at - 1] if at else None

    async def _names(self) -> list[str]:
        try:
            return sorted(await self._client.children(self._queue))
        except NodeMissing:
            return []

    async def _contents(self, name: str) -> bytes:
        try:
            return (await self._client.get(f"{self._queue}/{name}"))[0]
        except NodeMissing:
            return b""

    async def _sweep(self, *, keep: str = "") -> None:
        """Delete the nodes of our session that no request of ours wants, but for one."""
        for name in await self._names():
            node = f"{self._queue}/{name}"
            stat = await self._client.exists(node)
            if stat is None or node == keep or self._wanted.get(node) == stat.czxid:
                continue
            if stat.ephemeralOwner and stat.ephemeralOwner == self._client.session:
                with contextlib.suppress(NodeMissing):
                    await self._client.delete(node)
        await self._prune()

    async def _prune(self) -> None:
        with contextlib.suppress(NodeMissing, NodeFull):
            await self._client.delete(self._queue)

    def _sweep_later(self) -> None:
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = self._locks.tasks.start(self._sweep_until_done(), f"sweep {self._queue}")

    async def _sweep_until_done(self) -> None:
        while True:
            with contextlib.suppress(TopoError):
                async with self._creating:
                    await self._sweep()
                return
            await asyncio.sleep(_SWEEP_PAUSE)
