"""The notes of operators in the orders file, one row each."""

import sqlite3
from collections.abc import Collection, Sequence

from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.notes import Acknowledgement, Notes, Tag
from vtorc.history.orders_file import OrdersFile


class NoteRows:
    """Keeps notes in the orders file; implements `vtorc.control.note_book.NoteStore`."""

    def __init__(self, file: OrdersFile) -> None:
        self._file = file

    async def read(self) -> Notes:
        """Return all notes; raises OrdersFileError."""
        return await self._file.read(_notes)

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement], *, forget: Collection[str]) -> None:
        """Keep acknowledgements and forget those of some recoveries in one go; raises OrdersFileError."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO acknowledgement (recovery, actor, comment, at) VALUES (?, ?, ?, ?)",
                [(each.recovery, each.actor, each.comment, each.at) for each in acknowledgements],
            )
            db.executemany("DELETE FROM acknowledgement WHERE recovery = ?", [(name,) for name in forget])

        await self._file.write(work)

    async def tag(self, tags: Sequence[Tag], *, remove: Collection[tuple[TabletAlias, str]]) -> None:
        """Keep tags and remove others in one go; raises OrdersFileError."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM tag WHERE tablet = ? AND name = ?", [(str(t), name) for t, name in remove])
            db.executemany(
                "INSERT OR REPLACE INTO tag (tablet, name, value) VALUES (?, ?, ?)",
                [(str(tag.tablet), tag.name, tag.value) for tag in tags],
            )

        await self._file.write(work)


def _notes(db: sqlite3.Connection) -> Notes:
    acknowledgements = db.execute("SELECT recovery, actor, comment, at FROM acknowledgement ORDER BY at, recovery")
    tags = db.execute("SELECT tablet, name, value FROM tag")
    return Notes.of(
        [Acknowledgement(recovery=r, actor=a, comment=c, at=at) for r, a, c, at in acknowledgements.fetchall()],
        [Tag(TabletAlias.parse(tablet), name, value) for tablet, name, value in tags.fetchall()],
    )
