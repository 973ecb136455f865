"""The notifier process, and vtorc's end of it: nothing is lost when either is killed."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.unit.notifier.receivers import FakeReceiver, receiving, until
from vtorc.notifier import process
from vtorc.notifier.helper import MOST_KEPT, NotifierHelper
from vtorc.notifier.lines import (
    EventLine,
    RanLine,
    RunLine,
    SaidLine,
    StartLine,
    WebhookOptions,
    from_notifier,
    line_of,
)
from vtorc.notifier.process import NICENESS
from vtorc.recovery.hooks import HookResult

LONG = 600.0


def start_line(receiver: FakeReceiver | None = None, *, outbox: str = "") -> StartLine:
    """Return the first line to a notifier, with a webhook if there is a receiver."""
    webhook = None
    if receiver is not None:
        webhook = WebhookOptions(url=receiver.url, secret="", ca="", retry_for=LONG, outbox=outbox)
    return StartLine(webhook=webhook, shell="bash")


def event(number: int) -> EventLine:
    """Return an event."""
    return EventLine(id=f"7-{number}", kind="news", at=time.time_ns(), body=msgspec.Raw(b'{"n": %d}' % number))


@asynccontextmanager
async def running(helper: NotifierHelper) -> AsyncIterator[None]:
    """Keep a notifier running until the end of the context."""
    task = asyncio.create_task(helper.keep_running())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_events_are_delivered_and_commands_run() -> None:
    """One process does both, and tells how the webhook does."""
    async with receiving() as receiver:
        helper = NotifierHelper(start_line(receiver))
        helper.send_event(event(1))
        async with running(helper):
            ended = await helper.run_command("echo {failureType}", {"failureType": "DeadPrimary"}, LONG)
            assert (ended.result, ended.output) == ("done", "DeadPrimary")
            await receiver.until(1)
            await until(lambda: helper.state.delivered == 1)
    assert receiver.got[0].body == b'{"n": 1}'


async def test_a_notifier_yields_to_vtorc_and_hears_no_signal_of_its_terminal() -> None:
    """It is nicer than vtorc, in the same session, as Linux shares the processor between sessions first."""
    helper = NotifierHelper(start_line())
    async with running(helper):
        assert (await helper.run_command("true", {}, LONG)).is_done
        assert helper.process is not None
        pid = helper.process.pid
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        assert (os.getsid(pid), os.getpgid(pid)) == (os.getsid(0), pid)


async def test_a_notifier_that_is_killed_loses_no_event(tmp_path: Path) -> None:
    """Events sent before, amid and after a kill are all delivered, and the wait for a command ends."""
    async with receiving() as receiver:
        helper = NotifierHelper(start_line(receiver, outbox=str(tmp_path / "o.sqlite")))
        async with running(helper):
            for number in range(30):
                helper.send_event(event(number))
                if number % 10 == 5:
                    await until(lambda: helper.process is not None)
                    assert helper.process is not None
                    helper.process.kill()
            await until(lambda: len({got.headers["x-vtorc-event-id"] for got in receiver.got}) == 30)
            command = asyncio.create_task(helper.run_command("sleep 1000", {}, LONG))
            await asyncio.sleep(0)
            await until(lambda: helper.process is not None)
            assert helper.process is not None
            helper.process.kill()
            ended = await asyncio.wait_for(command, LONG)
    assert ended.result == "has an unknown end, as the notifier ended before it"


async def test_a_vtorc_that_is_killed_loses_no_event(tmp_path: Path) -> None:
    """The notifier keeps what vtorc had sent, ends after it, and the next one delivers it."""
    outbox = str(tmp_path / "o.sqlite")
    async with receiving() as receiver:
        status = 503
        receiver.status = lambda _: status
        helper = NotifierHelper(start_line(receiver, outbox=outbox))
        helper.send_event(event(1))
        async with running(helper):
            await receiver.until(1)
            process = helper.process
            assert process is not None
        assert await asyncio.to_thread(process.wait) == 0
        status = 200
        async with running(NotifierHelper(start_line(receiver, outbox=outbox))):
            await until(lambda: len(receiver.got) > 1)
    assert {got.headers["x-vtorc-event-id"] for got in receiver.got} == {"7-1"}


async def test_a_command_goes_on_without_vtorc(tmp_path: Path) -> None:
    """A command that runs when vtorc ends is not ended with it."""
    begun, go, mark = tmp_path / "begun", tmp_path / "go", tmp_path / "mark"
    helper = NotifierHelper(start_line())
    async with running(helper):
        command = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.01; done; touch {mark}"
        waiting = asyncio.create_task(helper.run_command(command, {}, LONG))
        await until(begun.exists)
    assert not mark.exists()
    await asyncio.to_thread(go.touch)
    await until(mark.exists)
    waiting.cancel()


async def test_a_cancelled_command_ends() -> None:
    """vtorc gives up a command, and the notifier ends it."""
    helper = NotifierHelper(start_line())
    async with running(helper):
        first = asyncio.create_task(helper.run_command("sleep 1000", {}, LONG))
        ended = await helper.run_command("true", {}, LONG)
        assert ended.is_done
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        children = f"pgrep -P {helper.process.pid if helper.process else 0} -c sleep || true"
        while (await helper.run_command(children, {}, LONG)).output != "0":
            pass


async def test_events_without_a_notifier_are_bounded() -> None:
    """While there is no process a thousand events are kept, and the oldest of more are dropped and counted."""
    helper = NotifierHelper(start_line())
    for number in range(MOST_KEPT + 3):
        helper.send_event(event(number))
    assert helper.dropped == 3


async def test_an_outbox_that_cannot_be_used_holds_up_neither_events_nor_commands(tmp_path: Path) -> None:
    """Events are delivered from memory: a full disk had ended each notifier, and with it the commands."""
    async with receiving() as receiver:
        helper = NotifierHelper(start_line(receiver, outbox=str(tmp_path / "none" / "o.sqlite")))
        async with running(helper):
            helper.send_event(event(1))
            assert (await helper.run_command("true", {}, LONG)).is_done
            await until(lambda: helper.state.delivered == 1)


async def test_a_mistake_with_a_command_is_told_as_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer a recovery would wait for the whole limit of the command."""

    async def mistaken(*_: object) -> HookResult:
        raise ZeroDivisionError

    monkeypatch.setattr(process, "run_command", mistaken)
    ours, theirs = socket.socketpair()
    lines, writer = await asyncio.open_connection(sock=theirs)
    reader, near = await asyncio.open_connection(sock=ours)
    notifier = process.Notifier(start_line(), writer)
    near.write(line_of(RunLine(run=3, command="true", words={}, limit=LONG)))
    near.write_eof()
    await notifier.run(lines)
    writer.close()
    said, ran = from_notifier(await reader.readline()), from_notifier(await reader.readline())
    near.close()
    assert isinstance(said, SaidLine)
    assert "ZeroDivisionError" in said.sentence
    assert ran == RanLine(run=3, result="failed in vtorc itself (ZeroDivisionError)", output="", seconds=0.0)
