"""The driver's errors, and a cancellation, while a connection is made."""

import asyncio
from pathlib import Path

import pytest
from asyncmy import errors as driver

from tests.cancelling import cancel_after
from tests.unit.mysql.fake_mysqld import Conversation, fake_mysqld
from vtorc.errors import MysqlError
from vtorc.lab import mysql_connection
from vtorc.lab.mysql_connection import connect


@pytest.mark.parametrize(
    ("raised", "errno"),
    [
        (driver.OperationalError(2003, "Can't connect"), 2002),
        (ConnectionResetError("reset by peer"), 2002),
        (EOFError(), 2002),
        (RuntimeError("Transport does not expose socket instance"), 2002),
        (driver.OperationalError(1045, "Access denied"), 1045),
    ],
)
async def test_every_error_of_the_driver_is_a_mysql_error(
    raised: Exception, errno: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that cannot be reached, or that ends during the connect, counts as down; the server's own errors keep
    their number.
    """

    class Failing:
        def __init__(self, **settings: object) -> None:
            pass

        async def connect(self) -> None:
            raise raised

    monkeypatch.setattr(mysql_connection, "_Connection", Failing)
    with pytest.raises(MysqlError) as caught:
        await connect(host="127.0.0.1", port=3306)
    assert caught.value.errno == errno


async def test_cancelled_connect_to_a_dead_server_ends(tmp_path: Path) -> None:
    """A connect to a dead server ends as cancelled at every step: otherwise a retry loop would never end."""
    ended, steps = False, 0
    while not ended:
        attempt = asyncio.create_task(connect(tmp_path / "mysql.sock"))
        ended = await cancel_after(steps, attempt)
        steps += 1
    with pytest.raises(MysqlError):
        attempt.result()


async def test_cancelled_login_ends_and_leaves_no_session() -> None:
    """Cancelling a login ends it as cancelled at every step, and the server sees the connection closed."""

    async def let_in(talk: Conversation) -> None:
        await talk.let_in()
        await talk.reader.read()

    async with fake_mysqld(let_in) as server:
        host, port = server.address
        ended, steps = False, 0
        while not ended:
            login = asyncio.create_task(connect(host=host, port=port))
            ended = await cancel_after(steps, login)
            steps += 1
        login.result().close()
        for _ in server.conversations:
            await server.over.acquire()
