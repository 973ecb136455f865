"""The primary that an election is to replace: which tablet it is, and what was seen of it at work."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vtorc.core.election.candidates import ACKING_TYPES, StoppedTablet
from vtorc.core.facts.gtid import EMPTY_GTID_SET
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPrimary:
    """The last primary of a shard view, with all that is asked about it more than once."""

    tablet: TabletView
    """The tablet that is primary, or was when the shard record was last written."""
    observed_term: ObservedTerm | None
    """Its present term as it was seen at work; None if it was not."""

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.tablet.alias

    def replaced_by(self, view: ShardView) -> str:
        """Return the UUID of the server that runs under its alias now in place of the one that was primary; empty if
        that one does.

        An empty server under the old name has lost nothing that it ever held, and holds nothing of what was
        acknowledged. Without memory the replicas tell the UUID of the server that they replicate from.
        """
        now = self.tablet.status.server_uuid if self.tablet.status is not None else ""
        if self.observed_term is not None:
            known = {self.observed_term.server_uuid}
        else:
            at = self.tablet.record.mysql_address
            threads = [t.status.replication for t in view.tablets if t.status is not None and t.alias != self.alias]
            known = {each.source_uuid for each in threads if each is not None and each.source_address == at}
        return now if known - {""} and now not in known else ""

    def is_matched_by(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> bool:
        """Whether the stopped tablets have received all that it had executed when it was last seen at work.

        Only the logs of tablets count that acknowledge by their type.
        """
        if self.observed_term is None:
            return False
        received = (each.received for each in stopped.values() if each.member.type in ACKING_TYPES)
        return EMPTY_GTID_SET.union(*received).contains(self.observed_term.executed)

    @property
    def may_have_timed_out(self) -> bool:
        """Whether its commits may have gone on without the acknowledgements that they were seen to wait for.

        With a finite `rpl_semi_sync_source_timeout` a commit that waited so long returns. Those after it wait for no
        acknowledgement until a replica has caught up (MySQL manual, "Semisynchronous Replication"). A primary that
        is cut off does so while vtorc hears nothing of it.

        It had no time for that if its own tablet found its MySQL down less than the timeout after it was at work. Only
        a commit that waited already may have gone on. Where the tablet tells whether one waited, it is believed.
        """
        term, probe = self.observed_term, self.tablet.last_probe
        if term is None or math.isinf(term.ack_timeout) or not term.wait_count:
            return False
        if probe.failure is not ProbeFailure.MYSQL_DOWN or probe.same_failure_since is None:
            return True
        if probe.status is not None and probe.status.semi_sync_blocked:
            return True
        if term.semi_sync_active_at != probe.status_at:
            return True  # its last answer did not tell
        at_work_for = probe.same_failure_since - term.semi_sync_active_at + probe.late_before_failure
        return at_work_for >= term.ack_timeout


def last_primary(view: ShardView) -> LastPrimary | None:
    """Return the tablet that is primary, or was when the shard record was last written; None if it has no tablet
    record.
    """
    tablet = view.primary or view.tablet(view.shard_record.primary_alias)
    return None if tablet is None else LastPrimary(tablet=tablet, observed_term=observed_term_of(view, tablet))


def observed_term_of(view: ShardView, primary: TabletView | None) -> ObservedTerm | None:
    """Return what was seen of the last primary in its present term; what it showed in an earlier one does not count."""
    if primary is None or primary.memory.observed_term is None:
        return None
    record = primary.record
    is_primary = record.type is TabletType.PRIMARY
    term = record.primary_term_start if is_primary else view.shard_record.primary_term_start
    observed_term = primary.memory.observed_term
    return observed_term if observed_term.is_of(term) else None
