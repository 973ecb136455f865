"""The routes of the web UI."""

from collections.abc import Mapping
from typing import TypeVar, get_args
from urllib.parse import urlencode

import msgspec
from msgspec import structs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from vtorc.forms.audit import AuditResult
from vtorc.forms.frames import ProblemForm
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.times import rfc3339
from vtorc.recovery.record import Outcome
from vtorc.server.answers import problem_answer
from vtorc.server.asking import Ask
from vtorc.server.history_file import HistoryFile
from vtorc.server.memory import ServerMemory
from vtorc.server.permission import ANONYMOUS, origin_of
from vtorc.server.prefix import path_of
from vtorc.server.ui.assets import answer_asset
from vtorc.server.ui.demo_panel import demo_routes
from vtorc.server.ui.fleet import FleetQuery, fleet_head, fleet_page, named_rows, wanted_shards
from vtorc.server.ui.look_back import LookBack, Then, recovery_then, shard_then
from vtorc.server.ui.plan import TITLES, plan_of
from vtorc.server.ui.recovery import recovery_page
from vtorc.server.ui.renderer import Renderer
from vtorc.server.ui.sentences import audit_sentence, recoveries_sentence
from vtorc.server.ui.shard import shard_page
from vtorc.server.ui.words import capitalized, plural
from vtorc.server.v1.audit import AuditQuery, audit
from vtorc.server.v1.endpoints import NoQuery, Query, bad_input
from vtorc.server.v1.past import RecoveriesQuery, recoveries, recovery
from vtorc.server.v1.reads import why

Q = TypeVar("Q", bound=Query)

MOST_ROWS = 200
"""Rows that one request for changed rows may name."""

FLEET = "/ui/"
"""The first page."""


def ui_routes(memory: ServerMemory, ask: Ask, *, answers_web: bool = True, demo_door: str = "") -> list[BaseRoute]:
    """Return the routes of the pages, their files, and a page for all paths below `/ui` that do not exist.

    With `answers_web` links to orchestrator's pages, as they are in chats and bookmarks, lead to these. `demo_door` is
    the socket of the demo that the server belongs to; empty for none.
    """
    renderer = Renderer(memory, "running" if demo_door else "")
    pages = _Pages(memory, ask, renderer)
    return [
        Route("/ui", _to_fleet),
        Route(FLEET, pages.fleet),
        Route("/ui/order", pages.order),
        Route("/ui/rows", pages.rows),
        Route("/ui/shards/{keyspace}/{shard}", pages.shard),
        Route("/ui/shards/{keyspace}/{shard}/plan", pages.plan),
        Route("/ui/recoveries", pages.recoveries),
        Route("/ui/recoveries/{id}", pages.recovery),
        Route("/ui/audit", pages.audit),
        Route("/ui/settings", pages.settings),
        Route("/ui/static/{tag}/{name}", answer_asset),
        *demo_routes(renderer, demo_door),
        Route("/ui/{rest:path}", pages.unknown),
        *([Route("/web/{rest:path}", _from_web)] if answers_web else []),
    ]


_WEB = {"audit-recovery": "/ui/recoveries", "audit-failure-detection": "/ui/recoveries", "status": "/ui/settings"}
"""The pages of vtorc that answer orchestrator's; all others lead to the fleet."""


async def _from_web(request: Request) -> Response:
    path = request.path_params["rest"]
    if (text := _searched(path)) is not None:
        return RedirectResponse(f"{FLEET}?{urlencode({'q': text})}", status_code=302)
    return RedirectResponse(_WEB.get(path.partition("/")[0], FLEET), status_code=302)


def _searched(path: str) -> str | None:
    """Return what the page of a cluster or of a search was asked for, as text to find; None for any other page."""
    match path.split("/"):
        case ["cluster", "alias", alias]:
            return alias.replace(":", "/", 1)
        case ["cluster", "instance", host, port]:
            return f"{host}:{port}"
        case ["cluster" | "search", text]:
            return text
        case _:
            return None


async def _to_fleet(request: Request) -> Response:
    return RedirectResponse(FLEET, status_code=307)


