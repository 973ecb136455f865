"""vtorc's side of its server process: real processes, which are killed, stopped and asked."""

import asyncio
import http.client
import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from structlog.testing import capture_logs

from tests.unit.server.told import CALLER, LOST, WELL, heartbeat, recovery, snapshot, well
from vtorc.forms.frames import AnyFrame, RecoveryFrame, ReplyFrame, RequestFrame, ShardFrame
from vtorc.server import supervisor as server_supervisor
from vtorc.server.channel import FrameCutter, framed
from vtorc.server.link import MOST_REQUESTS, Answer, Link
from vtorc.server.listener import Listener, bind
from vtorc.server.options import ServerRules
from vtorc.server.outbox import MOST_KEYLESS
from vtorc.server.supervisor import NICENESS, ServerSupervisor

pytestmark = pytest.mark.usefixtures("quiet")

PATIENCE = 300.0
"""Seconds that a server process gets to start, on a machine that is busy with other tests as well."""

MANY = 6 * MOST_KEYLESS
"""More frames than the kernel and the outbox keep."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep the log lines of the test out of the output."""
    with capture_logs():
        yield


async def reply_with_kind(request: RequestFrame) -> ReplyFrame:
    """Answer with what was asked."""
    body = {"kind": request.kind, "origin": request.origin, **request.arguments}
    return ReplyFrame(id=request.id, status=200, body=msgspec.Raw(msgspec.json.encode(body)))


