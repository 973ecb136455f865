"""The frames that vtorc sends of what it hears."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Never

import pytest
from structlog.testing import capture_logs

from tests.unit.core.builders import CONNECTING, NOW, P, answers, failing, gtids, held, hold, primary, replica, shard
from vtorc.config.load import Loaded
from vtorc.config.settings import Settings
from vtorc.control import publisher
from vtorc.control.hold_book import HoldChange, HoldNews
from vtorc.control.observer import Announcement
from vtorc.control.publisher import (
    MOST_MOVED_PER_TURN,
    MOST_PER_TURN,
    POSITIONS_EVERY,
    SUSPECTS_FOR,
    YIELDS_FOR,
    DaemonFacts,
    Publisher,
)
from vtorc.control.readiness_keeper import READINESS_EVERY
from vtorc.core.decision.decisions import DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.forms.frames import (
    AnyFrame,
    HoldsFrame,
    MetricForm,
    RecoveryFrame,
    ShardFrame,
    StatusFrame,
    WebhookFrame,
)
from vtorc.forms.recovery import HookRunForm
from vtorc.forms.running_settings import setting_forms
from vtorc.forms.settings import SettingForm
from vtorc.forms.shard import ShardForm, shard_form
from vtorc.forms.webhook_state import WebhookForm
from vtorc.recovery.record import OperatorRequest, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement, begun_with
from vtorc.recovery.session import Bounds

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC = policy("semi_sync")
PRIMARY, REPLICA = primary(), replica(R1)
HEALTHY = shard(PRIMARY, REPLICA)
FAR, FARTHER = replica(R2), replica(R3)
TWO = shard(PRIMARY, FAR, FARTHER)
WRITTEN = shard(answers(PRIMARY, executed=gtids("100:1-60")), REPLICA)
DEAD = shard(failing(PRIMARY), replica(R1, io=CONNECTING))


@dataclass
class Hands:
    """A clock that is moved by hand."""

    at: float = NOW

    def now(self) -> float:
        """Seconds."""
        return self.at

    def wall(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return int(self.at * 1e9)


@dataclass
class Sent:
    """Keeps the frames that are sent, and the metrics that it gives."""

    frames: list[AnyFrame] = field(default_factory=list)
    allowed: bool = True
    settings: tuple[SettingForm, ...] = ()

    def send(self, frame: AnyFrame) -> None:
        """Keep the frame."""
        self.frames.append(frame)

    def metrics(self) -> Iterator[MetricForm]:
        """Yield one value."""
        yield MetricForm(name="frames", labels={}, value=len(self.frames))

    def facts(self) -> DaemonFacts:
        """Return what vtorc says of itself."""
        return DaemonFacts(
            version="1",
            process=7,
            recoveries_allowed=self.allowed,
            emergency_reparents_allowed=True,
            settings=self.settings,
        )

    def take(self) -> list[str]:
        """Return what was sent since the last call, heartbeats and the unchanged left out."""
        names = [_name(frame) for frame in self.frames]
        self.frames.clear()
        return [name for name in names if not name.startswith("heartbeat")]


def _name(frame: AnyFrame) -> str:
    kind = type(frame).__struct_config__.tag
    return f"{kind} {frame.key or ''}".strip() if kind != "shard" else frame.key or ""


@dataclass
class Told:
    """A publisher with its clock and its sink."""

    hands: Hands = field(default_factory=Hands)
    sent: Sent = field(default_factory=Sent)
    bounds: Bounds = field(default_factory=Bounds)
    publisher: Publisher = field(init=False)

    def __post_init__(self) -> None:
        clock = OnTimeClock(self.hands)
        self.publisher = Publisher(self.sent, clock, self.sent.facts, lambda: self.bounds, metrics=[self.sent])

    def turn(self, seconds: float = 0.1) -> list[str]:
        """Let so many seconds pass and the publisher take a turn; returns the names of what it sent."""
        self.hands.at += seconds
        self.take_turn()
        return self.sent.take()

    def take_turn(self) -> None:
        """Let the publisher take a whole turn."""
        for _ in self.publisher.turn():
            pass


def judged(view: ShardView, *, name: str = "0") -> Judgement:
    """Judge a shard as its loop does."""
    view = replace(view, shard=ShardId("commerce", name))
    findings = analyse(view, SEMI_SYNC, DetectionThresholds(), NOW)
    decisions = decide(view, findings, SEMI_SYNC, DecisionLimits(), NOW)
    return Judgement(view, SEMI_SYNC, decisions, next_action(decisions))


def test_a_shard_is_told_at_once_when_there_is_news() -> None:
    """A shard is told after its first judgement and after each that differs in more than positions."""
    told = Told()
    told.publisher.judged(judged(HEALTHY))
    assert told.turn() == ["shard commerce/0", "status status"]
    assert told.turn() == []
    told.publisher.judged(judged(DEAD))
    assert told.turn() == ["shard commerce/0"]


def test_positions_alone_are_told_every_few_seconds() -> None:
    """What moves with every write is told late, once, and with the newest values."""
    told = Told()
    told.publisher.judged(judged(HEALTHY))
    told.turn()
    told.publisher.judged(judged(WRITTEN))
    assert told.turn() == []
    told.hands.at += POSITIONS_EVERY
    told.take_turn()
    frames = [frame for frame in told.sent.frames if _name(frame) == "shard commerce/0"]
    assert [frame.shard.revision for frame in frames] == [2]  # type: ignore[union-attr]
    gtid = frames[0].shard.tablets[0].gtid  # type: ignore[union-attr]
    assert gtid is not None
    assert gtid.executed == str(gtids("100:1-60"))


def test_a_turn_is_short_however_many_shards_have_news() -> None:
    """At most so many shards are told in one turn, and the rest in the next ones."""
    told = Told()
    for number in range(MOST_PER_TURN + 5):
        told.publisher.judged(judged(HEALTHY, name=f"{number:x}-"))
    first, second = ({name for name in told.turn() if name.startswith("shard")} for _ in range(2))
    assert len(first) == MOST_PER_TURN
    assert len(first | second) == MOST_PER_TURN + 5


def let_positions_move(told: Told, names: Sequence[str]) -> None:
    """Tell of these shards, and let all of them be due for nothing but their positions."""
    for view in (HEALTHY, WRITTEN):
        for name in names:
            told.publisher.judged(judged(view, name=name))
        while told.turn():
            pass
    told.hands.at += POSITIONS_EVERY


def test_news_are_told_before_positions() -> None:
    """A shard with news does not wait for those of which only positions moved, however many these are."""
    told = Told()
    names = [f"{number:x}-" for number in range(MOST_PER_TURN + 5)]
    let_positions_move(told, names)
    told.publisher.judged(judged(DEAD, name="new"))
    first, rest = names[: MOST_MOVED_PER_TURN - 1], names[MOST_MOVED_PER_TURN - 1 :]
    for expected in (["new", *first], rest[:MOST_MOVED_PER_TURN]):
        assert [name for name in told.turn() if name.startswith("shard")] == [
            f"shard commerce/{name}" for name in expected
        ]


def test_positions_wait_for_a_turn_with_little_news() -> None:
    """They fill a turn up, but not to as much as news may."""
    told = Told()
    names = [f"{number:x}-" for number in range(2 * MOST_PER_TURN)]
    let_positions_move(told, names)
    for name in names[:MOST_MOVED_PER_TURN]:
        told.publisher.judged(judged(shard(PRIMARY, replica(R1, io=CONNECTING)), name=name))
    first, second = ([name for name in told.turn() if name.startswith("shard")] for _ in range(2))
    assert first == [f"shard commerce/{name}" for name in names[:MOST_MOVED_PER_TURN]]
    assert second == [f"shard commerce/{name}" for name in names[MOST_MOVED_PER_TURN:][:MOST_MOVED_PER_TURN]]


def test_what_is_heard_amid_a_turn_is_told_in_the_next_one() -> None:
    """The work of a turn is cut into pieces; a shard that goes between two of them is not told."""
    told = Told()
    for name in ("0", "80-"):
        told.publisher.judged(judged(HEALTHY, name=name))
    pieces = told.publisher.turn()
    while "shard commerce/0" not in told.sent.take():
        next(pieces)
    told.publisher.judged(judged(DEAD))
    told.publisher.gone(ShardId("commerce", "80-"))
    assert list(pieces) == []
    assert told.sent.take() == ["gone shard commerce/80-", "status status"]
    assert told.turn() == ["shard commerce/0"]


def test_a_recovery_is_shown_with_its_steps_until_it_ends() -> None:
    """A recovery in progress is part of its shard; its record is sent once when it has ended."""
    told = Told()
    judgement = judged(DEAD)
    assert judgement.action is not None
    told.publisher.judged(judgement)
    told.turn()
    told.publisher.started(begun_with(judgement.action, began=0))
    told.publisher.stepped(judgement.view.shard, StepRecord(name="stop", target=None, started=0.1, duration=0.2))
    told.take_turn()
    (frame,) = [frame for frame in told.sent.frames if _name(frame) == "shard commerce/0"]
    running = frame.shard.running  # type: ignore[union-attr]
    assert running is not None
    assert (running.kind, [step.name for step in running.steps]) == ("RecoverDeadPrimary", ["stop"])
    assert frame.shard.state == "repairing"  # type: ignore[union-attr]
    told.sent.take()
    told.publisher.finished(_record(judgement.view.shard))
    assert told.turn() == ["recovery", "shard commerce/0"]
    assert [_name(frame) for frame in told.publisher.snapshot()] == [
        "status status",
        "shard commerce/0",
        "recovery",
        "metrics metrics",
    ]


def test_only_news_are_told_while_a_lost_primary_is_replaced() -> None:
    """The recovery needs the processor: readiness and positions wait for a second."""
    told = Told()
    names = ("0", "80-")
    let_positions_move(told, names)
    judgement = judged(DEAD)
    assert judgement.action is not None
    told.publisher.judged(judgement)
    told.publisher.started(begun_with(judgement.action, began=0))
    assert told.publisher.is_busy()
    assert told.turn() == ["shard commerce/0"]
    assert told.turn() == []
    told.hands.at += YIELDS_FOR
    assert not told.publisher.is_busy()
    assert "shard commerce/80-" in told.turn()


def test_vtorc_yields_from_the_first_failure_of_a_primary() -> None:
    """Whether it is lost has to be found out soon; a primary that goes on failing is no reason to yield for ever."""
    told = Told()
    told.publisher.judged(judged(HEALTHY))
    assert not told.publisher.is_busy()
    told.publisher.judged(judged(DEAD))
    assert told.publisher.is_busy()
    told.hands.at += SUSPECTS_FOR
    told.publisher.judged(judged(DEAD))
    assert not told.publisher.is_busy()


def test_vtorc_yields_no_longer_than_a_lost_primary_is_being_replaced() -> None:
    """A recovery that ends before the time to yield is over ends that, but not for another shard's."""
    told = Told()
    first, second = judged(DEAD), judged(DEAD, name="80-")
    for judgement in (first, second):
        assert judgement.action is not None
        told.publisher.judged(judgement)
        told.publisher.started(begun_with(judgement.action, began=0))
    told.publisher.finished(_record(first.view.shard))
    assert told.publisher.is_busy()
    told.publisher.finished(_record(second.view.shard))
    assert not told.publisher.is_busy()


