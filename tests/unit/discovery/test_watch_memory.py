"""How soon the watch of a shard keeps what it learns of the tablets, and what it gives back."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from tests.unit.core.builders import P, alias, gtids
from tests.unit.discovery.watched_shard import (
    R1,
    R2,
    SHARD,
    SILENT,
    TOPOLOGY,
    Tablets,
    not_receiving,
    status_of,
    watching,
)
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.remembered import LONGEST_GAP, RememberedTablet, ShardMemory
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import KeepTime, MemoryKeeper
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.watch import ShardWatch

AT_ONCE, SOON, LATER = KeepTime.AT_ONCE, KeepTime.SOON, KeepTime.LATER
ALL_ASKED = [alias(name) for name in (P, R1, R2)]


class Keeper:
    """A keeper that notes how soon it was told to keep something."""

    def __init__(self) -> None:
        self.notes: list[KeepTime] = []
        self.memory: Callable[[], ShardMemory] | None = None
        self.then: Callable[[], None] = lambda: None
        """What is done at each note."""

    def recall(self, shard: ShardId, clock: OnTimeClock) -> dict[object, RememberedTablet]:
        return {}

    def note(self, shard: ShardId, memory: Callable[[], ShardMemory], keep_time: KeepTime) -> None:
        assert shard == SHARD.shard
        self.memory = memory
        self.notes.append(keep_time)
        self.then()


def noted_after(change: Callable[[ShardWatch, Tablets], object]) -> list[KeepTime]:
    """Return how soon something is kept that is learnt by asking one replica after a change."""
    keeper = Keeper()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert AT_ONCE in keeper.notes
        keeper.notes.clear()
        change(watch, tablets)
        await watch.refresh(1.0, leave_out=[alias(P), alias(R2)])
        watch.hurry(since=None)
        assert keeper.memory is not None
        assert keeper.memory() == watch.memory()

    watching(test, keeper=cast(MemoryKeeper, keeper))
    return keeper.notes


def nothing(watch: ShardWatch, tablets: Tablets) -> None:
    """Change nothing."""


def further(watch: ShardWatch, tablets: Tablets) -> None:
    """Let the replica have received more."""
    tablets.answers[R1] = replace(status_of(R1), executed=gtids("100:1-60"))


def another_server(watch: ShardWatch, tablets: Tablets) -> None:
    """Let another server answer for the replica."""
    tablets.answers[R1] = replace(status_of(R1), server_uuid="another")


def read_again(watch: ShardWatch, tablets: Tablets) -> None:
    """Read the same records again."""
    watch.update(replace(TOPOLOGY, read_at=1.0))


def drained(watch: ShardWatch, tablets: Tablets) -> None:
    """Read another type of the replica."""
    record = replace(TOPOLOGY.tablets[1], type=TabletType.DRAINED)
    watch.update(replace(TOPOLOGY, read_at=1.0, tablets=(TOPOLOGY.tablets[0], record, TOPOLOGY.tablets[2])))


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (nothing, [LATER]),
        (further, [SOON]),
        (another_server, [AT_ONCE]),
        (read_again, [LATER] * 2),
        (drained, [LATER, AT_ONCE, LATER]),
    ],
)
def test_what_is_learnt_is_kept_the_sooner_the_more_it_tells(
    change: Callable[[ShardWatch, Tablets], object], notes: list[KeepTime]
) -> None:
    """Another server or another type can be learnt only once. A reading tells of a primary, and of other changes."""
    assert noted_after(change) == notes


def test_a_failure_that_teaches_nothing_is_not_kept() -> None:
    """Otherwise a lost cell would have each of its tablets written several times a second."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers[R1] = SILENT
        await watch.refresh(1.0, leave_out=[alias(P), alias(R2)])
        await asyncio.sleep(1.0)
        tablets.answers.update({P: SILENT, R2: SILENT})
        await asyncio.sleep(1.0)
        keeper.notes.clear()
        await asyncio.sleep(5.0)
        assert tablets.asked_since_last() == {P, R1, R2}
        assert keeper.notes == []

    keeper = Keeper()
    watching(test, keeper=cast(MemoryKeeper, keeper))


def test_the_unknown_clients_of_a_primary_are_kept_once() -> None:
    """At once when their number changes; the same number again is not kept again."""
    keeper = Keeper()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        status = status_of(P)
        keeper.notes.clear()
        tablets.answers[P] = replace(status, semi_sync=replace(status.semi_sync, primary_clients=3))
        changes, explained = watch.changes, watch.view().tablets[0].memory.clients_explained
        for _ in range(4):
            await watch.refresh(1.0)
            await asyncio.sleep(1.0)
        assert not explained
        assert watch.view().tablets[0].memory.clients_explained
        assert watch.changes > changes
        assert AT_ONCE in keeper.notes
        assert watch.view().tablets[0].memory.unknown_clients == 1
        assert watch.memory().tablets[alias(P)].memory.unknown_clients == 1
        keeper.notes.clear()
        await watch.refresh(1.0)
        assert keeper.notes == [LATER] * 3

    watching(test, keeper=cast(MemoryKeeper, keeper))


