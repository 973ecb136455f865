"""Frames as lines, each piece of news once."""

from msgspec import structs

from tests.unit.cli.client.samples import AT, HEALTHY, LOST, decision, recovery, running, shard, status
from tests.unit.core.builders import hold
from vtorc.cli.client.live import LiveLines
from vtorc.core.facts.holds import Effect
from vtorc.forms.fleet import AnyEvent, RowFrame, shard_row
from vtorc.forms.frames import (
    AnnouncementForm,
    GoneFrame,
    HeartbeatFrame,
    HoldsFrame,
    MetricsFrame,
    RecoveryFrame,
    ShardFrame,
)
from vtorc.forms.hold import hold_form
from vtorc.forms.recovery import HookRunForm


def _told(live: LiveLines, *frames: AnyEvent) -> list[list[str]]:
    return [live.lines(frame, 200) for frame in frames]


def test_a_shard_is_told_when_its_sentence_changes() -> None:
    """A sentence that was shown before, or is sent again, is not told again."""
    live = LiveLines([shard_row(shard(HEALTHY))])
    well, ill = ShardFrame(shard=shard(HEALTHY)), ShardFrame(shard=shard(LOST))
    told = _told(live, well, ill, ill, well)
    assert told == [
        [],
        [f"2025-11-30 00:00:00Z  ▲ {shard(LOST).sentence}"],
        [],
        [f"2025-11-30 00:00:00Z  ● {shard(HEALTHY).sentence}"],
    ]


def test_what_was_missed_is_told() -> None:
    """After a gap those shards are told that have another sentence, with the time of vtorc's clock."""
    live = LiveLines([shard_row(shard(HEALTHY)), shard_row(shard(HEALTHY, name="a/0"))])
    live.lines(HeartbeatFrame(at=AT, late_seconds=0), 200)
    rows = [shard_row(shard(LOST)), shard_row(shard(HEALTHY, name="a/0"))]
    assert live.missed(rows, 200) == [f"2025-11-30 00:00:00Z  ▲ {shard(LOST).sentence}"]
    assert live.missed(rows, 200) == []


def test_a_decision_is_not_told_twice() -> None:
    """A shard with the sentence of the decision before it, with or without a count of others, is no news."""
    live = LiveLines([])
    more = structs.replace(shard(LOST), sentence=f"{shard(LOST).sentence} (and 1 more finding)")
    told = _told(live, decision(), ShardFrame(shard=shard(LOST)), ShardFrame(shard=more))
    assert told == [[f"2025-11-30 00:00:00Z  [act] {shard(LOST).sentence}"], [], []]


def test_steps_are_told_as_they_end() -> None:
    """Each step of a recovery in progress is told once, and those of the next recovery from the first on."""
    live = LiveLines([])
    first = ShardFrame(shard=shard(HEALTHY, running=running(1)))
    second = ShardFrame(shard=shard(HEALTHY, running=running(3)))
    over = ShardFrame(shard=shard(HEALTHY))
    ended = RecoveryFrame(recovery=recovery())
    told = _told(live, first, first, second, ended, over, first)
    lock = "     0.012 s  lock the shard: done"
    assert told[0] == ["2025-11-30 00:00:00Z  ▲ commerce/0: moving the primary to zone2-0000000102", lock]
    assert told[1] == []
    assert told[2] == [
        "     0.112 s  stop replication on zone2-0000000102: done",
        "     1.262 s  stop replication on zone3-0000000103: it does not answer",
    ]
    assert told[3][0].startswith("● 2025-11-30 00:00:00Z  RecoverDeadPrimary for DeadPrimary: succeeded")
    assert told[5][-1] == lock


