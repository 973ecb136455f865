"""Earlier answers and records that a tablet's view keeps, because elections depend on them."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from tests.unit.core.builders import (
    P,
    alias,
    changed,
    client_count,
    gtids,
    primary,
    record,
    replica,
    shard,
    stopped,
    uuid,
)
from tests.unit.discovery.clocks import SettableTime
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.unexplained_ackers import unexplained_clients
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.remembered import RememberedTablet, ShardMemory
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus
from vtorc.core.facts.tablet_memory import FormerType, ReplacedServer, TabletMemory
from vtorc.core.facts.views import TabletView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import MemoryKeeper
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletCallFailed, TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC = policy("semi_sync")
MYSQL_DOWN = TabletCallFailed("no MySQL", errno=2013)
SILENT = TabletUnreachable("silent", reason="timeout")


def told(tablet: TabletView) -> TabletStatus:
    """Return the tablet's answer."""
    assert tablet.status is not None
    return tablet.status


AT_WORK, ACKS, QUIET = told(primary()), told(replica(R1)), replace(told(replica(R1)), semi_sync=SemiSyncStatus())
SETTINGS = SemiSyncStatus(timeout=1000, wait_for_replica_count=1)
ON = replace(ACKS, semi_sync=replace(SETTINGS, replica_enabled=True))
OFF = replace(ACKS, semi_sync=SETTINGS)
Answer = TabletStatus | Exception


class Tablet:
    """A tablet whose every answer takes until a given moment; the probe after the last waits for ever."""

    def __init__(self, clock: SettableTime, answers: list[tuple[float, float, Answer]]) -> None:
        self._clock = clock
        self._answers = answers

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        _, ends, answer = self._answers.pop(0)
        self._clock.seconds = ends
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ping(self, tablet: TabletRecord) -> None:
        raise SILENT

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        await asyncio.Event().wait()
        raise SILENT
        yield


def probed(name: str, kind: TabletType, *answers: tuple[float, float, Answer]) -> list[TabletView]:
    """Return the views after probes that began and ended at these moments."""
    clock, views = SettableTime(), [TabletView(record=record(name, kind))]
    left = list(answers)

    async def main() -> None:
        over = asyncio.Event()

        def changed(before: TabletView, after: TabletView) -> None:
            views.append(after)
            if not left:
                over.set()
                return
            clock.seconds = left[0][0]
            probe.ask_now()

        clock.seconds = left[0][0]
        its_record = record(name, kind, term=10 if kind is TabletType.PRIMARY else 0)
        probe = TabletProbe(its_record, cast(TabletManager, Tablet(clock, left)), OnTimeClock(clock), changed)
        probing = asyncio.create_task(probe.run(ProbePace))
        await over.wait()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)

    run(main())
    return views[1:]


def test_a_primary_at_work_is_remembered() -> None:
    """The view of a primary keeps what was seen of it in its term, whatever it answers later, or if it falls silent."""
    returned = replace(AT_WORK, read_only=True, executed=gtids("100:1-9"))
    views = probed(
        P,
        TabletType.PRIMARY,
        (1, 1.1, AT_WORK),
        (2, 2.1, MYSQL_DOWN),
        (3, 3.1, returned),
        (4, 4.1, TabletStatus(disk_stalled=True)),
        (5, 5.1, SILENT),
    )
    terms = {view.memory.observed_term for view in views}
    assert len(terms) == 1
    observed_term = terms.pop()
    assert observed_term is not None
    assert (observed_term.term, observed_term.seen_at, observed_term.executed) == (10, 1, gtids("100:1-50"))


@pytest.mark.parametrize(
    ("answers", "until"),
    [
        pytest.param([OFF], [None], id="never"),
        pytest.param([ON, ON], [math.inf, math.inf], id="still"),
        pytest.param([ON, OFF, OFF], [math.inf, 2.5, 2.5], id="until it was seen to be off"),
        pytest.param([ON, OFF, ON], [math.inf, 2.5, math.inf], id="again"),
        pytest.param([ON, MYSQL_DOWN, SILENT], [math.inf, 2.5, 2.5], id="until its MySQL was found down"),
        pytest.param([ON, SILENT], [math.inf, math.inf], id="not known while it is silent"),
        pytest.param([ON, replace(ON, replication=None)], [math.inf, 2.5], id="until it had no source"),
        pytest.param([ON, TabletStatus(disk_stalled=True)], [math.inf, math.inf], id="a stalled disk tells nothing"),
        pytest.param([ON, QUIET], [math.inf, math.inf], id="an answer without settings tells nothing"),
    ],
)
def test_until_when_a_tablet_may_have_acknowledged(answers: list[Answer], until: list[float | None]) -> None:
    """While its side of semi-sync was on, up to the end of the probe that found it off."""
    views = probed(
        R1, TabletType.REPLICA, *((second, second + 0.5, answer) for second, answer in enumerate(answers, 1))
    )
    assert [view.memory.may_ack_until for view in views] == until


