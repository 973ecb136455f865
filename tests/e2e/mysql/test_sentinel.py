import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.cancelling import cancel_after
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import MysqlError
from vtorc.lab.mysql_connection import MysqlConnection, connect
from vtorc.lab.mysqld import Mysqld
from vtorc.mysql import sentinel as sentinel_module
from vtorc.mysql.held import CANNOT_CONNECT, HeldConnection, MysqlCredentials, hold
from vtorc.mysql.sentinel import MysqlSentinel
from vtorc.mysql.tls import MysqlTls

Logins = asyncio.Queue[HeldConnection]

USER = "orc_client_user"
CREDENTIALS = MysqlCredentials(USER, "orc_client_user_password")


def address_of(mysqld: Mysqld) -> tuple[str, int]:
    """Say where the server listens."""
    return (mysqld.config.host, mysqld.config.port)


def record_of(mysqld: Mysqld) -> TabletRecord:
    """Describe the server as a tablet's."""
    return TabletRecord(
        alias=TabletAlias("zone1", 100),
        keyspace="commerce",
        shard="0",
        type=TabletType.PRIMARY,
        hostname="127.0.0.1",
        grpc_port=1,
        mysql_hostname=mysqld.config.host,
        mysql_port=mysqld.config.port,
    )


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> Logins:
    """Collect the connections that sentinels hold: the server lists a session before the login is over."""
    made = asyncio.Queue[HeldConnection]()

    async def told_hold(address: tuple[str, int], credentials: MysqlCredentials) -> HeldConnection:
        held = await hold(address, credentials)
        made.put_nowait(held)
        return held

    monkeypatch.setattr(sentinel_module, "hold", told_hold)
    return made


