"""Logging: one sentence per line under `event`, with what it is about in fields (`shard`, `tablet`, `rule` …).

Lines go to standard error, and into `vtorc.log` in the log folder where one is set. Everything that Python's own
`logging` is told, by libraries too, takes the same way.
"""

import json
import logging
import logging.handlers
import sys
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

    Without `stderr` it goes to the log folder only: for a command whose terminal shows something else.

    Raises `SettingsError` if the log folder cannot be made or written to.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if stderr else []
    if settings.log_dir:
        handlers.append(_file_handler(settings))
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings.log_format)],
        foreign_pre_chain=_common(),
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "_of_vtorc", False):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        setattr(handler, "_of_vtorc", True)  # noqa: B010 - a mark on a class of another library
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


def _file_handler(settings: LogSettings) -> logging.Handler:
    folder = Path(settings.log_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return logging.handlers.RotatingFileHandler(
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
