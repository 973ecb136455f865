"""Answers requests about holds: each is kept before it is answered, and in force from then on."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from vtorc.control.facade import FleetFacade
from vtorc.core.facts.holds import FLEET, LONGEST, Effect, Hold, HoldScope, Purpose, ScopeKind
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.problems import DeskRefusal
from vtorc.errors import HoldParseError, OrdersFileError
from vtorc.forms.frames import RequestFrame
from vtorc.forms.hold import HoldAnswerForm, hold_form
from vtorc.recovery.record import OperatorRequest

T = TypeVar("T")

Answer = tuple[int, Any]
"""The HTTP status of an answer, and the form or the fields that it has as its body."""

LONGEST_OWNER = 100
"""Most characters of the owner of a hold."""

_ASKED_FOR = tuple(each.value for each in Purpose if each is not Purpose.SWITCH)

_STOPS_ALL = frozenset({Effect.NO_FAILOVER, Effect.NO_REPAIR})
"""What the switch that stops all recoveries does, as a hold."""


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
        self._check_is_known(scope)
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
        if hold is None or not await _kept(self._fleet.holds.lift(hold, _asked(request, reason))):
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
            await _kept(holds.lift(switch, asked))
        return 200, {"allow": allow}

    async def _add(self, hold: Hold, asked: OperatorRequest) -> Answer:
        return 200, self._answer(await _kept(self._fleet.holds.add(hold, asked)))

    def _answer(self, hold: Hold) -> HoldAnswerForm:
        return HoldAnswerForm(hold=hold_form(hold), outlives_vtorc=self._fleet.holds.is_lasting)

    def _scope(self, arguments: RequestArguments) -> HoldScope:
        text = arguments.text("scope", "fleet, cell:…, keyspace:…, shard:… or tablet:…")
        try:
            return HoldScope.parse(text)
        except HoldParseError as error:
            raise DeskRefusal.argument("scope", text, str(error).partition("expected ")[2]) from None

    def _check_is_known(self, scope: HoldScope) -> None:
        """Refuse a scope that nothing is in: a misspelt name would protect nothing."""
        shards = self._fleet.shards
        match scope.kind:
            case ScopeKind.FLEET:
                return
            case ScopeKind.KEYSPACE | ScopeKind.SHARD:
                if any(scope.covers(shard, None) for shard in shards):
                    return
            case ScopeKind.CELL | ScopeKind.TABLET:
                if any(scope.covers(shard, alias) for shard in shards for alias in self._fleet.aliases(shard)):
                    return
        raise DeskRefusal(
            404, what=str(scope), why="this vtorc watches nothing of that name", do="look at the list of shards"
        )


async def _kept(order: Coroutine[Any, Any, T]) -> T:
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
