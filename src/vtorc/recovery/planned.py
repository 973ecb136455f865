"""Moves a healthy primary elsewhere on purpose, as Vitess' PlannedReparentShard does (`planned_reparenter.go`, the
graceful case).

The new primary catches up while the old one still takes writes, so that writes pause only for the last transactions. A
failure before the promotion is asked for leaves the old primary writable again.
"""

from dataclasses import dataclass

from vtorc.core.detection.recoveries import Reparent
from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.election.choice import Refusal
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.planned_choice import choose_as_planned, planned_argument
from vtorc.recovery.planned_demotion import PlannedDemotion, acker_to_disconnect
from vtorc.recovery.promotion import Promotion, ReplicaToRepoint, promote
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import read_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReparent:
    """One planned reparent."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy
    new_primary: TabletAlias | None = None
    """The tablet to promote; None for the best replica, in the primary's cell if there is one."""

    async def run(self) -> None:
        """Promote another tablet.

        Raises RecoveryRefused, RecoveryFailed, TabletError or LockLost; the caller then makes the old primary writable
        again.
        """
        session = self.session
        choice = await choose_as_planned(
            self.view,
            self.policy,
            self.new_primary,
            lambda record: read_clock(session, record),
            tolerable_lag=session.tools.tolerable_lag,
        )
        if isinstance(choice, Refusal):
            raise session.refuse(choice)
        primary, winner = choice.primary, choice.winner
        session.winner = winner.alias
        session.mark(OutageMark.ELECTED)
        end = await self._demote(primary, winner)
        session.argument = SafetyArgument(
            policy=self.policy.name,
            stopped=(primary.alias,),
            unreached=tuple(t.alias for t in self.view.tablets if not t.is_current),
            required=end,
            sentence=planned_argument(primary.alias, winner.alias),
        )
        await promote(
            session,
            Promotion(
                view=self.view,
                policy=self.policy,
                winner=winner.record,
                position=end,
                replicas=self._replicas_to_repoint(primary, winner, end),
                reparent=Reparent.PLANNED,
                first=False,
            ),
        )

    async def _demote(self, primary: TabletView, winner: TabletView) -> GtidSet:
        """Make the primary read-only once `winner` has caught up.

        Returns the primary's last position, which `winner` has applied.
        """
        session, tablets, catch_up = self.session, self.session.tablets, self.session.tools.deadlines.catch_up
        ahead = await session.step("read position", primary.alias, tablets.primary_position(primary.record))
        await session.step("catch up", winner.alias, tablets.wait_for_position(winner.record, ahead), deadline=catch_up)
        await session.check_lock()
        end = await PlannedDemotion(
            session=session,
            primary=primary,
            winner=winner.alias,
            acker=acker_to_disconnect(self.view, primary, winner.alias),
            semi_sync=self.policy.required_acks(primary.member) > 0,
        ).run()
        session.mark(OutageMark.DEMOTED)
        await session.step(
            "apply the last writes", winner.alias, tablets.wait_for_position(winner.record, end), deadline=catch_up
        )
        return end

    def _replicas_to_repoint(
        self, primary: TabletView, winner: TabletView, end: GtidSet
    ) -> tuple[ReplicaToRepoint, ...]:
        """Return the tablets that lose nothing when re-pointing drops their relay logs: the new primary has
        all of it. Those that went back in time are left alone.
        """
        left_alone = {winner.alias, *rolled_back(self.view)}
        return tuple(
            ReplicaToRepoint(t.record, end if t.alias != primary.alias else EMPTY_GTID_SET)
            for t in self.view.tablets
            if t.alias not in left_alone and t.record.type in ACKING_TYPES and _is_within(end, t)
        )


def _is_within(position: GtidSet, tablet: TabletView) -> bool:
    """Return whether `position` contains all of its relay log; what it has applied already is not dropped."""
    status = tablet.current_status
    return status is not None and position.contains(status.received.difference(status.executed))
