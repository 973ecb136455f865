"""Watches of records that yield values of the core."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TypeVar

from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import BadRecord, TopoUnsupported
from vtorc.topo import paths, records
from vtorc.topo.conn import RecordChange, Stored, TopoConn, differences, names_in, read_each

Record = TypeVar("Record")
Key = TypeVar("Key")

POLL_SECONDS = 5.0
"""Seconds between two readings of a directory where the server has no watch of it."""


async def follow_record(
    conn: TopoConn, path: str, read: Callable[[str, bytes, Key], Record], key: Key
) -> AsyncGenerator[Record | BadRecord | None, None]:
    """Yield one record now and after each change: None while it does not exist, BadRecord while it is invalid."""
    async with contextlib.aclosing(conn.watch(path)) as changes:
        async for change in changes:
            yield _read(read, change, key)


async def follow_tablets(conn: TopoConn) -> AsyncGenerator[Mapping[TabletAlias, TabletRecord | BadRecord | None], None]:
    """Yield all tablets of a cell, then those that changed; None stands for a deleted one."""
    async with contextlib.aclosing(_changes(conn)) as batches:
        async for changes in batches:
            batch: dict[TabletAlias, TabletRecord | BadRecord | None] = {}
            for change in changes:
                alias = records.alias_of_path(change.path)
                if alias is not None:
                    batch[alias] = _read(records.tablet_record, change, alias)
            yield batch


async def _changes(conn: TopoConn) -> AsyncGenerator[Sequence[RecordChange], None]:
    try:
        async with contextlib.aclosing(conn.watch_prefix(paths.TABLETS)) as batches:
            async for changes in batches:
                yield changes
    except TopoUnsupported:
        async with contextlib.aclosing(_poll(conn)) as batches:
            async for changes in batches:
                yield changes


async def _poll(conn: TopoConn) -> AsyncGenerator[Sequence[RecordChange], None]:
    known: Mapping[str, Stored] = {}
    first = True
    while True:
        files = [paths.tablet_file(name) for name in await names_in(conn, paths.TABLETS)]
        now = await read_each(conn, files)
        changes = differences(known, now)
        if first or changes:
            yield changes
        first, known = False, now
        await asyncio.sleep(POLL_SECONDS)


def _read(read: Callable[[str, bytes, Key], Record], change: RecordChange, key: Key) -> Record | BadRecord | None:
    try:
        return None if change.stored is None else read(change.path, change.stored.contents, key)
    except BadRecord as error:
        return error
