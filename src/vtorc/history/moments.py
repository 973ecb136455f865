"""The moments of a history at which something happened: how they are asked for, and in which order they are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Side = Literal["before", "after"]
"""Which moments are asked for: those before a time, or those after it."""

_MILLISECOND = 1_000_000
"""Nanoseconds within which two entries are of one moment."""

ENDED = "began + CAST(json_extract(detail, '$.seconds') * 1e9 AS INTEGER)"
"""When a recovery ended; its detail has how many seconds it took."""

_SOURCES = (  # of one moment, what was done is told before what was decided
    ("began", "recovery || ' began'", "recovery"),
    (ENDED, "recovery || ' ' || outcome || ': ' || sentence", "recovery"),
    ("at", "actor || ': ' || action || ' ' || result || ': ' || sentence", "request"),
    ("at", "CASE WHEN change = 'cleared' AND code <> '' THEN 'over: ' ELSE '' END || sentence", "decision"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A moment at which something happened: a decision or its end, the begin or the end of a recovery, a request."""

    at: int
    """When, in nanoseconds since the Unix epoch."""
    shard: str
    """The shard that it is about; empty for the whole fleet."""
    sentence: str
    """The event, in words."""


def moments_query(shard: str | None, side: Side) -> str:
    """Return the query for at most `:most` moments on one side of `:at`, the nearest first, about `:shard` or all.

    Each table yields a few by its index of times, and only those are sorted.
    """
    order, compared = ("DESC", "<") if side == "before" else ("ASC", ">")
    found = "(shard = :shard OR shard = '')" if shard is not None else "1"
    parts = (
        f"SELECT * FROM (SELECT {time}, {rank}, shard, {told} FROM {table} "
        f"WHERE {time} {compared} :at AND {found} ORDER BY 1 {order} LIMIT :most)"
        for rank, (time, told, table) in enumerate(_SOURCES)
    )
    return f"{' UNION ALL '.join(parts)} ORDER BY 1 {order} LIMIT :most"


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[Happening]:
    """Return the moments in the rows of such a query, oldest first."""
    ordered = sorted(rows, key=lambda row: (row[0] // _MILLISECOND, row[1], row[0]))
    return [Happening(at=at, shard=shard, sentence=sentence) for at, _, shard, sentence in ordered]
