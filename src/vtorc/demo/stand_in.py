"""Answers at the address of the pages while the vtorc of a demo has ended, so that it can be started from there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from vtorc.forms.access import Caller
from vtorc.forms.frames import ProblemForm
from vtorc.server.answers import problem_answer
from vtorc.server.app import guarded_app
from vtorc.server.listener import BoundListener, Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules
from vtorc.server.process import http_server
from vtorc.server.ui.assets import answer_asset
from vtorc.server.ui.demo_panel import demo_routes
from vtorc.server.ui.renderer import Renderer

ENDS_WITHIN = 10
"""Seconds that requests get to be answered after vtorc was started: one of them may be mending servers."""


@asynccontextmanager
async def standing_in(listener: BoundListener, door: str, rest: asyncio.TaskGroup) -> AsyncIterator[None]:
    """Answer at `listener` while inside; requests under way are then answered in `rest`.

    `door` is the socket of the demo.
    """
    server = http_server(stand_in_app(door))
    server.config.timeout_graceful_shutdown = ENDS_WITHIN
    rest.create_task(server.serve(sockets=[listener.sock.dup()]), name="stand-in for vtorc")
    try:
        yield
    finally:
        server.should_exit = True


def stand_in_app(door: str) -> ASGIApp:
    """Return the application: the controls of the demo, and for all else the answer that vtorc has ended."""
    memory = ServerMemory()
    renderer = Renderer(memory, "ended")
    app = Starlette(
        routes=[*demo_routes(renderer, door), Route("/ui/static/{tag}/{name}", answer_asset)],
        exception_handlers={404: partial(_ended, renderer)},
    )
    return guarded_app(app, memory, _report, listener=Listener.V12, rules=ServerRules(demo_door=door))


async def _ended(renderer: Renderer, request: Request, error: Exception) -> Response:
    if not request.url.path.startswith("/ui"):
        return problem_answer(
            ProblemForm(
                title="vtorc has ended",
                status=503,
                what="vtorc does not run",
                why="it was ended in this demo",
                do="start it: vtorc demo start all",
            )
        )
    detail = "Nothing is repaired until it runs again: mend it above, or press r in the demo's terminal."
    return renderer.page(
        request,
        "error.html",
        title="vtorc has ended",
        status=503,
        sentence="vtorc has ended.",
        detail=detail,
        lead=None,
    )


def _report(action: str, caller: Caller, problem: ProblemForm) -> None:
    """Do nothing: vtorc, which would record it, has ended, and a demo has no passwords."""
