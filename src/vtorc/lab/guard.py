"""Cleans up after a lab whose owner died: `python -m vtorc.lab.guard FOLDER [--remove]`, told of the death by the end
of its input.

The owner holds the other end of the pipe, so that the kernel tells even of a SIGKILL. Folders whose guard died as
well are swept by the next lab that starts.
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

_LOCK = "owner.lock"


def runs_folder() -> Path:
    """Name the folder that holds the runs of this user's labs."""
    return Path(tempfile.gettempdir()) / f"vtorc-lab-{os.getuid()}"


class RunFolder:
    """The folder of one lab: claimed by a lock that ends with its owner, guarded by a process that outlives him."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            runs_folder().mkdir(mode=0o700, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="new-", dir=runs_folder()))
            self._lock = _locked(made)
            # Only now may a sweeper see it, who would take an unlocked folder for a dead one's.
            self.path = made.rename(made.with_name(made.name.replace("new-", "run-", 1)))
        else:
            self.path = folder.absolute()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path)
        command = [sys.executable, "-m", "vtorc.lab.guard", str(self.path), *(["--remove"] if folder is None else [])]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        """Kill what still runs in the folder and, unless its owner named it, delete it (blocking, some 0.1 s)."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        self._lock.close()


def _locked(folder: Path) -> IO[str]:
    lock = (folder / _LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def sweep_stale_runs() -> None:
    """Kill what runs in folders whose owner is gone, and delete them."""
    for folder in runs_folder().glob("run-*"):
        try:
            with (folder / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clean(folder, remove=True)
        except (OSError, BlockingIOError):
            continue  # in use, being made, or just deleted by somebody else


def clean(folder: Path, *, remove: bool) -> None:
    """Kill what runs in the folder and, if told so, delete it."""
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
