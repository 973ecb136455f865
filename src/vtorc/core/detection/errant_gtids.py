"""Transactions that a tablet has executed and the primary lacks."""

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.views import TabletView


def errant_gtids(tablet: TabletView, primary: TabletView) -> GtidSet:
    """Return the GTIDs that the tablet was last seen to have executed, and that the primary lacks and did not write.

    The primary's set is older or newer than the replica's by a probe. GTIDs with its own UUID may just be newer than
    its status. While the primary has a source itself, any GTID may be.
    """
    status = primary.current_status
    if tablet.status is None or status is None or status.has_source or not status.executed:
        return EMPTY_GTID_SET
    if tablet.status.executed.entries == status.executed.entries:
        return EMPTY_GTID_SET
    return tablet.status.executed.difference(status.executed).without_uuid(status.server_uuid)
