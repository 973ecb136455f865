"""The form of a tablet: its record, its last answer, and how it stands to its primary."""

from dataclasses import dataclass
from typing import Literal

from msgspec import field

from vtorc.core.detection.errant_gtids import errant_gtids
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.holds import Purpose
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.status import SemiSyncStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.forms.base import Form
from vtorc.forms.direct import DirectForm, direct_form
from vtorc.forms.hold import HoldForm, hold_form
from vtorc.forms.mysql import MysqlForm, mysql_form
from vtorc.forms.times import rfc3339, rfc3339_or_none

Reach = Literal["answers", "fails", "unasked"]


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks, so that forms can have wall times of what was seen on the monotonic one."""

    now: float
    """In seconds on the clock of the views."""
    wall: int
    """In nanoseconds since the Unix epoch."""

    def wall_of(self, seen_at: float) -> str:
        """Return an earlier moment of the clock of the views as RFC 3339."""
        return rfc3339(self.wall - int((self.now - seen_at) * 1e9))


class ReplicationForm(Form, frozen=True, kw_only=True):
    """The replication of a tablet by its last answer."""

    source: str
    """Host and port of the server that it replicates from; empty if it has no source."""
    source_tablet: str | None
    """Alias of the tablet at that address; None if the shard has none there."""
    source_uuid: str
    """MySQL's server_uuid of its source; empty before the first connection to it."""
    has_user: bool
    """Whether it knows as which user it connects to its source."""
    auto_position: bool
    """Whether it finds its place in the source's binary logs by GTIDs."""
    has_filters: bool | None
    """Whether replication filters make it leave out some transactions; None if it does not tell."""
    read_file: str | None
    """The file of the source's binary log up to which it has read; None if it does not tell."""
    read_position: int | None
    """The position in that file; None as `read_file` is."""
    io_thread: str
    """"running", "connecting", "stopped" or "unknown"."""
    sql_thread: str
    """The same of the thread that applies."""
    io_error: str
    """Last error of the IO thread; empty if there is none."""
    sql_error: str
    """Last error of the SQL thread; empty if there is none."""
    lag_seconds: int | None
    """Seconds behind its source; None where MySQL does not know it."""
    delay_seconds: int | None
    """Seconds that it applies late on purpose (SOURCE_DELAY); None if it does not tell."""


class SemiSyncForm(Form, frozen=True, kw_only=True):
    """The semi-sync of a tablet by its last answer; None stands for "did not tell"."""

    waits: bool | None
    """Whether its commits wait for acknowledgements."""
    acknowledges: bool | None
    """Whether it is to acknowledge what it receives."""
    is_waiting: bool | None
    """Whether its commits do wait now, and have not fallen back to asynchronous (Rpl_semi_sync_source_status)."""
    is_acknowledging: bool | None
    """Whether its IO thread does acknowledge now (Rpl_semi_sync_replica_status)."""
    timeout_ms: int | None
    """Milliseconds that a commit waits before MySQL goes on without acknowledgements."""
    clients: int | None
    """How many connected replicas acknowledge to it."""
    wait_for_replica_count: int | None
    """How many acknowledgements each of its commits waits for."""


class GtidForm(Form, frozen=True, kw_only=True):
    """A tablet's share of the transactions of its shard, by the last answers."""

    executed: str
    """The transactions that it has committed, as MySQL writes them."""
    to_apply: str
    """Those that it has received and not applied yet; empty if there are none."""
    missing: str
    """Those that the primary had committed when it answered last and this tablet had not received; empty if none."""
    not_on_primary: str
    """Those that it has and the primary had not when it answered last; empty if none. Some may be on their way: only
    the finding `ErrantGTIDDetected` says that they are errant."""
    errant: str
    """Its errant transactions, which it has executed, and which the primary lacks and never wrote. Empty as well while
    the primary's answer does not tell."""


class TabletForm(Form, frozen=True, kw_only=True):
    """One tablet as vtorc knows it."""

    alias: str
    """Its name, as `zone1-0000000101`."""
    cell: str
    """Its cell."""
    type: str
    """The type in its record, in upper case."""
    current_type: str | None
    """The type that the tablet takes itself for, in upper case; None if it does not tell."""
    is_primary: bool
    """Whether it is the primary of its shard."""
    host: str
    """Host of the vttablet; empty in the record of one that was stopped cleanly."""
    grpc_port: int
    """Port of the vttablet; 0 as `host` is empty."""
    mysql_host: str
    """Host of the mysqld."""
    mysql_port: int
    """Port of the mysqld."""
    term_start: str | None
    """Since when its record says that it is primary; None if it does not."""
    reach: Reach
    """Whether the last question was answered; "unasked" before the first one is over."""
    says: str
    """How it answered, as the end of a sentence about it: "answers", "does not answer"."""
    answered_at: str | None
    """When it was asked for its last answer; None if it never gave one."""
    asked_at: str | None
    """When the last question was over, with or without an answer; None before the first one is."""
    answer_seconds: float | None
    """How long the last answer took; None while it does not answer."""
    failing_since: str | None
    """When the first question was asked that it has failed to answer since; None while it answers."""
    version: str
    """MySQL's version; empty if it was not told."""
    server_uuid: str
    """MySQL's server_uuid; empty if it was not told."""
    read_only: bool | None
    """Whether its MySQL refuses writes; None if it never answered."""
    replication: ReplicationForm | None
    """Its replication; None if it has no source or never answered."""
    mysql: MysqlForm | None
    """How its MySQL is set up; None if it never answered."""
    semi_sync: SemiSyncForm | None
    """Its semi-sync; None if it did not tell."""
    gtid: GtidForm | None
    """Its share of the transactions; None if it never answered."""
    direct: DirectForm | None = None
    """The answer of its MySQL to vtorc itself; None while the vttablet answers, and if MySQL was not asked."""
    holds: list[HoldForm] = field(default_factory=list)
    """The holds of operators on it or on its cell, by number; those on the whole shard are with the shard."""

    @property
    def acknowledges(self) -> bool:
        """Whether, by its last answer, it is connected to its source and acknowledges what it receives.

        Of a replica that only tries to connect MySQL says that it does (`is_acknowledging`).
        """
        is_connected = self.replication is not None and self.replication.io_thread == "running"
        return is_connected and self.semi_sync is not None and self.semi_sync.is_acknowledging is True


