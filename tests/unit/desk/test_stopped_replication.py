"""Replication that an operator stopped stays stopped by a hold, which ends when an operator starts it again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.core.builders import STOPPED, alias, primary, replica, shard
from tests.unit.recovery.fakes import WALL, Rig, begun, with_rig
from tests.unit.recovery.test_runner_calls import Watch
from vtorc.control.hold_book import HoldBook, PassingHolds
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect, Hold, Purpose
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.status import ReplicationStatus
from vtorc.core.facts.views import ShardView
from vtorc.desk.stopped_replication import TabletOrder
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import OrdersFileError
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.record import OperatorRequest, Outcome, RecoveryRecord
from vtorc.recovery.session import hear_nothing

FIRST, SECOND = alias("zone1-101"), alias("zone1-102")
WELL = shard(primary(), replica("zone1-101"), replica("zone1-102"), replica("zone1-103"))
STOOD_STILL = shard(primary(), replica("zone1-101", io=STOPPED, sql=STOPPED), replica("zone1-102"))
ASKED = OperatorRequest(actor="ann", origin="127.0.0.1", reason="a new disk")


@pytest.fixture(autouse=True)
def topology(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the topology be read at once."""

    async def read_shard(*_: object) -> object:
        return "a reading"

    monkeypatch.setattr("vtorc.recovery.commands.read_shard", read_shard)


class Store(PassingHolds):
    """A store that takes so many changes and no more."""

    takes = 1000

    async def change(self, **what: Any) -> Any:
        self.takes -= 1
        if self.takes < 0:
            raise OrdersFileError("orders file /x: the disk is full")
        return await super().change(**what)


async def carry_out(
    rig: Rig, holds: HoldBook, view: ShardView, command: Recovery, *aliases: TabletAlias
) -> RecoveryRecord:
    """Carry out a command on tablets, the first one if none is named."""
    rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
    about = begun(command, about=FIRST)
    order = TabletOrder(begun=about, asked=ASKED, policy=policy("semi_sync"), aliases=aliases or (FIRST,), seconds=60)
    return await order.work(holds)(rig.tools, cast(ShardWatch, Watch(view)), hear_nothing, CancelSwitch())


def with_holds(main: Callable[[Rig, HoldBook, Store], Awaitable[None]]) -> None:
    """Run a test with a rig and a book of holds."""

    async def work(rig: Rig) -> None:
        store = Store()
        await main(rig, HoldBook(store, rig.tools.clock), store)

    with_rig(work)


def replication_of(view: ShardView) -> ReplicationStatus:
    """What the first replica tells of its threads."""
    status = view.tablets[1].status
    assert status is not None
    assert status.replication is not None
    return status.replication


def scopes(holds: HoldBook) -> Sequence[str]:
    """What the holds in force are about."""
    return [str(hold.scope) for hold in holds.holds]


@pytest.mark.parametrize("command", [Recovery.STOP_REPLICATION, Recovery.STOP_REPLICATION_NICELY])
def test_a_stop_is_held_against_repairs_of_vtorc_s_own(command: Recovery) -> None:
    """A hold against repairs of the tablet is in force before replication stops, and its end is told."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        in_force: list[tuple[Hold, ...]] = []
        rig.tablets.tell(f"full_status {FIRST}", WELL.tablets[1].status)
        rig.tablets.tell(f"stop_replication {FIRST}", lambda: in_force.append(holds.holds))
        record = await carry_out(rig, holds, WELL, command)
        assert record.outcome is Outcome.SUCCEEDED
        (hold,) = holds.holds
        assert in_force == [(hold,)]
        assert (str(hold.scope), hold.effects) == (f"tablet:{FIRST}", frozenset({Effect.NO_REPAIR}))
        assert (hold.owner, hold.reason, hold.purpose) == ("ann", "a new disk", Purpose.STOPPED_REPLICATION)
        assert hold.expires == hold.created + 60 * 10**9 >= WALL
        assert record.sentence.endswith(f"vtorc leaves it stopped {hold.until}, unless StartReplication comes first")

    with_holds(main)


@pytest.mark.parametrize(
    ("command", "view"),
    [
        (Recovery.START_REPLICATION, STOOD_STILL),
        (Recovery.RESTART_REPLICATION, STOOD_STILL),
        (Recovery.START_REPLICATION, WELL),
        (Recovery.REPARENT_TABLET, WELL),
    ],
)
def test_a_start_lifts_the_hold(command: Recovery, view: ShardView) -> None:
    """Replication that runs again by an operator's command is vtorc's to repair again; other holds stay."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        rig.tablets.tell(f"full_status {FIRST}", WELL.tablets[1].status)
        rig.tablets.tell(f"replication_status {FIRST}", replication_of(WELL))
        await carry_out(rig, holds, WELL, Recovery.STOP_REPLICATION, FIRST, SECOND)
        await carry_out(rig, holds, view, command)
        assert scopes(holds) == [f"tablet:{SECOND}"]

    with_holds(main)


@pytest.mark.parametrize("command", [Recovery.SET_READ_ONLY, Recovery.FLUSH_BINARY_LOGS])
def test_other_commands_leave_holds_as_they_are(command: Recovery) -> None:
    """A command that starts nothing lifts no hold, and puts none in force."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        await carry_out(rig, holds, WELL, Recovery.STOP_REPLICATION)
        await carry_out(rig, holds, WELL, command)
        assert scopes(holds) == [f"tablet:{FIRST}"]

    with_holds(main)


def test_a_stop_that_is_refused_leaves_no_hold() -> None:
    """A tablet that goes on to replicate goes on to be repaired."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        lonely = shard(primary(), replica("zone1-101"))
        record = await carry_out(rig, holds, lonely, Recovery.STOP_REPLICATION)
        assert (record.outcome, holds.holds) == (Outcome.REFUSED, ())

    with_holds(main)


def test_a_stop_that_fails_leaves_an_earlier_one_in_force() -> None:
    """Replication that an operator had stopped before stays stopped for as long as that operator said."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        await carry_out(rig, holds, WELL, Recovery.STOP_REPLICATION)
        (before,) = holds.holds
        left = shard(primary(), replica("zone1-102"))
        await asyncio.sleep(5.0)
        record = await carry_out(rig, holds, left, Recovery.STOP_REPLICATION)
        assert record.outcome is Outcome.FAILED
        (after,) = holds.holds
        assert replace(after, number=0) == replace(before, number=0)

    with_holds(main)


def test_a_start_that_fails_leaves_the_hold() -> None:
    """A tablet that could not be started stays held."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        await carry_out(rig, holds, WELL, Recovery.STOP_REPLICATION)
        left = shard(primary(), replica("zone1-102"))
        record = await carry_out(rig, holds, left, Recovery.START_REPLICATION)
        assert (record.outcome, scopes(holds)) == (Outcome.FAILED, [f"tablet:{FIRST}"])

    with_holds(main)


def test_without_a_hold_nothing_is_stopped() -> None:
    """If the hold cannot be kept, the stop is refused, and the holds on other tablets are lifted again."""

    async def main(rig: Rig, holds: HoldBook, store: Store) -> None:
        store.takes = 1
        record = await carry_out(rig, holds, WELL, Recovery.STOP_REPLICATION, FIRST, SECOND)
        assert record.outcome is Outcome.REFUSED
        assert "the hold against that cannot be kept: orders file /x: the disk is full" in record.sentence
        assert (record.asked, record.steps, rig.calls) == (None, (), [])

    with_holds(main)
