"""Servers that went back in time: they lack transactions that they wrote themselves.

A virtual machine is reset to a snapshot, or a data folder is copied back. Or a power cut takes what was never flushed
(`sync_binlog` other than 1). The server keeps its UUID and forgets its last transactions, which its replicas have. It
never gets them back by replication, because a replica skips what carries its own server_id (MySQL manual,
"replicate-same-server-id"). So its GTID set keeps a hole, and the rows are missing for ever.
"""

import re
from collections.abc import Iterator

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import ShardView, TabletView

_MORE_THAN_ITS_SOURCE = re.compile(r"more GTIDs than the (source|master) has, using the (source|master)'s SERVER_UUID")
"""MySQL's own word for it (error 1236): what a source tells a replica that has more of the source's transactions."""


def rolled_back(view: ShardView) -> dict[TabletAlias, GtidSet]:
    """Return the tablets whose servers went back in time, each with the transactions of its own that it has lost."""
    return {tablet.alias: gone for tablet in view.tablets if (gone := _lost_of_its_own(view, tablet))}


def _lost_of_its_own(view: ShardView, tablet: TabletView) -> GtidSet:
    """Return the transactions of its own that it lacks, and that were known when its last answer was asked for.

    A server that takes writes has commits under way, which replicas may have received before it counts them as
    executed. So only a read-only server can be compared, as it is after each start with Vitess' `my.cnf`. One that
    takes writes is believed to have lost some only by MySQL's own word.

    A read-only answer is of its time. A replica that has become primary since has written since, and other tablets have
    those writes. By what these tell later, each planned reparent looked like a server that went back.

    A stalled disk hides nothing of that. A primary whose disk had gone back, and then stalled, was made writable.
    """
    status = tablet.told if tablet.current_status is not None else None
    if status is None or status.disk_stalled or not status.executed:
        return EMPTY_GTID_SET
    is_compared = status.read_only and status.super_read_only is not False
    known = _known_before(tablet.memory) if is_compared else _received_by_refused(view, tablet)
    held = status.received
    more = [each.only_uuid(status.server_uuid) for each in known if each and each.entries != held.entries]
    return EMPTY_GTID_SET.union(*more).difference(held)


def _known_before(memory: TabletMemory) -> Iterator[GtidSet]:
    """Yield what the tablet told itself by earlier answers, and what others had told before the last one."""
    yield memory.received
    yield memory.lost_after_receipt
    yield memory.own_missing


def _received_by_refused(view: ShardView, tablet: TabletView) -> Iterator[GtidSet]:
    for other in view.tablets:
        status = other.current_status
        if other.alias == tablet.alias or status is None or status.disk_stalled or status.replication is None:
            continue
        refused = _MORE_THAN_ITS_SOURCE.search(status.replication.last_io_error)
        if refused and view.replicates_from(other, tablet):
            yield status.received
