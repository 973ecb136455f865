"""Who may have acknowledged writes of the last primary although the durability policy does not ask it of them now.

Records and settings tell how a tablet is now. What counts is how it was while the primary lived: a replica that alone
acknowledged for a while, and that somebody then drains or takes a backup from, holds writes that nobody else has.
"""

import math
from collections.abc import Mapping

from vtorc.core.election.candidates import ACKING_TYPES, StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.views import ShardView, TabletView

SETTLED = 1.0
"""Seconds after which an acknowledgement that was under way has arrived and its write is committed."""


class PastAckers:
    """Looks back at the time of one primary; `observed_term` is what was seen of it at work, `stopped` who was stopped
    since.

    What a tablet acknowledged before the primary was last seen at work is in what the primary had executed by then. If
    the stopped tablets have received all of that, nobody has to ask the tablet any more.
    """

    def __init__(
        self,
        view: ShardView,
        policy: DurabilityPolicy,
        primary: TabletView,
        observed_term: ObservedTerm | None,
        stopped: Mapping[TabletAlias, StoppedTablet],
    ) -> None:
        self._view = view
        self._policy = policy
        self._primary = primary
        self._reign = observed_term
        self._held_all = observed_term is not None and held_by(stopped).contains(observed_term.executed)

    def past_ackers(self) -> frozenset[TabletAlias]:
        """Tablets that may have acknowledged, and do not have to by the policy: by their own side of semi-sync, which
        is all that MySQL goes by, or by the type that they had.
        """
        return frozenset(
            t.alias for t in self._others() if not self._may_ack(t.record.type, t) and self._is_past_acker(t)
        )

    def rebuilt(self) -> frozenset[TabletAlias]:
        """Tablets that may have acknowledged and were restored from a backup since: what they hold is not what they
        held.
        """
        return frozenset(t.alias for t in self._others() if self._is_rebuilt(t))

    def _others(self) -> tuple[TabletView, ...]:
        return tuple(tablet for tablet in self._view.tablets if tablet.alias != self._primary.alias)

    def _may_ack(self, kind: TabletType, tablet: TabletView) -> bool:
        return self._policy.may_ack(self._primary.member, Member(tablet.alias, kind))

    def _is_past_acker(self, tablet: TabletView) -> bool:
        ended = [left.gone_at for kind, left in tablet.memory.former_types.items() if self._may_ack(kind, tablet)]
        if tablet.memory.may_ack_until == math.inf:
            if self._view.replicates_from(tablet, self._primary):
                return True
        elif tablet.memory.may_ack_until is not None:
            ended.append(tablet.memory.may_ack_until)
        return not self._is_word_of_a_person(tablet) and not self._was_survived(max(ended, default=-math.inf))

    def _is_word_of_a_person(self, tablet: TabletView) -> bool:
        """Whether it was drained after the primary had begun to fail: that is how a person says that what it holds is
        not wanted. Whoever takes or restores a backup says nothing of the kind.
        """
        failing = self._primary.failing_since
        if tablet.record.type is not TabletType.DRAINED or failing is None:
            return False
        return max((left.last_found_at for left in tablet.memory.former_types.values()), default=-math.inf) >= failing

    def _is_rebuilt(self, tablet: TabletView) -> bool:
        before = [left.gone_at for kind, left in tablet.memory.former_types.items() if self._may_ack(kind, tablet)]
        restored = tablet.memory.former_types.get(TabletType.RESTORE)
        if tablet.record.type is TabletType.RESTORE:
            return bool(before) and not self._was_survived(max(before))
        return restored is not None and any(
            gone <= restored.gone_at and not self._was_survived(gone) for gone in before
        )

    def _was_survived(self, moment: float) -> bool:
        """Whether what was acknowledged until then is held by those that were stopped."""
        if moment == -math.inf:
            return True
        return self._reign is not None and moment + SETTLED <= self._reign.seen_at and self._held_all


def held_by(stopped: Mapping[TabletAlias, StoppedTablet]) -> GtidSet:
    """All that stopped tablets hold whose logs count by their type."""
    return EMPTY_GTID_SET.union(*(each.received for each in stopped.values() if each.member.type in ACKING_TYPES))
