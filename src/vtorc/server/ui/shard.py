"""The page of a shard: its tablets as cards, one column a cell, and what would happen if its primary died now."""

from collections.abc import Sequence
from dataclasses import dataclass

from vtorc.core.facts.gtid import GtidSet
from vtorc.forms.fleet import WhyForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.hold import HoldForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.shard import ShardForm, lacking
from vtorc.forms.tablet import ReplicationForm, SemiSyncForm, TabletForm
from vtorc.server.ui.words import clock_time, lag, plural

RECENT = 10
"""Recoveries and decisions that the page of a shard shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One tablet, as its card in the drawing shows it."""

    alias: str
    """Its name."""
    type: str
    """Its type in its record, in lower case; of one that is primary in its record only, just that."""
    is_primary: bool
    """Whether it is the primary of its shard."""
    state: str
    """"well", "trouble" or "silent": whether it answers, and its threads run."""
    status: str
    """The same in words."""
    address: str
    """Host and port of its mysqld; a dash if its record has none."""
    source: str | None
    """Alias of the tablet that it replicates from; None if it has none in this shard."""
    edge: str
    """"running", "connecting" or "stopped": how it is connected to its source."""
    acknowledges: bool
    """Whether it acknowledges now."""
    facts: Sequence[tuple[str, str]]
    """The facts about it, each as a label and its value."""
    gtids: Sequence[tuple[str, str, str]]
    """How its transactions differ from those of the primary: a class of style, a sentence, and the GTID set."""
    errors: Sequence[str]
    """The errors of its threads."""
    wins: bool
    """Whether the election would choose it."""
    why_not: str
    """Why it cannot win, as the end of a sentence about it; empty if it may, or that is not known."""
    may_be_promoted: bool
    """Whether it is worth asking for a plan that promotes it."""
    holds: Sequence[HoldForm]
    """The holds of operators on it, or on its cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellColumn:
    """The tablets of one cell."""

    cell: str
    """The name of the cell."""
    trouble: str
    """Why its topology server cannot be read; empty if it can."""
    primary: Card | None
    """The primary, if it is in this cell."""
    others: Sequence[Card]
    """Its other tablets, ordered by alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPage:
    """A shard as its page shows it."""

    shard: ShardForm
    """Its form."""
    sentence: str
    """The answer to "is it well?", without the name of the shard in front."""
    facts: Sequence[tuple[str, str]]
    """The facts about the shard as a whole, each as a label and its value."""
    columns: Sequence[CellColumn]
    """Its cells, that of the primary first."""
    unreadable: Sequence[tuple[str, str]]
    """Tablets with a record that cannot be read, each with the reason."""
    recoveries: Sequence[RecoveryForm]
    """Its last recoveries, newest first."""
    decisions: Sequence[DecisionFrame]
    """The last decisions about it and their ends, newest first."""
    seen_at: str | None
    """When vtorc saw its tablets as they are shown, as RFC 3339; None for now, and if the history has no picture."""
    holds: Sequence[HoldForm]
    """The holds of operators on it, its tablets and their cells, by number."""
    scopes: Sequence[tuple[str, str]]
    """Where it may be held: the name of each scope, and its words."""


def shard_page(shard: ShardForm, why: WhyForm) -> ShardPage:
    """Return the page of a shard, now or as it was; `why` tells what was decided and done."""
    return ShardPage(
        shard=shard,
        sentence=shard.sentence.removeprefix(f"{shard.name}: "),
        facts=_shard_facts(shard),
        columns=_columns(shard),
        unreadable=sorted(shard.unreadable_tablets.items()),
        recoveries=why.recoveries[:RECENT],
        decisions=why.decisions[:RECENT],
        seen_at=why.seen.as_of if why.seen is not None else None,
        holds=shard.all_holds,
        scopes=[
            (f"shard:{shard.name}", "this shard"),
            *((f"tablet:{tablet.alias}", tablet.alias) for tablet in shard.tablets),
        ],
    )


def _shard_facts(shard: ShardForm) -> list[tuple[str, str]]:
    acks = shard.acks
    return [
        ("Takes writes", {True: "yes", False: "no", None: "in doubt"}[shard.takes_writes]),
        ("Durability", shard.durability or "not known: nothing is changed without a policy"),
        ("Acknowledgements", f"each write needs {acks.needed}, {acks.have} would come" if acks is not None else "–"),
        ("Largest lag", lag(shard.largest_lag_seconds)),
        ("vtorc", "acts on it" if shard.controlled else "only watches it"),
    ]


