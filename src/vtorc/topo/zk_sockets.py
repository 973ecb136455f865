"""The connections of kazoo, made to end in time: one server of several that is silent must not cost the session."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from kazoo.handlers.threading import SequentialThreadingHandler


class ZkSockets(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's own threads and sockets, but for three things.

    A connection is made within `connect_seconds`, where kazoo waits for as long as a session lives. The present one can
    be cut from another thread, and kazoo then goes on to the next address. Bytes that TLS has decrypted already count
    as readable, for which kazoo would wait until the server sends more. `on_begin` is called with each address, in
    kazoo's thread.
    """

    def __init__(self, *, connect_seconds: float, on_begin: Callable[[str], None]) -> None:
        super().__init__()
        self.failure = ""
        """Why the last connection could not be made, as a clause that names its address; empty if it could."""
        self._connect_seconds = connect_seconds
        self._on_begin = on_begin
        self._present: socket.socket | None = None

    def create_connection(self, address: tuple[str, int], *, hostname: str, timeout: float, **tls: Any) -> Any:
        """Connect to one address; raises OSError."""
        self._on_begin(f"{hostname}:{address[1]}")
        within = min(timeout, self._connect_seconds)
        try:
            self._present = super().create_connection(address=address, hostname=hostname, timeout=within, **tls)
        except OSError as error:
            self.failure = f"{hostname}:{address[1]}: {error}"
            raise
        self.failure = ""
        return self._present

    def cut(self) -> None:
        """Break the present connection, also one on which no session is open yet."""
        if self._present is not None:
            with contextlib.suppress(OSError):  # it has ended already
                # Not the method of a TLS socket: that one takes the encryption off under the thread that reads.
                socket.socket.shutdown(self._present, socket.SHUT_RDWR)

    def select(
        self, readers: Sequence[Any], writers: Sequence[Any], others: Sequence[Any], timeout: float | None = None
    ) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Wait until one of the sockets is ready."""
        decrypted = [each for each in readers if isinstance(each, ssl.SSLSocket) and each.pending()]
        ready, writable, failed = super().select(readers, writers, others, 0 if decrypted else timeout)
        return [*ready, *(each for each in decrypted if each not in ready)], writable, failed
