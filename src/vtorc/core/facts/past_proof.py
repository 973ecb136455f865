"""Proof in one tablet's answer that its shard has a past: a new tablet has no source, and has written nothing."""

from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import TabletStatus


def proves_past(status: TabletStatus) -> bool:
    """Whether it proves that the shard had a primary; `proof_of_past` puts it into words."""
    if status.disk_stalled:
        return False
    is_primary = status.tablet_type is TabletType.PRIMARY or not status.read_only
    return status.has_source or is_primary or bool(status.received.difference(status.purged))


def proof_of_past(status: TabletStatus) -> str:
    """Return what proves that the shard had a primary, as the end of a sentence about the tablet; empty if nothing."""
    if status.disk_stalled:
        return ""
    if status.replication is not None and status.has_source:
        return "replicates from {}:{}".format(*status.replication.source_address)
    if status.tablet_type is TabletType.PRIMARY:
        return "declares itself primary"
    if not status.read_only:
        return "is writable"
    if written := status.received.difference(status.purged):
        return f"has {written.brief()} in its logs"
    return ""
