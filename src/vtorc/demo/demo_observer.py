"""An observer of vtorc that keeps the last judgement, the sentences so far, and the failovers with their times."""

import asyncio
import enum
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from vtorc.control.hold_book import HoldNews
from vtorc.control.observer import Announcement, failure_sentence
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.one_line import blanked
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement

T = TypeVar("T")

_KEPT_SENTENCES = 300
_KEPT_SAMPLES = 30


class Mark(enum.Enum):
    """The kind of a sentence, shown as a shape so that it needs no colour."""

    GOOD = "●"
    REPAIR = "▲"
    NO_ACTION = "■"
    FAILED = "✗"
    OPERATOR = "›"
    WRITES = "~"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something that was decided, done or seen, with its wall-clock time."""

    at: datetime
    mark: Mark
    text: str

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.mark.value} {self.text}"


@dataclass(slots=True)
class Replacement:
    """One replacement of a primary, or its move by an operator; times are seconds on the monotonic clock.

    `record` is None while it runs.
    """

    decided_at: float
    started_at: float
    record: RecoveryRecord | None = None

    def marked_at(self, mark: OutageMark) -> float | None:
        """Return when the recovery came to a moment; None if it did not."""
        seconds = self.record.marks.get(mark.value) if self.record is not None else None
        return None if seconds is None else self.started_at + seconds

    @property
    def locked_at(self) -> float | None:
        """When the shard lock was held, as the first step began then; None if it was not, or while it runs."""
        return self.started_at + self.record.steps[0].started if self.record is not None and self.record.steps else None

    @property
    def succeeded(self) -> bool:
        """Whether the recovery has ended and succeeded."""
        return self.record is not None and self.record.outcome is Outcome.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Sample:
    """The gtid_executed of a server at some moment no later than `at` (seconds on vtorc's clock)."""

    alias: TabletAlias
    at: float
    executed: GtidSet


@dataclass(slots=True)
class DemoObserver:
    """Keeps of one shard what the demo shows; calls `on_sentence` with each sentence at once."""

    on_sentence: Callable[[Sentence], None] | None = None
    clock: Callable[[], float] = time.monotonic
    """Tells the seconds by which vtorc dates what it hears of tablets: its own clock, which stands while it is late."""
    judgement: Judgement | None = None
    running: BegunRecovery | None = None
    sentences: deque[Sentence] = field(default_factory=lambda: deque(maxlen=_KEPT_SENTENCES))
    replacements: list[Replacement] = field(default_factory=list)
    noticed_at: float | None = None
    """When the first decision was made since this was set to None, in seconds on the monotonic clock."""
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=_KEPT_SAMPLES))
    _decided_at: float | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def judged(self, judgement: Judgement) -> None:
        """Keep the judgement, and the primary's GTIDs for comparison with replicas that are probed later."""
        self.judgement = judgement
        primary = judgement.view.primary
        if primary is not None and primary.current_status is not None and primary.last_probe.ended_at is not None:
            sample = Sample(primary.alias, primary.last_probe.ended_at, primary.current_status.executed)
            if not self.samples or self.samples[-1] != sample:
                self.samples.append(sample)
        self.announce()

    def decided(self, decision: Decision) -> None:
        """Keep the sentence and when the first one came, and for a decision to replace the primary also the moment."""
        self.noticed_at = time.monotonic() if self.noticed_at is None else self.noticed_at
        if decision.recovery is not None and decision.recovery.replaces_primary and self._decided_at is None:
            self._decided_at = time.monotonic()
        self.say(Mark.REPAIR if decision.acts else Mark.NO_ACTION, decision.sentence)

    def cleared(self, decision: Decision) -> None:
        """Add a sentence that the problem is gone."""
        finding = decision.finding
        if self.running is None and decision.recovery is not None and decision.recovery.replaces_primary:
            self._decided_at = None
        of = f" of {finding.alias}" if finding.alias is not None else ""
        self.say(Mark.GOOD, f"{finding.shard}: {finding.code.value}{of} is gone")

    def started(self, begun: BegunRecovery) -> None:
        """Note that a recovery runs."""
        self.running = begun
        if _moves_primary(begun.recovery):
            now = time.monotonic()
            self.replacements.append(Replacement(self._decided_at or now, now))
        self.announce()

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: the demo shows a recovery as a whole."""

    def finished(self, record: RecoveryRecord) -> None:
        """Keep how the recovery ended."""
        self.running = None
        if _moves_primary(record.recovery):
            self.replacements[-1].record = record
        ended_well = record.outcome in (Outcome.SUCCEEDED, Outcome.GONE)
        if record.recovery.replaces_primary and ended_well:
            self._decided_at = None  # after a failure the same decision is tried again
        self.say(Mark.GOOD if ended_well else Mark.FAILED, record.sentence)

    def interrupted(self, begun: BegunRecovery) -> None:
        """Add a sentence that a recovery was broken off."""
        self.running = None
        self.say(Mark.NO_ACTION, f"{begun.recovery.value} was broken off, and what it had changed was put back")

    def announced(self, announcement: Announcement) -> None:
        """Add the announcement's sentence."""
        self.say(Mark.GOOD if announcement.is_end else Mark.FAILED, announcement.sentence)

    def held(self, news: HoldNews) -> None:
        """Add the sentence of a hold that begins or ends."""
        self.say(Mark.GOOD if news.change.is_end else Mark.NO_ACTION, news.sentence)

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Add a sentence about a mistake of vtorc's own."""
        self.say(Mark.FAILED, failure_sentence(shard, error, rest))

    def say(self, mark: Mark, text: str) -> None:
        """Add a sentence, with all unprintable characters blanked.

        A server's error text within it could otherwise break lines or send escape sequences to the terminal.
        """
        sentence = Sentence(datetime.now().astimezone(), mark, blanked(text))
        self.sentences.append(sentence)
        if self.on_sentence is not None:
            self.on_sentence(sentence)
        self.announce()

    def announce(self) -> None:
        """Wake all tasks that wait for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for(self, condition: Callable[[], T | None]) -> T:
        """Wait until `condition` returns something, and return that; it is called again after every change."""
        while (result := condition()) is None:
            await self._changed.wait()
        return result

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


def _moves_primary(recovery: Recovery) -> bool:
    return recovery.replaces_primary or recovery in (Recovery.PLANNED_REPARENT, Recovery.EMERGENCY_REPARENT)
