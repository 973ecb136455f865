"""The folder that a person names for a demo: new, empty, or left by an earlier demo."""

import fcntl
import shutil
from pathlib import Path

from vtorc.lab.errors import LabError
from vtorc.lab.processes import kill_below

_OWNER = "owner.lock"


def make_ready(folder: Path) -> Path:
    """Empty a folder that an earlier demo left, and return its absolute path.

    Raises LabError for one that is in use, or that holds anything else: nothing but a demo's own files is deleted.
    """
    folder = folder.absolute()
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise LabError(f"{folder} is no folder; name a new one")
    found = sorted(folder.iterdir())
    if not found:
        return folder
    if not (folder / _OWNER).is_file():
        raise LabError(f"{folder} holds other files than a demo's, such as {found[0].name}; name a new or empty folder")
    with (folder / _OWNER).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"a demo is running in {folder} already; stop it first, or name another folder") from None
        kill_below(folder)
        for each in found:
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != _OWNER:
                each.unlink()
    return folder
