"""The topology in Consul's key-value store, in the layout of Vitess' `consul` (`go/vt/topo/consultopo`).

A record is one key, without a slash at its beginning; its version is the key's ModifyIndex. Consul leaves the version
as it is when a write changes nothing. All reads are consistent ones: a server that does not know yet that it leads no
more could otherwise answer with an older state. A write that got no answer is tried again, as in `etcd2`.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from vtorc.errors import BadVersion, LockHeld, NodeExists, NoNode
from vtorc.topo.conn import RecordChange, Stored, TopoLock, Version, differences
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient, ConsulReply
from vtorc.topo.consul_lock import ConsulLocks, Request, encoded, operation, transaction
from vtorc.topo.lease import OwnedLocks
from vtorc.topo.lock_contents import describe_lock
from vtorc.topo.root import TopoRoot

_READ = {"consistent": ""}
_READ_ALL = {"recurse": "", "consistent": ""}
_WATCH_PAUSE = 0.1
"""Seconds between two queries of a watch: Consul also answers them at changes that have nothing to do with the key."""


class ConsulConn:
    """One root of a Consul datacenter; see `TopoConn`."""

    def __init__(self, client: ConsulClient, root: str, access: ConsulAccess) -> None:
        self._client = client
        self._root = TopoRoot(root.strip("/"))
        self._wait = access.watch_wait
        self._locks = OwnedLocks()
        self._taking = ConsulLocks(client, self._locks, access)

    async def get(self, path: str) -> Stored:
        """Read one record."""
        stored = _one(await self._read(self._root.key(path), _READ))
        if stored is None:
            raise NoNode(self._root.key(path))
        return stored

    async def list_dir(self, path: str) -> Sequence[str]:
        """List the names directly below a directory."""
        prefix = self._root.prefix(path)
        reply = await self._read(prefix, {"keys": "", "separator": "/", "consistent": ""})
        names = {key.removeprefix(prefix).rstrip("/") for key in reply.body or ()} - {""}
        if not names:
            await self._make_sure_of_access(prefix)
            raise NoNode(self._root.key(path))
        return sorted(names)

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Read all records below a directory."""
        records = self._records(await self._read(self._root.prefix(path), _READ_ALL))
        if not records:
            await self._make_sure_of_access(self._root.prefix(path))
        return records

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a new record."""
        key = self._root.key(path)
        reply = await self._change("write", operation("cas", key, Value=encoded(contents), Index=0))
        if reply.status == 200:
            return _written(reply)
        now = _one(await self._read(key, _READ))
        if reply.repeated and now is not None and now.contents == contents:
            return now.version
        raise NodeExists(key)

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record."""
        key = self._root.key(path)
        write = (
            operation("set", key, Value=encoded(contents))
            if version is None
            else operation("cas", key, Value=encoded(contents), Index=version)
        )
        reply = await self._change("write", write)
        if reply.status == 200:
            return _written(reply)
        now = _one(await self._read(key, _READ))
        if reply.repeated and now is not None and now.contents == contents:
            return now.version
        raise _refusal(key, now)

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record."""
        key = self._root.key(path)
        deletion = operation("delete", key) if version is None else operation("delete-cas", key, Index=version)
        # A deletion alone succeeds without the key; a read fails, and with it the transaction.
        reply = await self._change("deletion", operation("get", key), deletion)
        if reply.status == 200:
            return
        now = _one(await self._read(key, _READ))
        if now is not None or not reply.repeated:
            raise _refusal(key, now)

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Wait for a lock; any of those that wait may get it."""
        request = await self._begin(directory, contents, ttl, only_if_free=False)
        try:
            async with asyncio.timeout(timeout):
                await self._taking.acquire(request)
        except TimeoutError:
            await self._locks.give_up(request.lock.release())
            raise LockHeld(self._root.key(directory), describe_lock(request.holder)) from None
        except BaseException:
            await self._locks.give_up(request.lock.release())
            raise
        return request.lock

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        """Take a lock that is free."""
        request = await self._begin(directory, contents, ttl, only_if_free=True)
        try:
            await self._taking.acquire_at_once(self._root.key(directory), request)
        except BaseException:
            await self._locks.give_up(request.lock.release())
            raise
        return request.lock

    async def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Watch one record."""
        last: Stored | None = None
        first = True
        async for reply in self._follow(self._root.key(path), _READ):
            now = _one(reply)
            if first or now != last:
                yield RecordChange(path, now)
            first, last = False, now

    async def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Watch all records below a directory."""
        known: Mapping[str, Stored] = {}
        first = True
        async for reply in self._follow(self._root.prefix(path), _READ_ALL):
            now = self._records(reply)
            changes = differences(known, now)
            if first or changes:
                yield changes
            first, known = False, now

    async def close(self) -> None:
        """Close the connection."""
        await self._locks.close()
        await self._client.close()

    async def _begin(self, directory: str, contents: bytes, ttl: float | None, *, only_if_free: bool) -> Request:
        return await self._taking.begin(self._root.key(directory), contents, ttl=ttl, only_if_free=only_if_free)

    async def _read(self, key: str, query: Mapping[str, str]) -> ConsulReply:
        return await self._client.call("read", "GET", f"kv/{key}", query=query)

    async def _make_sure_of_access(self, prefix: str) -> None:
        """Raise TopoError if the token may not read here: Consul's listings just leave out what it may not read."""
        await self._read(prefix, _READ)

    async def _change(self, what: str, *operations: dict[str, dict[str, object]]) -> ConsulReply:
        return await self._client.call(what, "PUT", "txn", body=transaction(*operations))

    async def _follow(self, key: str, query: Mapping[str, str]) -> AsyncGenerator[ConsulReply, None]:
        """Yield the present state, and then one after each change, and sometimes without one.

        When the index goes backwards, Consul was set back to an older state, and waiting for it would take long.
        """
        while True:
            reply = await self._read(key, query)
            yield reply
            index = reply.at
            while index > 0:
                await asyncio.sleep(_WATCH_PAUSE)
                changed = await self._client.wait(f"kv/{key}", query=query, index=index, wait=self._wait)
                if changed is None or changed.at < index:
                    break
                if changed.at > index:
                    index = changed.at
                    yield changed
            await asyncio.sleep(_WATCH_PAUSE)

    def _records(self, reply: ConsulReply) -> dict[str, Stored]:
        return {self._root.path(entry["Key"]): _stored(entry) for entry in reply.body or ()}


def _stored(entry: Mapping[str, Any]) -> Stored:
    return Stored(base64.b64decode(entry["Value"] or ""), Version(entry["ModifyIndex"]))


def _one(reply: ConsulReply) -> Stored | None:
    return _stored(reply.body[0]) if reply.body else None


def _written(reply: ConsulReply) -> Version:
    return Version(reply.body["Results"][-1]["KV"]["ModifyIndex"])


def _refusal(key: str, now: Stored | None) -> NoNode | BadVersion:
    return NoNode(key) if now is None else BadVersion(key)
