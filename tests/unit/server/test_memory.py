"""What the server keeps of what it is told."""

import msgspec
import pytest

from tests.unit.server.told import LOST, NOW, OTHER, WELL, recovery, status, told_memory, well
from vtorc.forms.fleet import ShardRowForm, shard_row
from vtorc.forms.frames import KEPT_RECOVERIES, GoneFrame, MetricsFrame, RecoveryFrame, ShardFrame
from vtorc.server.memory import ServerMemory


def test_shards_are_kept_in_order_of_name() -> None:
    """Whatever the order in which they come, go and come back, shards are listed by name."""
    memory = ServerMemory()
    for name in (OTHER, WELL, LOST):
        memory.take(ShardFrame(shard=well(name)), NOW)
    memory.take(GoneFrame(shard=WELL), NOW)
    memory.take(ShardFrame(shard=well(OTHER, revision=2)), NOW)
    assert list(memory.shards) == [LOST, OTHER]
    memory.take(ShardFrame(shard=well(WELL)), NOW)
    assert list(memory.shards) == [WELL, LOST, OTHER]
    assert memory.shards[OTHER].revision == 2


def test_the_row_of_a_shard_is_made_once_for_each_change() -> None:
    """It is the same JSON until the shard changes, and there is none of a shard that is gone."""
    memory = ServerMemory()
    memory.take(ShardFrame(shard=well(WELL)), NOW)
    first = memory.row(WELL)
    assert memory.row(WELL) is first
    memory.take(ShardFrame(shard=well(WELL, revision=2)), NOW)
    assert msgspec.json.decode(memory.row(WELL), type=ShardRowForm) == shard_row(well(WELL, revision=2))
    memory.take(GoneFrame(shard=WELL), NOW)
    with pytest.raises(KeyError):
        memory.row(WELL)


def test_the_oldest_recoveries_go() -> None:
    """So many recoveries are kept, the last ones."""
    memory = ServerMemory()
    for number in range(KEPT_RECOVERIES + 3):
        memory.take(RecoveryFrame(recovery=recovery(number)), NOW)
    assert next(iter(memory.recoveries)) == recovery(3).id
    assert len(memory.recoveries) == KEPT_RECOVERIES


def test_all_is_told_once_the_metrics_are() -> None:
    """A memory is complete when the last part of a snapshot has come."""
    memory = ServerMemory()
    memory.take(status(), NOW)
    assert not memory.is_complete
    memory.take(MetricsFrame(metrics=[]), NOW)
    assert memory.is_complete


def test_revisions_go_on_from_the_first() -> None:
    """A revision grows with each change, and a sign of life is none."""
    memory = ServerMemory(revision=1000)
    memory.take(status(), NOW)
    memory.take(MetricsFrame(metrics=[]), NOW)
    assert memory.revision == 1001
    assert told_memory().revision == 7
