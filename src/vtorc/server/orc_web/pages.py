"""The pages of orchestrator: which template each path has, and which values it is rendered with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from vtorc.server.access.visitor import CURRENT
from vtorc.server.options import WebFiles
from vtorc.server.orc_web.go_templates import TemplateError, Values, render
from vtorc.server.prefix import prefix_of
from vtorc.server.ui.assets import asset_path
from vtorc.server.v12.clusters import Clusters

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'none'"
)
"""The web files have scripts and styles within their pages."""

_FOREIGN = "<h1>{{.title}}</h1><p>This page is not part of vtorc: agents and seeds were removed from it.</p>"


ValuesOf = Callable[[Mapping[str, str], Mapping[str, str]], Values]
"""Returns values of a page from the variables of its path and from its query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """One page of orchestrator."""

    path: str
    """Its path below `/web/`, with its variables in braces."""
    template: str | None
    """The name of its template; None for a page about parts that vtorc does not have."""
    title: str
    """Its title, which its handler gave it."""
    values: ValuesOf = lambda path, query: {}
    """Its own values."""


def _paged(path: Mapping[str, str], query: Mapping[str, str]) -> Values:
    page = path.get("page", "0")
    return {
        "auditHostname": path.get("host", ""),
        "auditPort": path.get("port", ""),
        "page": int(page) if page.isdecimal() else 0,
        "recoveryId": _number(path.get("recovery")),
        "recoveryUid": path.get("uid", ""),
        "detectionId": _number(path.get("detection")),
        "clusterName": path.get("cluster", ""),
        "clusterAlias": path.get("alias", ""),
    }


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _cluster(path: Mapping[str, str], query: Mapping[str, str]) -> Values:
    return {"autoshow_problems": True, "contextMenuVisible": True, "compactDisplay": query.get("compact"), **path}


def _searched(path: Mapping[str, str], query: Mapping[str, str]) -> Values:
    return {"searchString": path.get("searchString", query.get("s", "")).strip()}


PAGES: tuple[WebPage, ...] = (
    WebPage(path="home", template="home", title="home"),
    WebPage(path="about", template="about", title="about"),
    WebPage(path="keep-calm", template="keep-calm", title="Keep Calm"),
    WebPage(path="faq", template="faq", title="FAQ"),
    WebPage(path="status", template="status", title="status"),
    WebPage(path="clusters", template="clusters", title="clusters"),
    WebPage(path="clusters-analysis", template="clusters_analysis", title="clusters"),
    WebPage(path="cluster/{clusterName}", template="cluster", title="cluster", values=_cluster),
    WebPage(path="cluster-pools/{clusterName}", template="cluster_pools", title="cluster pools", values=_cluster),
    WebPage(path="search", template="search", title="search", values=_searched),
    WebPage(path="search/{searchString}", template="search", title="search", values=_searched),
    WebPage(path="discover", template="discover", title="discover"),
    *(
        WebPage(path=f"audit{rest}", template="audit", title="audit", values=_paged)
        for rest in ("", "/{page}", "/instance/{host}/{port}", "/instance/{host}/{port}/{page}")
    ),
    *(
        WebPage(
            path=f"audit-failure-detection{rest}",
            template="audit_failure_detection",
            title="audit-failure-detection",
            values=_paged,
        )
        for rest in ("", "/{page}", "/id/{detection}", "/alias/{alias}", "/alias/{alias}/{page}")
    ),
    *(
        WebPage(path=f"audit-recovery{rest}", template="audit_recovery", title="audit-recovery", values=_paged)
        for rest in (
            "",
            "/{page}",
            "/id/{recovery}",
            "/uid/{uid}",
            "/cluster/{cluster}",
            "/cluster/{cluster}/{page}",
            "/alias/{alias}",
            "/alias/{alias}/{page}",
        )
    ),
    WebPage(path="audit-recovery-steps/{uid}", template="audit_recovery", title="audit-recovery", values=_paged),
    *(
        WebPage(path=path, template=None, title=path.partition("/")[0])
        for path in ("agents", "agent/{agentHost}", "seeds", "seed-details/{seedId}")
    ),
)
"""All of them. Of several whose path fits, the one with the fewest variables counts."""


