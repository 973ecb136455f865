"""The demo's application: it inserts a row every few milliseconds on the primary, and keeps a ledger of the answers.

It finds the primary by asking the servers and not vtorc, so that its ledger is independent evidence.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass

from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.ledger import Gap, Ledger
from vtorc.demo.servers import DemoTablet
from vtorc.errors import MysqlError
from vtorc.vttablet.sql_session import SqlSession

INTERVAL = 0.010
"""Seconds between two rows."""

PATIENCE = 0.25
"""Seconds that an insert may take before the writer also looks for another primary; the insert goes on."""

_LOOK_EVERY = 0.02
_LOOK_DEADLINE = 0.5
_READ_ONLY = 1290
_NO_SUCH_TABLE = 1146
_TABLE = "demo_writes"


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """A tablet that took writes when it was asked, with the session to it."""

    tablet: DemoTablet
    session: SqlSession


class Writer:
    """Writes until cancelled; calls `on_gap` with every notable pause once it is over."""

    def __init__(self, tablets: Sequence[DemoTablet], *, database: str, on_gap: Callable[[Gap], None]) -> None:
        self.ledger = Ledger()
        self._tablets = tablets
        self._database = database
        self._on_gap = on_gap
        self._sessions: dict[TabletAlias, SqlSession] = {}
        self._row = 0
        self._has_table = False  # on the primary, and then on each successor

    async def run(self) -> None:
        """Write to the primary, and find the next one when it fails, until cancelled."""
        try:
            target = await self._find()
            while True:
                target = await self._write_to(target) or await self._find()
        finally:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()

    async def _write_to(self, target: WriteTarget) -> WriteTarget | None:
        """Insert row after row until the tablet fails; returns the next one, None if it must be searched for."""
        try:
            if not self._has_table:
                await self._create_table(target)
                self._has_table = True
        except (MysqlError, TimeoutError):
            self._drop(target.tablet)
            return None
        while True:
            began = time.monotonic()
            if (next_target := await self._insert(target)) is not target:
                self._drop(target.tablet)
                return next_target
            await asyncio.sleep(began + INTERVAL - time.monotonic())

    async def _create_table(self, target: WriteTarget) -> None:
        """Create the table unless it exists; it checks first, because CREATE waits for acknowledgements."""
        async with asyncio.timeout(_LOOK_DEADLINE * 10):
            existing = await target.session.rows(
                "SELECT 1 FROM information_schema.tables "
                f"WHERE table_schema = '{self._database}' AND table_name = '{_TABLE}'"
            )
            if not existing:
                await target.session.run(
                    f"CREATE TABLE IF NOT EXISTS {self._database}.{_TABLE} "
                    "(id BIGINT NOT NULL PRIMARY KEY, tablet VARCHAR(64) NOT NULL, "
                    "written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6))"
                )

    async def _insert(self, target: WriteTarget) -> WriteTarget | None:
        """Insert one row and enter the answer in the ledger; returns the tablet for the next row, None if unknown.

        While a primary hangs, or waits for an acknowledgement, its row waits too. The writer gives the row up only
        when another tablet takes writes.
        """
        self._row += 1
        row = self._row
        alias = target.tablet.alias
        insert = f"INSERT INTO {self._database}.{_TABLE} (id, tablet) VALUES ({row}, '{alias}')"
        writing = asyncio.create_task(target.session.run(insert), name=f"write row {row}")
        looking: asyncio.Task[WriteTarget] | None = None
        try:
            done, _ = await asyncio.wait((writing,), timeout=PATIENCE)
            if not done:
                looking = asyncio.create_task(self._find(but_not=(alias,)), name="look for another primary")
                either: tuple[asyncio.Task[object], ...] = (writing, looking)
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not writing.done():
                    self.ledger.doubt(row)
                    return looking.result()
            writing.result()
        except MysqlError as error:
            if error.errno == _NO_SUCH_TABLE:
                self._has_table = False
            if error.errno != _READ_ONLY:
                self.ledger.doubt(row)
            return None
        except asyncio.CancelledError:
            self.ledger.doubt(row)
            raise
        finally:
            await _end(writing, looking)
        self._acknowledged(row, time.monotonic(), alias)
        return target

    def _acknowledged(self, row: int, at: float, alias: TabletAlias) -> None:
        known = len(self.ledger.gaps)
        self.ledger.acknowledge(row, at, alias)
        for gap in self.ledger.gaps[known:]:
            self._on_gap(gap)

    async def _find(self, *, but_not: Collection[TabletAlias] = ()) -> WriteTarget:
        """Ask all servers again and again until one takes writes."""
        while True:
            asking = [
                asyncio.create_task(self._target_at(tablet), name=f"ask {tablet.alias}")
                for tablet in self._tablets
                if tablet.alias not in but_not
            ]
            try:
                for answer in asyncio.as_completed(asking):
                    if (target := await answer) is not None:
                        return target
            finally:
                await _end(*asking)
            await asyncio.sleep(_LOOK_EVERY)

    async def _target_at(self, tablet: DemoTablet) -> WriteTarget | None:
        """Return the tablet with a session to it if its server takes writes, else None."""
        try:
            async with asyncio.timeout(_LOOK_DEADLINE):
                session = self._sessions.get(tablet.alias)
                if session is None or not session.alive:
                    session = self._sessions[tablet.alias] = await tablet.connect()
                if await session.value("SELECT @@global.read_only") == "0":
                    return WriteTarget(tablet, session)
        except (MysqlError, TimeoutError):
            self._drop(tablet)
        return None

    def _drop(self, tablet: DemoTablet) -> None:
        session = self._sessions.pop(tablet.alias, None)
        if session is not None:
            session.close()

    async def missing(self, tablet: DemoTablet) -> list[int]:
        """Return the numbers of the acknowledged rows that `tablet` lacks.

        Rows that are acknowledged during the comparison are left out. Raises MysqlError.
        """
        acknowledged = list(self.ledger.acknowledged)
        missing: list[int] = []
        async with _session(tablet) as session:
            for first, last in acknowledged:
                where = f"FROM {self._database}.{_TABLE} WHERE id BETWEEN {first} AND {last}"
                if int(await session.value(f"SELECT COUNT(*) {where}")) == last - first + 1:
                    continue
                present = {int(row["id"]) for row in await session.rows(f"SELECT id {where}")}
                missing += [row for row in range(first, last + 1) if row not in present]
        return missing

    async def present(self, tablet: DemoTablet, rows: Sequence[int]) -> int:
        """Count how many of these rows `tablet` has; raises MysqlError."""
        if not rows:
            return 0
        listed = ", ".join(map(str, rows))
        async with _session(tablet) as session:
            return int(await session.value(f"SELECT COUNT(*) FROM {self._database}.{_TABLE} WHERE id IN ({listed})"))


@contextlib.asynccontextmanager
async def _session(tablet: DemoTablet) -> AsyncIterator[SqlSession]:
    session = await tablet.connect()
    try:
        yield session
    finally:
        session.close()


async def _end(*tasks: asyncio.Task[object] | None) -> None:
    """Cancel tasks and wait until they have ended, by whatever result."""
    waiting = [task for task in tasks if task is not None]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
