"""The OpenAPI description of `/api/v1`, made from the table of endpoints and the schemas of the forms."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from vtorc.forms.fleet import RowFrame
from vtorc.forms.frames import (
    AuditFrame,
    DecisionFrame,
    GoneFrame,
    HeartbeatFrame,
    HoldsFrame,
    ProblemForm,
    RecoveryFrame,
    ShardFrame,
    StatusFrame,
)
from vtorc.server.access.gate import LONGEST_KEY
from vtorc.server.answers import JSON, PROBLEM
from vtorc.server.v1.actions import FORWARDS
from vtorc.server.v1.endpoints import PREFIX, ForwardEndpoint, PastEndpoint, Query, ReadEndpoint
from vtorc.server.v1.events import EventsQuery
from vtorc.server.v1.table import READS

_VARIABLE = re.compile(r"\{(\w+)\}")
_COMPONENTS = "#/components/schemas/{name}"

_EVENT = (
    StatusFrame
    | ShardFrame
    | RowFrame
    | GoneFrame
    | RecoveryFrame
    | DecisionFrame
    | AuditFrame
    | HoldsFrame
    | HeartbeatFrame
)
"""The kind of data of an event; that of `reset` is an empty object."""

_WHEN = {
    400: "the query or the body cannot be used",
    401: "the user and the password are missing or wrong",
    403: "the client may not do this, or a foreign page sent the request",
    404: "there is none",
    409: "the shard has changed, or is not in the state for it",
    413: "the body is too long",
    415: "the body is not JSON",
    422: "an argument is not what is expected",
    429: "too many actions or wrong passwords in a short time",
    503: "the server does not know the shards yet, cannot read the history, or vtorc has too much to do",
    504: "vtorc did not answer in time",
}
_ALWAYS = (400, 401, 403, 429, 503)
_OF_BODIES = (413, 415, 422, 504)


def description(version: str) -> dict[str, Any]:
    """Return the description as a JSON object."""
    answers = [*(each.answer for each in READS), *(each.answer for each in FORWARDS)]
    types = [ProblemForm, _EVENT, *answers, *(each.query for each in READS), EventsQuery]
    types += [each.body for each in FORWARDS]
    found, components = msgspec.json.schema_components(types, ref_template=_COMPONENTS)
    schemas = dict(zip(map(_key, types), found, strict=True))
    maker = _Maker(schemas, components)
    paths: dict[str, dict[str, Any]] = {}
    for read in READS:
        paths.setdefault(f"{PREFIX}{read.path}", {})["get"] = maker.read(read)
    for forward in FORWARDS:
        paths.setdefault(f"{PREFIX}{forward.path}", {})[forward.method.lower()] = maker.forward(forward)
    paths[f"{PREFIX}/events"] = {"get": maker.events()}
    queries = {each.query.__name__ for each in READS} | {EventsQuery.__name__}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vtorc",
            "version": version,
            "description": "The state of the shards that vtorc watches, and changes of their primaries.",
        },
        "paths": paths,
        "components": {"schemas": {name: each for name, each in components.items() if name not in queries}},
    }


_VARIABLES = {"number": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}}
"""The schemas of the variables of paths that are no texts."""

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same request with the same key is carried out once within ten minutes",
    "schema": {"type": "string", "maxLength": LONGEST_KEY},
}


def _key(type_: Any) -> str:
    return repr(type_)


class _Maker:
    """Makes the operations from endpoints and schemas."""

    def __init__(self, schemas: dict[str, Any], components: dict[str, Any]) -> None:
        self._schemas = schemas
        self._components = components

    def read(self, endpoint: ReadEndpoint[Any] | PastEndpoint[Any]) -> dict[str, Any]:
        """Return the operation of a GET."""
        return {
            **_named("get", endpoint.path, endpoint.summary),
            "parameters": [*_variables(endpoint.path), *self._parameters(endpoint.query)],
            "responses": {
                "200": self._answer(endpoint.summary, endpoint.answer),
                "304": {"description": "the client has it already (If-None-Match)"},
                **self._problems((*_ALWAYS, *endpoint.problems)),
            },
        }

    def forward(self, endpoint: ForwardEndpoint[Any]) -> dict[str, Any]:
        """Return the operation of a POST or DELETE."""
        return {
            **_named(endpoint.method.lower(), endpoint.path, endpoint.summary),
            "parameters": [*_variables(endpoint.path), _KEY],
            "requestBody": {"required": True, "content": {JSON: {"schema": self._schema(endpoint.body)}}},
            "responses": {
                str(endpoint.status): self._answer(endpoint.summary, endpoint.answer),
                **self._problems((*_ALWAYS, *_OF_BODIES, *endpoint.problems)),
            },
        }

    def events(self) -> dict[str, Any]:
        """Return the operation of the events."""
        summary = "What changes, as server-sent events"
        return {
            **_named("get", "/events", summary),
            "parameters": self._parameters(EventsQuery),
            "responses": {
                "200": {"description": summary, "content": {"text/event-stream": {"schema": self._schema(_EVENT)}}},
                **self._problems(_ALWAYS),
            },
        }

    def _schema(self, type_: Any) -> Any:
        return self._schemas[_key(type_)]

    def _answer(self, description: str, type_: Any) -> dict[str, Any]:
        return {"description": description, "content": {JSON: {"schema": self._schema(type_)}}}

    def _problems(self, statuses: tuple[int, ...]) -> dict[str, Any]:
        schema = self._schema(ProblemForm)
        return {
            str(status): {"description": _WHEN[status], "content": {PROBLEM: {"schema": schema}}}
            for status in sorted(statuses)
        }

    def _parameters(self, query: type[Query]) -> list[dict[str, Any]]:
        properties = self._components[query.__name__]["properties"]
        return [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()
        ]


def _named(method: str, path: str, summary: str) -> dict[str, Any]:
    words = [word for word in re.split(r"\W+", path) if word]
    return {"operationId": "_".join([method, *words]), "summary": summary}


def _variables(path: str) -> Iterator[dict[str, Any]]:
    for name in _VARIABLE.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": _VARIABLES.get(name, {"type": "string"})}
