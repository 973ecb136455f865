"""Sessions that a lab holds on a mysqld to bring about what no signal can: a full disk, and a full server."""

from vtorc.lab.mysql_connection import MysqlConnection, kill_sessions

_TABLET = "vt_dba"


class HeldCommits:
    """Commits that wait, as those of a MySQL with a full disk do.

    MySQL writes "Waiting for someone to free space" to its log, tries again each minute, and answers reads meanwhile
    (seen with MySQL 9.7 on a full file system). To fill one takes a file system of its own, so a global read lock
    holds the commits.
    """

    def __init__(self, session: MysqlConnection) -> None:
        """Take a session of the administrator."""
        self._session = session

    async def begin(self) -> None:
        """Hold commits from now on, once those under way have ended; raises MysqlError."""
        await self._session.run("FLUSH TABLES WITH READ LOCK")

    async def end(self) -> None:
        """Let the commits go on; a server that has ended meanwhile holds none."""
        self._session.close()


class TakenConnections:
    """All connections of a server, so that it refuses new ones with error 1040 and those that exist go on.

    MySQL keeps one more connection for an administrator than `max_connections` (MySQL manual, "Too many connections"),
    so two sessions are held.
    """

    def __init__(self, first: MysqlConnection, second: MysqlConnection) -> None:
        """Take two sessions of the administrator."""
        self._sessions = (first, second)
        self._before = ""

    async def begin(self) -> None:
        """Refuse new connections from now on, and end the idle ones of the tablet; raises MysqlError.

        A vttablet opens its connections anew from time to time. Those of applications and replicas go on.
        """
        session = self._sessions[0]
        self._before = await session.value("SELECT @@global.max_connections")
        await session.run("SET GLOBAL max_connections = 1")
        own = {str(each.thread_id) for each in self._sessions}
        await kill_sessions(session, lambda thread: thread["User"] == _TABLET and thread["Id"] not in own)

    async def end(self) -> None:
        """Take new connections again; raises MysqlError."""
        try:
            await self._sessions[0].run(f"SET GLOBAL max_connections = {self._before}")
        finally:
            for session in self._sessions:
                session.close()
