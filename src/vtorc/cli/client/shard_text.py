"""One shard as text: its topology as a tree, and why vtorc does for it what it does. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vtorc.cli.client.fleet_text import finding_lines
from vtorc.cli.client.hold_text import hold_lines
from vtorc.cli.client.layout import (
    WRONG,
    clock_time,
    columns,
    counted,
    duration,
    packed,
    seconds_between,
    state_words,
    wrapped,
)
from vtorc.cli.client.readiness_text import readiness_lines
from vtorc.cli.client.recovery_text import outcome_lines
from vtorc.core.facts.gtid import GtidSet
from vtorc.forms.fleet import InForceForm, WhyForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.shard import ShardForm, lacking
from vtorc.forms.tablet import ReplicationForm, TabletForm

RECENT = 10
"""How many decisions and recoveries are shown as reasons."""

BRANCH, LAST_BRANCH, TRUNK, NO_TRUNK = "|- ", "`- ", "|  ", "   "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A tablet in its place of the tree."""

    tablet: TabletForm
    lead: str
    """The branch that is drawn before its alias."""
    trunk: str
    """The trunks that are drawn before its further lines."""


def topology_lines(shard: ShardForm, width: int) -> list[str]:
    """Return the tree of a shard: the primary, below each tablet those that replicate from it, and what is wrong."""
    lines = [
        f"{shard.name}  {state_words(shard.state)}",
        *wrapped(shard.sentence, width, indent="  "),
        *wrapped(_promise(shard), width, indent="  "),
        *(wrapped(shard.ready.sentence, width, indent="  ") if shard.ready is not None else []),
        *(line for hold in shard.holds for line in hold_lines(hold, width)),
        "",
    ]
    nodes = [node for root in _roots(shard) for node in _nodes(shard, root, "", "", frozenset())]
    names = columns([(f"{node.lead}{node.tablet.alias}", _role(node.tablet)) for node in nodes])
    longest = max((len(name) for name in names), default=0)
    for node, name in zip(nodes, names, strict=True):
        lines += packed([name.ljust(longest), *_words(shard, node.tablet)], width, indent=f"{node.trunk}  ")
        for hold in node.tablet.holds:
            lines += hold_lines(hold, width, trunk=node.trunk)
        for wrong in _wrongs(shard, node.tablet):
            lines += _wrong(wrong, node.trunk, width)
    unreadable = {**shard.unreadable_cells, **shard.unreadable_tablets}
    return lines + [line for name, why in unreadable.items() for line in _wrong(f"{name}: {why}", "", width)]


def _promise(shard: ShardForm) -> str:
    policy = f"durability policy {shard.durability or 'unknown'}"
    if shard.acks is None:
        return policy
    if not shard.acks.needed:
        return f"{policy}: a write needs no acknowledgement"
    can = counted(shard.acks.have, "tablet")
    return f"{policy}: a write needs {counted(shard.acks.needed, 'acknowledgement')}, and {can} would give one"


def _roots(shard: ShardForm) -> list[TabletForm]:
    """Return the primary, then the tablets that no other tablet leads to, and one of each ring."""
    roots = [tablet for tablet in shard.tablets if tablet.is_primary]
    below = set(_below(shard, roots))
    by_alias = {tablet.alias: tablet for tablet in shard.tablets}
    rest = [tablet for tablet in shard.tablets if tablet.alias not in below]
    for tablet in [*(one for one in rest if _source(one) not in by_alias), *rest]:
        if tablet.alias not in below:
            roots.append(tablet)
            below.update(_below(shard, [tablet]))
    return roots


def _below(shard: ShardForm, tablets: Sequence[TabletForm]) -> Iterator[str]:
    """Yield the aliases of tablets and of all that are drawn below them."""
    seen: set[str] = set()
    ahead = list(tablets)
    while ahead:
        tablet = ahead.pop()
        if tablet.alias not in seen:
            seen.add(tablet.alias)
            yield tablet.alias
            ahead += _replicas(shard, tablet)


def _replicas(shard: ShardForm, source: TabletForm) -> list[TabletForm]:
    return [tablet for tablet in shard.tablets if _source(tablet) == source.alias and not tablet.is_primary]


def _source(tablet: TabletForm) -> str | None:
    return tablet.replication.source_tablet if tablet.replication is not None else None


def _nodes(shard: ShardForm, tablet: TabletForm, lead: str, trunk: str, above: frozenset[str]) -> Iterator[_Node]:
    """Yield a tablet and all below it; `above` are the aliases on the way to it, as sources may form a ring."""
    above |= {tablet.alias}
    replicas = [replica for replica in _replicas(shard, tablet) if replica.alias not in above]
    yield _Node(tablet=tablet, lead=lead, trunk=trunk + (TRUNK if replicas else NO_TRUNK))
    for replica in replicas:
        branch, further = (LAST_BRANCH, NO_TRUNK) if replica is replicas[-1] else (BRANCH, TRUNK)
        yield from _nodes(shard, replica, trunk + branch, trunk + further, above)


def _role(tablet: TabletForm) -> str:
    if tablet.type != "PRIMARY" or tablet.is_primary:
        return tablet.type
    return "FORMER PRIMARY"


