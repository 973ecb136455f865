"""Notices the end of a mysqld at once: holds one idle connection to each, and tells when it breaks.

That proves nothing (somebody may have killed the session): it is a reason to look.
"""

import asyncio
import zlib
from collections.abc import Callable

import structlog

from vtorc.core.facts.records import TabletRecord
from vtorc.errors import MysqlError
from vtorc.mysql.held import CANNOT_CONNECT, HeldConnection, MysqlCredentials, hold

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Seconds before a connection that broke, or could not be made, is tried again: doubled each time up to the longest."""

REFUSED_PAUSE = 60.0
"""Seconds before a server that refuses vtorc's account is asked again: a person has to change something first."""

REPORTED_FAILURE = 12
"""Attempts in a row that find nobody before the log says so: about a minute, as a dead mysqld is news of others."""

_AT_ONCE = 200
"""Connections being made at one time: more would make each other miss their deadline."""

_log = structlog.get_logger("vtorc.mysql")

_TOO_MANY = ("has no connection free for vtorc", "raise max_connections there, or the limit of the account '{user}'")
_EXPIRED = ("says that the password of '{user}' has expired", "give the account a new one with PASSWORD EXPIRE NEVER")

# By error number (MySQL server error reference): what is the matter, and what to do about it.
_TROUBLES = {
    CANNOT_CONNECT: (
        "cannot be reached ({error})",
        "if it runs, check that vtorc's host may connect to this address",
    ),
    1045: (
        "does not let '{user}' in",
        "check MySQLTopologyUser and MySQLTopologyPassword, and that the account exists there, may come from this "
        "host and needs no TLS",
    ),
    1130: ("lets nobody in from this host", "create '{user}' there for this host"),
    1129: ("has blocked this host for its broken connections", "run TRUNCATE performance_schema.host_cache there"),
    1040: _TOO_MANY,
    1203: _TOO_MANY,
    1226: _TOO_MANY,
    1820: _EXPIRED,
    1862: _EXPIRED,
    3118: ("has locked the account '{user}'", "run ALTER USER '{user}' ACCOUNT UNLOCK there"),
    3159: (
        "lets nobody in without TLS, which vtorc does not use with mysqld",
        "turn require_secure_transport off there, or leave MySQLTopologyUser empty",
    ),
}
_OTHER_TROUBLE = ("cannot be logged in to as '{user}': {error}", "check the account on the server")


class MysqlSentinel:
    """Holds at most one connection to each mysqld that it is told to watch."""

    def __init__(self, credentials: MysqlCredentials) -> None:
        self._credentials = credentials
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
        """Hold a connection to the tablet's mysqld until cancelled, and call `lost` each time that it breaks.

        `tablet` gives the record as last read; it is asked before each attempt. Attempts that fail are no news and
        call nobody. What keeps a connection from being made is reported once in the log.
        """
        attempts = _Attempts(self._credentials.user)
        while True:
            record = tablet()
            if not _can_be_dialled(record):
                await asyncio.sleep(LONGEST_PAUSE)
                continue
            try:
                async with self._slots:
                    held = await hold(record.mysql_address, self._credentials)
            except MysqlError as error:
                await asyncio.sleep(attempts.failed(record, error))
                continue
            attempts.succeeded(record)
            began = asyncio.get_running_loop().time()
            how = await _stay(held)
            _report(_log.info, record, f"the connection held to mysqld broke ({how}), so the shard is looked at now")
            lost()
            await asyncio.sleep(attempts.lost(record, asyncio.get_running_loop().time() - began))


class _Attempts:
    """How the attempts to connect to one mysqld went, what of it was reported, and how long to wait for the next."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._failures = 0
        self._reported: int | None = None

    def succeeded(self, record: TabletRecord) -> None:
        """Take note of a login."""
        if self._reported is not None:
            self._reported = None
            _report(_log.info, record, "a connection to mysqld is held now, so its end is noticed at once")

    def failed(self, record: TabletRecord, error: MysqlError) -> float:
        """Take note of a failure, and return the seconds to wait."""
        self._failures += 1
        if error.errno != CANNOT_CONNECT:
            self._report_once(record, error)
            return REFUSED_PAUSE
        if self._failures >= REPORTED_FAILURE and self._reported is None:
            self._report_once(record, error)
        return _pause(record, self._failures - 1)

    def lost(self, record: TabletRecord, lasted: float) -> float:
        """Take note that a connection broke after so many seconds, and return those to wait."""
        # A server that lets us in only to throw us out must not be asked, and the shard not be alarmed, all the time.
        self._failures = 0 if lasted >= LONGEST_PAUSE else self._failures + 1
        return _pause(record, self._failures)

    def _report_once(self, record: TabletRecord, error: MysqlError) -> None:
        if error.errno == self._reported:
            return
        self._reported = error.errno
        what, advice = (
            text.format(user=self._user, error=error) for text in _TROUBLES.get(error.errno, _OTHER_TROUBLE)
        )
        _report(_log.warning, record, f"mysqld {what}; {advice}. Until then its end is noticed by polling only")


async def _stay(held: HeldConnection) -> str:
    try:
        return await held.wait_end()
    finally:
        held.close()


def _can_be_dialled(record: TabletRecord) -> bool:
    return not record.is_shut_down and bool(record.mysql_hostname) and record.mysql_port > 0


def _report(log: Callable[..., object], record: TabletRecord, sentence: str) -> None:
    host, port = record.mysql_address
    log(f"{record.alias} ({host}:{port}): {sentence}", shard=str(record.shard_id), tablet=str(record.alias))


def _pause(record: TabletRecord, failures: int) -> float:
    """Seconds to wait, up to a fifth less than the plain doubling, so that a cell's tablets don't return as one."""
    plain = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10))
    return plain * (1 - 0.2 * zlib.crc32(str(record.alias).encode()) / 2**32)
