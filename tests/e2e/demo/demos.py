"""Runs demos as processes, and finds what they leave behind."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.daemon.watching import until
from vtorc.errors import MysqlError
from vtorc.vttablet.sql_session import SqlSession

PATIENCE = 300.0
COMMAND = (sys.executable, "-m", "vtorc.cli.main", "demo")


@dataclass
class Demo:
    """A running demo with its output so far; `runtime` keeps the note of its folder apart from that of other demos."""

    process: asyncio.subprocess.Process
    folder: Path
    runtime: Path
    lines: list[str] = field(default_factory=list)

    async def wait_line(self, *texts: str) -> str:
        """Read on to the next line with all of the texts, and return it."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while line := (await self.process.stdout.readline()).decode():
                    self.lines.append(line.rstrip("\n"))
                    if all(text in line for text in texts):
                        return self.lines[-1]
        except TimeoutError:
            raise AssertionError(f"no line with {texts} within {PATIENCE:g} s after {self.tail}") from None
        raise AssertionError(f"the demo ended before a line with {texts}, after {self.tail}")

    async def ended(self) -> int:
        """Read on to the end, and return the exit code."""
        async with asyncio.timeout(PATIENCE):
            rest, _ = await self.process.communicate()
        self.lines += rest.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode

    async def tell(self, *words: str) -> tuple[int, str]:
        """Run a command of the demo in another process, as from another terminal; returns its exit code and output."""
        process = await _spawn(*words, runtime=self.runtime)
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    @property
    def tail(self) -> str:
        """The last lines, for the message of a failed test."""
        return "\n".join(self.lines[-30:])


@asynccontextmanager
async def running(
    tmp_path: Path, *words: str, command: Sequence[str] = COMMAND, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Demo]:
    """Run a demo while inside, and kill it at the end if it still runs; its guard then ends its servers.

    `command` starts it. `environ` is its environment without the variables that keep it apart from other demos.
    """
    folder, runtime = tmp_path / "demo", tmp_path / "runtime"
    runtime.mkdir()
    process = await _spawn(*words, "--dir", str(folder), runtime=runtime, command=command, environ=environ)
    demo = Demo(process, folder, runtime)
    try:
        yield demo
    finally:
        sys.stdout.write(demo.tail)
        if demo.process.returncode is None:
            demo.process.kill()
            await demo.process.wait()


async def _spawn(
    *words: str, runtime: Path, command: Sequence[str] = COMMAND, environ: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        *words,
        env={**(os.environ if environ is None else environ), "XDG_RUNTIME_DIR": str(runtime), "PYTHONUTF8": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def commit_alone(connect: Callable[[], Awaitable[SqlSession]]) -> None:
    """Commit a transaction that no other server has, and retry while the server starts or vtorc turns it read-only."""

    async def why_not() -> str:
        try:
            session = await connect()
            try:
                await session.run("SET GLOBAL super_read_only = OFF")
                await session.run("CREATE DATABASE IF NOT EXISTS errant")
            finally:
                session.close()
        except MysqlError as error:
            return str(error)
        return ""

    await until(why_not)


def left_behind(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder, without zombies."""
    found: list[str] = []
    for each in Path("/proc").iterdir():
        try:
            command = (each / "cmdline").read_bytes() if each.name.isdigit() else b""
        except OSError:
            continue  # it has just ended
        if str(folder).encode() in command:
            found.append(command.replace(b"\0", b" ").decode())
    return found
