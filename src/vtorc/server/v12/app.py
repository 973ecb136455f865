"""The HTTP side of v12's API: finds the route of a path, and sends what its handler returns."""

import asyncio
import inspect
import socket
import time
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from vtorc.server.asking import Ask
from vtorc.server.memory import ServerMemory
from vtorc.server.options import WebFiles
from vtorc.server.orc_web.pages import orc_web_routes
from vtorc.server.permission import origin_of
from vtorc.server.v12 import paths
from vtorc.server.v12.answers import CONTENT_TYPE, V12Answer, V12Error, error, ok
from vtorc.server.v12.call import STATUS_ENDPOINT, USER_HEADER, Call, Tools, V12Settings
from vtorc.server.v12.cluster_book import ClusterBook
from vtorc.server.v12.clusters import Clusters
from vtorc.server.v12.old_codes import with_old_codes
from vtorc.server.v12.refusals import FOREIGN, unknown
from vtorc.server.v12.routes import ROUTES, V12Route
from vtorc.server.v12.synonyms import OLD_NAMES

PATIENCE = 120.0
"""Seconds that a call waits for a recovery that it asked for."""

_TABLE: Final = paths.Table(ROUTES, OLD_NAMES)

_STATUS: Final = ("status",)


def v12_routes(
    memory: ServerMemory,
    ask: Ask,
    *,
    user_header: str = USER_HEADER,
    status_endpoint: str = STATUS_ENDPOINT,
    web: WebFiles | None = None,
) -> list[BaseRoute]:
    """Return the routes of v12's API, one that takes all of its paths, and those of orchestrator's web files.

    `user_header` is the header by which a proxy names the user, `status_endpoint` a further path of the health check.
    """
    settings = V12Settings(
        host=socket.gethostname(),
        user_header=user_header,
        status_endpoint=status_endpoint,
        says_master=web is not None and web.says_master,
    )
    app = V12App(memory, ask, settings=settings)
    return [V12Routes(app), *(orc_web_routes(app.clusters, web) if web is not None else ())]


class V12App:
    """Answers v12's paths, and those of its API that nothing has with an ERROR envelope."""

    def __init__(
        self,
        memory: ServerMemory,
        ask: Ask,
        *,
        settings: V12Settings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> None:
        """Tell what `memory` knows and ask for the rest; `clock` is that of `memory`, `wall` that of the world."""
        self._tools = Tools(
            memory=memory,
            book=ClusterBook(memory),
            ask=ask,
            settings=settings,
            clock=clock,
            wall=wall,
            patience=patience,
        )

    def clusters(self) -> Clusters:
        """Return the clusters of this moment."""
        return self._tools.book.now

    def has(self, scope: Scope) -> bool:
        """Return whether a path is one of v12's or of orchestrator's; others may be those of another API."""
        path = self._path(scope)
        return path is not None and (_TABLE.find(path) is not None or _newest_name(path) in FOREIGN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever its path is."""
        answer = await self.answer(Request(scope, receive))
        # Servers send no body in answer to HEAD, and its length all the same.
        await Response(answer.body, answer.status, media_type=CONTENT_TYPE)(scope, receive, send)

    async def answer(self, request: Request) -> V12Answer:
        """Return the answer to a request."""
        try:
            return await self._answer(request)
        except V12Error as failure:
            return error(failure)

    async def _answer(self, request: Request) -> V12Answer:
        path = self._path(request.scope)
        if path is None:
            raise V12Error(f"{request.url.path} is unknown: the API is below /api/", status=404)
        match = _TABLE.find(path)
        if match is None:
            raise unknown(path, _newest_name(path))
        self._check(request, match.entry)
        call = self._call(request, "/".join(path), match.values)
        if match.entry.is_large:
            # The loop goes on to hear vtorc meanwhile.
            return await asyncio.to_thread(_answer_at_once, match.entry, call)
        result = match.entry.handler(call)
        return _ok(match.entry, call, await result if inspect.isawaitable(result) else result)

    def _check(self, request: Request, route: V12Route) -> None:
        """Refuse methods that v12 has not, HEAD for what acts, and all that would tell of a part of the shards."""
        if request.method not in ("GET", "HEAD") or (request.method == "HEAD" and route.acts):
            raise V12Error(f"{request.method} is not allowed here: this API acts and answers by GET", status=405)
        if route.needs_all and not self._tools.memory.is_complete:
            raise V12Error("vtorc has not told this server of all shards yet: ask again in a moment", status=503)

    def _path(self, scope: Scope) -> tuple[str, ...] | None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        if raw.decode("latin-1").rstrip("/") == self._tools.settings.status_endpoint.rstrip("/"):
            return _STATUS
        return paths.segments(raw)

    def _call(self, request: Request, path: str, values: dict[str, str]) -> Call:
        return Call(
            tools=self._tools,
            clusters=self._tools.book.now,
            path=path,
            values=values,
            query=paths.query_values(request.scope.get("query_string", b"")),
            headers={name: request.headers.getlist(name) for name in request.headers},
            origin=origin_of(request),
        )


class V12Routes(BaseRoute):
    """Takes the paths of an application by their raw form, which may hold an encoded `/`."""

    def __init__(self, app: V12App) -> None:
        """Hand them on to this one."""
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for one of the paths."""
        return (Match.FULL if scope["type"] == "http" and self._app.has(scope) else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        await self._app(scope, receive, send)


def _answer_at_once(route: V12Route, call: Call) -> V12Answer:
    return _ok(route, call, route.handler(call))


def _ok(route: V12Route, call: Call, result: object) -> V12Answer:
    return ok(route.style, with_old_codes(result) if call.tools.settings.says_master else result)


def _newest_name(path: tuple[str, ...]) -> str:
    return OLD_NAMES.get(path[0], path[0]) if path else ""
