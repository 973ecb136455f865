"""The bearer tokens, and the file that keeps them."""

from pathlib import Path

import pytest

from vtorc.control.token_book import TokenBook
from vtorc.errors import OrdersFileError
from vtorc.forms.access import KnownToken, Role
from vtorc.history.orders_file import OrdersFile
from vtorc.history.token_rows import StoredToken, TokenRows

TOKEN = KnownToken(
    name="ci",
    hash=b"\x00\xff" * 16,
    role=Role.OPERATE,
    keyspaces=("commerce", "customer"),
    created=7,
    created_by="ann",
    expires=None,
)


class FullDisk:
    """A store that keeps nothing."""

    async def read(self) -> list[StoredToken]:
        return []

    async def add(self, token: StoredToken) -> None:
        raise OrdersFileError("the disk is full")

    async def remove(self, name: str) -> None:
        raise OrdersFileError("the disk is full")


async def test_a_token_outlives_the_process(tmp_path: Path) -> None:
    """Another process reads it back as it was, and one that was revoked is gone; the listener hears each change."""
    file = OrdersFile(str(tmp_path / "orders.sqlite"))
    book, heard = TokenBook(TokenRows(file)), []
    book.listen(lambda: heard.append(book.tokens))
    assert await book.add(TOKEN)
    assert not await book.add(TOKEN)
    file.close()
    file = OrdersFile(str(tmp_path / "orders.sqlite"))
    again = TokenBook(TokenRows(file))
    assert not again.tokens
    assert await again.read() == {"ci": TOKEN}
    assert again.tokens == (TOKEN,)
    assert await again.revoke("ci") == TOKEN
    assert await again.revoke("ci") is None
    assert await TokenBook(TokenRows(file)).read() == {}
    file.close()
    assert heard == [(), (TOKEN,)]


async def test_a_token_that_is_not_kept_is_none() -> None:
    """An operator hears that it was not taken, and its secret opens nothing."""
    book = TokenBook(FullDisk())
    with pytest.raises(OrdersFileError):
        await book.add(TOKEN)
    assert not book.tokens


async def test_without_a_place_tokens_last_as_long_as_vtorc() -> None:
    """They are taken all the same, and said to be passing."""
    book = TokenBook()
    assert not book.is_lasting
    assert await book.add(TOKEN)
    assert book.tokens == (TOKEN,)
