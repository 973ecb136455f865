"""The controls of a demo on its pages: break its servers, see what is broken, and mend it."""

import asyncio
from pathlib import Path
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vtorc.forms.frames import ProblemForm
from vtorc.server.access.visitor import CURRENT
from vtorc.server.answers import JSON, problem_answer
from vtorc.server.demo_door import STATE, DemoStateForm, ask_demo
from vtorc.server.ui.renderer import Renderer
from vtorc.server.v1.endpoints import Body, bad_input

LOOKS_WITHIN = 5.0
"""Seconds in which the demo has to tell its state."""

ACTS_WITHIN = 120.0
"""Seconds in which it has to carry out a command: MySQL servers start slowly on a busy machine."""


class DemoOrder(Body, frozen=True, kw_only=True):
    """The command to send."""

    do: str
    """The name of a fault, `start` or `rebuild`."""
    on: str = "primary"
    """An alias, `primary`, or for `start` also `all`."""


def demo_routes(renderer: Renderer, door: str) -> list[BaseRoute]:
    """Return the routes of the controls; none without a door, as for each vtorc of a cluster."""
    if not door:
        return []
    panel = _Panel(renderer, Path(door))
    return [Route("/ui/demo", panel.show, methods=["GET"]), Route("/ui/demo", panel.act, methods=["POST"])]


class _Panel:
    def __init__(self, renderer: Renderer, door: Path) -> None:
        self._renderer = renderer
        self._door = door

    async def show(self, request: Request) -> Response:
        """Answer with the controls, as a piece of a page."""
        told = await self._ask(STATE, "", within=LOOKS_WITHIN)
        if isinstance(told, ProblemForm):
            return problem_answer(told)
        state = msgspec.json.decode(told, type=DemoStateForm)
        refusal = CURRENT.get().refusal
        return self._renderer.part(
            request,
            "demo.html",
            state=state,
            broken=[tablet for tablet in state.tablets if tablet.broken],
            may_not=f"{refusal.what}: {refusal.why}" if refusal is not None else "",
        )

    async def act(self, request: Request) -> Response:
        """Carry out what the operator asks for.

        It has to be JSON, as in `/api/v1`: a form of a foreign page cannot send that unasked.
        """
        if (refusal := CURRENT.get().refusal) is not None:
            return problem_answer(refusal)
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent != JSON:
            error = f"expected {JSON}, got {sent[:40] or 'no content type'}"
            return problem_answer(bad_input("body", error, allowed=DemoOrder.__struct_fields__))
        try:
            order = msgspec.json.decode(await request.body(), type=DemoOrder)
        except msgspec.DecodeError as error:
            return problem_answer(bad_input("body", str(error), allowed=DemoOrder.__struct_fields__))
        told = await self._ask(order.do, order.on, within=ACTS_WITHIN)
        if isinstance(told, ProblemForm):
            return problem_answer(told)
        return Response(msgspec.json.encode({"sentence": told}), media_type=JSON)

    async def _ask(self, command: str, target: str, *, within: float) -> str | ProblemForm:
        try:
            async with asyncio.timeout(within):
                reply = await ask_demo(self._door, command, target)
        except TimeoutError:
            return _problem(504, "the demo did not answer", f"it was asked {within:g} s ago")
        except OSError as error:
            return _problem(503, "the demo takes no commands", error.strerror or str(error))
        if reply is None:
            return _problem(503, "the demo ended", "it was asked, and ended before it answered")
        return reply.ok if reply.ok is not None else _problem(409, "the demo refuses", reply.error or "")


def _problem(status: Literal[409, 503, 504], what: str, why: str) -> ProblemForm:
    return ProblemForm(title="demo", status=status, what=what, why=why, do="look at the demo's terminal")
