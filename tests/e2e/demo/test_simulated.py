"""`vtorc demo` on simulated MySQL servers, with --simulated or on a machine without MySQL."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.daemon.ctl import Ctl
from tests.e2e.daemon.watching import until
from tests.e2e.demo.demos import COMMAND, PATIENCE, Demo, left_behind, running
from vtorc.demo.faults import FAULTS, Consequence

NOTICE = "The MySQL servers of this demo are simulated; vtorc, gRPC and topology are real."
BARE_MACHINE = """
import sys
from vtorc.lab import parts
parts._SERVER_FOLDERS = ()
parts.source_tree = lambda: None
from vtorc.cli.main import main
sys.exit(main(["demo", *sys.argv[1:]]))
"""
"""The command where no server is installed beside PATH, and no project folder holds fetched ones."""


@pytest.mark.parametrize(("durability", "tablets", "topo"), [("semi_sync", 3, "local"), ("cross_cell", 5, "etcd2")])
async def test_a_series_on_simulated_servers_loses_nothing_and_says_so(
    durability: str, tablets: int, topo: str, tmp_path: Path
) -> None:
    """With --simulated the same series runs without any mysqld, and its output and its report say so."""
    report = tmp_path / "report.json"
    words = ("--durability", durability, "--tablets", str(tablets), "--topo", topo)
    async with running(tmp_path, "--simulated", "--failovers", "2", "--report", str(report), *words) as demo:
        assert await demo.ended() == 0, demo.tail
        assert left_behind(demo.folder) == []
    assert demo.lines[0] == f"{NOTICE} That is what --simulated asks for."
    stored = json.loads(report.read_text())
    summary = stored["summary"]
    assert summary["simulated"] is True
    assert (summary["converged"], summary["lost"], summary["one_cell"]) == (2, 0, 0)
    first, second = stored["failovers"]
    assert second["old_primary"] == first["new_primary"] != first["old_primary"]
    assert second["acked"] > first["acked"] > 0
    assert any(line.startswith("The MySQL servers were simulated") for line in demo.lines)


@pytest.mark.parametrize("fault", ["full-disk", "refuse-connections", "kill-tablet", "move-primary"])
async def test_a_series_of_another_fault_loses_nothing(fault: str, tmp_path: Path) -> None:
    """The primary is replaced, moved or left where it is, as the catalogue says; no acknowledged row is missing."""
    report = tmp_path / "report.json"
    words = ("--failovers", "1", "--fault", fault, "--report", str(report), "--topo", "local")
    async with running(tmp_path, "--simulated", *words) as demo:
        assert await demo.ended() == 0, demo.tail
    (only,) = json.loads(report.read_text())["failovers"]
    assert (only["lost"], only["problem"]) == (0, "")
    assert (only["new_primary"] is None) is (FAULTS[fault].primary is Consequence.STAYS)
    assert only["phases_ms"]


async def test_without_a_mysql_the_servers_are_simulated_and_the_reason_is_told(tmp_path: Path) -> None:
    """Without a mysqld the first line says so and how to get one; then commands work as on real servers."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VTORC_")}
    environ |= {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = (sys.executable, "-c", BARE_MACHINE)
    async with running(tmp_path, "--topo", "local", command=command, environ=environ) as demo:
        notice = await demo.wait_line(NOTICE, "There is no MySQL server on this machine.")
        assert "no mysqld on PATH" in notice
        assert "install MySQL 8.0 or newer so that mysqld is on PATH" in notice
        old = (await demo.wait_line("is primary", "after the last tablet came up")).split()[0]
        await demo.wait_line("vtorc demo kill primary")
        assert await demo.tell("kill", "primary") == (0, f"kill -9 of the mysqld of {old}, the primary\n")
        new = (await demo.wait_line("writes:", "acknowledges;", f"last acknowledgement of {old}")).split()[3]
        assert (await demo.tell("kill", old))[0] == 1
        assert (await demo.tell("start", "all"))[0] == 0
        await demo.wait_line(f"StaleTopoPrimary of {old} is gone")
        assert (await demo.tell("pause", old))[0] == 0
        assert re.search(rf"{old} .*‖ paused", (await demo.tell("status"))[1])
        assert (await demo.tell("start", old))[0] == 0
        assert (await demo.tell("rebuild", old))[0] == 0
        status = ""
        async with asyncio.timeout(PATIENCE):
            while not re.search(rf"{old}  replica     ● running .* has all", status):
                status = (await demo.tell("status"))[1]
        assert "MySQL simulated" in status
        assert re.search(rf"{new}  primary     ● running", status), status
        demo.process.terminate()
        assert await demo.ended() == 0, demo.tail
        assert left_behind(demo.folder) == []


async def test_each_fault_shows_and_is_mended(tmp_path: Path) -> None:
    """A host, a tablet manager, vtorc and the topology server are broken in turn, and `start all` mends each."""
    async with running(tmp_path, "--simulated", "--topo", "etcd2") as demo:
        await demo.wait_line("Ctrl-C, or SIGTERM")
        code, said = await demo.tell("break", "silent-host")
        assert (code, "hang, as behind a cut network" in said) == (0, True)
        assert (await demo.tell("break", "stop-mysqld", _tablet_in(said)))[0] == 1
        await demo.wait_line("promoted ")
        assert (await demo.tell("start", "all"))[0] == 0
        await _until_healthy(demo)

        old = _tablet_in((await demo.tell("break", "kill-tablet"))[1])
        await demo.wait_line(old, "does not answer")
        assert (await demo.tell("start", old))[1] == f"start the tablet manager of {old}, the primary\n"
        await _until_healthy(demo)

        assert (await demo.tell("break", "end-vtorc"))[0] == 0
        assert (await demo.tell("break", "end-vtorc"))[0] == 1
        assert "VTORC HAS ENDED" in (await demo.tell("status"))[1]
        killed = _tablet_in((await demo.tell("kill", "primary"))[1])
        assert (await demo.tell("start", "all"))[1].startswith("start vtorc; ")
        await demo.wait_line(killed, "is gone")
        await _until_healthy(demo)

        assert (await demo.tell("break", "kill-etcd"))[0] == 0
        killed = _tablet_in((await demo.tell("kill", "primary"))[1])
        await demo.wait_line(killed, "replacing the primary")
        assert (await demo.tell("start", "all"))[1].startswith("start the topology server; ")
        await _until_healthy(demo)
        assert (await demo.tell("start", "all")) == (1, "vtorc demo: everything is running\n")
        demo.process.terminate()
        assert await demo.ended() == 0, demo.tail
        assert left_behind(demo.folder) == []
        assert (demo.folder / "vtorc-history.sqlite").exists()


def _tablet_in(text: str) -> str:
    found = re.search(r"zone\d-\d{10}", text)
    assert found is not None, text
    return found[0]


async def _until_healthy(demo: Demo) -> None:
    """Wait until all is well, and rebuild what came back with a write that no replica had acknowledged."""

    async def why_not() -> str:
        status = (await demo.tell("status"))[1]
        for errant in re.findall(r"(zone\d-\d{10})  .* errant$", status, re.MULTILINE):
            await demo.tell("rebuild", errant)
        return "" if "● healthy" in status else status

    await until(why_not)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_a_full_output_stops_no_demo(tmp_path: Path) -> None:
    """One line on standard error says so, in any encoding, and other terminals are answered as before."""
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", *COMMAND),
        *("--simulated", "--topo", "local", "--dir", str(tmp_path / "demo")),
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    demo = Demo(process, tmp_path / "demo", tmp_path)

    async def not_yet() -> str:
        code, text = await demo.tell("status")
        return "" if code == 0 else text

    await until(not_yet)
    process.terminate()
    _, said = await process.communicate()
    assert (process.returncode, said.decode()) == (
        0,
        "vtorc demo: the output cannot be written (No space left on device); the demo goes on\n",
    )


async def test_a_mysqld_that_was_named_is_not_replaced_by_a_simulated_one(tmp_path: Path) -> None:
    """If VTORC_MYSQLD names an unusable mysqld, the demo fails with that reason."""
    environ = {**os.environ, "VTORC_MYSQLD": "/no/such/mysqld"}
    async with running(tmp_path, "--topo", "local", environ=environ) as demo:
        assert await demo.ended() == 1
    assert demo.lines[0].startswith("vtorc demo: VTORC_MYSQLD cannot be used")


async def test_demos_at_the_same_time_are_each_asked_and_leave_no_server(tmp_path: Path) -> None:
    """Each demo tells its own address, moves its primary when `vtorc ctl` asks there, and ends its server with it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    words = ("--simulated", "--topo", "local")
    async with running(tmp_path / "a", *words) as first, running(tmp_path / "b", *words) as second:
        asked = [await _ctl_of(first), await _ctl_of(second)]
        assert asked[0] != asked[1]
        for demo, ctl, number in ((first, asked[0], signal.SIGINT), (second, asked[1], signal.SIGTERM)):
            assert f"process {demo.process.pid}, since" in (await ctl("status")).text
            moved = await ctl("promote", "commerce/0", "--to", "zone3-103", "--yes", "--reason", "test")
            assert (moved.code, moved.notes) == (0, "")
            await demo.wait_line("writes:", "zone3-0000000103 acknowledges")
            shown = " ".join((await demo.tell("status"))[1].split())
            assert f"ASK {ctl.server}/ui/" in shown
            demo.process.send_signal(number)
            assert await demo.ended() == 0, demo.tail
            gone = await ctl("status")
            assert (gone.code, gone.text) == (2, "")


async def _ctl_of(demo: Demo) -> Ctl:
    """Read the line that says how a demo is asked, and wait until it answers and its shard is well."""
    line = await demo.wait_line("vtorc ctl --server http://127.0.0.1:", " status  ")
    ctl = Ctl(line.split()[3])

    async def why_not() -> str:
        told = await ctl("status")
        return "" if told.code == 0 and "the shard is healthy" in told.text else f"{told}"

    await until(why_not)
    return ctl
