"""Who may have been promoted without our having heard of it: tablets of a cell whose topology server does not answer.

A tablet writes that it is primary into its own cell's topology server before it takes writes (Vitess `tm_state.go`).
If the answer to PromoteReplica is lost together with the cell, nobody outside knows it: the record that was last read
says REPLICA, and the primary before it was demoted, so that it answers and looks as if nothing could be lost.
"""

from collections.abc import Collection, Sequence

from vtorc.core.election.ack_arithmetic import (
    NOTHING_SEEN,
    ObservedSemiSync,
    could_have_acknowledged,
    who_must_be_reached,
)
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.views import ShardView, TabletView


def possible_unseen_promotions(view: ShardView, policy: DurabilityPolicy) -> frozenset[TabletAlias]:
    """Name the tablets that may be primary although the records that were last read do not say so.

    None, while the primary proves that nobody was promoted in its place: a promotion either demotes it, or stops so
    many of its ackers that it can have no write acknowledged.
    """
    if not view.unreachable_cells or _is_undisturbed(view, policy):
        return frozenset()
    return frozenset(
        tablet.alias
        for tablet in view.tablets
        if tablet.alias.cell in view.unreachable_cells
        and tablet != view.primary
        and policy.promotion_rule(tablet.member) is not PromotionRule.MUST_NOT
    )


def who_may_write(
    policy: DurabilityPolicy,
    unseen_promotions: Collection[TabletAlias],
    *,
    members: Sequence[Member],
    reached: Collection[TabletAlias],
    seen: ObservedSemiSync = NOTHING_SEEN,
) -> str:
    """Say which heir may take acknowledged writes, with nobody but unreached members to acknowledge them; empty if
    none can.
    """
    for heir in members:
        if heir.alias not in unseen_promotions or heir.alias in reached:
            continue
        promoted = f"cell {heir.cell} cannot be read, so {heir} may have become primary unseen"
        if not policy.has_semi_sync:
            return promoted
        revocation = could_have_acknowledged(policy, heir, members=members, reached=reached, seen=seen)
        if not revocation.is_revoked:
            must = who_must_be_reached(policy, heir, members=members, reached=reached, seen=seen)
            return f"{promoted}; {revocation}; to exclude that, reach {must}"
    return ""


def unknown_tablets(never_read_cells: Collection[str]) -> str:
    """Say what tablets that nobody knows of may do; empty if every cell was read at least once."""
    if not never_read_cells:
        return ""
    cells = ", ".join(sorted(never_read_cells))
    return f"cell {cells} was never read, and a tablet there may be primary, or hold acknowledged writes"


def unseen_writer(view: ShardView, policy: DurabilityPolicy) -> str:
    """Say who may take acknowledged writes beside a primary that answers; empty if nobody can.

    A replica that answers acknowledges nobody's writes but those of its source.
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
    return who_may_write(
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
