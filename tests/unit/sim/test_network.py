import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from vtorc.sim.engine.loop import current_loop, run
from vtorc.sim.engine.network import CROSS_CELL, LOCAL, SAME_CELL, LinkFault, Network, NetworkError
from vtorc.sim.engine.process import Life, Process
from vtorc.sim.engine.stream import Stream, connect

Main = Callable[["Pair"], Awaitable[None]]


class Pair:
    """A client and a server process on hosts of their own."""

    def __init__(self) -> None:
        self.network = Network(current_loop().random)
        self.client_host = self.network.add_host("client", "zone1")
        self.server_host = self.network.add_host("server", "zone2")
        self.client: Life = Process(self.client_host, "client").start()
        self.server = Process(self.server_host, "server")
        self.server.start()
        self.done = 0

    async def work(self) -> int:
        await asyncio.sleep(1.0)
        self.done += 1
        return self.done

    async def call(self, deadline: float = 5.0) -> int:
        async with asyncio.timeout(deadline):
            return await self.network.call(self.client, self.server, self.work)

    def cut(self, *, there: bool = False, back: bool = False) -> None:
        client, server = frozenset({"client"}), frozenset({"server"})
        if there:
            self.network.impose(LinkFault(name="there", sources=client, targets=server, cut=True))
        if back:
            self.network.impose(LinkFault(name="back", sources=server, targets=client, cut=True))


def play(main: Main, *, seed: int = 1) -> None:
    async def start() -> None:
        await main(Pair())

    run(start(), seed=seed)


def test_a_call_brings_back_the_answer() -> None:
    """A call takes two latencies and the work in between."""

    async def main(pair: Pair) -> None:
        assert await pair.call() == 1
        assert 1.0 < current_loop().time() < 1.1

    play(main)


def test_an_error_of_the_handler_reaches_the_caller() -> None:
    """An error of the handler is raised at the caller."""

    async def main(pair: Pair) -> None:
        async def fail() -> None:
            raise ValueError("over there")

        with pytest.raises(ValueError, match="over there"):
            await pair.network.call(pair.client, pair.server, fail)

    play(main)


def test_a_stopped_process_refuses_and_a_dead_host_is_silent() -> None:
    """A host without the process answers with a refusal at once, a host without power lets the caller wait."""

    async def main(pair: Pair) -> None:
        pair.server.crash()
        with pytest.raises(NetworkError, match="refused"):
            await pair.call()
        assert current_loop().time() < 0.1
        pair.server_host.power_off()
        with pytest.raises(TimeoutError):
            await pair.call(deadline=2.0)

    play(main)


def test_a_call_to_a_dead_host_may_end_without_a_route() -> None:
    """Of the calls to a host without power some fail after seconds as unreachable."""

    async def main(pair: Pair) -> None:
        pair.server_host.power_off()
        reasons: list[str] = []
        for _ in range(30):
            try:
                await pair.call()
            except NetworkError as error:
                reasons.append(error.reason)
            except TimeoutError:
                reasons.append("timeout")
        assert set(reasons) == {"unreachable", "timeout"}

    play(main)


def test_a_cut_on_the_way_there_keeps_the_call_from_having_an_effect() -> None:
    """The request does not arrive, and once its caller gave up it never will."""

    async def main(pair: Pair) -> None:
        pair.cut(there=True)
        with pytest.raises(TimeoutError):
            await pair.call()
        pair.network.heal()
        await asyncio.sleep(10.0)
        assert pair.done == 0

    play(main)


def test_a_cut_on_the_way_back_hides_the_effect() -> None:
    """The request is carried out although its caller sees the same timeout."""

    async def main(pair: Pair) -> None:
        pair.cut(back=True)
        with pytest.raises(TimeoutError):
            await pair.call()
        assert pair.done == 1

    play(main)


def test_what_a_cut_holds_back_arrives_after_it() -> None:
    """A caller that is patient gets its answer once the cut is healed."""

    async def main(pair: Pair) -> None:
        pair.cut(there=True)
        current_loop().call_later(10.0, pair.network.heal)
        assert await pair.call(deadline=20.0) == 1
        assert 11.0 < current_loop().time() < 14.0

    play(main)


def test_requests_and_answers_get_lost() -> None:
    """On a lossy way some calls fail without an effect, some with one, and some succeed."""

    async def main(pair: Pair) -> None:
        pair.network.impose(LinkFault(name="rain", loss=0.4))
        seen: dict[tuple[bool, int], int] = {}
        for _ in range(60):
            before = pair.done
            try:
                await pair.call()
                answered = True
            except TimeoutError:
                answered = False
            outcome = (answered, pair.done - before)
            seen[outcome] = seen.get(outcome, 0) + 1
        assert set(seen) == {(True, 1), (False, 1), (False, 0)}

    play(main)


def test_a_cancelled_call_that_has_arrived_may_still_be_carried_out() -> None:
    """After the caller gave up the handler is sometimes stopped, sometimes not."""

    async def main(pair: Pair) -> None:
        for _ in range(30):
            with pytest.raises(TimeoutError):
                await pair.call(deadline=0.5)
        await asyncio.sleep(5.0)
        assert 0 < pair.done < 30

    play(main)


