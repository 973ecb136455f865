"""The routes of `/api/v1`, made from the table of endpoints."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import vtorc
from vtorc.forms.frames import ProblemForm
from vtorc.server.access.refusals import lacking_role, only_some_keyspaces
from vtorc.server.access.visitor import CURRENT
from vtorc.server.answers import form_answer, problem_answer, raw_answer
from vtorc.server.asking import Ask
from vtorc.server.history_file import HistoryFile
from vtorc.server.memory import ServerMemory
from vtorc.server.permission import ANONYMOUS, origin_of
from vtorc.server.v1.actions import FORWARDS
from vtorc.server.v1.endpoints import PREFIX, ForwardEndpoint, PastEndpoint, ReadEndpoint, bad_input
from vtorc.server.v1.events import Events
from vtorc.server.v1.openapi import description
from vtorc.server.v1.reads import not_told_yet
from vtorc.server.v1.table import READS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""The methods that are answered; for most paths nearly all of them are refused."""


def v1_routes(
    memory: ServerMemory, ask: Ask, *, acts: bool = True, clock: Callable[[], float] = time.monotonic
) -> list[BaseRoute]:
    """Return the routes of `/api/v1`, with one for all paths below it that do not exist.

    Without `acts` there is none that asks vtorc for anything.
    """
    history = HistoryFile(memory)
    routes = [
        *(_read_route(memory, history, endpoint, clock) for endpoint in READS),
        *(_forward_route(ask, endpoint) for endpoint in FORWARDS if acts),
        Events(memory).route(),
        Route(f"{PREFIX}/openapi.json", _openapi, methods=["GET"]),
    ]
    return [*routes, *_other_methods(routes), Route(f"{PREFIX}/{{rest:path}}", unknown_v1_path, methods=METHODS)]


def _other_methods(routes: Sequence[Route]) -> Iterator[Route]:
    """Yield routes that refuse all methods that the paths of `routes` do not have."""
    allowed: dict[str, set[str]] = {}
    for route in routes:
        allowed.setdefault(route.path, set()).update(route.methods or ())
    for path, methods in allowed.items():
        others = [method for method in METHODS if method not in methods]
        yield Route(path, partial(_wrong_method, sorted(methods)), methods=others)


async def _wrong_method(allowed: Sequence[str], request: Request) -> Response:
    answer = problem_answer(
        ProblemForm(
            title="wrong method",
            status=405,
            what=f"{request.url.path} knows no {request.method}",
            why=f"it has {', '.join(allowed)}",
            do=f"read {PREFIX}/openapi.json, which lists all",
        )
    )
    answer.headers["allow"] = ", ".join(allowed)
    return answer


def _read_route(
    memory: ServerMemory,
    history: HistoryFile,
    endpoint: ReadEndpoint[Any] | PastEndpoint[Any],
    clock: Callable[[], float],
) -> Route:
    async def answer(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), endpoint.query, strict=False)
        except msgspec.ValidationError as error:
            return problem_answer(bad_input("query", str(error), allowed=endpoint.query.__struct_fields__))
        visitor = CURRENT.get()
        if isinstance(endpoint, ReadEndpoint) and not visitor.role.includes(endpoint.role):
            return problem_answer(lacking_role(endpoint.role, visitor.role))
        if isinstance(endpoint, ReadEndpoint) and endpoint.all_keyspaces and visitor.keyspaces is not None:
            return problem_answer(only_some_keyspaces(visitor.keyspaces))
        if not memory.is_complete:
            return problem_answer(not_told_yet())
        if isinstance(endpoint, PastEndpoint):
            form = await endpoint.read(memory, history, request.path_params, query, clock())
        else:
            form = endpoint.read(memory, request.path_params, query, clock())
        return form_answer(request, form)

    return Route(f"{PREFIX}{endpoint.path}", answer, methods=["GET"])


def _forward_route(ask: Ask, endpoint: ForwardEndpoint[Any]) -> Route:
    async def answer(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return problem_answer(_not_json(request.headers.get("content-type", "")))
        try:
            body = msgspec.json.decode(await request.body() or b"{}", type=endpoint.body)
        except msgspec.DecodeError as error:
            return problem_answer(bad_input("body", str(error), allowed=endpoint.body.__struct_fields__))
        reply = await ask(
            endpoint.kind,
            endpoint.arguments(request.path_params, body),
            actor=ANONYMOUS,
            origin=origin_of(request),
        )
        return raw_answer(bytes(reply.body), reply.status)

    return Route(f"{PREFIX}{endpoint.path}", answer, methods=[endpoint.method])


async def _openapi(request: Request) -> Response:
    return raw_answer(_description(), 200)


@cache
def _description() -> bytes:
    return msgspec.json.encode(description(vtorc.__version__))


async def unknown_v1_path(request: Request) -> Response:
    """Answer for a path below `/api/v1` that does not exist, or not with this method."""
    return problem_answer(
        ProblemForm(
            title="unknown path",
            status=404,
            what=f"there is no {request.method} {request.url.path}",
            why="/api/v1 has no such path, or not with this method",
            do=f"read {PREFIX}/openapi.json, which lists all",
        )
    )


def _not_json(given: str) -> ProblemForm:
    return ProblemForm(
        title="not JSON",
        status=415,
        what=f"the content type is {given!r}, expected 'application/json'",
        why="a form on another page of a browser could send anything else",
        do="send a JSON object with the header Content-Type: application/json",
    )
