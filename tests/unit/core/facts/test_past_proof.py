from dataclasses import replace

import pytest

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.past_proof import proof_of_past, proves_past
from vtorc.core.facts.status import ReplicationStatus, TabletStatus

WRITTEN = GtidSet.of("3e11fa47-71ca-11e1-9e33-c80aa9429562", 1, 9)
NEW = TabletStatus(read_only=True, tablet_type=TabletType.REPLICA)
SOURCE = ReplicationStatus(source_host="db1", source_port=3306)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (NEW, ""),
        (replace(NEW, replication=ReplicationStatus()), ""),
        (replace(NEW, executed=WRITTEN, purged=WRITTEN), ""),
        (replace(NEW, executed=WRITTEN), "has 9 transactions: 3e11fa47…:1-9 in its logs"),
        (
            replace(NEW, replication=ReplicationStatus(received=WRITTEN)),
            "has 9 transactions: 3e11fa47…:1-9 in its logs",
        ),
        (replace(NEW, replication=SOURCE), "replicates from db1:3306"),
        (replace(NEW, tablet_type=TabletType.PRIMARY), "declares itself primary"),
        (replace(NEW, read_only=False), "is writable"),
        (TabletStatus(disk_stalled=True), ""),
        (TabletStatus(disk_stalled=True, replication=SOURCE), ""),
    ],
)
def test_a_new_tablet_proves_no_past(status: TabletStatus, expected: str) -> None:
    """A source, a primary, writes and transactions prove that the shard had a primary, in words and without."""
    assert proof_of_past(status) == expected
    assert proves_past(status) is bool(expected)
