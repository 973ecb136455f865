"""A pseudo-terminal on which a test runs a program, reads its output and types keys."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 300.0
CTRL_C = b"\x03"

# The shell is a session leader without a terminal, so the one that it opens becomes the controlling terminal.
_ON_TERMINAL = 'exec "$@" <"$0" >"$0" 2>&1'


class Terminal:
    """A terminal of 30 lines and 100 columns; each search of its output begins where the last one ended."""

    def __init__(self) -> None:
        self._screen, self._device = pty.openpty()
        fcntl.ioctl(self._device, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._output = b""
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._screen, self._read)

    @property
    def settings(self) -> list[object]:
        """The settings, such as whether typed characters are echoed."""
        return list(termios.tcgetattr(self._device))

    async def start(
        self, command: Sequence[str], *, environ: Mapping[str, str], folder: Path | None = None
    ) -> asyncio.subprocess.Process:
        """Start a program with this as its controlling terminal, so that a typed Ctrl-C sends it SIGINT."""
        return await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _ON_TERMINAL, os.ttyname(self._device), *command),
            env={**environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    def type(self, keys: bytes) -> None:
        """Type keys."""
        os.write(self._screen, keys)

    async def wait(self, pattern: bytes) -> None:
        """Wait until the output after the last search matches the pattern."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := re.search(pattern, self._output)) is None:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"the terminal never showed {pattern!r}, but {self._output[-4000:]!r}") from None
        self._output = self._output[found.end() :]

    def close(self) -> None:
        """Close both ends of the terminal."""
        asyncio.get_running_loop().remove_reader(self._screen)
        os.close(self._screen)
        os.close(self._device)

    def _read(self) -> None:
        self._output += os.read(self._screen, 65536)
        self._more.set()


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Give a terminal, and close it at the end."""
    opened = Terminal()
    try:
        yield opened
    finally:
        opened.close()
