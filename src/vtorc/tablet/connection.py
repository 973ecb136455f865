"""One connection to one tablet process: dialled when needed, kept while it works, watched for its loss."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from vtorc.core.facts.ids import TabletAlias
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletError, TabletUnreachable
from vtorc.proto import query_pb2
from vtorc.tablet import convert
from vtorc.tablet.failures import explain, mysql_errno
from vtorc.tablet.reach import reach
from vtorc.tablet.settings import ClientSettings, Metadata

Address = tuple[str, int]

STREAM_HEALTH = "/queryservice.Query/StreamHealth"

_Answer = TypeVar("_Answer", bound=Message)
_Fact = TypeVar("_Fact")
_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_ON_THE_WAY = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


class Connection:
    """A gRPC channel to one address, and what was learned about who listens there.

    Left alone, a gRPC channel keeps dialling a dead host in the background and answers calls from memory. This one
    dials only for a call, asks the operating system first (`reach`), and throws away a channel that cannot get
    through: each answer is about now, and a process that is back is seen by the next call.

    `lacks` names calls that the process there does not know; it is forgotten with the process. So is whose tablet it
    is: an address may have been given to another tablet while the record of the one that had it is still there, and
    calls that are meant for that one must not reach the other (vtgate looks at the alias for the same reason: Vitess
    `go/vt/discovery/tablet_health_check.go`).
    """

    def __init__(self, address: Address, settings: ClientSettings) -> None:
        self.address = address
        self.lacks: set[str] = set()
        self.used_at = asyncio.get_running_loop().time()
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._monitor: asyncio.Task[None] | None = None
        self._up = False
        self._losses = 0
        self._introduced = False
        self._resident: TabletAlias | None = None
        self._watchers: set[asyncio.Queue[bool | None]] = set()
        self._users = 0
        self._doubtful = False
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody calls, streams or watches."""
        return not self._users and not self._watchers

    async def call(
        self,
        path: str,
        request: Message,
        answer: type[_Answer],
        *,
        what: str,
        timeout: float,
        metadata: Metadata,
        meant_for: TabletAlias,
    ) -> _Answer:
        """Make one call that takes at most `timeout` seconds once connected; it is cancelled with its caller.

        `path` is the gRPC path, `what` names call and tablet in errors. Raises TabletError, and sends nothing, if it is
        another tablet that answers here.
        """
        with self._in_use():
            channel = await self._connected(what)
            if not self._introduced:
                await self._introduce(channel, what, metadata)
            self.expect(meant_for, what)
            method = channel.unary_unary(
                path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
            )
            async with self._failures_told(channel, what, timeout):
                found = await method(request, timeout=timeout, metadata=metadata)
            return _decoded(found, answer, what)

    async def stream(
        self, path: str, request: Message, answer: type[_Answer], *, what: str, metadata: Metadata
    ) -> AsyncGenerator[_Answer, None]:
        """Yield the messages of a stream; it ends with TabletUnreachable, after the health timeout at the latest."""
        silence = self._settings.health_timeout
        with self._in_use():
            channel = await self._connected(what)
            method = channel.unary_stream(
                path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
            )
            async with self._failures_told(channel, what, None):
                running = method(request, metadata=metadata)
            losses = self._losses
            try:
                while True:
                    async with self._failures_told(channel, what, silence), asyncio.timeout(silence):
                        found = await running.read()
                    if found is grpc.aio.EOF:
                        raise TabletUnreachable(f"{what}: the tablet ended the stream", reason="unreachable")
                    if self._losses != losses:
                        raise _lost(what)
                    yield _decoded(found, answer, what)
            finally:
                running.cancel()

    def note_resident(self, alias: TabletAlias | None) -> None:
        """Remember whose tablet it is that speaks on the present connection; None if it does not tell."""
        if alias is not None:
            self._introduced, self._resident = True, alias

    def expect(self, alias: TabletAlias, what: str) -> None:
        """Raise TabletUnreachable if it is known that another tablet answers here."""
        if self._resident not in (None, alias):
            host, port = self.address
            raise TabletUnreachable(
                f"{what}: at its address, {host} port {port}, {self._resident} answers: its record is out of date",
                reason="unreachable",
            )

    async def watch(self) -> AsyncGenerator[bool, None]:
        """Yield whether there is a connection, now and at each change, until this one is closed."""
        changes: asyncio.Queue[bool | None] = asyncio.Queue()
        changes.put_nowait(None if self._closed else self._up)
        self._watchers.add(changes)
        try:
            while (up := await changes.get()) is not None:
                yield up
        finally:
            self._watchers.discard(changes)

    async def close(self) -> None:
        """Close the channel; calls that still run end with TabletUnreachable, watches just end."""
        self._closed = True
        channel = self._replace(None)
        if channel is not None:
            await channel.close()
        self._tell(None)

    async def _connected(self, what: str) -> grpc.aio.Channel:
        """Return a channel that is connected, or one that cannot connect and says why when it is used."""
        if self._closed:
            raise _closed(what)
        channel = self._channel
        if channel is None or channel.get_state() is not _READY:
            await self._reach(what)
            if self._closed:
                raise _closed(what)
            channel = await self._establish(what)
        elif self._doubtful:
            await self._reach(what)
        if channel is self._channel:
            self._mark(up=channel.get_state() is _READY)
        return channel

    async def _introduce(self, channel: grpc.aio.Channel, what: str, metadata: Metadata) -> None:
        """Ask whose tablet it is, once on each connection: a health stream begins with that.

        One that does not serve health streams, or says nothing on them for half the connect timeout (the questions of a
        shard in trouble have hardly longer), is believed to be the one that its record says.
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
            async with self._failures_told(channel, what, patience), asyncio.timeout(patience):
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
            raise _lost(what)
        self._introduced = True
        if isinstance(first, query_pb2.StreamHealthResponse) and first.HasField("tablet_alias"):
            self.note_resident(convert.alias(first.tablet_alias))

    async def _reach(self, what: str) -> None:
        host, port = self.address
        try:
            await reach(host, port, timeout=self._settings.connect_timeout)
        except TabletUnreachable as failure:
            raise TabletUnreachable(f"{what}: {failure}", reason=failure.reason) from failure

    async def _establish(self, what: str) -> grpc.aio.Channel:
        """Let gRPC connect, which somebody listening does not guarantee."""
        channel = self._channel
        if channel is None or channel.get_state() is _FAILED:
            channel = _open(self.address, self._settings)
            self._replace(channel)
        limit = self._settings.connect_timeout
        try:
            async with asyncio.timeout(limit):
                while (state := channel.get_state(try_to_connect=True)) in _ON_THE_WAY:
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            if self._channel is channel:
                self._replace(None)
            raise TabletUnreachable(
                f"{what}: the connection was accepted, but for {limit:g} s nobody spoke gRPC: the process may hang",
                reason="timeout",
            ) from None
        return channel

    def _replace(self, channel: grpc.aio.Channel | None) -> grpc.aio.Channel | None:
        """Use another channel, and return the old one.

        It is left to the calls that still run on it, which closing would cancel, and closes when the last one lets go.
        """
        old, self._channel = self._channel, channel
        if self._monitor is not None:
            self._monitor.cancel()
        self._monitor = None if channel is None else asyncio.create_task(self._follow(channel))
        self._mark(up=False)
        return old

    async def _follow(self, channel: grpc.aio.Channel) -> None:
        """Note each time that the channel gets or loses its connection; drop it once it cannot get one."""
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
            self.lacks.clear()
            self._introduced, self._resident = False, None
        self._tell(up)

    def _tell(self, up: bool | None) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(up)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.used_at = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def _failures_told(self, channel: grpc.aio.Channel, what: str, timeout: float | None) -> AsyncIterator[None]:
        """Translate failures, and remember whether the connection can still be believed in.

        A host that vanishes takes its connections along without a word. So after a call without an answer the next one
        knocks at the door first: that costs a dead host one connect timeout instead of a whole deadline each time.
        """
        losses = self._losses
        try:
            yield
        except grpc.aio.AioRpcError as error:
            self._doubtful = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if error.code() is grpc.StatusCode.UNAVAILABLE and not mysql_errno(error.details() or ""):
                raise await self._explained(error, channel, what, losses=losses) from error
            raise explain(error, what, timeout=timeout) from error
        except TimeoutError:
            self._doubtful = True
            raise TabletUnreachable(f"{what}: silent for {timeout:g} s", reason="timeout") from None
        except asyncio.CancelledError:
            self._doubtful = True
            if not self._closed or _is_being_cancelled():
                raise
            # gRPC reports a channel that was closed under a call as a cancellation, which it is not to the caller.
            raise _closed(what) from None
        except grpc.aio.UsageError:
            raise _closed(what) from None
        except grpc.aio.BaseError as error:
            kind = type(error).__name__  # its text is about gRPC's insides
            raise TabletUnreachable(f"{what}: gRPC could not send it: {kind}", reason="unreachable") from error
        else:
            self._doubtful = False

    async def _explained(
        self, error: grpc.aio.AioRpcError, channel: grpc.aio.Channel, what: str, *, losses: int
    ) -> TabletError:
        """Say what UNAVAILABLE means: gRPC uses it for every break, but tablets from v23 on use it too.

        A tablet's own leaves the connection standing.
        """
        text = error.details() or ""
        try:
            await self._reach(what)
        except TabletUnreachable as failure:
            return failure
        if channel.get_state() is _READY and self._losses == losses:
            return TabletCallFailed(f"{what}: {text}")
        return TabletUnreachable(f"{what}: no connection, though somebody listens: {text}", reason="unreachable")


def target(address: Address) -> str:
    """Name an address as gRPC wants it; literal IPv6 addresses stand in brackets."""
    host, port = address
    return f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"


def _open(address: Address, settings: ClientSettings) -> grpc.aio.Channel:
    options = settings.channel_options()
    if not settings.tls.wanted:
        return grpc.aio.insecure_channel(target(address), options=options)
    return grpc.aio.secure_channel(target(address), settings.tls.credentials(), options=options)


def _lost(what: str) -> TabletUnreachable:
    return TabletUnreachable(f"{what}: the connection was lost", reason="unreachable")


def _closed(what: str) -> TabletUnreachable:
    return TabletUnreachable(f"{what}: vtorc has closed its connection to this address", reason="unreachable")


def _decoded(found: object, expected: type[_Fact], what: str) -> _Fact:
    """Refuse what gRPC hands out in place of a message that it could not decode."""
    if not isinstance(found, expected):
        raise TabletBadAnswer(f"{what}: the answer is no {expected.__name__}: is this port a vttablet's?")
    return found


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
