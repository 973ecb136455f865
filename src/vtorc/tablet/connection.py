"""One connection to one tablet process: dialled on first use, kept while it works, monitored for its loss."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from vtorc.core.facts.ids import TabletAlias
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletError, TabletUnreachable
from vtorc.proto import query_pb2
from vtorc.tablet import convert
from vtorc.tablet.certificates import Certificates
from vtorc.tablet.failures import explain, mysql_errno
from vtorc.tablet.last_status import LastStatus
from vtorc.tablet.reach import Timeout, reach
from vtorc.tablet.sending import about_to_send, context_without_checks
from vtorc.tablet.settings import ClientSettings, Metadata

Address = tuple[str, int]

STREAM_HEALTH = "/queryservice.Query/StreamHealth"

_Read = TypeVar("_Read")
_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_LOSS_IS_TOLD_WITHIN = 0.1
"""Seconds within which gRPC tells that a connection is gone after it has ended the calls on it."""

_CLOSED = "vtorc has closed its connection to this address"
_ON_THE_WAY = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


class Connection:
    """A gRPC channel to one address, and the facts learned about the tablet process that listens there.

    By itself a gRPC channel dials a dead host again and again, and fails calls with the result of the last attempt.
    This connection dials only for a call, after a test by the operating system (`reach`), and discards a channel that
    cannot connect. So each error is of the present, and the next call finds a process that has come back.

    `unknown_calls` names the calls that the process does not implement. It is cleared when the connection is lost, and
    so is the alias of the tablet that answers. An address may pass to another tablet while the record of the earlier
    one still exists. Calls to the earlier one must not reach it. Vitess' vtgate checks the alias for the same reason
    (`go/vt/discovery/tablet_health_check.go`).
    """

    def __init__(
        self,
        address: Address,
        settings: ClientSettings,
        certificates: Certificates,
        timeout: Timeout = asyncio.timeout,
    ) -> None:
        self.address = address
        self.unknown_calls: set[str] = set()
        self.last_status = LastStatus()
        self.used_at = asyncio.get_running_loop().time()
        self._settings = settings
        self._timeout = timeout
        self._certificates = certificates
        self._dial: asyncio.Task[grpc.aio.Channel] | None = None
        self._dialling = 0
        self._channel: grpc.aio.Channel | None = None
        self._monitor: asyncio.Task[None] | None = None
        self._up = False
        self._losses = 0
        self._identified = False
        self._alias: TabletAlias | None = None
        self._users = 0
        self._doubtful = False
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether no call and no stream is under way."""
        return not self._users

    async def call(
        self,
        path: str,
        request: Message,
        read: Callable[[bytes], _Read],
        *,
        call: str,
        timeout: float,
        metadata: Metadata,
        alias: TabletAlias,
    ) -> _Read:
        """Make one call that takes at most `timeout` seconds once connected; it is cancelled with its caller.

        `path` is the gRPC path, `read` reads the answer, and `call` names call and tablet in errors. If another tablet
        than `alias` answers at this address, it raises TabletUnreachable and sends nothing.
        """
        with self._in_use():
            channel = await self._connected(call)
            if not self._identified:
                await self._identify(channel, call, metadata)
            self.expect_alias(alias, call)
            method = channel.unary_unary(
                path, request_serializer=type(request).SerializeToString, response_deserializer=bytes
            )
            about_to_send()
            async with self._failures_translated(channel, call, timeout):
                found = await method(request, timeout=timeout, metadata=metadata)
            return _decoded(found, read, call, request)

    async def stream(
        self, path: str, request: Message, read: Callable[[bytes], _Read], *, call: str, metadata: Metadata
    ) -> AsyncGenerator[_Read, None]:
        """Yield the messages of a stream, which ends with TabletUnreachable; a silent one after the health timeout."""
        silence = self._settings.health_timeout
        with self._in_use():
            channel = await self._connected(call)
            method = channel.unary_stream(
                path, request_serializer=type(request).SerializeToString, response_deserializer=bytes
            )
            async with self._failures_translated(channel, call, None):
                running = method(request, metadata=metadata)
            losses = self._losses
            try:
                while True:
                    async with self._failures_translated(channel, call, silence), self._timeout(silence):
                        found = await running.read()
                    if not isinstance(found, bytes):
                        raise TabletUnreachable(f"{call}: the tablet ended the stream", reason="unreachable")
                    if self._losses != losses:
                        raise _lost(call)
                    yield _decoded(found, read, call, request)
            finally:
                running.cancel()

    def note_alias(self, alias: TabletAlias | None) -> None:
        """Remember the alias of the tablet on the present connection; None if it does not send one."""
        if alias is not None:
            self._identified, self._alias = True, alias

    def expect_alias(self, alias: TabletAlias, call: str) -> None:
        """Raise TabletUnreachable if another tablet is known to answer at this address."""
        if self._alias not in (None, alias):
            host, port = self.address
            raise TabletUnreachable(
                f"{call}: at its address, {host} port {port}, {self._alias} answers: its record is out of date",
                reason="unreachable",
            )

    async def close(self) -> None:
        """Close the channel; calls and streams that still run end with TabletUnreachable."""
        self._closed = True
        channel = self._replace(None)
        if channel is not None:
            await channel.close()

    async def _connected(self, call: str) -> grpc.aio.Channel:
        """Return a channel that is connected, or one that fails with the reason when it is used."""
        if self._closed:
            raise _closed(call)
        channel = self._channel
        if channel is None or channel.get_state() is not _READY:
            channel = await self._dialled(call)
        elif self._doubtful:
            await self._reach(call)
        if channel is self._channel:
            self._mark(up=channel.get_state() is _READY)
        return channel

    async def _dialled(self, call: str) -> grpc.aio.Channel:
        """Connect; calls that need a connection at the same time share one attempt.

        It ends with the last of them that waits. A later call gets an attempt of its own, so that its error is of the
        present.
        """
        if self._dial is None:
            name = f"dial {self.address[0]}:{self.address[1]}"
            self._dial = asyncio.create_task(self._connect(), name=name, context=context_without_checks())
            self._dial.add_done_callback(self._forget_dial)
        dial = self._dial
        self._dialling += 1
        try:
            return await asyncio.shield(dial)
        except TabletUnreachable as failure:
            raise TabletUnreachable(f"{call}: {failure}", reason=failure.reason) from failure
        finally:
            self._dialling -= 1
            if not self._dialling and not dial.done():
                self._dial = None
                dial.cancel()

    def _forget_dial(self, dial: asyncio.Task[grpc.aio.Channel]) -> None:
        if self._dial is dial:
            self._dial = None
        if not dial.cancelled():
            dial.exception()  # asyncio would log it as never retrieved if all callers were cancelled

    async def _connect(self) -> grpc.aio.Channel:
        host, port = self.address
        await reach(host, port, timeout=self._settings.connect_timeout, deadline=self._timeout)
        if self._closed:
            raise TabletUnreachable(_CLOSED, reason="unreachable")
        return await self._establish()

    async def _identify(self, channel: grpc.aio.Channel, call: str, metadata: Metadata) -> None:
        """Read the tablet's alias, once on each connection: the first message of a health stream has it.

        A tablet that serves no health stream, or sends nothing on it for half the connect timeout, counts as the one
        of the record. The wait is that short because probes of a suspicious shard have hardly more time.
        """
        losses = self._losses
        patience = self._settings.connect_timeout / 2
        method = channel.unary_stream(
            STREAM_HEALTH,
            request_serializer=query_pb2.StreamHealthRequest.SerializeToString,
            response_deserializer=query_pb2.StreamHealthResponse.FromString,
        )
        first = None
        try:
            async with self._failures_translated(channel, call, patience), self._timeout(patience):
                running = method(query_pb2.StreamHealthRequest(), metadata=metadata)
                try:
                    first = await running.read()
                finally:
                    running.cancel()
        except (TabletCallFailed, TabletCallUnknown):
            pass
        except TabletUnreachable as failure:
            if failure.reason != "timeout":
                raise
        if self._losses != losses or channel.get_state() is not _READY:
            raise _lost(call)
        self._identified = True
        if isinstance(first, query_pb2.StreamHealthResponse) and first.HasField("tablet_alias"):
            self.note_alias(convert.alias(first.tablet_alias))

    async def _reach(self, call: str) -> None:
        host, port = self.address
        try:
            await reach(host, port, timeout=self._settings.connect_timeout, deadline=self._timeout)
        except TabletUnreachable as failure:
            raise TabletUnreachable(f"{call}: {failure}", reason=failure.reason) from failure

    async def _establish(self) -> grpc.aio.Channel:
        """Let gRPC connect, which may fail although a process listens at the address."""
        channel = self._channel
        if channel is None or channel.get_state() is _FAILED:
            credentials = await self._certificates.current()
            if self._closed:
                raise TabletUnreachable(_CLOSED, reason="unreachable")
            channel = _open(self.address, self._settings, credentials)
            self._replace(channel)
        limit = self._settings.connect_timeout
        try:
            async with self._timeout(limit):
                while (state := channel.get_state(try_to_connect=True)) in _ON_THE_WAY:
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            if self._channel is channel:
                self._replace(None)
            raise TabletUnreachable(
                f"the connection was accepted, but without gRPC for {limit:g} s: the process may hang",
                reason="timeout",
            ) from None
        return channel

    def _replace(self, channel: grpc.aio.Channel | None) -> grpc.aio.Channel | None:
        """Use another channel, and return the old one.

        The old one is not closed here, which would cancel the calls that still run on it. It closes when the last of
        them has ended.
        """
        old, self._channel = self._channel, channel
        if self._monitor is not None:
            self._monitor.cancel()
        self._monitor = None if channel is None else asyncio.create_task(self._follow(channel))
        self._mark(up=False)
        return old

    async def _follow(self, channel: grpc.aio.Channel) -> None:
        """Note each time that the channel connects or loses its connection; discard it once it cannot connect."""
        while (state := channel.get_state()) is not _FAILED:
            self._mark(up=state is _READY)
            await channel.wait_for_state_change(state)
            if state is _READY:
                self._mark(up=False)
        self._replace(None)

    def _mark(self, *, up: bool) -> None:
        if up is self._up:
            return
        self._up = up
        if not up:
            self._losses += 1
            self.unknown_calls.clear()
            self._identified, self._alias = False, None

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.used_at = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def _failures_translated(
        self, channel: grpc.aio.Channel, call: str, timeout: float | None
    ) -> AsyncIterator[None]:
        """Translate failures, and remember whether the connection is in doubt.

        A host that vanishes does not close its connections. So after a call without an answer the next one tests the
        address first. With a dead host it then takes one connect timeout instead of its whole deadline.
        """
        losses = self._losses
        try:
            yield
        except grpc.aio.AioRpcError as error:
            self._doubtful = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if error.code() is grpc.StatusCode.UNAVAILABLE and not mysql_errno(error.details() or ""):
                raise await self._unavailable(error, channel, call, losses=losses) from error
            raise explain(error, call, timeout=timeout) from error
        except TimeoutError:
            self._doubtful = True
            raise TabletUnreachable(f"{call}: silent for {timeout:g} s", reason="timeout") from None
        except asyncio.CancelledError:
            self._doubtful = True
            if not self._closed or _is_being_cancelled():
                raise
            # gRPC reports the closing of the channel during a call as a cancellation, but the caller was not cancelled.
            raise _closed(call) from None
        except grpc.aio.UsageError:
            raise _closed(call) from None
        except grpc.aio.BaseError as error:
            kind = type(error).__name__  # the text of the error describes gRPC's internals
            raise TabletUnreachable(f"{call}: gRPC could not send it: {kind}", reason="unreachable") from error
        else:
            self._doubtful = False

    async def _unavailable(
        self, error: grpc.aio.AioRpcError, channel: grpc.aio.Channel, call: str, *, losses: int
    ) -> TabletError:
        """Translate UNAVAILABLE: gRPC uses it for every broken connection, but tablets from v23 on send it, too.

        After a tablet's own UNAVAILABLE the connection still stands. gRPC ends the calls of a broken connection a
        moment before it tells that the connection is gone.
        """
        text = error.details() or ""
        try:
            await self._reach(call)
        except TabletUnreachable as failure:
            return failure
        with suppress(TimeoutError, grpc.aio.UsageError):
            async with asyncio.timeout(_LOSS_IS_TOLD_WITHIN):
                await channel.wait_for_state_change(_READY)
        if channel.get_state() is _READY and self._losses == losses:
            return TabletCallFailed(f"{call}: {text}")
        return TabletUnreachable(f"{call}: no connection, though a process listens: {text}", reason="unreachable")


def target(address: Address) -> str:
    """Return gRPC's notation of an address; a literal IPv6 address is in brackets."""
    host, port = address
    return f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"


def _open(address: Address, settings: ClientSettings, tls: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    options = settings.channel_options()
    if tls is None:
        return grpc.aio.insecure_channel(target(address), options=options)
    return grpc.aio.secure_channel(target(address), tls, options=options)


def _lost(call: str) -> TabletUnreachable:
    return TabletUnreachable(f"{call}: the connection was lost", reason="unreachable")


def _closed(call: str) -> TabletUnreachable:
    return TabletUnreachable(f"{call}: {_CLOSED}", reason="unreachable")


def _decoded(wire: bytes, read: Callable[[bytes], _Read], call: str, request: Message) -> _Read:
    """Return what is read from the answer to `request`; raises TabletBadAnswer if it is no message of that call."""
    try:
        return read(wire)
    except DecodeError as error:
        expected = type(request).__name__.removesuffix("Request") + "Response"
        raise TabletBadAnswer(f"{call}: the answer is no {expected}: check that this port is a vttablet's") from error


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
