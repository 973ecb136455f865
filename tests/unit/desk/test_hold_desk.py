"""Holds at the desk: what is refused and why, and what is in force once an order was answered."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest

from tests.unit.core.builders import SHARD, P, alias, hold
from tests.unit.desk.requests import Asking, fields_of, problem_of
from tests.unit.recovery.fakes import WALL, Rig, with_rig
from vtorc.control.facade import FleetFacade
from vtorc.control.hold_book import HoldBook, HoldNews, PassingHolds
from vtorc.core.facts.holds import Effect, Purpose
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.desk import Desk
from vtorc.errors import OrdersFileError
from vtorc.forms.hold import HoldAnswerForm, HoldForm, hold_form

ORDER: dict[str, Any] = {"scope": "shard:commerce/0", "effects": ["no_failover"], "reason": "moving racks"}


class Broken(PassingHolds):
    """A store that fails once it is told to."""

    fails = False

    async def change(self, **what: Any) -> Any:
        if self.fails:
            raise OrdersFileError("orders file /x: the disk is full")
        return await super().change(**what)


class Fleet:
    """A fleet of one shard with holds."""

    def __init__(self, rig: Rig) -> None:
        self.tools = rig.tools
        self.store = Broken()
        self.holds = HoldBook(self.store, rig.tools.clock)
        self.news: list[HoldNews] = []
        self.holds.listen(self.news.append)
        self.shards = (SHARD,)

    def aliases(self, shard: ShardId) -> tuple[TabletAlias, ...]:
        return (alias(P), alias("zone2-200")) if shard == SHARD else ()


def at_the_desk(main: Callable[[Fleet, Asking], Awaitable[None]]) -> None:
    async def work(rig: Rig) -> None:
        fleet = Fleet(rig)
        await main(fleet, Asking(Desk(cast(FleetFacade, fleet))))

    with_rig(work)


def hold_of(body: msgspec.Raw) -> HoldForm:
    return msgspec.json.decode(body, type=HoldAnswerForm).hold


@pytest.mark.parametrize(
    ("changes", "status", "what", "why"),
    [
        ({"scope": "planet:earth"}, 422, 'scope: "planet:earth"', "expected fleet, cell:<cell>, "),
        ({"scope": "tablet:zone1"}, 422, 'scope: "tablet:zone1"', "expected <cell>-<number below 2^32>"),
        ({"scope": ""}, 422, 'scope: ""', "expected fleet, cell:…"),
        ({"effects": []}, 422, "effects: []", "expected at least one of no_failover, "),
        ({"effects": ["no_sleep"]}, 422, 'effects: ["no_sleep"]', "expected a list of no_failover, "),
        ({"effects": "no_failover"}, 422, 'effects: "no_failover"', "expected a list of no_failover, "),
        ({"reason": " "}, 422, 'reason: " "', "expected the reason"),
        ({"owner": "x" * 101}, 422, "owner: ", "expected a text of at most 100 characters"),
        ({"seconds": 0}, 422, "seconds: 0", "expected a whole number from 1 to 315360000"),
        ({"seconds": 1.5}, 422, "seconds: 1.5", "expected a whole number"),
        ({"seconds": True}, 422, "seconds: true", "expected a whole number"),
        (
            {"purpose": "switch"},
            422,
            'purpose: "switch"',
            "expected one of hold, downtime, maintenance, promotion_rule",
        ),
        ({"until": "tomorrow"}, 422, 'until: "tomorrow"', "no such key; hold takes scope, purpose, effects"),
        ({"scope": "shard:commerce/-80"}, 404, "shard:commerce/-80", "this vtorc watches nothing of that name"),
        ({"scope": "keyspace:customer"}, 404, "keyspace:customer", "this vtorc watches nothing of that name"),
        ({"scope": "cell:zone9"}, 404, "cell:zone9", "this vtorc watches nothing of that name"),
        ({"scope": "tablet:zone1-999"}, 404, "tablet:zone1-0000000999", "this vtorc watches nothing of that name"),
    ],
)
def test_a_wrong_hold_is_refused(changes: dict[str, Any], status: int, what: str, why: str) -> None:
    """The refusal names the key, the value and what was expected; nothing is in force."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        problem = problem_of(await asking.ask("hold", **{**ORDER, **changes}))
        assert problem.status == status
        assert problem.what.startswith(what)
        assert why in problem.why
        assert fleet.holds.holds == ()

    at_the_desk(main)


