"""Runs `vtorc ctl` as a process, as operators do."""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from tests.e2e.daemon.watching import PATIENCE

COMMAND = (sys.executable, "-m", "vtorc.cli.main", "ctl")


@dataclass(frozen=True, slots=True)
class Told:
    """What a command told, and how it ended."""

    code: int
    """Its exit code."""
    text: str
    """What it wrote to standard output, with one blank between words."""
    notes: str
    """What it wrote to standard error, likewise."""


@dataclass(frozen=True, slots=True)
class Ctl:
    """Asks one vtorc."""

    server: str
    """The URL of its API."""

    async def __call__(self, *words: str) -> Told:
        """Run a command to its end."""
        code, out, err = await self._run(*words)
        return Told(code, _in_a_line(out), _in_a_line(err))

    async def json(self, *words: str) -> tuple[int, Any]:
        """Run a command with --json to its end; returns its exit code and its document."""
        code, out, _ = await self._run(*words, "--json")
        return code, json.loads(out)

    async def _run(self, *words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("--server", self.server),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        sys.stderr.write(f"vtorc ctl {' '.join(words)} ended with {process.returncode}\n{out.decode()}{err.decode()}")
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


def _in_a_line(text: str) -> str:
    """Return a text without its line breaks and columns, which depend on the width of the terminal."""
    return " ".join(text.split())