class _Pages:
    def __init__(self, memory: ServerMemory, ask: Ask, renderer: Renderer) -> None:
        self._memory = memory
        self._history = HistoryFile(memory)
        self._look_back = LookBack(memory, self._history)
        self._ask = ask
        self._renderer = renderer

    async def fleet(self, request: Request) -> Response:
        try:
            query = _query(request, FleetQuery)
        except msgspec.ValidationError as error:
            return self._problem(request, _bad_address(error, FleetQuery))
        then = await self._look_back.then(request)
        if isinstance(then, ProblemForm):
            return self._problem(request, then)
        shards = await self._shards(then)
        if isinstance(shards, ProblemForm):
            return self._problem(request, shards)
        return self._renderer.page(
            request,
            "fleet.html",
            title="Fleet",
            events="kinds=shard,gone,status,heartbeat",
            then=then,
            page=fleet_page(shards, query),
            query=query,
        )

    async def order(self, request: Request) -> Response:
        """Answer with the names of all shards that the query asks for, the worst first."""
        try:
            query = _query(request, FleetQuery)
        except msgspec.ValidationError as error:
            return problem_answer(_bad_address(error, FleetQuery))
        then = await self._look_back.then(request)
        if isinstance(then, ProblemForm):
            return problem_answer(then)
        shards = await self._shards(then)
        if isinstance(shards, ProblemForm):
            return problem_answer(shards)
        names = [shard.name for shard in wanted_shards(shards, query)]
        return Response(
            msgspec.json.encode(names), media_type="application/json", headers={"cache-control": "no-store"}
        )

    async def rows(self, request: Request) -> Response:
        then = await self._look_back.then(request)
        if isinstance(then, ProblemForm):
            return problem_answer(then)
        shards = await self._shards(then)
        if isinstance(shards, ProblemForm):
            return problem_answer(shards)
        names = request.query_params.getlist("name")[:MOST_ROWS]
        rows = named_rows(shards, names, request.query_params.get("lose"))
        return self._renderer.part(request, "fleet_rows.html", then=then, rows=rows, page=fleet_head(shards))

    async def _shards(self, then: Then | None) -> Mapping[str, ShardForm] | ProblemForm:
        """Return the shards of now, or of a moment, by name."""
        return self._memory.shards if then is None else await self._look_back.shards(then)

    async def shard(self, request: Request) -> Response:
        name = "{keyspace}/{shard}".format(**request.path_params)
        then = await self._look_back.then(request, shard=name)
        if isinstance(then, ProblemForm):
            return self._problem(request, then)
        if then is None:
            told = why(self._memory, request.path_params, NoQuery(), 0.0)
        else:
            told = await self._look_back.why(then, name)
        if isinstance(told, ProblemForm):
            return self._problem(request, told)
        known = self._memory.shards[name] if then is None else shard_then(told)
        return self._renderer.page(
            request,
            "shard.html",
            title=known.name,
            events=_events_of(known.name),
            then=then,
            page=shard_page(known, told),
        )

    async def plan(self, request: Request) -> Response:
        """Ask vtorc for a plan, which changes nothing, and show it."""
        name = "{keyspace}/{shard}".format(**request.path_params)
        if request.query_params.get("at"):
            return self._of_now_only(request)
        kind = request.query_params.get("kind", "planned")
        arguments: dict[str, object] = {"shard": name, "kind": kind, "to": request.query_params.get("to")}
        plan = plan_of(await self._ask("plan", arguments, actor=ANONYMOUS, origin=origin_of(request)))
        problem = plan if isinstance(plan, ProblemForm) else None
        return self._renderer.page(
            request,
            "plan.html",
            title=f"Plan for {name}",
            events="kinds=heartbeat",
            status=problem.status if problem is not None else 200,
            shard=name,
            heading=TITLES.get(kind, "Plan for {shard}").format(shard=name),
            plan=plan,
            problem=problem,
        )

    def _of_now_only(self, request: Request) -> Response:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "at"]
        return self._error(
            request,
            400,
            "Of now only",
            "A plan is of now.",
            "The address names a moment of the past, in which nothing can be planned any more.",
            lead=(f"{path_of(request.scope)}?{urlencode(kept)}", "Make the plan as of now"),
        )

    async def recoveries(self, request: Request) -> Response:
        then = await self._look_back.then(request)
        if isinstance(then, ProblemForm):
            return self._problem(request, then)
        try:
            query = _query(request, RecoveriesQuery)
        except msgspec.ValidationError as error:
            return self._problem(request, _bad_address(error, RecoveriesQuery))
        if then is not None:
            query = structs.replace(query, until=rfc3339(then.until + 1))
        listed = await recoveries(self._memory, self._history, {}, query, 0.0)
        if isinstance(listed, ProblemForm):
            return self._problem(request, listed)
        found = [recovery_then(each, then) if then is not None else each for each in listed.items]
        return self._renderer.page(
            request,
            "recoveries.html",
            title="Recoveries",
            events="kinds=recovery,status,heartbeat",
            then=then,
            sentence=recoveries_sentence(listed.items, then),
            recoveries=found,
            outcomes=[outcome.value for outcome in Outcome],
            query=query,
        )

    async def recovery(self, request: Request) -> Response:
        id, shard = request.path_params["id"], request.query_params.get("shard")
        running = next((s.running for s in self._memory.shards.values() if s.running and s.running.id == id), None)
        known = running or await recovery(self._memory, self._history, request.path_params, NoQuery(), 0.0)
        if not isinstance(known, ProblemForm):
            return await self._known(request, known)
        if shard in self._memory.shards:
            # It was taken on a moment ago, and vtorc has not told of it yet.
            return self._renderer.page(request, "recovery_begins.html", title="Recovery", events=_events_of(shard))
        return self._problem(request, known)

    async def _known(self, request: Request, known: RecoveryForm | RunningForm) -> Response:
        """Return the page of a recovery as it is, or as it was at the moment that the address names."""
        then = await self._look_back.then(request, shard=known.shard, steps=known)
        if isinstance(then, ProblemForm):
            return self._problem(request, then)
        shown = recovery_then(known, then) if then is not None else known
        if isinstance(shown, ProblemForm):
            return self._problem(request, shown)
        prelude = await self._look_back.prelude(shown) if isinstance(shown, RecoveryForm) else None
        return self._renderer.page(
            request,
            "recovery.html",
            title=f"Recovery of {known.shard}",
            events=_events_of(known.shard) if isinstance(known, RunningForm) else "kinds=heartbeat",
            then=then,
            page=recovery_page(shown, prelude),
        )

    async def audit(self, request: Request) -> Response:
        then = await self._look_back.then(request)
        if isinstance(then, ProblemForm):
            return self._problem(request, then)
        try:
            query = _query(request, AuditQuery)
        except msgspec.ValidationError as error:
            return self._problem(request, _bad_address(error, AuditQuery))
        if then is None:
            listed = audit(self._memory, {}, query, 0.0)
            found = listed if isinstance(listed, ProblemForm) else listed.items
        else:
            found = await self._look_back.audit(then, query)
        if isinstance(found, ProblemForm):
            return self._problem(request, found)
        return self._renderer.page(
            request,
            "audit.html",
            title="Audit",
            events="kinds=audit,status,heartbeat",
            then=then,
            sentence=audit_sentence([entry.result for entry in found], then),
            entries=found,
            results=get_args(AuditResult),
            query=query,
        )

    async def settings(self, request: Request) -> Response:
        """Answer with the settings of now: the history does not keep them, and the page of a moment says so."""
        then = await self._look_back.then(request)
        if isinstance(then, ProblemForm):
            return self._problem(request, then)
        q, show_all = request.query_params.get("q", ""), "all" in request.query_params
        everything = self._memory.settings.values()
        chosen = [s for s in everything if s.source != "default"]
        text = q.lower()
        return self._renderer.page(
            request,
            "settings.html",
            title="Settings",
            then=then,
            sentence=f"{plural(len(chosen), 'setting')} of {len(everything)} were chosen by an operator.",
            settings=[s for s in everything if (show_all or q or s in chosen) and text in f"{s.name} {s.doc}".lower()],
            q=q,
            show_all=show_all,
        )

    async def unknown(self, request: Request) -> Response:
        return self._error(
            request, 404, "Not found", "There is no such page.", f"{request.url.path} is none of vtorc's pages."
        )

    def _problem(self, request: Request, problem: ProblemForm) -> Response:
        title, sentence, detail = (capitalized(text) for text in (problem.title, problem.what, problem.why))
        return self._error(request, problem.status, title, f"{sentence}.", f"{detail}.")

    def _error(
        self, request: Request, status: int, title: str, sentence: str, detail: str, lead: tuple[str, str] | None = None
    ) -> Response:
        """Return a page without content; `lead` is an address of this server to go on at, with its words."""
        return self._renderer.page(
            request, "error.html", title=title, status=status, sentence=sentence, detail=detail, lead=lead
        )


def _bad_address(error: msgspec.ValidationError, query: type[Query]) -> ProblemForm:
    return bad_input("query", str(error), allowed=query.__struct_fields__)


def _events_of(shard: str) -> str:
    return urlencode({"shard": shard, "kinds": "shard,gone,recovery,hold,status,heartbeat"})


def _query(request: Request, kind: type[Q]) -> Q:
    """Return the query of a request, without the moment unless it has a place for it; raises ValidationError.

    A form of a browser sends empty parameters too.
    """
    given = {name: value for name, value in request.query_params.items() if value}
    if "at" not in kind.__struct_fields__:
        given.pop("at", None)
    return msgspec.convert(given, kind, strict=False)
