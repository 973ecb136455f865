"""How many semi-sync clients a primary counts, and how many of them the tablets of its shard explain.

MySQL counts every connected replica that has its side of semi-sync on, whatever it is (Rpl_semi_sync_source_clients).
A server that has no tablet record any more acknowledges like any other.
"""

from dataclasses import dataclass

from vtorc.core.facts.ids import TabletAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCount:
    """The last count of a primary at work, and what was made of it and of those before it.

    Times are seconds on the caller's monotonic clock.
    """

    primary: TabletAlias
    """The tablet that counted."""
    server_uuid: str
    """UUID of its server."""
    clients: int
    """The count: connected replicas that acknowledge (Rpl_semi_sync_source_clients)."""
    asked_at: float
    """When the probe started that brought the count."""
    told_at: float
    """When that probe was over."""
    asked_before: float | None = None
    """When the probe started that brought the count before; None if there was none of this primary."""
    unexplained: int
    """How many clients have to be taken for servers that cannot be reached."""
    unseen: int
    """The same, with the clients that may be silent tablets which were none by their last answers."""
    most: int = 0
    """How many clients are left if only those tablets are clients that were seen so both before and after the count."""
    most_before: int = 0
    """The same of the count before; 0 if there was none of this primary."""
    certain_since: float | None = None
    """When the probe started that brought the first count with more clients than all tablets could be, those that did
    not answer included. None if no count did since `unexplained` was 0.
    """
    given_up: frozenset[TabletAlias] = frozenset()
    """Tablets with a record that was deleted after the primary had begun to fail: so an operator says that they are
    gone."""
    may_have_been: frozenset[TabletAlias] = frozenset()
    """Tablets that by their first answer after this count may have been a client at it. Later answers, which a stop by
    vtorc may have changed, do not withdraw that."""
    is_settled: bool = False
    """Whether later answers of these tablets cannot change `unexplained` any more."""
    is_first: bool = False
    """Whether it is the first count of all, and not all tablets have been asked yet."""
    assumed: int = 0
    """How many of the unknown clients were only assumed at the first count, as not all tablets had been asked since it.
    One later count without them takes them back."""
    explained_at: float | None = None
    """When the probe started that brought the first of two counts in a row that all but `unexplained` clients were seen
    before and after. They are the last two such counts; None if there were none.
    """
    explained_by: frozenset[TabletAlias] = frozenset()
    """The tablets that were these clients."""


def tells_more(count: ClientCount | None, before: ClientCount | None) -> bool:
    """Return whether another number of clients is unknown than before, or has become certain."""
    if count is None or before is None:
        return count is not before
    return (count.primary, count.unexplained, count.unseen, count.certain_since) != (
        before.primary,
        before.unexplained,
        before.unseen,
        before.certain_since,
    )
