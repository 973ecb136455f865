"""Tablets whose MySQL replicates from a server outside of the shard: somebody set that up, and it is not ours to end.

A vttablet that runs with `--unmanaged` does not say so, neither in its record nor in FullStatus (Vitess up to v24).
What can be seen is whom its MySQL replicates from.
"""

from vtorc.core.facts.views import ShardView, TabletView


def external_source(view: ShardView, tablet: TabletView) -> str:
    """Name the server outside of the shard that the tablet replicates from; empty if there is none.

    No tablet that is known is that server, and the tablet has received what it wrote, but the present primary has not:
    one that wrote into its history was a primary of this shard, whose record may be gone. The primary itself has no
    other history to be held against; there no tablet may be unknown either.
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
        exempt = view.bad_records or view.unreachable_cells or any(t.status is None for t in view.tablets)
    else:
        exempt = primary is None or primary.status is None or source in primary.status.executed.uuids
    return "" if exempt else "{}:{}".format(*replication.source_address)


def external_source_advice(source: str) -> str:
    """Say what a person can do about a tablet that has that source outside of the shard."""
    return (
        f"its MySQL replicates from {source}, which is no known tablet of this shard, and has received what that one "
        f"wrote; if that is not wanted, stop its replication, else change its type to DRAINED, so that it is in "
        f"nobody's way"
    )