def test_a_gap_is_in_the_view_and_is_kept_at_once() -> None:
    """A restart must not make the time known again in which nothing was seen."""
    keeper = Keeper()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers.update({P: SILENT, R1: SILENT, R2: SILENT})
        await asyncio.sleep(LONGEST_GAP + 10.0)
        keeper.notes.clear()
        changes, before = watch.changes, [tablet.memory for tablet in watch.view().tablets]
        assert [memory.unknown_until for memory in before] == [0.0] * 3
        now = asyncio.get_running_loop().time()
        seen: list[list[float]] = []
        keeper.then = lambda: seen.append([tablet.memory.unknown_until for tablet in watch.view().tablets])
        watch.update(replace(TOPOLOGY, read_at=1.0))
        assert watch.changes > changes
        assert keeper.notes[0] is AT_ONCE
        assert seen[0] == [now] * 3
        tablets.answers[R1] = status_of(R1)
        await asyncio.sleep(0.5)
        await watch.refresh(1.0)
        assert watch.view().tablets[0].memory.unheard_until > now

    watching(test, pace=ProbePace(), keeper=cast(MemoryKeeper, keeper))


def test_only_a_deletion_ends_what_is_known_in_a_silence_that_lasts() -> None:
    """Its tablet may have begun to acknowledge unseen; readings that find the same tell of none."""
    keeper = Keeper()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        def unheard() -> set[float]:
            return {each.memory.unheard_until for each in watch.memory().tablets.values()}

        tablets.answers.update({P: SILENT, R1: SILENT, R2: SILENT})
        for read_at in range(1, 5):
            await asyncio.sleep(LONGEST_GAP / 2)
            keeper.notes.clear()
            watch.update(replace(TOPOLOGY, read_at=float(read_at)))
        assert unheard() == {-math.inf}
        assert AT_ONCE not in keeper.notes
        watch.update(replace(TOPOLOGY, read_at=5.0, tablets=TOPOLOGY.tablets[:2]))
        assert unheard() == {asyncio.get_running_loop().time()}
        assert AT_ONCE in keeper.notes

    watching(test, pace=ProbePace(), keeper=cast(MemoryKeeper, keeper))


@pytest.mark.parametrize(("is_read_again", "unknown"), [(False, 1), (True, 0)])
def test_a_deleted_tablet_may_acknowledge_a_primary_that_was_never_counted(is_read_again: bool, unknown: int) -> None:
    """That is kept at once; but one that was deleted after the primary was lost, an operator has given up."""
    keeper = Keeper()

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        await asyncio.sleep(60.0)
        now = asyncio.get_running_loop().time()
        assert watch.view().client_count is None
        if is_read_again:
            watch.update(replace(TOPOLOGY, read_at=now))
        keeper.notes.clear()
        watch.update(replace(TOPOLOGY, read_at=now + 1.0, tablets=TOPOLOGY.tablets[:2]))
        assert watch.view().tablets[0].memory.unknown_clients == unknown
        assert (AT_ONCE in keeper.notes) is bool(unknown)

    left = {alias(R2): RememberedTablet(TabletType.REPLICA, 0.0, TabletMemory(may_ack_until=math.inf))}
    silent: dict[str, TabletStatus | Exception] = {P: SILENT, R1: not_receiving(R1), R2: SILENT}
    found = replace(TOPOLOGY, read_at=-1.0)
    watching(test, keeper=cast(MemoryKeeper, keeper), answers=silent, remembered=left, topology=found, pace=ProbePace())


@pytest.mark.parametrize(("bad_records", "unknown"), [({}, 1), ({alias("zone3-300"): "no record"}, 0)])
def test_a_remembered_tablet_with_an_unreadable_record_is_not_taken_for_deleted(
    bad_records: dict[TabletAlias, str], unknown: int
) -> None:
    """It is there, and its acknowledgements are asked for once its record can be read."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert watch.view().tablets[0].memory.unknown_clients == unknown
        assert watch.memory().tablets[alias("zone3-300")].record_is_gone is bool(unknown)

    left = {alias("zone3-300"): RememberedTablet(TabletType.REPLICA, 0.0, TabletMemory(may_ack_until=math.inf))}
    topology = replace(TOPOLOGY, bad_records=bad_records)
    watching(test, answers={P: SILENT}, remembered=left, topology=topology)


def test_all_times_of_a_memory_are_of_the_moment_at_which_it_was_asked_for() -> None:
    """It has every tablet that is watched, and those that an earlier watch left."""
    left = RememberedTablet(TabletType.REPLICA, 0.0, TabletMemory(server_uuid="left"))

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        await asyncio.sleep(1.5)
        memory = watch.memory()
        assert (memory.wall, memory.now, memory.real) == (0, 2.5, 2.5)
        assert memory.tablets.keys() == {*ALL_ASKED, alias("zone3-300")}
        assert memory.tablets[alias("zone3-300")] == replace(left, record_is_gone=True)
        assert memory.tablets[alias(P)].read_at == TOPOLOGY.read_at

    watching(test, remembered={alias("zone3-300"): left})


def test_what_an_earlier_watch_left_comes_before_what_an_earlier_process_left() -> None:
    """The keeper is not even asked: what it has is older."""

    class Refusing(Keeper):
        """A keeper that must not be asked."""

        def recall(self, shard: ShardId, clock: OnTimeClock) -> dict[object, RememberedTablet]:
            raise AssertionError

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        assert watch.memory().tablets.keys() == set(ALL_ASKED)

    watching(test, keeper=cast(MemoryKeeper, Refusing()), remembered={})


def test_a_watch_counts_what_ended_and_what_changed() -> None:
    """Equal answers count as probes only."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        for _ in range(3):
            await asyncio.sleep(1.0)
            await watch.refresh(1.0)
        changes, revision = watch.changes, watch.revision
        await asyncio.sleep(1.0)
        await watch.refresh(1.0)
        assert (watch.changes, watch.revision) == (changes, revision + 3)
        watch.note_holds()
        assert (watch.changes, watch.revision) == (changes + 1, revision + 4)
        watch.update(replace(TOPOLOGY, read_at=1.0))
        assert (watch.changes, watch.revision) == (changes + 2, revision + 5)

    watching(test)