class Running:
    """A supervisor with its server process."""

    def __init__(self, supervisor: ServerSupervisor, address: tuple[str, int]) -> None:
        self.supervisor = supervisor
        self.address = address

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask the server for a path; returns the status and the JSON."""
        return await asyncio.to_thread(self._request, "GET", path, None)

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """Send the server an object."""
        return await asyncio.to_thread(self._request, "POST", path, msgspec.json.encode(body))

    async def until(self, path: str, is_so: Callable[[int, Any], bool]) -> Any:
        """Ask for a path until the answer is as wanted; returns the answer."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    status, body = await self.get(path)
                except (OSError, http.client.HTTPException):
                    status, body = 0, None
                if is_so(status, body):
                    return body
                await asyncio.sleep(0.02)

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body, {"content-type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, msgspec.json.decode(answer.read())
        finally:
            connection.close()


@asynccontextmanager
async def supervised(
    answer: Answer = reply_with_kind, is_busy: Callable[[], bool] = lambda: False
) -> AsyncIterator[Running]:
    """Run a server process that knows what `snapshot` tells."""
    bound = bind(Listener.TODAY, "127.0.0.1", 0)
    supervisor = ServerSupervisor([bound], ServerRules(), is_busy)
    task = asyncio.create_task(supervisor.run(snapshot, answer))
    running = Running(supervisor, bound.sock.getsockname()[:2])
    try:
        await running.until("/api/v1/status", lambda status, _: status == 200)
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bound.sock.close()
        assert server_pids() == set()


def server_pids() -> set[int]:
    """Return the ids of all server processes that this process has started, and that have not ended."""
    found = set()
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            if b"vtorc.server.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


async def spare_beside(pid: int | None) -> int:
    """Wait for a spare beside the server that runs; returns its process id."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if spares := server_pids() - {pid}:
                (spare,) = spares
                return spare
            await asyncio.sleep(0.02)


def test_a_server_starts_answers_and_starts_again_on_the_loop_of_the_daemon() -> None:
    """The daemon runs on uvloop, which refuses arguments for processes that asyncio's own loop takes."""

    async def main() -> None:
        async with supervised() as running:
            first = running.supervisor.pid
            assert first is not None
            assert (os.getsid(first), os.getpgid(first)) == (os.getsid(0), first)
            status, _ = await running.post(f"/api/v1/shards/{WELL}/plans", {"kind": "planned"})
            assert status == 200
            os.kill(first, signal.SIGKILL)
            await running.until("/api/v1/status", lambda status, _: status == 200 and running.supervisor.pid != first)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_a_server_yields_to_vtorc_and_hears_no_signal_of_its_terminal() -> None:
    """It is nicer than vtorc, in the same session, as Linux shares the processor between sessions first."""
    async with supervised() as running:
        pid = running.supervisor.pid
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        assert (os.getsid(pid), os.getpgid(pid)) == (os.getsid(0), pid)


async def test_a_server_tells_what_vtorc_knows_and_passes_requests_on() -> None:
    """A process begins with the snapshot, hears of changes, and gets answers from vtorc."""
    async with supervised() as running:
        _, listed = await running.get("/api/v1/shards?sort=name")
        assert [row["name"] for row in listed["items"]] == [WELL, LOST, "customer/-80"]
        running.supervisor.send(ShardFrame(shard=well(WELL, revision=2)))
        await running.until(f"/api/v1/shards/{WELL}", lambda _, body: body["revision"] == 2)
        planned = await running.post(f"/api/v1/shards/{WELL}/plans", {"kind": "planned"})
        assert planned == (200, {"kind": "planned", "origin": "127.0.0.1", "shard": WELL, "to": None})


async def test_a_server_that_is_killed_is_started_again_and_told_all() -> None:
    """After a kill -9 another process answers at the same address, and knows all."""
    async with supervised() as running:
        first = running.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await running.until("/api/v1/status", lambda status, _: status == 200 and running.supervisor.pid != first)
        _, listed = await running.get("/api/v1/recoveries")
        assert len(listed["items"]) == 2
        assert [(metric.name, metric.value) for metric in running.supervisor.metrics()] == [("HttpServerStarts", 2)]


async def test_a_spare_takes_the_place_of_a_server_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has started beforehand, is told all, and counts revisions from where it takes over; another spare follows."""
    monkeypatch.setattr(server_supervisor, "SPARE_AFTER", 0.05)
    async with supervised() as running:
        first = running.supervisor.pid
        assert first is not None
        spare = await spare_beside(first)
        before = (await running.get("/api/v1/shards"))[1]["revision"]
        os.kill(first, signal.SIGKILL)
        await running.until("/api/v1/status", lambda status, _: status == 200 and running.supervisor.pid == spare)
        _, listed = await running.get("/api/v1/shards?sort=name")
        assert [row["name"] for row in listed["items"]] == [WELL, LOST, "customer/-80"]
        assert listed["revision"] > before
        await spare_beside(spare)


async def test_a_spare_that_ends_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ended before it was needed is not what the next server is."""
    monkeypatch.setattr(server_supervisor, "SPARE_AFTER", 0.05)
    async with supervised() as running:
        first = running.supervisor.pid
        spare = await spare_beside(first)
        os.kill(spare, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while await spare_beside(first) == spare:  # noqa: ASYNC110 (the end of a process is no event)
                await asyncio.sleep(0.02)


async def test_no_spare_is_started_while_a_primary_is_being_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes half a second of processor to start, which the failover may need."""
    monkeypatch.setattr(server_supervisor, "SPARE_AFTER", 0.01)
    busy, looks = False, 0

    def is_busy() -> bool:
        nonlocal looks
        looks += 1
        return busy

    async with supervised(is_busy=is_busy) as running:
        spare = await spare_beside(running.supervisor.pid)
        busy = True
        os.kill(spare, signal.SIGKILL)
        seen = looks
        async with asyncio.timeout(PATIENCE):
            while looks < seen + 10:  # noqa: ASYNC110 (a look is no event)
                await asyncio.sleep(0.01)
        assert server_pids() == {running.supervisor.pid}
        busy = False
        await spare_beside(running.supervisor.pid)


async def test_a_server_that_is_stopped_costs_a_bounded_number_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the process reads nothing, sending returns at once and merges; once it goes on, it has the newest."""
    monkeypatch.setattr(server_supervisor, "LOOK_EVERY", 3600.0)
    async with supervised() as running:
        pid, link = running.supervisor.pid, running.supervisor.link
        assert pid is not None
        assert link is not None
        os.kill(pid, signal.SIGSTOP)
        for number in range(MANY):
            running.supervisor.send(ShardFrame(shard=well(WELL, revision=number)))
            running.supervisor.send(RecoveryFrame(recovery=recovery(number)))
            running.supervisor.send(heartbeat())
            if number % 50 == 0:
                await asyncio.sleep(0)
        assert link.waiting <= MOST_KEYLESS + 2
        assert link.dropped > 0
        os.kill(pid, signal.SIGCONT)
        newest = MANY - 1
        await running.until(f"/api/v1/shards/{WELL}", lambda _, body: body["revision"] == newest)
        assert running.supervisor.pid == pid


async def test_a_server_that_a_signal_has_stopped_is_made_to_go_on() -> None:
    """The same process answers again, and vtorc's log says why it did not."""
    with capture_logs() as logged:
        async with supervised() as running:
            pid = running.supervisor.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await running.until("/api/v1/status", lambda status, _: status == 200)
            assert running.supervisor.pid == pid
    assert [line["event"] for line in logged] == [
        "the HTTP server was stopped by a signal (SIGSTOP); vtorc makes it go on"
    ]


async def test_a_server_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers no heartbeat for a while is killed, and another one starts; one that answers is let alone."""
    monkeypatch.setattr(server_supervisor, "LOOK_EVERY", 0.05)
    for name in ("MOST_LOOKS_AT_START", "MOST_SILENT_LOOKS"):
        monkeypatch.setattr(server_supervisor, name, 10**6)
    monkeypatch.setattr(server_supervisor, "is_stopped", lambda pid: False)
    async with supervised() as running:

        async def beat() -> None:
            while True:
                running.supervisor.send(heartbeat())
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(beat())
        link, first = running.supervisor.link, running.supervisor.pid
        assert link is not None
        assert first is not None
        async with asyncio.timeout(PATIENCE):
            while link.signs_of_life < 3:  # noqa: ASYNC110 (a sign of life is no event)
                await asyncio.sleep(0.01)
        os.kill(first, signal.SIGSTOP)
        monkeypatch.setattr(server_supervisor, "MOST_SILENT_LOOKS", 20)
        await running.until("/api/v1/status", lambda status, _: status == 200 and running.supervisor.pid != first)
        beating.cancel()


async def test_a_server_that_gets_no_processor_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let alone for as long as one that starts, because a new one would get no processor either."""
    monkeypatch.setattr(server_supervisor, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(server_supervisor, "is_stopped", lambda pid: False)
    for name in ("MOST_LOOKS_AT_START", "MOST_SILENT_LOOKS"):
        monkeypatch.setattr(server_supervisor, name, 10**6)
    looks = itertools.count()
    async with supervised() as running:
        await _hears_of(running)
        first = running.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        monkeypatch.setattr(server_supervisor, "waited_for_processor", lambda pid: 0.02 * next(looks))
        monkeypatch.setattr(server_supervisor, "MOST_SILENT_LOOKS", 3)
        async with asyncio.timeout(PATIENCE):
            while next(looks) < 40:  # noqa: ASYNC110 (a look is no event)
                await asyncio.sleep(0.01)
        assert running.supervisor.pid == first
        monkeypatch.setattr(server_supervisor, "MOST_LOOKS_AT_START", 3)
        await running.until("/api/v1/status", lambda status, _: status == 200 and running.supervisor.pid != first)


def test_the_wait_for_a_processor_is_that_of_the_process() -> None:
    """It only grows; of a process that is gone none is known."""
    before = server_supervisor.waited_for_processor(os.getpid())
    assert 0.0 <= before <= server_supervisor.waited_for_processor(os.getpid())
    assert server_supervisor.waited_for_processor(2**22 + 1) == 0.0


async def _hears_of(running: Running) -> None:
    """Send heartbeats until the server has given three signs of life."""
    link = running.supervisor.link
    assert link is not None
    async with asyncio.timeout(PATIENCE):
        while link.signs_of_life < 3:
            running.supervisor.send(heartbeat())
            await asyncio.sleep(0.01)


async def test_a_stopped_server_is_ended_with_vtorc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not notice the end of its channel is killed."""
    monkeypatch.setattr(server_supervisor, "LOOK_EVERY", 3600.0)
    async with supervised() as running:
        pid = running.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)


async def test_a_listener_of_events_is_cut_off_without_a_word() -> None:
    """When vtorc ends, so does the server with its listeners, and that is no error in the log."""
    with capture_logs() as logged:
        async with supervised() as running:
            reader, writer = await asyncio.open_connection(*running.address)
            writer.write(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"event: status")
        assert await reader.read()
        writer.close()
    assert logged == []


async def test_too_many_requests_are_refused_at_once() -> None:
    """While as many requests as are allowed wait for an answer, a further one gets 503."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()

    async def never(request: RequestFrame) -> ReplyFrame:
        return await asyncio.Future()

    link = Link(ours, iter(()))
    answering = asyncio.create_task(link.answer_requests(never))
    for number in range(MOST_REQUESTS + 1):
        request = RequestFrame(id=number, kind="plan", arguments={}, caller=CALLER)
        await loop.sock_sendall(theirs, framed(msgspec.json.encode(request)))
    cutter = FrameCutter(1 << 20)
    (reply,) = list(cutter.feed(await loop.sock_recv(theirs, 1 << 16)))
    found = msgspec.json.decode(reply, type=AnyFrame)
    assert isinstance(found, ReplyFrame)
    assert (found.id, found.status) == (MOST_REQUESTS, 503)
    theirs.close()
    await answering
    link.close()


async def test_a_mistake_in_an_answer_is_an_answer() -> None:
    """A request that vtorc fails at by mistake gets 500 and a sentence, and the next one is answered."""

    async def fails(request: RequestFrame) -> ReplyFrame:
        if request.arguments["to"] is None:
            raise KeyError("x")
        return await reply_with_kind(request)

    async with supervised(fails) as running:
        status, problem = await running.post(f"/api/v1/shards/{WELL}/plans", {"kind": "planned"})
        assert (status, problem["title"]) == (500, "mistake of vtorc")
        status, _ = await running.post(f"/api/v1/shards/{WELL}/plans", {"kind": "planned", "to": "zone2-0000000102"})
        assert status == 200


async def test_the_server_process_is_given_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the process has none of vtorc's own variables."""
    monkeypatch.setenv("MYSQL_PASSWORD", "secret")
    async with supervised() as running:
        folder = Path(f"/proc/{running.supervisor.pid}")
        given = [(folder / name).read_bytes() for name in ("environ", "cmdline")]
    assert b"PYTHONPATH" in given[0]
    assert not [text for text in given if b"secret" in text]


async def test_a_mistake_in_a_snapshot_leaves_no_process_behind() -> None:
    """If vtorc cannot tell what it knows, the error is its own, and the processes that wait for it end."""
    bound = bind(Listener.TODAY, "127.0.0.1", 0)
    supervisor = ServerSupervisor([bound], ServerRules())

    def fails() -> Iterator[AnyFrame]:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await supervisor.run(fails, reply_with_kind)
    assert (supervisor.pid, supervisor.link, server_pids()) == (None, None, set())
    bound.sock.close()
