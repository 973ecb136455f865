"""The states of a shard, and how a person tells them apart."""

import enum
from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTraits:
    """One row of the states; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The name by which programs know it."""
    words: str
    """The name as a person reads it."""
    mark: str
    """Its shape, for eyes that see no colours."""
    urgency: int
    """Its place in a list, from 0 for the worst."""


class ShardState(enum.Enum):
    """The state of a shard in one word, best first; each member is its row."""

    _value_: str
    traits: StateTraits

    def __new__(cls, traits: StateTraits) -> Self:
        """Make a member; its value is the spelling."""
        member = object.__new__(cls)
        member._value_ = traits.spelling
        member.traits = traits
        return member

    HEALTHY = StateTraits(spelling="healthy", words="healthy", mark="●", urgency=3)
    """It has nothing that vtorc could find wrong."""
    REPAIRING = StateTraits(spelling="repairing", words="repairing", mark="▲", urgency=1)
    """vtorc carries out a recovery, or is about to."""
    STANDING_STILL = StateTraits(spelling="standing_still", words="standing still", mark="■", urgency=0)
    """Something is wrong, and vtorc does nothing about it, for the reason that its sentence gives."""
    UNKNOWN = StateTraits(spelling="unknown", words="unknown", mark="?", urgency=2)
    """Not one of its tablets has been asked yet, or the history does not tell."""


StateName = Literal["healthy", "repairing", "standing_still", "unknown"]
"""The spellings of the states, for the types of forms."""

STATE_MARKS = {state.value: state.traits.mark for state in ShardState}
"""The mark of each state by its spelling, best first."""

STATE_WORDS = {state.value: state.traits.words for state in ShardState}
"""The words for each state by its spelling, best first."""

STATE_URGENCY = dict(sorted(((each.value, each.traits.urgency) for each in ShardState), key=lambda item: item[1]))
"""The place of each state in a list by its spelling, the worst first."""