@pytest.mark.parametrize(
    ("answers", "until"),
    [
        pytest.param([OFF, ON, OFF], [1.5, 1.5, 1.5], id="its first answer tells how it is"),
        pytest.param([SILENT, MYSQL_DOWN, OFF], [1, 1, 3.5], id="until it is heard, its record alone is known"),
        pytest.param([TabletStatus(disk_stalled=True), OFF], [1, 2.5], id="a stalled disk tells nothing"),
    ],
)
def test_until_when_nothing_is_known_of_a_tablet(answers: list[Answer], until: list[float]) -> None:
    """A vtorc that starts knows how a tablet is from the moment it has read its record and taken its first answer."""
    views = probed(R1, TabletType.SPARE, *((second, second + 0.5, answer) for second, answer in enumerate(answers, 1)))
    assert [view.memory.unknown_until for view in views] == until


def test_the_server_that_ran_under_an_alias_before_is_remembered() -> None:
    """An answer of another server replaces the one before; the first is not gone any more once it answers again."""
    first, second = uuid(101), uuid(901)
    other, nameless = replace(OFF, server_uuid=second), replace(OFF, server_uuid="")
    views = probed(R1, TabletType.REPLICA, *((at, at + 0.5, each) for at, each in enumerate([ON, nameless, other, ON])))
    assert [view.memory.server_uuid for view in views] == [first, first, second, first]
    gone = [dict(view.memory.replaced_servers) for view in views]
    assert gone == [
        {},
        {},
        {first: ReplacedServer(successor=second, gone_at=2.5, acked_until=1.5)},
        {second: ReplacedServer(successor=first, gone_at=3.5, acked_until=1.5)},
    ]


def test_since_when_a_disk_is_stalled() -> None:
    """From the first answer that says so, over failures, until an answer says otherwise."""
    stalled = TabletStatus(disk_stalled=True)
    told: list[Answer] = [AT_WORK, stalled, stalled, SILENT, stalled, AT_WORK]
    views = probed(P, TabletType.PRIMARY, *((second, second + 0.5, answer) for second, answer in enumerate(told, 1)))
    assert [view.memory.disk_stalled_since for view in views] == [None, 2, 2, 2, 2, None]


def test_what_was_told_before_the_disk_stalled_stays_known() -> None:
    """Until an answer tells more again; a tablet that was never heard otherwise tells of its stalled disk alone."""
    stalled, now = TabletStatus(disk_stalled=True), replace(AT_WORK, log_bin=False)
    told: list[Answer] = [stalled, AT_WORK, stalled, SILENT, stalled, now]
    views = probed(P, TabletType.PRIMARY, *((second, second + 0.5, answer) for second, answer in enumerate(told, 1)))
    assert [view.told for view in views] == [stalled, AT_WORK, AT_WORK, AT_WORK, AT_WORK, now]


def test_a_failure_is_known_when_its_probe_has_ended() -> None:
    """A probe may begin long before MySQL goes down, and then find the end of a server that lived meanwhile."""
    died = probed(R3, TabletType.REPLICA, (0, 0.1, ON), (10, 14.9, MYSQL_DOWN), (15.05, 15.1, MYSQL_DOWN))[-1]
    alive = replace(AT_WORK, executed=gtids("100:1-50"))
    lost = probed(P, TabletType.PRIMARY, (0, 0.2, alive), (11.5, 11.6, alive), (14.95, 15, MYSQL_DOWN))[-1]
    assert (died.failing_since, died.last_probe.same_failure_since) == (10, 14.9)
    counts = client_count(asked_at=11.5, told_at=11.6, explained_at=11.5)
    view = shard(lost, replica(R1), replica(R2), died, client_count=counts)
    reached = {alias(name): stopped(name, "100:1-50") for name in (R1, R2)}
    assert isinstance(choose(candidate_set(view, SEMI_SYNC, reached), SEMI_SYNC), Refusal)
    down_before = changed(died, same_failure_since=10.0)
    view = shard(lost, replica(R1), replica(R2), down_before, client_count=counts)
    assert isinstance(choose(candidate_set(view, SEMI_SYNC, reached), SEMI_SYNC), Choice)


