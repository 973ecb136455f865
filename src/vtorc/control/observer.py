"""Observers of the shard loops: the log, the history, the demo's screen, the simulator's trace."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.rules import Rule
from vtorc.discovery.slow_down import LatenessNews
from vtorc.forms.audit import AuditForm
from vtorc.recovery.record import BegunRecovery, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement


@dataclass(frozen=True, slots=True)
class Announcement:
    """News about the whole fleet for its operators."""

    sentence: str
    rule: Rule
    is_end: bool = False
    """Whether the news is that it is over."""
    late_seconds: float | None = None
    """The longest round of vtorc's own event loop; None if the news is about something else."""


class Observer(Protocol):
    """Hears of one or many shards; its methods return at once and raise nothing."""

    def judged(self, judgement: Judgement) -> None:
        """Called after each judgement, which is often."""
        ...

    def decided(self, decision: Decision) -> None:
        """Called when a decision is new, or its rule is."""
        ...

    def cleared(self, decision: Decision) -> None:
        """Called when the problem of an earlier decision is gone."""
        ...

    def started(self, begun: BegunRecovery) -> None:
        """Called when a recovery begins."""
        ...

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Called when a step of the recovery in progress has ended, well or not."""
        ...

    def finished(self, record: RecoveryRecord) -> None:
        """Called when a recovery has ended."""
        ...

    def interrupted(self, begun: BegunRecovery) -> None:
        """Called when a recovery was broken off and rolled back: vtorc stops, the primary was lost, or vtorc failed."""
        ...

    def announced(self, announcement: Announcement) -> None:
        """Called when something has happened to many shards at once, or is over."""
        ...

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Called when vtorc itself made a mistake in a shard, which it watches anew after `rest` seconds."""
        ...


class TopologyObserver(Protocol):
    """Hears which shards the topology server has; its methods return at once and raise nothing."""

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Called when a shard is watched from now on; vtorc acts on it if it is `controlled`."""
        ...

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Called when a shard is not watched any more: other vtorcs watch it, or it has left the topology server."""
        ...

    def unread(self, failures: Sequence[str]) -> None:
        """Called when the failures to read the topology server have changed; empty if everything was read."""
        ...

    def read(self, shards: Collection[ShardId]) -> None:
        """Called with all shards after each reading of the topology server without a failure."""
        ...


class AuditObserver(Protocol):
    """Hears what operators ask for; its method returns at once and raises nothing."""

    def audited(self, entry: AuditForm) -> None:
        """Called when a request that acts was answered, or refused."""
        ...


class Observers:
    """Passes everything on to several observers."""

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

    def started(self, begun: BegunRecovery) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.started(begun)

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.stepped(shard, step)

    def finished(self, record: RecoveryRecord) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.finished(record)

    def interrupted(self, begun: BegunRecovery) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.interrupted(begun)

    def announced(self, announcement: Announcement) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.announced(announcement)

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.failed(shard, error, rest)


class TopologyObservers:
    """Passes everything on to several observers of the topology."""

    def __init__(self, observers: Sequence[TopologyObserver]) -> None:
        self._observers = observers

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.found(shard, tablets=tablets, controlled=controlled)

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.gone(shard, watched_by=watched_by)

    def unread(self, failures: Sequence[str]) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.unread(failures)

    def read(self, shards: Collection[ShardId]) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.read(shards)


class AuditObservers:
    """Passes everything on to several observers of what operators ask for."""

    def __init__(self, observers: Sequence[AuditObserver]) -> None:
        self._observers = observers

    def audited(self, entry: AuditForm) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.audited(entry)


def failure_sentence(shard: ShardId, error: Exception, rest: float) -> str:
    """Return what operators are told of a mistake of vtorc's own in a shard: its cause, and how it goes on."""
    cause: BaseException = error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return (
        f"{shard}: vtorc itself failed here ({type(cause).__name__}: {cause}); it watches this shard anew in {rest:g} "
        f"s, and all other shards go on; report this with the traceback in the log"
    )


def lateness_announcement(news: LatenessNews) -> Announcement:
    """Return what operators are told of a vtorc that is itself late, and of the end of that."""
    worst = f"{news.worst:.1f} s"
    if news.is_over:
        sentence = f"vtorc is on time again; its event loop was late by up to {worst}"
    else:
        sentence = (
            f"vtorc itself is late: its event loop took up to {worst} for one round, so it reads answers late; it "
            f"counts no silence of that time against any server, and asks {news.factor:g} times as seldom; give it "
            f"more processor, or fewer shards (--clusters-to-watch)"
        )
    return Announcement(sentence, Rule.LATE, is_end=news.is_over, late_seconds=round(news.worst, 3))
