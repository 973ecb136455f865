"""What a recovery did, step by step: the record that people read and history keeps."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.choice import SafetyArgument
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule


class Outcome(enum.Enum):
    """How a recovery ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    GONE = "gone"
    LOCK_HELD = "lock held"
    LOCK_LOST = "lock lost"
    INTERRUPTED = "interrupted"

    @property
    def was_attempt(self) -> bool:
        """Whether it counts as a try that did or did not help, and so slows down the next one."""
        return self not in (Outcome.GONE, Outcome.LOCK_HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step: what was done to whom, when (seconds since the recovery began), for how long, and how it ended."""

    name: str
    target: TabletAlias | None
    started: float
    duration: float
    result: str = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRecord:
    """One recovery from its decision to its end.

    `began` is in nanoseconds since the Unix epoch, `duration` in seconds, and so are `marks`: moments since the
    beginning that people measure an outage by, such as "promoted" and "acknowledged". `code` is None for what a
    person asked for. `rule` is the one that refused it, if one did. `data_loss` is what a person's choice of the
    primary costs, if it was made.
    """

    shard: ShardId
    recovery: Recovery
    code: Code | None
    alias: TabletAlias | None
    began: int
    duration: float
    outcome: Outcome
    sentence: str
    rule: Rule | None = None
    steps: tuple[StepRecord, ...] = ()
    marks: Mapping[str, float] = field(default_factory=dict)
    winner: TabletAlias | None = None
    argument: SafetyArgument | None = None
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    data_loss: DataLossEstimate | None = None
