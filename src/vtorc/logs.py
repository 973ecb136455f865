"""Logging: one sentence per line under `event`, and the shard, tablet, rule and the like in fields of their own.

Lines go to two destinations: standard error, and `vtorc.log` in the log folder where one is set. Lines that libraries
write through Python's own `logging` go there too.

Each destination has a thread of its own that writes to it. The reader of standard error may stand still and a disk may
hang, and the shards' leases and failovers must go on. Lines that a destination does not accept in time are dropped and
counted.
"""

import atexit
import contextlib
import io
import json
import logging
import logging.handlers
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import Processor

from vtorc.config.settings import LogSettings
from vtorc.core.facts.one_line import escaped
from vtorc.errors import SettingsError
from vtorc.files import patiently

FILE_NAME = "vtorc.log"
MOST_WAITING = 10_000
"""Lines that may wait for a destination; further lines are dropped."""

SYSLOG = "/dev/log"
"""The socket of the host's syslog."""

SYSLOG_TAG = "orchestrator"
"""The name under which v12 logs there."""

_SYSLOG_FACILITY = 3
"""That of daemons (RFC 5424)."""

_LONGEST_DATAGRAM = 8192

_FLUSH_PATIENCE = 2.0
_KEPT_FILES = 5
_SECRET_WORDS = ("password", "passwd", "secret", "token", "credential")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

Fields = MutableMapping[str, Any]

LogTargets = dict[str, logging.Handler]
"""The handlers that write to the destinations, by the name of each."""

_CHATTY = ("asyncio", "grpc", "grpc._cython.cygrpc", "asyncmy")
"""Libraries that log no debug lines here: Vitess' sample file has `"Debug": true`, and they would hide decisions."""


def setup_logging(settings: LogSettings, *, stderr: bool = True) -> None:
    """Send all logging to the destinations that the settings name, in place of those of an earlier call.

    Lines are written a little later; `flush_logs` waits for them, and so does the end of the program. `stderr=False`
    leaves standard error out, for a command with a display of its own in the terminal.

    Raises SettingsError if the log folder cannot be made or written to.
    """
    use_log_targets(open_log_targets(settings, stderr=stderr), settings)


def open_log_targets(settings: LogSettings, *, stderr: bool = True) -> LogTargets:
    """Open the destinations that the settings name, and change nothing; it takes as long as the disk does.

    Raises SettingsError as `setup_logging`.
    """
    targets: LogTargets = {"stderr": _stderr_handler()} if stderr else {}
    if settings.log_dir:
        targets["file"] = _file_handler(settings)
    if settings.enable_syslog:
        targets["syslog"] = syslog_target()
    return targets


