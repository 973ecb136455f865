"""The view of clients that may see some keyspaces only: each set of keyspaces has a memory and routes of its own.

So routes need not filter: the memory that answers come from has only what the client may know of.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec import structs
from starlette.types import ASGIApp, Receive, Scope, Send

from vtorc.core.facts.rules import Rule
from vtorc.forms.frames import (
    AnyFrame,
    AuditFrame,
    DecisionFrame,
    GoneFrame,
    HeartbeatFrame,
    HoldsFrame,
    MetricForm,
    MetricsFrame,
    NotesFrame,
    RecoveryFrame,
    ShardFrame,
    StatusFrame,
)
from vtorc.forms.hold import HoldForm
from vtorc.server.access.visitor import CURRENT
from vtorc.server.memory import ServerMemory

MOST_SCOPES = 64
"""Sets of keyspaces whose memories are kept; then the one that was used longest ago is dropped."""

_TOLD_TO_ALL = frozenset({Rule.RECOVERIES_STOPPED.value, Rule.LATE.value})
"""Rules whose announcements name no shard."""

_OF_SHARD = ("Keyspace", "Shard", "TabletAlias")
"""Labels of metrics that are about a part of the fleet."""


class ScopedApps:
    """An application that hands each request on to the one for the keyspaces of its client."""

    def __init__(self, memory: ServerMemory, make: Callable[[ServerMemory], ASGIApp]) -> None:
        """Answer from `memory` to clients of all keyspaces; `make` returns the application over a memory."""
        self._memory = memory
        self._make = make
        self._all = make(memory)
        self._scopes: OrderedDict[frozenset[str], tuple[ASGIApp, Callable[[], None]]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        keyspaces = CURRENT.get().keyspaces
        app = self._all if keyspaces is None else self._for(frozenset(keyspaces))
        await app(scope, receive, send)

    def _for(self, keyspaces: frozenset[str]) -> ASGIApp:
        if (known := self._scopes.get(keyspaces)) is not None:
            self._scopes.move_to_end(keyspaces)
            return known[0]
        memory = ServerMemory(revision=self._memory.revision)
        for frame in self._memory.frames():
            self._tell(memory, keyspaces, frame)
        app = self._make(memory)
        forget = self._memory.listen(lambda frame: self._tell(memory, keyspaces, frame))
        self._scopes[keyspaces] = app, forget
        if len(self._scopes) > MOST_SCOPES:
            _, (_, forget_oldest) = self._scopes.popitem(last=False)
            forget_oldest()
        return app

    def _tell(self, memory: ServerMemory, keyspaces: frozenset[str], frame: AnyFrame) -> None:
        heard_at = self._memory.heard_at
        if heard_at is None:
            return
        for seen in seen_frames(frame, keyspaces, memory):
            memory.take(seen, heard_at)


def seen_frames(frame: AnyFrame, keyspaces: frozenset[str], memory: ServerMemory) -> Iterator[AnyFrame]:
    """Yield what clients of these keyspaces may know of a frame; `memory` is what they know so far.

    A kind of frame that is not named here is not told.
    """
    match frame:
        case ShardFrame(shard=shard):
            found = shard.keyspace in keyspaces
        case GoneFrame(shard=name):
            found = _keyspace(name) in keyspaces
        case RecoveryFrame(recovery=recovery):
            found = _keyspace(recovery.shard) in keyspaces
        case DecisionFrame(finding=finding):
            found = _keyspace(finding.shard) in keyspaces
        case AuditFrame(entry=entry):
            found = entry.shard is not None and _keyspace(entry.shard) in keyspaces
        case HeartbeatFrame():
            found = True
        case StatusFrame():
            yield _status(frame, keyspaces, len(memory.shards))
            return
        case HoldsFrame(holds=holds):
            yield structs.replace(frame, holds=[hold for hold in holds if _holds(hold, keyspaces)])
            return
        case NotesFrame(acknowledgements=acknowledgements, tags=tags):
            tablets = {tablet.alias for shard in memory.shards.values() for tablet in shard.tablets}
            yield structs.replace(
                frame,
                acknowledgements=[each for each in acknowledgements if each.recovery in memory.recoveries],
                tags=[tag for tag in tags if tag.tablet in tablets],
            )
            return
        case MetricsFrame(metrics=metrics):
            yield MetricsFrame(metrics=[metric for metric in metrics if _is_of(metric, keyspaces)])
            return
        case _:
            found = False
    if found:
        yield frame


def _status(status: StatusFrame, keyspaces: frozenset[str], shards: int) -> StatusFrame:
    watched = [each for each in status.clusters_to_watch if _keyspace(each) in keyspaces]
    return structs.replace(
        status,
        # Without an entry vtorc would seem to act on all.
        clusters_to_watch=watched or (["none of these keyspaces"] if status.clusters_to_watch else []),
        topology_failures=["the topology server could not be read completely"] if status.topology_failures else [],
        shards_watched=shards,
        shards_known=None,
        shared_among=[],
        announcements=[each for each in status.announcements if each.rule in _TOLD_TO_ALL],
        history_file="",
    )


def _holds(hold: HoldForm, keyspaces: frozenset[str]) -> bool:
    """Return whether a hold is on all, or on a part of one of the keyspaces; tablets show their own ones."""
    kind, _, name = hold.scope.partition(":")
    return kind == "fleet" or (kind in ("keyspace", "shard") and _keyspace(name) in keyspaces)


def _is_of(metric: MetricForm, keyspaces: frozenset[str]) -> bool:
    """Return whether a metric is about one of the keyspaces, or about no part of the fleet."""
    keyspace = metric.labels.get("Keyspace")
    return keyspace in keyspaces if keyspace is not None else not any(label in metric.labels for label in _OF_SHARD)


def _keyspace(name: str) -> str:
    return name.partition("/")[0]
