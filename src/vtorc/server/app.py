"""The ASGI application of one listener: all dialects, probes, and what happens to paths that do not exist."""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import structs
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from vtorc.forms.access import Caller
from vtorc.forms.frames import ProblemForm
from vtorc.server.access.gate import Gate
from vtorc.server.access.rules import AccessRules
from vtorc.server.access.tokens import TokenCheck
from vtorc.server.access.visitor import AllowedActions
from vtorc.server.answers import problem_answer
from vtorc.server.asking import Ask, Forward
from vtorc.server.browsers import is_browser
from vtorc.server.guard import Guard, too_long
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules
from vtorc.server.prefix import Prefixed
from vtorc.server.probes import FIRST_PAGE, PROBES, probe_routes
from vtorc.server.scoped import ScopedApps
from vtorc.server.today.routes import today_routes
from vtorc.server.ui.pages import FLEET, ui_routes
from vtorc.server.v1.endpoints import PREFIX
from vtorc.server.v1.routes import unknown_v1_path, v1_routes
from vtorc.server.v12.app import v12_routes

Report = Callable[[str, Caller, ProblemForm], None]
"""Hears of a refusal: the action that was asked for, the client, and the answer that it got."""

Dialect = Callable[[ServerMemory, Ask], Sequence[BaseRoute]]
"""Makes the routes of one older API; a route may be of any class that matches a scope, also by its raw path."""


def make_app(
    memory: ServerMemory, forward: Forward, *, listener: Listener = Listener.TODAY, rules: ServerRules | None = None
) -> ASGIApp:
    """Return the application for the requests that come in on `listener`; by default the rules are the strict ones.

    All dialects get the same `Ask`, which refuses what acts of a client that may not act.
    """
    rules = rules or ServerRules()
    asking = AllowedActions(forward)
    apps = ScopedApps(memory, lambda seen: _routes(seen, asking, listener, rules))
    zipped = GZipMiddleware(apps, minimum_size=1000, compresslevel=5)
    guarded = guarded_app(zipped, memory, forward.report, listener=listener, rules=rules)
    if listener.is_like_v12 and rules.url_prefix:
        return Prefixed(guarded, rules.url_prefix, {*PROBES, rules.access.status_endpoint.rstrip("/")})
    return guarded


def guarded_app(
    app: ASGIApp, memory: ServerMemory, report: Report, *, listener: Listener, rules: ServerRules
) -> ASGIApp:
    """Return an application behind the gate, so that it knows who asks, and behind the guard.

    `report` is told of each client that shows a wrong password or token.
    """
    gate = Gate(app, _access(rules.access, listener), TokenCheck(memory), report, policy=rules.security_policy)
    return Guard(gate, rules)


def _routes(memory: ServerMemory, ask: Ask, listener: Listener, rules: ServerRules) -> ASGIApp:
    """Return the application of all dialects over a memory, in which those of the listener come first."""
    dialects = _dialects(rules)
    own = Listener.V12 if listener.is_like_v12 else Listener.TODAY
    own_first = sorted(dialects, key=lambda dialect: dialect is not own)
    app = Starlette(
        routes=[
            *v1_routes(memory, ask, acts=listener is not Listener.READ_ONLY),
            *probe_routes(memory, has_web_files=rules.web is not None),
            *ui_routes(memory, ask, answers_web=rules.web is None, demo_door=rules.demo_door),
            *(route for dialect in own_first for route in dialects[dialect](memory, ask)),
        ],
        exception_handlers={404: partial(_unknown_path, listener), 413: _long_body, 500: _own_mistake},
    )
    # A path with one slash too many is unknown, as no description has it: Starlette redirects to the one without.
    app.router.redirect_slashes = False
    return app


def _access(rules: AccessRules, listener: Listener) -> AccessRules:
    """Return the rules of a listener: today's is in clear text, so that its clients show no certificates."""
    if listener is Listener.READ_ONLY:
        return structs.replace(rules, read_only=True)
    return rules if listener.is_like_v12 else structs.replace(rules, units=None)


def _dialects(rules: ServerRules) -> dict[Listener, Dialect]:
    """Return the older APIs. Both listeners serve both; where they share a path, that of the listener counts."""
    v12 = partial(
        v12_routes,
        user_header=rules.access.user_header,
        status_endpoint=rules.access.status_endpoint,
        web=rules.web,
    )
    return {Listener.V12: v12, Listener.TODAY: partial(today_routes, policy=rules.security_policy)}


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


async def _long_body(request: Request, error: Exception) -> Response:
    """Answer to a body that turned out to be too long while it was read."""
    return problem_answer(too_long())


async def _unknown_path(listener: Listener, request: Request, error: Exception) -> Response:
    """Answer as the vtorc did that the listener is for; a path with a line break in it matches no pattern of ours."""
    path = request.url.path
    if path.startswith(f"{PREFIX}/"):
        return await unknown_v1_path(request)
    if path == "/" and is_browser(request.headers):
        return RedirectResponse(FLEET, status_code=302)
    if listener is Listener.TODAY:
        return RedirectResponse("/debug/status", status_code=302)
    if path == "/":
        return RedirectResponse(FIRST_PAGE, status_code=302)
    if path.startswith("/api/"):  # v12's client takes anything but JSON for a server that is down
        return JSONResponse({"Code": "ERROR", "Message": f"there is no {path}", "Details": None}, status_code=404)
    return PlainTextResponse("404 page not found\n", status_code=404)
