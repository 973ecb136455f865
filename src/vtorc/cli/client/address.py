"""Where vtorc is to be reached, as `--server` or `VTORC_SERVER` says it."""

import http.client
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from vtorc.cli.client.credentials import Credentials
from vtorc.cli.client.errors import WrongWords

DEFAULT_ADDRESS = "http://127.0.0.1:3000"
VARIABLE = "VTORC_SERVER"

_EXPECTED = "expected http://HOST:PORT, https://HOST:PORT or unix:/PATH/OF/SOCKET"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """One address of vtorc's HTTP server."""

    text: str
    """The address as errors show it."""
    scheme: str
    """"http", "https" or "unix"."""
    host: str = ""
    """Host name or address; empty for a socket."""
    port: int = 0
    """TCP port; 0 for a socket."""
    prefix: str = ""
    """The beginning of all paths, before `/api/v1`: the URL prefix, or the path of a proxy; empty if there is none."""
    socket_path: str = ""
    """The Unix socket; empty for TCP."""

    @classmethod
    def parse(cls, text: str) -> "ServerAddress":
        """Read an address; a bare HOST:PORT means http. Raises WrongWords."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:").removeprefix("//")
            if not path:
                raise WrongWords(f"server {text!r}: {_EXPECTED}")
            return cls(text=text, scheme="unix", socket_path=path)
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
        except ValueError:  # an address in brackets that is none, or has only one of them
            raise WrongWords(f"server {text!r}: {_EXPECTED}") from None
        try:
            port = parts.port
        except ValueError:
            raise WrongWords(f"server {text!r}: {_EXPECTED}, with a port from 1 to 65535") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise WrongWords(f"server {text!r}: {_EXPECTED}")
        if parts.username is not None:
            raise WrongWords("server: expected an address without a user and a password, which other users could see")
        return cls(
            text=f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}",
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or (443 if parts.scheme == "https" else 80),
            prefix=parts.path.rstrip("/"),
        )

    def connection(self, timeout: float, credentials: Credentials) -> http.client.HTTPConnection:
        """Return a connection that is opened by its first request; each of its waits ends after `timeout` seconds.

        Raises WrongWords if a file of the credentials cannot be used.
        """
        if self.scheme == "unix":
            return _SocketConnection(self.socket_path, timeout)
        if self.scheme == "https":
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=credentials.tls())
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
