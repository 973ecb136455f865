"""Which tablets may have been promoted without vtorc knowing it: those of a cell with a topology server that does not
answer.

A tablet writes that it is primary into its own cell's topology server before it takes writes (Vitess `tm_state.go`). If
the answer to PromoteReplica is lost together with the cell, no tablet outside knows it. The record that was last read
says REPLICA. The primary before it was demoted, so that it answers and looks as if nothing could be lost.
"""

from collections.abc import Collection, Sequence

from vtorc.core.election.ack_arithmetic import (
    NOTHING_SEEN,
    ObservedSemiSync,
    could_have_acknowledged,
    tablets_to_reach,
)
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.views import ShardView, TabletView


def possible_unseen_promotions(view: ShardView, policy: DurabilityPolicy) -> frozenset[TabletAlias]:
    """Name the tablets that may be primary although the records that were last read do not say so.

    There are none while the primary proves that no tablet was promoted in its place. A promotion either demotes it, or
    stops so many of its ackers that it can have no write acknowledged.
    """
    if not view.unreachable_cells or _is_undisturbed(view, policy):
        return frozenset()
    return frozenset(
        tablet.alias
        for tablet in view.tablets
        if tablet.alias.cell in view.unreachable_cells
        and (view.primary is None or tablet.alias != view.primary.alias)
        and policy.promotion_rule(tablet.member) is not PromotionRule.MUST_NOT
    )


def possible_unseen_writer(
    policy: DurabilityPolicy,
    unseen_promotions: Collection[TabletAlias],
    *,
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync = NOTHING_SEEN,
) -> str:
    """Say which of the tablets may take writes that only unreached members acknowledge; empty if none can."""
    for member in members:
        if member.alias not in unseen_promotions or member.alias in reached:
            continue
        promoted = f"cell {member.cell} cannot be read, so {member} may have become primary unseen"
        if not policy.has_semi_sync:
            return promoted
        revocation = could_have_acknowledged(policy, member, members=members, reached=reached, seen=seen)
        if not revocation.is_revoked:
            must = tablets_to_reach(policy, member, members=members, reached=reached, seen=seen)
            return f"{promoted}; {revocation}; to exclude that, reach {must}"
    return ""


def unknown_tablets(never_read_cells: Collection[str]) -> str:
    """Say what tablets of cells that were never read may do; empty if every cell was read at least once."""
    if not never_read_cells:
        return ""
    cells = ", ".join(sorted(never_read_cells))
    return f"cell {cells} was never read, and a tablet there may be primary, or hold acknowledged writes"


def unseen_writer(view: ShardView, policy: DurabilityPolicy) -> str:
    """Say which tablet may take acknowledged writes beside a primary that answers; empty if none can.

    A replica that answers acknowledges only the writes of its source.
    """
    if _is_undisturbed(view, policy):
        return ""
    if unknown := unknown_tablets(view.never_read_cells):
        return unknown
    primary = view.primary
    reached = {
        tablet.alias
        for tablet in view.tablets
        if tablet.current_status is not None
        and (not tablet.current_status.has_source or primary is None or view.replicates_from(tablet, primary))
    }
    return possible_unseen_writer(
        policy,
        possible_unseen_promotions(view, policy),
        members=[*(tablet.member for tablet in view.tablets)],
        reached=reached,
    )


def _is_undisturbed(view: ShardView, policy: DurabilityPolicy) -> bool:
    """Whether the primary takes writes by its own account, and as many as have to acknowledge still follow it."""
    primary = view.primary
    status = primary.current_status if primary is not None else None
    if primary is None or status is None or status.read_only or status.has_source or status.disk_stalled:
        return False
    if status.tablet_type not in (None, TabletType.PRIMARY):
        return False
    following = [tablet for tablet in view.replicas_of(primary) if _follows(tablet, primary, policy)]
    return len(following) >= max(1, policy.required_acks(primary.member))


def _follows(tablet: TabletView, primary: TabletView, policy: DurabilityPolicy) -> bool:
    if not policy.has_semi_sync:
        return tablet.is_receiving
    return tablet.would_acknowledge and policy.may_ack(primary.member, tablet.member)
