"""The routes of `/api/v1`, made from the table of endpoints."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vtorc.forms.frames import ProblemForm
from vtorc.server.answers import form_answer, problem_answer, raw_answer
from vtorc.server.asking import Ask
from vtorc.server.memory import ServerMemory
from vtorc.server.v1.actions import FORWARDS
from vtorc.server.v1.endpoints import PREFIX, ForwardEndpoint, ReadEndpoint
from vtorc.server.v1.reads import not_told_yet
from vtorc.server.v1.table import READS

ANONYMOUS = "anonymous"
"""The operator of a request that nothing tells the name of."""


def v1_routes(memory: ServerMemory, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> list[BaseRoute]:
    """Return the routes of `/api/v1`, with one for all paths below it that do not exist."""
    return [
        *(_read_route(memory, endpoint, clock) for endpoint in READS),
        *(_forward_route(ask, endpoint) for endpoint in FORWARDS),
        Route(f"{PREFIX}/{{rest:path}}", _unknown_path, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


def _read_route(memory: ServerMemory, endpoint: ReadEndpoint[Any], clock: Callable[[], float]) -> Route:
    async def answer(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), endpoint.query, strict=False)
        except msgspec.ValidationError as error:
            return problem_answer(_bad_input("query", error, allowed=endpoint.query.__struct_fields__))
        if not memory.is_complete:
            return problem_answer(not_told_yet())
        return form_answer(request, endpoint.read(memory, request.path_params, query, clock()))

    return Route(f"{PREFIX}{endpoint.path}", answer, methods=["GET"])


def _forward_route(ask: Ask, endpoint: ForwardEndpoint[Any]) -> Route:
    async def answer(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return problem_answer(_not_json(request.headers.get("content-type", "")))
        try:
            body = msgspec.json.decode(await request.body() or b"{}", type=endpoint.body)
        except msgspec.DecodeError as error:
            return problem_answer(_bad_input("body", error, allowed=endpoint.body.__struct_fields__))
        reply = await ask(
            endpoint.kind,
            endpoint.arguments(request.path_params, body),
            actor=ANONYMOUS,
            origin=request.client.host if request.client is not None else "",
        )
        return raw_answer(bytes(reply.body), reply.status)

    return Route(f"{PREFIX}{endpoint.path}", answer, methods=["POST"])


async def _unknown_path(request: Request) -> Response:
    return problem_answer(
        ProblemForm(
            title="unknown path",
            status=404,
            what=f"there is no {request.method} {request.url.path}",
            why="/api/v1 has no such path, or not with this method",
            do=f"read {PREFIX}/openapi.json, which lists all",
        )
    )


def _bad_input(part: str, error: msgspec.DecodeError, *, allowed: tuple[str, ...]) -> ProblemForm:
    """Return the problem with a query or a body; msgspec's text names what was expected, and where."""
    names = ", ".join(allowed) or "nothing"
    return ProblemForm(
        title=f"bad {part}",
        status=400,
        what=f"the {part} cannot be used: {error}",
        why=f"the {part} of this request takes {names}",
        do=f"correct it; {PREFIX}/openapi.json describes each request",
    )


def _not_json(given: str) -> ProblemForm:
    return ProblemForm(
        title="not JSON",
        status=415,
        what=f"the content type is {given!r}, expected 'application/json'",
        why="a form on another page of a browser could send anything else",
        do="send a JSON object with the header Content-Type: application/json",
    )