@asynccontextmanager
async def watched(
    mysqld: Mysqld, lost: Callable[[], None], credentials: MysqlCredentials = CREDENTIALS
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a sentinel on the server."""
    watching = asyncio.create_task(MysqlSentinel(credentials).watch_server(lambda: record_of(mysqld), lost))
    try:
        yield watching
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@asynccontextmanager
async def administered(mysqld: Mysqld) -> AsyncIterator[MysqlConnection]:
    """Open a session of the server's administrator."""
    admin = await connect(mysqld.socket)
    try:
        yield admin
    finally:
        admin.close()


async def sessions_become(admin: MysqlConnection, number: int, *, without: str = "") -> list[str]:
    """Wait until the sentinel has so many sessions in the server, not counting one that is to go."""
    while True:
        sessions = [row["Id"] for row in await admin.rows("SHOW PROCESSLIST") if row["User"] == USER]
        if len(sessions) == number and without not in sessions:
            return sessions
        await asyncio.sleep(0.02)


async def status_reaches(admin: MysqlConnection, name: str, number: int) -> None:
    """Wait until a counter of the server is at least so high."""
    while True:
        if int((await admin.row(f"SHOW GLOBAL STATUS LIKE '{name}'"))["Value"]) >= number:
            return
        await asyncio.sleep(0.02)


def open_sockets() -> set[str]:
    """List this process' sockets, so that those a test opened are told from what earlier tests left to be collected."""
    sockets = set[str]()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own
            sockets.add(str(link.readlink()))
    return {name for name in sockets if name.startswith("socket:")}


async def test_a_server_that_demands_tls_is_held_with_it(mysqld: Mysqld) -> None:
    """With TLS the login works where clear text is refused, and the end of the server is noticed as well."""
    async with administered(mysqld) as admin:
        await admin.run("SET GLOBAL require_secure_transport = ON")
        with pytest.raises(MysqlError) as refused:
            await hold(address_of(mysqld), CREDENTIALS)
        assert refused.value.errno == 3159
        with pytest.raises(MysqlError):  # MySQL's own certificate is signed by no authority of this host
            await hold(address_of(mysqld), replace(CREDENTIALS, tls=MysqlTls().context()))
        held = await hold(address_of(mysqld), replace(CREDENTIALS, tls=MysqlTls(skip_verify=True).context()))
        assert len(await sessions_become(admin, 1)) == 1
        await mysqld.kill()
        assert await held.wait_end()
        held.close()


async def test_a_killed_server_is_noticed_and_found_again(mysqld: Mysqld, logins: Logins) -> None:
    """The end of mysqld (SIGKILL) is a signal; when it is back it is held again, by one connection."""
    signals = asyncio.Queue[None]()
    async with watched(mysqld, lambda: signals.put_nowait(None)):
        for _ in range(2):
            await logins.get()
            await mysqld.kill()
            await signals.get()
            await mysqld.start()
        await logins.get()
        async with administered(mysqld) as admin:
            await sessions_become(admin, 1)
        assert signals.empty()


async def test_an_orderly_shutdown_is_noticed(mysqld: Mysqld, logins: Logins) -> None:
    """A server that is shut down in order is a signal, too."""
    signals = asyncio.Queue[None]()
    async with watched(mysqld, lambda: signals.put_nowait(None)):
        await logins.get()
        await mysqld.stop()
        await signals.get()


async def test_a_killed_session_is_a_signal_and_replaced(mysqld: Mysqld, logins: Logins) -> None:
    """When somebody kills the session the shard is looked at once, and a new session takes its place."""
    signals = asyncio.Queue[None]()
    async with administered(mysqld) as admin, watched(mysqld, lambda: signals.put_nowait(None)):
        await logins.get()
        [session] = await sessions_become(admin, 1)
        await admin.run(f"KILL {session}")
        await signals.get()
        await logins.get()
        await sessions_become(admin, 1, without=session)
        assert signals.empty()


async def test_a_wrong_password_is_reported_once(mysqld: Mysqld, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the server refuses the account, the log has one sentence, and nobody is alarmed."""
    monkeypatch.setattr(sentinel_module, "REFUSED_PAUSE", 0.01)
    with capture_logs() as logged:
        async with administered(mysqld) as admin, watched(mysqld, pytest.fail, MysqlCredentials(USER, "wrong")):
            await status_reaches(admin, "Aborted_connects", 5)
    [entry] = logged
    assert "mysqld refuses the login of 'orc_client_user'" in entry["event"]


async def test_a_paused_server_is_left_to_the_probes(mysqld: Mysqld, logins: Logins) -> None:
    """A hung mysqld breaks no connection: there is no signal, and the same session is there when it goes on."""
    async with administered(mysqld) as admin, watched(mysqld, pytest.fail) as watching:
        await logins.get()
        before = await sessions_become(admin, 1)
        mysqld.pause()
        with pytest.raises(MysqlError) as caught:
            await hold(address_of(mysqld), CREDENTIALS)
        assert caught.value.errno == CANNOT_CONNECT
        mysqld.resume()
        # The login that was given up may be in the list for a moment.
        assert await sessions_become(admin, 1) == before
        assert not watching.done()


async def test_waiting_costs_nothing(mysqld: Mysqld) -> None:
    """Connections to a server that hangs are waited on without the CPU: less of it goes by than time does."""
    held = [await hold(address_of(mysqld), CREDENTIALS) for _ in range(20)]
    waiting = [asyncio.create_task(one.wait_end()) for one in held]
    mysqld.pause()
    wall, cpu = time.monotonic(), time.thread_time()
    with pytest.raises(MysqlError):
        await hold(address_of(mysqld), CREDENTIALS)
    wall, cpu = time.monotonic() - wall, time.thread_time() - cpu
    mysqld.resume()
    assert cpu < wall / 2
    assert not any(task.done() for task in waiting)
    for one in held:
        one.close()
    await asyncio.gather(*waiting)


async def test_cancelling_leaves_nothing_behind(mysqld: Mysqld, logins: Logins) -> None:
    """A sentinel that is cancelled takes leave of the server: no task, no socket, no session."""
    async with administered(mysqld) as admin:
        sockets = open_sockets()
        async with watched(mysqld, pytest.fail):
            await logins.get()
            assert len(open_sockets() - sockets) == 1
        await sessions_become(admin, 0)
        assert open_sockets() <= sockets
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("password", ["orc_client_user_password", "wrong"])
async def test_cancelling_a_login_leaves_nothing_behind(mysqld: Mysqld, password: str) -> None:
    """At whatever step a login is cancelled, it ends as cancelled, and no session or socket stays."""
    async with administered(mysqld) as admin:
        sockets = open_sockets()
        for steps in range(300):
            login = asyncio.create_task(hold(address_of(mysqld), MysqlCredentials(USER, password)))
            await cancel_after(steps, login)
            if not login.cancelled() and login.exception() is None:
                login.result().close()
        await sessions_become(admin, 0)
        assert open_sockets() <= sockets
