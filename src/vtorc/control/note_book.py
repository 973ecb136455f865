"""The notes of operators: each is kept before it is answered, and told from then on."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from vtorc.control.store_changes import StoreChanges
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.notes import NO_NOTES, Acknowledgement, Notes, Tag
from vtorc.discovery.lateness import OnTimeClock

KEPT_ACKNOWLEDGEMENTS = 1000
"""Most acknowledgements that are kept; the oldest go first."""


class NoteStore(Protocol):
    """A place where notes are kept."""

    async def read(self) -> Notes:
        """Return all notes; raises OrdersFileError."""
        ...

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement], *, forget: Collection[str]) -> None:
        """Keep acknowledgements and forget those of some recoveries in one go; raises OrdersFileError."""
        ...

    async def tag(self, tags: Sequence[Tag], *, remove: Collection[tuple[TabletAlias, str]]) -> None:
        """Keep tags and remove others in one go; raises OrdersFileError."""
        ...


class PassingNotes:
    """Keeps no notes for longer than the process lives, for want of a better place."""

    async def read(self) -> Notes:
        """Return no notes."""
        return NO_NOTES

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement], *, forget: Collection[str]) -> None:
        """Keep nothing: the book has it."""

    async def tag(self, tags: Sequence[Tag], *, remove: Collection[tuple[TabletAlias, str]]) -> None:
        """Keep nothing: the book has it."""


Listener = Callable[[Notes], None]
"""Hears of all notes after each change; returns at once and raises nothing."""


class NoteBook:
    """The notes of one vtorc, of which it is the only owner."""

    def __init__(self, store: NoteStore, clock: OnTimeClock, restored: Notes | None = NO_NOTES) -> None:
        """Keep notes in `store`; `restored` are those in it, None if they could not be read yet."""
        self._store = store
        self._notes = restored if restored is not None else NO_NOTES
        self._changes = StoreChanges(clock, self._read, is_read=restored is not None, what="note", advice="")
        self._listeners: list[Listener] = []

    @property
    def notes(self) -> Notes:
        """All notes."""
        return self._notes

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of the notes, and from now on after each change."""
        listener(self._notes)
        self._listeners.append(listener)

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Keep acknowledgements, each in place of an earlier one of its recovery; raises OrdersFileError."""
        async with self._changes.make():
            notes = self._notes
            kept = {**notes.acknowledgements}
            for each in acknowledgements:
                kept.pop(each.recovery, None)
                kept[each.recovery] = each
            forgotten = list(kept)[: max(0, len(kept) - KEPT_ACKNOWLEDGEMENTS)]
            await self._store.acknowledge(acknowledgements, forget=forgotten)
        self._tell(Notes({name: each for name, each in kept.items() if name not in forgotten}, notes.tags))

    async def tag(self, tags: Sequence[Tag], *, remove: Collection[Tag] = ()) -> None:
        """Put tags on tablets, each in place of one of its name, and take others away; raises OrdersFileError."""
        async with self._changes.make():
            notes = self._notes
            gone = {(tag.tablet, tag.name) for tag in remove}
            kept = {key: tag for key, tag in notes.tags.items() if key not in gone}
            kept |= {(tag.tablet, tag.name): tag for tag in tags}
            await self._store.tag(tags, remove=gone)
        self._tell(Notes(notes.acknowledgements, dict(sorted(kept.items()))))

    async def _read(self) -> None:
        self._notes = await self._store.read()

    def _tell(self, notes: Notes) -> None:
        self._notes = notes
        for listener in self._listeners:
            listener(notes)
