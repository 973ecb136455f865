"""All that is known of one shard at one moment: the input of every decision."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from vtorc.core.facts.durability import Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType, is_replica_type
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import TabletStatus, ThreadState

FAILURES_THAT_COUNT = 3
"""Failed probes in a row beyond which one more says nothing new."""


class ProbeFailure(enum.Enum):
    """Why a probe brought no status; the classes lead to different verdicts."""

    REFUSED = "refused"  # nobody listens: the process is gone, the host is there
    UNREACHABLE = "unreachable"  # no route, name unknown, connection reset
    TIMEOUT = "timeout"  # silent host, hung process, or us cut off
    HUNG = "hung"  # the tablet manager answers a ping, but brings no status from its mysqld: a hang, or overload
    MYSQL_DOWN = "mysql down"  # the tablet answers, its mysqld does not
    ERROR = "error"  # the tablet answers that it cannot tell
    BAD_ANSWER = "bad answer"  # the answer does not make sense
    SHUT_DOWN = "shut down"  # its owner stopped it; it is not dialled

    @property
    def is_silence(self) -> bool:
        """Whether no answer came in time, which says nothing about what goes on."""
        return self in (ProbeFailure.TIMEOUT, ProbeFailure.HUNG)


_FAILURES = {
    ProbeFailure.REFUSED: "refuses connections",
    ProbeFailure.UNREACHABLE: "cannot be reached",
    ProbeFailure.TIMEOUT: "does not answer",
    ProbeFailure.HUNG: "hangs (its tablet manager answers, its MySQL does not)",
    ProbeFailure.MYSQL_DOWN: "answers that its MySQL is down",
    ProbeFailure.ERROR: "answers with an error",
    ProbeFailure.BAD_ANSWER: "answers nonsense",
    ProbeFailure.SHUT_DOWN: "was shut down",
}


@dataclass(frozen=True, slots=True)
class FormerType:
    """When a tablet's record ceased to have a type: `still` is when the last reading of the topology began that found
    it, `gone` when the first was taken over that did not; in seconds on the caller's monotonic clock.
    """

    still: float
    gone: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletView:
    """One tablet: its record, the last status it gave and how the last probe went.

    Times are seconds on the caller's monotonic clock. `status_at` is when the probe that brought `status` started,
    `failing_since` when the first of the present series of failed probes did, and `failure_since` when the first of
    those at its end was over that all failed as the last one, in the way that `failure` names; both None while the last
    probe succeeded. `last_advance_at` is when the probe started that last brought more received transactions than the
    one before. `not_receiving_since` is when the probe started that first found its IO thread not connected to the
    source that it has, None while it is connected. `disk_stalled_since` is when the probe started that first found its
    disk stalled, which hides all else, None while it does not say so. `status` stays what was last heard: `is_current`
    says whether it may be believed. `lost` is what it once said to have received, and did not when it was last heard:
    its relay log is gone, or it was rebuilt.

    `record_confirmed` says that a reading of the topology did not call it PRIMARY which began a minute after it was
    first seen as nobody's replica and writable, or primary by its own account: its record is not late.

    What is remembered beyond the last status: `observed_term` is what was seen of it as primary of its latest term.
    `may_ack_until` is until when its side of semi-sync may have been on while it had a source: infinity while that is
    not known to have ended, None if it never was seen so. `former_types` has the types that its record had before.
    """

    record: TabletRecord
    status: TabletStatus | None = None
    status_at: float | None = None
    probed_at: float | None = None
    failure: ProbeFailure | None = None
    failure_text: str = ""
    failures: int = 0
    failing_since: float | None = None
    failure_since: float | None = None
    last_advance_at: float | None = None
    not_receiving_since: float | None = None
    disk_stalled_since: float | None = None
    lost: GtidSet = EMPTY_GTID_SET
    observed_term: ObservedTerm | None = None
    may_ack_until: float | None = None
    former_types: Mapping[TabletType, FormerType] = field(default_factory=dict)
    record_confirmed: bool = False

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.record.alias

    @property
    def probed(self) -> bool:
        """Whether at least one probe has ended, well or not."""
        return self.probed_at is not None

    @property
    def is_current(self) -> bool:
        """Whether the last probe succeeded, so that `status` is what the tablet says now."""
        return self.status is not None and self.failure is None

    @property
    def current_status(self) -> TabletStatus | None:
        """The status, if the last probe succeeded."""
        return self.status if self.failure is None else None

    @property
    def failure_phrase(self) -> str:
        """How the last probe failed, as the end of a sentence about the tablet."""
        if self.failure is None:
            return "answers"
        told = self.failure in (ProbeFailure.ERROR, ProbeFailure.BAD_ANSWER) and self.failure_text
        return _FAILURES[self.failure] + (f" ({self.failure_text})" if told else "")

    @property
    def is_receiving(self) -> bool:
        """Whether it says now that its IO thread is connected to its source."""
        replication = self.status.replication if self.status is not None else None
        return self.is_current and replication is not None and replication.is_receiving

    @property
    def member(self) -> Member:
        """The tablet as durability arithmetic sees it: by the type of its record."""
        return Member(self.record.alias, self.record.type)

    @property
    def would_acknowledge(self) -> bool:
        """Whether its side of semi-sync is on and at work, and its IO thread is not stopped."""
        status = self.current_status
        return (
            status is not None
            and status.semi_sync.replica_enabled
            and status.replication is not None
            and status.replication.io_state is not ThreadState.STOPPED
            and not self.receives_without_acknowledging
        )

    @property
    def receives_without_acknowledging(self) -> bool:
        """Whether it receives and does not acknowledge although its side of semi-sync is on.

        It was switched on after the IO thread had connected, which takes it up only when it connects again (MySQL
        manual, Rpl_semi_sync_replica_status). An answer that does not tell of semi-sync (older tablets, a statement
        that failed) says nothing about it.
        """
        status = self.current_status
        if status is None or not self.is_receiving or not status.semi_sync.tells_settings:
            return False
        return status.semi_sync.replica_enabled and not status.semi_sync.replica_active

    @property
    def is_replica_type(self) -> bool:
        """Whether the record's type makes it one of the shard's replicas."""
        return is_replica_type(self.record.type)

    def is_news_after(self, before: "TabletView") -> bool:
        """Whether more has changed since than positions and times: only then may a verdict be another.

        How often in a row a tablet has failed to answer is evidence too, but only until it is enough for any verdict.
        """
        if self.failure is not before.failure or self.record is not before.record:
            return True
        if self.failure is not None:
            return self.failures <= FAILURES_THAT_COUNT
        if self.status is None or before.status is None:
            return True
        return self.status.substance != before.status.substance


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardView:
    """One shard: records, tablets and what could not be read.

    `unreachable_cells` maps each cell whose topology server did not answer to the sentence why: its tablets are the
    ones last read; `never_read_cells` are those of them that were not read even once, whose tablets are not known at
    all. `tablets` are ordered by alias. `bad_records` names tablets whose record could not be parsed, with the reason.
    """

    shard: ShardId
    keyspace_record: KeyspaceRecord
    shard_record: ShardRecord
    tablets: tuple[TabletView, ...] = ()
    unreachable_cells: Mapping[str, str] = field(default_factory=dict)
    bad_records: Mapping[TabletAlias, str] = field(default_factory=dict)
    never_read_cells: frozenset[str] = frozenset()
    primary: TabletView | None = field(init=False, compare=False, repr=False)
    """The shard's primary: the tablet of type PRIMARY with the newest term (Vitess' rule for readers of the topology).

    None if the shard record names another since a later time: whoever that is, the tablets of type PRIMARY are former
    ones.
    """
    self_declared_primaries: tuple[TabletView, ...] = field(init=False, compare=False, repr=False)
    """Tablets that are primary by their own account and not by their records, which may be late: the topology server
    does not have to answer a tablet that was just promoted.

    A tablet that does not tell its type (older version) counts if it is writable and somebody receives from it, and not
    for ever: somebody may have made it so by hand.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "primary", self._find_primary())
        object.__setattr__(
            self,
            "self_declared_primaries",
            tuple(tablet for tablet in self.tablets if self._declares_itself_primary(tablet)),
        )

    def tablet(self, alias: TabletAlias | None) -> TabletView | None:
        """The tablet of that name, if the shard has it."""
        return next((tablet for tablet in self.tablets if tablet.alias == alias), None)

    def at_address(self, address: tuple[str, int]) -> TabletView | None:
        """The tablet whose mysqld has this host and port."""
        return next((tablet for tablet in self.tablets if tablet.record.mysql_address == address), None)

    def _find_primary(self) -> TabletView | None:
        primaries = [tablet for tablet in self.tablets if tablet.record.type is TabletType.PRIMARY]
        newest = max(primaries, key=lambda tablet: (tablet.record.primary_term_start, tablet.alias), default=None)
        if newest is None or self.shard_record.primary_alias in (None, newest.alias):
            return newest
        return None if self.shard_record.primary_term_start > newest.record.primary_term_start else newest

    @property
    def unreachable_self_declared(self) -> tuple[TabletView, ...]:
        """Tablets that were rivals when they last answered, until a reading of the topology shows that their records
        are not late.
        """
        return tuple(
            tablet
            for tablet in self.tablets
            if tablet.failure is not None
            and not tablet.record_confirmed
            and self._declared_itself_primary(tablet, tablet.status)
        )

    def _declares_itself_primary(self, tablet: TabletView) -> bool:
        return self._declared_itself_primary(tablet, tablet.current_status)

    def _declared_itself_primary(self, tablet: TabletView, status: TabletStatus | None) -> bool:
        if tablet.record.type is TabletType.PRIMARY or status is None or status.has_source or status.disk_stalled:
            return False
        if status.tablet_type is not None:
            return status.tablet_type is TabletType.PRIMARY
        return (
            not status.read_only
            and not tablet.record_confirmed
            and any(replica.is_receiving or tablet.failure is not None for replica in self.replicas_of(tablet))
        )

    def replicas_of(self, source: TabletView) -> tuple[TabletView, ...]:
        """Tablets whose last known status says that they replicate from `source`, reachable or not.

        A tablet that was shut down cleanly has blanked its MySQL address: then whoever replicates from an address
        that no tablet has is taken for its replica, so that a stopped primary is not mistaken for one that has none.
        """
        return tuple(
            tablet for tablet in self.tablets if tablet.alias != source.alias and self.replicates_from(tablet, source)
        )

    def replicates_from(self, tablet: TabletView, source: TabletView) -> bool:
        """Whether the last known status of `tablet` names the server of `source`."""
        replication = tablet.status.replication if tablet.status is not None else None
        if replication is None or not replication.has_source:
            return False
        uuid = source.status.server_uuid if source.status is not None else ""
        if uuid and uuid == replication.source_uuid:
            return True
        if source.record.mysql_hostname:
            return replication.source_address == source.record.mysql_address
        if uuid and replication.source_uuid:
            return False
        return self.at_address(replication.source_address) is None
