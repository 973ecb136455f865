"""How much evidence a verdict about a primary needs."""

from dataclasses import dataclass

HUNG_AFTER = 10.0
"""Seconds that a primary whose MySQL hangs gets to come round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionThresholds:
    """How much evidence a verdict needs.

    `confirmations` is the number of failed probes in a row that makes a primary suspect enough to be condemned;
    `silent_after` (seconds) is how long a primary must have failed when no replica can vouch by trying to reconnect,
    `hung_after` how long in any case while its tablet manager answers and its MySQL hangs: it may come round, and
    nothing is gained by moving an overload elsewhere. `heard_since` is the time before which no replica's answer counts
    against the primary: that of the lock, once it is taken.
    """

    confirmations: int = 2
    silent_after: float = 5.0
    hung_after: float = HUNG_AFTER
    heard_since: float = float("-inf")
