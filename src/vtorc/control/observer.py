"""Who is told what a shard loop sees, decides and does: the log, the history, the demo's screen, the simulator's
trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.decision.decisions import Action, Decision
from vtorc.core.facts.ids import ShardId
from vtorc.recovery.record import RecoveryRecord
from vtorc.recovery.runner import Judgement


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something about the whole fleet that people must hear; `is_end` says that it is over."""

    sentence: str
    is_end: bool = False


class Observer(Protocol):
    """Hears about one or many shards; must not block and must not raise."""

    def judged(self, judgement: Judgement) -> None:
        """A judgement was made; comes often."""
        ...

    def decided(self, decision: Decision) -> None:
        """A decision is new, or the rule behind it is."""
        ...

    def cleared(self, decision: Decision) -> None:
        """The problem of an earlier decision is gone."""
        ...

    def started(self, action: Action) -> None:
        """A recovery begins."""
        ...

    def finished(self, record: RecoveryRecord) -> None:
        """A recovery ended."""
        ...

    def interrupted(self, action: Action) -> None:
        """A recovery was broken off because vtorc stops; what could be put back was."""
        ...

    def announced(self, announcement: Announcement) -> None:
        """Something happened to many shards at once, or is over."""
        ...


class TopologyObserver(Protocol):
    """Hears what the topology server says exists; must not block and must not raise."""

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """A shard is watched from now on, and acted on if it is controlled."""
        ...

    def gone(self, shard: ShardId) -> None:
        """A shard is no longer in the topology server, and no longer watched."""
        ...

    def unread(self, failures: Sequence[str]) -> None:
        """What could not be read has changed; empty if all could."""
        ...


class Observers:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def judged(self, judgement: Judgement) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.judged(judgement)

    def decided(self, decision: Decision) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.decided(decision)

    def cleared(self, decision: Decision) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.cleared(decision)

    def started(self, action: Action) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.started(action)

    def finished(self, record: RecoveryRecord) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.finished(record)

    def interrupted(self, action: Action) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.interrupted(action)

    def announced(self, announcement: Announcement) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.announced(announcement)
