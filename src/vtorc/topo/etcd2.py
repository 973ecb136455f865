"""The topology in etcd v3, in the layout of Vitess' `etcd2` (`go/vt/topo/etcd2topo`).

A record is one key; its version is the key's mod_revision. A write that got no answer is tried again, on another
endpoint if there is one. If the record then has exactly the contents of the write, the first attempt counts as having
succeeded.
"""

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

import grpc
import structlog

from vtorc.errors import BadVersion, LockHeld, NodeExists, NoNode, TopoMisconfigured
from vtorc.files import contents_of
from vtorc.proto import etcd_pb2, mvcc_pb2
from vtorc.topo.conn import DEFAULT_LEASE_TTL, RecordChange, Stored, TopoLock, Version, differences
from vtorc.topo.etcd_client import EtcdClient, prefix_end
from vtorc.topo.etcd_lock_queue import LockQueue
from vtorc.topo.lease import OwnedLocks
from vtorc.topo.lock_contents import describe_lock
from vtorc.topo.root import TopoRoot

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTls:
    """Files for TLS; a client certificate is presented only if both it and its key are named, as in Vitess."""

    cert: str = ""
    key: str = ""
    ca: str = ""

    @property
    def has_client_cert(self) -> bool:
        """Whether a client certificate is presented to etcd."""
        return bool(self.cert and self.key)

    def credentials(self, scheme: str = "") -> grpc.ChannelCredentials | None:
        """Load the files for an endpoint of this scheme; None for a connection without TLS.

        `https` always means TLS and `http` never, as in etcd's own client (etcd
        `client/v3/internal/endpoint/endpoint.go`). Without a scheme, TLS is used if there is a client certificate.
        Raises TopoMisconfigured.
        """
        if scheme == "http" or not (self.has_client_cert or scheme == "https"):
            if self.cert or self.key or self.ca:
                log.warning(
                    "connections to etcd are made without TLS: it needs topo_etcd_tls_cert and topo_etcd_tls_key, or "
                    "an address that begins with https://",
                    cert=self.cert,
                    key=self.key,
                    ca=self.ca,
                )
            return None
        roots = _read("topo_etcd_tls_ca", self.ca) if self.ca else _system_roots()
        if not self.has_client_cert:
            return grpc.ssl_channel_credentials(roots)
        return grpc.ssl_channel_credentials(
            roots, _read("topo_etcd_tls_key", self.key), _read("topo_etcd_tls_cert", self.cert)
        )