def orc_web_routes(clusters: Callable[[], Clusters], files: WebFiles) -> list[BaseRoute]:
    """Return the routes of orchestrator's pages and of the files that they use.

    `clusters` returns the clusters of the moment, by which links that name a server or an alias are followed.
    """
    page = partial(_answer, files)
    return [
        Route("/web", _to_clusters),
        Route("/web/", _to_clusters),
        Route("/web/cluster/alias/{hint}", partial(_to_cluster, clusters)),
        Route("/web/cluster/instance/{host}/{port}", partial(_to_cluster, clusters)),
        # orchestrator takes a slash at the end, and its own links have some.
        *(
            Route(f"/web/{entry.path}{end}", partial(page, entry))
            for entry in sorted(PAGES, key=lambda entry: entry.path.count("{"))
            for end in ("", "/")
        ),
        _PublicFiles(Path(files.folder) / "public"),
        # Their layout names this icon relative to the page, and no version of the web files has it.
        Route("/{above:path}assets/ico/favicon.ico", _icon),
    ]


async def _icon(request: Request) -> Response:
    return RedirectResponse(asset_path("icon.svg"), status_code=302)


async def _to_clusters(request: Request) -> Response:
    return RedirectResponse("/web/clusters", status_code=302)


async def _to_cluster(clusters: Callable[[], Clusters], request: Request) -> Response:
    path = request.path_params
    hint = path["hint"] if "hint" in path else f"{path['host']}:{path['port']}"
    cluster = clusters().find_cluster(hint)
    if cluster is None:
        return PlainTextResponse(f"vtorc knows no cluster by the name {hint!r}\n", status_code=404)
    return RedirectResponse(f"/web/cluster/{quote(cluster.name, safe=':')}", status_code=302)


async def _answer(files: WebFiles, page: WebPage, request: Request) -> Response:
    path = {name: value.strip() for name, value in request.path_params.items()}
    templates = Path(files.folder) / "templates"
    visitor = CURRENT.get()
    values: Values = {
        "agentsHttpActive": False,
        "autoshow_problems": False,
        "contextMenuVisible": False,
        "authorizedForAction": visitor.refusal is None,
        "userId": visitor.name,
        "prefix": prefix_of(request.scope),
        "title": page.title,
        "webMessage": files.message,
        "removeTextFromHostnameDisplay": files.remove_text_from_hosts,
        "pseudoGTIDModeEnabled": False,
        **page.values(path, dict(request.query_params)),
    }
    try:
        layout = (templates / "layout.tmpl").read_text()
        inner = _FOREIGN if page.template is None else (templates / f"{page.template}.tmpl").read_text()
        told = render("layout.tmpl", layout, values, inner=render(f"{page.template}.tmpl", inner, values))
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        sentence = f"this page of {files.folder} cannot be shown: {error}; vtorc's own pages are at /ui/"
        return PlainTextResponse(f"{sentence}\n", status_code=500)
    return HTMLResponse(told, headers={"content-security-policy": _POLICY, "cache-control": "no-store"})


class _PublicFiles(BaseRoute):
    """Takes the paths of files that are in the folder; all others belong to other routes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for such a file; names that begin with a dot are never served."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return Match.NONE, {}
        path = scope["path"].strip("/")
        parts = path.split("/")
        if any(part.startswith(".") or "\0" in part for part in parts):
            return Match.NONE, {}
        try:
            full, _ = self._files.lookup_path(path)
            return (Match.FULL if full and Path(full).is_file() else Match.NONE), {}
        except OSError:  # a name that is too long, or a folder that vtorc may not search
            return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file, or with 304 if the browser has it."""
        try:
            response = await self._files.get_response(scope["path"].strip("/"), scope)
        except HTTPException as error:
            response = PlainTextResponse(f"{error.detail}\n", status_code=error.status_code)
        await response(scope, receive, send)
