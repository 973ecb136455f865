"""Reads single keys from the terminal, without Enter."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def keyboard() -> AsyncIterator[asyncio.Queue[str]]:
    """Put each typed character into the queue while inside; the empty text marks the end of the input.

    Ctrl-C stays a signal. The terminal's settings are restored at the end.
    """
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    keys: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            typed = os.read(descriptor, 64).decode(errors="ignore")
            if not typed:
                loop.remove_reader(descriptor)
                keys.put_nowait("")
            if not typed.startswith("\x1b"):  # arrow keys send escape sequences, which mean nothing here
                for key in typed:
                    keys.put_nowait(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield keys
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