@pytest.mark.parametrize(
    "scope", ["fleet", "cell:zone2", "keyspace:commerce", "shard:commerce/0", "tablet:zone2-0000000200"]
)
def test_a_hold_is_answered_with_all_that_it_is(scope: str) -> None:
    """It belongs to the operator unless the order names another owner, and ends after the seconds asked for."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        reply = await asking.ask("hold", **{**ORDER, "scope": scope, "seconds": 60})
        answer = msgspec.json.decode(reply.body, type=HoldAnswerForm)
        assert (reply.status, answer.outlives_vtorc) == (200, False)
        (kept,) = fleet.holds.holds
        assert (answer.hold.number, answer.hold.scope, answer.hold.owner) == (1, scope, "ann")
        assert kept.expires == kept.created + 60 * 10**9
        assert kept.created >= WALL
        assert fleet.news[0].asked is not None
        assert (fleet.news[0].asked.actor, fleet.news[0].asked.origin) == ("ann", "127.0.0.1")

    at_the_desk(main)


def test_words_of_operators_cannot_break_a_line_of_the_log() -> None:
    """Unprintable characters of owner and reason are blanked."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        await asking.ask("hold", **{**ORDER, "owner": "ev\x1b[31mil", "reason": "two\nlines"})
        (kept,) = fleet.holds.holds
        assert (kept.owner, kept.reason) == ("ev [31mil", "two lines")

    at_the_desk(main)


def test_a_hold_is_lifted_by_its_number() -> None:
    """Once only."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        number = hold_of((await asking.ask("hold", **ORDER)).body).number
        reply = await asking.ask("lift", hold=number, reason="done")
        assert (reply.status, hold_of(reply.body).number, fleet.holds.holds) == (200, number, ())
        problem = problem_of(await asking.ask("lift", hold=number, reason="done"))
        assert (problem.status, problem.what, problem.why) == (404, "hold 1", "no such hold is in force")
        assert (await asking.ask("lift", hold="one", reason="done")).status == 422

    at_the_desk(main)


def test_a_downtime_is_found_by_its_tablet() -> None:
    """A second one takes its place, and it may do nothing but be shown."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        order = {**ORDER, "scope": f"tablet:{alias(P)}", "purpose": "downtime", "effects": []}
        await asking.ask("hold", **order)
        await asking.ask("hold", **{**order, "effects": ["no_alert"]})
        (kept,) = fleet.holds.holds
        assert (kept.number, kept.purpose, kept.effects) == (2, Purpose.DOWNTIME, frozenset({Effect.NO_ALERT}))
        where = {"purpose": "downtime", "scope": f"tablet:{alias(P)}", "reason": "done"}
        assert (await asking.ask("lift", **where)).status == 200
        problem = problem_of(await asking.ask("lift", **where))
        assert problem.what == "downtime on tablet:zone1-0000000100"

    at_the_desk(main)


def test_recoveries_are_stopped_and_allowed_by_a_hold_of_the_fleet() -> None:
    """A second stop replaces the first one's reason, and to allow what is allowed changes nothing."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        for reason in ("moving racks", "still moving racks"):
            reply = await asking.ask("recoveries", allow=False, reason=reason)
            assert (reply.status, fields_of(reply)) == (200, {"allow": False})
        (switch,) = fleet.holds.holds
        assert switch.sentence == "ann stopped all recoveries: still moving racks"
        assert switch.effects == {Effect.NO_FAILOVER, Effect.NO_REPAIR}
        for _ in range(2):
            reply = await asking.ask("recoveries", allow=True, reason="done")
            assert (reply.status, fields_of(reply)) == (200, {"allow": True})
        assert [news.change.value for news in fleet.news] == ["added", "replaced", "added", "lifted"]
        assert problem_of(await asking.ask("recoveries", reason="a drill")).what == "allow: null"
        assert problem_of(await asking.ask("recoveries", allow=False)).what == "reason: null"

    at_the_desk(main)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("hold", ORDER),
        ("lift", {"hold": 1, "reason": "done"}),
        ("recoveries", {"allow": False, "reason": "a drill"}),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused_with_the_reason(kind: str, arguments: dict[str, Any]) -> None:
    """It would be lost with the process; what was in force before still is."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        await asking.ask("hold", **ORDER)
        fleet.store.fails = True
        problem = problem_of(await asking.ask(kind, **arguments))
        assert (problem.status, problem.why) == (503, "orders file /x: the disk is full")
        assert [each.number for each in fleet.holds.holds] == [1]

    at_the_desk(main)


def test_the_form_of_a_hold_tells_its_effects_in_one_order() -> None:
    """Programs compare lists."""
    form = hold_form(hold(Effect.PREFER, Effect.NO_FAILOVER, Effect.NO_ALERT))
    assert form.effects == ["no_failover", "no_alert", "prefer"]
    assert form.sentence == "hold 3 of ann on the fleet until it is lifted: a drill (no_failover, no_alert, prefer)"