def test_a_recovery_is_told_again_with_each_command_that_ran_after_it() -> None:
    """The commands come in their order, also to a server that starts anew; those of no recovery change nothing."""
    told = Told()
    record = _record(judged(DEAD).view.shard)
    told.publisher.finished(record)
    told.sent.take()
    runs = [
        HookRunForm(hook="PostFailoverProcesses", number=number, at="", seconds=1.0, result="done", output="")
        for number in (1, 2)
    ]
    for run in runs:
        told.publisher.hook_ran(record.began, str(record.shard), run)
    told.publisher.hook_ran(0, str(record.shard), runs[0])
    told.publisher.hook_ran(record.began, "commerce/other", runs[0])
    assert [frame.recovery.hooks for frame in told.sent.frames if isinstance(frame, RecoveryFrame)] == [runs[:1], runs]
    (kept,) = [frame for frame in told.publisher.snapshot() if isinstance(frame, RecoveryFrame)]
    assert kept.recovery.hooks == runs


def test_the_webhook_is_told_when_there_is_news_of_it() -> None:
    """Its state is sent in the next turn, and once, and a server that starts anew gets it."""
    told = Told()
    told.turn()
    state = WebhookForm(url="http://x/", dropped=0, sentence="s", dead=3)
    told.publisher.webhook_changed(state)
    assert told.turn() == ["webhook webhook"]
    assert told.turn() == []
    assert [frame.webhook for frame in told.publisher.snapshot() if isinstance(frame, WebhookFrame)] == [state]


