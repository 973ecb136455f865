"""The HTTP API as a page of Markdown: `python -m vtorc.server.v1.api_doc > docs/api.md`.

It is made from the OpenAPI description, and from the docstrings of the fields, which a description does not have.
"""

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import msgspec

import vtorc
from vtorc.forms.base import Form
from vtorc.server.v1.changes import NAMES
from vtorc.server.v1.endpoints import PREFIX, Body, Query
from vtorc.server.v1.events import EventsQuery
from vtorc.server.v1.openapi import description
from vtorc.server.v1.table import READS

_HEAD = """\
# The HTTP API

<!-- Made by `python -m vtorc.server.v1.api_doc`; change `src/vtorc/server/v1` and `src/vtorc/forms` instead. -->

A running vtorc describes this API itself, and this page is made from that description: `vtorc ctl api /openapi.json`.
`vtorc ctl api /status` shows the answer of any path below `/api/v1`, and so does `curl http://127.0.0.1:3000/api/v1/status`.
[Access over HTTP](security.md) says which clients may ask for what, and how a client shows a password or a token.

- Answers are JSON, times are texts as in RFC 3339, and durations are seconds.
- A list has `items`, and a `cursor` where there are more: send it as the parameter `cursor` for the next page.
- An unknown parameter or key is refused, because a misspelt filter would show too much.
- An answer has an `ETag`; a request with `If-None-Match` is answered with 304 while nothing has changed.
- A request that acts has a JSON object as its body, and the header `Content-Type: application/json`.
- With the header `Idempotency-Key`, the same request is carried out once within ten minutes.

[orchestrator's clients](orchestrator.md) use another API, which vtorc serves below `/api/`.
"""

_EVENTS = """
## What changes, as events

`GET /api/v1/events` sends server-sent events until the client ends it.
`curl -N http://127.0.0.1:3000/api/v1/events` shows them.
The id of an event is its revision, and a client that comes back with `Last-Event-ID` gets what it missed.
The event `reset` says that too much was missed: read everything again.

| event | data | what has happened |
| --- | --- | --- |
"""

_PROBLEMS = """
## Refusals and errors

Each of them is an `application/problem+json` of the form [ProblemForm](#problemform).
It says what was refused, why, and what to do.

| status | why |
| --- | --- |
"""


def markdown_of_api() -> str:
    """Return the page."""
    api = description(vtorc.__version__)
    page = _Page(api["components"]["schemas"], dict(_docstrings()))
    operations = [(path, *each) for path, methods in api["paths"].items() for each in methods.items()]
    reads = [each for each in operations if each[1] == "get" and not each[0].endswith("/events")]
    acts = [each for each in operations if each[1] != "get"]
    events = api["paths"]["/api/v1/events"]["get"]
    return "".join(
        (
            _HEAD,
            "\n## What can be read\n\n| path | answer | what it returns |\n| --- | --- | --- |\n",
            *(page.operation(path, operation) for path, _, operation in reads),
            "\n## What acts\n\n| request | body | answer | what it does |\n| --- | --- | --- | --- |\n",
            *(page.act(path, method, operation) for path, method, operation in acts),
            _EVENTS,
            *page.events(events["responses"]["200"]["content"]["text/event-stream"]["schema"]),
            _PROBLEMS,
            *_statuses(operation for _, _, operation in operations),
            "\n## Parameters\n",
            *(page.parameters(path, operation) for path, _, operation in [*reads, ("/api/v1/events", "get", events)]),
            "\n## Forms\n",
            *page.forms(),
        )
    )


