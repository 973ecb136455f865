"""The list of shards: filters, orders and pages."""

import base64
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vtorc.forms.fleet import ListForm
from vtorc.forms.frames import ProblemForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.shard_states import STATE_URGENCY, StateName
from vtorc.server.memory import ServerMemory
from vtorc.server.v1.endpoints import Query

Rank = tuple[float, str]
"""The place of a shard in a list: a number that depends on the order, then its name."""

_RANKS: Mapping[str, Callable[[ShardForm], float]] = {
    "name": lambda shard: 0,
    "state": lambda shard: STATE_URGENCY[shard.state],
    "lag": lambda shard: 1 if shard.largest_lag_seconds is None else -shard.largest_lag_seconds,
    "findings": lambda shard: -len(shard.findings),
}


class ShardsQuery(Query, frozen=True, kw_only=True):
    """Which shards to list, and in which order."""

    state: StateName | None = None
    keyspace: str | None = None
    cell: str | None = None
    """Those that have a tablet there."""
    code: str | None = None
    """Those that have a finding of this code."""
    q: str | None = None
    """Those with this text in their name, or in the alias or address of a tablet."""
    sort: Literal["name", "state", "lag", "findings"] = "name"
    """By name, or the worst first."""
    limit: Annotated[int, Meta(ge=1, le=10000)] = 10000
    cursor: str | None = None
    """The cursor of the page before."""


def shards(
    memory: ServerMemory, path: Mapping[str, str], query: ShardsQuery, now: float
) -> ListForm[msgspec.Raw] | ProblemForm:
    """Return the rows of the shards that the query asks for, at most `limit` of them from the cursor on.

    The rows are JSON already: to make those of 3,000 shards anew held all other clients up each time.
    """
    after = _rank_of(query.cursor) if query.cursor is not None else None
    if query.cursor is not None and after is None:
        return _bad_cursor(query.cursor)
    rank = _RANKS[query.sort]
    chosen = [(rank(shard), shard.name) for shard in memory.shards.values() if is_wanted(shard, query)]
    chosen.sort()
    if after is not None:
        chosen = [place for place in chosen if place > after]
    page = chosen[: query.limit]
    return ListForm(
        items=[memory.row(name) for _, name in page],
        revision=memory.revision,
        cursor=_cursor_of(page[-1]) if len(page) < len(chosen) else None,
    )


def is_wanted(shard: ShardForm, query: ShardsQuery) -> bool:
    """Return whether the filters of a query let a shard through."""
    return (
        query.state in (None, shard.state)
        and query.keyspace in (None, shard.keyspace)
        and (query.cell is None or any(tablet.cell == query.cell for tablet in shard.tablets))
        and (query.code is None or any(finding.code == query.code for finding in shard.findings))
        and (query.q is None or _has_text(shard, query.q.lower()))
    )


def _has_text(shard: ShardForm, text: str) -> bool:
    if text in shard.name.lower():
        return True
    return any(
        text in tablet.alias.lower() or text in f"{tablet.mysql_host}:{tablet.mysql_port}".lower()
        for tablet in shard.tablets
    )


def _cursor_of(place: Rank) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _rank_of(cursor: str) -> Rank | None:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Rank)
    except (ValueError, msgspec.DecodeError):
        return None


def _bad_cursor(cursor: str) -> ProblemForm:
    return ProblemForm(
        title="bad query",
        status=400,
        what=f"cursor {cursor[:80]!r} is none that vtorc gave",
        why="a page begins after the cursor of the page before",
        do="send the cursor of the page before, or none for the first page",
    )
