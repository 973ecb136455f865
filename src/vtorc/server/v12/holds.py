"""Handlers of downtime, maintenance and promotion rules, all of which are holds of vtorc."""

from collections.abc import Callable

from vtorc.core.facts.holds import Effect, Purpose, parse_length
from vtorc.errors import HoldParseError
from vtorc.forms.hold import HoldForm
from vtorc.server.v12.answers import GoObject, Told, V12Error, go_time, key_of
from vtorc.server.v12.asking import ask, checked, news_of, reason_of
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Server
from vtorc.server.v12.downtime import PROMOTION_RULES, downtime_of, registered_rule, seconds_between
from vtorc.server.v12.instances import instance

DEFAULT_SECONDS = 600
"""Seconds of a downtime or maintenance that names no other length, as in v12."""

VITESS = "vitess"
"""The owner that a vttablet of v11 to v13 gives to maintenance, which it begins for changes of vtorc's own making."""

_NOT_FOUND = 404

_SILENCED = [each.value for each in (Effect.NO_ALERT, Effect.NO_FAILOVER, Effect.NO_REPAIR)]
"""The effects of v12's downtime and maintenance: nothing is told or done about the instance."""


async def begin_downtime(call: Call) -> Told:
    """Begin the downtime of an instance, or give it another end."""
    server = call.server()
    seconds = _seconds(call.values["duration"]) if "duration" in call.values else DEFAULT_SECONDS
    await _hold(call, server, Purpose.DOWNTIME, _SILENCED, seconds=seconds)
    await _news_of(call, server, lambda each: downtime_of(each) is not None)
    return Told(f"Downtime begun: {server.address}", key_of(server.address))


async def end_downtime(call: Call) -> Told:
    """End the downtime of an instance, if it has one."""
    server = call.server()
    ended = await _lift(call, server, Purpose.DOWNTIME)
    await _news_of(call, server, lambda each: not _has(each, Purpose.DOWNTIME))
    return Told(f"Downtime ended: {server.address}{_unless(ended)}", key_of(server.address))


def downtimed(call: Call) -> list[GoObject]:
    """Return the instances that are downtimed, of all clusters or of one."""
    servers = call.cluster().servers if call.hint else call.clusters.servers()
    return [instance(server, call.silence) for server in servers if downtime_of(server) is not None]


async def begin_maintenance(call: Call) -> Told:
    """Begin the maintenance of an instance, which has all problems of it shown and none of them acted on.

    That of vttablets is only shown: they begin one when vtorc itself changes them, and it would stop the recovery.
    """
    server = call.server()
    effects = [] if call.values["owner"] == VITESS else _SILENCED
    await _hold(call, server, Purpose.MAINTENANCE, effects, seconds=DEFAULT_SECONDS)
    return Told(f"Maintenance begun: {server.address}", key_of(server.address))


async def end_maintenance(call: Call) -> Told:
    """End the maintenance of an instance, if it has one."""
    server = call.server()
    ended = await _lift(call, server, Purpose.MAINTENANCE)
    return Told(f"Maintenance ended: {server.address}{_unless(ended)}", key_of(server.address))


async def end_maintenance_by_number(call: Call) -> Told:
    """End the maintenance of a number."""
    number = call.number("maintenanceKey")
    if all(hold.number != number for hold in _maintenance(call)):
        raise V12Error(f"no maintenance has the number {number}: see /api/maintenance")
    checked(await ask(call, "lift", {"hold": number, "reason": reason_of(call)}))
    return Told(f"Maintenance ended: {number}", number)


def in_maintenance(call: Call) -> Told:
    """Return whether an instance is in maintenance."""
    server = call.server()
    found = any(hold.scope == _scope(server) for hold in _maintenance(call))
    return Told("true" if found else "false", str(server.address) if found else "")


def maintenance(call: Call) -> list[GoObject]:
    """Return the maintenance that is in force."""
    by_scope = {_scope(server): server for server in call.clusters.servers()}
    now = call.now
    return [
        {
            "MaintenanceId": hold.number,
            "Key": key_of(by_scope[hold.scope].address),
            "BeginTimestamp": go_time(hold.created),
            "SecondsElapsed": max(0, seconds_between(hold.created, now)),
            "IsActive": True,
            "Owner": hold.owner,
            "Reason": hold.reason,
        }
        for hold in _maintenance(call)
        if hold.scope in by_scope
    ]


async def register_candidate(call: Call) -> Told:
    """Give an instance a promotion rule, which it keeps until it gets another one."""
    server, rule = call.server(), call.values["promotionRule"]
    if rule not in PROMOTION_RULES:
        raise V12Error(f"promotionRule {rule!r}: expected one of {', '.join(PROMOTION_RULES)}")
    effect = PROMOTION_RULES[rule]
    if effect is None:
        await _lift(call, server, Purpose.PROMOTION_RULE)
    else:
        await _hold(call, server, Purpose.PROMOTION_RULE, [effect.value], seconds=None)
    await _news_of(call, server, lambda each: registered_rule(each) == (rule if effect is not None else None))
    return Told("Registered candidate", key_of(server.address))


async def _hold(call: Call, server: Server, purpose: Purpose, effects: list[str], *, seconds: int | None) -> None:
    arguments: dict[str, object] = {
        "scope": _scope(server),
        "purpose": purpose.value,
        "effects": effects,
        "reason": call.values.get("reason") or reason_of(call),
        "owner": call.values.get("owner"),
        "seconds": seconds,
    }
    checked(await ask(call, "hold", arguments))


async def _lift(call: Call, server: Server, purpose: Purpose) -> bool:
    """Lift the hold of a purpose on an instance; returns False if there is none."""
    arguments: dict[str, object] = {"scope": _scope(server), "purpose": purpose.value, "reason": reason_of(call)}
    reply = await ask(call, "lift", arguments)
    if reply.status == _NOT_FOUND:
        return False
    checked(reply)
    return True


async def _news_of(call: Call, server: Server, expected: Callable[[Server], bool]) -> None:
    """Wait for the news of a hold, so that the next question of the same client finds it."""
    await news_of(call, server.tablet.alias, expected)


def _has(server: Server, purpose: Purpose) -> bool:
    return any(hold.purpose == purpose.value for hold in server.tablet.holds)


def _scope(server: Server) -> str:
    return f"tablet:{server.tablet.alias}"


def _maintenance(call: Call) -> list[HoldForm]:
    told = call.memory.holds.holds if call.memory.holds is not None else []
    return [hold for hold in told if hold.purpose == Purpose.MAINTENANCE.value]


def _unless(ended: bool) -> str:
    return "" if ended else ", which had none"


def _seconds(text: str) -> int:
    try:
        return parse_length(text)
    except HoldParseError as error:
        raise V12Error(f"duration {text!r}: {str(error).partition(': ')[2]}") from None
