"""Frames that wait: newer ones replace older ones, a snapshot goes first, and nothing grows without bound."""

from collections.abc import Iterator

from tests.unit.server.told import LOST, OTHER, WELL, heartbeat, recovery, status, well
from vtorc.forms.frames import AnyFrame, GoneFrame, RecoveryFrame, ShardFrame
from vtorc.server.outbox import MOST_KEYLESS, Outbox


def taken(outbox: Outbox) -> list[AnyFrame]:
    """Take all frames."""
    found = []
    while (frame := outbox.take()) is not None:
        found.append(frame)
    return found


def test_the_newest_of_each_shard_takes_the_place_of_the_older_ones() -> None:
    """Of frames with the same key only the last is sent, in the place of the first."""
    outbox = Outbox(iter(()))
    for revision in (1, 2, 3):
        outbox.put(ShardFrame(shard=well(WELL, revision=revision)))
        outbox.put(ShardFrame(shard=well(OTHER, revision=revision)))
    outbox.put(GoneFrame(shard=OTHER))
    assert taken(outbox) == [ShardFrame(shard=well(WELL, revision=3)), GoneFrame(shard=OTHER)]


def test_a_snapshot_waits_while_vtorc_is_busy() -> None:
    """What is sent meanwhile waits behind it, and nothing waits once the snapshot was taken."""
    busy = [True]
    outbox = Outbox(iter([status(), ShardFrame(shard=well(LOST))]), lambda: busy[0])
    outbox.put(ShardFrame(shard=well(WELL)))
    assert taken(outbox) == []
    busy[0] = False
    assert taken(outbox) == [status(), ShardFrame(shard=well(LOST)), ShardFrame(shard=well(WELL))]
    busy[0] = True
    outbox.put(heartbeat())
    assert taken(outbox) == [heartbeat()]


def test_frames_that_none_can_replace_are_bounded() -> None:
    """Of too many recoveries the oldest are dropped and counted, and shards are not."""
    outbox = Outbox(iter(()))
    outbox.put(ShardFrame(shard=well()))
    for number in range(MOST_KEYLESS + 5):
        outbox.put(RecoveryFrame(recovery=recovery(number)))
    assert (outbox.dropped, len(outbox)) == (5, MOST_KEYLESS + 1)
    assert next(frame.recovery.id for frame in taken(outbox) if isinstance(frame, RecoveryFrame)) == recovery(5).id


def test_a_snapshot_goes_first_and_is_made_as_it_is_taken() -> None:
    """What waits comes after the snapshot, without the shards that the snapshot told of later."""
    made: list[str] = []

    def snapshot() -> Iterator[AnyFrame]:
        yield status()
        for name in (WELL, LOST):
            made.append(name)
            yield ShardFrame(shard=well(name, revision=9))

    outbox = Outbox(snapshot())
    outbox.put(ShardFrame(shard=well(WELL, revision=8)))
    outbox.put(heartbeat())
    assert (outbox.take(), made) == (status(), [])
    rest = taken(outbox)
    assert rest == [*(ShardFrame(shard=well(name, revision=9)) for name in (WELL, LOST)), heartbeat()]
