"""The guard before all routes: clean paths, no foreign pages, bounded bodies, and headers that browsers heed."""

import asyncio
import contextlib
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vtorc.forms.frames import ProblemForm
from vtorc.server.answers import problem_answer
from vtorc.server.browsers import foreign_host, foreign_page
from vtorc.server.options import ServerRules
from vtorc.server.slow_client import SlowClient, cut_off

MOST_BODY = 1 << 20
"""Bytes of the body of a request."""

SEND_WITHIN = 30.0
"""Seconds that a client may take for one part of an answer."""

_HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""Headers of each answer, unless its route has chosen others."""


class Guard:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, rules: ServerRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused or is to be asked for elsewhere, and hand on the rest."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        guarded = _with_headers(scope["path"], send)
        answer = self._answer(scope, headers)
        # A client that leaves, or takes nothing, is no concern of vtorc's log.
        try:
            with contextlib.suppress(ClientDisconnect):
                if answer is not None:
                    await answer(scope, receive, guarded)
                else:
                    await self._app(scope, _bounded(receive), guarded)
        except SlowClient:
            await cut_off(scope, receive)

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        raw = scope.get("raw_path") or scope["path"].encode()
        if (clean := clean_path(raw.decode("latin-1"))) is not None:
            query = scope["query_string"].decode("latin-1")
            # Browsers take a backslash for a slash, and `/\evil.example` would lead them to another host.
            location = (f"{clean}?{query}" if query else clean).replace("\\", "%5C")
            return Response(status_code=307, headers={"location": location})
        if (host := foreign_host(headers, self._rules.allowed_hosts)) is not None:
            return problem_answer(_unknown_host(host))
        acts = scope["method"] not in ("GET", "HEAD") or scope["path"].startswith("/api/")
        if acts and (page := foreign_page(headers, self._rules.allowed_hosts)) is not None:
            return problem_answer(_foreign(page))
        if int(headers.get("content-length", "0")) > MOST_BODY:
            return problem_answer(too_long())
        return None


def clean_path(raw: str) -> str | None:
    """Return a raw path without empty parts and dots, as Go's mux redirects to; None if it is clean."""
    kept: list[str] = []
    for part in raw.split("/"):
        name = unquote(part)
        if name == "..":
            del kept[-1:]
        elif name not in ("", "."):
            kept.append(part)
    clean = "/" + "/".join(kept) + ("/" if kept and raw.endswith("/") else "")
    return clean if clean != raw else None


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BODY:
            raise HTTPException(413)
        return message

    return bounded


def _with_headers(path: str, send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if path.startswith("/api/"):
                headers.setdefault("cache-control", "no-store")
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await send(message)
        except TimeoutError as error:
            raise SlowClient from error

    return guarded


def _unknown_host(host: str) -> ProblemForm:
    return ProblemForm(
        title="unknown host",
        status=403,
        what=f"a browser asked for the host {host!r}, which is none of this server's names",
        why="another page could show its own name for this server, and read what it answers",
        do=f"use the server's address, or give vtorc --allowed-hosts={host}",
    )


def _foreign(page: str) -> ProblemForm:
    return ProblemForm(
        title="foreign page",
        status=403,
        what=f"a page of {page} sent this request",
        why="only this server's own pages may use it through a browser",
        do="open the server's own pages, or use a program other than a browser",
    )


def too_long() -> ProblemForm:
    """Return the problem with a body that is too long."""
    return ProblemForm(
        title="too long",
        status=413,
        what=f"the body of the request has more than {MOST_BODY} bytes",
        why="no request of vtorc's needs as much",
        do="send less",
    )
