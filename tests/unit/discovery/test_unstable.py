"""When a tablet counts as one that comes and goes, and which tablets are asked in a hurry because of it."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.core.builders import P, record, shard
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import NOTHING_REMEMBERED, UNSTABLE_AFTER, TabletMemory
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletCallFailed, TabletUnreachable
from vtorc.sim.engine.loop import forever, run

R1, R2 = "zone1-101", "zone2-200"
RECORDS = (record(P, TabletType.PRIMARY, term=1), record(R1, TabletType.REPLICA), record(R2, TabletType.REPLICA))
BY_NAME = {name: each.alias for name, each in zip((P, R1, R2), RECORDS, strict=True)}


def remembered(*moments: float) -> TabletMemory:
    """Return the memory of a tablet that failed at these moments."""
    memory = NOTHING_REMEMBERED
    for moment in moments:
        memory = memory.after_first_failure(started=moment)
    return memory


@pytest.mark.parametrize(
    ("moments", "now", "unstable"),
    [
        ((), 0.0, False),
        ((1, 2, 3, 4), 5.0, False),
        ((1, 2, 3, 4, 5), 5.0, True),
        ((1, 2, 3, 4, 5), 61.0, True),
        ((1, 2, 3, 4, 5), 61.5, False),
        ((0, 50, 60, 70, 80, 90), 91.0, True),
        ((0, 1, 2, 3, 60, 70), 71.0, False),
    ],
)
def test_five_failures_within_a_minute_make_a_tablet_unstable(
    moments: Sequence[float], now: float, unstable: bool
) -> None:
    """Only the last five count, and a minute after the first of them it is over."""
    memory = remembered(*moments)
    assert memory.is_unstable(now) is unstable
    assert len(memory.failed_at) <= UNSTABLE_AFTER


class Tablets:
    """Tablets of which one fails every other time, or as `fails` says; notes when each was asked."""

    def __init__(self, unstable: TabletAlias, failure: Exception | None = None) -> None:
        self.unstable = unstable
        self.failure = failure or TabletCallFailed("Too many connections", errno=1040)
        self.asked: dict[TabletAlias, list[float]] = {}

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Answer, or fail."""
        times = self.asked.setdefault(tablet.alias, [])
        times.append(asyncio.get_running_loop().time())
        if tablet.alias == self.unstable and len(times) % 2 == 0:
            raise self.failure
        return TabletStatus(server_uuid=str(tablet.alias))

    async def ping(self, tablet: TabletRecord) -> None:
        """Answer."""

    async def stream_health(self, tablet: TabletRecord):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Say nothing."""
        await forever()
        yield None


def unstable_memory(failure: Exception) -> TabletMemory:
    """Return what is remembered of a replica that has failed in that way every other time, for a minute."""

    async def main() -> TabletMemory:
        tablets, watch = watched(R1, failure)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(60.0)
        tablet = watch.view().tablet(tablets.unstable)
        watching.cancel()
        assert tablet is not None
        return tablet.memory

    return run(main())


def watched(unstable: str, failure: Exception | None = None) -> tuple[Tablets, ShardWatch]:
    """Return a shard to watch, of which one tablet comes and goes."""
    tablets = Tablets(BY_NAME[unstable], failure)
    topology = ShardTopology(
        read_at=0.0,
        cells=frozenset({"zone1", "zone2"}),
        keyspace_record=KeyspaceRecord(name="commerce"),
        shard_record=ShardRecord(shard=shard().shard),
        tablets=RECORDS,
    )
    return tablets, ShardWatch(shard().shard, topology, tablets, LoopClock(), ProbePace)  # type: ignore[arg-type]


def asked_a_minute(unstable: str) -> dict[str, float]:
    """Return how often each tablet is asked a minute, once one of them has come and gone for a while."""

    async def main() -> dict[str, float]:
        tablets, watch = watched(unstable)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(60.0)
        watch.hurry(since=None)
        before = {name: len(tablets.asked[alias]) for name, alias in BY_NAME.items()}
        await asyncio.sleep(120.0)
        watching.cancel()
        return {name: (len(tablets.asked[alias]) - before[name]) / 2 for name, alias in BY_NAME.items()}

    return run(main())


def test_a_replica_that_comes_and_goes_hurries_no_other_tablet() -> None:
    """All tablets are asked at the calm pace."""
    often = asked_a_minute(R1)
    assert 55 <= often.pop(P) <= 61
    assert all(10 <= each <= 13 for each in often.values())


def test_a_primary_that_comes_and_goes_has_all_tablets_asked_about_once_a_second() -> None:
    """The suspicion is as old as makes the hurried pace slowest."""
    assert all(55 <= often <= 130 for often in asked_a_minute(P).values())


@pytest.mark.parametrize(
    ("failure", "remembered_failures"),
    [(TabletUnreachable("shut down", reason="shut down"), 0), (TabletUnreachable("gone", reason="timeout"), 5)],
)
def test_a_tablet_that_was_shut_down_does_not_come_and_go(failure: Exception, remembered_failures: int) -> None:
    """Its record says so, which is an operator's word and no failure."""
    assert len(unstable_memory(failure).failed_at) == remembered_failures
