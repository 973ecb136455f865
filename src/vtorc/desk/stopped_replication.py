"""Commands on tablets with the holds that go with them: what an operator stopped, vtorc does not start by itself."""

import contextlib
from dataclasses import dataclass, replace

from vtorc.control.hold_book import HoldBook
from vtorc.control.operator_command import CommandWork
from vtorc.core.decision.operator_guards import STOPS
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.holds import Effect, Hold, HoldScope, Purpose
from vtorc.core.facts.ids import TabletAlias
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import OrdersFileError
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.commands import Commands
from vtorc.recovery.record import BegunRecovery, OperatorRequest, Outcome, RecoveryRecord
from vtorc.recovery.session import RecoveryTools, StepListener

STOPPED_FOR = 3600
"""Seconds for which replication stays stopped, unless the operator says otherwise."""

_STARTS = (Recovery.START_REPLICATION, Recovery.RESTART_REPLICATION, Recovery.REPARENT_TABLET)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletOrder:
    """One command of an operator on tablets."""

    begun: BegunRecovery
    """The command as a recovery, with the operator that asked for it."""
    asked: OperatorRequest
    """The operator."""
    policy: DurabilityPolicy
    """The durability policy of the shard."""
    aliases: tuple[TabletAlias, ...]
    """The tablets."""
    seconds: int = STOPPED_FOR
    """Seconds for which replication stays stopped; of no matter to commands that stop none."""

    def work(self, holds: HoldBook) -> CommandWork:
        """Return the work that carries it out, with the holds that go with it."""

        async def work(
            tools: RecoveryTools, watch: ShardWatch, heard: StepListener, switch: CancelSwitch
        ) -> RecoveryRecord:
            commands = Commands(tools, watch, heard, switch)
            if self.begun.recovery in STOPS:
                return await self._stop(commands, holds)
            record = await commands.change_tablets(self.policy, self.aliases, begun=self.begun)
            if self.begun.recovery in _STARTS and record.outcome is Outcome.SUCCEEDED:
                await self._lift(
                    [hold for alias in self.aliases if (hold := _stopped(holds, alias)) is not None], holds
                )
            return record

        return work

    async def _stop(self, commands: Commands, holds: HoldBook) -> RecoveryRecord:
        """Stop replication under a hold, without which vtorc would start it again at once.

        An earlier stop of a tablet is in force again if this one fails: vtorc would start what an operator stopped.
        """
        kept: list[tuple[Hold, Hold | None]] = []
        succeeded = False
        try:
            for alias in self.aliases:
                earlier = _stopped(holds, alias)
                hold = await holds.add(self._hold(alias, commands.tools.clock.wall()), self.asked)
                kept.append((hold, earlier))
            record = await commands.change_tablets(self.policy, self.aliases, begun=self.begun)
            succeeded = record.outcome is Outcome.SUCCEEDED
        except OrdersFileError as error:
            return self.begun.ended(
                Outcome.REFUSED,
                f"{self.begun.shard}: {self.begun.recovery.value} is refused, because vtorc would start replication "
                f"again at once: the hold against that cannot be kept: {error}",
            )
        finally:
            if not succeeded:
                await self._take_back(kept, holds)
        if not succeeded:
            return record
        stays = f"vtorc leaves it stopped {kept[-1][0].until}, unless StartReplication comes first"
        return replace(record, sentence=f"{record.sentence}; {stays}")

    async def _take_back(self, kept: list[tuple[Hold, Hold | None]], holds: HoldBook) -> None:
        """Lift the holds of a stop that failed, or put those in force again whose place they took."""
        with contextlib.suppress(OrdersFileError):
            for hold, earlier in kept:
                await (holds.lift(hold, self.asked) if earlier is None else holds.add(earlier, self.asked))

    async def _lift(self, kept: list[Hold], holds: HoldBook) -> None:
        """Lift holds; one that cannot be lifted ends by itself, and the log tells why it could not."""
        with contextlib.suppress(OrdersFileError):
            for hold in kept:
                await holds.lift(hold, self.asked)

    def _hold(self, alias: TabletAlias, created: int) -> Hold:
        return Hold(
            scope=HoldScope.of_tablet(alias),
            effects=frozenset({Effect.NO_REPAIR}),
            owner=self.asked.actor,
            reason=self.asked.reason,
            created=created,
            expires=created + self.seconds * 10**9,
            purpose=Purpose.STOPPED_REPLICATION,
        )


def _stopped(holds: HoldBook, alias: TabletAlias) -> Hold | None:
    return holds.find(Purpose.STOPPED_REPLICATION, HoldScope.of_tablet(alias))
