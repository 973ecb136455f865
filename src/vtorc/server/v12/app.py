"""The ASGI side of v12's API: finds the route, asks whether the call may act, and sends the answer."""

import inspect
import ipaddress
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vtorc.server.asking import Ask
from vtorc.server.memory import ServerMemory
from vtorc.server.v12 import paths
from vtorc.server.v12.answers import CONTENT_TYPE, V12Answer, V12Error, error, ok
from vtorc.server.v12.call import Call, Tools, V12Settings
from vtorc.server.v12.clusters import Clusters
from vtorc.server.v12.refusals import unknown
from vtorc.server.v12.routes import ROUTES
from vtorc.server.v12.synonyms import OLD_NAMES

MayAct = Callable[[Request], bool]
"""Whether the sender of a request may ask for something that acts."""

_TABLE: Final = paths.Table(ROUTES, OLD_NAMES)

_SAME_SITE: Final = frozenset(("same-origin", "none"))


def is_local(request: Request) -> bool:
    """Return whether a request came over a loopback address or a Unix socket."""
    if request.client is None:
        return True
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


class V12App:
    """Answers v12's paths, and those of its API that nothing has with an ERROR envelope."""

    def __init__(
        self,
        memory: ServerMemory,
        ask: Ask,
        *,
        settings: V12Settings | None = None,
        may_act: MayAct = is_local,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        patience: float = 120.0,
    ) -> None:
        """Tell what `memory` knows and ask for the rest; `clock` is that of `memory`.

        A call waits for `patience` seconds for a recovery that it asked for.
        """
        self._tools = Tools(
            memory=memory,
            clusters=Clusters(memory),
            ask=ask,
            settings=settings or V12Settings(),
            clock=clock,
            wall=wall,
            patience=patience,
        )
        self._may_act = may_act

    def has(self, scope: Scope) -> bool:
        """Return whether a path is one of v12's; the others below `/api/` may be those of another dialect."""
        path = self._path(scope)
        return path is not None and _TABLE.find(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever its path is."""
        request = Request(scope, receive)
        answer = await self.answer(request)
        body = b"" if request.method == "HEAD" else answer.body
        response = Response(body, answer.status, media_type=CONTENT_TYPE)
        response.headers["Content-Length"] = str(len(answer.body))
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    async def answer(self, request: Request) -> V12Answer:
        """Return the answer to a request."""
        try:
            return await self._answer(request)
        except V12Error as failure:
            return error(failure)

    async def _answer(self, request: Request) -> V12Answer:
        path = self._path(request.scope)
        if path is None:
            raise V12Error(
                f"{request.url.path} is unknown: the API is below {self._tools.settings.prefix}/api/", status=404
            )
        match = _TABLE.find(path)
        if match is None:
            raise unknown(path, OLD_NAMES.get(path[0], path[0]) if path else "")
        route = match.entry
        if request.method not in ("GET", "HEAD"):
            raise V12Error(f"{request.method} is not allowed: this API has GET only", status=405)
        if route.acts:
            self._check_may_act(request)
        result = route.handler(self._call(request, "/".join(path), match.values))
        return ok(route.style, await result if inspect.isawaitable(result) else result)

    def _path(self, scope: Scope) -> tuple[str, ...] | None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        settings = self._tools.settings
        if raw.decode("latin-1").rstrip("/") == settings.status_endpoint.rstrip("/"):
            return ("status",)
        return paths.segments(raw, settings.prefix)

    def _check_may_act(self, request: Request) -> None:
        """Refuse what may not act: HEAD, senders without the right, and pages of other sites."""
        if request.method == "HEAD":
            raise V12Error("HEAD is not allowed: this path acts", status=405)
        if not self._may_act(request):
            raise V12Error("Unauthorized", details="this acts, and vtorc takes that from loopback addresses only")
        if not is_same_site(request):
            raise V12Error("Unauthorized", details="this acts, and the page that asked for it is of another site")

    def _call(self, request: Request, path: str, values: dict[str, str]) -> Call:
        return Call(
            tools=self._tools,
            path=path,
            values=values,
            query=paths.query_values(request.scope.get("query_string", b"")),
            headers={name: request.headers.getlist(name) for name in request.headers},
            origin=request.client.host if request.client is not None else "",
        )


def is_same_site(request: Request) -> bool:
    """Return whether a request comes from no page, or from one of this very host."""
    if request.headers.get("sec-fetch-site", "none") not in _SAME_SITE:
        return False
    host = request.headers.get("host", "")
    pages = (request.headers.get("origin"), request.headers.get("referer"))
    return all(urlsplit(page).netloc == host for page in pages if page)
