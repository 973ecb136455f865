"""What servers tell about a past that no record names: a topology server may have been restored, or made anew.

"No record ever named a primary" is a claim about records. A first election beside a living primary made two writable
servers, and writes that one of them had acknowledged were lost (simulator). So the servers are asked as well.
"""

from collections.abc import Iterator

from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.views import ShardView, TabletView


def proven_past(view: ShardView) -> str:
    """Return what proves that the shard had a primary, as a clause; empty if its tablets are as new ones are.

    A new tablet is read-only, follows no server, and has an empty binary log. One that was restored from a backup is
    new too: its transactions are all counted as purged, because none of them is in its binary log. The last answer of a
    tablet proves a past, however long ago it came.
    """
    return "; ".join(_proofs(view))


def _proofs(view: ShardView) -> Iterator[str]:
    for tablet in view.tablets:
        if proof := _proof(tablet):
            yield f"{tablet.alias} {proof}"


def _proof(tablet: TabletView) -> str:
    status = tablet.status
    if status is None or status.disk_stalled:
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
