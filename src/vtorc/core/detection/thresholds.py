"""How much evidence a finding about a primary needs before it may be acted on."""

from dataclasses import dataclass

HUNG_AFTER = 10.0
"""Seconds that a primary gets to recover while its MySQL hangs and its tablet manager answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionThresholds:
    """The evidence that confirms a lost primary."""

    confirmations: int = 2
    """Failed probes in a row before a primary may count as lost."""
    silent_after: float = 5.0
    """Seconds that a primary must have failed where no replica tells by reconnecting."""
    hung_after: float = HUNG_AFTER
    """Seconds that it must have failed in any case while its tablet manager answers and its MySQL hangs.

    It may recover, and moving an overload to another tablet gains nothing.
    """
    heard_since: float = float("-inf")
    """Time, in seconds on the view's clock, before which no answer of a replica counts against the primary.

    Under the shard lock it is the time of the lock.
    """
