"""Runs the server process beside vtorc: starts it, tells it all, answers it, and starts it again when it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

import vtorc
from vtorc.forms.frames import AnyFrame, MetricForm
from vtorc.server.channel import framed
from vtorc.server.child_process import ChildProcess
from vtorc.server.link import Answer, Link
from vtorc.server.listener import BoundListener
from vtorc.server.options import ListenerOption, ServerOptions, ServerRules

FIRST_REST = 0.1
"""Seconds until a server that ended is started again; doubled each time, up to `LONGEST_REST`."""

LONGEST_REST = 5.0
"""Seconds that a rest grows to."""

STEADY = 5.0
"""Seconds of life after which the next rest is the first one again."""

NICENESS = 10
"""How much the server yields to vtorc itself, which may have a failover to carry out: also while Python starts."""

SPARE_AFTER = 3.0
"""Seconds between two looks at whether a spare server can be started: one that waits for its rules, ready to serve."""

LAST_WORDS = 1.0
"""Seconds that a server gets to end when vtorc stops."""

MOST_PATIENCE = 1.0
"""Seconds from its start in which a server may have to wait for what it is told, while vtorc is busy."""

LOOK_EVERY = 0.5
"""Seconds between two looks at whether the server goes on."""

MOST_SILENT_LOOKS = 20
"""Looks in a row without a sign of life after which a server counts as hanging. Looks and not seconds are counted: a
vtorc that was stopped itself has not heard the server either.
"""

MOST_LOOKS_AT_START = 120
"""The same for one that has given no sign of life yet, as Python takes seconds to start on a busy host. It is the same
for one that waits for a processor most of the time, too.
"""

MOST_UNREAD = 1 << 20
"""Bytes that the kernel is asked to keep for the server; it keeps what its settings allow (net.core.wmem_max)."""

_LONGEST_LINE = 1 << 16

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Started:
    """A server process that waits for its rules, or has got them."""

    process: ChildProcess
    channel: socket.socket
    """vtorc's end."""
    copying: asyncio.Task[None]
    """Logs what the process writes."""

    async def end(self) -> None:
        """Close the channel, and return once the process has ended."""
        self.channel.close()
        await _end(self.process)
        self.copying.cancel()
        await asyncio.gather(self.copying, return_exceptions=True)


