"""A vtorc's word that the files in a folder are its own, so that a second one there can tell."""

import fcntl
import os
import socket


class Claim:
    """The word of this process that files in a folder are its own; the system takes it back with the process."""

    def __init__(self, path: str) -> None:
        """Claim by a lock on the file at `path`; blocks as long as the disk does, and raises OSError."""
        self.other = ""
        """The process that has claimed the files before, in words; empty if there is none."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock()
        except BaseException:
            os.close(self._file)
            raise

    def end(self) -> None:
        """Take the claim back."""
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.other = os.read(self._file, 300).decode(errors="replace").strip() or "its process is not known"
            return
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
