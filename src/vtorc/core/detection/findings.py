"""Findings, the result of an analysis: one for each problem of each tablet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vtorc.core.detection.problems import Code, Problem
from vtorc.core.facts.ids import ShardId, TabletAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of one tablet or of the whole shard, with what was seen."""

    code: Code
    """The kind of problem."""
    shard: ShardId
    """The shard that has it."""
    alias: TabletAlias | None
    """The tablet that has it; None where the shard as a whole has it."""
    sentence: str
    """The problem in words, for operators."""
    confirmed: bool = True
    """Whether the evidence is complete. Until it is, vtorc changes nothing, but probes more often."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """The inputs of the condition by name, as text for operators."""
    may_be_load: bool = False
    """Whether the tablet may be overloaded rather than broken: then its replacement would be overloaded next."""
    cause: str = ""
    """The state that must change before a repair that failed is worth another try; empty where time alone may do."""

    @property
    def problem(self) -> Problem:
        """Its row of the catalogue of problems."""
        return self.code.problem

    @property
    def sort_key(self) -> tuple[int, int, str]:
        """Most urgent first; within one urgency in catalogue order, then by tablet."""
        return (self.problem.priority, self.code.order, str(self.alias or ""))
