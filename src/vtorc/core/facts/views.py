"""All that is known of one shard at one moment: the input of every decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vtorc.core.facts.client_count import ClientCount
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.durability import Member
from vtorc.core.facts.holds import NO_HOLDS, HoldsOnShard
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType, is_replica_type
from vtorc.core.facts.last_probe import NEVER_PROBED, LastProbe, ProbeFailure
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.tablet_memory import NOTHING_REMEMBERED, TabletMemory

FAILURES_THAT_COUNT = 3
"""Failed probes in a row beyond which one more says nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletView:
    """One tablet as it is known at one moment, with shortcuts to what is asked most often."""

    record: TabletRecord
    """The tablet's record in the topology server, as last read."""
    last_probe: LastProbe = NEVER_PROBED
    """How the last probe ended, and the last status."""
    memory: TabletMemory = NOTHING_REMEMBERED
    """Facts that the tablet showed at any time and may not show now."""
    direct: DirectAnswer | None = None
    """The last answer of its MySQL to vtorc itself; None while its tablet manager answers, and if MySQL is not asked
    or has not answered yet."""
    is_asked_directly: bool = False
    """Whether vtorc asks its MySQL itself while its tablet manager does not answer."""
    status: TabletStatus | None = field(init=False, compare=False, repr=False)
    """The last answer of the tablet, however long ago; None if it never answered."""
    current_status: TabletStatus | None = field(init=False, compare=False, repr=False)
    """The same if the last probe brought it, so that it is what the tablet says now; else None."""

    def __post_init__(self) -> None:
        # Fields and not properties: one judgement asks each of them several times for each tablet.
        object.__setattr__(self, "status", self.last_probe.status)
        object.__setattr__(self, "current_status", self.last_probe.status if self.last_probe.failure is None else None)

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.record.alias

    @property
    def status_at(self) -> float | None:
        """When the probe started that brought `status`, in seconds on the caller's monotonic clock."""
        return self.last_probe.status_at

    @property
    def failure(self) -> ProbeFailure | None:
        """Why the last probe brought no status; None if it brought one, and before the first one is over."""
        return self.last_probe.failure

    @property
    def failures_in_row(self) -> int:
        """How many probes have failed since the last status."""
        return self.last_probe.failures_in_row

    @property
    def failing_since(self) -> float | None:
        """When the first of the probes started that failed since the last status, on the same clock; None if none
        did.
        """
        return self.last_probe.failing_since

    @property
    def told(self) -> TabletStatus | None:
        """The last answer that told more than a stalled disk, which hides all else. If all answers told of a stalled
        disk, it is the last of them; None before the first answer.
        """
        return self.memory.before_stall or self.status

    @property
    def silent_since(self) -> float | None:
        """The moment from which its failure is counted; time in which it was not asked is left out. None while it
        answers.
        """
        return self.last_probe.silent_since

    @property
    def failure_phrase(self) -> str:
        """How the last probe failed, and how MySQL answered vtorc itself, as the end of a sentence about the tablet."""
        how, direct = self.last_probe.failure_phrase, self.direct
        if direct is None or self.failure is None:
            return how
        asked = f"asked directly, {direct.clause(self.failure, self.memory.server_uuid)}"
        return f"{how[:-1]}; {asked})" if how.endswith(")") else f"{how} ({asked})"

    @property
    def tells_directly_that_it_acknowledges(self) -> bool:
        """Whether its own MySQL told vtorc itself that it receives and acknowledges, while its tablet manager fails."""
        told = self.direct.status if self.direct is not None else None
        if self.direct is None or told is None or not self.direct.is_of_server(self.memory.server_uuid):
            return False
        return told.semi_sync.replica_active and told.replication is not None and told.replication.is_receiving

    def has_shown_life(self, *, since: float) -> bool:
        """Whether its MySQL has taken a connection of vtorc, or refused a login, in one that began since then."""
        direct = self.direct
        return direct is not None and direct.asked_at >= since and direct.shows_life(self.memory.server_uuid)

    @property
    def leaves_vtorc_ungreeted(self) -> bool:
        """Whether its host has taken a connection of vtorc since it fails, and its MySQL sent no greeting."""
        return self._told_since_it_fails is DirectOutcome.NO_GREETING

    @property
    def may_leave_vtorc_ungreeted(self) -> bool:
        """Whether that is so, or a question of vtorc to its MySQL has yet to tell."""
        return self.is_asked_directly and self._told_since_it_fails in (None, DirectOutcome.NO_GREETING)

    @property
    def _told_since_it_fails(self) -> DirectOutcome | None:
        """The outcome of a question of vtorc to its MySQL that began since it fails; None without one."""
        direct, since = self.direct, self.failing_since
        return direct.outcome if direct is not None and since is not None and direct.asked_at >= since else None

    @property
    def probed(self) -> bool:
        """Whether at least one probe has ended, well or not."""
        return self.last_probe.ended_at is not None

    @property
    def is_current(self) -> bool:
        """Whether the last probe brought a status, so that `status` is what the tablet says now."""
        return self.current_status is not None

    @property
    def is_receiving(self) -> bool:
        """Whether it says now that its IO thread is connected to its source."""
        status = self.current_status
        return status is not None and status.replication is not None and status.replication.is_receiving

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
        if status is None or not self.is_receiving or not status.semi_sync.is_reported:
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
            return self.failures_in_row <= FAILURES_THAT_COUNT
        if self.status is None or before.status is None:
            return True
        return self.status.substance != before.status.substance


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardView:
    """One shard: its records, its tablets, and what could not be read.

    The primary and the like are worked out once, because one judgement asks for them many times.
    """

    shard: ShardId
    """The shard's name."""
    keyspace_record: KeyspaceRecord
    """The record of its keyspace, as last read."""
    shard_record: ShardRecord
    """The shard's record, as last read."""
    tablets: tuple[TabletView, ...] = ()
    """Its tablets, ordered by alias."""
    unreachable_cells: Mapping[str, str] = field(default_factory=dict)
    """The cells with a topology server that does not answer, each with the sentence why: their tablets are those last
    read."""
    bad_records: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Tablets with a record that could not be parsed, each with the reason; one that was read before stays among
    `tablets`."""
    never_read_cells: frozenset[str] = frozenset()
    """Those of the unreachable cells that were not read even once: their tablets are not known at all."""
    client_count: ClientCount | None = None
    """The last count of semi-sync clients that a primary of the shard told while at work; None if none did."""
    holds: HoldsOnShard = NO_HOLDS
    """The holds of operators that are in force on the shard or on its tablets."""
    primary: TabletView | None = field(init=False, compare=False, repr=False)
    """The shard's primary: the tablet of type PRIMARY with the newest term (Vitess' rule for readers of the topology).

    It is None if the shard record names another tablet since a later time: then all tablets of type PRIMARY are former
    primaries. It is the tablet that took its place, if the servers prove the records to be older than they are.
    """
    self_declared_primaries: tuple[TabletView, ...] = field(init=False, compare=False, repr=False)
    """Tablets that are primary by their own account and not by their records.

    Their records may be late: the topology server does not have to answer a tablet that was just promoted.
    A tablet that does not tell its type (older version) counts if it is writable and a replica receives from it. It
    counts only until its record is confirmed: an operator may have made it writable by hand.
    """
    _replicas: dict[TabletAlias, tuple[TabletView, tuple[TabletView, ...]]] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )
    """The answers of `replicas_of`, each with the view of the source that it was worked out for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "primary", self._find_primary())
        object.__setattr__(
            self,
            "self_declared_primaries",
            tuple(t for t in self.tablets if self._declared_itself_primary(t, t.current_status)),
        )

    @property
    def unreachable_self_declared(self) -> tuple[TabletView, ...]:
        """Tablets that do not answer and were self-declared primaries when they last did.

        They count until a reading of the topology shows that their records are not late.
        """
        return tuple(
            tablet
            for tablet in self.tablets
            if tablet.failure is not None
            and not tablet.memory.record_confirmed
            and self._declared_itself_primary(tablet, tablet.status)
        )

    def tablet(self, alias: TabletAlias | None) -> TabletView | None:
        """Return the tablet of that name; None if the shard lacks it."""
        return next((tablet for tablet in self.tablets if tablet.alias == alias), None)

    def at_address(self, address: tuple[str, int]) -> TabletView | None:
        """Return the tablet with a mysqld at this host and port; None if there is none.

        Of several it is the one that answers. The host may run a tablet of another alias by now, while the record of
        the former one is still there.
        """
        there = [tablet for tablet in self.tablets if tablet.record.mysql_address == address]
        return min(there, key=lambda tablet: not tablet.is_current, default=None)

    def replicas_of(self, source: TabletView) -> tuple[TabletView, ...]:
        """Tablets that replicate from `source` by their last known status, reachable or not.

        A tablet that was shut down cleanly has blanked its MySQL address. Each tablet that replicates from an unknown
        address then counts as its replica. A stopped primary would otherwise seem to have no replicas.
        """
        known = self._replicas.get(source.alias)
        if known is None or known[0] is not source:
            replicas = tuple(t for t in self.tablets if t.alias != source.alias and self.replicates_from(t, source))
            known = self._replicas[source.alias] = source, replicas
        return known[1]

    def replicates_from(self, tablet: TabletView, source: TabletView) -> bool:
        """Whether the last known status of `tablet` names the server of `source`.

        A replica that receives from a server with another UUID does not, whatever its address. That server was set up
        where the one of `source` was, and vouches for it no more.
        """
        replication = tablet.status.replication if tablet.status is not None else None
        if replication is None or not replication.has_source:
            return False
        uuid = source.status.server_uuid if source.status is not None else ""
        if uuid and uuid == replication.source_uuid:
            return True
        if uuid and replication.source_uuid and replication.is_receiving:
            return False
        if source.record.has_mysql_address:
            return replication.source_address == source.record.mysql_address
        if uuid and replication.source_uuid:
            return False
        return self.at_address(replication.source_address) is None

    def _find_primary(self) -> TabletView | None:
        primaries = [tablet for tablet in self.tablets if tablet.record.type is TabletType.PRIMARY]
        newest = max(primaries, key=lambda tablet: (tablet.record.primary_term_start, tablet.alias), default=None)
        if newest is None:
            return None
        is_former = self.shard_record.primary_term_start > newest.record.primary_term_start
        if is_former and self.shard_record.primary_alias not in (None, newest.alias):
            return None
        return self._successor_of(newest) or newest

    def _successor_of(self, recorded: TabletView) -> TabletView | None:
        """Return the tablet that `recorded` follows as a replica by its own account, if that one does not answer.

        A topology server that is restored from a backup calls a former primary primary. The tablet after it puts that
        right, but not if it is lost first. Then all tablets, the recorded primary too, wait for a dead server, and the
        loss of that server is what has to be seen. None unless every tablet that answers and has a source has that one.
        """
        status = recorded.current_status
        if status is None or status.tablet_type in (None, TabletType.UNKNOWN, TabletType.PRIMARY):
            return None
        if status.disk_stalled or not status.read_only or not status.has_source:
            return None
        sources = [t for t in self.tablets if t.alias != recorded.alias and self.replicates_from(recorded, t)]
        if len(sources) != 1 or sources[0].failure is None:
            return None
        heir = sources[0]
        others = [t for t in self.tablets if t.current_status is not None and t.current_status.has_source]
        return heir if all(self.replicates_from(each, heir) for each in others) else None

    def _declared_itself_primary(self, tablet: TabletView, status: TabletStatus | None) -> bool:
        if tablet.record.type is TabletType.PRIMARY or status is None or status.has_source or status.disk_stalled:
            return False
        if status.tablet_type is not None:
            return status.tablet_type is TabletType.PRIMARY
        return (
            not status.read_only
            and not tablet.memory.record_confirmed
            and any(replica.is_receiving or tablet.failure is not None for replica in self.replicas_of(tablet))
        )
