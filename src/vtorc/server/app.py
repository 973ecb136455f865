"""The ASGI application of one listener: all dialects, probes, and what happens to paths that do not exist."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from vtorc.forms.frames import ProblemForm
from vtorc.server.answers import problem_answer
from vtorc.server.asking import Ask
from vtorc.server.guard import Guard
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules
from vtorc.server.permission import LocalActions
from vtorc.server.probes import probe_routes
from vtorc.server.v1.routes import v1_routes
from vtorc.server.v12.app import v12_routes

Dialect = Callable[[ServerMemory, Ask], Sequence[BaseRoute]]
"""Makes the routes of one older API; a route may be of any class that matches a scope, also by its raw path."""

DIALECTS: dict[Listener, Dialect] = {Listener.V12: v12_routes}
"""The older APIs. Both listeners serve both; where they share a path, that of the listener counts."""


def make_app(
    memory: ServerMemory, ask: Ask, *, listener: Listener = Listener.TODAY, rules: ServerRules | None = None
) -> ASGIApp:
    """Return the application for the requests that come in on `listener`; by default the rules are the strict ones.

    All dialects get the same `ask`, which refuses what acts and comes from another host.
    """
    rules = rules or ServerRules()
    asking = ask if rules.allow_remote_actions else LocalActions(ask)
    own_first = sorted(DIALECTS, key=lambda dialect: dialect is not listener)
    app = Starlette(
        routes=[
            *v1_routes(memory, asking),
            *probe_routes(memory),
            *(route for dialect in own_first for route in DIALECTS[dialect](memory, asking)),
        ],
        exception_handlers={404: _UNKNOWN_PATH[listener], 500: _own_mistake},
    )
    return Guard(GZipMiddleware(app, minimum_size=1000, compresslevel=5), rules)


async def _own_mistake(request: Request, error: Exception) -> Response:
    """Answer after a mistake of vtorc's own, which the log has with its traceback."""
    return problem_answer(
        ProblemForm(
            title="mistake of vtorc",
            status=500,
            what=f"vtorc itself failed to answer {request.url.path}",
            why="a mistake in vtorc",
            do="report it with the traceback in vtorc's log",
        )
    )


async def _unknown_in_v12(request: Request, error: Exception) -> Response:
    """Answer as v12 did; its client takes anything but JSON below `/api/` for a server that is down."""
    path = request.url.path
    if path.startswith("/api/"):
        return JSONResponse({"Code": "ERROR", "Message": f"there is no {path}", "Details": None}, status_code=404)
    return PlainTextResponse("404 page not found\n", status_code=404)


async def _unknown_today(request: Request, error: Exception) -> Response:
    """Answer as today's vtorc does."""
    return RedirectResponse("/debug/status", status_code=302)


_UNKNOWN_PATH = {Listener.V12: _unknown_in_v12, Listener.TODAY: _unknown_today}
