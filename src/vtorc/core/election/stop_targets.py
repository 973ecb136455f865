"""Which tablets an election stops, and whether a stopped one applies what it has received."""

from vtorc.core.election.candidate_evidence import as_if_stopped, semi_sync_seen
from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.external_source import external_source
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.unfitness import END_OF_DELAY, late_on_purpose
from vtorc.core.facts.views import ShardView, TabletView

BUSY_TYPES = frozenset({TabletType.BACKUP, TabletType.RESTORE})
"""Types of tablets that hold their action lock for long.

A backup or restore sees to its own replication. Such a tablet is left alone unless it may have acknowledged writes of
the lost primary.
"""


def tablets_to_stop(view: ShardView, policy: DurabilityPolicy) -> dict[TabletAlias, TabletView]:
    """Return the tablets that answer, without those that are left alone."""
    past_ackers = semi_sync_seen(view, policy, as_if_stopped(view)).past_ackers
    return {t.alias: t for t in view.tablets if t.is_current and not _is_left_alone(view, t, t.alias in past_ackers)}


def _is_left_alone(view: ShardView, tablet: TabletView, is_past_acker: bool) -> bool:
    """Return whether a tablet is left running: it is busy for long, or it never acknowledges and has an external
    source.

    A tablet under restore holds nothing that it acknowledged before; it counts only if it acknowledges now.
    """
    if tablet.record.type in BUSY_TYPES:
        status = tablet.status
        if not is_past_acker or status is None or not status.has_source:
            return True
        return tablet.record.type is TabletType.RESTORE and not status.semi_sync.replica_enabled
    return tablet.record.type not in ACKING_TYPES and bool(external_source(view, tablet))


def why_not_applied(status: ReplicationStatus, *, within: float) -> str:
    """Return why the relay log does not get applied `within` seconds; empty if it does, or holds nothing.

    A replica with a SOURCE_DELAY applies its last transactions when the delay is over. An operator set it on purpose,
    and ends it.
    """
    if status.executed.contains(status.received):
        return ""
    if status.sql_state is ThreadState.STOPPED:
        return status.last_sql_error or "its SQL thread is stopped"
    delay = status.sql_delay or 0
    return f"{late_on_purpose(delay)}; to end that: {END_OF_DELAY}" if delay > within else ""
