"""vtorc as an operator installs it: its wheel and its dependencies only, used in a folder without the repository."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.e2e.demo.demos import left_behind
from tests.e2e.demo.terminal import CTRL_C, PATIENCE, terminal

PROJECT = Path(__file__).resolve().parents[3]
UV = Path(sys.executable).with_name("uv")
TOPO = ("-topo_implementation=local", "-topo_global_server_address=topo.sqlite", "-topo_global_root=/vitess/global")

# A MySQL of this machine may lie in a folder that is searched beside PATH.
WITHOUT_SERVERS = """
import sys
from vtorc.lab import parts
parts._SERVER_FOLDERS = ()
from vtorc.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Installation:
    """A virtual environment with vtorc in it, and an empty folder and an empty home to use it in."""

    environment: Path
    folder: Path
    environ: dict[str, str]

    @property
    def demo(self) -> list[str]:
        """The command `vtorc demo` as on a machine without MySQL and etcd."""
        return [str(self.environment / "bin" / "python"), "-c", WITHOUT_SERVERS, "demo"]

    async def run(self, *words: str, command: Sequence[str] = ("vtorc",)) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and its output."""
        process = await self.start(*words, command=command)
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def start(self, *words: str, command: Sequence[str] = ("vtorc",)) -> asyncio.subprocess.Process:
        """Start a command of the installation in the empty folder."""
        return await asyncio.create_subprocess_exec(
            str(self.environment / "bin" / command[0]),
            *command[1:],
            *words,
            cwd=self.folder,
            env=self.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into a new virtual environment, with links to the dependencies that it names."""
    base = tmp_path_factory.mktemp("installed")
    wheel = _build_wheel(base / "wheel")
    environment = base / "environment"
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    _run(UV, "pip", "install", "--offline", "--no-deps", "--python", environment / "bin" / "python", wheel)
    packages = next(environment.glob("lib/python*/site-packages"))
    _link_dependencies(Distribution.at(next(packages.glob("vtorc-*.dist-info"))), packages)
    return environment


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installation:
    """Give the installation with an empty folder and an empty home, without MySQL and etcd on PATH."""
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    environ = {"PATH": str(environment / "bin"), "HOME": str(home), "PYTHONUTF8": "1"}
    return Installation(environment, folder, environ)


