"""The fleet as the rest of vtorc uses it: the state of its shards, and what can be asked of it."""

from collections.abc import Callable, Collection
from typing import TypeVar

from vtorc.control.fleet import Fleet
from vtorc.control.hold_book import HoldBook
from vtorc.control.operator_command import OperatorCommand
from vtorc.control.shard_loop import ShardLoop
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.record import BegunRecovery
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import RecoveryTools

T = TypeVar("T")


class FleetFacade:
    """A fleet as others see it; a shard that is not watched is answered with None."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def tools(self) -> RecoveryTools:
        """The tools of all recoveries."""
        return self._fleet.tools

    @property
    def shards(self) -> tuple[ShardId, ...]:
        """The shards that are watched, ordered by name."""
        return tuple(sorted(self._fleet.loops, key=str))

    def view(self, shard: ShardId) -> ShardView | None:
        """Return what is known of a shard at this moment."""
        loop = self._loop(shard)
        return loop.watch.view() if loop is not None else None

    def aliases(self, shard: ShardId) -> Collection[TabletAlias]:
        """Return the tablets of a shard."""
        loop = self._loop(shard)
        return loop.watch.aliases if loop is not None else ()

    def policy(self, shard: ShardId) -> DurabilityPolicy | None:
        """Return the durability policy in force; None also if it is missing or unknown."""
        loop = self._loop(shard)
        return loop.policy if loop is not None else None

    def judgement(self, shard: ShardId) -> Judgement | None:
        """Return the last judgement of a shard; None also before the first."""
        loop = self._loop(shard)
        return loop.judgement if loop is not None else None

    def decisions(self, shard: ShardId) -> tuple[Decision, ...]:
        """Return the latest decision about each problem of a shard; none if it is not watched."""
        loop = self._loop(shard)
        return loop.decisions if loop is not None else ()

    def is_controlled(self, shard: ShardId) -> bool:
        """Return whether vtorc acts on a shard; the others are only watched."""
        loop = self._loop(shard)
        return loop is not None and loop.controlled

    def under_way(self, shard: ShardId) -> BegunRecovery | None:
        """Return the recovery in progress, or the command that will begin next; None also if there is none."""
        loop = self._loop(shard)
        if loop is None:
            return None
        return loop.under_way or (loop.command.begun if loop.command is not None else None)

    def carry_out(self, command: OperatorCommand) -> None:
        """Carry out a command on a shard that is watched and has nothing `under_way`."""
        loop = self._loop(command.begun.shard)
        assert loop is not None
        assert loop.command is None
        loop.take_command(command)

    def cancel(self, shard: ShardId, why: str) -> bool:
        """Cancel the command of an operator; returns whether it could still be cancelled.

        A recovery of vtorc's own cannot be: vtorc would begin it again at once.
        """
        loop = self._loop(shard)
        return loop is not None and loop.command is not None and loop.command.switch.cancel(why)

    @property
    def holds(self) -> HoldBook:
        """The holds of operators."""
        return self._fleet.holds

    def on_shard(self, shard: ShardId, make: Callable[[RecoveryTools, ShardWatch], T]) -> T | None:
        """Return what `make` makes of the tools and the watch of a shard, without a word to its loop."""
        loop = self._loop(shard)
        return make(self._fleet.tools, loop.watch) if loop is not None else None

    def _loop(self, shard: ShardId) -> ShardLoop | None:
        return self._fleet.loops.get(shard)
