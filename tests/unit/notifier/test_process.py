"""The notifier process: each command that vtorc orders gets an answer."""

import asyncio
import os
import socket

import pytest

from vtorc.notifier import process
from vtorc.notifier.lines import RanLine, RunLine, StartLine, from_notifier, line_of
from vtorc.notifier.process import Notifier
from vtorc.recovery.hooks import HookResult


async def test_a_command_that_cannot_be_begun_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a further open file says so; the recovery does not wait for the command's time limit."""

    async def no_file(*_: object) -> HookResult:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(process, "run_command", no_file)
    ours, theirs = socket.socketpair()
    reader, mine = await asyncio.open_connection(sock=ours)
    orders, writer = await asyncio.open_connection(sock=theirs)
    running = asyncio.create_task(Notifier(StartLine(webhook=None, traces=False, shell="bash"), writer).run(orders))
    mine.write(line_of(RunLine(run=7, command="true", words={}, limit=60.0)))
    told = from_notifier(await reader.readline())
    mine.close()
    await running
    writer.close()
    assert told == RanLine(run=7, result="could not be run: [Errno 24] Too many open files", output="", seconds=0.0)
