"""The listeners of the server, of which two differ in five paths, and the sockets that vtorc opens for them."""

import enum
import socket
from dataclasses import dataclass

from vtorc.errors import ListenError

BACKLOG = 512
"""Connections that the kernel keeps while the server is started anew."""


class Listener(enum.Enum):
    """The listener that a request came in on; it decides what the paths mean that v12 and today's vtorc share."""

    V12 = "v12"
    """`--listen-address`, as in Vitess v11 to v13."""
    TODAY = "today"
    """`--port` with `--bind-address`, as since v14."""
    READ_ONLY = "read-only"
    """`--read-only-address`: as v12's, but nothing that acts exists on it."""

    @property
    def is_like_v12(self) -> bool:
        """Whether the settings of v12's listener hold for it: TLS, certificates and the prefix."""
        return self is not Listener.TODAY


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listener with a socket that takes connections already."""

    listener: Listener
    sock: socket.socket

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(listener: Listener, host: str, port: int) -> BoundListener:
    """Listen on a host, empty for all addresses, and a port, 0 for any; raises ListenError if that cannot be had.

    vtorc itself opens the socket: a wrong address is told at the start, and connections wait while the server is
    started anew.
    """
    try:
        return BoundListener(listener, _listening(host, port))
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ListenError(host, port, reason) from error


def _listening(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
    found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)
