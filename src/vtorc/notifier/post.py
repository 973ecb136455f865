"""One POST of an event: signed, over a connection of its own, and never longer than its time limit."""

import asyncio
import contextlib
import hashlib
import hmac
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from vtorc.files import try_files

TIMEOUT = 10.0
"""Seconds that one try may take in all."""

SIGNATURE = "X-Vtorc-Signature"
"""The header with the time and the signature, as `t=1764460800,v1=…`: an HMAC-SHA256 of `t`, a dot and the body, in
hex.
"""

_LONGEST_HEAD = 1 << 16


class NotDelivered(Exception):
    """The receiver did not take an event; the message says why."""

    def __init__(self, message: str, *, is_about_event: bool = False) -> None:
        super().__init__(message)
        self.is_about_event = is_about_event
        """Whether another event may be taken all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where events go."""

    host: str
    port: int
    authority: str
    """Host and port as the header `Host` has them."""
    target: str
    """The path with its query."""
    tls: ssl.SSLContext | None
    """None for clear text."""
    secret: bytes
    """The key of the signature; empty for none."""

    @classmethod
    def of(cls, url: str, *, secret: str = "", ca: str = "") -> Self:
        """Return the receiver at a URL; raises ValueError for what is none, OSError for a file that cannot be read."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(url)
        if parts.scheme == "https":
            try_files(ca)
        tls = ssl.create_default_context(cafile=ca or None) if parts.scheme == "https" else None
        path = parts.path or "/"
        return cls(
            host=parts.hostname,
            port=parts.port or (443 if tls is not None else 80),
            authority=parts.netloc,
            target=f"{path}?{parts.query}" if parts.query else path,
            tls=tls,
            secret=secret.encode(),
        )

    def request(self, id_: str, kind: str, body: bytes, now: int) -> bytes:
        """Return the bytes of a request at `now`, in seconds since the Unix epoch."""
        headers = {
            "Host": self.authority,
            "User-Agent": "vtorc",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Vtorc-Event": kind,
            "X-Vtorc-Event-Id": id_,
        }
        if self.secret:
            headers[SIGNATURE] = f"t={now},v1={signature(self.secret, now, body)}"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.target} HTTP/1.1\r\n{head}\r\n".encode() + body


def signature(secret: bytes, now: int, body: bytes) -> str:
    """Return the signature of a body that is sent at `now`, in seconds since the Unix epoch."""
    return hmac.new(secret, b"%d." % now + body, hashlib.sha256).hexdigest()


async def post(receiver: Receiver, request: bytes, *, timeout: float = TIMEOUT) -> None:
    """Send a request, and return once the receiver has taken it; raises NotDelivered."""
    try:
        async with asyncio.timeout(timeout):
            status = await _status(receiver, request)
    except TimeoutError as error:
        raise NotDelivered(f"{receiver.authority} gave no answer within {timeout:g} s") from error
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise NotDelivered(f"{receiver.authority}: {_reason(error)}") from error
    if not 200 <= status < 300:
        about = 400 <= status < 500 and status not in (408, 425, 429)
        raise NotDelivered(f"{receiver.authority} answered with status {status}", is_about_event=about)


async def _status(receiver: Receiver, request: bytes) -> int:
    reader, writer = await asyncio.open_connection(
        receiver.host,
        receiver.port,
        ssl=receiver.tls,
        limit=_LONGEST_HEAD,
    )
    try:
        writer.write(request)
        await writer.drain()
        while True:
            line = await reader.readuntil(b"\n")
            protocol, _, rest = line.partition(b" ")
            code = rest[:3]
            if not protocol.startswith(b"HTTP/1.") or not code.isdigit():
                raise ValueError("not an answer of an HTTP server")
            if int(code) >= 200:
                return int(code)
            while (await reader.readuntil(b"\n")).strip():
                pass
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}; --webhook-ca names its authority"
        case ssl.SSLError():
            return f"TLS failed: {error.reason}"
        case asyncio.IncompleteReadError():
            return "it closed the connection without an answer"
        case OSError() if error.strerror:
            return error.strerror.lower()
        case _:
            return str(error) or type(error).__name__
