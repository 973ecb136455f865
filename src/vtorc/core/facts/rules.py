"""Names of the rules by which vtorc acts or stands still."""

import enum


class Rule(enum.Enum):
    """Names of the rules that decide; people search for them."""

    ACT = "act"
    NO_REMEDY = "no-remedy"
    NO_POLICY = "no-policy"
    UNCONFIRMED = "unconfirmed"
    RECOVERIES_DISABLED = "recoveries-disabled"
    EMERGENCY_REPARENT_DISABLED = "emergency-reparent-disabled"
    NOT_ENABLED = "not-enabled"
    PRIMARY_FIRST = "primary-first"
    COOLDOWN = "cooldown"
    BACKOFF = "backoff"
    ACKERS_FIRST = "ackers-first"
    ACKS_WOULD_DROP = "acks-would-drop"
    LAST_COPY = "last-copy"
    MISSING_WRITES = "missing-writes"
    ERRANT = "errant"
    OUTSIDE = "outside"
    BLIND = "blind"
    NOT_CONTROLLED = "not-controlled"
    BUDGET = "budget"
    BREAKER = "breaker"


Why = tuple[Rule, str]
"""A rule that forbids something, and the end of the sentence that says so."""
