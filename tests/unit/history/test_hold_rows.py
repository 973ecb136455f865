"""Holds in the orders file: what was answered is there for the next process, whatever else is in the file."""

import sqlite3
from collections.abc import Iterator, MutableMapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.core.builders import hold
from vtorc.app import orders_file
from vtorc.config.settings import Settings
from vtorc.core.facts.holds import Effect, Purpose
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import OrdersFileError
from vtorc.history.hold_rows import HoldRows
from vtorc.history.orders_file import OrdersFile
from vtorc.orders import open_orders, restored_holds
from vtorc.recovery.record import OperatorRequest

ASKED = OperatorRequest(actor="bob", origin="a socket", reason="all is done")
MADE = hold(
    Effect.NO_FAILOVER,
    Effect.NO_ALERT,
    on="cell:zone1",
    number=0,
    expires=10**18,
    purpose=Purpose.DOWNTIME,
    owner="o\"'",
)


class Clock:
    """A clock before the end of every hold here."""

    def now(self) -> float:
        return 1.0

    def wall(self) -> int:
        return 10**9


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "orders.sqlite")


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Collect the sentences that are logged during a test."""
    sentences: list[str] = []

    def take(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        sentences.append(str(fields["event"]))
        return fields

    with capture_logs([take]):
        yield sentences


def execute(path: str, statement: str) -> None:
    """Change the file as another program may."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def damage(path: str) -> None:
    Path(path).write_bytes(b"a page that a power cut has torn, and that is longer than a header" * 100)


def move_away(path: str) -> None:
    Path(path).rename(f"{path}.aside")


async def test_a_hold_is_read_back_as_it_was_written(path: str) -> None:
    """A number is given once, also after its hold was removed."""
    async with open_orders(path) as file:
        assert file is not None
        rows = HoldRows(file)
        assert await rows.change(add=[MADE, hold(number=0)], remove=()) == [1, 2]
        assert await rows.change(add=[hold(number=0)], remove=[1, 2]) == [3]
        assert await rows.change(add=[MADE], remove=()) == [4]
    async with open_orders(path) as file:
        assert file is not None
        third, fourth = await HoldRows(file).read()
    assert (third, fourth) == (hold(number=3), replace(MADE, number=4))


async def test_a_row_that_makes_no_sense_is_told_and_left_out(path: str, logs: list[str]) -> None:
    """All others are in force: a purpose of a newer vtorc costs one hold, and not all of them."""
    async with open_orders(path) as file:
        assert file is not None
        await HoldRows(file).change(add=[MADE, MADE, MADE, hold(number=0)], remove=())
    execute(path, "UPDATE hold SET scope = 'planet:earth' WHERE id = 1")
    execute(path, "UPDATE hold SET effects = 'no_failover,no_sleep' WHERE id = 2")
    execute(path, "UPDATE hold SET purpose = 'holiday' WHERE id = 3")
    async with open_orders(path) as file:
        assert file is not None
        assert [each.number for each in await HoldRows(file).read()] == [4]
    assert [sentence.partition(" is not in force")[0][-6:] for sentence in logs] == ["hold 1", "hold 2", "hold 3"]


async def test_what_was_ordered_is_in_force_in_the_next_process(path: str, logs: list[str]) -> None:
    """It is there before anything acts."""
    async with open_orders(path) as file:
        book = await restored_holds(file, OnTimeClock(Clock()))
        await book.add(MADE, ASKED)
    async with open_orders(path) as file:
        book = await restored_holds(file, OnTimeClock(Clock()))
        assert [each.number for each in book.holds] == [1]
        assert book.is_lasting
    assert not logs


async def test_vtorc_starts_without_a_file_that_cannot_be_read(path: str, logs: list[str]) -> None:
    """It is told once, and orders are refused until the file is moved away."""
    damage(path)
    async with open_orders(path) as file:
        book = await restored_holds(file, OnTimeClock(Clock()))
        assert len(logs) == 2
        assert logs[1].endswith("started without the holds in it: give those again that still matter")
        with pytest.raises(OrdersFileError, match="move it away"):
            await book.add(MADE, ASKED)
        move_away(path)
        assert (await book.add(MADE, ASKED)).number == 1


async def test_without_a_place_for_a_file_holds_last_as_long_as_vtorc() -> None:
    """The book says so, for the answers to operators."""
    async with open_orders("") as file:
        book = await restored_holds(file, OnTimeClock(Clock()))
        assert (await book.add(MADE, ASKED)).number == 1
        assert not book.is_lasting


def test_the_file_is_beside_the_history(tmp_path: Path) -> None:
    """In the log folder, or beside the file that the operator named."""
    assert orders_file(Settings()) == ""
    assert orders_file(Settings(log_dir=str(tmp_path))) == str(tmp_path / "vtorc-orders.sqlite")
    assert orders_file(Settings(sqlite_data_file=str(tmp_path / "orc.sqlite"))) == str(tmp_path / "orc.sqlite-orders")


def test_a_closed_file_keeps_its_thread_no_longer(path: str) -> None:
    """vtorc ends in order."""
    file = OrdersFile(path)
    file.close()
    assert not file._thread.is_alive()
