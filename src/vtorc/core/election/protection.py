"""The protection of the last primary's writes: the acknowledgements that it waited for, whatever the policy says now.

An operator may change a keyspace's policy to `none` at any time. The primary heeds that later, and what was
acknowledged until then was acknowledged under the policy before. To apply `none` to those writes at once lost 32 of
them.
"""

from dataclasses import replace

from vtorc.core.election.last_primary import LastPrimary
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.views import ShardView

_USUAL_ACKERS = frozenset({TabletType.PRIMARY, TabletType.REPLICA})
"""Types of tablets that acknowledge under every policy with semi-sync. Others count by their own side of it."""


def earlier_protection(
    view: ShardView, policy: DurabilityPolicy, primary: LastPrimary | None
) -> DurabilityPolicy | None:
    """Return what protects the writes of `primary` if the present policy protects none of them and semi-sync does; else
    None.

    It asks for no particular cell: only the policy before named some, and it is forgotten.
    """
    if primary is None or policy.has_semi_sync:
        return None
    acks = _acks_waited_for(view, primary)
    if not acks:
        return None
    name = f"semi-sync, for which {primary.alias} was last seen to wait (the policy is {policy.name} now),"
    return replace(policy, name=name, acks=acks, ackers=_USUAL_ACKERS)


def _acks_waited_for(view: ShardView, primary: LastPrimary) -> int:
    """Return how many acknowledgements its commits waited for when it was last seen at work.

    One, if it was not seen at work, and a replica of it has its own side of semi-sync on. Policies without semi-sync
    switch that off.
    """
    term = primary.observed_term
    if term is not None:
        return term.wait_count
    statuses = (replica.status for replica in view.replicas_of(primary.tablet))
    return int(any(status is not None and status.semi_sync.replica_enabled for status in statuses))