def test_a_recovery_that_is_broken_off_is_no_longer_in_progress() -> None:
    """After an interruption the shard is told again, without a recovery."""
    told = Told()
    judgement = judged(DEAD)
    assert judgement.action is not None
    told.publisher.judged(judgement)
    told.publisher.started(begun_with(judgement.action, began=0))
    told.turn()
    told.publisher.interrupted(begun_with(judgement.action, began=0))
    told.take_turn()
    (frame,) = [frame for frame in told.sent.frames if _name(frame) == "shard commerce/0"]
    assert frame.shard.running is None  # type: ignore[union-attr]


def test_a_snapshot_that_is_taken_slowly_tells_nothing_twice() -> None:
    """What is sent beside a snapshot is not in it; a shard is told as it is at its turn, unless it is gone."""
    told = Told()
    for name in ("0", "80-"):
        told.publisher.judged(judged(HEALTHY, name=name))
    told.turn()
    snapshot = told.publisher.snapshot()
    assert _name(next(snapshot)) == "status status"
    (decision, *_) = judged(DEAD).decisions
    told.publisher.decided(decision)
    told.publisher.gone(ShardId("commerce", "80-"))
    told.publisher.judged(judged(DEAD))
    rest = list(snapshot)
    assert [_name(frame) for frame in rest] == ["shard commerce/0", "metrics metrics"]
    assert rest[0].shard.state == "repairing"  # type: ignore[union-attr]
    assert told.sent.take() == ["decision", "gone shard commerce/80-"]