def _words(shard: ShardForm, tablet: TabletForm) -> list[str]:
    """Return what is known of a tablet, in phrases that are not to be broken."""
    words = [_WRITABLE[tablet.read_only]] if tablet.is_primary or tablet.replication is None else []
    if tablet.replication is not None and not tablet.is_primary:
        words += _replication_words(tablet.replication)
    if not tablet.is_primary and tablet.semi_sync is not None and tablet.semi_sync.acknowledges is not None:
        words.append("acks" if tablet.acknowledges else "no acks")
    return [*words, *_gtid_words(shard, tablet), f"{tablet.mysql_host}:{tablet.mysql_port}"]


_WRITABLE = {True: "read-only", False: "writable", None: "never answered"}


def _replication_words(replication: ReplicationForm) -> list[str]:
    if not replication.source:
        return ["no source"]
    io, sql = replication.io_thread, replication.sql_thread
    words = [f"io, sql {io}" if io == sql else f"io {io}, sql {sql}"]
    if replication.source_tablet is None:
        words.append(f"from {replication.source}, which is no tablet of the shard")
    words.append("lag unknown" if replication.lag_seconds is None else f"lag {replication.lag_seconds} s")
    if replication.delay_seconds:
        words.append(f"delayed by {replication.delay_seconds} s")
    return words


def _gtid_words(shard: ShardForm, tablet: TabletForm) -> list[str]:
    """Return how many transactions a replica lacks, and has beyond its primary.

    Under writes a replica has some that the primary did not have yet when it answered: those are no news while it
    answers. A primary that does not answer may have them all the same.
    """
    if tablet.gtid is None or tablet.is_primary:
        return []
    primary_answers = any(each.is_primary and each.reach == "answers" for each in shard.tablets)
    beyond = ("errant:", tablet.gtid.errant)
    if not primary_answers:
        beyond = ("newer than the primary's last answer:", tablet.gtid.not_on_primary)
    told = (("lacks", lacking(shard, tablet)), beyond)
    return [f"{words} {GtidSet.parse(gtids).count():,}" for words, gtids in told if gtids]


def _wrongs(shard: ShardForm, tablet: TabletForm) -> Iterator[str]:
    """Yield what is wrong with a tablet."""
    if tablet.reach != "answers":
        silent = None if tablet.failing_since is None else seconds_between(tablet.failing_since, shard.as_of)
        yield tablet.says if silent is None else f"{tablet.says}, for {duration(silent)}; the rest is older"
    if tablet.replication is not None:
        for thread, error in (("io", tablet.replication.io_error), ("sql", tablet.replication.sql_error)):
            if error:
                yield f"{thread}: {error}"
    for finding in shard.findings:
        if finding.tablet == tablet.alias:
            is_told = finding.sentence in shard.sentence
            yield f"{finding.code}, as said above" if is_told else f"{finding.code}: {finding.sentence}"


def _wrong(text: str, before: str, width: int) -> list[str]:
    return wrapped(text, width, indent=f"{before}  ", first=f"{before}{WRONG} ")


def why_lines(why: WhyForm, width: int) -> list[str]:
    """Return the state of a shard, its findings, and what was decided and done of late, in vtorc's own sentences."""
    when = f"  at {clock_time(why.at)}" if why.at is not None else ""
    lines = [f"{why.shard}  {state_words(why.state)}{when}", *wrapped(why.sentence, width, indent="  ")]
    if why.in_force:
        lines += ["", "In force then"]
        lines += [f"  {line}" for each in why.in_force for line in in_force_lines(each, width - 2)]
    if why.findings:
        lines += ["", "Findings"]
        for finding in why.findings:
            is_told = finding.sentence in why.sentence
            lines += [f"  {line}" for line in finding_lines(finding, width - 2, with_sentence=not is_told)]
    if why.holds:
        lines += ["", "Holds", *(f"  {line}" for hold in why.holds for line in hold_lines(hold, width - 2))]
    if why.readiness is not None:
        lines += ["", "Readiness", *(f"  {line}" for line in readiness_lines(why.readiness, width - 2))]
    lines += _recent("recoveries", [outcome_lines(one, width - 2) for one in why.recoveries])
    lines += _recent("decisions", [decision_lines(one, width - 2) for one in why.decisions])
    if why.seen is not None:
        lines += ["", f"Seen at {clock_time(why.seen.as_of)}", *topology_lines(why.seen, width)]
    return lines


def in_force_lines(each: InForceForm, width: int) -> list[str]:
    """Return a decision that was in force, with its span."""
    end = "until now" if each.until is None else f"to {clock_time(each.until)}"
    span = f"in force from {clock_time(each.since)} {end}"
    return [*wrapped(f"[{each.rule}] {each.sentence}", width, indent="    ", first=""), f"    {span}"]


def _recent(noun: str, told: Sequence[list[str]]) -> list[str]:
    """Return the latest of what was done or decided, under a title."""
    if not told:
        return []
    lines = ["", f"Recent {noun}", *(f"  {line}" for each in told[:RECENT] for line in each)]
    older = len(told) - RECENT
    return lines if older <= 0 else [*lines, f"  and {older} older {noun}, which --json has as well"]


def decision_lines(decision: DecisionFrame, width: int) -> list[str]:
    """Return a decision with its time, or that its problem is gone."""
    finding = decision.finding
    told = finding.sentence if decision.change == "decided" else f"gone: {finding.problem}"
    return wrapped(f"[{finding.rule}] {told}", width, indent="    ", first=f"{clock_time(decision.at)}  ")
