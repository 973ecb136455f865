from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError

from vtorc.core.facts.gtid import GtidSet
from vtorc.errors import TabletBadAnswer
from vtorc.proto.replicationdata_pb2 import FullStatus, PrimaryStatus, Status
from vtorc.proto.tabletmanagerdata_pb2 import FullStatusResponse
from vtorc.tablet import convert
from vtorc.tablet.last_status import LastStatus

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def status(executed: str, purged: str = "1-3") -> FullStatus:
    position = f"MySQL56/{UUID}:{executed}"
    return FullStatus(
        server_uuid=UUID,
        gtid_purged=f"MySQL56/{UUID}:{purged}",
        primary_status=PrimaryStatus(position=position),
        replication_status=Status(position=position, relay_log_position=position),
    )


def wire(message: FullStatus) -> bytes:
    return FullStatusResponse(status=message).SerializeToString()


def test_an_answer_equal_to_the_last_one_is_not_read_again() -> None:
    """The second of two equal answers is the very status that the first one was read as."""
    last = LastStatus()
    first = last.read(wire(status("1-9")))
    assert last.read(wire(status("1-9"))) is first
    assert first == convert.tablet_status(status("1-9"))


def test_a_gtid_set_that_came_before_is_not_read_again() -> None:
    """An answer with other positions has them, and keeps the sets that are as they were."""
    last = LastStatus()
    first = last.read(wire(status("1-9")))
    second = last.read(wire(status("1-12")))
    assert second == convert.tablet_status(status("1-12"))
    assert second.purged is first.purged
    assert second.replication is not None
    assert second.replication.executed is second.executed


def test_an_earlier_answer_that_comes_again_is_read_as_itself() -> None:
    """Of two answers in turn each is read as what it is."""
    last = LastStatus()
    for executed in ("1-9", "1-12", "1-9"):
        assert last.read(wire(status(executed))).executed == GtidSet.of(UUID, 1, int(executed[2:]))


def test_an_answer_that_cannot_be_read_leaves_no_trace() -> None:
    """After nonsense, an answer without a status and a bad position, the next answers are read as they are."""
    last = LastStatus()
    good = last.read(wire(status("1-9")))
    with pytest.raises(DecodeError):
        last.read(b"\xff nonsense")
    with pytest.raises(TabletBadAnswer, match="status is missing: expected a message"):
        last.read(FullStatusResponse().SerializeToString())
    with pytest.raises(TabletBadAnswer, match="position: GTID set"):
        last.read(wire(status("one-nine")))
    assert last.read(wire(status("1-9"))) == good
    assert last.read(wire(status("1-9", purged="1-4"))) == replace(good, purged=GtidSet.of(UUID, 1, 4))
