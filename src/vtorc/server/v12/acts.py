"""Handlers that act: they ask vtorc for a plan, have it carried out, and wait as v12 did."""

from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.forms.plan import PlanForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.settings import ReloadForm
from vtorc.server.v12.answers import GoObject, Told, V12Error
from vtorc.server.v12.asking import ask, begin_and_wait, checked, decoded, reason_of
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Cluster, Server
from vtorc.server.v12.recoveries import Detections, ended

PLANNED, EMERGENCY, FORCED = "planned", "emergency", "forced"
"""Kinds of plans: the election chooses in the first two, and a forced one takes the tablet that it is given."""

_CODES = {code.value: code for code in Code}


async def graceful_takeover(call: Call) -> Told:
    """Make the designated instance the primary, or the only replica of the primary; return the recovery."""
    cluster = call.cluster()
    designated = _designated(call, cluster)
    if designated is None:
        primary = cluster.primary
        replicas = [server for server in cluster.servers if primary is not None and server.source == primary.address]
        if len(replicas) != 1:
            raise V12Error(
                f"{cluster.shard.name} has {len(replicas)} replicas: name the designated one,"
                " or let vtorc choose by graceful-primary-takeover-auto"
            )
        designated = replicas[0]
    return await _take_over(call, cluster, PLANNED, designated)


async def graceful_takeover_auto(call: Call) -> Told:
    """Make the designated instance the primary, or the one that vtorc chooses; return the recovery."""
    cluster = call.cluster()
    return await _take_over(call, cluster, PLANNED, _designated(call, cluster))


async def force_failover(call: Call) -> Told:
    """Replace the primary as if it were lost; return the recovery."""
    return await _take_over(call, call.cluster(), EMERGENCY, None)


async def force_takeover(call: Call) -> Told:
    """Replace the primary as if it were lost, by the designated instance; return the recovery."""
    cluster = call.cluster()
    return await _take_over(call, cluster, FORCED, _designated(call, cluster))


async def recover(call: Call) -> Told:
    """Replace a lost primary now, without waiting for vtorc to do so by itself; return the key of the new one."""
    server = call.server()
    cluster = call.cluster()
    in_doubt = [
        finding
        for finding in cluster.shard.findings
        if _CODES[finding.code].problem.primary is not PrimaryDoubt.CERTAIN
        and finding.tablet in (None, server.tablet.alias)
    ]
    if not in_doubt:
        raise V12Error(
            f"{server.address} is not a lost primary, so there is nothing to recover: {cluster.shard.sentence}."
            " Replicas are repaired by vtorc itself"
        )
    candidate = call.server("candidateHost", "candidatePort") if "candidateHost" in call.values else None
    told = await _take_over(call, cluster, EMERGENCY if candidate is None else FORCED, candidate)
    details = told.details
    return Told(told.message, details["SuccessorKey"] if isinstance(details, dict) else None)


async def disable_recoveries(call: Call) -> Told:
    """Let no recovery begin any more."""
    return await _allow_recoveries(call, allowed=False)


async def enable_recoveries(call: Call) -> Told:
    """Let recoveries begin again."""
    return await _allow_recoveries(call, allowed=True)


async def reload_configuration(call: Call) -> Told:
    """Have vtorc read its settings again from where it has them; raises V12Error for a file that the caller names."""
    if path := call.query.get("config"):
        raise V12Error(f"config {path!r}: vtorc reads its settings again from its own files only; leave it out")
    reloaded = decoded(await ask(call, "reload", {"reason": reason_of(call)}), ReloadForm)
    return Told("Config reloaded", "; ".join(reloaded.sentences))


async def _allow_recoveries(call: Call, *, allowed: bool) -> Told:
    checked(await ask(call, "recoveries", {"allow": allowed, "reason": reason_of(call)}))
    word = "enabled" if allowed else "disabled"
    return Told(f"Globally {word} recoveries", word)


def _designated(call: Call, cluster: Cluster) -> Server | None:
    """Return the instance that the path designates, if any; raises V12Error for one of another cluster."""
    if "designatedHost" not in call.values:
        return None
    server = call.server("designatedHost", "designatedPort")
    if server.shard.name != cluster.shard.name:
        raise V12Error(
            f"{server.address} is in {server.shard.name}: expected a replica of {cluster.shard.name}"
            f" ({cluster.name}); see /api/cluster/{cluster.alias}"
        )
    return server


async def _take_over(call: Call, cluster: Cluster, kind: str, to: Server | None) -> Told:
    record, risk = await _carry_out(call, cluster.shard.name, kind, to)
    detections = Detections(call.memory.decisions, call.memory.recoveries.values())
    details: GoObject = ended(record, call.tools.book.now, detections)
    if not record.succeeded:
        raise V12Error(record.sentence, details=details)
    return Told(" ".join(filter(None, (record.sentence, risk))), details)


async def _carry_out(call: Call, shard: str, kind: str, to: Server | None) -> tuple[RecoveryForm, str]:
    """Have a plan made and carried out; return the record of the recovery and what it risked, or raise V12Error.

    v12's dialect leaves no time to read a plan. To ask for a failover is to accept what the durability policy risks in
    each. Any more that a forced promotion would lose is not accepted.
    """
    arguments: dict[str, object] = {"shard": shard, "kind": kind, "to": to.tablet.alias if to is not None else None}
    plan = decoded(await ask(call, "plan", arguments), PlanForm)
    if plan.refusal is not None:
        raise V12Error(plan.refusal)
    execution: dict[str, object] = {"plan": plan.id, "reason": reason_of(call), "accept_loss": kind == EMERGENCY}
    return await begin_and_wait(call, shard, "execute", execution), plan.risk
