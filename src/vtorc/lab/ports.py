"""Ports for the lab's servers, reserved so that no other process takes them while a server is down."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

from vtorc.lab.errors import LabError

# Below the kernel's range for outgoing connections (ip_local_port_range): one of those could take the port of a server
# that is down.
_FIRST, _LAST = 14000, 31999

_HOST = "127.0.0.1"


class Ports:
    """Ports of this machine that no other lab on the machine takes until `release` or the end of this process."""

    def __init__(self) -> None:
        self._locks: list[IO[str]] = []
        self._folder = Path(tempfile.gettempdir()) / f"vtorc-ports-{os.getuid()}"
        self._folder.mkdir(exist_ok=True)

    def take(self) -> int:
        """Reserve one port on which no process listens; raises LabError if there is none."""
        candidates = list(range(_FIRST, _LAST + 1))
        random.shuffle(candidates)
        for port in candidates:
            if self._reserve(port):
                return port
        raise LabError(f"no port between {_FIRST} and {_LAST} of {_HOST} is free")

    def release(self) -> None:
        """Release all ports."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def _reserve(self, port: int) -> bool:
        lock = (self._folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((_HOST, port))
        except OSError:
            lock.close()
            return False
        self._locks.append(lock)
        return True
