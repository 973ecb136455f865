"""Holds of operators, which are no faults: vtorc must honour them, and do all else as ever."""

from collections.abc import Sequence

from vtorc.control.facade import FleetFacade
from vtorc.core.facts.holds import FLEET, Effect, Hold, HoldScope, ScopeKind
from vtorc.recovery.record import OperatorRequest
from vtorc.sim.faults.fault import End, FaultScene

_EFFECTS: Sequence[frozenset[Effect]] = tuple(
    map(
        frozenset,
        (
            {Effect.NO_FAILOVER},
            {Effect.NO_REPAIR},
            {Effect.NOT_PROMOTABLE},
            {Effect.NO_FAILOVER, Effect.NO_REPAIR},
            {Effect.PREFER, Effect.NO_ALERT},
            {Effect.PREFER_NOT},
        ),
    )
)


def hold(scene: FaultScene) -> End:
    """Let an operator tell all vtorcs that run to hold something, and to lift it in the end."""
    moment = round(scene.fault.at * 1000)
    scope, effects = _scopes(scene)[moment % 5], _EFFECTS[moment // 5 % len(_EFFECTS)]
    asked = OperatorRequest(actor="an operator", origin="a scene", reason=scene.fault.name)
    for vtorc in scene.world.vtorcs:
        if vtorc.facade is not None:
            made = Hold(
                scope=scope,
                effects=effects,
                owner=asked.actor,
                reason=asked.reason,
                created=vtorc.facade.tools.clock.wall(),
            )
            vtorc.process.life.spawn(vtorc.facade.holds.add(made, asked), name="hold")

    def end() -> None:
        for vtorc in scene.world.vtorcs:
            vtorc.holds.lose()  # a vtorc that is down, or is killed while it lifts them, finds none of them again
            if vtorc.facade is not None:
                vtorc.process.life.spawn(_lift_all(vtorc.facade, asked), name="lift")

    return end


async def _lift_all(fleet: FleetFacade, asked: OperatorRequest) -> None:
    for each in fleet.holds.holds:
        await fleet.holds.lift(each, asked)


def _scopes(scene: FaultScene) -> Sequence[HoldScope]:
    alias = scene.tablet.config.alias
    return (
        FLEET,
        HoldScope(ScopeKind.CELL, alias.cell),
        HoldScope(ScopeKind.KEYSPACE, scene.shard.id.keyspace),
        HoldScope.of_shard(scene.shard.id),
        HoldScope.of_tablet(alias),
    )
