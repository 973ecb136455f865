"""The connection to `/api/v1`: one request, one answer, or a stream of events."""

import http.client
import socket
import ssl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from vtorc.cli.client.address import ServerAddress
from vtorc.cli.client.credentials import Credentials
from vtorc.cli.client.errors import AnswerNotUnderstood, RequestRefused, ServerUnreachable, WrongWords
from vtorc.cli.client.events import ServerEvent, parse_events
from vtorc.forms.base import Form
from vtorc.forms.fleet import ListForm
from vtorc.forms.frames import ProblemForm

PATIENCE = 40.0
"""Seconds that one wait of a request may take; the server itself gives up waiting for vtorc after 30."""

EVENT_PATIENCE = 15.0
"""Seconds without an event after which a stream counts as broken; a heartbeat comes every second."""

T = TypeVar("T")
F = TypeVar("F", bound=Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnswer:
    """An answer that is no refusal."""

    request: str
    """The request in words, for errors."""
    body: bytes
    """The content."""

    def read(self, form: type[T]) -> T:
        """Return the content as a form; raises AnswerNotUnderstood."""
        try:
            return msgspec.json.decode(self.body, type=form)
        except msgspec.MsgspecError as error:
            raise AnswerNotUnderstood(
                f"the answer to {self.request} has another form than this version knows ({error}); "
                "use the vtorc ctl of the version that runs there"
            ) from error


class ApiClient:
    """Asks one vtorc."""

    def __init__(
        self,
        address: ServerAddress,
        credentials: Credentials | None = None,
        *,
        patience: float = PATIENCE,
        event_patience: float = EVENT_PATIENCE,
    ) -> None:
        """Ask the vtorc at `address`; the patiences are in seconds, for one wait of a request or of a stream."""
        self.address = address
        self._credentials = credentials or Credentials()
        self._patience = patience
        self._event_patience = event_patience

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> ServerAnswer:
        """Ask for a path below `/api/v1`, such as `status`; values of the query that are None are left out.

        Raises ServerUnreachable, RequestRefused, AnswerNotUnderstood.
        """
        return self._ask("GET", _target(path, query), None)

    def post(self, path: str, arguments: Mapping[str, object]) -> ServerAnswer:
        """Ask for something to be made or done; raises as `get` does."""
        return self._ask("POST", _target(path, None), msgspec.json.encode(arguments))

    def delete(self, path: str, arguments: Mapping[str, object]) -> ServerAnswer:
        """Ask for something to be ended; raises as `get` does."""
        return self._ask("DELETE", _target(path, None), msgspec.json.encode(arguments))

    def items(self, path: str, query: Mapping[str, str | None], form: type[ListForm[F]]) -> ListForm[F]:
        """Return a list, all pages of it; raises as `get` does."""
        page = self.get(path, query).read(form)
        items = list(page.items)
        while page.cursor is not None:
            page = self.get(path, {**query, "cursor": page.cursor}).read(form)
            items += page.items
        return ListForm(items=items, revision=page.revision, cursor=None)

    def events(self, query: Mapping[str, str | None]) -> Iterator[ServerEvent]:
        """Yield events as they come, until the caller closes the iterator.

        Raises ServerUnreachable where the stream breaks, and else as `get` does.
        """
        target = _target("events", query)
        request = f"GET {target}"
        with closing(self.address.connection(self._event_patience, self._credentials)) as connection:
            response = self._send(connection, "GET", target, None)
            self._check(response, request)
            try:
                yield from parse_events(iter(response.readline, b""))
            except (OSError, http.client.HTTPException) as error:
                raise ServerUnreachable(f"vtorc at {self.address.text} is silent now ({_reason(error)})") from error
        raise ServerUnreachable(f"vtorc at {self.address.text} has ended the stream of events")

    def _ask(self, method: str, target: str, body: bytes | None) -> ServerAnswer:
        request = f"{method} {target}"
        with closing(self.address.connection(self._patience, self._credentials)) as connection:
            response = self._send(connection, method, target, body)
            body = self._check(response, request)
            if _is_stream(response):
                raise WrongWords(f"{target} is a stream of events, which has no end; use: vtorc ctl watch")
            return ServerAnswer(request=request, body=body)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json, text/event-stream", **self._credentials.headers()}
        if body is not None:
            headers["Content-Type"] = "application/json"
            headers["Idempotency-Key"] = str(uuid.uuid4())  # whatever stands between may send it twice
        try:
            connection.request(method, self.address.prefix + target, body=body, headers=headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(
                f"vtorc at {self.address.text} does not answer ({_reason(error)}): is vtorc running with "
                "--listen-address or --port? name another with --server"
            ) from error

    def _check(self, response: http.client.HTTPResponse, request: str) -> bytes:
        """Return the content of an answer, of a stream none; raises RequestRefused, AnswerNotUnderstood."""
        if _is_stream(response):
            return b""
        try:
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(
                f"vtorc at {self.address.text} broke off its answer to {request} ({_reason(error)}); ask again"
            ) from error
        try:
            if response.status < 300:
                msgspec.json.decode(body, type=msgspec.Raw)
                return body
            problem = msgspec.json.decode(body, type=ProblemForm)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AnswerNotUnderstood(
                f"{self.address.text} answers {response.status} {response.reason} to {request}: expected the API of "
                "vtorc there; name another address with --server"
            ) from error
        raise RequestRefused(problem, body)


def shard_path(name: str) -> str:
    """Return the path of a shard that an operator named `keyspace/shard`; raises WrongWords."""
    keyspace, slash, shard = name.partition("/")
    if not (keyspace and slash and shard) or "/" in shard:
        raise WrongWords(f"shard {name!r}: expected KEYSPACE/SHARD, for example commerce/-80")
    return f"shards/{segment(keyspace)}/{segment(shard)}"


def segment(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote(name, safe="")


def _target(path: str, query: Mapping[str, str | None] | None) -> str:
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"/api/v1/{path}{'?' if given else ''}{urlencode(given)}"


def _is_stream(response: http.client.HTTPResponse) -> bool:
    return response.status < 300 and (response.getheader("Content-Type") or "").startswith("text/event-stream")


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}; --ca names the file of its authority"
        case ssl.SSLError():
            return f"TLS failed: {error.reason}"
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror():
            return "the host name is unknown"
        case ConnectionResetError() | http.client.RemoteDisconnected() | BrokenPipeError():
            return "connection broken"
        case http.client.HTTPException():
            return "not an answer of an HTTP server"
        case OSError() if error.strerror:
            return error.strerror.lower()
        case _:
            return str(error) or type(error).__name__
