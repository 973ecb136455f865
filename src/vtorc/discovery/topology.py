"""Reads the keyspaces, shards and tablets from the topology server, and notices when they may have changed."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from vtorc.core.facts.clock import Clock
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.errors import NoNode, TopoError, TopoUnsupported
from vtorc.topo.server import TopoServer


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyReading:
    """One reading of the whole cluster; unread parts are named, and never count as gone."""

    shards: dict[ShardId, ShardTopology]
    unread_keyspaces: frozenset[str] = frozenset()
    failures: tuple[str, ...] = ()


@dataclass(slots=True)
class _PartialReading:
    keyspaces: dict[str, KeyspaceRecord] = field(default_factory=dict)
    shards: dict[ShardId, ShardRecord] = field(default_factory=dict)
    tablets: list[TabletRecord] = field(default_factory=list)
    bad_records: dict[TabletAlias, str] = field(default_factory=dict)
    bad_records_of: dict[ShardId, dict[TabletAlias, str]] = field(default_factory=dict)
    unreachable_cells: dict[str, str] = field(default_factory=dict)
    unread_keyspaces: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


CELL_DEADLINE = 2.0
"""Seconds that the topology server of one cell gets to answer.

A lost cell is often the primary's, and the failover must go on without it.
"""


async def read_topology(topo: TopoServer, clock: Clock) -> TopologyReading:
    """Read everything in parallel; raises TopoError only if the list of keyspaces or of cells cannot be read."""
    read_at = clock.now()
    reading = _PartialReading()
    keyspaces, cells = await asyncio.gather(topo.keyspaces(), topo.cells())
    async with asyncio.TaskGroup() as group:
        for cell in cells:  # first, because each asks the global server once and then waits for its own
            group.create_task(_read_cell(topo, cell, reading), name=f"read cell {cell}")
        for keyspace in keyspaces:
            group.create_task(_read_keyspace(topo, keyspace, reading), name=f"read keyspace {keyspace}")
    await _attribute_bad_records(topo, reading)
    return TopologyReading(
        shards=_shards(reading, frozenset(cells), read_at),
        unread_keyspaces=frozenset(reading.unread_keyspaces),
        failures=tuple(sorted(reading.failures)),
    )


def _shards(reading: _PartialReading, cells: frozenset[str], read_at: float) -> dict[ShardId, ShardTopology]:
    tablets: dict[ShardId, list[TabletRecord]] = {}
    for record in sorted(reading.tablets, key=lambda record: record.alias):
        tablets.setdefault(record.shard_id, []).append(record)
    return {
        shard: ShardTopology(
            read_at=read_at,
            cells=cells,
            keyspace_record=reading.keyspaces[shard.keyspace],
            shard_record=record,
            tablets=tuple(tablets.get(shard, ())),
            unreachable_cells=dict(sorted(reading.unreachable_cells.items())),
            bad_records=dict(sorted(reading.bad_records_of.get(shard, {}).items())),
        )
        for shard, record in reading.shards.items()
    }


async def _read_keyspace(topo: TopoServer, name: str, reading: _PartialReading) -> None:
    try:
        reading.keyspaces[name] = await topo.keyspace(name)
        shards = await topo.shards(name)
    except NoNode:
        return
    except TopoError as error:
        reading.unread_keyspaces.add(name)
        reading.failures.append(f"keyspace {name}: {error}")
        return
    for shard in shards:
        try:
            reading.shards[shard] = await topo.shard(shard)
        except NoNode:
            continue
        except TopoError as error:
            reading.unread_keyspaces.add(name)
            reading.failures.append(f"shard {shard}: {error}")


async def _read_cell(topo: TopoServer, cell: str, reading: _PartialReading) -> None:
    try:
        found = await topo.tablets_in_cell(cell, patience=CELL_DEADLINE)
    except TimeoutError:
        reading.unreachable_cells[cell] = f"it did not answer within {CELL_DEADLINE:g} s"
        reading.failures.append(f"cell {cell}: {reading.unreachable_cells[cell]}")
        return
    except TopoError as error:
        reading.unreachable_cells[cell] = str(error)
        reading.failures.append(f"cell {cell}: {error}")
        return
    reading.tablets.extend(found.records)
    reading.bad_records.update(found.bad_records)
    reading.failures += [f"cell {cell}: {path}: {why}" for path, why in found.bad_paths.items()]


async def _attribute_bad_records(topo: TopoServer, reading: _PartialReading) -> None:
    """Find the shards of unreadable records by the shards' own records and lists of tablets.

    An unreadable record does not name its shard. If no shard lists it, it is reported and left out.
    """
    async with asyncio.TaskGroup() as group:
        for cell in sorted({alias.cell for alias in reading.bad_records}):
            group.create_task(_attribute_in_cell(topo, cell, reading), name=f"attribute bad records of {cell}")
    known = {alias for records in reading.bad_records_of.values() for alias in records}
    reading.failures += [
        f"the record of tablet {alias} cannot be read ({reason}), and no shard lists it; it is left out"
        for alias, reason in reading.bad_records.items()
        if alias not in known and alias.cell not in reading.unreachable_cells
    ]


async def _attribute_in_cell(topo: TopoServer, cell: str, reading: _PartialReading) -> None:
    try:
        named = await topo.named_in_cell(cell, reading.shards, patience=CELL_DEADLINE)
    except (TimeoutError, TopoError) as error:
        # Any shard may lack a tablet of this cell then, so that none may take its tablets for complete.
        why = str(error) if isinstance(error, TopoError) else f"it did not answer within {CELL_DEADLINE:g} s"
        reading.unreachable_cells[cell] = f"one of its records cannot be read, and its shard could not be found: {why}"
        reading.failures.append(f"cell {cell}: {reading.unreachable_cells[cell]}")
        return
    for shard, record in reading.shards.items():
        for alias in sorted(reading.bad_records.keys() & {*named.get(shard, ()), record.primary_alias}):
            if alias.cell == cell:
                reading.bad_records_of.setdefault(shard, {})[alias] = reading.bad_records[alias]


async def read_shard(topo: TopoServer, clock: Clock, shard: ShardId) -> ShardTopology:
    """Read one shard afresh; raises TopoError if the record of the keyspace or of the shard cannot be read."""
    read_at = clock.now()
    keyspace, record, found = await asyncio.gather(
        topo.keyspace(shard.keyspace), topo.shard(shard), topo.tablets_of_shard(shard, patience=CELL_DEADLINE)
    )
    return ShardTopology(
        read_at=read_at,
        cells=frozenset(found.cells),
        keyspace_record=keyspace,
        shard_record=record,
        tablets=tuple(sorted(found.records, key=lambda t: t.alias)),
        unreachable_cells=dict(sorted(found.unreachable_cells.items())),
        bad_records=dict(sorted(found.bad_records.items())),
    )


LIST_EVERY = 15.0
"""Seconds between two readings of the lists of cells and keyspaces, which find new ones to watch and those that are
gone.
"""

REWATCH_AFTER = 1.0
"""Seconds until a watch that broke begins again; doubled, up to `LIST_EVERY`, while it breaks at once."""


async def watch_topology(topo: TopoServer, changed: Callable[[], None]) -> None:
    """Call `changed` whenever the record of a tablet or a keyspace has changed, until cancelled."""
    watching: dict[str, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        while True:
            try:
                cells, keyspaces = await asyncio.gather(topo.cells(), topo.keyspaces())
            except TopoError:
                await asyncio.sleep(LIST_EVERY)
                continue
            listed = dict(_watches(topo, cells, keyspaces))
            for name in [name for name in watching if name not in listed]:
                watching.pop(name).cancel()
            for name, watch in listed.items():
                if name not in watching:
                    watching[name] = group.create_task(_watch_for_ever(watch, changed), name=f"follow {name}")
            await asyncio.sleep(LIST_EVERY)


def _watches(
    topo: TopoServer, cells: Sequence[str], keyspaces: Sequence[str]
) -> Iterator[tuple[str, Callable[[], AsyncGenerator[object, None]]]]:
    for cell in cells:
        yield f"tablets of {cell}", functools.partial(topo.watch_tablets, cell)
    for keyspace in keyspaces:
        yield f"keyspace {keyspace}", functools.partial(topo.watch_keyspace_record, keyspace)


async def _watch_for_ever(watch: Callable[[], AsyncGenerator[object, None]], changed: Callable[[], None]) -> None:
    """Watch, and watch again after an error.

    Only the first of several failures counts as a change, because each call of `changed` has everything read.
    """
    works, pause = True, REWATCH_AFTER
    now = asyncio.get_running_loop().time
    while True:
        began = now()
        try:
            async with aclosing(watch()) as changes:
                async for _ in changes:
                    works = True
                    changed()
        except TopoUnsupported:
            return
        except TopoError:
            if works:
                changed()
            works = False
        pause = REWATCH_AFTER if now() - began >= LIST_EVERY else min(2 * pause, LIST_EVERY)
        await asyncio.sleep(pause)
