"""Which probes of a shard count as changes, and that its view is made anew only when something has changed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from tests.unit.core.builders import P, alias, gtids, held, hold, primary, replica, shard
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.holds import NO_HOLDS, Effect, HoldsOnShard
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.sim.engine.loop import forever, run
from vtorc.tablet.api import TabletManager

R1 = "zone1-101"
SHARD = shard(primary(), replica(R1))
TOPOLOGY = ShardTopology(
    read_at=0.0,
    cells=frozenset({"zone1"}),
    keyspace_record=SHARD.keyspace_record,
    shard_record=SHARD.shard_record,
    tablets=tuple(tablet.record for tablet in SHARD.tablets),
)


class Tablets:
    """Tablets that answer what the test says."""

    def __init__(self) -> None:
        self.answers: dict[TabletAlias, TabletStatus] = {
            tablet.alias: tablet.status for tablet in SHARD.tablets if tablet.status is not None
        }

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Answer with a status of its own, as one that was read from the network is."""
        return replace(self.answers[tablet.alias])

    async def ping(self, tablet: TabletRecord) -> None:
        """Answer."""

    async def stream_health(self, tablet: TabletRecord):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Say nothing."""
        await forever()
        yield None


def watching(test: Callable[[ShardWatch, Tablets], Awaitable[None]]) -> None:
    """Run a test beside a watch of the shard with tablets that were asked several times."""

    async def main() -> None:
        tablets = Tablets()
        watch = ShardWatch(SHARD.shard, TOPOLOGY, cast(TabletManager, tablets), LoopClock(), ProbePace)
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(0.0)
        for _ in range(4):
            await watch.refresh(1.0)
        await test(watch, tablets)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


def test_the_same_answers_again_are_no_change() -> None:
    """They are counted all the same, as their moments are in the view."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        changes, revision, view = watch.changes, watch.revision, watch.view()
        await watch.refresh(1.0)
        assert watch.changes == changes
        assert watch.revision > revision
        assert watch.view() is not view

    watching(test)


def test_another_position_is_a_change() -> None:
    """A write on one tablet changes what is known of the shard."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        changes = watch.changes
        name = alias(P)
        tablets.answers[name] = replace(tablets.answers[name], executed=gtids("100:1-1000"))
        await watch.refresh(1.0)
        assert watch.changes > changes

    watching(test)


def test_a_reading_and_other_holds_are_changes() -> None:
    """What operators and the topology server say is judged at once."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        changes = watch.changes
        watch.note_holds()
        assert watch.changes == changes + 1
        watch.update(replace(TOPOLOGY, read_at=1.0))
        assert watch.changes > changes + 1

    watching(test)


def test_a_view_is_the_same_object_until_something_changes() -> None:
    """Asking for it twice makes it once, unless other holds are in force by then."""
    holds = NO_HOLDS

    def in_force(shard: ShardId, aliases: object) -> HoldsOnShard:
        return holds

    async def main() -> None:
        nonlocal holds
        watch = ShardWatch(
            SHARD.shard, TOPOLOGY, cast(TabletManager, Tablets()), LoopClock(), ProbePace, holds=in_force
        )
        view = watch.view()
        assert watch.view() is view
        holds = held(SHARD, hold(Effect.NO_ALERT)).holds
        assert watch.view().holds is holds
        assert watch.view() is watch.view()

    run(main())
