"""The desk request by request: what it refuses, with which status, and what it hands to the fleet."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TypeVar, cast

import pytest

from tests.unit.core.builders import SHARD, alias, primary, replica, shard
from tests.unit.desk.requests import Asking, fields_of, problem_of
from tests.unit.recovery.fakes import WALL, Rig, begun, with_rig
from vtorc.control.facade import FleetFacade
from vtorc.control.hold_book import HoldBook, PassingHolds
from vtorc.control.operator_command import OperatorCommand
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import DurabilityPolicy, policy
from vtorc.core.facts.ids import ShardId, TabletAlias, alias_list
from vtorc.core.facts.views import ShardView
from vtorc.desk.desk import ACTS_A_MINUTE, Desk
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.record import BegunRecovery, OperatorRequest
from vtorc.recovery.session import RecoveryTools

T = TypeVar("T")

FIRST, SECOND = (alias(f"zone1-{number}") for number in (101, 102))
WELL = shard(primary(), replica("zone1-101"), replica("zone1-102"))
ASKED = OperatorRequest(actor="bob", origin="a socket", reason="a drill")


class OneShard:
    """A fleet of one shard, which notes what it is asked for and carries out nothing."""

    def __init__(self, rig: Rig) -> None:
        self.tools = rig.tools
        self.holds = HoldBook(PassingHolds(), rig.tools.clock)
        self.shown: ShardView = WELL
        self.durability: DurabilityPolicy | None = policy("semi_sync")
        self.controlled = True
        self.running: BegunRecovery | None = None
        self.can_cancel = True
        self.heard: list[str] = []
        self.commands: list[OperatorCommand] = []
        for tablet in WELL.tablets:
            rig.tablets.tell(f"wall_clock {tablet.alias}", WALL)

    @property
    def shards(self) -> tuple[ShardId, ...]:
        return (SHARD,)

    def view(self, shard: ShardId) -> ShardView | None:
        return self.shown if shard == SHARD else None

    def policy(self, _: ShardId) -> DurabilityPolicy | None:
        return self.durability

    def decisions(self, _: ShardId) -> tuple[Decision, ...]:
        return ()

    def is_controlled(self, _: ShardId) -> bool:
        return self.controlled

    def under_way(self, _: ShardId) -> BegunRecovery | None:
        return self.running

    def carry_out(self, command: OperatorCommand) -> None:
        self.commands.append(command)

    def cancel(self, shard: ShardId, why: str) -> bool:
        self.heard.append(f"cancel {shard}: {why}")
        return self.can_cancel

    def on_shard(self, _: ShardId, make: Callable[[RecoveryTools, ShardWatch], T]) -> T:
        return make(self.tools, cast(ShardWatch, _Watch(self)))


class _Watch:
    """The watch of that shard, which notes what is asked for."""

    def __init__(self, fleet: OneShard) -> None:
        self._fleet = fleet

    def view(self) -> ShardView:
        return self._fleet.shown

    async def refresh(self, deadline: float, *, leave_out: Collection[TabletAlias]) -> None:
        self._fleet.heard.append(f"refresh without {alias_list(leave_out)}")


def at(rig: Rig) -> tuple[OneShard, Asking]:
    """Return a fleet, and an operator at its desk."""
    fleet = OneShard(rig)
    return fleet, Asking(Desk(cast(FleetFacade, fleet)))


@pytest.mark.parametrize(
    ("request_kind", "arguments", "status", "what"),
    [
        ("rebuild", {}, 422, 'kind: "rebuild"'),
        ("plan", {"shard": "commerce/0", "kind": "repair"}, 422, 'kind: "repair"'),
        ("plan", {"shard": "commerce/0", "kind": "forced", "to": None}, 422, "to: null"),
        ("plan", {"shard": "commerce/0", "kind": "emergency", "to": "zone1-101"}, 422, f'to: "{FIRST}"'),
        ("plan", {"shard": "commerce/0", "kind": "planned", "too": 1}, 422, "too: 1"),
        ("plan", {"shard": "commerce/9", "kind": "planned"}, 404, "commerce/9"),
        ("execute", {"plan": "7", "reason": "a drill"}, 404, "plan 7"),
        ("execute", {"plan": "7"}, 422, "reason: null"),
        ("execute", {"reason": "a drill"}, 422, "plan: null"),
        ("cancel", {"shard": "commerce/9", "reason": "a drill"}, 404, "commerce/9"),
        ("cancel", {"shard": "commerce/0", "reason": "a drill"}, 409, "commerce/0"),
    ],
)
def test_what_cannot_be_done_is_refused(
    request_kind: str, arguments: dict[str, object], status: int, what: str
) -> None:
    """The problem names what was wrong; the fleet hears nothing of it."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        reply = await asking.ask(request_kind, **arguments)
        problem = problem_of(reply)
        assert (reply.id, reply.status, problem.status, problem.what) == (7, status, status, what)
        assert problem.do
        assert (fleet.heard, fleet.commands) == ([], [])

    with_rig(main)


