"""One connection to one tablet process: dialled when needed, kept while it works, watched for its loss."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletError, TabletUnreachable
from vtorc.tablet.failures import explain, mysql_errno
from vtorc.tablet.reach import reach
from vtorc.tablet.settings import ClientSettings, Metadata

Address = tuple[str, int]

_Answer = TypeVar("_Answer", bound=Message)
_Fact = TypeVar("_Fact")
_READY = grpc.ChannelConnectivity.READY
_ON_THE_WAY = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


class Connection:
    """A gRPC channel to one address, and what was learned about who listens there.

    Left alone, a gRPC channel keeps dialling a dead host in the background and answers calls from memory. This one
    dials only for a call, asks the operating system first (`reach`), and throws away a channel that cannot get
    through: each answer is about now, and a process that is back is seen by the next call.

    `lacks` names calls that the process there does not know; it is forgotten with the process.
    """

    def __init__(self, address: Address, settings: ClientSettings) -> None:
        self.address = address
        self.lacks: set[str] = set()
        self.used_at = asyncio.get_running_loop().time()
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._monitor: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Queue[bool | None]] = set()
        self._users = 0
        self._doubtful = False
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody calls, streams or watches."""
        return not self._users and not self._watchers

    async def call(
        self, path: str, request: Message, answer: type[_Answer], *, what: str, timeout: float, metadata: Metadata
    ) -> _Answer:
        """Make one call that takes at most `timeout` seconds once connected; it is cancelled with its caller.

        `path` is the gRPC path, `what` names call and tablet in errors. Raises TabletError.
        """
        with self._in_use():
            async with self._failures_told(what, timeout):
                channel = await self._connected(what)
                method = channel.unary_unary(
                    path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
                )
                found = await method(request, timeout=timeout, metadata=metadata)
            return _decoded(found, answer, what)

    async def stream(
        self, path: str, request: Message, answer: type[_Answer], *, what: str, metadata: Metadata
    ) -> AsyncGenerator[_Answer, None]:
        """Yield the messages of a stream; it ends with TabletUnreachable, after the health timeout at the latest."""
        silence = self._settings.health_timeout
        with self._in_use():
            async with self._failures_told(what, None):
                channel = await self._connected(what)
                method = channel.unary_stream(
                    path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
                )
                running = method(request, metadata=metadata)
            try:
                while True:
                    async with self._failures_told(what, silence), asyncio.timeout(silence):
                        found = await running.read()
                    if found is grpc.aio.EOF:
                        raise TabletUnreachable(f"{what}: the tablet ended the stream", reason="unreachable")
                    yield _decoded(found, answer, what)
            finally:
                running.cancel()

    async def watch(self) -> AsyncGenerator[bool, None]:
        """Yield whether there is a connection, now and at each change, until this one is closed."""
        changes: asyncio.Queue[bool | None] = asyncio.Queue()
        changes.put_nowait(None if self._closed else self._monitor is not None)
        self._watchers.add(changes)
        try:
            while (up := await changes.get()) is not None:
                yield up
        finally:
            self._watchers.discard(changes)

    async def close(self) -> None:
        """Close the channel; calls that still run end with TabletUnreachable, watches just end."""
        self._closed = True
        self._went_down()
        self._tell(None)
        await self._discard()

    async def _connected(self, what: str) -> grpc.aio.Channel:
        """Return a channel that is connected, or one that cannot connect and says why when it is used."""
        if self._closed:
            raise _closed(what)
        if self._channel is None or self._channel.get_state() is not _READY:
            self._went_down()
            await self._reach(what)
            if self._closed:
                raise _closed(what)
            channel = await self._establish(what)
        else:
            channel = self._channel
            if self._doubtful:
                await self._reach(what)
        if self._monitor is None and channel.get_state() is _READY:
            self._monitor = asyncio.create_task(self._wait_for_loss(channel))
            self._tell(True)
        return channel

    async def _reach(self, what: str) -> None:
        host, port = self.address
        try:
            await reach(host, port, timeout=self._settings.connect_timeout)
        except TabletUnreachable as failure:
            raise TabletUnreachable(f"{what}: {failure}", reason=failure.reason) from failure

    async def _establish(self, what: str) -> grpc.aio.Channel:
        """Let gRPC connect, which somebody listening does not guarantee."""
        limit = self._settings.connect_timeout
        channel = self._channel = self._channel or _open(self.address, self._settings)
        try:
            async with asyncio.timeout(limit):
                while (state := channel.get_state(try_to_connect=True)) in _ON_THE_WAY:
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            await self._discard_if_alone()
            raise TabletUnreachable(
                f"{what}: the connection was accepted, but for {limit:g} s nobody spoke gRPC: the process may hang",
                reason="timeout",
            ) from None
        return channel

    async def _wait_for_loss(self, channel: grpc.aio.Channel) -> None:
        await channel.wait_for_state_change(_READY)
        self._went_down()

    def _went_down(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.cancel()
            self.lacks.clear()
            self._tell(False)

    def _tell(self, up: bool | None) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(up)

    async def _discard(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _discard_if_alone(self) -> None:
        """Throw the channel away unless others use it: closing would cancel their calls."""
        if self._users <= 1:
            await self._discard()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.used_at = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def _failures_told(self, what: str, timeout: float | None) -> AsyncIterator[None]:
        """Translate failures, and remember whether the connection can still be believed in.

        A host that vanishes takes its connections along without a word. So after a call without an answer the next one
        knocks at the door first: that costs a dead host one connect timeout instead of a whole deadline each time.
        """
        try:
            yield
        except grpc.aio.AioRpcError as error:
            self._doubtful = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            raise await self._explained(error, what, timeout) from error
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
        else:
            self._doubtful = False

    async def _explained(self, error: grpc.aio.AioRpcError, what: str, timeout: float | None) -> TabletError:
        """Say what an error means; UNAVAILABLE comes from gRPC, but from v23 on also from tablets that are well."""
        text = error.details() or ""
        if error.code() is not grpc.StatusCode.UNAVAILABLE or mysql_errno(text):
            return explain(error, what, timeout=timeout)
        try:
            await self._reach(what)
        except TabletUnreachable as failure:
            return failure
        if self._channel is not None and self._channel.get_state() is _READY:
            return TabletCallFailed(f"{what}: {text}")
        await self._discard_if_alone()
        return TabletUnreachable(f"{what}: no connection, though somebody listens: {text}", reason="unreachable")


def _open(address: Address, settings: ClientSettings) -> grpc.aio.Channel:
    host, port = address
    target = f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"
    options = settings.channel_options()
    if not settings.tls.wanted:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, settings.tls.credentials(), options=options)


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
