"""Tells the HTTP server what vtorc knows, one frame for each thing that changed; vtorc itself never waits for that.

A shard is told at once when there is news of it, at most fifty times a second. Positions alone, which move with every
write, are told every few seconds, after all news. All work is cut into pieces of a millisecond or so, because the loops
of the shards run beside it. Timers were late by up to 28 ms while a turn was one piece.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from vtorc.control.hold_book import HoldNews
from vtorc.control.judgement_news import is_news_after, primary_begins_to_fail
from vtorc.control.observer import Announcement
from vtorc.control.own_errors import OwnErrors
from vtorc.control.readiness_keeper import ReadinessKeeper
from vtorc.control.told_past import ToldPast
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.notes import NO_NOTES, Notes
from vtorc.core.facts.rules import Rule
from vtorc.discovery.lateness import OnTimeClock
from vtorc.forms.access import KnownToken
from vtorc.forms.audit import AuditForm
from vtorc.forms.findings import finding_form
from vtorc.forms.frames import (
    AnnouncementForm,
    AnyFrame,
    DecisionFrame,
    FrameSink,
    GoneFrame,
    HeartbeatFrame,
    HoldsFrame,
    MetricForm,
    MetricsFrame,
    NotesFrame,
    RecoveryFrame,
    SettingsFrame,
    ShardFrame,
    StatusFrame,
    TokensFrame,
    WebhookFrame,
)
from vtorc.forms.hold import HoldForm, hold_form
from vtorc.forms.notes import acknowledgement_form, tag_form
from vtorc.forms.recovery import HookRunForm, RunningForm, recovery_form, running_form
from vtorc.forms.settings import SettingForm
from vtorc.forms.shard import shard_form
from vtorc.forms.tablet import Moment
from vtorc.forms.times import rfc3339
from vtorc.forms.webhook_state import WebhookForm
from vtorc.recovery.record import BegunRecovery, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds

TICK = 0.02
"""Seconds from one turn to the next."""

LEAST_REST = 0.005
"""Seconds between two turns at least, however long the first one took."""

STATUS_EVERY = 5
"""Turns between two that tell of vtorc as a whole, with a heartbeat."""

POSITIONS_EVERY = 5.0
"""Seconds after which a shard is told again of which only positions moved."""

MOST_PER_TURN = 8
"""Most shards told in one turn, as one costs about half a millisecond of processor."""

MOST_MOVED_PER_TURN = 4
"""Most shards told in one turn so that it tells of some of which only positions moved: a tenth of a core for these.

All three thousand shards of a fleet that writes are told within fifteen seconds.
"""

YIELDS_FOR = 1.0
"""Seconds from the start of a recovery that replaces a lost primary in which only news are told, unless it ends before.
It needs the processor itself.
"""

SUSPECTS_FOR = 0.25
"""Seconds from the first failure of a primary in which only news are told: by then it is most often known to be lost.

They are few, so that primaries which fail now and then do not hold up all else.
"""

METRICS_EVERY = 50
"""Turns between two frames with metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """The facts about vtorc itself, and about its settings."""

    version: str
    process: int
    recoveries_allowed: bool
    emergency_reparents_allowed: bool
    clusters_to_watch: tuple[str, ...] = ()
    history_file: str = ""
    """The SQLite file of the history; empty if there is none."""
    shards_watched: int | None = None
    """How many shards this vtorc watches; None until the topology server was read once."""
    shards_known: int | None = None
    """How many shards the topology server has; None until it was read once."""
    shared_among: tuple[str, ...] = ()
    """The vtorcs that share the shards, this one included; empty if each watches all."""
    holds_outlive_vtorc: bool = False
    """Whether the holds of operators are kept over a restart."""
    settings: tuple[SettingForm, ...] = ()
    """All settings."""
    tokens: tuple[KnownToken, ...] = ()
    """All bearer tokens by name."""


class MetricsSource(Protocol):
    """Counts something."""

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        ...


@dataclass(slots=True)
class _ShardNews:
    """The latest form of one shard, and when it was told."""

    judgement: Judgement
    revision: int = 0
    told_at: float = float("-inf")
    """When it was told last, in seconds on the clock; minus infinity if it never was."""
    frame: ShardFrame | None = None
    """The form that was told last, for a server that starts anew; None before the first."""
    running: BegunRecovery | None = None
    """The recovery in progress; None without one."""
    steps: list[StepRecord] = field(default_factory=list)
    """The steps of the recovery in progress."""


