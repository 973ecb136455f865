"""The settings of what vtorc keeps for later: its history, and the audit."""

from dataclasses import dataclass

from vtorc.config.kinds import DAYS, DURATION, SWITCH, TEXT, whole
from vtorc.config.setting import key, setting


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """History and audit"""

    sqlite_data_file: str = setting(
        TEXT,
        "file::memory:?mode=memory&cache=shared",
        "History file of recoveries and decisions, for `vtorc history`. By default it is vtorc-history.sqlite in the "
        "log folder; without a log folder there is no history. What vtorc remembers over a restart is kept beside it.",
        also=[key("SQLite3DataFile", TEXT)],
    )
    audit_file_location: str = setting(
        TEXT,
        "",
        "File to which a line is appended for each recovery and each request of an operator, in v12's form, with "
        "keyspace:shard as the cluster; empty for none.",
        also=[key("AuditLogFile", TEXT)],
    )
    audit_to_backend: bool = setting(
        SWITCH,
        False,
        "Whether audit rows are recorded.",
        also=[key("AuditToBackendDB", SWITCH)],
        always="the history has each recovery and each request of an operator",
    )
    audit_to_syslog: bool = setting(
        SWITCH,
        False,
        "Whether the same goes to the host's syslog, under the name orchestrator as in v12.",
        also=[key("AuditToSyslog", SWITCH)],
    )
    audit_purge_duration: float = setting(
        DURATION,
        7 * 86400.0,
        "Age of recoveries and decisions at which they are deleted from the history, at the start and once a day.",
        also=[key("AuditPurgeDays", DAYS)],
        live=True,
    )
    history_max_size: int = setting(
        whole(0),
        1 << 30,
        "Size in bytes that the history file may have; above it the oldest entries are deleted. 0 for any size.",
        live=True,
    )
