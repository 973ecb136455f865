"""Replaces the primary with the tablet that a person names, at a price that this person has accepted.

It is for what the election refuses: logs that diverged, copies that are gone, tablets that cannot be reached. vtorc
never does it by itself; `.importlinter` keeps it out of the reach of what does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vtorc.core.election.candidate_evidence import as_if_stopped, candidate_set
from vtorc.core.election.choice import Refusal, SafetyArgument, StoppedTablet
from vtorc.core.election.forced_promotion import DataLossEstimate, estimate_data_loss
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.recovery.emergency import ACTION, to_be_stopped
from vtorc.recovery.promotion import Follower, Promotion, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import LOOK_AGAIN_AFTER, Stopping, still_stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedPromotion:
    """One promotion of `named` in the shard as `view` shows it; what it costs must be within `accepted`, None for
    nothing at all.
    """

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy
    named: TabletAlias
    accepted: DataLossEstimate | None

    async def run(self) -> None:
        """Promote `named`, or raise RecoveryRefused, RecoveryFailed, TabletError or LockLost with everything put back.

        A refusal because of the price leaves it in `session.data_loss`, to be accepted next time.
        """
        self._agree(self._as_if_stopped())
        targets = to_be_stopped(self.view, self.policy)
        await self.session.guard()
        # All that can be are stopped, as none of them may acknowledge anything to anybody else any more.
        stopping = Stopping(self.session, self.policy, primary=self.view.primary, enough=lambda _: False)
        began = self.session.elapsed()
        await stopping.run(targets)
        self.session.mark("stopped")
        self._agree(stopping.stopped)
        self.session.winner = self.named
        self.session.mark("elected")
        await self._apply(stopping.stopped)
        stopped: Mapping[TabletAlias, StoppedTablet] = stopping.stopped
        if self.session.elapsed() - began > LOOK_AGAIN_AFTER:
            stopped = await self._look_again(stopped)
        await self._promote(stopped)

    def _as_if_stopped(self) -> dict[TabletAlias, StoppedTablet]:
        """The tablets that answer, as if they had been stopped: a first price before anything is changed."""
        targets = to_be_stopped(self.view, self.policy)
        return {alias: each for alias, each in as_if_stopped(self.view).items() if alias in targets}

    def _agree(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> None:
        found = estimate_data_loss(candidate_set(self.view, self.policy, stopped), self.policy, self.named)
        if isinstance(found, Refusal):
            raise self.session.refuse(found)
        self.session.data_loss = found
        if not found.is_within(self.accepted):
            more = "" if self.accepted is None else "more than was accepted: "
            raise self.session.refuse(
                Refusal(
                    rule=Rule.DATA_LOSS_NOT_ACCEPTED,
                    sentence=f"not promoting {self.named} before somebody accepts the price: {more}{found.sentence}",
                )
            )
        self.session.argument = SafetyArgument(
            policy=self.policy.name,
            stopped=tuple(sorted(stopped)),
            unreached=tuple(t.alias for t in self.view.tablets if t.alias not in stopped),
            required=stopped[self.named].received,
            sentence=f"A person named {self.named} and accepted the price: {found.sentence}.",
        )

    async def _apply(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> None:
        await self.session.step(
            "apply relay log",
            self.named,
            self.session.tablets.wait_for_position(self._record_of(self.named), stopped[self.named].received),
            deadline=self.session.tools.deadlines.catch_up,
        )

    async def _look_again(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> Mapping[TabletAlias, StoppedTablet]:
        """Who did not stay stopped may hold more by now than the price says, and counts as not reached."""
        records = {alias: self._record_of(alias) for alias in stopped}
        standing = await still_stopped(self.session, records, stopped, feeders={})
        if len(standing) < len(stopped):
            self._agree(standing)
        return standing

    async def _promote(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> None:
        position = stopped[self.named].received
        await promote(
            self.session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=self._record_of(self.named),
                position=position,
                others=tuple(
                    # Who has what the new primary lacks stays as it is, for a person to look at.
                    Follower(self._record_of(alias), each.received, each)
                    for alias, each in sorted(stopped.items())
                    if alias != self.named and position.contains(each.received)
                ),
                action=ACTION,
                first=False,
            ),
        )

    def _record_of(self, alias: TabletAlias) -> TabletRecord:
        tablet = self.view.tablet(alias)
        if tablet is None:
            raise self.session.fail(f"{alias} has left the shard")
        return tablet.record
