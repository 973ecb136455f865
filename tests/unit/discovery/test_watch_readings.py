"""What readings of the topology change in the watch of a shard."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from tests.unit.core.builders import CONNECTING, P, alias, held, hold, replica
from tests.unit.discovery.watched_shard import (
    NAMES,
    R1,
    R2,
    SHARD,
    SILENT,
    TOPOLOGY,
    Tablets,
    ask,
    changes_within,
    watching,
)
from vtorc.core.facts.holds import NO_HOLDS, Effect, HoldsOnShard
from vtorc.core.facts.ids import TabletType
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch

WITHOUT_R2 = replace(TOPOLOGY, tablets=TOPOLOGY.tablets[:2])


def test_a_reading_that_began_earlier_is_ignored() -> None:
    """One that began at the same moment is taken over: the readings of two cells may."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.update(replace(WITHOUT_R2, read_at=5.0))
        revision = watch.revision
        assert list(watch.aliases) == [alias(P), alias(R1)]
        watch.update(replace(TOPOLOGY, read_at=4.9))
        assert list(watch.aliases) == [alias(P), alias(R1)]
        assert watch.revision == revision
        watch.update(replace(TOPOLOGY, read_at=5.0))
        assert list(watch.aliases) == [alias(P), alias(R1), alias(R2)]
        assert watch.revision > revision

    watching(test)


@pytest.mark.parametrize(
    ("reading", "names"),
    [
        pytest.param(WITHOUT_R2, {P, R1}, id="deleted"),
        pytest.param(
            replace(WITHOUT_R2, unreachable_cells={"zone2": "no route"}), {P, R1, R2}, id="its cell is unread"
        ),
        pytest.param(
            replace(WITHOUT_R2, unreachable_cells={"zone1": "no route"}), {P, R1}, id="another cell is unread"
        ),
        pytest.param(
            replace(WITHOUT_R2, bad_records={alias(R2): "no record"}), {P, R1, R2}, id="its record is unreadable"
        ),
        pytest.param(replace(WITHOUT_R2, bad_records={alias(R1): "no record"}), {P, R1}, id="another is unreadable"),
    ],
)
def test_only_a_tablet_whose_record_was_deleted_is_asked_no_more(reading: ShardTopology, names: set[str]) -> None:
    """Its health stream is closed as well, and the view has it no more."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.update(replace(reading, read_at=1.0))
        await asyncio.sleep(3000.0)
        assert tablets.asked_since_last() == names
        assert tablets.streams.keys() == names
        assert {NAMES[tablet.alias] for tablet in watch.view().tablets} == names

    watching(test)


def test_what_was_remembered_of_a_deleted_tablet_is_kept() -> None:
    """Its server may come back under the same alias."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        before = watch.memory().tablets[alias(R2)]
        watch.update(replace(WITHOUT_R2, read_at=1.0))
        assert watch.memory().tablets[alias(R2)] == replace(before, record_is_gone=True)

    watching(test)


def test_a_reading_is_told_of_and_is_in_the_view() -> None:
    """Its records, and what it could not read, are judged at once."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        before, changes = watch.view(), watch.changes
        reading = replace(
            TOPOLOGY,
            read_at=1.0,
            tablets=(TOPOLOGY.tablets[0], replace(TOPOLOGY.tablets[1], type=TabletType.DRAINED), TOPOLOGY.tablets[2]),
            unreachable_cells={"zone2": "no route"},
            bad_records={alias("zone2-201"): "no record"},
            keyspace_record=replace(TOPOLOGY.keyspace_record, durability_policy="cross_cell"),
            shard_record=replace(TOPOLOGY.shard_record, primary_term_start=77),
        )
        watch.update(reading)
        view = watch.view()
        assert view is not before
        assert watch.changes > changes
        assert view.tablets[1].record.type is TabletType.DRAINED
        assert view.tablets[1].memory.former_types.keys() == {TabletType.REPLICA}
        assert (view.keyspace_record, view.shard_record) == (reading.keyspace_record, reading.shard_record)
        assert (view.unreachable_cells, view.bad_records) == (reading.unreachable_cells, reading.bad_records)
        assert view.never_read_cells == frozenset()
        assert await changes_within(watch, 10.0) == [0.0]

    watching(test)


def test_a_tablet_that_was_moved_is_asked_at_its_new_address() -> None:
    """The others are not."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        moved = replace(TOPOLOGY.tablets[1], hostname="elsewhere")
        watch.update(replace(TOPOLOGY, read_at=1.0, tablets=(TOPOLOGY.tablets[0], moved, TOPOLOGY.tablets[2])))
        await asyncio.sleep(1.0)
        assert tablets.asked_since_last() == {R1}

    watching(test)


