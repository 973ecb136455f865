"""Following records as values of the core, over the watches of a connection."""

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
"""Pause between two readings of a directory where the server cannot tell about changes."""


async def follow_record(
    conn: TopoConn, path: str, read: Callable[[str, bytes, Key], Record], key: Key
) -> AsyncGenerator[Record | BadRecord | None, None]:
    """Follow one record: None while there is none, BadRecord while it makes no sense."""
    async with contextlib.aclosing(conn.watch(path)) as changes:
        async for change in changes:
            yield _read(read, change, key)


async def follow_tablets(conn: TopoConn) -> AsyncGenerator[Mapping[TabletAlias, TabletRecord | BadRecord | None], None]:
    """Follow the tablets of a cell: first all, then those that changed; None for one that is gone."""
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
        files = [f"{paths.TABLETS}/{name}/Tablet" for name in await names_in(conn, paths.TABLETS)]
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
