"""The marks that tell one file from another that was put in its place."""

from pathlib import Path

FileIdentity = tuple[int, int]


def file_identity(path: str) -> FileIdentity | None:
    """Return what tells the file at `path` from another one put in its place; None if it cannot be found."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
