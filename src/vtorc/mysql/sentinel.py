"""Notices the end of a mysqld at once: holds one idle connection to each, and signals when one breaks.

A broken connection proves nothing, since an operator may have killed the session: it is a hint to probe the shard. A
mysqld with a tablet manager that does not answer is asked itself, over another connection.
"""

import asyncio
import zlib
from collections.abc import Callable

import structlog

from vtorc.core.facts.direct_answer import DirectAnswer
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import MysqlError
from vtorc.mysql.direct import ask
from vtorc.mysql.held import CANNOT_CONNECT, HeldConnection, MysqlCredentials, hold

FIRST_PAUSE = 0.2
"""Seconds before the next attempt after a connection broke or failed; doubled each time, up to `LONGEST_PAUSE`."""

LONGEST_PAUSE = 5.0
"""Seconds that this pause grows to."""

REFUSED_PAUSE = 60.0
"""Seconds before the next login to a server that refuses vtorc's account: an operator must change the account first."""

REPORTED_FAILURE = 12
"""Attempts in a row without an answer before the log reports it, about a minute: other parts report a dead mysqld."""

_AT_ONCE = 200
"""Logins under way at a time: with more they would miss their deadline."""

_QUESTIONS_AT_ONCE = 32
"""Questions under way at a time to primaries, and as many to other tablets, so that a lost cell holds up no primary.

Most of them wait for seconds, and each has a quarter of a megabyte of buffers meanwhile.
"""

_log = structlog.get_logger("vtorc.mysql")

_TOO_MANY = ("has no connection free for vtorc", "raise max_connections there, or the limit of the account '{user}'")
_EXPIRED = ("says that the password of '{user}' has expired", "give the account a new one with PASSWORD EXPIRE NEVER")

# By error number (MySQL server error reference): the state of mysqld, and what to do about it.
_REFUSALS = {
    CANNOT_CONNECT: (
        "cannot be reached ({error})",
        "if it runs, check that vtorc's host may connect to this address",
    ),
    1045: (
        "refuses the login of '{user}'",
        "check MySQLTopologyUser and MySQLTopologyPassword, and that the account exists there and may come from this "
        "host; if it needs TLS, set MySQLTopologyUseMutualTLS",
    ),
    1130: ("accepts no login from this host", "create '{user}' there for this host"),
    1129: ("has blocked this host for its broken connections", "run TRUNCATE performance_schema.host_cache there"),
    1040: _TOO_MANY,
    1203: _TOO_MANY,
    1226: _TOO_MANY,
    1820: _EXPIRED,
    1862: _EXPIRED,
    3118: ("has locked the account '{user}'", "run ALTER USER '{user}' ACCOUNT UNLOCK there"),
    3159: (
        "accepts only logins with TLS",
        "set MySQLTopologyUseMutualTLS, turn require_secure_transport off there, or leave MySQLTopologyUser empty",
    ),
}
_OTHER_REFUSAL = ("cannot be logged in to as '{user}': {error}", "check the account on the server")


class MysqlSentinel:
    """Holds at most one connection to each mysqld that it watches."""

    def __init__(self, credentials: MysqlCredentials) -> None:
        self._credentials = credentials
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._for_primaries = asyncio.Semaphore(_QUESTIONS_AT_ONCE)
        self._for_others = asyncio.Semaphore(_QUESTIONS_AT_ONCE)

    async def ask(self, tablet: TabletRecord) -> DirectAnswer:
        """Ask the tablet's mysqld itself; the question waits while too many others are under way."""
        async with self._for_primaries if tablet.type is TabletType.PRIMARY else self._for_others:
            return await ask(tablet.mysql_address, self._credentials)

    async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
        """Hold a connection to the tablet's mysqld until cancelled, and call `lost` each time that it breaks.

        `tablet` returns the record as last read; it is called before each attempt. A failed attempt does not call
        `lost`. The reason why no connection can be made is logged once.
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
            end = await _hold_until_end(held)
            _report(_log.info, record, f"the connection held to mysqld broke ({end}), so the shard is probed now")
            lost()
            await asyncio.sleep(attempts.lost(record, asyncio.get_running_loop().time() - began))


class _Attempts:
    """The outcomes of the attempts to connect to one mysqld: what was reported, and the pause before the next."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._failures = 0
        self._reported: int | None = None

    def succeeded(self, record: TabletRecord) -> None:
        """Count a login."""
        if self._reported is not None:
            self._reported = None
            _report(_log.info, record, "a connection to mysqld is held now, so its end is noticed at once")

    def failed(self, record: TabletRecord, error: MysqlError) -> float:
        """Count a failure, and return the seconds to wait."""
        self._failures += 1
        if error.errno != CANNOT_CONNECT:
            self._report_once(record, error)
            return REFUSED_PAUSE
        if self._failures >= REPORTED_FAILURE and self._reported is None:
            self._report_once(record, error)
        return _pause(record, self._failures - 1)

    def lost(self, record: TabletRecord, lasted: float) -> float:
        """Count a connection that broke after `lasted` seconds, and return the seconds to wait."""
        # The pause grows. A server that ends each session at once would otherwise get logins without end, and keep its
        # shard suspicious.
        self._failures = 0 if lasted >= LONGEST_PAUSE else self._failures + 1
        return _pause(record, self._failures)

    def _report_once(self, record: TabletRecord, error: MysqlError) -> None:
        if error.errno == self._reported:
            return
        self._reported = error.errno
        state, advice = (
            text.format(user=self._user, error=error) for text in _REFUSALS.get(error.errno, _OTHER_REFUSAL)
        )
        _report(_log.warning, record, f"mysqld {state}; {advice}. Until then only probes notice its end")


async def _hold_until_end(held: HeldConnection) -> str:
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
    """Return the doubled pause in seconds, less up to a fifth, so that the tablets of a cell do not return at once."""
    plain = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10))
    return plain * (1 - 0.2 * zlib.crc32(str(record.alias).encode()) / 2**32)