def tablet_form(view: ShardView, tablet: TabletView, moment: Moment) -> TabletForm:
    """Return the form of one of the shard's tablets."""
    record, status, probe = tablet.record, tablet.told, tablet.last_probe
    primary = view.primary
    running_as = status.tablet_type if status is not None else None
    return TabletForm(
        alias=str(tablet.alias),
        cell=tablet.alias.cell,
        type=record.type.name,
        current_type=running_as.name if running_as is not None else None,
        is_primary=primary is not None and primary.alias == tablet.alias,
        host=record.hostname,
        grpc_port=record.grpc_port,
        mysql_host=record.mysql_hostname,
        mysql_port=record.mysql_port,
        term_start=rfc3339_or_none(record.primary_term_start),
        reach=_reach(tablet),
        says=tablet.failure_phrase if tablet.probed else "was not asked yet",
        answered_at=None if tablet.status_at is None else moment.wall_of(tablet.status_at),
        asked_at=None if probe.ended_at is None else moment.wall_of(probe.ended_at),
        answer_seconds=_answer_seconds(probe),
        failing_since=None if tablet.failing_since is None else moment.wall_of(tablet.failing_since),
        version=status.version if status is not None else "",
        server_uuid=status.server_uuid if status is not None else "",
        read_only=status.read_only if status is not None else None,
        replication=_replication(view, tablet),
        mysql=mysql_form(status, tablet.status) if status is not None and tablet.status is not None else None,
        semi_sync=_semi_sync(status.semi_sync) if status is not None and status.semi_sync.is_reported else None,
        gtid=_gtid(primary, tablet),
        direct=direct_form(tablet.direct, moment.wall_of) if tablet.direct is not None else None,
        holds=_holds(view, tablet),
    )


def _holds(view: ShardView, tablet: TabletView) -> list[HoldForm]:
    if not view.holds.holds:
        return []
    on_shard = view.holds.on(None)
    own = [hold for hold in view.holds.on(tablet.alias) if hold not in on_shard]
    return [hold_form(hold) for hold in own if hold.purpose is not Purpose.SETTING]


def _reach(tablet: TabletView) -> Reach:
    if not tablet.probed:
        return "unasked"
    return "answers" if tablet.is_current else "fails"


def _answer_seconds(probe: LastProbe) -> float | None:
    if probe.failure is not None or probe.ended_at is None or probe.status_at is None:
        return None
    return round(probe.ended_at - probe.status_at, 6)


def _replication(view: ShardView, tablet: TabletView) -> ReplicationForm | None:
    replication = tablet.told.replication if tablet.told is not None else None
    if replication is None:
        return None
    source = view.at_address(replication.source_address) if replication.has_source else None
    file, position = replication.read_to or (None, None)
    return ReplicationForm(
        source=f"{replication.source_host}:{replication.source_port}" if replication.has_source else "",
        source_tablet=str(source.alias) if source is not None else None,
        source_uuid=replication.source_uuid,
        has_user=bool(replication.source_user),
        auto_position=replication.auto_position,
        has_filters=replication.has_filters,
        read_file=file,
        read_position=position,
        io_thread=_thread(replication.io_state),
        sql_thread=_thread(replication.sql_state),
        io_error=replication.last_io_error,
        sql_error=replication.last_sql_error,
        lag_seconds=replication.lag,
        delay_seconds=replication.sql_delay,
    )


def _thread(state: ThreadState) -> str:
    return state.name.lower()


def _semi_sync(status: SemiSyncStatus) -> SemiSyncForm:
    return SemiSyncForm(
        waits=status.primary_enabled,
        acknowledges=status.replica_enabled,
        is_waiting=status.primary_active,
        is_acknowledging=status.replica_active,
        timeout_ms=status.timeout or None,
        clients=status.primary_clients,
        wait_for_replica_count=status.wait_for_replica_count,
    )


def _gtid(primary: TabletView | None, tablet: TabletView) -> GtidForm | None:
    status = tablet.told
    if status is None:
        return None
    told = primary.told if primary is not None and primary.alias != tablet.alias else None
    received = status.received
    on_primary: GtidSet = told.executed if told is not None else received
    return GtidForm(
        executed=str(status.executed),
        to_apply=_beyond(received, status.executed),
        missing=_beyond(on_primary, received),
        not_on_primary=_beyond(received, on_primary) if told is not None else "",
        errant=str(errant_gtids(tablet, primary) if primary is not None and told is not None else EMPTY_GTID_SET),
    )


def _beyond(has: GtidSet, other: GtidSet) -> str:
    """Return what one set has and the other lacks, as text; mostly the two are equal, which is seen at once."""
    return "" if has.entries == other.entries else str(has.difference(other))
