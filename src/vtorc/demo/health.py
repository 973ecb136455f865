"""Whether a shard is healthy, by what vtorc finds and by what the statuses say besides. Pure."""

from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.runner import Judgement


def why_unhealthy(judgement: Judgement | None, *, heard_since: float) -> str:
    """Return the first reason why the shard is unhealthy, empty if there is none.

    Healthy means: every tablet answered a probe that began at or after `heard_since` (seconds on vtorc's clock), and
    vtorc finds no problem. One tablet is primary and takes writes, all others replicate from it, and semi-sync is as
    the policy wants it.
    """
    if judgement is None:
        return "vtorc has not looked at the shard yet"
    view = judgement.view
    if judgement.decisions:
        return judgement.decisions[0].finding.sentence
    for tablet in view.tablets:
        if not tablet.is_current or tablet.status_at is None or tablet.status_at < heard_since:
            return f"{tablet.alias} has not answered since"
    primary = view.primary
    if primary is None:
        return "no tablet is primary"
    if primary.status is None or primary.status.read_only:
        return f"{primary.alias} takes no writes"
    for tablet in view.tablets:
        if tablet.alias != primary.alias and (why := _why_not_following(view, tablet, primary, judgement.policy)):
            return why
    return ""


def _why_not_following(
    view: ShardView, tablet: TabletView, primary: TabletView, policy: DurabilityPolicy | None
) -> str:
    status = tablet.status
    if status is None or status.replication is None or not view.replicates_from(tablet, primary):
        return f"{tablet.alias} does not replicate from {primary.alias}"
    if not status.replication.is_replicating:
        return f"{tablet.alias} does not replicate"
    acknowledges = policy is not None and policy.may_ack(primary.member, tablet.member)
    if status.semi_sync.replica_enabled is not acknowledges:
        return f"{tablet.alias} {'does not acknowledge' if acknowledges else 'acknowledges, but must not'}"
    return ""


def is_errant(judgement: Judgement | None, alias: TabletAlias) -> bool:
    """Whether vtorc finds errant transactions on the tablet."""
    decisions = judgement.decisions if judgement is not None else ()
    return any(d.finding.code is Code.ERRANT_GTID_DETECTED and d.finding.alias == alias for d in decisions)


def has_executed(judgement: Judgement | None, alias: TabletAlias, position: GtidSet) -> bool:
    """Whether the tablet's last status shows all of `position` as executed."""
    tablet = judgement.view.tablet(alias) if judgement is not None else None
    return tablet is not None and tablet.status is not None and tablet.status.executed.contains(position)
