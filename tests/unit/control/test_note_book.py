"""Notes are kept before they are told, and the book tells what the store has."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest

from tests.unit.core.builders import alias
from tests.unit.recovery.fakes import LoopClock
from vtorc.control.note_book import KEPT_ACKNOWLEDGEMENTS, NoteBook
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.notes import Acknowledgement, Notes, Tag
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import OrdersFileError
from vtorc.sim.engine.loop import forever, run

FIRST, SECOND = alias("zone1-101"), alias("zone1-102")


class Store:
    """A store that notes what it is told, and fails or hangs as a test says."""

    def __init__(self, *acknowledgements: Acknowledgement) -> None:
        self.has = Notes.of(acknowledgements, [])
        self.heard: list[object] = []
        self.error: OrdersFileError | None = None
        self.hangs = False

    async def read(self) -> Notes:
        self.heard.append("read")
        return self.has

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement], *, forget: Collection[str]) -> None:
        await self._do([each.recovery for each in acknowledgements], list(forget))

    async def tag(self, tags: Sequence[Tag], *, remove: Collection[tuple[TabletAlias, str]]) -> None:
        await self._do([str(tag) for tag in tags], [name for _, name in remove])

    async def _do(self, *told: object) -> None:
        if self.hangs:
            await forever()
        if self.error is not None:
            raise self.error
        self.heard.append(told)


def acknowledged(recovery: int | str, comment: str = "seen") -> Acknowledgement:
    """The acknowledgement of a recovery."""
    return Acknowledgement(recovery=str(recovery), actor="ann", comment=comment, at=5)


def with_book(
    main: Callable[[NoteBook, Store, list[Notes]], Awaitable[None]], store: Store | None = None, *, unread: bool = False
) -> None:
    """Run a test with a book over a store, and all that its listener hears."""

    async def work() -> None:
        told: list[Notes] = []
        kept = store or Store()
        book = NoteBook(kept, OnTimeClock(LoopClock()), None if unread else kept.has)
        book.listen(told.append)
        await main(book, kept, told)

    run(work(), seed=1)


def test_a_note_is_told_once_it_is_kept() -> None:
    """A listener hears of the notes at once, and of each one after it is in the store."""

    async def main(book: NoteBook, store: Store, told: list[Notes]) -> None:
        await book.acknowledge([acknowledged(1)])
        await book.tag([Tag(SECOND, "role", "backup"), Tag(FIRST, "old", "")])
        assert store.heard == [(["1"], []), (["role=backup", "old"], [])]
        assert [(list(each.acknowledgements), [str(tag) for tag in each.tags.values()]) for each in told] == [
            ([], []),
            (["1"], []),
            (["1"], ["old", "role=backup"]),
        ]
        assert book.notes is told[-1]

    with_book(main)


def test_a_later_note_takes_the_place_of_the_earlier_one() -> None:
    """A recovery has one acknowledgement, and a tablet one tag of each name."""

    async def main(book: NoteBook, store: Store, told: list[Notes]) -> None:
        await book.acknowledge([acknowledged(1), acknowledged(2)])
        await book.acknowledge([acknowledged(1, "mended")])
        assert [(each.recovery, each.comment) for each in book.notes.acknowledgements.values()] == [
            ("2", "seen"),
            ("1", "mended"),
        ]
        await book.tag([Tag(FIRST, "role", "backup"), Tag(SECOND, "role", "backup")])
        await book.tag([Tag(FIRST, "role", "lead")], remove=[Tag(SECOND, "role", "backup")])
        assert list(book.notes.tags.values()) == [Tag(FIRST, "role", "lead")]
        assert store.heard[-1] == (["role=lead"], ["role"])

    with_book(main)


def test_the_oldest_acknowledgements_are_forgotten() -> None:
    """No more acknowledgements are kept than recoveries are shown."""

    async def main(book: NoteBook, store: Store, told: list[Notes]) -> None:
        await book.acknowledge([acknowledged(number) for number in range(KEPT_ACKNOWLEDGEMENTS)])
        await book.acknowledge([acknowledged("new"), acknowledged("newer")])
        assert store.heard[-1] == (["new", "newer"], ["0", "1"])
        assert len(book.notes.acknowledgements) == KEPT_ACKNOWLEDGEMENTS
        assert list(book.notes.acknowledgements)[-1] == "newer"

    with_book(main)


def test_a_note_that_is_not_kept_is_not_told() -> None:
    """A store that fails leaves the notes as they were."""

    async def main(book: NoteBook, store: Store, told: list[Notes]) -> None:
        store.error = OrdersFileError("the disk is full")
        with pytest.raises(OrdersFileError, match="the disk is full"):
            await book.tag([Tag(FIRST, "old", "")])
        assert (len(told), book.notes.tags) == (1, {})

    with_book(main)


def test_a_store_that_could_not_be_read_is_read_before_the_next_note() -> None:
    """Notes that could not be read at the start are back with the first one that is kept."""

    async def main(book: NoteBook, store: Store, told: list[Notes]) -> None:
        assert book.notes.acknowledgements == {}
        await book.acknowledge([acknowledged(2)])
        assert store.heard == ["read", (["2"], [])]
        assert list(book.notes.acknowledgements) == ["1", "2"]
        await book.acknowledge([acknowledged(3)])
        assert store.heard.count("read") == 1

    with_book(main, Store(acknowledged(1)), unread=True)


def test_a_note_of_which_it_is_not_known_whether_it_was_kept_has_the_store_read_again() -> None:
    """After an order that hung, or was given up, the next one begins with what the store has."""

    async def main(book: NoteBook, store: Store, told: list[Notes]) -> None:
        store.hangs = True
        with pytest.raises(OrdersFileError, match="was not on the disk within 10 s, and may get there later"):
            await book.tag([Tag(FIRST, "old", "")])
        given_up = asyncio.create_task(book.tag([Tag(FIRST, "old", "")]))
        await asyncio.sleep(1.0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        store.hangs = False
        await book.tag([Tag(SECOND, "new", "")])
        assert store.heard == ["read", "read", (["new"], [])]

    with_book(main)
