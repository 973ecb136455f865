"""The state of all shards in one sentence."""

import msgspec
import pytest

from tests.unit.core.builders import CONNECTING, failing, primary, replica, shard, unprobed
from tests.unit.forms.test_shard_form import R1, R2, form
from vtorc.forms.fleet import decode_event, fleet_sentence
from vtorc.forms.shard import ShardForm

WELL = form(shard(primary(), replica(R1), replica(R2)))
STANDING_STILL = form(shard(primary(), replica(R1), failing(replica(R2))))
READ_ONLY = form(shard(primary(read_only=True), replica(R1), replica(R2)))
LOST = form(shard(primary(dead_for=3), replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)))
UNKNOWN = form(shard(unprobed(primary()), unprobed(replica(R1))))
SNAPSHOT = msgspec.structs.replace(STANDING_STILL, keyspace_is_snapshot=True, takes_writes=False)


@pytest.mark.parametrize(
    ("shards", "sentence"),
    [
        ([], "vtorc knows no shard yet"),
        ([WELL], "the shard is healthy"),
        ([WELL] * 1000, "all 1,000 shards are healthy"),
        ([UNKNOWN, UNKNOWN], "all 2 shards are unknown"),
        ([STANDING_STILL], "the shard is standing still; it takes writes"),
        ([LOST], "the shard is repairing; it perhaps takes no writes"),
        ([WELL, STANDING_STILL], "2 shards: 1 standing still, 1 healthy; every primary takes writes"),
        (
            [WELL, READ_ONLY, LOST, LOST],
            "4 shards: 3 repairing, 1 healthy; 1 takes no writes; 2 perhaps take no writes",
        ),
        ([UNKNOWN, STANDING_STILL], "2 shards: 1 standing still, 1 unknown"),
        ([WELL, SNAPSHOT], "2 shards: 1 standing still, 1 healthy"),
    ],
)
def test_the_fleet_is_told_worst_first_and_with_its_writes(shards: list[ShardForm], sentence: str) -> None:
    """A reader sees whether a problem costs writes, and is told nothing of writes that vtorc does not know."""
    assert fleet_sentence(shards) == sentence


@pytest.mark.parametrize("data", [b"[" * 100_000, b"{", b"{}"], ids=["too deep", "cut off", "empty"])
def test_what_is_no_event_is_one_kind_of_error(data: bytes) -> None:
    """A history that was damaged costs its reader no more than an error it knows."""
    with pytest.raises(msgspec.DecodeError):
        decode_event(data)
