"""A readable timeline of a simulated run; the same run writes it again byte for byte."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

PROCESS: ContextVar[str] = ContextVar("process", default="world")
"""The running process, to which log lines are attributed."""

_NOISE = frozenset({"event", "level", "timestamp", "logger"})


class Trace:
    """Passes lines on to a `sink`, if there is one; `digest` identifies all of them."""

    def __init__(self, now: Callable[[], float], *, sink: Callable[[str], None] | None = None) -> None:
        self._now = now
        self._sink = sink
        self._hash = hashlib.sha256()

    def note(self, source: str, text: str) -> None:
        """Add a line: time, source and text."""
        line = f"{self._now():11.4f}  {source:<28} {text}"
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        if self._sink is not None:
            self._sink(line)

    @property
    def digest(self) -> str:
        """A digest of all lines so far."""
        return self._hash.hexdigest()

    @contextmanager
    def capturing_logs(self) -> Iterator[None]:
        """Write the log lines of the code under simulation into this trace."""
        before = structlog.get_config()
        structlog.configure(
            processors=[self._take],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _take(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        fields = " ".join(f"{name}={value}" for name, value in sorted(event.items()) if name not in _NOISE)
        self.note(PROCESS.get(), f"log: {event.get('event')}{' | ' if fields else ''}{fields}")
        raise structlog.DropEvent
