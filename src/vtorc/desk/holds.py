"""Answers requests about holds: each is kept before it is answered, and in force from then on."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from vtorc.control.facade import FleetFacade
from vtorc.core.facts.holds import FLEET, LONGEST, Effect, Hold, HoldScope, Purpose, ScopeKind
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.clearance import need, need_all_keyspaces
from vtorc.desk.problems import DeskRefusal
from vtorc.errors import HoldParseError, OrdersFileError
from vtorc.forms.access import Caller, Role
from vtorc.forms.frames import RequestFrame
from vtorc.forms.hold import HoldAnswerForm, hold_form
from vtorc.recovery.record import OperatorRequest

T = TypeVar("T")

Answer = tuple[int, Any]
"""The HTTP status of an answer, and the form or the fields that it has as its body."""

LONGEST_OWNER = 100
"""Most characters of the owner of a hold."""

_NOT_ASKED_FOR = (Purpose.SWITCH, Purpose.STOPPED_REPLICATION, Purpose.SETTING)
"""The purposes of holds that come with another request, or from the settings."""

_ASKED_FOR = tuple(each.value for each in Purpose if each not in _NOT_ASKED_FOR)

_STOPS_ALL = frozenset({Effect.NO_FAILOVER, Effect.NO_REPAIR})
"""The switch that stops all recoveries, as a hold."""


class HoldDesk:
    """The part of the desk for holds; its answers raise DeskRefusal."""

    def __init__(self, fleet: FleetFacade) -> None:
        self._fleet = fleet

    async def hold(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        """Put a hold in force."""
        scope = self._scope(arguments)
        purpose = Purpose(arguments.choice("purpose", _ASKED_FOR, default=Purpose.HOLD.value))
        effects = _effects(arguments, may_be_none=purpose is not Purpose.HOLD)
        reason = arguments.reason()
        owner = arguments.text_or_none("owner", LONGEST_OWNER) or request.actor
        seconds = arguments.number_or_none("seconds", 1, LONGEST)
        arguments.end()
        self._check_is_known(scope, request.caller)
        _check_may(scope, request.caller)
        created = self._fleet.tools.clock.wall()
        return await self._add(
            Hold(
                scope=scope,
                effects=effects,
                owner=owner,
                reason=reason,
                created=created,
                expires=created + seconds * 10**9 if seconds is not None else None,
                purpose=purpose,
            ),
            _asked(request, reason),
        )

    async def lift(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        """End the hold of a number, or the one of a purpose on a scope."""
        number = arguments.number_or_none("hold", 1, 2**63 - 1)
        hold: Hold | None
        if number is not None:
            what, hold = f"hold {number}", self._fleet.holds.numbered(number)
        else:
            purpose = Purpose(arguments.choice("purpose", _ASKED_FOR))
            scope = self._scope(arguments)
            what, hold = f"{purpose.value} on {scope}", self._fleet.holds.find(purpose, scope)
        reason = arguments.reason()
        arguments.end()
        if hold is not None and not self._is_seen(hold.scope, request.caller):
            hold = None
        if hold is not None:
            _check_may(hold.scope, request.caller)
        if hold is None or not await kept(self._fleet.holds.lift(hold, _asked(request, reason))):
            raise DeskRefusal(404, what=what, why="no such hold is in force", do="look at the list of holds")
        return 200, self._answer(hold)

    async def switch_recoveries(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        """Stop all recoveries, or let them begin again."""
        allow = arguments.flag("allow")
        reason = arguments.reason()
        arguments.end()
        asked, holds = _asked(request, reason), self._fleet.holds
        if not allow:
            created = self._fleet.tools.clock.wall()
            hold = Hold(
                scope=FLEET,
                effects=_STOPS_ALL,
                owner=request.actor,
                reason=reason,
                created=created,
                purpose=Purpose.SWITCH,
            )
            await self._add(hold, asked)
        elif (switch := holds.find(Purpose.SWITCH, FLEET)) is not None:
            await kept(holds.lift(switch, asked))
        return 200, {"allow": allow}

    async def _add(self, hold: Hold, asked: OperatorRequest) -> Answer:
        return 200, self._answer(await kept(self._fleet.holds.add(hold, asked)))

    def _answer(self, hold: Hold) -> HoldAnswerForm:
        return HoldAnswerForm(hold=hold_form(hold), outlives_vtorc=self._fleet.holds.is_lasting)

    def _scope(self, arguments: RequestArguments) -> HoldScope:
        text = arguments.text("scope", "fleet, cell:…, keyspace:…, shard:… or tablet:…")
        try:
            return HoldScope.parse(text)
        except HoldParseError as error:
            raise DeskRefusal.argument("scope", text, str(error).partition("expected ")[2]) from None

    def _check_is_known(self, scope: HoldScope, caller: Caller) -> None:
        """Refuse a scope in which the caller sees nothing: a misspelt name would protect nothing."""
        if not self._is_seen(scope, caller):
            raise DeskRefusal(
                404, what=str(scope), why="this vtorc watches nothing of that name", do="look at the list of shards"
            )

    def _is_seen(self, scope: HoldScope, caller: Caller) -> bool:
        """Return whether a shard or a tablet that the caller may know of is in a scope."""
        shards = [shard for shard in self._fleet.shards if caller.may_see(shard.keyspace)]
        match scope.kind:
            case ScopeKind.FLEET:
                return True
            case ScopeKind.KEYSPACE | ScopeKind.SHARD:
                return any(scope.covers(shard, None) for shard in shards)
            case ScopeKind.CELL | ScopeKind.TABLET:
                return any(scope.covers(shard, alias) for shard in shards for alias in self._fleet.aliases(shard))


def _check_may(scope: HoldScope, caller: Caller) -> None:
    """Raise DeskRefusal for a hold that is wider than what the caller may act on."""
    if scope.kind is ScopeKind.FLEET:
        need(Role.ADMIN, caller, "a hold on the fleet")
    if scope.kind in (ScopeKind.FLEET, ScopeKind.CELL):
        need_all_keyspaces(caller, f"a hold on {scope.phrase}")


async def kept(order: Coroutine[Any, Any, T]) -> T:
    """Return what an order returns once it is kept; raises DeskRefusal if it cannot be."""
    try:
        return await order
    except OrdersFileError as error:
        raise DeskRefusal(
            503,
            what="the order was not taken",
            why=str(error),
            do="send it again when that is mended; what was in force before still is",
        ) from error


def _effects(arguments: RequestArguments, *, may_be_none: bool) -> frozenset[Effect]:
    known = tuple(effect.value for effect in Effect)
    found = frozenset(map(Effect.parse, arguments.choices("effects", known)))
    if not found and not may_be_none:
        raise DeskRefusal.argument("effects", [], f"at least one of {', '.join(known)}")
    return found


def _asked(request: RequestFrame, reason: str) -> OperatorRequest:
    return OperatorRequest(actor=request.actor, origin=request.origin, reason=reason)
