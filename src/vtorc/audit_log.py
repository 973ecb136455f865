"""The audit as Vitess v12 writes it: what operators asked for and what vtorc did, to a file and to syslog.

Lines are written by threads of their own, so that neither a slow disk nor a syslog that hangs delays a failover.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from vtorc.config.settings import Settings
from vtorc.control.observer import Announcement
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.one_line import escaped
from vtorc.core.facts.views import ShardView
from vtorc.errors import NameParseError, SettingsError
from vtorc.files import patiently
from vtorc.forms.audit import AuditForm
from vtorc.logs import BackgroundHandler, syslog_target
from vtorc.recovery.record import BegunRecovery, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement

FILE_MODE = 0o640
"""The rights of the file: its group reads it, as in v12."""

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PATIENCE = 2.0
"""Seconds that the last lines get to be written when vtorc ends."""


class AuditLog:
    """An observer of the fleet and of operators' requests that writes audit lines."""

    def __init__(self, *, file: str = "", syslog: bool = False, clock: Clock) -> None:
        """Write to a file, empty for none, and to syslog; raises OSError if the file cannot be opened."""
        self._clock = clock
        self._views: dict[ShardId, ShardView] = {}
        self._file = BackgroundHandler(_file_target(file), destination="audit file") if file else None
        self._syslog = BackgroundHandler(syslog_target(), destination="audit syslog") if syslog else None

    def judged(self, judgement: Judgement) -> None:
        """Remember the addresses of the tablets, which audit lines have."""
        self._views[judgement.view.shard] = judgement.view

    def decided(self, decision: Decision) -> None:
        """Do nothing: the audit has what was done, and the log why."""

    def cleared(self, decision: Decision) -> None:
        """Do nothing, for the same reason."""

    def started(self, begun: BegunRecovery) -> None:
        """Do nothing: a recovery is written when it ends."""

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: a recovery is one line."""

    def finished(self, record: RecoveryRecord) -> None:
        """Write the recovery; one that found all done, or done by another vtorc, is left out."""
        if record.outcome.was_attempt:
            name = _WORD.sub("-", record.recovery.value).lower()
            self._write(name, record.shard, record.alias, f"{record.outcome.value}: {record.sentence}")

    def interrupted(self, begun: BegunRecovery) -> None:
        """Do nothing: what follows, another recovery or another vtorc, is written by itself."""

    def announced(self, announcement: Announcement) -> None:
        """Do nothing: news about the fleet is no action."""

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Do nothing: the log has the traceback."""

    def audited(self, entry: AuditForm) -> None:
        """Write what an operator asked for, and what came of it."""
        try:
            shard = ShardId.parse(entry.shard) if entry.shard else None
            tablet = TabletAlias.parse(entry.tablet) if entry.tablet else None
        except NameParseError:
            shard = tablet = None
        reason = f" (reason: {entry.reason})" if entry.reason else ""
        often = f" {entry.times} times" if entry.times > 1 else ""
        self._write(
            entry.action,
            shard,
            tablet,
            f"{entry.result}{often}: {entry.actor} from {entry.origin}: {entry.sentence}{reason}",
        )

    def close(self) -> None:
        """Write what waits, for a limited time."""
        for handler in (self._file, self._syslog):
            if handler is not None:
                handler.drain(_PATIENCE)
                handler.close()

    def _write(self, kind: str, shard: ShardId | None, tablet: TabletAlias | None, message: str) -> None:
        host, port = self._address(shard, tablet)
        cluster = f"{shard.keyspace}:{shard.shard}" if shard is not None else ""
        if self._file is not None:
            at = datetime.fromtimestamp(self._clock.wall() / 1e9, UTC).astimezone()
            fields = [f"{at:%Y-%m-%d %H:%M:%S}", kind, host, port, f"[{cluster}]", message]
            self._file.emit(_record("\t".join(map(escaped, fields)) + "\t"))
        if self._syslog is not None:
            text = f"auditType:{kind} instance:{host}:{port} cluster:{cluster} message:{message}"
            self._syslog.emit(_record(escaped(text)))

    def _address(self, shard: ShardId | None, tablet: TabletAlias | None) -> tuple[str, str]:
        """Return host and port of a tablet's MySQL; empty and 0 where they are not known, as in v12."""
        view = self._views.get(shard) if shard is not None else None
        known = view.tablet(tablet) if view is not None else None
        return (known.record.mysql_hostname, str(known.record.mysql_port)) if known is not None else ("", "0")


@asynccontextmanager
async def open_audit(settings: Settings, clock: Clock) -> AsyncIterator[Sequence[AuditLog]]:
    """Write the audit that the settings ask for, if they do; raises SettingsError for a file that is no use."""
    if not settings.audit_file_location and not settings.audit_to_syslog:
        yield ()
        return
    try:
        log = AuditLog(file=settings.audit_file_location, syslog=settings.audit_to_syslog, clock=clock)
    except OSError as error:
        raise SettingsError(
            [
                f"--audit-file-location: expected a file that lines can be appended to, got "
                f"'{settings.audit_file_location}' ({error.strerror})"
            ]
        ) from error
    try:
        yield (log,)
    finally:
        await asyncio.to_thread(log.close)


class _AppendedFile(logging.Handler):
    """Appends each line to a file, which it opens anew each time, so that it can be moved away."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        patiently(lambda: self._append(b""), name="open the audit file")

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line."""
        self._append(f"{self.format(record)}\n".encode(errors="backslashreplace"))

    def _append(self, data: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


def _file_target(path: str) -> logging.Handler:
    return _AppendedFile(Path(path))


def _record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelno": logging.INFO})