class ServerSupervisor:
    """A FrameSink that passes everything on to a server process, as long as there is one.

    Frames that come while there is none are not kept: the next server begins with a snapshot.
    """

    def __init__(
        self, listeners: Sequence[BoundListener], rules: ServerRules, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        """Let the server accept connections on `listeners`.

        While vtorc `is_busy`, a server that starts anew is not told all at once.
        """
        self._is_busy = is_busy
        self._listeners = tuple(listeners)
        self._rules = rules
        self._link: Link | None = None
        self._process: ChildProcess | None = None
        self._spare: _Started | None = None
        self._starts = 0

    @property
    def pid(self) -> int | None:
        """The process id of the server; None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def link(self) -> Link | None:
        """The channel to the server; None while there is none."""
        return self._link

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        yield MetricForm(name="HttpServerStarts", labels={}, value=self._starts)

    def send(self, frame: AnyFrame) -> None:
        """Send a frame when the server has room for it."""
        if self._link is not None:
            self._link.send(frame)

    async def run(self, snapshot: Callable[[], Iterator[AnyFrame]], answer: Answer) -> None:
        """Keep a server process running until cancelled; each begins with a snapshot."""
        keeping = asyncio.create_task(self._keep_spare(), name="spare HTTP server")
        try:
            await self._keep_running(snapshot, answer)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            if self._spare is not None:
                await self._spare.end()
                self._spare = None

    async def _keep_running(self, snapshot: Callable[[], Iterator[AnyFrame]], answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        rest = FIRST_REST
        while True:
            began = loop.time()
            try:
                how = await self._run_one(snapshot, answer)
            except OSError as error:
                how = f"could not be started ({error})"
            if loop.time() - began >= STEADY:
                rest = FIRST_REST
            _log.error(f"the HTTP server {how}; it is started again in {rest:g} s, and nothing else is held up")
            await asyncio.sleep(rest)
            rest = min(2 * rest, LONGEST_REST)

    async def _keep_spare(self) -> None:
        """Keep a spare server while one runs.

        Python takes half a second of processor to start. That is spent while no primary is being replaced, and a server
        that takes the place of another one is there at once.
        """
        while True:
            await asyncio.sleep(SPARE_AFTER)
            if self._spare is not None and self._spare.process.returncode is not None:
                ended, self._spare = self._spare, None
                await ended.end()
            if self._spare is None and self._link is not None and not self._is_busy():
                with contextlib.suppress(OSError):  # it is tried again
                    self._spare = await self._start()

    async def _run_one(self, snapshot: Callable[[], Iterator[AnyFrame]], answer: Answer) -> str:
        """Run one server process to its end; returns how it ended."""
        spare, self._spare = self._spare, None
        started = spare or await self._start()
        process = started.process
        try:
            # As the first frame: all users of the host can read a command line.
            started.channel.sendall(framed(msgspec.json.encode(self._rules)))
            self._starts += 1
            loop = asyncio.get_running_loop()
            patient_until = loop.time() + MOST_PATIENCE
            self._process = process
            self._link = Link(started.channel, snapshot(), lambda: loop.time() < patient_until and self._is_busy())
            await self._until_either_ends(process, self._link, answer)
        finally:
            if self._link is not None:
                self._link.close()
            await started.end()
            self._process = self._link = None
        return f"ended with {process.returncode}"

    async def _until_either_ends(self, process: ChildProcess, link: Link, answer: Answer) -> None:
        """Return once the process or its channel has ended, or it hangs."""
        ends = [
            asyncio.create_task(process.wait(), name="HTTP server"),
            asyncio.create_task(link.answer_requests(answer), name="requests of the HTTP server"),
            asyncio.create_task(_wait_hanging(process, link), name="look at the HTTP server"),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _start(self) -> _Started:
        """Start a process, which waits for its rules; raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_UNREAD)
        try:
            process = await self._start_process(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Started(process, ours, asyncio.create_task(_copy_log(process), name="log of the HTTP server"))

    async def _start_process(self, channel: socket.socket) -> ChildProcess:
        options = ServerOptions(
            channel=channel.fileno(),
            listeners=[
                ListenerOption(listener=bound.listener, socket=bound.sock.fileno()) for bound in self._listeners
            ],
        )
        process = await ChildProcess.start(
            [
                sys.executable,
                "-P",  # nothing of the working directory is imported
                "-m",
                "vtorc.server.process",
                msgspec.json.encode(options).decode(),
            ],
            env=_environment(),
            pass_fds=(channel.fileno(), *(bound.sock.fileno() for bound in self._listeners)),
            longest_line=_LONGEST_LINE,
        )
        with contextlib.suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        return process


def _environment() -> dict[str, str]:
    """Return what the server needs to find this very vtorc; vtorc's own environment may hold secrets."""
    return {"PYTHONPATH": str(Path(vtorc.__file__).parents[1]), "LANG": os.environ.get("LANG", "C.UTF-8")}


async def _wait_hanging(process: ChildProcess, link: Link) -> None:
    """Return once the server gives no sign of life any more; one that a signal has stopped is made to go on.

    A look at a server that waited for a processor meanwhile tells little. On a starved host each server was killed
    before it had answered once, and each new one had to begin with everything.
    """
    silent = silent_with_processor = 0
    heard, waited = link.signs_of_life, waited_for_processor(process.pid)
    while silent < MOST_LOOKS_AT_START and (not heard or silent_with_processor < MOST_SILENT_LOOKS):
        await asyncio.sleep(LOOK_EVERY)
        if is_stopped(process.pid):
            _log.error("the HTTP server was stopped by a signal (SIGSTOP); vtorc makes it go on")
            process.send_signal(signal.SIGCONT)
        waited, waited_before = waited_for_processor(process.pid), waited
        if link.signs_of_life != heard:
            silent = silent_with_processor = 0
        else:
            silent += 1
            silent_with_processor += waited - waited_before < LOOK_EVERY / 2
        heard = link.signs_of_life
    _log.error(f"the HTTP server has given no sign of life for {silent * LOOK_EVERY:.0f} s, so it is killed")
    process.kill()


def waited_for_processor(pid: int) -> float:
    """Return the seconds for which a process was ready to run and got no processor; 0 where that is not known.

    That is the second number of /proc/PID/schedstat (Linux, Documentation/scheduler/sched-stats).
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def is_stopped(pid: int) -> bool:
    """Return whether a signal has stopped a process; where there is no /proc, that is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


async def _end(process: ChildProcess) -> None:
    """Wait until a server without its channel has ended; one that does not is killed."""
    try:
        async with asyncio.timeout(LAST_WORDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _copy_log(process: ChildProcess) -> None:
    """Log what the server writes to standard error, which is only what is wrong."""
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:
            continue  # a line that is longer than a log line should be
        if not line:
            return
        _log.warning(f"the HTTP server says: {line.decode(errors='replace').rstrip()}")
