"""The memory of one tablet beyond its last status: each answer and each reading of the topology adds to it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from vtorc.core.facts.ack_path import AckPath
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.past_proof import proves_past
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus, ThreadState

RECORD_IS_LATE_AT_MOST = 60.0
"""Seconds after which a tablet that became primary has told the topology server."""

STEADY_GAP = 1.4
"""Seconds from one answer with further commits to the next up to which commits count as steady. Only a primary that is
asked about once a second can show that."""

UNSTABLE_AFTER = 5
"""Failures, each of them after an answer, within `UNSTABLE_WITHIN` that make a tablet unstable."""

UNSTABLE_WITHIN = 60.0
"""Seconds within which they count; a tablet that stays up, or down, for so long is stable again."""


@dataclass(frozen=True, slots=True)
class FormerType:
    """When the record of a tablet ceased to have a type."""

    last_found_at: float
    """When the last reading of the topology began that found the type; in seconds on the caller's monotonic clock."""
    gone_at: float
    """When the first reading was taken over that found another type; in seconds on the same clock."""


@dataclass(frozen=True, slots=True)
class ReplacedServer:
    """A server that ran under the alias of a tablet, until another one did."""

    successor: str
    """UUID of the server that took its place."""
    gone_at: float
    """When the probe ended that first found the successor, in seconds on the caller's monotonic clock."""
    was_primary: bool = False
    """Whether it was seen at work as primary."""
    acked_until: float | None = None
    """Until when it may have acknowledged by its last answers, in seconds on the same clock. None if no end of that was
    seen before the successor was.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletMemory:
    """Facts that a tablet showed at any time and may not show now.

    Times are seconds on the caller's monotonic clock.
    """

    unknown_until: float = -math.inf
    """Until when nothing is known of the tablet: it may have been of any type, and have acknowledged. That is until the
    first reading of the topology was taken over that found it, and until its first answer was. It is minus infinity if
    the tablet was known from its beginning.
    """
    unheard_until: float = -math.inf
    """Until when no tablet of the shard was heard for so long that whatever had ended before may have begun again:
    a server that was stopped may have acknowledged. It is minus infinity if that was never so.
    """
    was_heard: bool = False
    """Whether any answer of it told more than a stalled disk; if not, only its record is known."""
    last_advance_at: float | None = None
    """When the probe started that last brought other received transactions than the answer before; None if none did."""
    last_commit_at: float | None = None
    """When the probe started that last brought other executed transactions than the answer before; None if none did."""
    last_read_at: float | None = None
    """When the probe started that last found it further in its source's binary log than the answer before, within a
    transaction too. None if none did.
    """
    commits_steadily_since: float | None = None
    """When the first of the probes started that have brought further executed transactions since, at most `STEADY_GAP`
    apart. Time in which vtorc was late counts as part of a gap. None if it paused for longer.
    """
    commits_wait_since: float | None = None
    """When the probe started that first found a longer binary log and no further transaction executed, so that a commit
    waits. None while it has a source, and once another transaction is executed."""
    ack_path: AckPath | None = None
    """How its last answers showed the way between it and its source; None if by the last one it cannot acknowledge."""
    not_receiving_since: float | None = None
    """When the probe started that first found the IO thread not connected to its present source; None while it is, and
    before the first answer."""
    unanswered_since: float | None = None
    """When the probe started that first found no server speaking to its IO thread, since one did. Its stop then may
    have reached no server either; None while a server speaks to it, and if it was never found otherwise."""
    disk_stalled_since: float | None = None
    """When the probe started that first found the disk stalled, which hides all else; None unless the last answer says
    that it is."""
    before_stall: TabletStatus | None = None
    """The last answer before the disk stalled; None unless the last answer says that it is, and if all of them did."""
    received: GtidSet = EMPTY_GTID_SET
    """All that the tablet held, committed or in its relay log, by the last answer that named any transactions."""
    lost_after_receipt: GtidSet = EMPTY_GTID_SET
    """Transactions that the tablet once said to have received, and did not have by the last answer that named any. Its
    relay log is gone, or it was rebuilt."""
    own_missing: GtidSet = EMPTY_GTID_SET
    """Transactions that its server wrote and did not have by the last answer that named any. Another tablet had told of
    them before that answer was asked for. Of a server that takes writes they may be under way.
    """
    observed_term: ObservedTerm | None = None
    """Its latest term as primary, as it was seen at work; None if it never was."""
    may_ack_until: float | None = None
    """Until when it may have acknowledged, having a source and its side of semi-sync on. Infinity while no end of that
    is known; None if it was never seen so."""
    client_span: ClientSpan | None = None
    """When it was last seen to receive with its side of semi-sync at work; None if it never was."""
    unknown_clients: int = 0
    """How many of its semi-sync clients were unknown by its last counts as a primary at work. A tablet that answers, or
    was last heard as a client, is a known one. The counts themselves end with vtorc's process.
    """
    clients_explained: bool = False
    """Whether a count of this server was complete, so that `unknown_clients` is a number that was found and no default.
    """
    was_unfollowed: bool = False
    """Whether this process has seen its server as something else than a primary, and without a semi-sync client. It was
    then read-only or had a source, its record did not call it PRIMARY, and it was never at work. A primary that was
    restarted looks alike, and its clients only connect again.
    """
    former_types: Mapping[TabletType, FormerType] = field(default_factory=dict)
    """The types that its record had before, other than the present one or an earlier time of it."""
    server_uuid: str = ""
    """UUID of its server by the last answer that named one; empty if none did."""
    replaced_servers: Mapping[str, ReplacedServer] = field(default_factory=dict)
    """The servers that ran under its alias before and do not now, by UUID. Their transactions went with them."""
    acts_as_primary_since: float | None = None
    """When the probe started that first found the tablet acting as primary although its record does not call it so.
    That is: without a source, and writable or PRIMARY by its own account; None if it was not by the last answer."""
    filtered_server: str = ""
    """UUID of its server if that was seen with replication filters: the gaps stay when the filters go. Empty if it was
    not, and once another server answers for the tablet."""
    record_confirmed: bool = False
    """Whether a reading of the topology that began `RECORD_IS_LATE_AT_MOST` after `acts_as_primary_since` still did not
    call the tablet PRIMARY: its record is not late."""
    proves_past_since: float | None = None
    """When the probe started that first found proof that the shard had a primary (`past_proof`). None unless the last
    answer that told anything proves it.
    """
    failed_at: tuple[float, ...] = ()
    """When the last probes started that failed after an answer, the oldest first; at most `UNSTABLE_AFTER` of them."""

    def may_have_written_as(self, uuid: str) -> bool:
        """Whether what it holds of the server of that UUID may be its own. Its server is then, or was, a copy of that
        one, and has not replicated from it since.
        """
        if not uuid or uuid == self.server_uuid:
            return bool(uuid)
        replaced, span = self.replaced_servers.get(uuid), self.client_span
        if replaced is None:
            return False
        return span is None or span.source_uuid != uuid or span.seen_from <= replaced.gone_at

    def is_unstable(self, now: float) -> bool:
        """Whether it comes and goes: one more failure or answer of it is no news, and no reason to ask others."""
        return len(self.failed_at) == UNSTABLE_AFTER and now - self.failed_at[0] <= UNSTABLE_WITHIN

    def after_silence(self, now: float) -> Self:
        """Return the memory at `now`, after a time in which no tablet of the shard was heard."""
        return replace(self, unheard_until=now)

    def after_gap(self, now: float) -> Self:
        """Return the memory at `now`, after a time without any news of the shard: the tablet may have been anything."""
        return replace(self.after_silence(now), unknown_until=now, was_heard=False, clients_explained=False)

    def after_answer(
        self,
        status: TabletStatus,
        before: LastProbe,
        *,
        started: float,
        ended: float,
        asked_record: TabletRecord,
        record: TabletRecord,
        told_before: Iterable[GtidSet] = (),
        late: float = 0.0,
    ) -> Self:
        """Return the memory after a probe from `started` to `ended` that brought `status`.

        `before` is the probe before it, `asked_record` the record by which the tablet was asked, and `record` the one
        that was last read by now. `told_before` is what other tablets had told to have, or to have had, by `started`.
        Since the answer before, vtorc was late for `late` seconds.
        """
        acts_since, confirmed = self._acting_as_primary(status, record, started)
        received, lost = self._received(status)
        return type(self)(
            unknown_until=self.unknown_until if self.was_heard or status.disk_stalled else ended,
            unheard_until=self.unheard_until,
            was_heard=self.was_heard or not status.disk_stalled,
            last_advance_at=started if _has_advanced(before.status, status) else self.last_advance_at,
            last_commit_at=started if _has_committed(before.status, status) else self.last_commit_at,
            last_read_at=started if _has_read(before.status, status) else self.last_read_at,
            commits_steadily_since=self._commits_steadily(before.status, status, started + late),
            commits_wait_since=self._commits_wait(before.status, status, started),
            ack_path=AckPath.after(self.ack_path, status, before, ended=ended),
            not_receiving_since=self._not_receiving(status, before.status, started),
            unanswered_since=self._unanswered(status, started),
            disk_stalled_since=self._disk_stalled(status, started),
            before_stall=self._before_stall(status, before.status),
            received=received,
            lost_after_receipt=lost,
            own_missing=self._own_missing(status, told_before),
            observed_term=ObservedTerm.after(
                self.observed_term, status, asked_record, at=started, heard_at=before.status_at
            ),
            may_ack_until=self._may_ack(status, ended),
            client_span=ClientSpan.after_answer(
                self.client_span, status, is_first=before.ended_at is None, started=started, ended=ended
            ),
            unknown_clients=self.unknown_clients,
            clients_explained=self.clients_explained and status.server_uuid in ("", self.server_uuid),
            was_unfollowed=self._was_unfollowed(status, asked_record, record),
            former_types=self.former_types,
            server_uuid=status.server_uuid or self.server_uuid,
            replaced_servers=self._replaced_servers(status, ended),
            filtered_server=self._filtered(status),
            acts_as_primary_since=acts_since,
            record_confirmed=confirmed,
            failed_at=self.failed_at,
            proves_past_since=self._proves_past(status, started),
        )

    def after_first_failure(self, *, started: float) -> Self:
        """Return the memory after a probe from `started` that failed, when the one before it had brought a status."""
        return replace(self, failed_at=(*self.failed_at, started)[-UNSTABLE_AFTER:])

    def after_mysql_down(self, *, ended: float) -> Self:
        """Return the memory after a probe, over at `ended`, in which the tablet said that its MySQL is down: it has
        acknowledged nothing since.
        """
        return replace(
            self,
            may_ack_until=self._acks_ended(ended),
            client_span=ClientSpan.after_end(self.client_span, ended=ended),
        )

    def after_reading(
        self, record: TabletRecord, before: TabletRecord, *, read_at: float, before_read_at: float, now: float
    ) -> Self:
        """Return the memory after a reading of the topology, begun at `read_at` and taken over `now`, found `record`.

        `before` is what the reading found that began at `before_read_at`.
        """
        memory = self
        if record.type is not before.type:
            left = FormerType(last_found_at=before_read_at, gone_at=now)
            memory = replace(memory, former_types={**memory.former_types, before.type: left})
        if record.type is TabletType.PRIMARY:
            return replace(memory, acts_as_primary_since=None, record_confirmed=False)
        since = memory.acts_as_primary_since
        if since is not None and read_at - since >= RECORD_IS_LATE_AT_MOST:
            return replace(memory, record_confirmed=True)
        return memory

    def _acting_as_primary(
        self, status: TabletStatus, record: TabletRecord, started: float
    ) -> tuple[float | None, bool]:
        claims = not status.read_only or status.tablet_type is TabletType.PRIMARY
        if not claims or status.has_source or status.disk_stalled or record.type is TabletType.PRIMARY:
            return None, False
        since = self.acts_as_primary_since
        return (started if since is None else since), self.record_confirmed

    def _may_ack(self, status: TabletStatus, ended: float) -> float | None:
        """Return until when it may have acknowledged; an answer without the settings of semi-sync changes nothing."""
        if status.semi_sync.replica_enabled and status.has_source:
            return math.inf
        if status.disk_stalled or (status.has_source and not status.semi_sync.is_reported):
            return self.may_ack_until
        return self._acks_ended(ended)

    def _acks_ended(self, ended: float) -> float | None:
        """Return until when it may have acknowledged that does not now; what had ended may have begun again unheard."""
        until = self.may_ack_until
        return until if until is None or self.unheard_until < until < math.inf else ended

    def _not_receiving(self, status: TabletStatus, before: TabletStatus | None, started: float) -> float | None:
        if status.disk_stalled:
            return self.not_receiving_since
        if status.replication is not None and status.replication.is_receiving:
            return None
        known = self.not_receiving_since is not None and _source_of(before) == _source_of(status)
        return self.not_receiving_since if known else started

    def _unanswered(self, status: TabletStatus, started: float) -> float | None:
        replication = status.replication
        if status.disk_stalled or replication is None or not replication.has_source:
            return self.unanswered_since
        if replication.is_receiving or not replication.got_no_answer:
            return None
        has_tried = replication.io_state is ThreadState.CONNECTING or bool(replication.last_io_error)
        return started if self.unanswered_since is None and has_tried else self.unanswered_since

    def _commits_wait(self, before: TabletStatus | None, status: TabletStatus, started: float) -> float | None:
        """Return since when commits are in the binary log and not executed; None if none is.

        MySQL adds them to gtid_executed after the wait. A transaction that is just being committed looks the same, but
        not for long. An answer with a stalled disk tells nothing, so the time begins anew after it.
        """
        if before is None or status.has_source or status.executed.entries != before.executed.entries:
            return None
        if self.commits_wait_since is not None or before.binlog_end is None or status.binlog_end is None:
            return self.commits_wait_since
        (file_before, at_before), (file, at) = before.binlog_end, status.binlog_end
        return started if file == file_before and at > at_before else None

    def _commits_steadily(self, before: TabletStatus | None, status: TabletStatus, at: float) -> float | None:
        """Return since when commits have come steadily; `at` is when the probe started if vtorc had not been late."""
        paused = self.last_commit_at is None or at - self.last_commit_at > STEADY_GAP
        if not _has_committed(before, status):
            return None if paused else self.commits_steadily_since
        return at if paused or self.commits_steadily_since is None else self.commits_steadily_since

    def _filtered(self, status: TabletStatus) -> str:
        if status.replication is not None and status.replication.has_filters:
            return status.server_uuid or self.filtered_server
        return self.filtered_server if status.server_uuid in ("", self.filtered_server) else ""

    def _proves_past(self, status: TabletStatus, started: float) -> float | None:
        if status.disk_stalled:
            return self.proves_past_since
        if not proves_past(status):
            return None
        return started if self.proves_past_since is None else self.proves_past_since

    def _disk_stalled(self, status: TabletStatus, started: float) -> float | None:
        if not status.disk_stalled:
            return None
        return self.disk_stalled_since if self.disk_stalled_since is not None else started

    def _was_unfollowed(self, status: TabletStatus, *records: TabletRecord) -> bool:
        if self.was_unfollowed and status.server_uuid in ("", self.server_uuid):
            return True
        is_primary = any(each.type is TabletType.PRIMARY for each in records)
        return not is_primary and self.observed_term is None and _is_unfollowed(status)

    def _before_stall(self, status: TabletStatus, before: TabletStatus | None) -> TabletStatus | None:
        if not status.disk_stalled:
            return None
        return self.before_stall if before is None or before.disk_stalled else before

    def _replaced_servers(self, status: TabletStatus, ended: float) -> Mapping[str, ReplacedServer]:
        """Return the servers that are gone; one that came back is not."""
        now, before = status.server_uuid, self.server_uuid
        if not now or not before or now == before:
            return self.replaced_servers
        gone = {uuid: each for uuid, each in self.replaced_servers.items() if uuid != now}
        until, term = self.may_ack_until, self.observed_term
        replaced = ReplacedServer(
            successor=now,
            gone_at=ended,
            was_primary=term is not None and term.server_uuid == before,
            acked_until=until if until is not None and self.unheard_until < until < math.inf else None,
        )
        return {**gone, before: replaced}

    def _received(self, status: TabletStatus) -> tuple[GtidSet, GtidSet]:
        """Return what the tablet holds now, and what it lost after receipt; an answer without transactions changes
        neither.
        """
        lost = self.lost_after_receipt
        if status.disk_stalled or not status.executed:
            return self.received, lost
        received = status.received
        if not lost and self.received.entries == received.entries:
            return received, lost
        return received, self.received.union(lost).difference(received)

    def _own_missing(self, status: TabletStatus, told_before: Iterable[GtidSet]) -> GtidSet:
        """Return what the server does not hold, although it wrote it by what others had told before it was asked.
        Transactions that are told later may have been written later.
        """
        uuid = status.server_uuid
        if status.disk_stalled or not uuid or not status.executed:
            return self.own_missing
        told = (each for each in (self.own_missing, *told_before) if each and each.entries != status.received.entries)
        return EMPTY_GTID_SET.union(*(each.only_uuid(uuid) for each in told)).difference(status.received)


NOTHING_REMEMBERED = TabletMemory()


def _source_of(status: TabletStatus | None) -> tuple[str, int] | None:
    replication = status.replication if status is not None else None
    return replication.source_address if replication is not None and replication.has_source else None


def _is_unfollowed(status: TabletStatus) -> bool:
    semi_sync, works = status.semi_sync, not status.read_only and not status.has_source
    return not works and not status.disk_stalled and semi_sync.is_reported and semi_sync.primary_clients == 0


def _has_advanced(before: TabletStatus | None, after: TabletStatus) -> bool:
    if before is None or before.replication is None or after.replication is None:
        return False
    return before.replication.received.entries != after.replication.received.entries


def _has_read(before: TabletStatus | None, after: TabletStatus) -> bool:
    if before is None or before.replication is None or after.replication is None:
        return False
    return _has_advanced(before, after) or before.replication.read_to != after.replication.read_to


def _has_committed(before: TabletStatus | None, after: TabletStatus) -> bool:
    if before is None or before.disk_stalled or after.disk_stalled:
        return False
    return before.executed.entries != after.executed.entries
