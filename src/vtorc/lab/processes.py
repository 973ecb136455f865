"""Processes that outlive the one that started them, and are found again by their pid files.

The module uses the standard library only, so that the guard that cleans up after a lab starts fast.
"""

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_SOCKET_PATH_LIMIT = 100
_PAUSE = 0.05
_ROUNDS = 100
_TRIES = 20


class PidFileProcess:
    """One process that is known by a pid file.

    `marker` is a text that only its own command line contains: the kernel uses pids again.
    """

    def __init__(self, pid_file: Path, marker: str) -> None:
        self._pid_file = pid_file
        self._marker = marker
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None while the process does not run."""
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        return live_pid(self._pid_file, self._marker)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a child of this process; None while it runs, or if another process started it."""
        return self._child.poll() if self._child is not None else None

    def spawn(self, command: Sequence[str], *, log: Path) -> None:
        """Start the process in a session of its own, unless it runs; its output is appended to `log`."""
        if self.pid is not None:
            return
        # The shell writes the pid file before it becomes the program, and only then closes this pipe. So a cleanup that
        # begins after this call finds the process: without the pipe, a tablet that had just started outlived its demo.
        script = 'echo $$ > "$0" && exec "$@" >&2'
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", script, str(self._pid_file), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert self._child.stdout is not None
        with self._child.stdout as until_it_runs:
            until_it_runs.read()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; returns False if the process does not run."""
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    async def terminate(self, *, deadline: float) -> None:
        """End the process, paused or not, by SIGTERM, or by SIGKILL if that takes longer than `deadline` s."""
        try:
            await self._end(signal.SIGCONT, signal.SIGTERM, deadline=deadline)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End the process at once by SIGKILL."""
        await self._end(signal.SIGKILL, deadline=10.0)

    async def _end(self, *numbers: signal.Signals, deadline: float) -> None:
        # Opened before the signal: an ending process loses its command line first, and would not be found any more.
        descriptor = self._open()
        if descriptor is None:
            return
        with contextlib.suppress(ProcessLookupError):
            for number in numbers:
                signal.pidfd_send_signal(descriptor, number)
        await self._until_gone(descriptor, deadline)

    async def wait_exit(self, *, deadline: float | None = None) -> None:
        """Wait until the process has ended, be it a child or not; raises TimeoutError after `deadline` s."""
        descriptor = self._open()
        if descriptor is not None:
            await self._until_gone(descriptor, deadline)

    def _open(self) -> int | None:
        pid = self.pid
        if pid is None:
            return None
        try:
            return os.pidfd_open(pid)
        except ProcessLookupError:
            return None

    async def _until_gone(self, descriptor: int, deadline: float | None) -> None:
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, gone.set)
        try:
            async with asyncio.timeout(deadline):
                await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        if self._child is not None:
            self._child.poll()


def live_pid(pid_file: Path, marker: str, *, tries: int = 1) -> int | None:
    """Return the pid in `pid_file` if that process runs and its command line contains `marker`, else None.

    With more `tries` it waits for a process that is becoming another program (blocking, 3 ms each). The tries are
    limited, since some processes have no command line at all.
    """
    for left in range(tries - 1, -1, -1):
        try:
            pid = int(pid_file.read_text())
        except (OSError, ValueError):
            return None
        command = _command_line(pid)
        if command != b"" or not left:
            return pid if command is not None and marker.encode() in command else None
        time.sleep(_PAUSE / _TRIES)
    return None


def _command_line(pid: int) -> bytes | None:
    """Return a process's command line; empty while it becomes another program or ends, None once it has ended."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return None
    return None if state == b"Z" else command


def kill_below(folder: Path) -> None:
    """Kill every process that has a pid file in `folder` or directly below it, and names `folder` in its command line.

    It blocks for some 0.1 s if there are any.
    """
    # Repeated until there is none: a killed process may just have started another, or may end late if it waits for a
    # disk.
    for _ in range(_ROUNDS):
        if not _kill_all_below(folder):
            return
        time.sleep(_PAUSE)


def _kill_all_below(folder: Path) -> bool:
    killed = False
    for pid_file in (*folder.glob("*.pid"), *folder.glob("*/*.pid")):
        pid = live_pid(pid_file, str(folder), tries=_TRIES)
        if pid is not None and pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
    return killed


def unix_socket(folder: Path, name: str) -> Path:
    """Return the path of a folder's unix socket: in the folder, or in the temporary one if that is too long."""
    path = folder.absolute() / name
    if len(str(path)) <= _SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.gettempdir()) / f"vtorc-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.sock"
