"""Read-modify-write of records that other processes write too: compare-and-swap, repeated after a conflict."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from vtorc.errors import BadVersion, NodeExists, NoNode
from vtorc.topo import records
from vtorc.topo.conn import Stored, TopoConn

Record = TypeVar("Record", bound=Message)


async def modify(
    conn: TopoConn, path: str, kind: type[Record], change: Callable[[Record], bool | None], *, create: bool = False
) -> Record:
    """Change a record and return it as changed; fields that this program does not know are kept.

    `change` edits the message in place; if it returns False nothing is written. It is called again with the newer
    record whenever another process wrote in between. A missing record raises NoNode; with `create` it counts as empty.
    """
    while True:
        stored = await _read(conn, path, create)
        message = kind() if stored is None else records.parse(path, stored.contents, kind)
        if change(message) is False:
            return message
        contents = message.SerializeToString(deterministic=True)
        try:
            if stored is None:
                await conn.create(path, contents)
            else:
                await conn.update(path, contents, stored.version)
        except (BadVersion, NodeExists):
            continue
        except NoNode:
            if not create:
                raise
            continue
        return message


async def _read(conn: TopoConn, path: str, create: bool) -> Stored | None:
    try:
        return await conn.get(path)
    except NoNode:
        if not create:
            raise
        return None
