"""A tablet of another alias at the address of one that is gone, whose record is still there."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import NOW, P, alias, changed, failing, primary, replica, shard, uuid
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView

OLD, NEW, R1, R2 = "zone2-102", "zone2-900", "zone1-101", "zone3-300"
GONE = failing(replica(OLD), ProbeFailure.TIMEOUT, for_=60.0)


def at_the_address_of(name: str, tablet: TabletView) -> TabletView:
    """Return the same tablet with a record that names the address of another, or none."""
    return replace(tablet, record=replace(tablet.record, mysql_hostname=f"mysql-{name}" if name else ""))


def fed_by(server: str, name: str, *, io: ThreadState = ThreadState.RUNNING) -> TabletView:
    """Return a replica that is pointed at the primary's address, where that server answered it last."""
    tablet = replica(name, io=io)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    told = replace(tablet.status.replication, source_uuid=uuid(server))
    return changed(tablet, status=replace(tablet.status, replication=told))


def found(view: ShardView) -> dict[Code, str]:
    """Return the sentences of all findings by their codes, under semi_sync."""
    return {f.code: f.sentence for f in analyse(view, policy("semi_sync"), DetectionThresholds(), NOW)}


def test_the_record_of_a_tablet_whose_address_another_has_is_told() -> None:
    """It counts as a tablet that was not reached, and only its operator knows that it is gone for good."""
    view = shard(primary(), GONE, at_the_address_of(OLD, replica(NEW)), replica(R1))
    told = found(view)[Code.BAD_TABLET_RECORD]
    assert "zone2-0000000102 has a record with the MySQL address of zone2-0000000900" in told
    assert view.at_address((f"mysql-{OLD}", 3306)) == view.tablet(alias(NEW))


@pytest.mark.parametrize(
    "view",
    [
        shard(primary(), GONE, replica(R1)),
        shard(primary(), GONE, failing(at_the_address_of(OLD, replica(NEW))), replica(R1)),
        shard(primary(), replica(OLD), at_the_address_of(OLD, replica(NEW)), replica(R1)),
        shard(primary(), at_the_address_of("", GONE), at_the_address_of("", replica(NEW)), replica(R1)),
    ],
    ids=["it is alone", "neither answers", "both answer", "its record was blanked"],
)
def test_nothing_is_told_while_its_server_may_be_there(view: ShardView) -> None:
    """Only another server that answers at the address shows that it has moved in."""
    assert Code.BAD_TABLET_RECORD not in found(view)


def test_a_replica_of_another_server_at_the_address_does_not_vouch_for_the_primary() -> None:
    """Replicas that were let in by an empty server at the old address had kept a lost primary from being replaced."""
    lost = primary(dead_for=10.0, failure=ProbeFailure.TIMEOUT)
    assert Code.UNREACHABLE_PRIMARY in found(shard(lost, replica(R1), replica(R2)))
    told = found(shard(lost, fed_by("900", R1), fed_by("900", R2)))
    assert "no tablet replicates from it" in told[Code.DEAD_PRIMARY]


@pytest.mark.parametrize("io", [ThreadState.CONNECTING, ThreadState.STOPPED])
def test_a_replica_that_is_not_connected_is_judged_by_the_address(io: ThreadState) -> None:
    """The UUID that it was told last may be that of the server before it was rebuilt under the same alias."""
    view = shard(primary(), fed_by("900", R1, io=io), replica(R2))
    replica_view, source = view.tablet(alias(R1)), view.tablet(alias(P))
    assert replica_view is not None
    assert source is not None
    assert view.replicates_from(replica_view, source)