def test_the_tablets_of_a_view_are_ordered_by_alias() -> None:
    """Also one that is found later than the others."""
    first = replace(TOPOLOGY, tablets=(TOPOLOGY.tablets[2], TOPOLOGY.tablets[0]))

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.update(replace(TOPOLOGY, read_at=1.0))
        assert [tablet.alias for tablet in watch.view().tablets] == [alias(P), alias(R1), alias(R2)]

    watching(test, topology=first)


def test_a_tablet_that_is_found_while_the_shard_is_suspicious_is_asked_in_a_hurry() -> None:
    """What happened to the shard may be seen by it alone."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        watch.suspect()
        watch.update(replace(TOPOLOGY, read_at=1.0))
        await asyncio.sleep(0.7)
        assert tablets.asked.count(R2) == 5

    watching(test, topology=WITHOUT_R2)


def test_clients_of_a_primary_are_counted_with_its_answers() -> None:
    """A client whose record is deleted is an unknown server from then on, and that is remembered of the primary."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        count = watch.view().client_count
        assert count is not None
        assert (count.primary, count.clients, count.unexplained) == (alias(P), 2, 0)
        watch.update(replace(WITHOUT_R2, read_at=1.0))
        count = watch.view().client_count
        assert count is not None
        assert count.unexplained == 1
        assert watch.view().tablets[0].memory.unknown_clients == 1

    watching(test)


@pytest.mark.parametrize(
    ("before", "unknown"),
    [
        pytest.param(TOPOLOGY, 0, id="it was found after the loss"),
        pytest.param(replace(WITHOUT_R2, bad_records={alias(R2): "no record"}), 0, id="it was found, and unreadable"),
        pytest.param(replace(WITHOUT_R2, unreachable_cells={"zone2": "no route"}), 1, id="its cell was unread"),
    ],
)
def test_a_record_that_was_last_found_before_the_loss_may_have_been_deleted_before_it(
    before: ShardTopology, unknown: int
) -> None:
    """Its server may have acknowledged then. A reading that misses a cell finds none of its records."""

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.answers |= {P: SILENT, R2: SILENT}
        connecting = replica(R1, io=CONNECTING).status
        assert connecting is not None
        tablets.answers[R1] = connecting
        for name in (P, R2, R1):
            await ask(watch, name)
        watch.update(replace(before, read_at=100.0))
        watch.update(replace(WITHOUT_R2, read_at=200.0))
        count = watch.view().client_count
        assert count is not None
        assert count.unexplained == unknown

    watching(test)


def test_a_count_of_clients_waits_two_calm_intervals_for_the_other_tablets() -> None:
    """The primary counts more often than they answer; after that time its next count takes the place of this one."""
    often = ProbePace(calm_interval=100.0, calm_deadline=1000.0, primary_interval=1.0)

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        tablets.takes[R1] = 900.0
        await asyncio.sleep(often.calm_interval)
        moments = set[float]()
        for _ in range(600):
            await asyncio.sleep(1.0)
            count = watch.view().client_count
            assert count is not None
            moments.add(count.asked_at)
        gaps = [after - before for before, after in itertools.pairwise(sorted(moments))]
        assert gaps[-2:] == [pytest.approx(2 * often.calm, abs=2.0)] * 2

    watching(test, pace=often)


def test_holds_and_standing_limits_are_in_the_view() -> None:
    """The limits of the settings come after the holds of operators, and depend on the records."""
    of_operator, of_settings = held(SHARD, hold(Effect.NO_ALERT)).holds, hold(Effect.NO_REPAIR)
    asked: list[object] = []

    def standing(records: object) -> tuple[object, ...]:
        asked.append(records)
        return (of_settings,)

    async def test(watch: ShardWatch, tablets: Tablets) -> None:
        holds = watch.view().holds
        assert holds == HoldsOnShard(SHARD.shard, (*of_operator.holds, of_settings))
        assert asked[-1] == TOPOLOGY.tablets

    watching(test, holds=lambda shard, names: of_operator if list(names) else NO_HOLDS, standing=standing)
