"""The record of a recovery, step by step, for operators and for the history."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTraits:
    """One row of the outcomes; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The name by which operators know it."""
    was_attempt: bool
    """Whether it counts as an attempt, which slows down the next one."""
    is_failure: bool
    """Whether the recovery did not do what it was for, so that an operator has to see that."""


class Outcome(enum.Enum):
    """How a recovery ended; each member is its row."""

    _value_: str
    was_attempt: bool
    is_failure: bool

    def __new__(cls, traits: OutcomeTraits) -> Self:
        """Make a member; its value is the spelling."""
        member = object.__new__(cls)
        member._value_ = traits.spelling
        member.was_attempt = traits.was_attempt
        member.is_failure = traits.is_failure
        return member

    SUCCEEDED = OutcomeTraits(spelling="succeeded", was_attempt=True, is_failure=False)
    FAILED = OutcomeTraits(spelling="failed", was_attempt=True, is_failure=True)
    REFUSED = OutcomeTraits(spelling="refused", was_attempt=True, is_failure=True)
    GONE = OutcomeTraits(spelling="gone", was_attempt=False, is_failure=False)
    """The problem had passed before anything was changed."""
    LOCK_HELD = OutcomeTraits(spelling="lock held", was_attempt=False, is_failure=False)
    """Another process had locked the shard: that is routine where several vtorcs watch it."""
    LOCK_LOST = OutcomeTraits(spelling="lock lost", was_attempt=True, is_failure=True)
    CANCELLED = OutcomeTraits(spelling="cancelled", was_attempt=True, is_failure=False)
    """An operator ended it, and knows of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest:
    """An operator's request for a recovery."""

    actor: str
    """The operator, as the server knows it."""
    origin: str
    """Where the request came from: an address, or a socket."""
    reason: str
    """The operator's reason, in the operator's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunRecovery:
    """A recovery that begins: what is known of it before it has done anything."""

    shard: ShardId
    """The shard."""
    recovery: Recovery
    """The kind of recovery."""
    code: Code | None
    """The problem that called for the recovery; None if an operator did."""
    alias: TabletAlias | None
    """The tablet that the recovery is about; None if it is the whole shard."""
    began: int
    """Nanoseconds since the Unix epoch."""
    sentence: str
    """Its purpose."""
    asked: OperatorRequest | None = None
    """The operator's request; None if vtorc acts by itself."""

    def ended(self, outcome: Outcome, sentence: str) -> "RecoveryRecord":
        """Return the record of it if it ended so before it did anything."""
        return RecoveryRecord(
            shard=self.shard,
            recovery=self.recovery,
            code=self.code,
            alias=self.alias,
            began=self.began,
            duration=0.0,
            outcome=outcome,
            sentence=sentence,
            asked=self.asked,
        )

    @property
    def called_by(self) -> str:
        """The problem that called for it, or "an operator"."""
        return self.code.value if self.code is not None else "an operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of a recovery."""

    name: str
    target: TabletAlias | None
    """The tablet that the step was done on; None for a step on the shard or the lock."""
    started: float
    """Seconds since the recovery began."""
    duration: float
    """In seconds."""
    result: str = "done"
    """"done", or why the step failed."""
    output: str = ""
    """The output of a command hook, as far as it is kept; empty for any other step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRecord:
    """One recovery from its decision to its end."""

    shard: ShardId
    recovery: Recovery
    code: Code | None
    """The problem that called for the recovery; None if an operator did."""
    alias: TabletAlias | None
    """The tablet that the recovery is about; None if it is the whole shard."""
    began: int
    """Nanoseconds since the Unix epoch."""
    duration: float
    """In seconds."""
    outcome: Outcome
    sentence: str
    rule: Rule | None = None
    """The rule that refused the recovery, if one did."""
    waits_for: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """The transactions that tablets did not apply in time; empty unless that ended the recovery."""
    steps: tuple[StepRecord, ...] = ()
    marks: Mapping[str, float] = field(default_factory=dict)
    """Moments by which an outage is measured, by the spelling of `OutageMark`, in seconds since `began`."""
    winner: TabletAlias | None = None
    """The tablet to promote; None before an election."""
    argument: SafetyArgument | None = None
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Why tablets could not become primary."""
    errant: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """The errant transactions of each tablet that has some."""
    data_loss: DataLossEstimate | None = None
    """The estimate for a forced promotion; None for any other recovery."""
    asked: OperatorRequest | None = None
    """The operator's request; None if vtorc acted by itself."""