def test_news_that_a_snapshot_has_told_are_not_told_again() -> None:
    """The next turn is for what came later."""
    told = Told()
    told.publisher.judged(judged(HEALTHY))
    told.turn()
    told.publisher.judged(judged(held(HEALTHY, hold(Effect.NO_ALERT))))
    assert "shard commerce/0" in [_name(frame) for frame in told.publisher.snapshot()]
    assert told.turn() == []


def test_decisions_and_their_ends_are_sent_as_they_come() -> None:
    """Each decision is sent once, and once more when its problem is gone."""
    told = Told()
    (decision, *_) = judged(DEAD).decisions
    told.publisher.decided(decision)
    told.publisher.cleared(decision)
    changes = [frame.change for frame in told.sent.frames]  # type: ignore[union-attr]
    assert changes == ["decided", "cleared"]


def test_the_status_is_sent_when_it_changes() -> None:
    """A reload, unread parts of the topology and news about the fleet are told once each, and so are their ends."""
    told = Told()
    assert told.turn() == ["status status"]
    told.publisher.unread(["cell zone1 does not answer"])
    assert told.turn() == ["status status"]
    told.publisher.announced(Announcement("held back", Rule.BREAKER))
    assert told.turn() == ["status status"]
    told.publisher.announced(Announcement("over", Rule.BREAKER, is_end=True))
    assert told.turn() == ["status status"]
    told.sent.allowed = False
    assert told.turn() == ["status status"]
    assert told.turn() == []


def test_a_mistake_of_vtorcs_own_is_told_until_its_shard_is_judged_again() -> None:
    """Of several shards in which vtorc failed, the last is told; one that is gone is forgotten."""
    told = Told()
    first, second = ShardId("commerce", "0"), ShardId("commerce", "1")

    def announced() -> list[str]:
        told.turn()
        [status] = [frame for frame in told.publisher.snapshot() if isinstance(frame, StatusFrame)]
        return [each.sentence.partition(":")[0] for each in status.announcements]

    for failing_shard in (first, second):
        told.publisher.failed(failing_shard, ValueError("no"), 1.0)
    assert announced() == ["commerce/1"]
    told.publisher.gone(second)
    assert announced() == ["commerce/0"]
    told.publisher.judged(judged(HEALTHY))
    assert announced() == []