def test_the_last_steps_of_a_recovery_are_told_with_its_end() -> None:
    """The promotion is one of them, and the shard is told without it before the recovery has ended."""
    live = LiveLines([])
    ended = RecoveryFrame(recovery=recovery())
    told = _told(live, ShardFrame(shard=shard(HEALTHY, running=running(1))), ended)
    assert told[1][:3] == [
        "     0.112 s  stop replication on zone2-0000000102: done",
        "     1.262 s  stop replication on zone3-0000000103: it does not answer",
        "● 2025-11-30 00:00:00Z  RecoverDeadPrimary for DeadPrimary: succeeded in 1.30 s",
    ]
    unseen = RecoveryFrame(recovery=recovery(shard="a/0", id="2"))
    assert live.lines(unseen, 200)[0] == "     0.012 s  lock the shard: done"


def test_a_hook_that_ends_after_its_recovery_is_told_alone() -> None:
    """The recovery comes again with it, and was told before."""
    live = LiveLines([])
    runs = [
        HookRunForm(hook="PostFailoverProcesses", number=n, result="done", at=AT, seconds=0.5, output="")
        for n in (1, 2)
    ]
    live.lines(RecoveryFrame(recovery=recovery()), 200)
    told = _told(live, *(RecoveryFrame(recovery=recovery(hooks=runs[:count])) for count in (1, 2, 2)))
    assert told == [
        ["  commerce/0: PostFailoverProcesses 1: done in 0.500 s"],
        ["  commerce/0: PostFailoverProcesses 2: done in 0.500 s"],
        [],
    ]


def test_a_row_is_told_as_its_shard_is() -> None:
    """A listener to all shards hears of their rows, with the recovery in progress."""
    form = shard(HEALTHY, running=running(1))
    row, whole = (_told(LiveLines([]), frame) for frame in (RowFrame(shard=shard_row(form)), ShardFrame(shard=form)))
    assert row == whole


def test_announcements_are_told_at_both_ends() -> None:
    """News of the whole fleet is told when it begins, when it changes, and when it is over."""
    one = AnnouncementForm(rule="breaker", since=AT, sentence="5 shards wait")
    other = AnnouncementForm(rule="breaker", since=AT, sentence="6 shards wait")
    frames = [status(announcements=[form]) for form in (one, one, other)]
    told = _told(LiveLines([]), *frames, HeartbeatFrame(at=AT, late_seconds=0), status())
    assert told == [
        ["2025-11-30 00:00:00Z  [breaker] 5 shards wait"],
        [],
        ["2025-11-30 00:00:00Z  [breaker] 6 shards wait"],
        [],
        ["2025-11-30 00:00:00Z  [breaker] over"],
    ]


def test_a_shard_that_is_gone() -> None:
    """A shard that left is told with the time of vtorc's clock, and as a new one should it come back."""
    live = LiveLines([shard_row(shard(HEALTHY))])
    told = _told(live, HeartbeatFrame(at=AT, late_seconds=0), GoneFrame(shard="commerce/0"), ShardFrame(shard=shard()))
    assert told[1] == ["2025-11-30 00:00:00Z  commerce/0 has left the topology server"]
    assert len(told[2]) == 1


def test_counters_are_no_news() -> None:
    """Frames for programs are not shown."""
    assert LiveLines([]).lines(MetricsFrame(metrics=[]), 80) == []


def test_a_hold_is_told_when_it_begins_and_when_it_ends() -> None:
    """One that is still there is no news."""
    live = LiveLines([])
    live.lines(HeartbeatFrame(at=AT, late_seconds=0), 200)
    first, second = hold_form(hold(Effect.NO_REPAIR)), hold_form(hold(Effect.NO_ALERT, number=4))
    both, one = HoldsFrame(holds=[first, second], outlive_vtorc=True), HoldsFrame(holds=[first], outlive_vtorc=True)
    assert _told(live, one, both, one) == [
        [f"2025-11-30 00:00:00Z  = in force: {first.sentence}"],
        [f"2025-11-30 00:00:00Z  = in force: {second.sentence}"],
        [f"2025-11-30 00:00:00Z  = not in force any more: {second.sentence}"],
    ]
