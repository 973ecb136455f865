"""Server-sent events as a stream of frames."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event as the server sent it."""

    name: str
    """Its kind; "message" where the server names none."""
    data: bytes
    """Its content."""
    id: str
    """The last id that the server has given; empty if it never gave one."""


@dataclass(slots=True)
class _Pending:
    name: str = ""
    data: list[bytes] = field(default_factory=list)


def parse_events(lines: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Yield the events in the lines of a stream.

    An event ends with an empty line, and one that a broken stream cut short is left out (HTML Living Standard, section
    9.2.6).
    """
    pending, last_id = _Pending(), ""
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        if not line:
            if pending.data:
                yield ServerEvent(name=pending.name or "message", data=b"\n".join(pending.data), id=last_id)
            pending = _Pending()
            continue
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match key:
            case b"event":
                pending.name = value.decode(errors="replace")
            case b"data":
                pending.data.append(value)
            case b"id":
                last_id = value.decode(errors="replace")
            case _:
                pass  # a comment, or a field that is of no use here
