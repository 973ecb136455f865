"""Servers that went back in time: they lack transactions that they wrote themselves.

A virtual machine is reset to a snapshot, a data folder is copied back, or a power cut takes what was never flushed
(`sync_binlog` other than 1). The server keeps its UUID and forgets its last transactions, which its replicas have. It
never gets them back by replication, because a replica skips what carries its own server_id (MySQL manual,
"replicate-same-server-id"). So its GTID set keeps a hole, and the rows are missing for ever.
"""

import re
from collections.abc import Iterator

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.views import ShardView, TabletView

_MORE_THAN_ITS_SOURCE = re.compile(r"more GTIDs than the (source|master) has, using the (source|master)'s SERVER_UUID")
"""MySQL's own word for it (error 1236): what a source tells a replica that has more of the source's transactions."""


def rolled_back(view: ShardView) -> dict[TabletAlias, GtidSet]:
    """Return the tablets whose servers went back in time, each with the transactions of its own that it has lost."""
    return {tablet.alias: gone for tablet in view.tablets if (gone := _lost_of_its_own(view, tablet))}


def _lost_of_its_own(view: ShardView, tablet: TabletView) -> GtidSet:
    """Return the transactions of its own that any tablet ever said to have, and that it does not have now.

    A server that takes writes has commits under way, which replicas may have received before it counts them as
    executed. So only a read-only server can be compared, as it is after each start with Vitess' `my.cnf`. One that
    takes writes is believed to have lost some only by MySQL's own word.
    """
    status = tablet.current_status
    if status is None or status.disk_stalled or not status.server_uuid or not status.executed:
        return EMPTY_GTID_SET
    is_compared = status.read_only and status.super_read_only is not False
    tellers = _seen(view, tablet) if is_compared else _received_by_refused(view, tablet)
    return EMPTY_GTID_SET.union(*(each.only_uuid(status.server_uuid) for each in tellers)).difference(status.received)


def _seen(view: ShardView, tablet: TabletView) -> Iterator[GtidSet]:
    """Yield all sets in which transactions of the tablet were seen: those that others have or had, and its own."""
    yield tablet.memory.received
    yield tablet.memory.lost_after_receipt
    for other, status in _others(view, tablet):
        yield status.executed
        if status.replication is not None:
            yield status.replication.received
        yield other.memory.lost_after_receipt


def _received_by_refused(view: ShardView, tablet: TabletView) -> Iterator[GtidSet]:
    for other, status in _others(view, tablet):
        threads = status.replication
        if threads is None or other.failure is not None or not view.replicates_from(other, tablet):
            continue
        if _MORE_THAN_ITS_SOURCE.search(threads.last_io_error):
            yield status.received


def _others(view: ShardView, tablet: TabletView) -> Iterator[tuple[TabletView, TabletStatus]]:
    for other in view.tablets:
        if other.alias != tablet.alias and other.status is not None and not other.status.disk_stalled:
            yield other, other.status