def _build_wheel(folder: Path) -> Path:
    """Build the wheel, with a build backend from uv's cache if there is one, else with one from the registry."""
    build = (UV, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", folder, PROJECT)
    if subprocess.run([*map(str, build), "--offline"], capture_output=True, check=False).returncode:
        _run(*build)
    return next(folder.glob("vtorc-*.whl"))


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _link_dependencies(package: Distribution, into: Path) -> None:
    """Link all that a package requires from this Python's packages, and nothing of its extras."""
    seen: set[str] = set()
    packages = [package]
    while packages:
        for text in packages.pop().requires or ():
            requirement = Requirement(text)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and (name := canonicalize_name(requirement.name)) not in seen:
                seen.add(name)
                found = distribution(requirement.name)
                packages.append(found)
                for part in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                    (into / part).symlink_to(str(found.locate_file(part)))


async def test_only_the_named_dependencies_are_installed(installed: Installation) -> None:
    """The package comes from the wheel, and the tools of its developers cannot be imported."""
    code, output = await installed.run("-c", "import vtorc; print(vtorc.__file__)", command=("python",))
    assert code == 0
    assert output.startswith(str(installed.environment))
    for tool in ("psutil", "hypothesis", "pytest", "grpc_tools"):
        code, output = await installed.run("-c", f"import {tool}", command=("python",))
        assert code == 1
        assert "ModuleNotFoundError" in output


async def test_help_and_a_command_without_flags(installed: Installation) -> None:
    """--help describes the flags; without flags vtorc names those that it requires."""
    code, output = await installed.run("--help")
    assert code == 0
    assert output.startswith("vtorc keeps one healthy MySQL primary in every shard")
    code, output = await installed.run()
    assert code == 2
    assert "--topo-implementation is required" in output


async def test_the_daemon_watches_until_sigterm_and_leaves_a_history(installed: Installation) -> None:
    """The daemon starts on a new topology file, SIGTERM ends it in order, and `vtorc history` reads its file."""
    daemon = await installed.start(*TOPO, "-log_dir=.")
    assert daemon.stdout is not None
    events: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while line := await daemon.stdout.readline():
            events.append(json.loads(line)["event"])
            if events[-1] == "started":
                daemon.terminate()
        assert await daemon.wait() == 0, events
    assert events[-1] == "stopped"
    code, output = await installed.run("history", "vtorc-history.sqlite")
    assert (code, output) == (0, "vtorc-history.sqlite has no recovery, no decision and no request\n")


async def test_history_without_its_file_says_which_to_name(installed: Installation) -> None:
    """Without a file, and with one that does not exist, `vtorc history` says where vtorc writes it."""
    where = "vtorc-history.sqlite in the folder of vtorc's -log_dir, or the file of its -sqlite-data-file"
    code, output = await installed.run("history")
    assert (code, output.splitlines()[-1]) == (2, f"vtorc history: error: expected a history file: {where}")
    code, output = await installed.run("history", "none.sqlite")
    assert (code, output) == (1, f"vtorc history: none.sqlite does not exist; name {where}\n")


async def test_seeds_run(installed: Installation) -> None:
    """`vtorc sim --seeds` runs simulated worlds."""
    code, output = await installed.run("sim", "--seeds", "0..3")
    assert code == 0, output
    assert output.endswith("0 seeds with violations\n")


async def test_the_scenarios_are_in_the_package(installed: Installation) -> None:
    """`vtorc sim scenario` lists all scenarios of the project, and runs one."""
    scripts = PROJECT / "src" / "vtorc" / "sim" / "scenario" / "scripts"
    code, output = await installed.run("sim", "scenario", "--list")
    assert code == 0
    assert {line.split()[0] for line in output.splitlines()} >= {path.stem for path in scripts.glob("*.txt")}
    assert await installed.run("sim", "scenario", "02-mysqld-killed") == (
        0,
        "02-mysqld-killed: as expected\n",
    )


async def test_the_demo_simulates_its_servers_and_says_how_to_get_real_ones(installed: Installation) -> None:
    """Without a terminal the demo prints lines; the first says that servers are simulated, and how to get real ones."""
    python, *demo = installed.demo
    process = await installed.start(command=(Path(python).name, *demo))
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while line := (await process.stdout.readline()).decode():
                lines.append(line)
                if line.startswith("Ctrl-C"):
                    assert (await installed.run("demo", "kill", "primary"))[0] == 0
                if "last acknowledgement of zone1-0000000101" in line:
                    process.send_signal(2)
            assert await process.wait() == 0, lines
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert re.match(
        r"The MySQL servers of this demo are simulated; vtorc, gRPC and topology are real\. "
        r"There is no MySQL server on this machine\. "
        rf"Run `{re.escape(python)} -m vtorc\.lab\.fetch` to fetch one, or install MySQL 8\.0 or newer",
        lines[0],
    )
    assert "Traceback" not in "".join(lines)
    _assert_nothing_is_left(installed)


async def test_ctrl_c_ends_the_demo_on_a_terminal(installed: Installation) -> None:
    """On a terminal the key k kills the primary; Ctrl-C ends the demo and gives the terminal its settings back."""
    with terminal() as screen:
        settings = screen.settings
        process = await screen.start(installed.demo, environ=installed.environ, folder=installed.folder)
        try:
            await screen.wait(rb"The MySQL servers of this demo are simulated")
            await screen.wait(rb"healthy: zone1-0000000101 needs 1 acknowledgement, has 2")
            screen.type(b"k")
            await screen.wait(rb"until\s+zone[23]-000000010[23] took over")
            screen.type(CTRL_C)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
            assert screen.settings == settings
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    _assert_nothing_is_left(installed)


def _assert_nothing_is_left(installed: Installation) -> None:
    """Check that no process and no file of the demo is left."""
    assert left_behind(installed.environment) == []
    assert list(installed.folder.iterdir()) == []
    home = Path(installed.environ["HOME"])
    assert [path for path in home.rglob("*") if path.is_file()] == []
