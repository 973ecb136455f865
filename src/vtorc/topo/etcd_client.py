"""Calls to an etcd v3 cluster of several endpoints, each with a deadline, on our own stubs over grpc.aio.

Why not aetcd, the one maintained asyncio client (read at 1.0.0): a client is made for one host and port; its channel
is always insecure; one timeout serves all calls and a watch has none; a transaction's answer lacks the header, whose
revision is the place in the line for a lock; ranges cannot be limited by revision; no lease is kept alive, and its
lock is not Vitess'. What is left, the stubs, clashes with ours: both describe the package etcdserverpb.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import grpc

from vtorc.errors import TopoError, TopoMisconfigured, TopoTimeout, TopoUnavailable
from vtorc.proto import etcd_pb2, etcd_pb2_grpc

Answer = TypeVar("Answer")
Request = TypeVar("Request")

# etcd refuses pings more often than every 5 s, and any without a call under way.
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
    # The servers of a cluster's topology are dialled directly, whatever proxy the environment names for the web.
    ("grpc.enable_http_proxy", 0),
)
Credentials = Callable[[str], grpc.ChannelCredentials | None]
"""Gives the credentials for endpoints of a scheme (`https`, `http`, or none); None if those are not encrypted."""

# Answers that another member, or the same one a little later, may well give otherwise.
_PASSING = frozenset(
    (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )
)
# A member that is cut off from the others ends such streams instead of staying silent.
_REQUIRE_LEADER = (("hasleader", "true"),)
_LONGEST_PAUSE = 1.0
_WATCH_PAUSE = 0.1


class Reply(NamedTuple):
    """Answer to a transaction; `repeated` says that an earlier attempt got no answer and may have been carried out."""

    response: etcd_pb2.TxnResponse
    repeated: bool


@dataclass(slots=True)
class _Endpoint:
    address: str
    channel: grpc.aio.Channel
    kv: etcd_pb2_grpc.KVStub
    lease: etcd_pb2_grpc.LeaseStub
    watch: etcd_pb2_grpc.WatchStub


class EtcdClient:
    """An etcd cluster, one or several endpoints of it.

    A call goes to the endpoint that answered last; one that fails or is slow hands over to the next. Every call ends
    within `timeout` s. With several endpoints an attempt gets a part of that, which doubles from round to round: one
    slow endpoint costs little, and a cluster that is slow as a whole is still waited for.
    """

    def __init__(self, endpoints: Sequence[str], *, timeout: float, credentials: Credentials = lambda _: None) -> None:
        if not endpoints:
            raise TopoMisconfigured("no address of an etcd server: expected host:port, or several with commas between")
        self._timeout = timeout
        self._current = 0
        self._closed = False
        self._watches: dict[grpc.aio.StreamStreamCall[etcd_pb2.WatchRequest, etcd_pb2.WatchResponse], None] = {}
        self._endpoints = [_connect(address, credentials) for address in endpoints]

    @property
    def addresses(self) -> str:
        """All endpoints, for messages."""
        return ", ".join(endpoint.address for endpoint in self._endpoints)

    async def range(self, request: etcd_pb2.RangeRequest) -> etcd_pb2.RangeResponse:
        """Read one key or a range of keys, as the majority of the cluster has them."""
        response, _ = await self._call("range", lambda endpoint, timeout: endpoint.kv.Range(request, timeout=timeout))
        return response

    async def txn(self, request: etcd_pb2.TxnRequest) -> Reply:
        """Run one transaction."""
        return Reply(*await self._call("txn", lambda endpoint, timeout: endpoint.kv.Txn(request, timeout=timeout)))

    async def grant(self, lease: int, ttl: int) -> None:
        """Make a lease of `ttl` s under a number of our choice, so that it can be revoked even if no answer comes."""
        request = etcd_pb2.LeaseGrantRequest(ID=lease, TTL=ttl)

        async def attempt(endpoint: _Endpoint, timeout: float) -> None:
            try:
                await endpoint.lease.LeaseGrant(request, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:  # it exists: by an earlier attempt of ours
                    raise

        await self._call("lease grant", attempt)

    async def keep_alive(self, lease: int) -> bool:
        """Prolong a lease by its TTL; false if it is gone."""

        async def attempt(endpoint: _Endpoint, timeout: float) -> bool:
            over = asyncio.Event()
            requests = _once(etcd_pb2.LeaseKeepAliveRequest(ID=lease), over)
            stream = endpoint.lease.LeaseKeepAlive(requests, timeout=timeout, metadata=_REQUIRE_LEADER)
            try:
                answer = await stream.read()
            finally:
                over.set()
                stream.cancel()
            if not isinstance(answer, etcd_pb2.LeaseKeepAliveResponse):
                raise TopoUnavailable(f"the keep-alive stream ended: {await stream.details()}")
            return answer.TTL > 0

        alive, _ = await self._call("lease keep-alive", attempt)
        return alive

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys; nothing happens if it is gone."""
        request = etcd_pb2.LeaseRevokeRequest(ID=lease)

        async def attempt(endpoint: _Endpoint, timeout: float) -> None:
            try:
                await endpoint.lease.LeaseRevoke(request, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise

        await self._call("lease revoke", attempt)

    async def watch(self, request: etcd_pb2.WatchCreateRequest) -> AsyncGenerator[etcd_pb2.WatchResponse, None]:
        """Receive the answers to one watch on one endpoint until it breaks, then return.

        The caller reads what is there and watches on from that. Silence is no reason to end; gRPC's pings find out
        whether the endpoint still lives.
        """
        endpoint = self._endpoints[self._current]
        self._raise_if_closed()
        over = asyncio.Event()
        requests = _once(etcd_pb2.WatchRequest(create_request=request), over)
        stream = endpoint.watch.Watch(requests, metadata=_REQUIRE_LEADER)
        self._watches[stream] = None
        try:
            while isinstance(response := await stream.read(), etcd_pb2.WatchResponse):
                yield response
                if response.canceled:
                    break
        except grpc.aio.AioRpcError:
            self._leave(endpoint)
        except asyncio.CancelledError:
            self._raise_if_closed()
            raise
        finally:
            del self._watches[stream]
            over.set()
            stream.cancel()
        self._raise_if_closed()
        await asyncio.sleep(_WATCH_PAUSE)

    async def close(self) -> None:
        """Close all channels; calls under way raise TopoUnavailable."""
        self._closed = True
        for stream in self._watches:  # closing a channel does not end its idle streams
            stream.cancel()
        for endpoint in self._endpoints:
            await endpoint.channel.close()

    async def _call(self, what: str, attempt: Callable[[_Endpoint, float], Awaitable[Answer]]) -> tuple[Answer, bool]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        count = len(self._endpoints)
        first_share = self._timeout if count == 1 else max(0.1, self._timeout / (5 * count))
        tried = 0
        while True:
            self._raise_if_closed()
            endpoint = self._endpoints[self._current]
            share = min(first_share * 2 ** (tried // count), deadline - loop.time())
            try:
                return await attempt(endpoint, share), tried > 0
            except (grpc.aio.AioRpcError, TopoUnavailable) as error:
                self._leave(endpoint)  # even for good: this one may not be an etcd any more, or short of something
                trouble = _explain(endpoint, what, error)
            except asyncio.CancelledError:
                self._raise_if_closed()  # gRPC reports a closed channel so
                raise
            tried += 1
            pause = min(0.05 * 2 ** (tried // count), _LONGEST_PAUSE) if tried % count == 0 else 0.0
            if loop.time() + pause >= deadline:
                raise TopoTimeout(
                    f"etcd ({self.addresses}) did not answer a {what} within {self._timeout:g} s, lastly {trouble}; "
                    "check that it runs, has a leader and can be reached from here"
                )
            await asyncio.sleep(pause)

    def _leave(self, endpoint: _Endpoint) -> None:
        if self._endpoints[self._current] is endpoint:
            self._current = (self._current + 1) % len(self._endpoints)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise TopoUnavailable(f"the connection to etcd ({self.addresses}) was closed")


def prefix_end(prefix: bytes) -> bytes:
    """Name the first key after all that start with `prefix`, which must not end with a byte 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


async def _once(request: Request, over: asyncio.Event) -> AsyncGenerator[Request, None]:
    """Send one request and leave the stream open until it is over, which gRPC tells its requests only sometimes.

    The stream's `write` is no way around this: it waits for ever on a stream that is cancelled early.
    """
    yield request
    await over.wait()


def _connect(address: str, credentials: Credentials) -> _Endpoint:
    scheme, separator, host = address.strip().rpartition("://")
    if (separator and scheme not in ("http", "https")) or not host.rpartition(":")[2].isdecimal():
        raise TopoMisconfigured(f"etcd endpoint {address!r}: expected host:port")
    chosen = credentials(scheme)
    channel = (
        grpc.aio.insecure_channel(host, options=_CHANNEL_OPTIONS)
        if chosen is None
        else grpc.aio.secure_channel(host, chosen, options=_CHANNEL_OPTIONS)
    )
    return _Endpoint(
        host,
        channel,
        etcd_pb2_grpc.KVStub(channel),
        etcd_pb2_grpc.LeaseStub(channel),
        etcd_pb2_grpc.WatchStub(channel),
    )


def _explain(endpoint: _Endpoint, what: str, error: grpc.aio.AioRpcError | TopoUnavailable) -> str:
    """Say in a clause what went wrong for now; raises TopoError for what asking again does not cure."""
    if isinstance(error, TopoUnavailable):
        return f"{endpoint.address}: {error}"
    text = f"{endpoint.address}: {error.details() or ''} ({error.code().name.lower()})"
    if error.code() not in _PASSING:
        raise TopoError(f"etcd refused {what}: {text}; check its log, its alarms and its access rules") from error
    return text