def test_types_that_a_record_had_are_remembered() -> None:
    """Each former type has the begin of the last reading that found it, and when the first without it was
    taken over.
    """

    async def main() -> dict[TabletType, FormerType]:
        clock, view = SettableTime(), shard()

        def reading(at: float, kind: TabletType) -> ShardTopology:
            return ShardTopology(
                read_at=at,
                cells=frozenset({"zone1"}),
                keyspace_record=view.keyspace_record,
                shard_record=view.shard_record,
                tablets=(record(R1, kind),),
            )

        silent = cast(TabletManager, Tablet(clock, [(0, 0, SILENT)] * 9))
        watch = ShardWatch(view.shard, reading(1, TabletType.REPLICA), silent, OnTimeClock(clock), ProbePace)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(0)
        for at, kind in ((2, "replica"), (3, "backup"), (4, "backup"), (5, "rdonly")):
            clock.seconds = at + 0.5
            watch.update(reading(at, TabletType.parse(kind)))
        found = watch.view().tablets[0].memory.former_types
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return dict(found)

    assert run(main()) == {TabletType.REPLICA: FormerType(2, 3.5), TabletType.BACKUP: FormerType(4, 5.5)}


def test_a_restart_forgets_nothing_of_a_tablet_that_was_known_until_then() -> None:
    """Its type of before is a former one, its acknowledgements ended when vtorc heard so, and it needs no new proof."""

    async def main() -> list[TabletMemory]:
        clock, view, found = SettableTime(), shard(), []
        acked = replace(TabletMemory(), was_heard=True, unknown_until=-math.inf, may_ack_until=math.inf)
        remembered = RememberedTablet(TabletType.REPLICA, 90.0, acked)

        def reading(at: float, *names: str) -> ShardTopology:
            tablets = tuple(record(name, TabletType.DRAINED) for name in names)
            return ShardTopology(
                read_at=at,
                cells=frozenset({"zone1", "zone2"}),
                keyspace_record=view.keyspace_record,
                shard_record=view.shard_record,
                tablets=tablets,
            )

        silent = cast(TabletManager, Tablet(clock, [(0, 0, SILENT)] * 9))
        tablets = {alias(R1): remembered, alias(R2): remembered}
        kept = ShardMemory(wall=100 * 10**9, now=100.0, real=100.0, tablets=tablets)
        keeper = MemoryKeeper(Forgetful(), {view.shard: kept})
        clock.seconds = 100.0
        watch = ShardWatch(view.shard, reading(99, R1), silent, OnTimeClock(clock), ProbePace, keeper=keeper)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(0)
        found.append(watch.view().tablets[0].memory)
        for clock.seconds, names in ((110.0, (R1, R2)), (120.0, (R2,)), (130.0, (R1, R2))):
            watch.update(reading(clock.seconds, *names))
            assert set(watch.memory().tablets) == {alias(R1), alias(R2)}
        found += [tablet.memory for tablet in watch.view().tablets]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return found

    at_once, back, late = run(main())
    assert (at_once.unknown_until, at_once.may_ack_until) == (-math.inf, math.inf)
    assert at_once.former_types == {TabletType.REPLICA: FormerType(last_found_at=90.0, gone_at=100.0)}
    assert (back.unknown_until, back.was_heard, back.former_types) == (130.0, False, at_once.former_types)
    assert (late.unknown_until, late.was_heard, late.may_ack_until) == (110.0, False, math.inf)


def test_the_unknown_clients_of_a_primary_outlive_the_process() -> None:
    """They are kept at once, and what was kept holds until the next count."""

    async def main() -> tuple[list[ShardMemory], int]:
        clock, view, store = SettableTime(), shard(), Noting()
        reading = ShardTopology(
            read_at=0.0,
            cells=frozenset({"zone1"}),
            keyspace_record=view.keyspace_record,
            shard_record=view.shard_record,
            tablets=(record(P, TabletType.PRIMARY, term=10),),
        )
        counts = replace(AT_WORK, semi_sync=replace(AT_WORK.semi_sync, timeout=10**18, primary_clients=1))
        for answer in (counts, SILENT):
            keeper = MemoryKeeper(store, {view.shard: store.saved[-1]} if store.saved else {})
            tablets = cast(TabletManager, Tablet(clock, [(0.0, 0.1, answer)] * 99))
            watch = ShardWatch(view.shard, reading, tablets, OnTimeClock(clock), ProbePace, keeper=keeper)
            watching = asyncio.create_task(watch.run())
            await asyncio.sleep(1.0)
            unknown = unexplained_clients(watch.view(), alias(P))
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return store.saved, unknown

    saved, unknown = run(main())
    assert saved[0].tablets[alias(P)].memory.unknown_clients == 1
    assert unknown == 1


