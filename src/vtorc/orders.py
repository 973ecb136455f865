"""Gives back what operators told the vtorc before, and keeps what they tell this one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from vtorc.control.hold_book import HoldBook, PassingHolds
from vtorc.control.note_book import NoteBook, PassingNotes
from vtorc.control.token_book import TokenBook
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import OrdersFileError
from vtorc.history.hold_rows import HoldRows
from vtorc.history.note_rows import NoteRows
from vtorc.history.orders_file import OrdersFile
from vtorc.history.token_rows import TokenRows

ORDERS_PATIENCE = 10.0
"""Seconds that the disk gets to return the orders before vtorc starts without them."""

_log = structlog.get_logger("vtorc.orders")


@asynccontextmanager
async def open_orders(path: str) -> AsyncIterator[OrdersFile | None]:
    """Use the orders file at `path`; None if that is empty, and orders then last as long as vtorc runs."""
    if not path:
        yield None
        return
    file = OrdersFile(path)
    try:
        yield file
    finally:
        await asyncio.to_thread(file.close)


async def restored_tokens(file: OrdersFile | None) -> TokenBook:
    """Return the bearer tokens, before the HTTP server takes requests.

    vtorc tells of a file that it cannot read. It then knows no token until an operator asks for a change of tokens.
    """
    if file is None:
        return TokenBook()
    book = TokenBook(TokenRows(file))
    try:
        async with asyncio.timeout(ORDERS_PATIENCE):
            await book.read()
    except (OrdersFileError, TimeoutError) as error:
        why = str(error) or f"orders file {file.path}: it could not be read within {ORDERS_PATIENCE:g} s"
        _log.error(f"{why}; started without the bearer tokens in it: they are refused")
    return book


async def restored_holds(file: OrdersFile | None, clock: OnTimeClock) -> HoldBook:
    """Return the holds that are in force, before anything acts.

    vtorc tells of a file that it cannot read, and starts without its holds: a cluster without failover is worse. It
    refuses orders until it can read the file.
    """
    if file is None:
        return HoldBook(PassingHolds(), clock)
    rows = HoldRows(file)
    try:
        async with asyncio.timeout(ORDERS_PATIENCE):
            return HoldBook(rows, clock, await rows.read())
    except (OrdersFileError, TimeoutError) as error:
        why = str(error) or f"orders file {file.path}: it could not be read within {ORDERS_PATIENCE:g} s"
        _log.error(f"{why}; started without the holds in it: give those again that still matter")
        return HoldBook(rows, clock, None)


async def restored_notes(file: OrdersFile | None, clock: OnTimeClock) -> NoteBook:
    """Return the acknowledgements and tags that are kept; of a file that cannot be read, none until it can be."""
    if file is None:
        return NoteBook(PassingNotes(), clock)
    rows = NoteRows(file)
    try:
        async with asyncio.timeout(ORDERS_PATIENCE):
            return NoteBook(rows, clock, await rows.read())
    except (OrdersFileError, TimeoutError) as error:
        why = str(error) or f"orders file {file.path}: it could not be read within {ORDERS_PATIENCE:g} s"
        _log.error(f"{why}; started without the acknowledgements and tags in it")
        return NoteBook(rows, clock, None)
