"""What other tablets had told when a tablet was asked is kept with its answer."""

import asyncio
from dataclasses import replace
from typing import cast

from tests.unit.core.builders import P, alias, gtids, primary, replica, shard
from tests.unit.discovery.clocks import LoopClock
from tests.unit.discovery.watched_shard import TOPOLOGY, status_of, watching
from tests.unit.discovery.watched_shard import Tablets as WatchedTablets
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.sim.engine.loop import forever, run
from vtorc.tablet.api import TabletManager

R1 = "zone1-101"
SHARD = shard(primary(), replica(R1))


class Tablets:
    """The answers of the tablets: that of the primary is made when it is asked, and takes 50 ms longer."""

    def __init__(self, has: str, others: str, *, is_copy: bool) -> None:
        first, second = (tablet.status for tablet in SHARD.tablets)
        assert first is not None
        assert second is not None
        self._own = replace(first, executed=gtids(has), read_only=True, super_read_only=True)
        uuid = first.server_uuid if is_copy else second.server_uuid
        self._replicas = replace(second, executed=gtids(others), server_uuid=uuid)

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Answer, the primary later than its replica."""
        if tablet.alias != alias(P):
            return self._replicas
        await asyncio.sleep(0.05)
        return self._own

    async def ping(self, tablet: TabletRecord) -> None:
        """Answer."""

    async def stream_health(self, tablet: TabletRecord):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Say nothing."""
        await forever()
        yield None


def own_missing(has: str, others: str, *, probes: int, is_copy: bool = False) -> GtidSet:
    """Return what the primary is known to lack of its own once it was asked so often, each time beside its replica.

    With `is_copy` the replica's server has the UUID of the primary's.
    """

    async def main() -> GtidSet:
        topology = ShardTopology(
            read_at=0.0,
            cells=frozenset({"zone1"}),
            keyspace_record=SHARD.keyspace_record,
            shard_record=SHARD.shard_record,
            tablets=tuple(tablet.record for tablet in SHARD.tablets),
        )
        tablets = cast(TabletManager, Tablets(has, others, is_copy=is_copy))
        watch = ShardWatch(SHARD.shard, topology, tablets, LoopClock(), ProbePace)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(0.0)
        for _ in range(probes):
            await watch.refresh(1.0)
            watch.suspect()
        memory = _memory(watch, alias(P))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return memory

    return run(main())


def _memory(watch: ShardWatch, name: TabletAlias) -> GtidSet:
    tablet = watch.view().tablet(name)
    assert tablet is not None
    assert tablet.status is not None
    return tablet.memory.own_missing


def test_what_is_told_while_a_tablet_is_asked_counts_from_its_next_answer_on() -> None:
    """A tablet may write between its answer and that of another, however close both are; not before it was asked."""
    assert own_missing("100:1-40", "100:1-50", probes=1) == gtids("")
    assert own_missing("100:1-40", "100:1-50", probes=2) == gtids("100:41-50")
    assert own_missing("100:1-50", "100:1-50,101:1-9", probes=3) == gtids("")


def test_what_a_copy_of_its_host_tells_says_nothing_of_a_tablet() -> None:
    """A write on the copy has the same UUID, and no server went back in time."""
    assert own_missing("100:1-40", "100:1-50", probes=3, is_copy=True) == gtids("")


def test_what_a_tablet_told_itself_is_no_word_of_another() -> None:
    """A server that did not name its UUID then is not held to have written what it lost since."""
    status = replace(status_of(P), read_only=True, super_read_only=True)

    async def test(watch: ShardWatch, tablets: WatchedTablets) -> None:
        tablets.answers[P] = replace(status, server_uuid="", executed=gtids("100:1-60"))
        watch.update(replace(TOPOLOGY, read_at=1.0))
        await asyncio.sleep(1.0)
        tablets.answers[P] = replace(status, executed=gtids("100:1-50"))
        await watch.refresh(1.0)
        memory = watch.view().tablets[0].memory
        assert memory.own_missing == gtids("")
        assert memory.lost_after_receipt == gtids("100:51-60")

    watching(test, topology=replace(TOPOLOGY, tablets=TOPOLOGY.tablets[1:]))
