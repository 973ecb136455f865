"""What has changed since a revision, for listeners of events: the newest of each shard, in order."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

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
from vtorc.server.memory import ServerMemory

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
    """What vtorc told."""
    text: bytes = field(default=b"")
    """The event as it is sent; empty until a listener wants it."""

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

    def event(self) -> bytes:
        """Return the event as it is sent, made once for all listeners."""
        if not self.text:
            self.text = event(self.name, self.revision, msgspec.json.encode(self.frame))
        return self.text


class Changes:
    """The last changes of a memory, merged: of a shard only the newest one is kept.

    A listener needs no queue of its own: it only remembers the revision that it was told last.
    """

    def __init__(self, memory: ServerMemory) -> None:
        self._memory = memory
        self._changes: OrderedDict[str | int, Change] = OrderedDict()
        self._keyless = 0
        self.floor = memory.revision
        """The oldest revision from which all changes are known."""
        self._more = asyncio.Event()
        memory.listen(self._take)

    def since(self, revision: int) -> list[Change]:
        """Return the changes after a revision, oldest first; `knows` tells whether these are all."""
        found: list[Change] = []
        for change in reversed(self._changes.values()):
            if change.revision <= revision:
                break
            found.append(change)
        return found[::-1]

    def knows(self, revision: int) -> bool:
        """Return whether all changes after a revision are known."""
        return self.floor <= revision <= self._memory.revision

    async def wait(self, revision: int) -> None:
        """Return once there is a change after a revision."""
        while self._memory.revision <= revision:
            await self._more.wait()

    def _take(self, frame: AnyFrame) -> None:
        if type(frame) not in NAMES:
            return
        revision = self._memory.revision
        key = frame.key if frame.key is not None else revision
        self._changes.pop(key, None)
        self._changes[key] = Change(revision, frame)
        self._drop_oldest()
        self._more.set()
        self._more = asyncio.Event()

    def _drop_oldest(self) -> None:
        """Keep no more changes than there are shards, and a bounded number of others."""
        while len(self._changes) > len(self._memory.shards) + MOST_KEYLESS:
            _, dropped = self._changes.popitem(last=False)
            self.floor = dropped.revision


def event(name: str, revision: int, data: bytes) -> bytes:
    """Return an event as it is sent; `data` is JSON on one line."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), revision, data)