class _Page:
    """Writes parts of the page with the schemas of the description and the docstrings of their fields."""

    def __init__(self, schemas: Mapping[str, Any], docstrings: Mapping[tuple[str, str], str]) -> None:
        self._schemas = schemas
        self._docstrings = docstrings

    def operation(self, path: str, operation: Mapping[str, Any]) -> str:
        """Return the row of a GET."""
        asked = any(each["in"] == "query" for each in operation["parameters"])
        name = f"[`{path}`](#{_anchor(path)})" if asked else f"`{path}`"
        return f"| {name} | {self._type(_answer(operation))} | {operation['summary']}. |\n"

    def act(self, path: str, method: str, operation: Mapping[str, Any]) -> str:
        """Return the row of a request that acts."""
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        types = f"{self._type(body)} | {self._type(_answer(operation))}"
        return f"| {method.upper()} `{path}` | {types} | {operation['summary']}. |\n"

    def events(self, schema: Mapping[str, Any]) -> Iterator[str]:
        """Yield the rows of the events."""
        for tag, reference in schema["discriminator"]["mapping"].items():
            form = reference.rpartition("/")[2]
            name = next((name for type_, name in NAMES.items() if type_.__name__ == form), tag)
            yield f"| `{name}` | {self._link(form)} | {_line(_paragraphs(self._schemas[form])[0])} |\n"

    def parameters(self, path: str, operation: Mapping[str, Any]) -> str:
        """Return the section of the parameters of a GET, empty if it takes none."""
        taken = [each for each in operation["parameters"] if each["in"] == "query"]
        if not taken:
            return ""
        query = _QUERIES[path]
        rows = (self._row(query, each["name"], _given(each["schema"]), _FILTERS) for each in taken)
        return f"\n### `{path}`\n\n| parameter | type | meaning |\n| --- | --- | --- |\n{''.join(rows)}"

    def forms(self) -> Iterator[str]:
        """Yield the sections of all forms but lists, which differ in their items only."""
        for name, schema in sorted(self._schemas.items()):
            if name.startswith("ListForm_") and name != _FIRST_LIST:
                continue
            title = "ListForm" if name == _FIRST_LIST else name
            told = (_sentences(paragraph) for paragraph in _paragraphs(schema))
            yield f"\n### {title}\n\n{_BREAK.join(told)}\n"
            if "enum" in schema:
                yield f"One of {_words(schema['enum'])}.\n"
                continue
            yield "\n| key | type | meaning |\n| --- | --- | --- |\n"
            yield from (self._row(title, key, each) for key, each in schema["properties"].items())

    def _row(self, owner: str, key: str, schema: Mapping[str, Any], otherwise: str = "") -> str:
        default = schema.get("default")
        told = f" By default {json.dumps(default)}." if default not in (None, False, [], {}, "") else ""
        fallback = _PLAIN.get(key, otherwise.format(key=key))
        meaning = _line(self._docstrings.get((owner, key), fallback))
        return f"| `{key}` | {self._type(schema)} | {meaning}{told} |\n"

    def _type(self, schema: Mapping[str, Any]) -> str:
        """Return the type of a value in words."""
        match schema:
            case {"$ref": reference}:
                return self._link(reference.rpartition("/")[2])
            case {"anyOf": kinds}:
                return " or ".join(self._type(each) for each in kinds)
            case {"enum": words}:
                return _words(words)
            case {"type": "array", "items": items}:
                return f"list of {self._type(items)}"
            case {"type": "object", "additionalProperties": dict() as values}:
                return f"object of {self._type(values)}"
            case {"type": "object"}:
                return "object"
            case {"type": kind}:
                return _KINDS[kind]
        raise ValueError(f"a schema that the page has no words for: {schema}")

    def _link(self, name: str) -> str:
        """Return the link to a form; a list is told by its items."""
        if name.startswith("ListForm_"):
            items = self._schemas[name]["properties"]["items"]["items"]
            return f"[list](#listform) of {self._type(items)}"
        return f"[{name}](#{name.lower()})"


_FIRST_LIST = "ListForm_ShardRowForm_"
"""The list whose section stands for all lists."""

_QUERIES = {
    **{f"{PREFIX}{each.path}": each.query.__name__ for each in READS},
    f"{PREFIX}/events": EventsQuery.__name__,
}
"""The class of the parameters of each path."""

_FILTERS = "Only those with this {key}."

_PLAIN = {
    "limit": "At most so many.",
    "reason": "Why, for the log and the record.",
    "comment": "What there is to say, for the record.",
    "frame": "Always this word.",
    "kind": "Its kind.",
    "command": "What the tablets are to do.",
}
"""The meanings of keys that need no docstring where they are declared."""

_KINDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false", "null": "null"}


def _answer(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the answer to a request that succeeds."""
    found = next(each for status, each in operation["responses"].items() if status.startswith("2"))
    schema: Mapping[str, Any] = found["content"]["application/json"]["schema"]
    return schema


def _given(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a parameter that is given: null stands for one that is not, and no query can say it."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return schema if not kinds else {**schema, "anyOf": kinds}


def _statuses(operations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a row for each status of a refusal."""
    told = {
        status: response["description"]
        for operation in operations
        for status, response in operation["responses"].items()
        if status >= "400"
    }
    return (f"| {status} | {text} |\n" for status, text in sorted(told.items()))


def _anchor(path: str) -> str:
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_ ")


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


_BREAK = "\n\n"


def _paragraphs(schema: Mapping[str, Any]) -> list[str]:
    """Return the paragraphs of a description."""
    text: str = schema["description"]
    return text.strip().split(_BREAK)


def _sentences(paragraph: str) -> str:
    """Return a paragraph with a sentence on each line."""
    return re.sub(r"(?<=[.]) (?=[A-Z])", "\n", " ".join(paragraph.split()))


def _line(text: str) -> str:
    """Return a text on one line, so that it fits into a table, with JSON's word for None."""
    words = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"\bNone\b", "null", re.sub(r"(^|[.] )None\b", r"\1Null", words))


def _docstrings() -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the docstring of each field of all forms, bodies and queries, by class and field."""
    classes = [each for base in (Form, Body, Query) for each in _below(base)]
    for each in classes:
        for heir in reversed(each.__mro__):
            if issubclass(heir, msgspec.Struct) and heir is not msgspec.Struct:
                yield from (((each.__name__, field), text) for field, text in _fields(heir))


@cache
def _fields(class_: type) -> tuple[tuple[str, str], ...]:
    """Return the docstrings of the fields that a class itself declares."""
    module = inspect.getmodule(class_)
    tree = _tree(module) if module is not None else ast.Module([], [])
    declared = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_.__name__)
    body = next((node.body for node in declared), [])
    found: list[tuple[str, str]] = []
    for field, after in pairwise(body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found.append((name, text))
    return tuple(found)


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _below(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in base.__subclasses__():
        yield each
        yield from _below(each)


if __name__ == "__main__":
    sys.stdout.write(markdown_of_api())
