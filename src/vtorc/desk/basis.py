"""The facts that decide in a shard: a plan holds while these stay. Positions move with each write, and are none of
them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBasis:
    """The facts about one shard that a plan was made from."""

    view: ShardView
    """The view of that moment."""
    policy: DurabilityPolicy | None
    """The durability policy in force; None if it is missing or unknown."""
    problems: frozenset[tuple[Code, TabletAlias | None]]
    """The problems of the shard, each with the tablet that has it."""

    @classmethod
    def of(cls, view: ShardView, policy: DurabilityPolicy | None, decisions: tuple[Decision, ...]) -> "PlanBasis":
        """Return the basis of a shard that shows this view, and has these decisions about its problems."""
        return cls(view=view, policy=policy, problems=frozenset((d.finding.code, d.finding.alias) for d in decisions))

    def changes(self, now: "PlanBasis") -> str:
        """Return what is different now, in words; empty if the plan still holds."""
        return ", ".join(self._changes(now))

    def _changes(self, now: "PlanBasis") -> Iterator[str]:
        if self.view.shard_record != now.view.shard_record:
            yield "the shard record"
        if self.policy != now.policy:
            yield "the durability policy"
        if self.view.holds != now.view.holds:
            yield "the holds on it"
        if self.view.unreachable_cells.keys() != now.view.unreachable_cells.keys():
            yield "the cells that can be read"
        before = {tablet.alias: _substance(tablet) for tablet in self.view.tablets}
        after = {tablet.alias: _substance(tablet) for tablet in now.view.tablets}
        yield from (
            str(alias) for alias in sorted(before.keys() | after.keys()) if before.get(alias) != after.get(alias)
        )
        for code, alias in sorted(self.problems ^ now.problems, key=lambda each: (each[0].value, str(each[1]))):
            yield f"{code.value}{f' of {alias}' if alias is not None else ''}"


class ShardRevisions:
    """Numbers what decides in shards: a shard keeps its number until that changes."""

    def __init__(self) -> None:
        self._known: dict[ShardId, tuple[int, PlanBasis]] = {}

    def of(self, basis: PlanBasis) -> int:
        """Return the number of a basis, the next one if it differs from the last of its shard."""
        shard = basis.view.shard
        number, before = self._known.get(shard, (0, None))
        if before is None or before.changes(basis):
            number += 1
            self._known[shard] = number, basis
        return number


def _substance(tablet: TabletView) -> tuple[TabletRecord, ProbeFailure | None, tuple[object, ...] | None]:
    """Return what may decide about a tablet; the last answer of one that fails is as old as its failure."""
    status = tablet.current_status
    return tablet.record, tablet.failure, status.substance if status is not None else None
