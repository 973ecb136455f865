"""A recovery that an operator asks for, as the loop of its shard carries it out."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.record import BegunRecovery, RecoveryRecord
from vtorc.recovery.session import RecoveryTools, StepListener

CommandWork = Callable[[RecoveryTools, ShardWatch, StepListener, CancelSwitch], Coroutine[Any, Any, RecoveryRecord]]
"""Carries a command out under the shard lock, and returns its record; raises CancelledError alone."""


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """One command of an operator; it needs no slot of the fleet's budget, as an operator has chosen the moment."""

    begun: BegunRecovery
    """The recovery that it begins, with the operator that asked for it."""
    work: CommandWork
    """Carries it out."""
    switch: CancelSwitch = field(default_factory=CancelSwitch)
    """The switch that cancels it."""
