"""A folder in which nothing can be written for a while, as on a file system that a broken disk made read-only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Take the right to write in a folder and to its files; root, which is bound by no rights, is another user."""
    files = [each for each in folder.iterdir() if each.is_file()]
    for each in files:
        each.chmod(0o444)
    folder.chmod(0o555)
    parents = [each for each in folder.parents if not each.stat().st_mode & 0o001]
    for each in parents:
        each.chmod(each.stat().st_mode | 0o011)
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)
        folder.chmod(0o755)
        for each in parents:
            each.chmod(0o700)
        for each in files:
            each.chmod(0o644)
