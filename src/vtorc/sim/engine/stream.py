"""Long-lived connections between processes: ordered messages both ways, and ends that notice each other's close."""

import asyncio
from collections.abc import Callable
from typing import Any

from vtorc.sim.engine.network import Network, NetworkError, Order
from vtorc.sim.engine.process import Life, Process


class End:
    """One end of a stream. `on_close` is called once, when this end learns that the stream is closed."""

    def __init__(self, stream: "Stream", life: Life) -> None:
        self._network = stream.network
        self.life = life
        self.peer: End
        """The other end."""
        self.open = True
        self.closed_at: float | None = None
        self.on_close: Callable[[], None] | None = None
        self._order = Order()
        life.at_end.append(self._process_ended)

    def send(self, arrive: Callable[..., object], *args: Any) -> None:
        """Have `arrive` called at the other end, after all earlier messages; does nothing once this end is closed."""
        if self.open:
            peer = self.peer
            self._network.post(self.life.host, peer.life.host, peer._receive, arrive, args, order=self._order)

    def close(self) -> None:
        """Close this end without a call of its `on_close`; the other end learns of it when the network lets it."""
        if self._shut():
            self._post(self.peer._closed)

    def heard_until(self) -> float:
        """Return until when heartbeats of the peer can have come: now, or when the link or the peer went silent."""
        peer = self.peer
        cut = self._network.cut_since(peer.life.host, self.life.host)
        frozen = peer.life.process.frozen_since if peer.life.alive else peer.life.ended_at
        silent = [since for since in (cut, frozen, peer.closed_at) if since is not None]
        return min(silent, default=asyncio.get_running_loop().time())

    def _post(self, arrive: Callable[..., object], *args: Any) -> None:
        self._network.post(self.life.host, self.peer.life.host, arrive, *args, order=self._order)

    def _receive(self, arrive: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.open:
            if self.life.runs:
                arrive(*args)
            else:
                self.life.process.when_running(self._handle, arrive, args)
        elif self.life.host.up:
            self._post(self.peer._closed)

    def _handle(self, arrive: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.open:
            arrive(*args)

    def _closed(self) -> None:
        self.life.process.when_running(self._notice)

    def _notice(self) -> None:
        if self._shut() and self.on_close is not None:
            self.on_close()

    def _process_ended(self) -> None:
        if self.open:
            self._mark_closed()
            if self.life.host.up:
                self._post(self.peer._closed)

    def _mark_closed(self) -> None:
        self.open = False
        self.closed_at = asyncio.get_running_loop().time()

    def _shut(self) -> bool:
        if not self.open:
            return False
        self._mark_closed()
        if self._process_ended in self.life.at_end:
            self.life.at_end.remove(self._process_ended)
        return True


class Stream:
    """A connection between a client's and a server's process; `connect` makes it."""

    def __init__(self, network: Network, client: Life, server: Life) -> None:
        self.network = network
        self.client = End(self, client)
        self.server = End(self, server)
        self.client.peer, self.server.peer = self.server, self.client


async def connect(network: Network, source: Life, target: Process) -> Stream:
    """Open a connection; it succeeds also with a frozen process, as the kernel accepts it.

    Raises NetworkError when no process listens. Waits for ever when no answer comes, so the caller needs a deadline.
    """
    await source.until_running()
    answer: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    def arrive() -> None:
        if not target.host.up:
            return
        if target.listening:
            network.post(target.host, source.host, accept, target.life)
        else:
            network.post(target.host, source.host, refuse)

    def accept(server: Life) -> None:
        if not answer.done():
            answer.set_result(Stream(network, source, server))

    def refuse() -> None:
        if not answer.done():
            answer.set_exception(NetworkError("refused", target))

    request = network.post(source.host, target.host, arrive)
    try:
        stream = await answer
    except asyncio.CancelledError:
        request.cancel()
        raise
    await source.until_running()
    return stream
