"""The place of one topology in its server: the key of each path, and the path of each key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopoRoot:
    """The key below which all records of a topology lie; a slash at its beginning is a part of all their keys.

    Paths are those of `TopoConn`. Doubled slashes become one, as Vitess joins root and path with Go's `path.Join`.
    """

    text: str

    def key(self, path: str) -> str:
        """Return the key of a record or directory."""
        parts = [part for part in f"{self.text}/{path}".split("/") if part]
        return ("/" if self.text.startswith("/") else "") + "/".join(parts)

    def prefix(self, directory: str) -> str:
        """Return the beginning of all keys below a directory, which ends with a slash; of the root if it is empty."""
        key = self.key(directory)
        return key if key.endswith("/") else f"{key}/"

    def path(self, key: str) -> str:
        """Return the path of a record with this key, which must be one below the root."""
        return key.removeprefix(self.prefix(""))