def test_a_plan_is_handed_to_the_fleet_with_the_operator() -> None:
    """It promotes the tablet that the plan names, even if the best one is another by then."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        plan = await asking.plan(to=str(SECOND))
        reply = await asking.execute(plan)
        assert reply.status == 202
        (command,) = fleet.commands
        assert command.begun.asked == OperatorRequest(actor="ann", origin="127.0.0.1", reason="a drill")
        assert (command.begun.recovery, command.begun.alias) == (Recovery.PLANNED_REPARENT, SECOND)
        assert fields_of(reply)["recovery"]["id"] == str(command.begun.began)
        assert command.begun.sentence.endswith(
            f"ann asked to move the primary from {plan.from_primary} to {SECOND}: a drill"
        )

    with_rig(main)


def test_a_shard_that_vtorc_only_watches_is_not_changed() -> None:
    """The plan says so, and which vtorc to ask."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        fleet.controlled = False
        plan = await asking.plan()
        assert plan.refusal == "the shard is not among the clusters to watch; ask the vtorc that acts on it"
        assert (await asking.execute(plan)).status == 409
        assert fleet.commands == []

    with_rig(main)


def test_without_a_policy_there_is_no_plan() -> None:
    """Nothing tells then which acknowledgements a new primary has to wait for."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        fleet.durability = None
        plan = await asking.plan()
        assert plan.refusal is not None
        assert "SetKeyspaceDurabilityPolicy" in plan.refusal
        assert (await asking.execute(plan)).status == 409

    with_rig(main)


def test_nothing_begins_beside_another_recovery() -> None:
    """Be it vtorc's own or an operator's."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        plan = await asking.plan()
        fleet.running = begun(Recovery.FIX_REPLICA, code=Code.REPLICATION_STOPPED)
        problem = problem_of(await asking.execute(plan))
        assert (problem.status, problem.why) == (409, "a recovery is in progress: it is needed")
        fleet.running = None
        assert (await asking.execute(plan)).status == 202

    with_rig(main)


def test_a_shard_is_not_reparented_all_the_time() -> None:
    """The eleventh execution within a minute is refused."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        statuses = [(await asking.execute(await asking.plan())).status for _ in range(ACTS_A_MINUTE + 1)]
        assert statuses == [202] * ACTS_A_MINUTE + [429]
        assert len(fleet.commands) == ACTS_A_MINUTE

    with_rig(main)


def test_only_a_command_is_cancelled() -> None:
    """vtorc would begin its own recovery again; the fleet knows whether it is too late."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        fleet.running = begun(Recovery.RECOVER_DEAD_PRIMARY, code=Code.DEAD_PRIMARY)
        assert "by itself" in problem_of(await asking.cancel()).why
        assert fleet.heard == []
        fleet.running = replace(fleet.running, code=None, asked=ASKED)
        reply = await asking.cancel()
        assert (reply.status, fields_of(reply)["recovery"]["actor"]) == (202, "bob")
        assert fleet.heard == ["cancel commerce/0: ann asked for that: too late at night"]
        fleet.can_cancel = False
        assert "point of no return" in problem_of(await asking.cancel()).why

    with_rig(main)


def test_a_mistake_of_the_desk_is_answered_and_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request must not end vtorc, whatever it finds."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        monkeypatch.setattr(fleet, "view", lambda _: 1 / 0)
        problem = problem_of(await asking.ask("plan", shard="commerce/0", kind="planned"))
        assert problem.status == 500
        assert problem.why == "vtorc itself failed (ZeroDivisionError: division by zero)"

    with_rig(main)
