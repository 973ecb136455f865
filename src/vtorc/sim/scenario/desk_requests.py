"""An operator's requests at the desk of a simulated vtorc: plans, executed at once, commands on tablets, and holds."""

import asyncio
from collections.abc import Iterator

import msgspec

from vtorc.control.facade import FleetFacade
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.desk import Desk
from vtorc.forms.access import Caller, Means, Role
from vtorc.forms.frames import ProblemForm, RequestFrame
from vtorc.forms.hold import HoldAnswerForm
from vtorc.forms.plan import PlanForm
from vtorc.sim.cluster.vtorc import SimVtorc

_LOOK_AGAIN = 0.05
"""Seconds between two looks whether the recovery has ended."""

_LOOKS = 4000
"""Most looks: a recovery takes no longer than its steps together, which all have deadlines."""


async def ask_for_reparent(
    vtorc: SimVtorc, shard: ShardId, kind: str, to: TabletAlias | None, *, accept_loss: bool
) -> list[str]:
    """Ask for a plan and execute it; returns what the operator reads, once the reparent has ended."""
    facade = vtorc.facade
    if facade is None:
        return ["no vtorc answers"]
    desk = Desk(facade)
    named = str(to) if to is not None else None
    reply = await desk.answer(_request("plan", shard=str(shard), kind=kind, to=named))
    if reply.status != 200:
        return [_problem(reply.body)]
    plan = msgspec.json.decode(reply.body, type=PlanForm)
    told = list(_plan(plan))
    reply = await desk.answer(_request("execute", plan=plan.id, reason="a scenario", accept_loss=accept_loss))
    if reply.status != 202:
        return [*told, _problem(reply.body)]
    await _ended(facade, shard)
    return told


async def ask_for_command(vtorc: SimVtorc, shard: ShardId, command: str, alias: TabletAlias) -> list[str]:
    """Ask for a command on a tablet; returns what the operator reads, once the command has ended."""
    facade = vtorc.facade
    if facade is None:
        return ["no vtorc answers"]
    reply = await Desk(facade).answer(
        _request("command", shard=str(shard), command=command, tablets=[str(alias)], reason="a scenario")
    )
    if reply.status != 202:
        return [_problem(reply.body)]
    await _ended(facade, shard)
    return []


async def _ended(facade: FleetFacade, shard: ShardId) -> None:
    """Wait until no recovery of the shard is in progress."""
    for _ in range(_LOOKS):
        await asyncio.sleep(_LOOK_AGAIN)
        if facade.under_way(shard) is None:
            return


async def ask_for_hold(vtorc: SimVtorc, scope: str, effects: list[str], seconds: int | None) -> list[str]:
    """Ask for a hold; returns what the operator reads."""
    return await _ask_about_hold(
        vtorc, _request("hold", scope=scope, effects=effects, seconds=seconds, reason="a scenario")
    )


async def ask_to_lift(vtorc: SimVtorc, number: int) -> list[str]:
    """Ask to lift a hold; returns what the operator reads."""
    return await _ask_about_hold(vtorc, _request("lift", hold=number, reason="a scenario"))


async def _ask_about_hold(vtorc: SimVtorc, request: RequestFrame) -> list[str]:
    if vtorc.facade is None:
        return ["no vtorc answers"]
    reply = await Desk(vtorc.facade).answer(request)
    if reply.status != 200:
        return [_problem(reply.body)]
    hold = msgspec.json.decode(reply.body, type=HoldAnswerForm).hold
    return [f"{'kept' if request.kind == 'hold' else 'lifted'}: {hold.sentence}"]


def _request(request: str, /, **arguments: object) -> RequestFrame:
    caller = Caller(actor="an operator", origin="a scenario", means=Means.HOST, role=Role.ADMIN)
    return RequestFrame(id=1, kind=request, arguments=arguments, caller=caller)


def _plan(plan: PlanForm) -> Iterator[str]:
    yield f"plan: {plan.sentence}"
    for each in plan.candidates:
        if each.why_not is not None:
            yield f"  not {each.tablet}: {each.why_not}"
    if plan.risk:
        yield f"  risk: {plan.risk}"


def _problem(body: msgspec.Raw) -> str:
    problem = msgspec.json.decode(body, type=ProblemForm)
    return f"refused with {problem.status}: {problem.why}"
