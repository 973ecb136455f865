"""v12's routes as a page of Markdown: `python -m vtorc.server.v12.route_doc > docs/orchestrator.md`."""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

from vtorc.server.v12.refusals import FOREIGN, REASONS
from vtorc.server.v12.routes import ROUTES, V12Route

_HEAD = """\
# orchestrator's clients

<!-- Made by `python -m vtorc.server.v12.route_doc`; change the tables in `src/vtorc/server/v12` instead. -->

vtorc serves the API of Vitess 11 to 13, which is that of orchestrator: `orchestrator-client` works with it unchanged.
All paths are below `/api/` on the address of `--listen-address` (`ListenAddress`), and all of them are GET.
Where Vitess renamed a path, the older name works as well: `master` for `primary`, `slave` for `replica`.
An instance is named by host and port of its MySQL, or by the alias of its tablet and any port.
A cluster is named by one of its instances, by a former primary, or by keyspace and shard with `:`, `/` or `.` between.
Paths that are in neither of the tables below only tell something.

## What acts

Each of these asks for the right to act, and is recorded with its operator.
A command on a shard takes the shard lock, has all guards of vtorc's own repairs, and is answered once it ended.
Orders are answered once they are on the disk, and outlive vtorc if it has `--log-dir` or `--sqlite-data-file`.

| path | what vtorc does |
| --- | --- |
"""

_REFUSED = """
## What is refused

Each of these is answered at once with status 501 and its reason.

| path | why |
| --- | --- |
"""


def markdown_of_routes() -> str:
    """Return the page."""
    acting = [route for route in ROUTES if route.acts]
    return "".join((_HEAD, *_lines(_by_handler(acting)), _REFUSED, *_lines(_by_reason({**REASONS, **FOREIGN}))))


def _by_handler(routes: Iterable[V12Route]) -> list[tuple[str, str]]:
    """Return the paths of each handler and what it does, ordered by path."""
    paths: dict[Callable[..., object], list[str]] = {}
    for route in routes:
        paths.setdefault(route.handler, []).append(route.path)
    return sorted((_listed(found), _first_sentence(handler)) for handler, found in paths.items())


def _by_reason(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the commands that are refused for each reason, ordered by command."""
    commands: dict[str, list[str]] = {}
    for command, reason in sorted(reasons.items()):
        commands.setdefault(reason, []).append(command)
    return sorted((_listed(found), f"{reason}.") for reason, found in commands.items())


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def _first_sentence(handler: Callable[..., object]) -> str:
    """Return the first paragraph of a docstring without what it raises."""
    first = (inspect.getdoc(handler) or "").partition("\n\n")[0]
    return " ".join(first.split()).partition("; raises V12Error")[0].rstrip(".") + "."


def _lines(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"| {path} | {text} |\n" for path, text in rows)


if __name__ == "__main__":
    sys.stdout.write(markdown_of_routes())
