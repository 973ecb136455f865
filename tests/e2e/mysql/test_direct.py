"""Questions to a real mysqld itself, in each state that it can be in."""

from tests.e2e.mysql.test_sentinel import CREDENTIALS, USER, address_of, administered, record_of, status_reaches
from vtorc.core.facts.direct_answer import DirectOutcome
from vtorc.lab.mysql_connection import MysqlConnection
from vtorc.lab.mysql_report import server_report
from vtorc.lab.mysqld import Mysqld
from vtorc.mysql.direct import ask
from vtorc.mysql.held import MysqlCredentials
from vtorc.mysql.sentinel import MysqlSentinel
from vtorc.mysql.survey import show_log

PLAIN = MysqlCredentials("plain", "plain")


async def create_plain(admin: MysqlConnection) -> None:
    """Create an account without any privilege."""
    await admin.run("SET GLOBAL super_read_only = OFF")
    await admin.run("SET GLOBAL read_only = OFF")
    await admin.run("CREATE USER plain IDENTIFIED BY 'plain'")


async def counted(admin: MysqlConnection, name: str) -> int:
    """Return a counter of the server."""
    return int((await admin.row(f"SHOW GLOBAL STATUS LIKE '{name}'"))["Value"])


async def test_a_server_tells_of_itself_what_its_tablet_would_tell(mysqld: Mysqld) -> None:
    """All that MySQL knows is in the answer, and the session leaves the server without an aborted client."""
    async with administered(mysqld) as admin:
        await admin.run("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_AUTO_POSITION=1")
        await admin.run("SET GLOBAL super_read_only = ON")
        clients = await counted(admin, "Connections")
        aborted = await counted(admin, "Aborted_clients")
        answer = await MysqlSentinel(CREDENTIALS).ask(record_of(mysqld))
        assert answer.outcome is DirectOutcome.ANSWERS, answer.text
        assert answer.status is not None
        report = await server_report(admin, show_log(await admin.value("SELECT VERSION()")))
        told, known = answer.status, report
        for name in ("server_id", "server_uuid", "version_comment", "gtid_mode", "log_bin", "binlog_format"):
            assert getattr(told, name) == getattr(known, name), name
        for name in ("read_only", "super_read_only", "executed", "purged", "log_replica_updates", "semi_sync"):
            assert getattr(told, name) == getattr(known, name), name
        assert (told.version, told.replica_net_timeout) == (
            await admin.value("SELECT VERSION()"),
            known.replica_net_timeout,
        )
        assert told.binlog_end is not None
        assert ":".join(map(str, told.binlog_end)) == known.coordinates
        assert told.replication is not None
        assert (told.replication.source_address, told.replication.auto_position) == (("127.0.0.1", 1), True)
        assert await counted(admin, "Connections") == clients + 1
        assert await counted(admin, "Aborted_clients") == aborted


async def test_an_account_without_the_privilege_shows_that_the_server_lives(mysqld: Mysqld) -> None:
    """A statement that is refused is an answer, with MySQL's reason and without a status."""
    async with administered(mysqld) as admin:
        await create_plain(admin)
        answer = await ask(address_of(mysqld), PLAIN)
        assert (answer.outcome, answer.status) == (DirectOutcome.ANSWERS, None)
        assert "REPLICATION CLIENT" in answer.text
        await admin.run("GRANT REPLICATION CLIENT ON *.* TO plain")
        answer = await ask(address_of(mysqld), PLAIN)
        assert answer.status is not None, answer.text


async def test_a_server_that_lets_nobody_in_lives(mysqld: Mysqld) -> None:
    """A wrong password, and a server without a free connection, are told by MySQL's own words."""
    answer = await ask(address_of(mysqld), MysqlCredentials(USER, "wrong"))
    assert answer.outcome is DirectOutcome.REFUSES_LOGIN
    assert f"Access denied for user '{USER}'" in answer.text
    async with administered(mysqld) as admin:
        await create_plain(admin)
        await admin.run("SET GLOBAL max_connections = 1")
        full = await ask(address_of(mysqld), PLAIN)
        assert (full.outcome, full.status) == (DirectOutcome.REFUSES_LOGIN, None)
        await status_reaches(admin, "Connection_errors_max_connections", 1)


async def test_a_stopped_process_and_an_ended_one_are_told_apart(mysqld: Mysqld) -> None:
    """A mysqld that stands still accepts the connection and sends no greeting; one that ended refuses it."""
    mysqld.pause()
    try:
        assert (await ask(address_of(mysqld), CREDENTIALS)).outcome is DirectOutcome.NO_GREETING
    finally:
        mysqld.resume()
    answer = await ask(address_of(mysqld), CREDENTIALS)
    assert answer.outcome is DirectOutcome.ANSWERS, answer.text
    await mysqld.kill()
    assert (await ask(address_of(mysqld), CREDENTIALS)).outcome is DirectOutcome.REFUSED
