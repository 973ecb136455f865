"""Sessions that fill a real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vtorc.errors import MysqlError
from vtorc.lab.held_sessions import HeldCommits, TakenConnections
from vtorc.lab.mysql_connection import MysqlConnection, connect
from vtorc.lab.mysqld import Mysqld, MysqldConfig
from vtorc.lab.parts import find_mysqld
from vtorc.lab.ports import Ports


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[Path]:
    """Give the socket of a server that takes writes, and has an empty table."""
    ports = Ports()
    mysqld = Mysqld(MysqldConfig(mysql=find_mysqld(), folder=tmp_path, port=ports.take(), server_id=1))
    try:
        await mysqld.start()
        session = await connect(mysqld.socket)
        for statement in (
            "SET GLOBAL read_only = OFF",
            "CREATE DATABASE held",
            "CREATE TABLE held.rows_of_it (id INT)",
        ):
            await session.run(statement)
        session.close()
        yield mysqld.socket
    finally:
        await mysqld.kill()
        ports.release()


async def test_held_commits_wait_and_reads_are_answered(socket: Path) -> None:
    """An insert is over only after the end of the hold, and a query in between is answered."""
    writing, reading = await connect(socket), await connect(socket)
    commits = HeldCommits(await connect(socket))
    await commits.begin()
    insert = asyncio.create_task(writing.run("INSERT INTO held.rows_of_it VALUES (1)"))
    while "Waiting for" not in str(await reading.rows("SHOW PROCESSLIST")):
        assert not insert.done()
    assert await reading.value("SELECT COUNT(*) FROM held.rows_of_it") == "0"
    await commits.end()
    await insert
    assert await reading.value("SELECT COUNT(*) FROM held.rows_of_it") == "1"


async def test_a_server_without_connections_refuses_new_ones_and_keeps_those_of_applications(socket: Path) -> None:
    """Neither an application nor the administrator gets a new connection until the end; the tablet's are gone."""
    application, of_tablet = await connect(socket, user="vt_app"), await connect(socket)
    connections = TakenConnections(await connect(socket), await connect(socket))
    await connections.begin()
    for user in ("vt_app", "vt_dba"):
        with pytest.raises(MysqlError, match="Too many connections"):
            await connect(socket, user=user)
    assert await application.value("SELECT 1") == "1"
    with pytest.raises(MysqlError):
        await of_tablet.run("SELECT 1")
    await connections.end()
    assert await _limit(await connect(socket)) > 1


async def _limit(session: MysqlConnection) -> int:
    return int(await session.value("SELECT @@global.max_connections"))
