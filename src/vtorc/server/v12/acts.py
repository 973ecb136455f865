"""Handlers that act: they ask vtorc for a plan, have it carried out, and wait as v12 did."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.forms.frames import AnyFrame, ProblemForm, RecoveryFrame, ReplyFrame, ShardFrame
from vtorc.forms.plan import PlanForm
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.server.memory import ServerMemory
from vtorc.server.v12.answers import GoObject, Told, V12Error
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Cluster, Server
from vtorc.server.v12.recoveries import SUCCEEDED, Detections, ended

ACTOR = "orchestrator API"
"""How vtorc records the operator: v12's dialect does not tell more."""

RECORD_WITHIN = 2.0
"""Seconds in which the record of a recovery comes after the recovery is shown no more as one in progress."""

PLANNED, EMERGENCY, FORCED = "planned", "emergency", "forced"
"""Kinds of plans: the election chooses in the first two, and a forced one takes the tablet that it is given."""

Body = TypeVar("Body")

_CODES = {code.value: code for code in Code}


UNAUTHORIZED = "Unauthorized"
"""The message by which v12 refused operators without the right."""


class _Begun(msgspec.Struct, frozen=True):
    """The answer to an execution."""

    recovery: RunningForm


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


async def _allow_recoveries(call: Call, *, allowed: bool) -> Told:
    _checked(await _ask(call, "recoveries", {"allow": allowed, "reason": _reason(call)}))
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
    if record.outcome != SUCCEEDED:
        raise V12Error(record.sentence, details=details)
    return Told(" ".join(filter(None, (record.sentence, risk))), details)


async def _carry_out(call: Call, shard: str, kind: str, to: Server | None) -> tuple[RecoveryForm, str]:
    """Have a plan made and carried out; return the record of the recovery and what it risked, or raise V12Error.

    v12's dialect leaves no time to read a plan. What the durability policy risks in each failover is accepted by asking
    for one, and what more a forced promotion would lose is not.
    """
    arguments: dict[str, object] = {"shard": shard, "kind": kind, "to": to.tablet.alias if to is not None else None}
    plan = _decoded(await _ask(call, "plan", arguments), PlanForm)
    if plan.refusal is not None:
        raise V12Error(plan.refusal)
    with _Records(call.memory, shard) as records:
        execution: dict[str, object] = {"plan": plan.id, "reason": _reason(call), "accept_loss": kind == EMERGENCY}
        begun = _decoded(await _ask(call, "execute", execution), _Begun)
        try:
            async with asyncio.timeout(call.tools.patience):
                return await records.begun(begun.recovery.began), plan.risk
        except TimeoutError:
            raise V12Error(
                f"the recovery of {shard} goes on after {call.tools.patience:g} s: follow it by"
                f" /api/audit-recovery/alias/{shard.replace('/', ':', 1)}"
            ) from None


def _reason(call: Call) -> str:
    return f"{call.path.partition('/')[0]} by the API of orchestrator"


async def _ask(call: Call, kind: str, arguments: dict[str, object]) -> ReplyFrame:
    return await call.tools.ask(kind, arguments, actor=ACTOR, origin=call.origin)


def _checked(reply: ReplyFrame) -> ReplyFrame:
    """Return a reply that is no refusal; raises V12Error with what a refusal says."""
    if reply.status < 400:
        return reply
    problem = _as(reply, ProblemForm)
    sentence = ". ".join(filter(None, (problem.what, problem.why, problem.do)))
    if reply.status in (401, 403):
        raise V12Error(UNAUTHORIZED, details=sentence)
    raise V12Error(sentence)


def _decoded(reply: ReplyFrame, kind: type[Body]) -> Body:
    return _as(_checked(reply), kind)


def _as(reply: ReplyFrame, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError as error:
        raise V12Error(f"vtorc's reply with status {reply.status} is no {kind.__name__.lstrip('_')}: {error}") from None


class _Records:
    """The recoveries of one shard that end while it is open."""

    def __init__(self, memory: ServerMemory, shard: str) -> None:
        self._memory = memory
        self._shard = shard
        self._ended: asyncio.Queue[RecoveryForm | RunningForm] = asyncio.Queue()
        self._shown: RunningForm | None = None
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._stop = self._memory.listen(self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stop is not None:
            self._stop()

    async def begun(self, at: str) -> RecoveryForm:
        """Return the one that began then, once it ended; raises V12Error if it went away without a record."""
        while (ended := await self._ended.get()).began != at:
            pass
        if isinstance(ended, RunningForm):
            raise V12Error(f"the recovery of {self._shard} was broken off, and left no record: see the log of vtorc")
        return ended

    def _hear(self, frame: AnyFrame) -> None:
        match frame:
            case RecoveryFrame(recovery=recovery) if recovery.shard == self._shard:
                self._ended.put_nowait(recovery)
            case ShardFrame(shard=shard) if shard.name == self._shard:
                self._see(shard.running)
            case _:
                pass

    def _see(self, running: RunningForm | None) -> None:
        """End the wait some time after a recovery has gone away: news of the shard may overtake its record."""
        if running is None and self._shown is not None:
            asyncio.get_running_loop().call_later(RECORD_WITHIN, self._ended.put_nowait, self._shown)
        self._shown = running
