"""The changes since a revision, for listeners of events: the newest of each shard, in order."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
from msgspec import structs

from vtorc.forms.fleet import RowFrame, ShardRowForm, shard_row
from vtorc.forms.frames import (
    AnyFrame,
    AuditFrame,
    DecisionFrame,
    GoneFrame,
    HoldsFrame,
    RecoveryFrame,
    ShardFrame,
    StatusFrame,
)
from vtorc.forms.shard import ShardForm
from vtorc.server.memory import ServerMemory

MOST_AT_ONCE = 1 << 17
"""Bytes after which the rest is sent in another piece, so that a slow listener is seen to take something."""

MOST_KEYLESS = 2000
"""How many changes are kept that no newer one replaces; listeners that lack an older one begin anew."""

NAMES: dict[type[AnyFrame], str] = {
    StatusFrame: "status",
    ShardFrame: "shard",
    GoneFrame: "gone",
    RecoveryFrame: "recovery",
    DecisionFrame: "decision",
    AuditFrame: "audit",
    HoldsFrame: "hold",
}
"""The frames that are events, each with the name of the event."""


@dataclass(slots=True)
class Change:
    """One change."""

    revision: int
    """The revision that it made."""
    frame: AnyFrame
    """The server's copy of what vtorc knows."""
    news_at: int
    """The revision that made it news for listeners to the whole fleet: of a shard, the last that changed its row."""
    text: bytes = field(default=b"")
    """The event as it is sent; empty until a listener wants it."""
    row_text: bytes = field(default=b"")
    """The same for listeners to the whole fleet, which get the row of a shard."""

    @property
    def name(self) -> str:
        """The name of the event."""
        return NAMES[type(self.frame)]

    @property
    def shard(self) -> str | None:
        """The shard that it is about; None if that is the whole fleet."""
        match self.frame:
            case ShardFrame(shard=shard):
                return shard.name
            case GoneFrame(shard=name):
                return name
            case RecoveryFrame(recovery=recovery):
                return recovery.shard
            case DecisionFrame(finding=finding):
                return finding.shard
            case AuditFrame(entry=entry):
                return entry.shard
            case _:
                return None

    def event(self, *, of_all: bool = False) -> bytes:
        """Return the event as it is sent, made once for all listeners to one shard, or for those to the fleet."""
        if of_all and isinstance(self.frame, ShardFrame):
            if not self.row_text:
                row = RowFrame(shard=shard_row(self.frame.shard))
                self.row_text = event(self.name, self.revision, msgspec.json.encode(row))
            return self.row_text
        if not self.text:
            self.text = event(self.name, self.revision, msgspec.json.encode(self.frame))
        return self.text


@dataclass(frozen=True, slots=True)
class Wanted:
    """The changes that a listener wants."""

    shard: str | None
    """All of this shard, beside those of the whole fleet; None for those that are news in a list of shards."""
    kinds: frozenset[str]
    """The names of the events."""

    def has(self, change: Change, after: int) -> bool:
        """Return whether a listener wants a change that was told all up to the revision `after`."""
        if change.name not in self.kinds:
            return False
        return change.news_at > after if self.shard is None else change.shard in (None, self.shard)


@dataclass(frozen=True, slots=True)
class Piece:
    """Changes in the form in which they are sent, no more than a listener may take at once."""

    text: bytes
    """The events; empty if the listener wants none of them."""
    upto: int
    """The revision up to which a listener has been told all with it."""


class Changes:
    """The last changes of a memory, merged: of a shard only the newest one is kept.

    A listener needs no queue of its own: it only remembers the revision that it was told last.
    """

    def __init__(self, memory: ServerMemory) -> None:
        self._memory = memory
        self._changes: OrderedDict[str | int, Change] = OrderedDict()
        self._rows = {name: _row(shard) for name, shard in memory.shards.items()}
        """The rows of the shards in the list of all, without their revisions."""
        self._pieces: dict[tuple[Wanted, int], Piece] = {}
        """The pieces of this moment: listeners that want the same are told together."""
        self.floor = memory.revision
        """The oldest revision from which all changes are known."""
        self._more = asyncio.Event()
        memory.listen(self._take)

    def piece(self, wanted: Wanted, after: int) -> Piece:
        """Return the changes after a revision, oldest first; `knows` tells whether these are all."""
        piece = self._pieces.get((wanted, after))
        if piece is None:
            piece = self._pieces[wanted, after] = self._make_piece(wanted, after)
        return piece

    def knows(self, revision: int) -> bool:
        """Return whether all changes after a revision are known."""
        return self.floor <= revision <= self._memory.revision

    async def wait(self, revision: int) -> None:
        """Return once there is a change after a revision."""
        while self._memory.revision <= revision:
            await self._more.wait()

    def _make_piece(self, wanted: Wanted, after: int) -> Piece:
        texts: list[bytes] = []
        size = 0
        for change in self._since(after):
            if wanted.has(change, after):
                texts.append(change.event(of_all=wanted.shard is None))
                size += len(texts[-1])
                if size >= MOST_AT_ONCE:
                    return Piece(b"".join(texts), change.revision)
        return Piece(b"".join(texts), self._memory.revision)

    def _since(self, revision: int) -> list[Change]:
        found: list[Change] = []
        for change in reversed(self._changes.values()):
            if change.revision <= revision:
                break
            found.append(change)
        return found[::-1]

    def _take(self, frame: AnyFrame) -> None:
        if type(frame) not in NAMES:
            return
        self._pieces.clear()
        revision = self._memory.revision
        key = frame.key if frame.key is not None else revision
        before, is_row_news = self._changes.pop(key, None), self._is_row_news(frame)
        # Changes older than the floor have been told to all listeners but those that are to begin anew.
        news_at = revision if is_row_news else before.news_at if before is not None else self.floor
        self._changes[key] = Change(revision, frame, news_at)
        self._drop_oldest()
        self._more.set()
        self._more = asyncio.Event()

    def _is_row_news(self, frame: AnyFrame) -> bool:
        """Return whether a frame changes a row in the list of shards, or is about something else."""
        match frame:
            case ShardFrame(shard=shard):
                before, row = self._rows.get(shard.name), _row(shard)
                self._rows[shard.name] = row
                return row != before
            case GoneFrame(shard=name):
                self._rows.pop(name, None)
        return True

    def _drop_oldest(self) -> None:
        """Keep no more changes than there are shards, and a bounded number of others."""
        while len(self._changes) > len(self._memory.shards) + MOST_KEYLESS:
            _, dropped = self._changes.popitem(last=False)
            self.floor = dropped.revision


def _row(shard: ShardForm) -> ShardRowForm:
    """Return the row of a shard, as one that another revision of the shard may have too."""
    return structs.replace(shard_row(shard), revision=0, as_of="")


def event(name: str, revision: int, data: bytes) -> bytes:
    """Return an event as it is sent; `data` is JSON on one line."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), revision, data)
