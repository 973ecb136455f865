"""The quick start and the page about moving a primary work as they are written, on a demo with simulated servers."""

import asyncio
import json
import os
import re
import shlex
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.daemon.watching import until
from tests.e2e.demo.demos import PATIENCE, Demo, running

DOCS = Path(__file__).parents[3] / "docs"
PROGRAM = (sys.executable, "-m", "vtorc.cli.main")
LOOK = 20.0
"""Seconds after which a look at the shard is given up for another one."""

FIRST, SECOND = "zone1-0000000101", "zone2-0000000102"


class Reader:
    """Follows a page, beside a demo that runs."""

    def __init__(self, demo: Demo, address: str) -> None:
        self._demo = demo
        self._address = address

    async def run(self, command: str) -> tuple[int, str]:
        """Run a command of a page, with yes for what it asks; returns its exit code and output."""
        words = shlex.split(command)
        assert words[0].rpartition("/")[2] == "vtorc", command
        if words[1:3] == ["ctl", "promote"] and "--yes" not in words:
            words.append("--yes")
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *words[1:],
            env={**os.environ, "XDG_RUNTIME_DIR": str(self._demo.runtime), "VTORC_SERVER": self._address},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def curl(self, command: str) -> Any:
        """Send the request that a command of curl sends, and return its answer; raises OSError for a refusal."""
        url, headers, body = "", {}, None
        words = iter(shlex.split(command)[1:])
        for word in words:
            match word:
                case "-s":
                    pass
                case "-H":
                    name, _, value = next(words).partition(": ")
                    headers[name] = value
                case "-d":
                    body = next(words).encode()
                case _:
                    url = word.replace("http://127.0.0.1:3000", self._address)
        return await asyncio.to_thread(_sent, urllib.request.Request(url, body, headers), PATIENCE)

    async def shard(self) -> Mapping[str, Any]:
        """Return what vtorc knows of the shard; raises OSError if its server does not answer."""
        request = urllib.request.Request(f"{self._address}/api/v1/shards/commerce/0")
        found: Mapping[str, Any] = await asyncio.to_thread(_sent, request, LOOK)
        return found

    async def primary(self) -> str:
        """Return the alias of the primary, as soon as vtorc's server tells it."""
        told = ""

        async def why_not() -> str:
            nonlocal told
            try:
                told = (await self.shard())["primary"] or ""
            except OSError as error:
                return f"vtorc does not answer: {error}"
            return "" if told else "there is no primary"

        await until(why_not)
        return told

    async def until_ready(self) -> None:
        """Wait as a reader does who looks at the screen, and rebuild a tablet that turns out to be errant."""

        async def why_not() -> str:
            try:
                shard = await self.shard()
            except OSError as error:
                return f"vtorc does not answer: {error}"
            for tablet in shard["tablets"]:
                if (tablet["gtid"] or {}).get("errant"):
                    await self.run(f"vtorc demo rebuild {tablet['alias']}")
            is_ready = shard["state"] == "healthy" and (shard["ready"] or {}).get("ready")
            return "" if is_ready else str(shard["sentence"])

        await until(why_not)

    async def follow(self, commands: list[str]) -> None:
        """Run commands in their order; each has to do what it says."""
        plan = ""
        for command in commands:
            if " promote " in command or command.startswith("curl"):
                await self.until_ready()
            replica = SECOND if await self.primary() == FIRST else FIRST
            ready = command.replace("ALIAS", replica).replace(SECOND, replica).replace("/ID/", f"/{plan}/")
            if ready.startswith("curl"):
                answer = await self.curl(ready)
                assert answer.get("refusal") is None
                plan = answer.get("id", plan)
            else:
                code, said = await self.run(ready)
                only_looks = " ctl " in ready and " promote " not in ready
                assert code == 0 or (code == 1 and only_looks), f"{ready}: {said}"


def _sent(request: urllib.request.Request, seconds: float) -> Any:
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return json.loads(answer.read())


def commands(page: str, begin: str, end: str) -> Iterator[str]:
    """Yield the commands between two places of a page, with those that go on in the next line as one."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    yield from re.findall(r"^ {4,}((?:\.venv/bin/)?(?:vtorc|curl) .*)$", text.replace("\\\n", " "), re.MULTILINE)


async def test_the_pages_work_as_they_are_written(tmp_path: Path) -> None:
    """Each command for a terminal and each request for a program does what its page says, one after the other."""
    on_this_machine = list(commands("quick-start.md", "## A shard on this machine", "## Your own cluster"))
    in_a_terminal = list(commands("moving-a-primary.md", "## On the command line", "## What a plan says"))
    by_a_program = list(commands("moving-a-primary.md", "## From a program", "- The first answer"))
    assert (len(on_this_machine), len(in_a_terminal), len(by_a_program)) == (10, 3, 2)
    async with running(tmp_path, "--simulated", "--topo", "local") as demo:
        shown = await demo.wait_line("/ui/", "the pages of vtorc")
        reader = Reader(demo, shown.split()[0].removesuffix("/ui/"))
        await reader.until_ready()
        await reader.follow([*in_a_terminal, *by_a_program, *on_this_machine])
        await reader.until_ready()
