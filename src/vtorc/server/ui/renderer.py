"""Renders templates to answers: a whole page, or the part of it that a page in a browser replaces."""

from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from vtorc.forms.shard_states import STATE_MARKS, STATE_WORDS
from vtorc.server.access.visitor import CURRENT
from vtorc.server.memory import ServerMemory
from vtorc.server.prefix import path_of, prefix_of
from vtorc.server.ui import words
from vtorc.server.ui.assets import asset_path
from vtorc.server.ui.look_back import Then
from vtorc.server.ui.shell import shell_of

Demo = Literal["", "running", "ended"]
"""Whether pages have the controls of a demo, and whether its vtorc runs; empty for a vtorc of a cluster."""

PART_HEADER = "x-vtorc-part"
"""The header by which a page asks for its main part alone."""

_HEADERS = {"cache-control": "no-store", "vary": PART_HEADER}

_FILTERS = {
    "clock_time": words.clock_time,
    "date_time": words.date_time,
    "seconds": words.seconds,
    "lag": words.lag,
    "plural": words.plural,
    "capitalized": words.capitalized,
    "without_name": words.without_name,
    "shard_path": words.shard_path,
    "recovery_path": words.recovery_path,
}


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("vtorc.server.ui"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(_FILTERS)
    made.globals.update(asset=asset_path, shapes=STATE_MARKS, states=STATE_WORDS)
    return made


_templates = _environment()


class Renderer:
    """Renders the pages of one server."""

    def __init__(self, memory: ServerMemory, demo: Demo = "") -> None:
        self._memory = memory
        self._demo = demo

    def page(
        self,
        request: Request,
        template: str,
        *,
        title: str,
        events: str = "",
        status: int = 200,
        then: Then | None = None,
        **values: Any,
    ) -> Response:
        """Return a page; of a request for its main part, that part alone.

        `events` is the query of `/api/v1/events` that tells when the page is out of date; empty if it never is. With
        `then` the page is of the past: it stays as it is, and nothing can be done on it.
        """
        context = {
            "shell": shell_of(self._memory, CURRENT.get().refusal),
            "title": title,
            "events": events if then is None else "",
            "then": then,
            "demo": self._demo,
            "path": path_of(request.scope),
            "prefix": prefix_of(request.scope),
            "to": partial(_link, prefix_of(request.scope), then),
            "whole": PART_HEADER not in request.headers,
            **values,
        }
        text = _templates.get_template(template).render(context)
        return HTMLResponse(text, status_code=status, headers=_HEADERS)

    def part(self, request: Request, template: str, *, then: Then | None = None, **values: Any) -> Response:
        """Return a piece of a page."""
        to = partial(_link, prefix_of(request.scope), then)
        return HTMLResponse(_templates.get_template(template).render(to=to, **values), headers=_HEADERS)


def _link(prefix: str, then: Then | None, path: str, **query: str | None) -> str:
    """Return the address of a page of the same moment as the page with the link; a parameter of None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    if then is not None:
        given["at"] = then.at
    return f"{prefix}{path}{f'?{urlencode(given)}' if given else ''}"
