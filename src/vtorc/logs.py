"""Logging: one sentence per line under `event`, with what it is about in fields (`shard`, `tablet`, `rule` …).

Lines go to standard error, and into `vtorc.log` in the log folder where one is set. Everything that Python's own
`logging` is told, by libraries too, takes the same way.

Each place is written to by a thread of its own: whoever reads our standard error may stand still, and a disk may hang,
but the shards' leases and failovers must go on. Lines that a place does not take in time are dropped, and counted.
"""

import atexit
import contextlib
import io
import json
import logging
import logging.handlers
import os
import queue
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
from vtorc.errors import SettingsError

FILE_NAME = "vtorc.log"
MOST_WAITING = 10_000
"""Lines that wait for a place that takes none; what comes then is dropped."""

_EXIT_PATIENCE = 2.0
_KEPT_FILES = 5
_SECRET_WORDS = ("password", "passwd", "secret", "token", "credential")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

Fields = MutableMapping[str, Any]

_CHATTY = ("asyncio", "grpc", "grpc._cython.cygrpc", "asyncmy")
"""Libraries whose debug lines are about themselves: with them, Vitess' sample file (`"Debug": true`) hides the
decisions.
"""


def setup_logging(settings: LogSettings, *, stderr: bool = True) -> None:
    """Send all logging where the settings say; called again, it replaces what it did before.

    Lines are written soon after; `flush_logs` waits for them, as the end of the program does for a while. Without
    `stderr` it goes to the log folder only: for a command whose terminal shows something else.

    Raises `SettingsError` if the log folder cannot be made or written to.
    """
    targets: list[logging.Handler] = [_stderr_handler()] if stderr else []
    if settings.log_dir:
        targets.append(_file_handler(settings))
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings.log_format)],
        foreign_pre_chain=_common(),
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, BackgroundHandler):
            root.removeHandler(old)
            old.close()
    for target in targets:
        handler = BackgroundHandler(target)
        handler.setFormatter(formatter)
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


def flush_logs(*, patience: float = _EXIT_PATIENCE) -> None:
    """Wait until all that was logged is written, at most `patience` seconds for each place."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, BackgroundHandler):
            handler.drain(patience)


atexit.register(flush_logs)


class BackgroundHandler(logging.Handler):
    """Formats lines at once, and lets a thread of its own hand them to the handler that writes them."""

    def __init__(self, target: logging.Handler, *, most_waiting: int = MOST_WAITING) -> None:
        """Write through `target`, whose errors count as lines that were not written."""
        super().__init__()
        self._target = target
        self._queue: queue.Queue[str | threading.Event] = queue.Queue(most_waiting)
        self._lost = 0
        self._counting = threading.Lock()
        self._closing = threading.Event()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written soon; never waits."""
        try:
            self._queue.put_nowait(self.format(record))
        except queue.Full:
            self._lose(1)
        except Exception:
            self.handleError(record)

    def drain(self, patience: float) -> None:
        """Wait until all lines up to now are written, at most `patience` seconds."""
        ends_at = time.monotonic() + patience
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._queue.put(written, timeout=patience)
            written.wait(max(0.0, ends_at - time.monotonic()))

    def close(self) -> None:
        """Write what is waiting and close the target, soon; does not wait for it."""
        super().close()
        self._closing.set()
        with contextlib.suppress(queue.Full):  # else the thread looks at `_closing` before it waits again
            self._queue.put_nowait(threading.Event())

    def _write(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            item = self._queue.get()
            if isinstance(item, str):
                self._hand_over(item)
            if self._queue.empty():
                self._tell_lost()
            if isinstance(item, threading.Event):
                item.set()
        with contextlib.suppress(Exception):
            self._target.close()

    def _hand_over(self, text: str, *, lines: int = 1) -> None:
        try:
            self._target.emit(logging.makeLogRecord({"msg": text}))
        except Exception:  # a full disk, a closed pipe: told once the place takes lines again
            self._lose(lines)

    def _lose(self, lines: int) -> None:
        with self._counting:
            self._lost += lines

    def _tell_lost(self) -> None:
        with self._counting:
            lost, self._lost = self._lost, 0
        if not lost:
            return
        what = "1 line of this log was" if lost == 1 else f"{lost} lines of this log were"
        sentence = f"{what} dropped, as nothing took them in time: is the disk full, does the reader of the log hang?"
        record = logging.LogRecord("vtorc.logs", logging.ERROR, __file__, 0, sentence, None, None)
        self._hand_over(self.format(record), lines=lost)


class _RawStream(logging.Handler):
    """Writes to a file descriptor past Python's buffers: a thread that hangs in them would keep Python from ending."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        rest = f"{self.format(record)}\n".encode(errors="backslashreplace")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class _RotatingFile(logging.handlers.RotatingFileHandler):
    """A log file that lets its errors be known."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise the error that is being handled."""
        raise


def _stderr_handler() -> logging.Handler:
    try:
        return _RawStream(sys.stderr.fileno())
    except (OSError, io.UnsupportedOperation):  # what takes the place of standard error is no file
        return logging.StreamHandler(sys.stderr)


def _file_handler(settings: LogSettings) -> logging.Handler:
    folder = Path(settings.log_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _RotatingFile(
            folder / FILE_NAME, maxBytes=settings.log_rotate_max_size, backupCount=_KEPT_FILES, encoding="utf-8"
        )
    except OSError as error:
        raise SettingsError(
            [f"--log-dir: expected a folder that {FILE_NAME} can be written in, got '{folder}' ({error.strerror})"]
        ) from error


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
    """Add the time in UTC; of a library's line, the time it was logged at, the same in every place it goes to."""
    record = fields.get("_record")
    seconds = record.created if isinstance(record, logging.LogRecord) else time.time()
    fields["timestamp"] = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return fields


def hide_secrets(_logger: Any, _method: str, fields: Fields) -> Fields:
    """Replace the value of every field whose name tells that it is a secret."""
    for name in fields:
        if any(word in name.lower() for word in _SECRET_WORDS):
            fields[name] = "(hidden)"
    return fields


def sentence_first(_logger: Any, _method: str, fields: Fields) -> Fields:
    """Put time, level and sentence before the other fields, which keep their order."""
    head = {name: fields[name] for name in ("timestamp", "level", "event") if name in fields}
    return {**head, **{name: value for name, value in fields.items() if name not in head}}


def render_json(_logger: Any, _method: str, fields: Fields) -> str:
    """Write a line as one JSON object; what JSON does not know is written as its text."""
    return json.dumps(fields, default=str, ensure_ascii=False)


def render_text(_logger: Any, _method: str, fields: Fields) -> str:
    """Write a line for people: time, level, sentence, then name=value; an exception follows on lines of its own."""
    rest = dict(fields)
    head = [str(rest.pop("timestamp", "")), f"{str(rest.pop('level', '')).upper():7}", _one_line(rest.pop("event", ""))]
    tail = [str(rest.pop(name)) for name in ("exception", "stack") if name in rest]
    return "\n".join([" ".join([*head, *(f"{name}={_value(value)}" for name, value in rest.items())]), *tail])


def _one_line(value: object) -> str:
    """Keep text that came from outside from looking like lines of the log."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))


def _value(value: object) -> str:
    text = _one_line(value)
    return f'"{text}"' if not text or " " in text else text
