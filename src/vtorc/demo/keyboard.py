"""Single keys from the terminal, without Enter."""

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
    """Put what is typed into the queue while inside, one character each; the empty text means that there is no more.

    Ctrl-C stays a signal. The terminal is put back in the end.
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
            if not typed.startswith("\x1b"):  # arrows and the like are one key that means nothing here
                for key in typed:
                    keys.put_nowait(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield keys
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
