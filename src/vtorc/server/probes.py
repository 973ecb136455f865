"""The answers to a container platform: whether vtorc lives, and whether it knows its shards."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from vtorc.server.memory import ServerMemory
from vtorc.server.today.golang import go_json, go_time

LIVE_FOR = 10.0
"""Seconds without a sign of life after which vtorc does not count as alive."""

LIVENESS, HEALTH = "/debug/liveness", "/debug/health"
PROBES = frozenset({LIVENESS, HEALTH})
"""The paths of the probes."""

FIRST_PAGE = "/web/clusters"
"""The first page of v12's web interface, which vitess-operator up to 2.7 asks for both."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>vtorc</title>
<meta http-equiv="refresh" content="0; url=../ui/"></head>
<body><p>The pages of vtorc are at <a href="../ui/">ui/</a>.</p>
</body></html>
"""


def probe_routes(
    memory: ServerMemory, *, has_web_files: bool = False, clock: Callable[[], float] = time.monotonic
) -> list[Route]:
    """Return the routes of `/debug/health`, `/debug/liveness` and the first page; `clock` is the one of the memory.

    The first page leads to vtorc's own ones, and tells nothing of a shard; with web files it is one of theirs.
    """
    began = clock()

    def why_not_alive() -> str:
        silence = clock() - (memory.heard_at if memory.heard_at is not None else began)
        return "" if silence < LIVE_FOR else f"vtorc was not heard for {silence:.0f} s"

    async def liveness(request: Request) -> Response:
        if why_not := why_not_alive():
            return PlainTextResponse(f"{why_not}\n", status_code=503)
        return PlainTextResponse("ok\n")

    async def first_page(request: Request) -> Response:
        if why_not := why_not_alive():
            return PlainTextResponse(f"{why_not}\n", status_code=503)
        return HTMLResponse(_PAGE)

    async def health(request: Request) -> Response:
        if why_not := why_not_alive():
            return _health(memory, why_not)
        watched = memory.status.shards_watched if memory.status is not None else None
        if watched is None:
            return _health(memory, "the topology server was not read yet")
        if watched and not memory.shards:
            return _health(memory, f"none of {watched} shards was judged yet")
        return _health(memory)

    probes = [Route(LIVENESS, liveness), Route(HEALTH, health)]
    return probes if has_web_files else [*probes, Route(FIRST_PAGE, first_page)]


def _health(memory: ServerMemory, why_not: str = "") -> Response:
    """Answer with the fields of Vitess' vtorc, which its users look for, and with a reason that it does not have."""
    reported = memory.heartbeat.at if memory.heartbeat is not None else None
    told = {"Healthy": not why_not, "LastReported": go_time(reported), **({"Reason": why_not} if why_not else {})}
    return Response(go_json(told, indent=" "), status_code=500 if why_not else 200, media_type="application/json")
