"""The paths of today's API, each with the role that it takes and the answer.

An answer about all tablets of a large fleet takes up to seconds. A thread makes it, so that the loop goes on to hear
vtorc and to answer probes. It reads of the memory only forms that do not change, and copies of lists.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from vtorc.forms.frames import MetricForm, ProblemForm
from vtorc.server.asking import Ask
from vtorc.server.memory import ServerMemory
from vtorc.server.permission import ANONYMOUS, origin_of
from vtorc.server.today.access import PathRole, denial
from vtorc.server.today.analyses import analyses
from vtorc.server.today.config import config_text
from vtorc.server.today.exposition import CONTENT_TYPE, expvar_text, prometheus_text
from vtorc.server.today.gauges import FleetGauges
from vtorc.server.today.golang import go_json
from vtorc.server.today.instances import instance, is_problem
from vtorc.server.today.known import known_tablets
from vtorc.server.today.stats_filter import StatsFilter
from vtorc.server.today.status_page import status_page
from vtorc.server.today.tables import database_state

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
"""Vitess' vtorc looks at no method."""

Rows = Callable[[ServerMemory, str, str], Iterator[dict[str, object]]]
"""Yields the rows of an answer, of one keyspace and shard where they are not empty."""

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Path:
    path: str
    role: PathRole
    handler: Handler


def today_routes(memory: ServerMemory, ask: Ask, *, policy: str = "") -> list[Route]:
    """Return the routes of today's API, of which `policy` denies some; what acts is asked of vtorc by `ask`."""
    answers = TodayAnswers(memory, ask)
    return [
        Route(row.path, _guarded(row, policy), methods=METHODS, include_in_schema=False)
        for row in (
            _Path("/api/problems", PathRole.MONITORING, answers.rows(_problems)),
            _Path("/api/errant-gtids", PathRole.MONITORING, answers.rows(_errant_gtids)),
            _Path("/api/detection-analysis", PathRole.MONITORING, answers.rows(analyses)),
            _Path("/api/replication-analysis", PathRole.MONITORING, answers.rows(analyses)),
            _Path("/api/config", PathRole.MONITORING, answers.config),
            _Path("/api/database-state", PathRole.MONITORING, answers.database_state),
            _Path("/api/disable-global-recoveries", PathRole.ADMIN, answers.recoveries(allowed=False)),
            _Path("/api/enable-global-recoveries", PathRole.ADMIN, answers.recoveries(allowed=True)),
            _Path("/debug/status", PathRole.DEBUGGING, answers.status),
            _Path("/debug/vars", PathRole.ANYTHING, answers.variables),
            _Path("/metrics", PathRole.ANYTHING, answers.metrics),
        )
    ]


def _guarded(row: _Path, policy: str) -> Handler:
    async def endpoint(request: Request) -> Response:
        if (why := denial(row.role, policy)) is not None:
            return _text(f"Access denied: {why}\n", status=403)
        return await row.handler(request)

    return endpoint


def _list_text(rows: Rows, memory: ServerMemory, keyspace: str, shard: str) -> str:
    return go_json(list(rows(memory, keyspace, shard)) or None, indent=" ")


def _problems(memory: ServerMemory, keyspace: str, shard: str) -> Iterator[dict[str, object]]:
    found = (known for known in known_tablets(memory, keyspace, shard) if known.mysql is not None)
    return (instance(known) for known in found if is_problem(known))


def _errant_gtids(memory: ServerMemory, keyspace: str, shard: str) -> Iterator[dict[str, object]]:
    return (instance(known) for known in known_tablets(memory, keyspace, shard) if known.gtid.errant)


class TodayAnswers:
    """Makes the answers from the memory."""

    def __init__(self, memory: ServerMemory, ask: Ask) -> None:
        self._memory = memory
        self._ask = ask
        self._gauges = FleetGauges(memory)

    def rows(self, rows: Rows) -> Handler:
        """Return what answers with a list, or null if it would be empty."""

        async def answer(request: Request) -> Response:
            keyspace, shard = (request.query_params.get(name, "") for name in ("keyspace", "shard"))
            if shard and not keyspace:
                return _text("Filtering by shard without keyspace isn't supported\n", status=400)
            text = await asyncio.to_thread(_list_text, rows, self._memory, keyspace, shard)
            return Response(text, media_type="application/json; charset=utf-8")

        return answer

    async def config(self, request: Request) -> Response:
        """Answer with the settings."""
        return _text(config_text(self._memory.settings))

    async def database_state(self, request: Request) -> Response:
        """Answer with the tables that Vitess' vtorc would have."""
        return _text(await asyncio.to_thread(database_state, self._memory))

    async def status(self, request: Request) -> Response:
        """Answer with a page of the last recoveries."""
        return HTMLResponse(status_page(self._memory))

    async def variables(self, request: Request) -> Response:
        """Answer with the metrics as Go's expvar shows them."""
        status = self._memory.status
        texts = {"BuildVersion": status.version if status is not None else ""}
        stats = StatsFilter.of(self._memory.settings)
        metrics = stats.apply(self._all_metrics())
        text = await asyncio.to_thread(expvar_text, metrics, texts, dropped=stats.dropped)
        return Response(text, media_type="application/json; charset=utf-8")

    async def metrics(self, request: Request) -> Response:
        """Answer with the metrics for Prometheus."""
        is_complete = self._memory.is_complete
        stats = StatsFilter.of(self._memory.settings)
        metrics = stats.apply(self._all_metrics())
        text = await asyncio.to_thread(prometheus_text, metrics, is_complete=is_complete, dropped=stats.dropped)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    def recoveries(self, *, allowed: bool) -> Handler:
        """Return what allows all recoveries, or stops them until vtorc starts anew."""

        async def answer(request: Request) -> Response:
            arguments: dict[str, object] = {"allow": allowed, "reason": f"asked by {request.url.path}"}
            reply = await self._ask("recoveries", arguments, actor=ANONYMOUS, origin=origin_of(request))
            if reply.status >= 400:
                problem = msgspec.json.decode(reply.body, type=ProblemForm)
                return _text(f"{problem.what}: {problem.why}; {problem.do}\n", status=reply.status)
            return _text(f"Global recoveries {'enabled' if allowed else 'disabled'}\n")

        return answer

    def _all_metrics(self) -> Iterator[MetricForm]:
        yield from self._memory.metrics.metrics if self._memory.metrics is not None else ()
        yield from self._gauges.metrics()


def _text(text: str, *, status: int = 200) -> Response:
    """Return a text as Go's `http.Error` and vtorc's text answers have it."""
    headers = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    return Response(text, status_code=status, headers=headers)
