"""Which servers are found to have gone back in time."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    NOW,
    P,
    alias,
    answers,
    asked_after_others,
    changed,
    failing,
    gtids,
    primary,
    replica,
    shard,
    uuid,
)
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import ReplacedServer, TabletMemory
from vtorc.core.facts.views import ShardView, TabletView

R1, R2 = "zone1-101", "zone2-200"
READ_ONLY = primary(executed="100:1-40", read_only=True, super_read_only=True)
WRITABLE = primary(executed="100:1-40")
REFUSED = (
    "Got fatal error 1236 from source when reading data from binary log: 'The replica has more GTIDs than the source "
    "has, using the source's SERVER_UUID. This may indicate that the end of the binary log was truncated'"
)
MORE = replica(R1)
STOPPED_THREAD = replica(R1, io_error="error connecting to source")


WAS_COPY = ReplacedServer(successor=uuid(R1), gone_at=6.0)


def follows(name: str, since: float) -> ClientSpan:
    """A time in which a tablet replicated from that one's server."""
    return ClientSpan(source_uuid=uuid(name), source_host="", source_port=0, seen_from=since, seen_to=since + 1)


def former(executed: str) -> TabletView:
    """A former primary, which replicates from the present one."""
    return replica(P, of=R1, executed=executed)


def stalled_after(tablet: TabletView) -> TabletView:
    """The tablet, which was known to lack a transaction of its own and now tells of a stalled disk alone."""
    stalled = TabletStatus(disk_stalled=True)
    return changed(tablet, before_stall=tablet.status, status=stalled, own_missing=gtids("100:41"))


@pytest.mark.parametrize(
    ("view", "lost"),
    [
        pytest.param(shard(READ_ONLY, MORE), "100:41-50", id="a replica has more of its own"),
        pytest.param(
            shard(READ_ONLY, replica(R1, executed="100:1-40", received="100:41-44")), "100:41-44", id="unapplied"
        ),
        pytest.param(shard(READ_ONLY, failing(MORE, ProbeFailure.TIMEOUT)), "100:41-50", id="a replica had more"),
        pytest.param(shard(READ_ONLY, replica(R1, executed="100:1-40,101:1-9")), "", id="others wrote more"),
        pytest.param(shard(READ_ONLY, replica(R1, executed="100:1-30")), "", id="it has most"),
        pytest.param(shard(WRITABLE, MORE), "", id="it takes writes, and its commits are under way"),
        pytest.param(shard(answers(READ_ONLY, super_read_only=False), MORE), "", id="privileged users may write"),
        pytest.param(shard(answers(READ_ONLY, super_read_only=None), MORE), "100:41-50", id="an older version"),
        pytest.param(shard(answers(READ_ONLY, disk_stalled=True), MORE), "", id="its answer holds defaults"),
        pytest.param(
            shard(changed(answers(READ_ONLY, disk_stalled=True), lost_after_receipt=gtids("100:41"))),
            "",
            id="its answer holds defaults, and it lost some before",
        ),
        pytest.param(shard(failing(READ_ONLY), MORE), "", id="it does not answer"),
        pytest.param(shard(answers(READ_ONLY, server_uuid=""), MORE), "", id="it does not tell its UUID"),
        pytest.param(shard(WRITABLE, replica(R1, io_error=REFUSED)), "100:41-50", id="it refuses a replica with more"),
        pytest.param(shard(WRITABLE, failing(replica(R1, io_error=REFUSED))), "", id="a refusal of some time ago"),
        pytest.param(shard(WRITABLE, replica(R1, of=R2, io_error=REFUSED)), "", id="another refuses that replica"),
        pytest.param(shard(WRITABLE, STOPPED_THREAD), "", id="the replica cannot connect"),
        pytest.param(
            shard(changed(READ_ONLY, received=gtids("100:1-60"))), "100:41-60", id="it had more itself when last asked"
        ),
        pytest.param(
            shard(changed(READ_ONLY, lost_after_receipt=gtids("100:41,101:7"))), "100:41", id="it lost some before"
        ),
        pytest.param(shard(stalled_after(READ_ONLY)), "100:41", id="a stalled disk hides nothing of that"),
        pytest.param(shard(stalled_after(WRITABLE)), "", id="it took writes before its disk stalled"),
        pytest.param(
            shard(former("100:1-40,101:1-9"), primary(R1, executed="100:1-50,101:1-9")), "100:41-50", id="hole"
        ),
        pytest.param(
            shard(former("100:1-50,101:1-9"), primary(R1, executed="100:1-50,101:1-20")), "", id="it lags only"
        ),
    ],
)
def test_a_server_that_lacks_transactions_of_its_own_went_back_in_time(view: ShardView, lost: str) -> None:
    """Only a server that has no commits under way can be compared with what others have of its transactions."""
    assert rolled_back(asked_after_others(view)) == ({alias(P): gtids(lost)} if lost else {})


