"""vtorc's end of the notifier: starts the process, and never waits for it but where a command must be heard.

Events that the notifier has not put into its outbox are kept here, and are sent again to the next one.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog

import vtorc
from vtorc.forms.webhook_state import WebhookStateForm
from vtorc.notifier.lines import (
    LONGEST_LINE,
    EndLine,
    EventLine,
    KeptLine,
    RanLine,
    RunLine,
    SaidLine,
    StartLine,
    StateLine,
    ToNotifier,
    from_notifier,
    line_of,
)
from vtorc.recovery.hooks import HookResult

MOST_KEPT = 1_000
"""Events that are kept while there is no notifier; a further one takes the place of the oldest."""

MOST_BUFFERED = 8 << 20
"""Bytes that may wait for the notifier to read them; with more it is replaced."""

FIRST_REST = 0.2
"""Seconds until a notifier that ended is started again; doubled each time, up to `LONGEST_REST`."""

LONGEST_REST = 5.0
"""Seconds that a rest grows to."""

STEADY = 30.0
"""Seconds of life after which the next rest is the first one again."""

ANSWER_WITHIN = 3.0
"""Seconds beyond the limit of a command within which the notifier tells of its end."""

_log = structlog.get_logger(__name__)


class NotifierHelper:
    """The notifier process of one vtorc."""

    def __init__(self, start: StartLine, changed: Callable[[], None] = lambda: None) -> None:
        """Begin each notifier with `start`, and call `changed` at each change of what is told of the webhook."""
        self._start = start
        self._changed = changed
        self._kept: OrderedDict[str, EventLine] = OrderedDict()
        self._writer: asyncio.StreamWriter | None = None
        self._is_there = asyncio.Event()
        self._runs = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[HookResult]] = {}
        self._past = WebhookStateForm()
        self._present = WebhookStateForm()
        self.process: subprocess.Popen[bytes] | None = None
        """The process; None while there is none."""
        self.dropped = 0
        """How many events were dropped because the notifier was away for long."""

    @property
    def state(self) -> WebhookStateForm:
        """How the webhook does, counted since vtorc started."""
        return msgspec.structs.replace(
            self._present,
            delivered=self._past.delivered + self._present.delivered,
            failed_tries=self._past.failed_tries + self._present.failed_tries,
        )

    def send_event(self, event: EventLine) -> None:
        """Send an event, now or to the next notifier; returns at once."""
        if len(self._kept) >= MOST_KEPT:
            self._kept.popitem(last=False)
            self.dropped += 1
            if self.dropped == 1:
                _log.error("events for the webhook are dropped: its notifier has been away for long")
            self._changed()
        self._kept[event.id] = event
        self._tell(event)

    async def run_command(self, command: str, words: Mapping[str, str], limit: float) -> HookResult:
        """Run a command for at most `limit` seconds; a cancelled call ends it. Raises nothing else."""
        loop = asyncio.get_running_loop()
        run = next(self._runs)
        ended: asyncio.Future[HookResult] = loop.create_future()
        self._waiting[run] = ended
        try:
            async with asyncio.timeout(limit + ANSWER_WITHIN):
                await self._is_there.wait()
                self._tell(RunLine(run=run, command=command, words=dict(words), limit=limit))
                return await ended
        except TimeoutError:
            self._tell(EndLine(run=run))
            return HookResult(result="was not run to its end, as the notifier hangs", output="", seconds=limit)
        except asyncio.CancelledError:
            self._tell(EndLine(run=run))
            raise
        finally:
            self._waiting.pop(run, None)

    async def keep_running(self) -> None:
        """Keep a notifier running until cancelled; it is then left to end by itself."""
        loop = asyncio.get_running_loop()
        rest = FIRST_REST
        while True:
            began = loop.time()
            try:
                how = await self._run_one()
            except OSError as error:
                how = f"could not be started ({error})"
            except Exception:
                _log.exception("vtorc itself made a mistake with its notifier; report this")
                how = "was given up"
            if loop.time() - began >= STEADY:
                rest = FIRST_REST
            _log.error(f"the notifier {how}; it is started again in {rest:g} s, and nothing else is held up")
            await asyncio.sleep(rest)
            rest = min(2 * rest, LONGEST_REST)

    async def _run_one(self) -> str:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = self.process = await asyncio.to_thread(_started, theirs)
            reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        except BaseException:
            ours.close()
            raise
        self._writer = writer
        self._tell(self._start)
        for event in self._kept.values():
            self._tell(event)
        self._is_there.set()
        try:
            while line := await reader.readline():
                self._take(line)
        except (ConnectionError, ValueError, msgspec.DecodeError) as error:
            _log.error(f"the notifier sent what vtorc does not know, so it is replaced: {error}")
        finally:
            self._writer = self.process = None
            self._is_there.clear()
            self._past, self._present = self.state, WebhookStateForm()
            writer.transport.abort()
            self._fail_runs()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 1.0)
        if process.returncode is None:
            process.kill()
            await asyncio.to_thread(process.wait)
        return f"ended with {process.returncode}"

    def _take(self, line: bytes) -> None:
        match from_notifier(line):
            case KeptLine(id=id_):
                self._kept.pop(id_, None)
            case RanLine(run=run, result=result, output=output, seconds=seconds):
                ended = self._waiting.get(run)
                if ended is not None and not ended.done():
                    ended.set_result(HookResult(result=result, output=output, seconds=seconds))
            case StateLine(state=state):
                self._present = state
                self._changed()
            case SaidLine(sentence=sentence, is_wrong=is_wrong):
                (_log.error if is_wrong else _log.info)(sentence)

    def _fail_runs(self) -> None:
        """End the wait for commands of a notifier that is gone: how they ended is not known."""
        for ended in self._waiting.values():
            if not ended.done():
                ended.set_result(
                    HookResult(result="has an unknown end, as the notifier ended before it", output="", seconds=0.0)
                )

    def _tell(self, line: ToNotifier) -> None:
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > MOST_BUFFERED:
            _log.error("the notifier reads nothing, so it is replaced")
            writer.transport.abort()
            return
        writer.write(line_of(line))


def _started(channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start the process; it has vtorc's environment, as the commands of operators had it in v12."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "vtorc.notifier.process", str(channel.fileno())],
        env={**os.environ, "PYTHONPATH": str(Path(vtorc.__file__).parents[1])},
        pass_fds=(channel.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # it may outlive vtorc for a while, and must not keep the reader of vtorc's log
        # Ctrl-C is for vtorc, and commands that run then go on to their end. The notifier gets no session of its own:
        # Linux shares the processor between sessions first (sched_autogroup), and its niceness would count for nothing.
        process_group=0,
    )