def test_a_process_that_dies_while_it_works_resets_its_callers() -> None:
    """The kernel resets the connections of a dead process; a host without power sends nothing."""

    async def main(pair: Pair) -> None:
        current_loop().call_later(0.5, pair.server.crash)
        with pytest.raises(NetworkError, match="reset"):
            await pair.call()
        pair.server.start()
        current_loop().call_later(0.5, pair.server_host.power_off)
        with pytest.raises(TimeoutError):
            await pair.call()
        assert pair.done == 0

    play(main)


def test_a_frozen_process_answers_when_it_thaws() -> None:
    """A call to a frozen process waits, without a refusal, and is carried out afterwards."""

    async def main(pair: Pair) -> None:
        pair.server.freeze()
        current_loop().call_later(4.0, pair.server.thaw)
        assert await pair.call(deadline=10.0) == 1
        assert current_loop().time() > 5.0

    play(main)


def test_a_dead_process_does_nothing_any_more() -> None:
    """A killed process sends nothing more, not even from its clean-ups."""

    async def main(pair: Pair) -> None:
        reached: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(10.0)
            finally:
                await pair.network.call(pair.client, pair.server, note)

        async def note() -> None:
            reached.append("a message from beyond")

        task = pair.client.spawn(work(), name="work")
        await asyncio.sleep(1.0)
        pair.client.process.crash()
        await asyncio.sleep(20.0)
        assert reached == []
        assert not task.done()

    play(main)


def test_a_frozen_process_sends_only_after_it_thaws() -> None:
    """A process that is frozen before it calls makes the call late, not never."""

    async def main(pair: Pair) -> None:
        pair.client.process.freeze()
        current_loop().call_later(3.0, pair.client.process.thaw)
        assert await pair.call(deadline=10.0) == 1
        assert current_loop().time() > 4.0

    play(main)


def test_latency_depends_on_the_distance() -> None:
    """The way to another cell is longer than to a host nearby, and that longer than to oneself."""
    generator = random.Random(1)
    means = [sum(each.draw(generator) for _ in range(1000)) for each in (LOCAL, SAME_CELL, CROSS_CELL)]
    assert means == sorted(means)
    assert all(each.least <= each.draw(generator) <= each.most for each in (LOCAL, SAME_CELL, CROSS_CELL))


async def _stream(pair: Pair) -> tuple[Stream, list[int], list[str]]:
    stream = await connect(pair.network, pair.client, pair.server)
    closed: list[str] = []
    stream.client.on_close = lambda: closed.append("client")
    stream.server.on_close = lambda: closed.append("server")
    return stream, [], closed


def test_a_stream_keeps_its_order_through_a_cut() -> None:
    """Messages before, during and after a cut arrive in the order in which they were sent."""

    async def main(pair: Pair) -> None:
        stream, seen, _ = await _stream(pair)
        for number in range(30):
            if number == 10:
                pair.cut(there=True)
            if number == 20:
                pair.network.heal()
            stream.client.send(seen.append, number)
            await asyncio.sleep(0.001)
        assert 10 <= len(seen) < 30
        await asyncio.sleep(5.0)
        assert seen == list(range(30))

    play(main)


def test_an_end_learns_that_its_peer_closed_or_died() -> None:
    """A close and the death of a process are noticed at the other end."""

    async def main(pair: Pair) -> None:
        stream, _, closed = await _stream(pair)
        stream.client.close()
        await asyncio.sleep(1.0)
        assert closed == ["server"]
        stream, _, closed = await _stream(pair)
        pair.server.crash()
        await asyncio.sleep(1.0)
        assert closed == ["client"]

    play(main)


def test_the_peer_of_a_host_without_power_learns_nothing_until_it_is_back() -> None:
    """A stream to a host that lost power stays open; after its return the first message is answered with a reset."""

    async def main(pair: Pair) -> None:
        stream, seen, closed = await _stream(pair)
        pair.server_host.power_off()
        await asyncio.sleep(60.0)
        assert closed == []
        pair.server_host.power_on()
        stream.client.send(seen.append, 1)
        await asyncio.sleep(1.0)
        assert (seen, closed) == ([], ["client"])

    play(main)


def test_an_end_knows_since_when_its_peer_can_not_have_been_heard() -> None:
    """Cuts towards this end and a frozen peer stop the heartbeat clock, a cut the other way does not."""

    async def main(pair: Pair) -> None:
        stream, _, _ = await _stream(pair)
        await asyncio.sleep(1.0)
        start = current_loop().time()
        pair.cut(there=True)
        await asyncio.sleep(1.0)
        assert stream.client.heard_until() == start + 1.0
        pair.cut(back=True)
        await asyncio.sleep(1.0)
        assert stream.client.heard_until() == start + 1.0
        pair.network.heal()
        pair.server.freeze()
        await asyncio.sleep(1.0)
        assert stream.client.heard_until() == start + 2.0
        pair.server_host.power_off()
        await asyncio.sleep(1.0)
        assert stream.client.heard_until() == start + 3.0

    play(main)


def test_a_frozen_process_is_connected_to_but_a_stopped_one_refuses() -> None:
    """The kernel accepts connections for a frozen process; what is sent waits there."""

    async def main(pair: Pair) -> None:
        pair.server.freeze()
        stream, seen, _ = await _stream(pair)
        stream.client.send(seen.append, 1)
        await asyncio.sleep(1.0)
        assert seen == []
        pair.server.thaw()
        assert seen == [1]
        pair.server.crash()
        with pytest.raises(NetworkError, match="refused"):
            await connect(pair.network, pair.client, pair.server)

    play(main)
