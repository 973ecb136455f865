"""Reads the files with the secrets of a topology server."""

from vtorc.errors import TopoMisconfigured
from vtorc.files import contents_of


def read_secret(setting: str, path: str) -> str:
    """Return the text of the file that a setting names; raises TopoMisconfigured if it cannot be read."""
    try:
        return contents_of(path).decode()
    except (OSError, ValueError) as error:
        raise TopoMisconfigured(f"{setting} {path!r} cannot be read: {error}; expected a text file") from error
