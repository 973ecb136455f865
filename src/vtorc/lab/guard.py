"""Cleans up after a lab when the process that owns it has ended: `python -m vtorc.lab.guard FOLDER [--remove]`.

The owner holds the other end of the guard's standard input. The kernel closes it even if the owner is killed by
SIGKILL. If the guard was killed too, the next lab that starts cleans the folder.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from vtorc.lab.processes import kill_below

OWNER_LOCK = "owner.lock"


def runs_folder() -> Path:
    """Return the folder that holds the runs of this user's labs."""
    return Path(tempfile.gettempdir()) / f"vtorc-lab-{os.getuid()}"


class RunFolder:
    """The folder of one lab: its owner holds a lock on it, and a guard process that outlives the owner cleans it."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            runs_folder().mkdir(mode=0o700, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="new-", dir=runs_folder()))
            self._lock = _locked(made)
            # Renamed only now: `sweep_stale_runs` takes an unlocked folder of this name for a stale one.
            self.path = made.rename(made.with_name(made.name.replace("new-", "run-", 1)))
        else:
            self.path = folder.absolute()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path)
        command = [sys.executable, "-m", "vtorc.lab.guard", str(self.path), *(["--remove"] if folder is None else [])]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        """Kill all processes of the folder, and delete it unless it was given (blocking, some 0.1 s)."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        self._lock.close()


def _locked(folder: Path) -> IO[str]:
    lock = (folder / OWNER_LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def sweep_stale_runs() -> None:
    """Kill the processes of all folders without a living owner, and delete these folders."""
    for folder in runs_folder().glob("run-*"):
        try:
            with (folder / OWNER_LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clean(folder, remove=True)
        except (OSError, BlockingIOError):
            continue  # in use, being made, or just deleted by another process


def clean(folder: Path, *, remove: bool) -> None:
    """Kill all processes of the folder, and with `remove` delete it."""
    kill_below(folder)
    if remove:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> None:
    """Wait for the end of the input, then clean the folder."""
    while sys.stdin.buffer.read(1):
        pass
    clean(Path(arguments[0]), remove="--remove" in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
