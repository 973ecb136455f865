"""`vtorc demo` on real servers, with commands from another terminal and with keys."""

import asyncio
import os
import re
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.demo.demos import COMMAND, PATIENCE, Demo, commit_alone, left_behind, running
from tests.e2e.demo.terminal import terminal
from vtorc.lab.mysql_connection import connect
from vtorc.lab.processes import unix_socket


async def test_what_another_terminal_breaks_is_repaired(tmp_path: Path) -> None:
    """A killed primary is replaced and rejoins, an errant tablet is rebuilt, and SIGTERM leaves no process behind."""
    async with running(tmp_path, "--topo", "local") as demo:
        elected = await demo.wait_line("is primary", "after the last tablet came up")
        old = elected.split()[0]
        await demo.wait_line("vtorc demo kill primary")
        assert await demo.tell("kill", "primary") == (0, f"kill -9 of the mysqld of {old}, the primary\n")
        handover = await demo.wait_line("writes:", "acknowledges;", f"last acknowledgement of {old}")
        new = handover.split()[3]
        assert new != old
        code, refusal = await demo.tell("kill", old)
        assert (code, refusal) == (1, f"vtorc demo: the mysqld of {old} is down already\n")
        assert (await demo.tell("start", "all"))[0] == 0
        await demo.wait_line(f"StaleTopoPrimary of {old} is gone")

        await _write_errant(demo.folder / old)
        await _until_status(demo, rf"{old}\s+has\s+transactions\s+that\s+{new}\s+lacks")
        assert (await demo.tell("rebuild", old))[0] == 0
        await demo.wait_line(f"ErrantGTIDDetected of {old} is gone")
        status = await _until_status(demo, rf"{old}  replica     ● running .* has all\n")
        assert re.search(rf"{new}  primary     ● running", status), status

        demo.process.terminate()
        assert await demo.ended() == 0, demo.tail
        assert left_behind(demo.folder) == []
        assert list(demo.runtime.iterdir()) == []
        assert (await demo.tell("status"))[0] == 1


async def _until_status(demo: Demo, pattern: str) -> str:
    """Ask for the status until it matches the pattern."""
    status = ""
    try:
        async with asyncio.timeout(PATIENCE):
            while not re.search(pattern, status):
                code, status = await demo.tell("status")
                assert code == 0
    except TimeoutError:
        raise AssertionError(f"nothing like {pattern} in {status}") from None
    return status


async def _write_errant(folder: Path) -> None:
    """Make a tablet errant; a killed primary may be that already, by a write in flight without an acknowledgement."""
    await commit_alone(partial(connect, unix_socket(folder, "mysql.sock")))


@pytest.mark.parametrize("topo", ["local", "etcd2"])
async def test_a_demo_that_is_stopped_while_it_starts_leaves_nothing(topo: str, tmp_path: Path) -> None:
    """SIGINT during the start also ends the processes that have just been started."""
    async with running(tmp_path, "--topo", topo) as demo:
        await demo.wait_line("preparing data for MySQL")
        demo.process.send_signal(2)
        assert await demo.ended() == 0, demo.tail
        assert left_behind(demo.folder) == []


async def test_keys_on_a_terminal_break_and_restart_servers(tmp_path: Path) -> None:
    """The screen updates in place: ? explains the keys, k kills the primary, r starts it again, b rebuilds an errant
    tablet, q ends the demo.
    """
    folder = tmp_path / "demo"
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    with terminal() as screen:
        process = await screen.start([*COMMAND, "--topo", "local", "--dir", str(folder)], environ=environ)
        try:
            await screen.wait(rb"healthy: zone1-0000000101 needs 1 acknowledgement, has 2")
            screen.type(b"?")
            await screen.wait(rb"kill -9 of the topology server")
            screen.type(b"?")
            await screen.wait(rb"FINDINGS")
            screen.type(b"k")
            # The sentence of the promotion may have left the screen before it was drawn; the gap of the writes stays.
            await screen.wait(rb"until\s+zone[23]-000000010[23] took over")
            await screen.wait(rb"ex-primary")
            screen.type(b"r")
            await screen.wait(rb"zone1-0000000101  replica [^\r]*running")
            await _write_errant(folder / "zone1-0000000101")
            await screen.wait(rb"zone1-0000000101  replica [^\r]* errant")
            await screen.wait(rb"doing nothing: \d problem")
            screen.type(b"1b")
            await screen.wait(rb"healthy: zone[23]-000000010[23] needs 1 acknowledgement, has 2")
            screen.type(b"q")
            await screen.wait(rb"The demo has ended, and all its servers with it")
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
            assert left_behind(folder) == []
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
