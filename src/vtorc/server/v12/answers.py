"""How v12 answers: the envelope with a code, or a bare JSON value."""

import enum
from dataclasses import dataclass

import msgspec

GoObject = dict[str, object]
"""A JSON object with the field names of one of Go's structs."""

CONTENT_TYPE = "application/json; charset=UTF-8"


class Style(enum.Enum):
    """How a route answers when all went well; errors are always envelopes."""

    ENVELOPE = "envelope"
    """`{"Code": …, "Message": …, "Details": …}`."""
    RAW = "raw"
    """The value alone."""


@dataclass(frozen=True, slots=True)
class Told:
    """The envelope of a request that went well."""

    message: str
    """The message for people."""
    details: object = None
    """The result; None where v12 gives none."""


@dataclass(frozen=True, slots=True)
class V12Answer:
    """An answer, ready to be sent."""

    status: int
    """The HTTP status."""
    body: bytes
    """The JSON."""


class V12Error(Exception):
    """Ends a call with an ERROR envelope."""

    def __init__(self, message: str, *, status: int = 500, details: object = None) -> None:
        """Answer with this message; v12's status for errors of all kinds is 500."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details


def ok(style: Style, value: object) -> V12Answer:
    """Return the answer for what a handler returned: `Told` in an envelope, any other value bare."""
    if style is Style.RAW:
        return V12Answer(200, msgspec.json.encode(value))
    if not isinstance(value, Told):
        raise TypeError(f"a handler with envelopes returned {type(value).__name__}: expected Told")
    return V12Answer(200, _envelope("OK", value.message, value.details))


def error(failure: V12Error) -> V12Answer:
    """Return the answer for an error."""
    return V12Answer(failure.status, _envelope("ERROR", failure.message, failure.details))


def _envelope(code: str, message: str, details: object) -> bytes:
    return msgspec.json.encode({"Code": code, "Message": message, "Details": details})


def with_old_names(item: GoObject, old_names: dict[str, str]) -> GoObject:
    """Return the object with the values of some fields under their older names as well."""
    return item | {old: item[new] for new, old in old_names.items()}


def key_of(address: tuple[str, int] | None) -> GoObject:
    """Return the InstanceKey of an address; None stands for the empty one."""
    host, port = address or ("", 0)
    return {"Hostname": host, "Port": port}


def nullable(value: int | None) -> GoObject:
    """Return a number that may be missing, as Go's `sql.NullInt64` shows it."""
    return {"Int64": value or 0, "Valid": value is not None}


def go_time(at: str | None) -> str:
    """Return an RFC 3339 time in UTC as `YYYY-MM-DD hh:mm:ss`, which pages compare as text; empty for None."""
    return at[:19].replace("T", " ") if at else ""