class Publisher:
    """An observer of the fleet and its topology that sends frames of what it hears."""

    def __init__(
        self,
        sink: FrameSink,
        clock: OnTimeClock,
        facts: Callable[[], DaemonFacts],
        bounds: Callable[[], Bounds],
        *,
        metrics: Sequence[MetricsSource] = (),
    ) -> None:
        """Send to `sink`; `facts`, and `bounds` of recoveries, are asked again each time, so that a reload is told."""
        self._sink = sink
        self._clock = clock
        self._facts = facts
        self._errors = OwnErrors(lambda: rfc3339(clock.wall()))
        self._readiness = ReadinessKeeper(clock, bounds, self._errors)
        self._metrics = metrics
        self._started = clock.wall()
        self._shards: dict[ShardId, _ShardNews] = {}
        self._urgent: dict[ShardId, None] = {}
        """Shards with news, in the order in which these came."""
        self._moved: dict[ShardId, None] = {}
        """Shards of which positions moved since they were told, in the order in which they began to."""
        self._yields_until = float("-inf")
        """Until when only news are told, in seconds on the clock."""
        self._yields_to: set[ShardId] = set()
        """The shards because of which that is so."""
        self._past = ToldPast(sink)
        self._announcements: dict[Rule, AnnouncementForm] = {}
        self._holds: dict[int, HoldForm] = {}
        self._notes = NO_NOTES
        self._unread: tuple[str, ...] = ()
        self._webhook: WebhookFrame | None = None
        self._told_webhook: WebhookFrame | None = None
        self._status: StatusFrame | None = None
        self._settings: tuple[SettingForm, ...] = ()

    async def run(self) -> None:
        """Send what has changed, and heartbeats, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for turn in itertools.count():
            for _ in self.turn() if turn % STATUS_EVERY == 0 else self.news():
                await asyncio.sleep(0)
            if turn % METRICS_EVERY == 0:
                self._sink.send(self._metrics_frame())
            due = max(due + TICK, loop.time() + LEAST_REST)
            await asyncio.sleep(due - loop.time())

    def snapshot(self) -> Iterator[AnyFrame]:
        """Yield all that a server has to know that starts anew, the shards in the order of their names, metrics last.

        A shard with news is told as it is when its turn comes, any other as it was told last. To make thousands again
        takes vtorc most of a second, in which a failover may need it. It is not told once more after that: later news
        would wait behind thousands of shards that the server knows. Of recoveries, decisions and audit entries only
        those are told that there were at the first turn: later ones are sent beside this.
        """
        shards, past = sorted(self._shards, key=str), self._past.snapshot()
        if tokens := self._facts().tokens:
            yield TokensFrame(tokens=list(tokens))  # first, so that no client is refused that is known
        yield self._status_frame()
        if settings := self._facts().settings:
            yield SettingsFrame(settings=list(settings))
        if self._holds:
            yield self._holds_frame()
        if self._notes.acknowledgements or self._notes.tags:
            yield self._notes_frame()
        if self._webhook is not None:
            yield self._webhook
        for shard in shards:
            if (known := self._shards.get(shard)) is None:
                continue
            if shard in self._urgent or known.frame is None:
                self._tell(shard)
            if known.frame is not None:
                yield known.frame
        yield from past
        yield self._metrics_frame()

    # --- what is heard

    def judged(self, judgement: Judgement) -> None:
        """Take note of a judgement; it is told in one of the next turns."""
        shard = judgement.view.shard
        self._errors.judged(shard)
        known = self._shards.get(shard)
        before = known.judgement if known is not None else None
        if known is None:
            self._shards[shard] = _ShardNews(judgement)
        elif before is judgement:
            return
        else:
            if primary_begins_to_fail(known.judgement, judgement):
                self._yield_to(shard, SUSPECTS_FOR)
            known.judgement = judgement
        is_news = before is None or is_news_after(before, judgement)
        self._readiness.heard(judgement, is_news=is_news)
        if is_news:
            self._hurry(shard)
        else:
            self._moved.setdefault(shard)

    def decided(self, decision: Decision) -> None:
        """Send the decision."""
        self._send_decision(decision, is_gone=False)

    def cleared(self, decision: Decision) -> None:
        """Send that the problem is gone."""
        self._send_decision(decision, is_gone=True)

    def started(self, begun: BegunRecovery) -> None:
        """Show the recovery as one in progress."""
        if (known := self._shards.get(begun.shard)) is not None:
            known.running, known.steps = begun, []
            self._hurry(begun.shard)
        if begun.recovery.traits.replaces_primary:
            self._yield_to(begun.shard, YIELDS_FOR)

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Add a step to the recovery in progress."""
        if (known := self._shards.get(shard)) is not None and known.running is not None:
            known.steps.append(step)
            self._hurry(shard)

    def finished(self, record: RecoveryRecord) -> None:
        """Send the record of the recovery, which is no longer in progress."""
        with self._errors.contained(record.shard, "recovery"):
            self._past.ended(RecoveryFrame(recovery=recovery_form(record)))
        self._end_running(record.shard)

    def interrupted(self, begun: BegunRecovery) -> None:
        """Show the recovery no more as one in progress."""
        self._end_running(begun.shard)

    def tokens_changed(self) -> None:
        """Send the bearer tokens, before the operator who changed them is answered."""
        self._sink.send(TokensFrame(tokens=list(self._facts().tokens)))

    def audited(self, entry: AuditForm) -> None:
        """Send what an operator asked for."""
        self._past.audited(entry)

    def hook_ran(self, recovery: int, shard: str, run: HookRunForm) -> None:
        """Send the recovery again, with the command that has ended."""
        self._past.hook_ran(recovery, shard, run)

    def webhook_changed(self, state: WebhookForm) -> None:
        """Send how the webhook does, in one of the next turns."""
        self._webhook = WebhookFrame(webhook=state)

    def announced(self, announcement: Announcement) -> None:
        """Send the news with the next status."""
        if announcement.is_end:
            self._announcements.pop(announcement.rule, None)
        else:
            self._announcements[announcement.rule] = AnnouncementForm(
                rule=announcement.rule.value, since=rfc3339(self._clock.wall()), sentence=announcement.sentence
            )

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Send a mistake of vtorc's own, which is news about the whole fleet until its shard is watched anew."""
        self._errors.failed(shard, error, rest)

    def held(self, news: HoldNews) -> None:
        """Send the holds in force."""
        if news.change.is_end:
            self._holds.pop(news.hold.number, None)
        else:
            self._holds[news.hold.number] = hold_form(news.hold)
        self._sink.send(self._holds_frame())

    def noted(self, notes: Notes) -> None:
        """Send the notes of operators."""
        self._notes = notes
        self._sink.send(self._notes_frame())

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Do nothing: a shard is told once it was judged."""

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Send that the shard is not watched any more."""
        self._errors.gone(shard)
        if self._shards.pop(shard, None) is not None:
            self._urgent.pop(shard, None)
            self._moved.pop(shard, None)
            self._readiness.forget(shard)
            self._sink.send(GoneFrame(shard=str(shard)))

    def unread(self, failures: Sequence[str]) -> None:
        """Send the failures with the next status."""
        self._unread = tuple(failures)

    def read(self, shards: Collection[ShardId]) -> None:
        """Do nothing: shards are told as they come and go."""

    # --- what is told

    def turn(self) -> Iterator[None]:
        """Send what has changed since the last turn, as far as a short turn allows, and a heartbeat.

        Yields after each piece of work; between two of them more may be heard.
        """
        yield from self.news()
        if (status := self._status_frame()) != self._status:
            self._status = status
            self._sink.send(status)
        if (settings := self._facts().settings) != self._settings:
            self._settings = settings
            self._sink.send(SettingsFrame(settings=list(settings)))
        if self._webhook is not None and self._webhook is not self._told_webhook:
            self._told_webhook = self._webhook
            self._sink.send(self._webhook)
        self._sink.send(HeartbeatFrame(at=rfc3339(self._clock.wall()), late_seconds=round(self._clock.late, 3)))

    def news(self) -> Iterator[None]:
        """Send shards that have changed, as far as a short turn allows; yields as `turn` does."""
        for changed in () if self.is_busy() else self._readiness.turn():
            if changed is not None:
                self._hurry(changed)
            yield
        for shard in self._due(0 if self.is_busy() else MOST_MOVED_PER_TURN):
            if shard in self._shards and (frame := self._tell(shard)) is not None:
                self._sink.send(frame)
                yield

    def is_busy(self) -> bool:
        """Whether a primary may be lost, or is being replaced, so that all but news has to wait."""
        if self._clock.now() >= self._yields_until:
            self._yields_to.clear()
        return bool(self._yields_to)

    def _due(self, most: int) -> list[ShardId]:
        """Return the shards to tell in this turn: the news first, and then of which positions were told longest ago.

        Those of which positions moved fill it up to `most`, unless there is more news than that.
        """
        due = list(itertools.islice(self._urgent, MOST_PER_TURN))
        now = self._clock.now()
        for shard in itertools.islice(self._moved, max(0, most - len(due))):
            if now - self._shards[shard].told_at < POSITIONS_EVERY:
                break
            due.append(shard)
        return due

    def _tell(self, shard: ShardId) -> ShardFrame | None:
        """Return the frame of a shard as it is now, which is told with it; None if vtorc itself fails to make it."""
        self._urgent.pop(shard, None)
        self._moved.pop(shard, None)
        known = self._shards[shard]
        known.revision += 1
        known.told_at = self._clock.now()
        with self._errors.contained(shard, "state"):
            known.frame = self._shard_frame(known)
            return known.frame
        return None

    def _shard_frame(self, known: _ShardNews) -> ShardFrame:
        moment = Moment(self._clock.now(), self._clock.wall())
        judgement = known.judgement
        running: RunningForm | None = None
        if known.running is not None:
            running = running_form(known.running, known.steps)
        ready = self._readiness.of(judgement.view.shard)
        return ShardFrame(shard=shard_form(judgement, moment, revision=known.revision, running=running, ready=ready))

    def _status_frame(self) -> StatusFrame:
        facts = self._facts()
        return StatusFrame(
            version=facts.version,
            process=facts.process,
            started=rfc3339(self._started),
            recoveries_allowed=facts.recoveries_allowed and Rule.RECOVERIES_STOPPED not in self._announcements,
            emergency_reparents_allowed=facts.emergency_reparents_allowed,
            clusters_to_watch=list(facts.clusters_to_watch),
            topology_failures=list(self._unread),
            shards_watched=facts.shards_watched,
            shards_known=facts.shards_known,
            shared_among=list(facts.shared_among),
            announcements=[
                *(self._announcements[rule] for rule in sorted(self._announcements, key=lambda r: r.value)),
                *self._errors.announcements,
            ],
            history_file=facts.history_file,
        )

    def _holds_frame(self) -> HoldsFrame:
        return HoldsFrame(holds=list(self._holds.values()), outlive_vtorc=self._facts().holds_outlive_vtorc)

    def _notes_frame(self) -> NotesFrame:
        return NotesFrame(
            acknowledgements=[acknowledgement_form(each) for each in self._notes.acknowledgements.values()],
            tags=[tag_form(tag) for tag in self._notes.tags.values()],
        )

    def _metrics_frame(self) -> MetricsFrame:
        return MetricsFrame(metrics=[metric for source in self._metrics for metric in source.metrics()])

    def _send_decision(self, decision: Decision, *, is_gone: bool) -> None:
        change: Literal["cleared", "decided"] = "cleared" if is_gone else "decided"
        at = rfc3339(self._clock.wall())
        with self._errors.contained(decision.finding.shard, "decision"):
            self._past.decided(DecisionFrame(at=at, change=change, finding=finding_form(decision)))

    def _end_running(self, shard: ShardId) -> None:
        self._yields_to.discard(shard)
        if (known := self._shards.get(shard)) is not None and known.running is not None:
            known.running, known.steps = None, []
            self._hurry(shard)

    def _yield_to(self, shard: ShardId, seconds: float) -> None:
        self._yields_to.add(shard)
        self._yields_until = max(self._yields_until, self._clock.now() + seconds)

    def _hurry(self, shard: ShardId) -> None:
        self._urgent.setdefault(shard)
