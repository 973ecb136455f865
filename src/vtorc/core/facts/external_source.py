"""Tablets with a replication source outside the shard: an operator set that up, and vtorc does not end it.

Neither the record nor the FullStatus of a vttablet tells that it runs with `--unmanaged` (Vitess up to v24). Only the
replication source of its MySQL shows it.
"""

from vtorc.core.facts.views import ShardView, TabletView


def external_source(view: ShardView, tablet: TabletView) -> str:
    """Return host and port of the server outside the shard that the tablet replicates from; empty if there is none.

    No known tablet is that server, and the tablet has received transactions of it that the present primary lacks. A
    server with transactions in the primary's history was a primary of this shard, and its record may be gone. The
    primary itself has only its own history; so for the primary every tablet must be known.
    """
    status = tablet.current_status
    replication = status.replication if status is not None else None
    if status is None or replication is None or not replication.source_uuid or not replication.has_source:
        return ""
    source = replication.source_uuid
    if source not in status.received.uuids or view.at_address(replication.source_address) is not None:
        return ""
    if any(t.status is not None and t.status.server_uuid == source for t in view.tablets):
        return ""
    primary = view.primary
    if primary is tablet:
        may_belong = view.bad_records or view.unreachable_cells or any(t.status is None for t in view.tablets)
    else:
        may_belong = primary is None or primary.status is None or source in primary.status.executed.uuids
    return "" if may_belong else "{}:{}".format(*replication.source_address)


def external_source_advice(source: str) -> str:
    """Return what an operator can do about a tablet with that source outside the shard, as the end of a sentence."""
    return (
        f"its MySQL replicates from {source}, which is no known tablet of this shard, and has received transactions "
        f"from there; stop its replication if that is not wanted, else change its type to DRAINED, so that it does "
        f"not block the shard"
    )
