"""The network between hosts: latency, loss, cuts in one or both directions, and calls over it.

It behaves as TCP does seen from above. Messages that a cut holds back arrive after the cut is healed, in order, if
their connection still exists. A call whose request or answer is lost waits for its caller's deadline; only the effect
shows which of the two was lost.
"""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vtorc.errors import VtorcError
from vtorc.sim.engine.process import Host, Life, LightTask, Process
from vtorc.sim.errors import SimError

_T = TypeVar("_T")

_NO_ROUTE_AFTER = 3.0
_NO_ROUTE_SHARE = 0.3
_CANCEL_ARRIVES_SHARE = 0.7
_OWN_DEADLINE = (0.2, 4.0)
_RETRANSMISSION = 0.2

_log = math.log


class NetworkError(SimError):
    """A call or a stream broke; `reason`: "refused" (no listener), "unreachable" (no route), "reset" (peer ended)."""

    def __init__(self, reason: str, peer: object) -> None:
        super().__init__(f"{reason}: {peer}")
        self.reason = reason


class NoAnswer(SimError):
    """A call took longer than its limit."""


@dataclass(frozen=True, slots=True)
class Latency:
    """One-way delay in seconds: at least `least`, `mean` on average, never more than `most`."""

    least: float
    mean: float
    most: float

    def draw(self, generator: random.Random) -> float:
        """Return one delay."""
        # As random.expovariate does, without its call: this runs thousands of times per second of virtual time.
        drawn = self.least - _log(1.0 - generator.random()) * (self.mean - self.least)
        return drawn if drawn < self.most else self.most


LOCAL = Latency(0.00001, 0.00003, 0.0005)
SAME_CELL = Latency(0.0001, 0.0003, 0.01)
CROSS_CELL = Latency(0.0008, 0.0015, 0.04)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault:
    """A fault of the links from each host of `sources` to each of `targets` (names; None: all hosts).

    `loss` is the share of calls that lose their request, and of those that lose their answer; `delay` is added, in
    seconds.
    """

    name: str
    sources: frozenset[str] | None = None
    targets: frozenset[str] | None = None
    cut: bool = False
    loss: float = 0.0
    delay: float = 0.0

    def applies(self, source: Host, target: Host) -> bool:
        """Whether it disturbs the link from `source` to `target`; a host always reaches itself."""
        return (
            source is not target
            and (self.sources is None or source.name in self.sources)
            and (self.targets is None or target.name in self.targets)
        )


class Order:
    """The time at which the last message of one direction of a stream arrives: no later one may arrive before."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0.0


class Parked:
    """A message that a cut holds back; it has a `timer` once the cut is healed and it is under way."""

    __slots__ = ("args", "arrive", "order", "timer")

    def __init__(self, arrive: Callable[..., object], args: tuple[Any, ...], order: Order | None) -> None:
        self.arrive = arrive
        self.args = args
        self.order = order
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Drop the message."""
        self.arrive = _nothing
        self.args = ()
        if self.timer is not None:
            self.timer.cancel()


class _Link:
    __slots__ = ("cut_since", "delay", "least", "loss", "most", "parked", "source", "spread", "target")

    def __init__(self, source: Host, target: Host) -> None:
        self.source = source
        self.target = target
        latency = LOCAL if source is target else SAME_CELL if source.cell == target.cell else CROSS_CELL
        self.least, self.most = latency.least, latency.most
        self.spread = latency.mean - latency.least
        self.cut_since: float | None = None
        self.loss = 0.0
        self.delay = 0.0
        self.parked: list[Parked] = []


