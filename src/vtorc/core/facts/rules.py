"""The catalogue of rules: the reason why vtorc acts, stands still, or refuses to promote a tablet.

It is a fact and no decision, because elections name rules too. Each rule has a row in `docs/operating.md`.
"""

import enum
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTraits:
    """One row of the catalogue; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The name that operators search for."""
    decides: bool
    """Whether a decision about a finding names it; the others only refuse a promotion."""
    needs_operator: bool
    """Whether it may stand for ever while the shard takes no writes, so that an operator is called at once."""
    may_pass: bool
    """Whether it may give way to another rule by itself within moments, so that it is no last word on a lost
    primary."""


class Rule(enum.Enum):
    """The name of a reason; each member is its row, so that none can be forgotten."""

    _value_: str
    traits: RuleTraits

    def __new__(cls, traits: RuleTraits) -> Self:
        """Make a member; its value is the spelling."""
        member = object.__new__(cls)
        member._value_ = traits.spelling
        member.traits = traits
        return member

    # Rules of decisions about findings
    ACT = RuleTraits(spelling="act", decides=True, needs_operator=False, may_pass=True)
    NO_REMEDY = RuleTraits(spelling="no-remedy", decides=True, needs_operator=False, may_pass=False)
    NO_POLICY = RuleTraits(spelling="no-policy", decides=True, needs_operator=False, may_pass=False)
    UNCONFIRMED = RuleTraits(spelling="unconfirmed", decides=True, needs_operator=False, may_pass=True)
    RECOVERIES_DISABLED = RuleTraits(spelling="recoveries-disabled", decides=True, needs_operator=False, may_pass=False)
    RECOVERIES_STOPPED = RuleTraits(spelling="recoveries-stopped", decides=True, needs_operator=False, may_pass=False)
    HELD = RuleTraits(spelling="held", decides=True, needs_operator=False, may_pass=False)
    EMERGENCY_REPARENT_DISABLED = RuleTraits(
        spelling="emergency-reparent-disabled", decides=True, needs_operator=False, may_pass=False
    )
    NOT_ENABLED = RuleTraits(spelling="not-enabled", decides=True, needs_operator=False, may_pass=False)
    PRIMARY_FIRST = RuleTraits(spelling="primary-first", decides=True, needs_operator=False, may_pass=False)
    COOLDOWN = RuleTraits(spelling="cooldown", decides=True, needs_operator=False, may_pass=True)
    BACKOFF = RuleTraits(spelling="backoff", decides=True, needs_operator=False, may_pass=False)
    ACKERS_FIRST = RuleTraits(spelling="ackers-first", decides=True, needs_operator=False, may_pass=False)
    ACKS_WOULD_DROP = RuleTraits(spelling="acks-would-drop", decides=True, needs_operator=False, may_pass=False)
    LAST_COPY = RuleTraits(spelling="last-copy", decides=True, needs_operator=False, may_pass=False)
    MISSING_WRITES = RuleTraits(spelling="missing-writes", decides=True, needs_operator=True, may_pass=False)
    ERRANT = RuleTraits(spelling="errant", decides=True, needs_operator=False, may_pass=False)
    ROLLED_BACK = RuleTraits(spelling="rolled-back", decides=True, needs_operator=True, may_pass=False)
    REPLICATION_ERROR = RuleTraits(spelling="replication-error", decides=True, needs_operator=True, may_pass=False)
    EXTERNAL_SOURCE = RuleTraits(spelling="external-source", decides=True, needs_operator=False, may_pass=False)
    UNREACHABLE_CELL = RuleTraits(spelling="unreachable-cell", decides=True, needs_operator=True, may_pass=False)
    NOT_CONTROLLED = RuleTraits(spelling="not-controlled", decides=True, needs_operator=False, may_pass=False)
    BUDGET = RuleTraits(spelling="budget", decides=True, needs_operator=False, may_pass=True)
    BREAKER = RuleTraits(spelling="breaker", decides=True, needs_operator=False, may_pass=True)
    SHARED = RuleTraits(spelling="shared", decides=True, needs_operator=False, may_pass=True)
    OWN_ERROR = RuleTraits(spelling="own-error", decides=False, needs_operator=True, may_pass=True)
    LATE = RuleTraits(spelling="late", decides=False, needs_operator=False, may_pass=True)

    # Rules that refuse a promotion
    PRE_HOOK = RuleTraits(spelling="pre-hook", decides=False, needs_operator=False, may_pass=False)
    NONE_REACHED = RuleTraits(spelling="none-reached", decides=False, needs_operator=False, may_pass=False)
    ACKERS_UNREACHED = RuleTraits(spelling="ackers-unreached", decides=False, needs_operator=False, may_pass=False)
    BELOW_LAST_SEEN = RuleTraits(spelling="below-last-seen", decides=False, needs_operator=False, may_pass=False)
    RELAY_LOG_LOST = RuleTraits(spelling="relay-log-lost", decides=False, needs_operator=False, may_pass=False)
    DIVERGED = RuleTraits(spelling="diverged", decides=False, needs_operator=False, may_pass=False)
    APPLIER_STOPPED = RuleTraits(spelling="applier-stopped", decides=False, needs_operator=False, may_pass=False)
    APPLIER_BEHIND = RuleTraits(spelling="applier-behind", decides=False, needs_operator=False, may_pass=False)
    UNFIT = RuleTraits(spelling="unfit", decides=False, needs_operator=False, may_pass=False)
    NO_CANDIDATE = RuleTraits(spelling="no-candidate", decides=False, needs_operator=False, may_pass=False)
    PURGED = RuleTraits(spelling="purged", decides=False, needs_operator=False, may_pass=False)
    NO_PRIMARY = RuleTraits(spelling="no-primary", decides=False, needs_operator=False, may_pass=False)
    NOT_ELIGIBLE = RuleTraits(spelling="not-eligible", decides=False, needs_operator=False, may_pass=False)
    FORCED_IMPOSSIBLE = RuleTraits(spelling="forced-impossible", decides=False, needs_operator=False, may_pass=False)
    FORCED_NEEDLESS = RuleTraits(spelling="forced-needless", decides=False, needs_operator=False, may_pass=False)
    DATA_LOSS_NOT_ACCEPTED = RuleTraits(
        spelling="data-loss-not-accepted", decides=False, needs_operator=False, may_pass=False
    )

    @property
    def needs_operator(self) -> bool:
        """Whether it may stand for ever while the shard takes no writes, so that an operator is called at once."""
        return self.traits.needs_operator

    @property
    def may_pass(self) -> bool:
        """Whether it may give way to another rule by itself within moments."""
        return self.traits.may_pass


Why = tuple[Rule, str]
"""A rule that forbids something, and the end of the sentence that says so."""
