"""The states of a shard, and how a person tells them apart."""

import enum


class ShardState(enum.Enum):
    """The state of a shard in one word, best first."""

    HEALTHY = "healthy"
    """It has nothing that vtorc could find wrong."""
    REPAIRING = "repairing"
    """vtorc carries out a recovery, or is about to."""
    STANDING_STILL = "standing_still"
    """Something is wrong, and vtorc does nothing about it, for the reason that its sentence gives."""
    UNKNOWN = "unknown"
    """Not one of its tablets has been asked yet."""


STATE_MARKS = {"healthy": "●", "repairing": "▲", "standing_still": "■", "unknown": "?"}
"""The shape of each state of a shard, for eyes that see no colours."""

STATE_URGENCY = {"standing_still": 0, "repairing": 1, "unknown": 2, "healthy": 3}
"""The place of each state of a shard in a list, the worst first."""
