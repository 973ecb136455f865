"""The content of the screen at one moment, from a judgement, the servers' states and the ledger. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vtorc.core.election.survivability import can_make_progress
from vtorc.core.facts.fitness import shard_fitness
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.demo.demo_observer import DemoObserver, Mark, Sample, Sentence
from vtorc.demo.faults import FAULTS
from vtorc.demo.ledger import Ledger
from vtorc.recovery.record import BegunRecovery
from vtorc.recovery.runner import Judgement

UNKNOWN = "?"

HELP_KEYS = ("each key works here as well", "any other closes this page", "q quit")
"""The foot of the page that explains the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletLine:
    """One tablet: `mysqld` is the process's real state, all else is vtorc's knowledge, "?" if it has none of now."""

    number: int
    alias: TabletAlias
    port: int
    mysqld: str
    role: str = UNKNOWN
    lag: str = UNKNOWN
    semi_sync: str = UNKNOWN
    gtids: str = UNKNOWN
    picked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The whole screen."""

    title: str
    mark: Mark
    headline: str
    tablets: Sequence[TabletLine]
    writes: str
    findings: Sequence[tuple[Mark, str]]
    ask: str
    sentences: Sequence[Sentence]
    keys: Sequence[str] = ()
    """Each key with what it does, as at the foot of the screen; empty where no key is read."""
    help: Sequence[tuple[str, str]] = ()
    """Each key with its explanation, shown in place of the cluster; empty while an operator has not asked for it.

    Among the sentences it scrolled away on a screen of 24 lines.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """The state of a tablet's mysqld, read from its process and not from vtorc."""

    alias: TabletAlias
    port: int
    mysqld: str


def draw(
    observer: DemoObserver,
    servers: Sequence[ServerState],
    ledger: Ledger,
    *,
    title: str,
    ask: str,
    now: float,
    keys: Sequence[str] = (),
    picked: TabletAlias | None = None,
    has_vtorc: bool = True,
) -> Picture:
    """Put the picture together; `ask` is the command that asks vtorc, and `now` is on the ledger's clock.

    Without a running vtorc the judgement is an old one: a shard that it called healthy may have lost its primary since.
    """
    judgement = observer.judgement
    mark, headline = _headline(judgement, observer.running)
    if not has_vtorc:
        mark, headline = Mark.NO_ACTION, f"as vtorc knew it last: {headline}"
    return Picture(
        title=title,
        mark=mark,
        headline=headline,
        tablets=[
            _line(number, server, judgement, observer.samples, picked=server.alias == picked)
            for number, server in enumerate(servers, start=1)
        ],
        writes=_writes(ledger, now),
        findings=_findings(judgement),
        ask=ask,
        sentences=tuple(observer.sentences),
        keys=keys,
    )


def keys_of(picked: TabletAlias | None, tablets: int) -> list[str]:
    """Return each key with what it does, while `picked` of so many tablets is chosen; None means the primary."""
    target = "primary" if picked is None else f"{picked.cell}-{picked.uid}"
    of_tablet, of_all = (
        "  ".join(f"{fault.key} {fault.name}" for fault in FAULTS.values() if fault.of_tablet is whether)
        for whether in (True, False)
    )
    others = f"r mend  b rebuild  1-{min(9, tablets)} pick  ? more  q quit"
    return f"break {target}: {of_tablet}  all: {of_all}  {others}".split("  ")


def help_on_keys() -> list[tuple[str, str]]:
    """Return each key with its explanation."""
    return [
        *((fault.key, fault.help) for fault in FAULTS.values()),
        ("r", "start what is down, resume what hangs: tablets, vtorc, topology server"),
        ("b", "delete the data of a replica and have it replicate from the start"),
        ("1-9", "the tablet that the next key is for; again: the primary"),
    ]


def _headline(judgement: Judgement | None, running: BegunRecovery | None) -> tuple[Mark, str]:
    if judgement is None:
        return Mark.NO_ACTION, "starting: vtorc has not looked at the shard yet"
    if running is not None:
        return Mark.REPAIR, f"repairing: {running.recovery.value} for {running.called_by}"
    if not judgement.decisions:
        return Mark.GOOD, f"healthy: {_headroom(judgement)}"
    count = len(judgement.decisions)
    problems = "1 problem" if count == 1 else f"{count} problems"
    if judgement.action is not None:
        return Mark.REPAIR, f"repairing: {problems}"
    return Mark.NO_ACTION, f"doing nothing: {problems}, for the reasons below"


def _headroom(judgement: Judgement) -> str:
    """Say which tablet takes writes, and how many of its ackers it can do without."""
    view, primary = judgement.view, judgement.view.primary
    if primary is None or judgement.policy is None:
        return "nothing to do"
    available = [tablet.member for tablet in view.tablets if tablet.is_current]
    fitness = shard_fitness(view, judgement.policy)
    return str(can_make_progress(judgement.policy, primary.member, available=available, fitness=fitness))


