"""Processes that are known by pid files."""

import signal
import sys
from pathlib import Path

import pytest

from vtorc.lab.processes import PidFileProcess, kill_below, live_pid, unix_socket

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)",
]


def process(folder: Path, command: list[str] = SLEEP) -> PidFileProcess:
    """Start a process whose command line names the folder."""
    made = PidFileProcess(folder / "some.pid", str(folder))
    made.spawn([*command, str(folder)], log=folder / "log")
    return made


async def test_another_owner_finds_and_ends_the_process(tmp_path: Path) -> None:
    """With its pid file and its marker, another process than its parent can find the process and end it."""
    first = process(tmp_path)
    second = PidFileProcess(tmp_path / "some.pid", str(tmp_path))
    assert first.pid is not None
    while second.pid is None:  # the shell has no command line while it becomes the program
        assert first.exit_code is None
    assert second.pid == first.pid
    await second.kill()
    assert first.pid is second.pid is None
    assert first.exit_code == -signal.SIGKILL


async def test_spawn_leaves_a_running_process_alone(tmp_path: Path) -> None:
    """Spawning a process that already runs changes nothing."""
    running = process(tmp_path)
    before = running.pid
    running.spawn(SLEEP, log=tmp_path / "log")
    assert running.pid == before
    await running.kill()


async def test_paused_process_can_be_terminated(tmp_path: Path) -> None:
    """A process stopped by SIGSTOP is ended in order too."""
    paused = process(tmp_path)
    assert paused.send(signal.SIGSTOP)
    await paused.terminate(deadline=120.0)
    assert paused.exit_code == -signal.SIGTERM


async def test_deaf_process_is_killed_after_the_deadline(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed."""
    deaf = process(tmp_path, DEAF)
    while not (tmp_path / "log").read_text():
        assert deaf.exit_code is None
    await deaf.terminate(deadline=0.1)
    assert deaf.exit_code == -signal.SIGKILL


async def test_waiting_for_a_living_process_times_out(tmp_path: Path) -> None:
    """Waiting for the end of a process that runs on raises TimeoutError at the deadline."""
    living = process(tmp_path)
    with pytest.raises(TimeoutError):
        await living.wait_exit(deadline=0.01)
    await living.kill()
    await living.wait_exit(deadline=0.01)
    assert not living.send(signal.SIGTERM)


@pytest.mark.parametrize("text", ["", "no number", "-5", "4194304999", "1"])
def test_pid_file_without_its_process_names_none(tmp_path: Path, text: str) -> None:
    """A pid file counts as none without a number, with a dead process, or with one that lacks the marker."""
    (tmp_path / "some.pid").write_text(text)
    assert live_pid(tmp_path / "some.pid", "a marker that no command line has") is None
    assert live_pid(tmp_path / "missing.pid", "") is None


async def test_everything_below_a_folder_is_killed(tmp_path: Path) -> None:
    """kill_below ends the processes of a folder and of the folders directly in it, and no others."""
    inner, outside = tmp_path / "run" / "tablet", tmp_path / "other"
    for folder in (inner, outside):
        folder.mkdir(parents=True)
    above, below, other = process(tmp_path / "run"), process(inner), process(outside)
    for each, folder in ((above, tmp_path / "run"), (below, inner)):
        while live_pid(folder / "some.pid", str(folder)) is None:
            assert each.exit_code is None
    kill_below(tmp_path / "run")
    await above.wait_exit(deadline=120.0)
    await below.wait_exit(deadline=120.0)
    assert other.pid is not None
    await other.kill()


async def test_what_has_only_just_been_spawned_is_killed_as_well(tmp_path: Path) -> None:
    """A cleanup right after `spawn` finds the process, even before that has become its program."""
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        spawned = process(folder)
        kill_below(folder)
        await spawned.wait_exit(deadline=120.0)
        assert spawned.exit_code == -signal.SIGKILL


def test_socket_of_a_long_path_lies_elsewhere(tmp_path: Path) -> None:
    """A unix socket lies in its folder, or has a short path elsewhere if that is too long for the kernel."""
    assert unix_socket(Path("/run/x"), "a.sock") == Path("/run/x/a.sock")
    deep = tmp_path / ("d" * 90)
    short = unix_socket(deep, "a.sock")
    assert len(str(short)) < 100
    assert short == unix_socket(deep, "a.sock") != unix_socket(deep, "b.sock")
