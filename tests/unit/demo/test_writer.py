"""The demo's application, against fake servers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from tests.unit.demo.shards import A, B
from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.ledger import Gap
from vtorc.demo.writer import Writer
from vtorc.errors import MysqlError
from vtorc.lab.tablet_handle import LabTablet
from vtorc.vttablet.sql_session import ResultSet, Row


class FakeServer:
    """A tablet with a server that stores rows, or refuses, delays or loses them."""

    def __init__(self, alias: TabletAlias, *, read_only: bool) -> None:
        self.alias = alias
        self.read_only = read_only
        self.up = True
        self.hangs = False
        self.lose_next_answer = False
        self.has_table = True
        self.looked_for_table = 0
        self.rows: list[int] = []

    async def connect(self) -> "FakeSession":
        if not self.up:
            raise MysqlError("no server listens", errno=2002)
        if self.hangs:
            await asyncio.Event().wait()
        return FakeSession(self)

    def die(self, *, keep_row: bool) -> None:
        """Go down at the next row, with the row stored or not, and without an answer."""
        self.lose_next_answer = True
        self.keep_row = keep_row


class FakeSession:
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self.alive = True

    async def value(self, sql: str) -> str:
        await self._answer()
        if "read_only" in sql:
            return str(int(self._server.read_only))
        return str(len(self._between(sql)))

    async def rows(self, sql: str) -> list[Row]:
        await self._answer()
        if "information_schema" in sql:
            self._server.looked_for_table += 1
            return [{"1": "1"}] if self._server.has_table else []
        return [{"id": str(row)} for row in self._between(sql)]

    async def run(self, sql: str) -> ResultSet:
        await self._answer()
        server = self._server
        if server.read_only:
            raise MysqlError("running with --super-read-only", errno=1290)
        if sql.startswith("CREATE TABLE"):
            server.has_table = True
            return ResultSet()
        if not server.has_table:
            raise MysqlError("Table 'vt_commerce.demo_writes' doesn't exist", errno=1146)
        row = int(sql.split("VALUES (")[1].split(",")[0])
        if server.lose_next_answer:
            server.up = False
            if server.keep_row:
                server.rows.append(row)
            raise MysqlError("the connection broke", errno=2013)
        server.rows.append(row)
        return ResultSet()

    def close(self) -> None:
        self.alive = False

    async def _answer(self) -> None:
        if not self._server.up:
            raise MysqlError("the connection broke", errno=2013)
        if self._server.hangs:
            await asyncio.Event().wait()

    def _between(self, sql: str) -> Sequence[int]:
        words = sql.split()
        if "IN" in words:
            wanted = {int(word.strip("(),")) for word in words[words.index("IN") + 1 :]}
            return [row for row in self._server.rows if row in wanted]
        first, last = int(words[-3]), int(words[-1])
        return [row for row in self._server.rows if first <= row <= last]


@pytest.fixture
def old() -> FakeServer:
    return FakeServer(A, read_only=False)


@pytest.fixture
def new() -> FakeServer:
    return FakeServer(B, read_only=True)


@asynccontextmanager
async def _writing(*servers: FakeServer, on_gap: Callable[[Gap], None] = lambda gap: None) -> AsyncIterator[Writer]:
    writer = Writer([_tablet(server) for server in servers], database="vt_commerce", on_gap=on_gap)
    running = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (the ledger gives no event)
            await asyncio.sleep(0.001)


def _tablet(server: FakeServer) -> LabTablet:
    return cast(LabTablet, server)


async def test_rows_go_to_the_server_that_takes_writes(old: FakeServer, new: FakeServer) -> None:
    """A read-only server gets no rows, and every acknowledged row is stored."""
    async with _writing(old, new) as writer:
        await _until(lambda: writer.ledger.count >= 5)
        assert writer.ledger.last_from == A
        assert new.rows == []
        assert old.rows == list(range(1, writer.ledger.count + 1))
        assert await writer.missing(_tablet(old)) == []
        assert await writer.missing(_tablet(new)) == list(range(1, writer.ledger.count + 1))


@pytest.mark.parametrize("keep_row", [True, False])
async def test_a_row_whose_answer_was_lost_is_in_doubt(old: FakeServer, new: FakeServer, keep_row: bool) -> None:
    """If the primary dies during an insert, the row may be stored or not, so it counts as in doubt."""
    gaps: list[Gap] = []
    async with _writing(old, new, on_gap=gaps.append) as writer:
        await _until(lambda: writer.ledger.count >= 3)
        old.die(keep_row=keep_row)
        await _until(lambda: writer.ledger.in_doubt != [])
        (doubted,) = writer.ledger.in_doubt
        assert await writer.present(_tablet(new), [doubted]) == 0
        new.rows = list(old.rows)
        new.read_only = False
        await _until(lambda: writer.ledger.last_from == B)
        assert await writer.missing(_tablet(new)) == []
        assert await writer.present(_tablet(new), [doubted]) == int(keep_row)
        assert [(gap.last_from, gap.ended_by) for gap in gaps if gap.is_handover] == [(A, B)]


async def test_rows_that_are_gone_are_named(old: FakeServer, new: FakeServer) -> None:
    """For a new primary without some acknowledged rows the writer returns the numbers of these rows."""
    async with _writing(old, new) as writer:
        await _until(lambda: writer.ledger.count >= 5)
        new.rows = [row for row in range(1, 6) if row not in (2, 4)]
        lacking = await writer.missing(_tablet(new))
        assert lacking[:2] == [2, 4]


async def test_a_primary_that_hangs_is_given_up_for_one_that_takes_writes(old: FakeServer, new: FakeServer) -> None:
    """The writer waits for a hanging insert only until another server takes writes; the row is then in doubt."""
    async with _writing(old, new) as writer:
        await _until(lambda: writer.ledger.count >= 3)
        old.hangs = True
        new.read_only = False
        await _until(lambda: writer.ledger.last_from == B)
        assert len(writer.ledger.in_doubt) == 1


async def test_a_server_that_turned_read_only_has_not_stored_the_row(old: FakeServer, new: FakeServer) -> None:
    """A refused row is neither acknowledged nor in doubt."""
    async with _writing(old, new) as writer:
        await _until(lambda: writer.ledger.count >= 3)
        old.read_only, new.read_only = True, False
        await _until(lambda: writer.ledger.last_from == B)
        assert writer.ledger.in_doubt == []


@pytest.mark.parametrize(("has_table", "looks"), [(True, 0), (False, 1)])
async def test_a_new_primary_is_asked_for_the_table_only_if_it_lacks_it(
    old: FakeServer, new: FakeServer, has_table: bool, looks: int
) -> None:
    """The table is replicated; a successor that lost it all the same gets it again."""
    new.has_table = has_table
    async with _writing(old, new) as writer:
        await _until(lambda: writer.ledger.count >= 3)
        old.read_only, new.read_only = True, False
        await _until(lambda: writer.ledger.last_from == B)
        assert (old.looked_for_table, new.looked_for_table) == (1, looks)
