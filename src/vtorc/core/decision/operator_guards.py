"""Reasons to refuse what an operator asks for on one replica: it would lose something, or stop the shard's writes."""

from vtorc.core.decision.decisions import why_not_repaired
from vtorc.core.decision.repair_guards import acks_would_drop
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.replica_evidence import declared_primaries
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.rules import Rule, Why
from vtorc.core.facts.views import ShardView, TabletView

REPAIRS: dict[Recovery, Code] = {
    Recovery.REPARENT_TABLET: Code.CONNECTED_TO_WRONG_PRIMARY,
    Recovery.START_REPLICATION: Code.REPLICATION_STOPPED,
    Recovery.RESTART_REPLICATION: Code.REPLICATION_STOPPED,
}
"""The commands that vtorc carries out as the repair of a problem, with all guards of that."""

STOPS = (Recovery.STOP_REPLICATION, Recovery.STOP_REPLICATION_NICELY)
"""The commands that stop the replication of a tablet."""


def why_refused(
    recovery: Recovery, view: ShardView, policy: DurabilityPolicy | None, tablet: TabletView, now: float
) -> Why | None:
    """Return why an operator's command is not carried out on that tablet; None if it may be.

    `now` is in seconds on the clock of the view. The switches that keep vtorc from acting by itself do not count.
    """
    if tablet.current_status is None:
        return Rule.UNCONFIRMED, f"{tablet.alias} does not answer: {tablet.failure_phrase or 'it was not asked yet'}"
    if recovery is Recovery.FLUSH_BINARY_LOGS:
        return None
    if why := _why_no_replica(view, tablet):
        return why
    if recovery is Recovery.SET_READ_ONLY:
        return None
    if recovery is not Recovery.REPARENT_TABLET and not tablet.current_status.has_source:
        return Rule.NO_REMEDY, f"{tablet.alias} has no replication source: make it replicate from the primary first"
    findings = analyse(view, policy, DetectionThresholds(), now)
    if (code := REPAIRS.get(recovery)) is not None:
        asked = Finding(code=code, shard=view.shard, alias=tablet.alias, sentence="")
        return why_not_repaired(view, findings, policy, asked, now)
    assert recovery in STOPS
    in_doubt = next((each for each in findings if each.problem.primary is not PrimaryDoubt.CERTAIN), None)
    if in_doubt is not None:
        return Rule.PRIMARY_FIRST, f"its answers are needed while the primary is in doubt ({in_doubt.code.value})"
    return acks_would_drop(view, policy, tablet) if tablet.would_acknowledge else None


def _why_no_replica(view: ShardView, tablet: TabletView) -> Why | None:
    """Return why a tablet is not treated as a replica of the shard; None if it is one."""
    if view.primary is not None and tablet.alias == view.primary.alias:
        return Rule.PRIMARY_FIRST, f"{tablet.alias} is the primary of {view.shard}, and this is for its replicas"
    if tablet in view.self_declared_primaries:
        return Rule.UNCONFIRMED, declared_primaries((tablet,))
    if not tablet.is_replica_type:
        return (
            Rule.NO_REMEDY,
            f"{tablet.alias} is {tablet.record.type.name}, and no tablet of that type is changed",
        )
    return None
