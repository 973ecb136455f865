"""Calls to an etcd v3 cluster of several endpoints, each with a deadline, on our own stubs over grpc.aio.

aetcd, the one maintained asyncio client (as of 1.0.0), does not serve:

* a client has one host and port, and its channel is always insecure;
* all calls share one timeout, and a watch has none;
* the answer to a transaction lacks the header, and its revision is the place in the queue for a lock;
* ranges cannot be limited by revision;
* no lease is kept alive, and its lock is not Vitess' lock;
* its stubs clash with ours, as both describe the package etcdserverpb.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import grpc

from vtorc.config.topo_kinds import HOST_PORTS, are_host_ports
from vtorc.errors import TopoError, TopoMisconfigured, TopoUnavailable
from vtorc.proto import etcd_pb2, etcd_pb2_grpc
from vtorc.topo.endpoints import Endpoints, Transient

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
    # The topology servers are dialled directly, even if the environment names a proxy for HTTP.
    ("grpc.enable_http_proxy", 0),
)
Credentials = Callable[[str], grpc.ChannelCredentials | None]
"""Returns the credentials for endpoints of a scheme (`https`, `http`, or none); None for a connection without TLS."""

# Errors that another member, or the same one a little later, may not have.
_TRANSIENT = frozenset(
    (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )
)
# With this, a member that is cut off from the others ends its streams; without it such a stream stays silent.
_REQUIRE_LEADER = (("hasleader", "true"),)
_WATCH_PAUSE = 0.1
"""Seconds after the end of a watch, so that a watch that breaks at once does not keep vtorc busy."""

_NO_CONNECTION = re.compile("failed to connect to all addresses")
"""In the details of an error of gRPC: the call was not sent."""


class Reply(NamedTuple):
    """Answer to a transaction; `repeated` if an earlier attempt got no answer, so that etcd may have carried it out."""

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
    """A client of one etcd cluster, with one or several of its endpoints.

    Every call ends within `timeout` s; `Endpoints` says which endpoint it goes to.
    """

    def __init__(self, endpoints: Sequence[str], *, timeout: float, credentials: Credentials = lambda _: None) -> None:
        if not endpoints:
            raise TopoMisconfigured("no address of an etcd server: expected host:port, or several separated by commas")
        self._watches: dict[grpc.aio.StreamStreamCall[etcd_pb2.WatchRequest, etcd_pb2.WatchResponse], None] = {}
        self._connected = [_connect(address, credentials) for address in endpoints]
        self._endpoints = Endpoints(
            self._connected,
            timeout=timeout,
            server=f"etcd ({', '.join(endpoint.address for endpoint in self._connected)})",
            advice="check that it runs, has a leader and can be reached from here",
        )

    async def range(self, request: etcd_pb2.RangeRequest) -> etcd_pb2.RangeResponse:
        """Read one key or a range of keys, linearizably."""
        response, _ = await self._call("range", lambda endpoint, timeout: endpoint.kv.Range(request, timeout=timeout))
        return response

    async def txn(self, request: etcd_pb2.TxnRequest) -> Reply:
        """Run one transaction."""
        return Reply(*await self._call("txn", lambda endpoint, timeout: endpoint.kv.Txn(request, timeout=timeout)))

    async def grant(self, lease: int, ttl: int) -> None:
        """Make a lease of `ttl` s under a number chosen here, so that it can be revoked even without an answer."""
        request = etcd_pb2.LeaseGrantRequest(ID=lease, TTL=ttl)

        async def attempt(endpoint: _Endpoint, timeout: float) -> None:
            try:
                await endpoint.lease.LeaseGrant(request, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:  # it exists from an earlier attempt
                    raise

        await self._call("lease grant", attempt)

    async def keep_alive(self, lease: int) -> bool:
        """Prolong a lease by its TTL; false if it has ended."""

        async def attempt(endpoint: _Endpoint, timeout: float) -> bool:
            finished = asyncio.Event()
            requests = _single_request(etcd_pb2.LeaseKeepAliveRequest(ID=lease), finished)
            stream = endpoint.lease.LeaseKeepAlive(requests, timeout=timeout, metadata=_REQUIRE_LEADER)
            try:
                answer = await stream.read()
            finally:
                finished.set()
                stream.cancel()
            if not isinstance(answer, etcd_pb2.LeaseKeepAliveResponse):
                raise TopoUnavailable(f"the keep-alive stream ended: {await stream.details()}")
            return answer.TTL > 0

        alive, _ = await self._call("lease keep-alive", attempt)
        return alive

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys; does nothing if it has ended."""
        request = etcd_pb2.LeaseRevokeRequest(ID=lease)

        async def attempt(endpoint: _Endpoint, timeout: float) -> None:
            try:
                await endpoint.lease.LeaseRevoke(request, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise

        await self._call("lease revoke", attempt)

    async def watch(self, request: etcd_pb2.WatchCreateRequest) -> AsyncGenerator[etcd_pb2.WatchResponse, None]:
        """Yield the answers to one watch on one endpoint, and return when the stream breaks.

        The caller then reads the present state and watches from there. A silent stream does not end: gRPC's pings find
        out whether the endpoint is alive.
        """
        endpoint = self._endpoints.current
        finished = asyncio.Event()
        requests = _single_request(etcd_pb2.WatchRequest(create_request=request), finished)
        stream = endpoint.watch.Watch(requests, metadata=_REQUIRE_LEADER)
        self._watches[stream] = None
        try:
            while isinstance(response := await stream.read(), etcd_pb2.WatchResponse):
                yield response
                if response.canceled:
                    break
        except grpc.aio.AioRpcError:
            self._endpoints.switch_from(endpoint)
        except asyncio.CancelledError:
            self._endpoints.raise_if_closed()
            raise
        finally:
            del self._watches[stream]
            finished.set()
            stream.cancel()
        self._endpoints.raise_if_closed()
        await asyncio.sleep(_WATCH_PAUSE)

    async def close(self) -> None:
        """Close all channels; calls under way raise TopoUnavailable."""
        self._endpoints.close()
        for stream in self._watches:  # closing a channel does not end its idle streams
            stream.cancel()
        for endpoint in self._connected:
            await endpoint.channel.close()

    async def _call(self, call: str, attempt: Callable[[_Endpoint, float], Awaitable[Answer]]) -> tuple[Answer, bool]:
        async def explained(endpoint: _Endpoint, timeout: float) -> Answer:
            try:
                return await attempt(endpoint, timeout)
            except (grpc.aio.AioRpcError, TopoUnavailable) as error:
                raise Transient(
                    _explain(endpoint, call, error), arrived=not _NO_CONNECTION.search(str(error))
                ) from error

        return await self._endpoints.call(call, explained)


def prefix_end(prefix: bytes) -> bytes:
    """Return the first key after all that start with `prefix`, which must not end with a byte 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


async def _single_request(request: Request, finished: asyncio.Event) -> AsyncGenerator[Request, None]:
    """Send one request and keep the stream open until `finished` is set.

    The event is needed because gRPC does not always end this generator together with the stream. The stream's `write`
    is no replacement for the generator: it waits for ever on a stream that is cancelled early.
    """
    yield request
    await finished.wait()


def _connect(address: str, credentials: Credentials) -> _Endpoint:
    scheme, _, host = address.strip().rpartition("://")
    if not are_host_ports(address):
        raise TopoMisconfigured(f"etcd endpoint {address!r}: expected {HOST_PORTS}")
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


def _explain(endpoint: _Endpoint, call: str, error: grpc.aio.AioRpcError | TopoUnavailable) -> str:
    """Describe a transient failure in one clause; raises TopoError for one that a retry does not cure."""
    if isinstance(error, TopoUnavailable):
        return f"{endpoint.address}: {error}"
    text = f"{endpoint.address}: {error.details() or ''} ({error.code().name.lower()})"
    if error.code() not in _TRANSIENT:
        raise TopoError(f"etcd refused {call}: {text}; check its log, its alarms and its access rules") from error
    return text