def _columns(shard: ShardForm) -> list[CellColumn]:
    cards: dict[str, list[Card]] = {cell: [] for cell in sorted(shard.unreadable_cells)}
    for tablet in shard.tablets:
        cards.setdefault(tablet.cell, []).append(_card(shard, tablet))
    columns = [
        CellColumn(
            cell=cell,
            trouble=shard.unreadable_cells.get(cell, ""),
            primary=next((card for card in own if card.is_primary), None),
            others=[card for card in own if not card.is_primary],
        )
        for cell, own in cards.items()
    ]
    return sorted(columns, key=lambda column: (column.primary is None, column.cell))


def _card(shard: ShardForm, tablet: TabletForm) -> Card:
    replication, ready = tablet.replication, shard.ready
    why_not = ready.removed.get(tablet.alias, "") if ready is not None else ""
    state, status = _state(tablet)
    return Card(
        alias=tablet.alias,
        type=_role(tablet),
        is_primary=tablet.is_primary,
        state=state,
        status=status,
        address=f"{tablet.mysql_host}:{tablet.mysql_port}" if tablet.mysql_host else "–",
        source=replication.source_tablet if replication is not None and not tablet.is_primary else None,
        edge=_edge(replication),
        acknowledges=tablet.acknowledges and not tablet.is_primary,
        facts=_tablet_facts(shard, tablet),
        gtids=_gtids(shard, tablet),
        errors=[error for error in (replication.io_error, replication.sql_error) if error] if replication else [],
        wins=ready is not None and ready.winner == tablet.alias,
        why_not=why_not,
        may_be_promoted=not tablet.is_primary and tablet.reach == "answers",
        holds=tablet.holds,
    )


def _role(tablet: TabletForm) -> str:
    is_stale = tablet.type == "PRIMARY" and not tablet.is_primary
    return "primary in its record only" if is_stale else tablet.type.lower()


def _state(tablet: TabletForm) -> tuple[str, str]:
    if tablet.reach != "answers":
        return "silent", tablet.says
    if tablet.is_primary:
        return ("trouble", "read-only") if tablet.read_only else ("well", "writable")
    replication = tablet.replication
    if replication is None or not (replication.source or replication.source_tablet):
        return "trouble", "has no source"
    troubled = [
        f"{name} {state}"
        for name, state in (("IO thread", replication.io_thread), ("SQL thread", replication.sql_thread))
        if state != "running"
    ]
    return ("trouble", ", ".join(troubled)) if troubled else ("well", "replicates")


def _edge(replication: ReplicationForm | None) -> str:
    if replication is None:
        return "stopped"
    return replication.io_thread if replication.io_thread in ("running", "connecting") else "stopped"


def _tablet_facts(shard: ShardForm, tablet: TabletForm) -> list[tuple[str, str]]:
    facts = [("MySQL", tablet.version or "–")]
    if tablet.reach != "answers" and tablet.answered_at is not None:
        facts.append(("Last answer", clock_time(tablet.answered_at)))
    replication, semi_sync = tablet.replication, tablet.semi_sync
    if not tablet.is_primary and replication is not None:
        facts.append(("Lag", lag(replication.lag_seconds)))
        if replication.delay_seconds:
            facts.append(("Delay", f"{replication.delay_seconds} s on purpose"))
    if semi_sync is not None and tablet.is_primary:
        facts.append(("Semi-sync", _waits(semi_sync)))
    elif semi_sync is not None:
        facts.append(("Semi-sync", "acknowledges" if tablet.acknowledges else "does not acknowledge"))
    if tablet.is_primary:
        facts.append(("Writes", {True: "taken", False: "not taken", None: "in doubt"}[shard.takes_writes]))
    return facts


def _waits(semi_sync: SemiSyncForm) -> str:
    """Say how many acknowledgements a commit needs; "commits wait" alone was read as an outage."""
    of = f" of {plural(semi_sync.clients, 'client')}" if semi_sync.clients is not None else ""
    if not semi_sync.is_waiting:
        return "commits need no ack"
    count = semi_sync.wait_for_replica_count
    return f"commits need {plural(count, 'ack') if count else 'acks'}{of}"


def _gtids(shard: ShardForm, tablet: TabletForm) -> list[tuple[str, str, str]]:
    gtid = tablet.gtid
    if gtid is None or tablet.is_primary:
        return []
    told = (
        ("missing", lacking(shard, tablet), "of the primary not received when last asked"),
        ("to-apply", gtid.to_apply, "received and not applied"),
        ("errant", gtid.errant, "errant: the primary lacks them"),
    )
    return [(kind, f"{_count(text)} {words}", text) for kind, text, words in told if text]


def _count(text: str) -> str:
    return plural(GtidSet.parse(text).count(), "transaction")