def test_what_others_tell_later_is_no_proof() -> None:
    """A replica that was promoted after it was asked has written since, and the others have those writes."""
    promoted = replica(R1, heard=2.0, executed="100:1-50")
    view = shard(primary(), promoted, replica(R2, of=R1, executed="100:1-50,101:1-5"))
    assert rolled_back(view) == {}
    assert rolled_back(asked_after_others(view)) == {alias(R1): gtids("101:1-5")}


def test_what_was_missing_once_stays_missing_until_the_server_has_it() -> None:
    """Others are asked again at other times, and may tell nothing more: the server lacks its writes all the same."""
    told, unheard = [gtids("100:1-50,101:1-9")], READ_ONLY.memory
    lacks = after_answer(unheard, told)
    assert (lacks.own_missing, after_answer(lacks, []).own_missing) == (gtids("100:41-50"), gtids("100:41-50"))
    for changes in ({"executed": gtids("")}, {"disk_stalled": True}, {"server_uuid": ""}):
        assert after_answer(lacks, [], **changes).own_missing == gtids("100:41-50"), changes
    assert after_answer(lacks, [], executed=gtids("100:1-46")).own_missing == gtids("100:47-50")
    assert not after_answer(lacks, [], executed=gtids("100:1-50")).own_missing
    assert not after_answer(lacks, [], server_uuid=uuid("zone9-900")).own_missing
    assert rolled_back(shard(changed(READ_ONLY, memory=lacks))) == {alias(P): gtids("100:41-50")}


def after_answer(memory: TabletMemory, told_before: list[GtidSet], **changes: Any) -> TabletMemory:
    """What is remembered of the read-only primary after one more answer, which differs in this."""
    assert READ_ONLY.status is not None
    return memory.after_answer(
        replace(READ_ONLY.status, **changes),
        READ_ONLY.last_probe,
        started=NOW,
        ended=NOW,
        asked_record=READ_ONLY.record,
        record=READ_ONLY.record,
        told_before=told_before,
    )


@pytest.mark.parametrize(
    ("changes", "its_own"),
    [
        pytest.param({}, False, id="it never was a copy"),
        pytest.param({"server_uuid": uuid(P)}, True, id="it is a copy"),
        pytest.param({"replaced_servers": {uuid(P): WAS_COPY}}, True, id="it was one"),
        pytest.param(
            {"replaced_servers": {uuid(P): WAS_COPY}, "client_span": follows(P, 7)}, False, id="follows since"
        ),
        pytest.param({"replaced_servers": {uuid(P): WAS_COPY}, "client_span": follows(P, 5)}, True, id="followed then"),
        pytest.param({"replaced_servers": {uuid(P): WAS_COPY}, "client_span": follows(P, 6)}, True, id="at its change"),
        pytest.param({"replaced_servers": {uuid(P): WAS_COPY}, "client_span": follows(R2, 7)}, True, id="of another"),
    ],
)
def test_what_a_copy_of_a_server_holds_may_be_its_own(changes: dict[str, Any], its_own: bool) -> None:
    """MySQL lets no replica follow that has more of its source's transactions, so then it tells of the original."""
    memory = replace(TabletMemory(server_uuid=uuid(R1)), **changes)
    assert memory.may_have_written_as(uuid(P)) == its_own
    assert not memory.may_have_written_as("")
