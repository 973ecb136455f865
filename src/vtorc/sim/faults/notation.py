"""Faults on a command line: `KIND[:TARGET[#SHARD]][@AT][+LASTS]`, such as `lose-cell:zone1@5+60`."""

import re
from collections.abc import Sequence

from vtorc.config.catalogue import nearest
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import NameParseError
from vtorc.sim.cluster.plan import WorldPlan
from vtorc.sim.errors import SimPlanError
from vtorc.sim.faults.catalogue import KINDS
from vtorc.sim.faults.fault import Fault

_FORM = re.compile(
    r"(?P<kind>[a-z-]+?)(?::(?P<target>[^@+#]+))?(?:#(?P<shard>\d+))?(?:@(?P<at>\d+(?:\.\d+)?))?"
    r"(?:\+(?P<lasts>\d+(?:\.\d+)?))?"
)
_EXPECTED = "expected KIND[:TARGET[#SHARD]][@AT][+LASTS], times in seconds, for example kill-mysqld:primary@5+30"

_ROLES = {"primary": 0, "replica": 1}


def write_fault(fault: Fault) -> str:
    """Write a fault so that `read_fault` returns the same one."""
    return f"{fault.kind}:{fault.alias or fault.target}#{fault.shard}@{_seconds(fault.at)}+{_seconds(fault.lasts)}"


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def read_fault(text: str, *, at: float, lasts: float, plan: WorldPlan | None = None) -> Fault:
    """Read a fault; `at` and `lasts` (seconds) are the defaults. Raises SimPlanError.

    The target is a number as in `Fault.target`, `primary`, `replica`, or a name of the `plan`. The name is that of a
    cell, of a tablet, or of a shard, which means its primary.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise SimPlanError(f"fault {text!r}: {_EXPECTED}")
    kind = found["kind"]
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(KINDS)}"
        raise SimPlanError(f"fault {text!r}: there is no kind {kind!r}; {hint}")
    target, shard, alias = _target(text, found["target"] or "0", plan)
    return Fault(
        kind=kind,
        at=float(found["at"]) if found["at"] else at,
        lasts=float(found["lasts"]) if found["lasts"] else lasts,
        shard=int(found["shard"]) if found["shard"] else shard,
        target=target,
        alias=alias,
    )


def _target(text: str, word: str, plan: WorldPlan | None) -> tuple[int, int, str]:
    """Return the number of the target, the number of its shard, and the alias if the target is a tablet."""
    if word.isascii() and word.isdigit():
        return int(word), 0, ""
    if word in _ROLES:
        return _ROLES[word], 0, ""
    if plan is None:
        raise SimPlanError(f"fault {text!r}: target {word!r}: expected a number, primary or replica")
    if word in plan.cells:
        return plan.cells.index(word), 0, ""
    shards = [each.shard for each in plan.shards]
    if "/" in word:
        try:
            return 0, shards.index(ShardId.parse(word)), ""
        except (NameParseError, ValueError):
            raise SimPlanError(f"fault {text!r}: there is no shard {word!r}; {_known(shards)}") from None
    return 0, _shard_of(text, word, plan), str(TabletAlias.parse(word))


def _shard_of(text: str, word: str, plan: WorldPlan) -> int:
    try:
        alias = TabletAlias.parse(word)
    except NameParseError:
        raise SimPlanError(
            f"fault {text!r}: target {word!r}: expected a number, primary, replica, a tablet, a shard, or a cell: "
            f"{', '.join(plan.cells)}"
        ) from None
    for number, shard in enumerate(plan.shards):
        if any(tablet.alias == alias for tablet in shard.tablets):
            return number
    tablets = [tablet.alias for shard in plan.shards for tablet in shard.tablets]
    raise SimPlanError(f"fault {text!r}: there is no tablet {word!r}; {_known(tablets)}")


def _known(names: Sequence[object]) -> str:
    shown = ", ".join(str(name) for name in names[:10])
    return f"expected one of {shown}{' and so on' if len(names) > 10 else ''}"


def table_of_kinds() -> str:
    """Return all kinds as a table in Markdown."""
    rows = [f"| `{kind.name}` | {kind.sentence} | {kind.least:g} to {kind.most:g} |" for kind in KINDS.values()]
    return "\n".join(["| kind | what happens | lasts, in seconds |", "| --- | --- | --- |", *rows])
