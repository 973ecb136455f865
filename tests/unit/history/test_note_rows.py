"""Notes in the orders file outlive the process that took them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.unit.core.builders import alias
from vtorc.core.facts.notes import Acknowledgement, Notes, Tag
from vtorc.history.note_rows import NoteRows
from vtorc.history.orders_file import OrdersFile

FIRST, SECOND = alias("zone1-101"), alias("zone1-102")
SEEN = Acknowledgement(recovery="17", actor="ann", comment="it's ✓", at=1_700_000_000_000_000_000)
LATER = Acknowledgement(recovery="9", actor="bob", comment="seen", at=SEEN.at + 1)


@contextmanager
def rows(path: Path) -> Iterator[NoteRows]:
    """Open the orders file as one process does."""
    file = OrdersFile(str(path))
    try:
        yield NoteRows(file)
    finally:
        file.close()


async def test_notes_are_there_for_the_next_process(tmp_path: Path) -> None:
    """What one process kept, the next one reads, oldest acknowledgement first."""
    path = tmp_path / "orders"
    with rows(path) as first:
        await first.acknowledge([LATER, SEEN], forget=[])
        await first.tag([Tag(SECOND, "role", "backup"), Tag(FIRST, "old", "")], remove=[])
    with rows(path) as second:
        notes = await second.read()
    assert notes == Notes.of([SEEN, LATER], [Tag(FIRST, "old", ""), Tag(SECOND, "role", "backup")])
    assert list(notes.acknowledgements) == ["17", "9"]


async def test_notes_are_replaced_and_removed(tmp_path: Path) -> None:
    """A note of the same key takes the place of the earlier one, and those that go are gone."""
    with rows(tmp_path / "orders") as kept:
        await kept.acknowledge([SEEN, LATER], forget=[])
        await kept.acknowledge([Acknowledgement(recovery="17", actor="eve", comment="again", at=5)], forget=["9"])
        await kept.tag([Tag(FIRST, "role", "backup"), Tag(SECOND, "role", "backup")], remove=[])
        await kept.tag([Tag(FIRST, "role", "lead")], remove=[(SECOND, "role")])
        notes = await kept.read()
    assert [each.actor for each in notes.acknowledgements.values()] == ["eve"]
    assert list(notes.tags.values()) == [Tag(FIRST, "role", "lead")]