class Etcd2Conn:
    """One root of an etcd cluster; see `TopoConn`."""

    def __init__(self, client: EtcdClient, root: str, *, lease_ttl: float = DEFAULT_LEASE_TTL) -> None:
        self._client = client
        self._root = TopoRoot(root)
        self._lease_ttl = lease_ttl
        self._locks = OwnedLocks()

    async def get(self, path: str) -> Stored:
        """Read one record."""
        found = await self._client.range(etcd_pb2.RangeRequest(key=self._key(path)))
        if not found.kvs:
            raise NoNode(self._root.key(path))
        return _stored(found.kvs[0])

    async def list_dir(self, path: str) -> Sequence[str]:
        """List the names directly below a directory."""
        prefix = self._prefix(path)
        request = etcd_pb2.RangeRequest(key=prefix, range_end=prefix_end(prefix), keys_only=True)
        found = await self._client.range(request)
        names = {kv.key.removeprefix(prefix).partition(b"/")[0] for kv in found.kvs}
        if not names:
            raise NoNode(self._root.key(path))
        return sorted(name.decode(errors="replace") for name in names)

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Read all records below a directory."""
        records, _ = await self._snapshot(path)
        return records

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a new record."""
        key = self._key(path)
        reply = await self._client.txn(
            etcd_pb2.TxnRequest(compare=[_absent(key)], success=[_put(key, contents)], failure=[_get(key)])
        )
        if reply.response.succeeded:
            return Version(reply.response.header.revision)
        now = _found(reply.response)
        if reply.repeated and now is not None and now.contents == contents:
            return now.version
        raise NodeExists(self._root.key(path))

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record."""
        key = self._key(path)
        unchanged = [] if version is None else [_unchanged(key, version)]
        reply = await self._client.txn(
            etcd_pb2.TxnRequest(compare=unchanged, success=[_put(key, contents)], failure=[_get(key)])
        )
        if reply.response.succeeded:
            return Version(reply.response.header.revision)
        now = _found(reply.response)
        if now is None:
            raise NoNode(self._root.key(path))
        if reply.repeated and now.contents == contents:
            return now.version
        raise BadVersion(self._root.key(path))

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record."""
        key = self._key(path)
        condition = _exists(key) if version is None else _unchanged(key, version)
        deletion = etcd_pb2.RequestOp(request_delete_range=etcd_pb2.DeleteRangeRequest(key=key))
        reply = await self._client.txn(
            etcd_pb2.TxnRequest(compare=[condition], success=[deletion], failure=[_get(key)])
        )
        if reply.response.succeeded:
            return
        if _found(reply.response) is not None:
            raise BadVersion(self._root.key(path))
        if not reply.repeated:
            raise NoNode(self._root.key(path))

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Queue for a lock."""
        queue = self._queue(directory, ttl)
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
        place = await self._queue(directory, ttl).join(contents, only_if_free=True)
        return place.lock

    async def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Watch one record."""
        key = self._key(path)
        last: Stored | None = None
        first = True
        while True:
            found = await self._client.range(etcd_pb2.RangeRequest(key=key))
            now = _stored(found.kvs[0]) if found.kvs else None
            if first or now != last:
                yield RecordChange(path, now)
            first, last = False, now
            async with contextlib.aclosing(self._events(key, b"", found.header.revision)) as events:
                async for event in events:
                    last = _stored(event.kv) if event.type == mvcc_pb2.Event.PUT else None
                    yield RecordChange(path, last)

    async def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Watch all records below a directory."""
        prefix = self._prefix(path)
        known: dict[str, Stored] = {}
        first = True
        while True:
            now, revision = await self._snapshot(path)
            changes = differences(known, now)
            if first or changes:
                yield changes
            first, known = False, now
            async with contextlib.aclosing(self._events(prefix, prefix_end(prefix), revision)) as events:
                async for event in events:
                    changed = self._path(event.kv.key)
                    if event.type == mvcc_pb2.Event.PUT:
                        known[changed] = _stored(event.kv)
                    else:
                        known.pop(changed, None)
                    yield [RecordChange(changed, known.get(changed))]

    async def close(self) -> None:
        """Abandon the locks and close the connection."""
        await self._locks.close()
        await self._client.close()

    async def _snapshot(self, path: str) -> tuple[dict[str, Stored], int]:
        prefix = self._prefix(path)
        found = await self._client.range(etcd_pb2.RangeRequest(key=prefix, range_end=prefix_end(prefix)))
        return {self._path(kv.key): _stored(kv) for kv in found.kvs}, found.header.revision

    async def _events(self, key: bytes, range_end: bytes, after: int) -> AsyncGenerator[mvcc_pb2.Event, None]:
        """Yield the events after a revision, until the stream breaks or etcd has compacted that revision away.

        They also end if etcd has not come to that revision: it was set back to an older state, and would stay silent.
        """
        request = etcd_pb2.WatchCreateRequest(key=key, range_end=range_end, start_revision=after + 1)
        async with contextlib.aclosing(self._client.watch(request)) as responses:
            async for response in responses:
                if response.created and response.header.revision < after:
                    return
                for event in response.events:
                    yield event

    def _queue(self, directory: str, ttl: float | None) -> LockQueue:
        seconds = math.ceil(self._lease_ttl if ttl is None else ttl)
        return LockQueue(self._client, self._locks, self._root.key(directory), ttl=seconds)

    def _key(self, path: str) -> bytes:
        return self._root.key(path).encode()

    def _prefix(self, directory: str) -> bytes:
        return self._root.prefix(directory).encode()

    def _path(self, key: bytes) -> str:
        return self._root.path(key.decode(errors="replace"))


def _stored(kv: mvcc_pb2.KeyValue) -> Stored:
    return Stored(kv.value, Version(kv.mod_revision))


def _found(response: etcd_pb2.TxnResponse) -> Stored | None:
    kvs = response.responses[0].response_range.kvs
    return _stored(kvs[0]) if kvs else None


def _get(key: bytes) -> etcd_pb2.RequestOp:
    return etcd_pb2.RequestOp(request_range=etcd_pb2.RangeRequest(key=key))


def _put(key: bytes, contents: bytes) -> etcd_pb2.RequestOp:
    return etcd_pb2.RequestOp(request_put=etcd_pb2.PutRequest(key=key, value=contents))


def _absent(key: bytes) -> etcd_pb2.Compare:
    return etcd_pb2.Compare(key=key, target=etcd_pb2.Compare.VERSION, result=etcd_pb2.Compare.EQUAL, version=0)


def _exists(key: bytes) -> etcd_pb2.Compare:
    return etcd_pb2.Compare(key=key, target=etcd_pb2.Compare.VERSION, result=etcd_pb2.Compare.GREATER, version=0)


def _unchanged(key: bytes, version: Version) -> etcd_pb2.Compare:
    return etcd_pb2.Compare(key=key, target=etcd_pb2.Compare.MOD, result=etcd_pb2.Compare.EQUAL, mod_revision=version)


def _read(setting: str, path: str) -> bytes:
    try:
        return contents_of(path)
    except OSError as error:
        raise TopoMisconfigured(f"{setting} {path!r} cannot be read: {error.strerror}; expected a PEM file") from error


def _system_roots() -> bytes | None:
    # Go uses the system's certificate authorities where the settings name none; gRPC would use a list of its own.
    bundle = ssl.get_default_verify_paths().cafile
    return contents_of(bundle) if bundle else None