def use_log_targets(targets: LogTargets, settings: LogSettings) -> None:
    """Send all logging to these destinations from now on, without waiting for any of them."""
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings.log_format)],
        foreign_pre_chain=_common(),
    )
    root = logging.getLogger()
    replaced = {old.destination: old for old in root.handlers if isinstance(old, BackgroundHandler)}
    for old in replaced.values():
        root.removeHandler(old)
        old.close()
    for destination, target in targets.items():
        handler = BackgroundHandler(target, destination=destination, after=replaced.get(destination))
        handler.setFormatter(formatter)
        if destination == "syslog":
            handler.setLevel(logging.INFO)  # as in v12
        root.addHandler(handler)
    root.setLevel(_LEVELS[settings.log_level])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, _LEVELS[settings.log_level]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def flush_logs() -> None:
    """Wait until all lines logged so far are written, at most `_FLUSH_PATIENCE` seconds for each destination."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, BackgroundHandler):
            handler.drain(_FLUSH_PATIENCE)


atexit.register(flush_logs)


class BackgroundHandler(logging.Handler):
    """Formats a line at once, and lets a thread of its own hand it to the handler that writes it."""

    def __init__(
        self,
        target: logging.Handler,
        *,
        destination: str = "",
        after: "BackgroundHandler | None" = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Write through `target`; a line that it fails to write counts as dropped.

        `after` is the closed handler that wrote to the same destination before. Its last lines are written first:
        otherwise two threads would mix their lines, and a flush of this one would leave those out.
        """
        super().__init__()
        self.destination = destination
        self._target = target
        self._queue: queue.Queue[tuple[int, str] | threading.Event] = queue.Queue(most_waiting)
        self._dropped = 0
        self._counting = threading.Lock()
        self._closing = threading.Event()
        before = after._thread if after is not None else None
        self._thread: threading.Thread = threading.Thread(target=self._write, args=(before,), name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line for writing; never waits."""
        try:
            self._queue.put_nowait((record.levelno, self.format(record)))
        except queue.Full:
            self._count_dropped(1)
        except Exception:
            self.handleError(record)

    def drain(self, patience: float) -> None:
        """Wait until all lines queued so far are written, at most `patience` seconds."""
        ends_at = time.monotonic() + patience
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._queue.put(written, timeout=patience)
            written.wait(max(0.0, ends_at - time.monotonic()))

    def close(self) -> None:
        """Have the thread write the queued lines and close the target; does not wait for it."""
        super().close()
        self._closing.set()
        with contextlib.suppress(queue.Full):  # else the thread looks at `_closing` before it waits again
            self._queue.put_nowait(threading.Event())

    def _write(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        while not (self._closing.is_set() and self._queue.empty()):
            item = self._queue.get()
            if isinstance(item, tuple):
                self._hand_over(*item)
            if self._queue.empty():
                self._report_dropped()
            if isinstance(item, threading.Event):
                item.set()
        with contextlib.suppress(Exception):
            self._target.close()

    def _hand_over(self, level: int, text: str, *, lines: int = 1) -> None:
        try:
            self._target.emit(logging.makeLogRecord({"msg": text, "levelno": level}))
        except Exception:  # a full disk, a closed pipe: reported once the destination accepts lines again
            self._count_dropped(lines)

    def _count_dropped(self, lines: int) -> None:
        with self._counting:
            self._dropped += lines

    def _report_dropped(self) -> None:
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        if not dropped:
            return
        lines = "1 line of this log was" if dropped == 1 else f"{dropped} lines of this log were"
        sentence = f"{lines} dropped, not written in time: check for a full disk and for a reader of the log that hangs"
        record = logging.LogRecord("vtorc.logs", logging.ERROR, __file__, 0, sentence, None, None)
        self._hand_over(record.levelno, self.format(record), lines=dropped)


class _RawStream(logging.Handler):
    """Writes to a file descriptor without Python's buffers: a thread that hangs in them keeps Python from ending."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        rest = f"{self.format(record)}\n".encode(errors="backslashreplace")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class _Syslog(logging.Handler):
    """Sends each line to the syslog of this host, also to one that was started anew; raises OSError without one."""

    _SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    """Severities of syslog (RFC 5424) by the level from which they hold."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line, cut to what a datagram takes."""
        severity = next((number for level, number in self._SEVERITIES if record.levelno >= level), 7)
        head = f"<{_SYSLOG_FACILITY * 8 + severity}>{SYSLOG_TAG}[{os.getpid()}]: "
        data = f"{head}{self.format(record)}".encode(errors="backslashreplace")[:_LONGEST_DATAGRAM]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(data, SYSLOG)


def syslog_target() -> logging.Handler:
    """Return the handler that sends lines to syslog, under the tag of Vitess v12."""
    return _Syslog()


class _RotatingFile(logging.handlers.RotatingFileHandler):
    """A log file that raises its errors where the standard handler prints them."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise the error at hand."""
        raise


def _stderr_handler() -> logging.Handler:
    try:
        return _RawStream(sys.stderr.fileno())
    except (OSError, io.UnsupportedOperation):  # standard error was replaced by an object without a file descriptor
        return logging.StreamHandler(sys.stderr)


def bad_log_folder(folder: Path, why: str) -> SettingsError:
    """Return the error about a folder that the log cannot be written in."""
    return SettingsError([f"--log-dir: expected a folder that {FILE_NAME} can be written in, got '{folder}' ({why})"])


def _file_handler(settings: LogSettings) -> logging.Handler:
    folder = Path(settings.log_dir)

    def opened() -> logging.Handler:
        folder.mkdir(parents=True, exist_ok=True)
        return _RotatingFile(
            folder / FILE_NAME, maxBytes=settings.log_rotate_max_size, backupCount=_KEPT_FILES, encoding="utf-8"
        )

    try:
        return patiently(opened, name=f"open {FILE_NAME}")
    except OSError as error:
        raise bad_log_folder(folder, str(error.strerror)) from error


def _common() -> Sequence[Processor]:
    return (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        add_time,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        hide_secrets,
    )


def _rendering(format_: str) -> Sequence[Processor]:
    return (sentence_first, render_json if format_ == "json" else render_text)


def add_time(_logger: Any, _method: str, fields: Fields) -> Fields:
    """Add the time in UTC.

    A library's line has the time at which it was logged, so that it is the same in each destination.
    """
    record = fields.get("_record")
    seconds = record.created if isinstance(record, logging.LogRecord) else time.time()
    fields["timestamp"] = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return fields


def hide_secrets(_logger: Any, _method: str, fields: Fields) -> Fields:
    """Replace the value of each field with `password`, `secret` or the like in its name."""
    for name in fields:
        if any(word in name.lower() for word in _SECRET_WORDS):
            fields[name] = "(hidden)"
    return fields


def sentence_first(_logger: Any, _method: str, fields: Fields) -> Fields:
    """Put time, level and sentence before the other fields, which keep their order."""
    head = {name: fields[name] for name in ("timestamp", "level", "event") if name in fields}
    return {**head, **{name: value for name, value in fields.items() if name not in head}}


def render_json(_logger: Any, _method: str, fields: Fields) -> str:
    """Write a line as one JSON object; a value that JSON has no form for is written as text."""
    return json.dumps(fields, default=str, ensure_ascii=False)


def render_text(_logger: Any, _method: str, fields: Fields) -> str:
    """Write a line as text: time, level, sentence, then name=value; an exception follows on lines of its own."""
    rest = dict(fields)
    level = f"{str(rest.pop('level', '')).upper():7}"
    head = [str(rest.pop("timestamp", "")), level, escaped(str(rest.pop("event", "")))]
    tail = [str(rest.pop(name)) for name in ("exception", "stack") if name in rest]
    return "\n".join([" ".join([*head, *(f"{name}={_value(value)}" for name, value in rest.items())]), *tail])


def _value(value: object) -> str:
    text = escaped(str(value))
    return f'"{text}"' if not text or " " in text else text