def test_a_client_that_may_be_a_silent_tablet_outlives_the_process_as_an_unknown_one() -> None:
    """The next process knows no count in which that tablet was none."""

    class OnePrimary(Tablet):
        """Answers for the primary alone."""

        async def full_status(self, tablet: TabletRecord) -> TabletStatus:
            if tablet.alias != alias(P):
                raise SILENT
            return await super().full_status(tablet)

    async def main() -> tuple[list[ShardMemory], int]:
        clock, view, store = SettableTime(), shard(), Noting()
        reading = ShardTopology(
            read_at=0.0,
            cells=frozenset({"zone1"}),
            keyspace_record=view.keyspace_record,
            shard_record=view.shard_record,
            tablets=(record(P, TabletType.PRIMARY, term=10), record(R1, TabletType.RDONLY)),
        )
        settings = replace(AT_WORK.semi_sync, timeout=10**18)
        answers: list[tuple[float, float, Answer]] = [
            (0.0, at + 1.0, replace(AT_WORK, semi_sync=replace(settings, primary_clients=min(at, 1))))
            for at in range(99)
        ]
        keeper = MemoryKeeper(store, {})
        tablets = cast(TabletManager, OnePrimary(clock, answers))
        watch = ShardWatch(view.shard, reading, tablets, OnTimeClock(clock), ProbePace, keeper=keeper)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(20.0)
        unknown = unexplained_clients(watch.view(), alias(P))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return store.saved, unknown

    saved, unknown = run(main())
    assert unknown == 0
    assert saved[-1].tablets[alias(P)].memory.unknown_clients == 1


@pytest.mark.parametrize(
    ("readable", "unreachable"),
    [((R1,), {"zone2": "down"}), ((), {"zone1": "down"})],
    ids=["that of the acker is not read", "that of the primary is not read"],
)
def test_an_acker_whose_record_was_deleted_before_a_restart_is_an_unknown_client(
    readable: tuple[str, ...], unreachable: dict[str, str]
) -> None:
    """So is one whose record was deleted before the primary was counted, or was known. The next restart counts neither
    again.
    """

    async def main() -> list[int]:
        clock, view, store, found = SettableTime(), shard(), Noting(), []
        remembered = RememberedTablet(TabletType.REPLICA, 90.0, TabletMemory(was_heard=True, may_ack_until=math.inf))
        tablets = {alias(name): remembered for name in (P, R1, R2, R3)}
        tablets[alias(R3)] = replace(remembered, record_is_gone=True)
        store.saved.append(ShardMemory(wall=0, now=0.0, real=0.0, tablets=tablets))

        def reading(at: float, *names: str, **unreachable: str) -> ShardTopology:
            return ShardTopology(
                read_at=at,
                cells=frozenset({"zone1", "zone2", "zone3"}),
                keyspace_record=view.keyspace_record,
                shard_record=view.shard_record,
                tablets=(
                    *(record(name, TabletType.PRIMARY, term=10) for name in (P,) if "zone1" not in unreachable),
                    *(record(name, TabletType.REPLICA) for name in names),
                ),
                unreachable_cells=unreachable,
            )

        for first in (reading(1, *readable, **unreachable), reading(1)):
            silent = cast(TabletManager, Tablet(clock, [(0, 0, SILENT)] * 9))
            keeper = MemoryKeeper(store, {view.shard: store.saved[-1]})
            watch = ShardWatch(view.shard, first, silent, OnTimeClock(clock), ProbePace, keeper=keeper)
            watching = asyncio.create_task(watch.run())
            await asyncio.sleep(0)
            found.append(unexplained_clients(watch.view(), alias(P)))
            watch.update(reading(2))
            found.append(unexplained_clients(watch.view(), alias(P)))
            keeper.close()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return found

    assert run(main()) == [0, 2, 2, 2]


class Noting:
    """A store that remembers what it was told to keep."""

    def __init__(self) -> None:
        self.saved: list[ShardMemory] = []

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        self.saved.append(memory)

    def forget(self, shard: ShardId) -> None:
        pass


class Forgetful:
    """A store that keeps nothing."""

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        pass

    def forget(self, shard: ShardId) -> None:
        pass


def test_a_server_that_was_seen_with_filters_is_remembered_until_it_is_another() -> None:
    """The gaps that filters leave stay when the filters go; a rebuilt server has another UUID."""
    replication = ACKS.replication
    assert replication is not None
    filtered = replace(ACKS, replication=replace(replication, has_filters=True))
    rebuilt = replace(ACKS, server_uuid=told(primary()).server_uuid)
    stalled = TabletStatus(disk_stalled=True)
    answers: list[Answer] = [ACKS, filtered, ACKS, stalled, SILENT, ACKS, rebuilt]
    views = probed(R1, TabletType.REPLICA, *((at, at + 0.1, answer) for at, answer in enumerate(answers)))
    uuid = ACKS.server_uuid
    assert [view.memory.filtered_server for view in views] == ["", uuid, uuid, uuid, uuid, uuid, ""]