def test_a_shard_that_cannot_be_told_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told, also to a server that starts anew; the mistake is logged once and told until it is over."""
    told, broken = Told(), [ShardId("commerce", "1")]

    def form(judgement: Judgement, *rest: Any, **more: Any) -> ShardForm:
        if judgement.view.shard in broken:
            raise ValueError("no words")
        return shard_form(judgement, *rest, **more)

    def announced() -> list[str]:
        return [
            each.sentence
            for frame in told.publisher.snapshot()
            if isinstance(frame, StatusFrame)
            for each in frame.announcements
        ]

    monkeypatch.setattr(publisher, "shard_form", form)
    with capture_logs() as lines:
        for view in (HEALTHY, DEAD):
            for name in ("1", "0", "2"):
                told.publisher.judged(judged(view, name=name))
            sent = told.turn()
            assert {"shard commerce/0", "shard commerce/2"} <= set(sent)
            assert "shard commerce/1" not in sent
    anew = [each.key for each in told.publisher.snapshot() if isinstance(each, ShardFrame)]
    assert anew == ["shard commerce/0", "shard commerce/2"]
    assert [line["shard"] for line in lines] == ["commerce/1"]
    assert lines[0]["rule"] == "own-error"
    [sentence] = announced()
    assert sentence.startswith("commerce/1: vtorc itself failed to tell the state of this shard (ValueError: no words)")
    broken.clear()
    told.publisher.judged(judged(HEALTHY, name="1"))
    assert "shard commerce/1" in told.turn()
    assert announced() == []


def test_a_mistake_in_what_is_told_of_a_recovery_reaches_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of the shard, which calls the publisher, goes on; the mistake is told."""

    def fails(*_: object) -> Never:
        raise ValueError("no words")

    told, judgement = Told(), judged(DEAD)
    for name in ("recovery_form", "finding_form"):
        monkeypatch.setattr(publisher, name, fails)
    told.publisher.decided(judgement.decisions[0])
    told.publisher.finished(_record(ShardId("commerce", "0")))
    told.turn()
    [status] = [frame for frame in told.publisher.snapshot() if isinstance(frame, StatusFrame)]
    assert ["failed to tell the recovery of this shard" in each.sentence for each in status.announcements] == [True]


def test_settings_are_sent_when_they_change() -> None:
    """They are told at the start, after a reload that changed one, and to a server that starts anew."""
    told = Told(sent=Sent(settings=setting_forms(Settings(), Loaded(settings=Settings()).sources)))
    assert told.turn() == ["status status", "settings settings"]
    assert told.turn() == []
    told.sent.settings = setting_forms(Settings(instance_poll_time=7.0), Loaded(settings=Settings()).sources)
    assert told.turn() == ["settings settings"]
    assert "settings settings" in [_name(frame) for frame in told.publisher.snapshot()]


def test_a_shard_that_is_gone_is_told_once() -> None:
    """A shard that left the topology server is told as gone, and not told again."""
    told = Told()
    told.publisher.judged(judged(HEALTHY))
    told.turn()
    told.publisher.judged(judged(DEAD))
    told.publisher.gone(ShardId("commerce", "0"))
    told.publisher.gone(ShardId("commerce", "0"))
    assert told.turn() == ["gone shard commerce/0"]
    assert [_name(frame) for frame in told.publisher.snapshot()] == ["status status", "metrics metrics"]


def _readiness(told: Told) -> list[bool | None]:
    """Return whether the shard was ready, in each frame of it since the last call."""
    frames, told.sent.frames = told.sent.frames, []
    forms = [frame.shard.ready for frame in frames if isinstance(frame, ShardFrame)]
    return [ready.ready if ready is not None else None for ready in forms]


def test_readiness_is_told_with_the_news_that_change_it() -> None:
    """There is none of a dead primary."""
    told = Told()
    for view in (TWO, shard(PRIMARY, FAR, failing(FARTHER)), DEAD):
        told.publisher.judged(judged(view))
        told.hands.at += 0.1
        told.take_turn()
    assert _readiness(told) == [True, False, None]


