"""The fleet page: how the fleet is in one sentence, how many shards are in each state, and each shard in one line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from msgspec import Meta, structs

from vtorc.forms.fleet import fleet_sentence
from vtorc.forms.shard import ShardForm
from vtorc.forms.shard_states import STATE_URGENCY
from vtorc.server.ui.words import capitalized, lag
from vtorc.server.v1.shard_list import ShardsQuery, is_wanted

FIRST_ROWS = 80
"""Shards that a page has when it comes; a browser fetches the others as they come into sight."""

_FILTERS = ("state", "keyspace", "cell", "code", "q", "lose", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRow:
    """One shard in one line."""

    name: str
    """Its name, as `keyspace/shard`."""
    state: str
    """Its state (`ShardState`)."""
    sentence: str
    """Its state in one sentence, without the name of the shard in front, and without `done`."""
    done: str
    """The end of that sentence, which says what vtorc does about the problem, or why nothing; empty without a problem.

    It has room of its own: the end was cut off first, and with it the words "doing nothing".
    """
    primary: str
    """Alias of its primary; a dash if it has none."""
    cell: str
    """The cell of its primary; empty if it has none."""
    lag: str
    """The largest lag of its replicas; a dash if none tells."""
    acks: str
    """The acknowledgements of its primary; a dash where they are unknown."""
    acks_fall_short: bool
    """Whether fewer are there than a write needs."""
    ready: str
    """The answer to "what if its primary died now?", in few words."""
    is_ready: bool | None
    """Whether the primary would be replaced; None if that is not known."""
    blocked_by: str
    """Why it would not be; empty if it would."""
    loss: str
    """The fate of the shard if the chosen cell is lost; empty if none is chosen, or nothing happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetHead:
    """The head of the fleet page, which tells of all shards."""

    sentence: str
    """The answer to "is anything broken?"."""
    counts: dict[str, int]
    """How many shards are in each state, the worst first."""
    total: int
    """How many shards there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPage(FleetHead):
    """The fleet as a page shows it."""

    rows: Sequence[FleetRow]
    """The first of the shards that were asked for, the worst first."""
    lost: int
    """How many of those asked for would not get through the loss of the chosen cell; 0 if none is chosen."""
    next_page: str
    """The query of the page with the shards that follow; empty if there are none."""
    keyspaces: Sequence[str]
    """The keyspaces to choose from."""
    cells: Sequence[str]
    """The cells to choose from."""
    codes: Sequence[str]
    """The codes of findings to choose from."""


class FleetQuery(ShardsQuery, frozen=True, kw_only=True):
    """Which shards the page shows; all parameters are part of its address."""

    lose: str | None = None
    """The cell that is imagined to be lost; None for none."""
    after: Annotated[int, Meta(ge=0)] = 0
    """How many shards to leave out, for readers without JavaScript."""
    at: str | None = None
    """The moment of the history that is shown; None for now."""


def fleet_head(shards: Mapping[str, ShardForm]) -> FleetHead:
    """Return the head of the page, which costs a tenth of the page: browsers ask for it whenever a row has changed."""
    counts = dict.fromkeys(STATE_URGENCY, 0)
    for shard in shards.values():
        counts[shard.state] += 1
    return FleetHead(sentence=f"{capitalized(fleet_sentence(shards.values()))}.", counts=counts, total=len(shards))


def fleet_page(shards: Mapping[str, ShardForm], query: FleetQuery) -> FleetPage:
    """Return the fleet of these shards, by name, as the query asks for it."""
    everything, head = shards.values(), fleet_head(shards)
    wanted = wanted_shards(shards, query)
    shown = wanted[query.after : query.after + FIRST_ROWS]
    return FleetPage(
        sentence=head.sentence,
        counts=head.counts,
        total=head.total,
        rows=[fleet_row(shard, query.lose) for shard in shown],
        lost=sum(bool(_loss(shard, query.lose)) for shard in wanted) if query.lose is not None else 0,
        next_page=_next_page(query) if query.after + len(shown) < len(wanted) else "",
        keyspaces=sorted({shard.keyspace for shard in everything}),
        cells=sorted({tablet.cell for shard in everything for tablet in shard.tablets}),
        codes=sorted({finding.code for shard in everything for finding in shard.findings}),
    )


def wanted_shards(shards: Mapping[str, ShardForm], query: FleetQuery) -> list[ShardForm]:
    """Return the shards that a query asks for, the worst first."""
    return sorted((s for s in shards.values() if is_wanted(s, query)), key=lambda s: (STATE_URGENCY[s.state], s.name))


def named_rows(shards: Mapping[str, ShardForm], names: Iterable[str], lose: str | None) -> list[FleetRow]:
    """Return the rows of the shards of these names that still exist."""
    return [fleet_row(shard, lose) for name in names if (shard := shards.get(name)) is not None]


def fleet_row(shard: ShardForm, lose: str | None) -> FleetRow:
    """Return the row of a shard; `lose` is the cell that is imagined to be lost."""
    primary = next((tablet for tablet in shard.tablets if tablet.alias == shard.primary), None)
    acks, ready, sentence = shard.acks, shard.ready, shard.sentence
    told = next((each.problem for each in shard.findings if sentence.startswith(each.sentence)), sentence)
    return FleetRow(
        name=shard.name,
        state=shard.state,
        sentence=told.removeprefix(f"{shard.name}: "),
        done=sentence.removeprefix(told).removeprefix("; "),
        primary=shard.primary or "–",
        cell=primary.cell if primary is not None else "",
        lag=lag(shard.largest_lag_seconds),
        acks=f"{acks.have} (needs {acks.needed})" if acks is not None else "–",
        acks_fall_short=acks is not None and acks.have < acks.needed,
        ready="–" if ready is None else "ready" if ready.ready else "not ready",
        is_ready=ready.ready if ready is not None else None,
        blocked_by="; ".join(ready.blocked_by) if ready is not None else "",
        loss=_loss(shard, lose) if lose is not None else "",
    )


def _loss(shard: ShardForm, cell: str) -> str:
    """Return the fate of a shard without a cell, as far as its readiness tells."""
    if not any(tablet.cell == cell for tablet in shard.tablets):
        return ""
    if shard.ready is None:
        return "not known: nothing was worked out for this shard yet"
    return next((loss.sentence for loss in shard.ready.losses if loss.what == f"cell {cell}"), "")


def _next_page(query: FleetQuery) -> str:
    given = {name: value for name, value in structs.asdict(query).items() if name in _FILTERS and value is not None}
    return urlencode({**given, "after": query.after + FIRST_ROWS})