class Network:
    """All hosts and the links between them."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self._draw = generator.random
        self._loop = asyncio.get_running_loop()
        self._links: dict[Host, dict[Host, _Link]] = {}
        self._faults: dict[LinkFault, None] = {}
        self.hosts: dict[str, Host] = {}

    def add_host(self, name: str, cell: str) -> Host:
        """Add a machine to a cell."""
        assert name not in self.hosts, f"there is a host {name} already"
        host = self.hosts[name] = Host(name, cell)
        self._links[host] = {}
        return host

    # --- faults

    def impose(self, fault: LinkFault) -> None:
        """Let a fault begin."""
        self._faults[fault] = None
        self._refresh()

    def lift(self, fault: LinkFault) -> None:
        """End a fault, if it is there; messages that it held back arrive after a retransmission."""
        self._faults.pop(fault, None)
        self._refresh()

    def heal(self) -> None:
        """End all faults."""
        self._faults.clear()
        self._refresh()

    def is_open(self, source: Host, target: Host) -> bool:
        """Whether messages from `source` reach `target`."""
        return source.up and target.up and self._link(source, target).cut_since is None

    def cut_since(self, source: Host, target: Host) -> float | None:
        """Return since when the link from `source` to `target` is cut, None if it is not; hosts may be down."""
        return self._link(source, target).cut_since

    # --- messages

    def post(
        self, source: Host, target: Host, arrive: Callable[..., object], *args: Any, order: Order | None = None
    ) -> asyncio.TimerHandle | Parked:
        """Send a message: `arrive` is called when it arrives, also after a cut; messages of one `order` keep theirs.

        Cancelling the returned handle loses the message.
        """
        return self.send(self._links[source].get(target) or self._link(source, target), arrive, args, order)

    def call(
        self,
        source: Life,
        target: Process,
        handler: Callable[[], Coroutine[Any, Any, _T]],
        *,
        limit: float | None = None,
    ) -> Coroutine[Any, Any, _T]:
        """Run `handler` in `target` and return its result, or raise its error.

        Raises NetworkError when `target` does not listen or ends while it works, NoAnswer after `limit` seconds. Waits
        for ever when request or answer is lost, so the caller needs a limit or a deadline. A call that is given up or
        cancelled has its effect if it had arrived; its handler is cancelled in turn, sooner or later.
        """
        return self._answer(source, _Call(self, source, target, handler), limit)

    def call_light(
        self,
        source: Life,
        target: Process,
        handler: Callable[[], Coroutine[Any, Any, _T]],
        *,
        limit: float | None = None,
    ) -> Coroutine[Any, Any, _T]:
        """Do as `call` does, with a handler that runs as a `LightTask`."""
        return self._answer(source, _LightCall(self, source, target, handler), limit)

    def call_instantly(
        self, source: Life, target: Process, answer: Callable[[], _T], *, limit: float | None = None
    ) -> Coroutine[Any, Any, _T]:
        """Do as `call` does, with an `answer` that takes no time in `target`."""
        return self._answer(source, _InstantCall(self, source, target, answer), limit)

    async def _answer(self, source: Life, exchange: "_InstantCall[_T]", limit: float | None) -> _T:
        if not source.runs:
            await source.until_running()
        exchange.begin()
        expiry = None if limit is None else self._loop.call_at(self._loop.time() + limit, exchange.expire)
        try:
            result = await exchange.answer
        except asyncio.CancelledError:
            exchange.abandon()
            raise
        except Exception as error:
            if isinstance(error, NoAnswer):
                exchange.abandon()
            await source.until_running()
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
        if not source.runs:
            await source.until_running()
        return result

    def link(self, source: Host, target: Host) -> _Link:
        """Return the link from one host to another; its faults are those of now, also later."""
        return self._links[source].get(target) or self._link(source, target)

    def loses(self, link: _Link) -> bool:
        """Draw whether a message of a call gets lost on this link."""
        return link.loss > 0 and self._draw() < link.loss

    def send(
        self, link: _Link, arrive: Callable[..., object], args: tuple[Any, ...], order: Order | None = None
    ) -> asyncio.TimerHandle | Parked:
        """Send a message over a link, as `post` does."""
        if link.cut_since is not None:
            parked = Parked(arrive, args, order)
            link.parked.append(parked)
            return parked
        return self._launch(link, 0.0, arrive, args, order)

    def new_answer(self) -> "asyncio.Future[Any]":
        """Return a future for the answer to a call."""
        return self._loop.create_future()

    def chance(self, share: float) -> bool:
        """Draw an event of probability `share`."""
        return self._random.random() < share

    def delay_between(self, least: float, most: float) -> float:
        """Draw a time in seconds."""
        return self._random.uniform(least, most)

    def _launch(
        self, link: _Link, wait: float, arrive: Callable[..., object], args: tuple[Any, ...], order: Order | None
    ) -> asyncio.TimerHandle:
        # As `Latency.draw`, without its call: thousands of messages are sent in each second of real time.
        delay = link.least - _log(1.0 - self._draw()) * link.spread
        if delay > link.most:
            delay = link.most
        delay += link.delay
        while link.loss and self._draw() < link.loss and delay < 1.0:
            delay += _RETRANSMISSION
        when = self._loop.time() + wait + delay
        if order is not None:
            # Later by the least difference, as an ordinary event loop may run two timers of one instant in any order.
            if when <= order.last:
                when = math.nextafter(order.last, math.inf)
            order.last = when
        return self._loop.call_at(when, arrive, *args)

    def _link(self, source: Host, target: Host) -> _Link:
        link = self._links[source].get(target)
        if link is None:
            link = self._links[source][target] = _Link(source, target)
            self._apply(link)
        return link

    def _refresh(self) -> None:
        for links in self._links.values():
            for link in links.values():
                self._apply(link)

    def _apply(self, link: _Link) -> None:
        faults = [fault for fault in self._faults if fault.applies(link.source, link.target)]
        link.loss = max((fault.loss for fault in faults), default=0.0)
        link.delay = sum(fault.delay for fault in faults)
        cut = any(fault.cut for fault in faults)
        if cut and link.cut_since is None:
            link.cut_since = self._loop.time()
        elif not cut and link.cut_since is not None:
            link.cut_since = None
            parked, link.parked = link.parked, []
            wait = self._random.uniform(0.05, 1.5)
            for each in parked:
                each.timer = self._launch(link, wait, each.arrive, each.args, each.order)


class _InstantCall(Generic[_T]):
    """A call that its target answers at the moment at which it arrives."""

    __slots__ = ("_abandoned", "_handler", "_network", "_request", "_source", "_target", "answer")

    def __init__(self, network: Network, source: Life, target: Process, handler: Callable[[], Any]) -> None:
        self._network = network
        self._source = source
        self._target = target
        self._handler = handler
        self._request: asyncio.TimerHandle | Parked | None = None
        self._abandoned = False
        self.answer: asyncio.Future[_T] = network.new_answer()

    def begin(self) -> None:
        """Send the request."""
        network = self._network
        link = network.link(self._source.host, self._target.host)
        if not (link.loss and network.loses(link)):
            self._request = network.send(link, self._arrive, ())

    def expire(self) -> None:
        """Fail with NoAnswer, as the limit has passed."""
        if not self.answer.done():
            self.answer.set_exception(NoAnswer(f"no answer from {self._target}"))

    def abandon(self) -> None:
        """Stop waiting; a request that is under way arrives all the same, one that a cut holds back does not."""
        self._abandoned = True
        if self._request is not None and not self._network.is_open(self._source.host, self._target.host):
            self._request.cancel()

    def _arrive(self) -> None:
        target = self._target
        if target.life.runs and not target.port_closed:
            self._execute()
        elif not target.host.up:
            if self._network.chance(_NO_ROUTE_SHARE):
                asyncio.get_running_loop().call_later(_NO_ROUTE_AFTER, self._fail, "unreachable")
        elif not target.listening:
            self._reply(self._fail, "refused")
        else:
            target.when_running(self._execute)

    def _execute(self) -> None:
        try:
            result = self._target.life.run(self._handler)
        except VtorcError as error:
            self._answered(self._raise, error)
        else:
            self._answered(self._return, result)

    def _answered(self, arrive: Callable[..., object], outcome: object) -> None:
        if self._abandoned:
            return
        network, target = self._network, self._target
        link = network.link(target.host, self._source.host)
        if link.loss and network.loses(link):
            return
        if target.life.runs:
            network.send(link, arrive, (outcome,))
        else:
            target.when_running(self._reply, arrive, outcome)

    def _reply(self, arrive: Callable[..., object], outcome: object) -> None:
        self._network.post(self._target.host, self._source.host, arrive, outcome)

    def _return(self, result: _T) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def _raise(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _fail(self, reason: str) -> None:
        self._raise(NetworkError(reason, self._target))


class _Call(_InstantCall[_T]):
    """A call that a task of its target executes."""

    __slots__ = ("_task",)

    def __init__(self, network: Network, source: Life, target: Process, handler: Callable[[], Any]) -> None:
        super().__init__(network, source, target, handler)
        self._task: asyncio.Task[_T] | LightTask[_T] | None = None

    def abandon(self) -> None:
        """Stop waiting; the task at the target is cancelled, sooner or later."""
        task = self._task
        if task is None:
            super().abandon()
            return
        self._abandoned = True
        if self._network.chance(_CANCEL_ARRIVES_SHARE):
            self._network.post(self._source.host, self._target.host, task.cancel)
        # The request carries its deadline: where no cancellation arrives, the target gives up by itself.
        asyncio.get_running_loop().call_later(self._network.delay_between(*_OWN_DEADLINE), task.cancel)

    def _execute(self) -> None:
        self._task = self._target.life.serve(self._handler(), name="call", done=self._executed)

    def _executed(self, task: "asyncio.Task[_T] | LightTask[_T]") -> None:
        if task.cancelled():
            if not self._abandoned and self._target.host.up:
                self._reply(self._fail, "reset")
        elif (error := task.exception()) is not None:
            self._answered(self._raise, error)
        else:
            self._answered(self._return, task.result())


class _LightCall(_Call[_T]):
    """A call that a light task of its target executes."""

    __slots__ = ()

    def _execute(self) -> None:
        self._task = self._target.life.serve_light(self._handler(), self._executed)


def _nothing() -> None:
    return None