def test_a_shard_without_news_is_told_when_its_readiness_has_become_another() -> None:
    """A setting that was changed by a reload is told once; the same readiness is not told again."""
    told = Told()
    told.publisher.judged(judged(TWO))
    told.take_turn()
    told.bounds = Bounds(same_cell_only=True)
    for turn in range(1, 4):
        told.hands.at = NOW + turn * (READINESS_EVERY + 0.1)
        told.take_turn()
    assert _readiness(told) == [True, False]


def test_a_server_that_starts_anew_gets_the_readiness_that_was_told() -> None:
    """It is not worked out for it; before the first turn there is none."""
    told = Told()
    told.publisher.judged(judged(TWO))
    told.sent.frames += told.publisher.snapshot()
    told.take_turn()
    told.sent.frames += told.publisher.snapshot()
    assert _readiness(told) == [None, True, True]


def test_the_readiness_of_a_shard_that_is_gone_is_not_worked_out_again() -> None:
    """The publisher goes on without it."""
    told = Told()
    told.publisher.judged(judged(TWO))
    told.turn()
    told.publisher.gone(ShardId("commerce", "0"))
    assert told.turn(READINESS_EVERY + 0.1) == ["gone shard commerce/0"]


def _record(name: ShardId) -> RecoveryRecord:
    return RecoveryRecord(
        shard=name,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        code=None,
        alias=TabletAlias.parse(P),
        began=int(NOW * 1e9),
        duration=0.4,
        outcome=Outcome.SUCCEEDED,
        sentence="promoted",
    )


def test_recoveries_that_an_operator_stopped_are_told_as_not_allowed() -> None:
    """The status says so, with the reason among its announcements, until they are allowed again."""
    told = Told()
    told.turn()
    told.publisher.announced(Announcement("no recovery begins: ann stopped them: a drill", Rule.RECOVERIES_STOPPED))
    told.take_turn()
    (status,) = (frame for frame in told.sent.frames if isinstance(frame, StatusFrame))
    assert not status.recoveries_allowed
    assert [each.rule for each in status.announcements] == ["recoveries-stopped"]
    told.sent.take()
    told.publisher.announced(Announcement("they may begin again", Rule.RECOVERIES_STOPPED, is_end=True))
    told.take_turn()
    (status,) = (frame for frame in told.sent.frames if isinstance(frame, StatusFrame))
    assert status.recoveries_allowed
    assert status.announcements == []


def test_a_command_is_shown_with_the_operator_that_asked_for_it() -> None:
    """A recovery of vtorc's own has neither operator nor reason."""
    told = Told()
    judgement = judged(DEAD)
    assert judgement.action is not None
    begun = begun_with(judgement.action, began=17)
    told.publisher.judged(judgement)
    told.publisher.started(begun)
    assert _running(told) == ("17", "DeadPrimary", None, None)
    asked = OperatorRequest(actor="ann", origin="10.0.0.7", reason="a drill")
    told.publisher.started(replace(begun, code=None, asked=asked))
    assert _running(told) == ("17", None, "ann", "a drill")


def _running(told: Told) -> tuple[str | None, ...]:
    told.sent.take()
    told.take_turn()
    (frame,) = (frame for frame in told.sent.frames if isinstance(frame, ShardFrame))
    running = frame.shard.running
    assert running is not None
    return running.id, running.code, running.actor, running.reason


def test_holds_are_told_as_a_whole_after_each_change() -> None:
    """A server that starts anew is told them as well, if there are any."""
    told = Told()
    for change, number in ((HoldChange.RESTORED, 3), (HoldChange.ADDED, 4), (HoldChange.LIFTED, 3)):
        told.publisher.held(HoldNews(hold(Effect.NO_ALERT, number=number), change))
    frames = [frame for frame in told.sent.frames if isinstance(frame, HoldsFrame)]
    assert [[each.number for each in frame.holds] for frame in frames] == [[3], [3, 4], [4]]
    (again,) = (frame for frame in told.publisher.snapshot() if isinstance(frame, HoldsFrame))
    assert again == frames[-1]


def test_a_hold_on_a_shard_is_news_of_it() -> None:
    """The shard is told at once, although none of its tablets has changed."""
    told = Told()
    told.publisher.judged(judged(HEALTHY))
    told.turn()
    told.publisher.judged(judged(held(HEALTHY, hold(Effect.NO_ALERT))))
    assert told.turn() == ["shard commerce/0"]
