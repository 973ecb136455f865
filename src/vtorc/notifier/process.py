"""The notifier process: takes events and commands from vtorc, and ends after it, once what it has begun is done."""

import asyncio
import contextlib
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from vtorc.errors import ChannelError
from vtorc.forms.webhook_state import WebhookStateForm
from vtorc.notifier.commands import run_command
from vtorc.notifier.lines import (
    LONGEST_LINE,
    EndLine,
    EventLine,
    FromNotifier,
    KeptLine,
    RanLine,
    RunLine,
    SaidLine,
    StartLine,
    StateLine,
    line_of,
    to_notifier,
)
from vtorc.notifier.outbox import EventOutbox
from vtorc.notifier.post import Receiver
from vtorc.notifier.webhook import Webhook
from vtorc.recovery.hooks import HookResult

NICENESS = 5
"""How much this process yields to vtorc itself, which may have a failover to carry out."""

LAST_DELIVERIES = 3.0
"""Seconds that the webhook gets after vtorc has ended; what is left is delivered by the next one."""


if TYPE_CHECKING:  # its libraries are an extra of the package
    from vtorc.notifier.traces import Traces


class Notifier:
    """One life of the process."""

    def __init__(self, start: StartLine, writer: asyncio.StreamWriter) -> None:
        """Tell vtorc through `writer`; raises ValueError or OSError if the webhook cannot be used."""
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._shell = start.shell
        self._running: dict[int, asyncio.Task[None]] = {}
        self._traces = _traces(self._say_from_thread) if start.traces else None
        self._webhook: Webhook | None = None
        if (options := start.webhook) is not None:
            self._webhook = Webhook(
                EventOutbox(options.outbox, self._say),
                Receiver.of(options.url, secret=options.secret, ca=options.ca),
                options.retry_for,
                lambda state: self._tell(StateLine(state=state)),
                self._say,
            )

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Do what vtorc says until it ends, and then what has begun."""
        delivering = asyncio.create_task(self._deliver(), name="webhook")
        try:
            while line := await reader.readline():
                self._take(line)
        finally:
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            await asyncio.wait((delivering,), timeout=LAST_DELIVERIES if self._has_waiting else 0)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            if self._traces is not None:
                await asyncio.to_thread(self._traces.close)

    @property
    def _has_waiting(self) -> bool:
        return self._webhook is not None and self._webhook.is_behind

    async def _deliver(self) -> None:
        if self._webhook is not None:
            await self._webhook.run()

    def _take(self, line: bytes) -> None:
        match to_notifier(line):
            case EventLine(to="traces", id=id_, body=body):
                if self._traces is not None:
                    self._traces.add(bytes(body))
                self._tell(KeptLine(id=id_))
            case EventLine(id=id_, kind=kind, at=at, body=body):
                if self._webhook is not None:
                    self._webhook.add(id_, kind, at, bytes(body))
                self._tell(KeptLine(id=id_))
            case RunLine() as order:
                task = asyncio.create_task(self._run(order), name=f"command {order.run}")
                self._running[order.run] = task
                task.add_done_callback(lambda _: self._running.pop(order.run, None))
            case EndLine(run=run):
                if (running := self._running.get(run)) is not None:
                    running.cancel()
            case StartLine():
                raise ChannelError("vtorc began twice")

    async def _run(self, order: RunLine) -> None:
        try:
            ended = await run_command(self._shell, order.command, order.words, order.limit)
        except OSError as error:
            ended = HookResult(result=f"could not be run: {error}", output="", seconds=0.0)
        except Exception as error:
            # Without an answer a recovery would wait for the whole limit of the command, and hear of a hang.
            self._say(f"a command failed by a mistake of vtorc's own; report this: {traceback.format_exc()}", True)
            ended = HookResult(result=f"failed in vtorc itself ({type(error).__name__})", output="", seconds=0.0)
        self._tell(RanLine(run=order.run, result=ended.result, output=ended.output, seconds=ended.seconds))

    def _say(self, sentence: str, is_wrong: bool) -> None:
        self._tell(SaidLine(sentence=sentence, is_wrong=is_wrong))

    def _say_from_thread(self, sentence: str, is_wrong: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and vtorc before it
            self._loop.call_soon_threadsafe(self._say, sentence, is_wrong)

    def _tell(self, line: FromNotifier) -> None:
        if not self._writer.is_closing():
            self._writer.write(line_of(line))


def _traces(say: Callable[[str, bool], None]) -> "Traces | None":
    """Return the traces; None if they cannot be exported, which `say` is told."""
    try:
        from vtorc.notifier.traces import Traces

        return Traces(say)
    except ModuleNotFoundError as error:
        say(f"no traces are exported: {error.name} is missing; install it with pip install 'vtorc[tracing]'", True)
    except ValueError as error:
        say(f"no traces are exported: a variable OTEL_* of the environment is wrong: {error}", True)
    return None


async def _serve(descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor), limit=LONGEST_LINE)
    first = await reader.readline()
    if not first:
        return  # vtorc has ended already
    start = to_notifier(first)
    if not isinstance(start, StartLine):
        raise ChannelError("vtorc sent no first line")
    try:
        notifier = Notifier(start, writer)
    except (ValueError, OSError) as error:
        writer.write(line_of(SaidLine(sentence=f"the webhook cannot be used: {error}", is_wrong=True)))
        writer.write(line_of(StateLine(state=WebhookStateForm(last_error=str(error)))))
        notifier = Notifier(StartLine(webhook=None, shell=start.shell), writer)
    try:
        await notifier.run(reader)
    except ConnectionError:
        return  # vtorc has ended
    except Exception:
        sentence = f"the notifier failed by a mistake of vtorc's own; report this: {traceback.format_exc()}"
        writer.write(line_of(SaidLine(sentence=sentence, is_wrong=True)))
        await writer.drain()
        raise


def main(descriptor: int) -> None:
    """Serve vtorc at the other end of a socket."""
    os.nice(NICENESS)
    asyncio.run(_serve(descriptor))


if __name__ == "__main__":
    main(int(sys.argv[1]))
