"""The lists of `/api/v1` for operators that look after access: what was asked for, and the bearer tokens."""

import datetime
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from vtorc.forms.access import TokenForm, token_form
from vtorc.forms.audit import AuditForm, AuditResult
from vtorc.forms.fleet import ListForm
from vtorc.forms.frames import KEPT_AUDIT, ProblemForm
from vtorc.forms.times import rfc3339
from vtorc.server.memory import ServerMemory
from vtorc.server.v1.endpoints import NoQuery, Query, bad_input

Time = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$",
        extra_json_schema={"format": "date-time"},
    ),
]
"""A time as RFC 3339 writes it, with its zone."""


class AuditQuery(Query, frozen=True, kw_only=True):
    """Which requests to list."""

    shard: str | None = None
    """Those about this shard, as `keyspace/shard`."""
    actor: str | None = None
    action: str | None = None
    result: AuditResult | None = None
    since: Time | None = None
    """Those from this time on."""
    until: Time | None = None
    """Those before this time."""
    limit: Annotated[int, Meta(ge=1, le=KEPT_AUDIT)] = 200


def audit(
    memory: ServerMemory, path: Mapping[str, str], query: AuditQuery, now: float
) -> ListForm[AuditForm] | ProblemForm:
    """Return the last requests of operators that act, newest first."""
    try:
        since = _text(query.since) if query.since is not None else ""
        until = _text(query.until) if query.until is not None else "~"
    except ValueError as error:
        return bad_input("query", f"since, until: {error}", allowed=AuditQuery.__struct_fields__)
    chosen = (
        entry
        for entry in reversed(memory.audit)
        if since <= entry.at < until
        and query.shard in (None, entry.shard)
        and query.actor in (None, entry.actor)
        and query.action in (None, entry.action)
        and query.result in (None, entry.result)
    )
    items = [entry for entry, _ in zip(chosen, range(query.limit), strict=False)]
    return ListForm(items=items, revision=memory.revision, cursor=None)


def tokens(memory: ServerMemory, path: Mapping[str, str], query: NoQuery, now: float) -> ListForm[TokenForm]:
    """Return the bearer tokens by name, without their secrets."""
    return ListForm(items=[token_form(token) for token in memory.tokens], revision=memory.revision, cursor=None)


def _text(time: str) -> str:
    """Return a time as entries have it, so that both compare as texts; raises ValueError for a day that is none."""
    at = datetime.datetime.fromisoformat(time)
    try:
        return rfc3339(max(0, int(at.timestamp() * 1000)) * 1_000_000)
    except OverflowError as error:
        raise ValueError(str(error)) from None