def _findings(judgement: Judgement | None) -> list[tuple[Mark, str]]:
    decisions = judgement.decisions if judgement is not None else ()
    return [(Mark.REPAIR if decision.acts else Mark.NO_ACTION, decision.sentence) for decision in decisions]


def _writes(ledger: Ledger, now: float) -> str:
    if ledger.last_at is None:
        return "no row acknowledged yet"
    silence = ledger.silence(now)
    pace = f"{ledger.rate(now):.0f}/s" if silence < 1 else f"none for {silence:.1f} s"
    words = [f"{pace}, {ledger.count:,} rows acknowledged by now"]
    if ledger.gaps:
        gap = ledger.gaps[-1]
        to = f" until {gap.ended_by} took over" if gap.is_handover else f" at {gap.ended_by}"
        words.append(f"last gap {gap.seconds:.2f} s{to}")
    return "; ".join(words)


def _line(
    number: int, server: ServerState, judgement: Judgement | None, samples: Sequence[Sample], *, picked: bool
) -> TabletLine:
    view = judgement.view if judgement is not None else None
    tablet = view.tablet(server.alias) if view is not None else None
    if judgement is None or view is None or tablet is None:
        return TabletLine(number=number, alias=server.alias, port=server.port, mysqld=server.mysqld, picked=picked)
    return TabletLine(
        number=number,
        alias=server.alias,
        port=server.port,
        mysqld=server.mysqld,
        role=_role(view, tablet),
        lag=_lag(view, tablet),
        semi_sync=_semi_sync(view, tablet),
        gtids=_gtids(view, tablet, samples),
        picked=picked,
    )


def _role(view: ShardView, tablet: TabletView) -> str:
    if tablet.record.type is not TabletType.PRIMARY:
        return str(tablet.record.type)
    return "primary" if view.primary is not None and view.primary.alias == tablet.alias else "ex-primary"


def _is_primary(view: ShardView, tablet: TabletView) -> bool:
    return view.primary is not None and view.primary.alias == tablet.alias


def _lag(view: ShardView, tablet: TabletView) -> str:
    status = tablet.current_status
    if status is None:
        return UNKNOWN
    if _is_primary(view, tablet):
        return "–"
    if status.replication is None or not status.replication.has_source:
        return "none"
    if not status.replication.is_replicating:
        return "trying" if status.replication.io_state is ThreadState.CONNECTING else "stopped"
    return UNKNOWN if status.replication.lag is None else f"{status.replication.lag} s"


def _semi_sync(view: ShardView, tablet: TabletView) -> str:
    if tablet.current_status is None:
        return UNKNOWN
    semi_sync = tablet.current_status.semi_sync
    if _is_primary(view, tablet):
        if not semi_sync.primary_enabled:
            return "off"
        return f"needs {semi_sync.wait_for_replica_count} of {semi_sync.primary_clients}"
    return "acks" if semi_sync.replica_enabled else "off"


def _gtids(view: ShardView, tablet: TabletView, samples: Sequence[Sample]) -> str:
    status = tablet.current_status
    if status is None:
        return UNKNOWN
    if _is_primary(view, tablet):
        return f"{status.executed.count():,}"
    primary = view.primary
    uuid = primary.status.server_uuid if primary is not None and primary.status is not None else ""
    of_primary = {
        sample.at: sample.executed for sample in samples if primary is not None and sample.alias == primary.alias
    }
    errant = _errant(status.executed, of_primary, uuid)
    if errant:
        return f"{errant.count():,} errant"
    missing = before(of_primary, tablet.status_at).difference(status.received).count()
    if missing:
        return f"lacks {_brief(missing)}"
    unapplied = status.received.difference(status.executed).count()
    return f"{_brief(unapplied)} to apply" if unapplied else "has all"


def _brief(count: int) -> str:
    """Return a count in few characters: "3,926 to apply" was cut off on a screen of 80 columns."""
    return str(count) if count < 1000 else f"{count // 1000:,}k"


def _errant(executed: GtidSet, of_primary: Mapping[float, GtidSet], uuid: str) -> GtidSet:
    """Return the transactions that the primary lacks and did not write; empty while no probe of it succeeded."""
    if not of_primary or not uuid:
        return EMPTY_GTID_SET
    return executed.difference(of_primary[max(of_primary)]).without_uuid(uuid)


def before(of_primary: Mapping[float, GtidSet], moment: float | None) -> GtidSet:
    """Return the transactions that the primary is known to have executed before a moment.

    A replica is compared with an earlier answer of its primary, never with a later one. Otherwise it would always seem
    to lack the transactions that were written between the two answers.
    """
    times = [at for at in of_primary if moment is not None and at <= moment]
    return of_primary[max(times)] if times else EMPTY_GTID_SET
