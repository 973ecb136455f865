"""Checks the folder that --dir names: it must be new, empty, or left by an earlier demo."""

import fcntl
import shutil
from pathlib import Path

from vtorc.lab.errors import LabError
from vtorc.lab.guard import OWNER_LOCK
from vtorc.lab.processes import kill_below


def make_ready(folder: Path) -> Path:
    """Return the absolute path of the folder, and empty it if an earlier demo left it.

    Raises LabError if a demo runs in it, or if it holds other files: only a demo's own files are deleted.
    """
    folder = folder.absolute()
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise LabError(f"--dir: {folder} is not a folder; name a new or empty folder")
    found = sorted(folder.iterdir())
    if not found:
        return folder
    if not (folder / OWNER_LOCK).is_file():
        raise LabError(f"--dir: {folder} holds {found[0].name}, which is not a demo's file; name a new or empty folder")
    with (folder / OWNER_LOCK).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"--dir: a demo is running in {folder}; stop it first, or name another folder") from None
        kill_below(folder)
        for each in found:
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != OWNER_LOCK:
                each.unlink()
    return folder
