"""The form of a MySQL server: how it is set up, by its last answer."""

from vtorc.core.facts.status import TabletStatus
from vtorc.forms.base import Form


class MysqlForm(Form, frozen=True, kw_only=True):
    """How a MySQL server is set up; None stands for "did not tell"."""

    server_id: int
    """Its `server_id`; 0 if it was not told."""
    version_comment: str
    """Its `version_comment`, which tells the flavour; empty if it was not told."""
    super_read_only: bool | None
    """Whether it refuses writes of privileged users as well."""
    gtid_mode: str
    """Its `gtid_mode`; empty if it was not told."""
    binlog_enabled: bool | None
    """Whether it writes binary logs."""
    binlog_has_replicated: bool | None
    """Whether its binary logs include what it received from its source (log_replica_updates)."""
    binlog_format: str
    """Its `binlog_format`; empty if it was not told."""
    binlog_row_image: str
    """Its `binlog_row_image`; empty if it was not told."""
    binlog_file: str | None
    """The file in which its binary log ends."""
    binlog_position: int | None
    """The position in that file."""
    purged: str
    """The transactions that its binary logs have no more, as MySQL writes them; empty if there are none."""
    replica_net_timeout: int | None
    """Seconds of silence after which it takes the connection to its source for broken."""
    heartbeat_interval: float | None
    """Seconds between the heartbeats that it asks of its source."""
    semi_sync_blocked: bool | None
    """Whether its commits wait for acknowledgements in vain."""
    disk_stalled: bool | None
    """Whether its tablet manager finds its disk stalled now."""


def mysql_form(told: TabletStatus, last: TabletStatus) -> MysqlForm:
    """Return the form of a server by the answer that told most, and by its last one, which may tell of a stall only."""
    file, position = told.binlog_end or (None, None)
    return MysqlForm(
        server_id=told.server_id,
        version_comment=told.version_comment,
        super_read_only=told.super_read_only,
        gtid_mode=told.gtid_mode,
        binlog_enabled=told.log_bin,
        binlog_has_replicated=told.log_replica_updates,
        binlog_format=told.binlog_format,
        binlog_row_image=told.binlog_row_image,
        binlog_file=file,
        binlog_position=position,
        purged=str(told.purged),
        replica_net_timeout=told.replica_net_timeout,
        heartbeat_interval=told.heartbeat_interval,
        semi_sync_blocked=told.semi_sync_blocked,
        disk_stalled=last.disk_stalled,
    )
