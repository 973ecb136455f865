"""A shard to watch in virtual time: tablets that answer as a test says, and note when they are asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from tests.unit.core.builders import CONNECTING, P, alias, primary, replica, shard
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe_budget import Lane, ProbeBudget, ProbeSlot
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager

R1, R2 = "zone1-101", "zone2-200"
SHARD = shard(primary(), replica(R1), replica(R2))
TOPOLOGY = ShardTopology(
    read_at=0.0,
    cells=frozenset({"zone1", "zone2"}),
    keyspace_record=SHARD.keyspace_record,
    shard_record=SHARD.shard_record,
    tablets=tuple(tablet.record for tablet in SHARD.tablets),
)
SILENT = TabletUnreachable("silent", reason="timeout")
REFUSED = TabletUnreachable("no listener", reason="refused")
SELDOM = ProbePace(calm_interval=1000.0, primary_interval=1000.0)
"""A pace at which a tablet is asked again only for a reason."""


EVERYTHING = {P, R1, R2}
NAMES = {alias(name): name for name in (P, R1, R2)}


def status_of(name: str) -> TabletStatus:
    """Return the answer of a tablet of a healthy shard."""
    found = next(tablet.status for tablet in SHARD.tablets if tablet.alias == alias(name))
    assert found is not None
    return found


class Tablets:
    """The tablets of the shard; a test sets what they answer, and breaks their health streams."""

    def __init__(self) -> None:
        self.answers: dict[str, TabletStatus | Exception] = {name: status_of(name) for name in NAMES.values()}
        self.takes: dict[str, float] = {}
        """Seconds that an answer takes."""
        self.asked: list[str] = []
        """The tablets that were asked, in order."""
        self.streams: dict[str, asyncio.Event] = {}
        """The open health streams; each breaks when its event is set."""

    def asked_since_last(self) -> set[str]:
        """Return the names of the tablets that were asked since this was called last."""
        asked, self.asked = self.asked, []
        return set(asked)

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        name = NAMES[tablet.alias]
        self.asked.append(name)
        await asyncio.sleep(self.takes.get(name, 0.0))
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return replace(answer)

    async def ping(self, tablet: TabletRecord) -> None:
        raise SILENT

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        name = NAMES[tablet.alias]
        broken = self.streams[name] = asyncio.Event()
        try:
            yield HealthReport(alias=tablet.alias, type=tablet.type, serving=True)
            await broken.wait()
        finally:
            del self.streams[name]
        raise SILENT


class NotingSlot(ProbeSlot):
    """A slot that notes how urgent its questions have become."""

    def __init__(self, budget: ProbeBudget) -> None:
        super().__init__(budget)
        self.moves: list[Lane] = []

    def move(self, lane: Lane) -> None:
        self.moves.append(lane)
        super().move(lane)


class NotingBudget(ProbeBudget):
    """A budget with slots that note their urgency, in the order in which tablets were found."""

    def __init__(self) -> None:
        super().__init__(LoopClock().now)
        self.slots: list[NotingSlot] = []

    def new_slot(self) -> ProbeSlot:
        self.slots.append(NotingSlot(self))
        return self.slots[-1]

    @property
    def lanes(self) -> list[Lane]:
        """How urgent the questions to each tablet are."""
        return [slot.lane for slot in self.slots]

    def moves_since_last(self) -> list[set[Lane]]:
        """Return how urgent the questions to each tablet were at any time since this was called last."""
        moves = [set(slot.moves) for slot in self.slots]
        for slot in self.slots:
            slot.moves.clear()
        return moves


def watching(
    test: Callable[[ShardWatch, Tablets], Awaitable[None]],
    *,
    pace: ProbePace = SELDOM,
    answers: Mapping[str, TabletStatus | Exception] = {},
    **parts: Any,
) -> None:
    """Run a test beside a watch of the shard, once each tablet was asked; `parts` are further ones of the watch.

    `answers` are those that differ from the start from those of a healthy shard.
    """

    async def main() -> None:
        tablets = Tablets()
        tablets.answers.update(answers)
        parts.setdefault("topology", TOPOLOGY)
        watch = ShardWatch(
            SHARD.shard, tablets=cast(TabletManager, tablets), clock=LoopClock(), pace=lambda: pace, **parts
        )
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(1.0)
        await watch.wait_changed(0.0)
        tablets.asked.clear()
        await test(watch, tablets)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


def not_receiving(name: str) -> TabletStatus:
    """Return the answer of a replica that has lost its source."""
    status = status_of(name)
    assert status.replication is not None
    return replace(status, replication=replace(status.replication, io_state=CONNECTING))


async def changes_within(watch: ShardWatch, seconds: float) -> list[float]:
    """Return after how many seconds something was told to have changed."""
    now = asyncio.get_running_loop().time
    began, moments = now(), list[float]()
    while (left := began + seconds - now()) > 0.001:
        await watch.wait_changed(left)
        moments.append(round(now() - began, 3))
    return moments[:-1]


async def ask(watch: ShardWatch, name: str) -> None:
    """Have one tablet asked."""
    await watch.refresh(1.0, leave_out=[alias(each) for each in EVERYTHING - {name}])
