"""The door to the demo that a server belongs to: one JSON object a line over a unix socket.

A request is `{"do": COMMAND, "on": TARGET}`, the answer a `DoorReply`. Only `vtorc demo` has such a door: no setting
names one, so that no vtorc of a cluster can break a server.
"""

import asyncio
from pathlib import Path

import msgspec

from vtorc.forms.base import Form

STATE = "state"
"""The command that asks for a `DemoStateForm`, as JSON."""


class DoorReply(Form, frozen=True, kw_only=True):
    """An answer of the demo; one of the two is there."""

    ok: str | None = None
    """The text for the operator; None if the command was refused."""
    error: str | None = None
    """Why it was refused."""


class DemoTabletForm(Form, frozen=True, kw_only=True):
    """One tablet of the demo, as it really is and not as vtorc sees it."""

    alias: str
    is_primary: bool
    """Whether vtorc takes it for the primary."""
    broken: list[str]
    """The faults at it, in words."""


class DemoFaultForm(Form, frozen=True, kw_only=True):
    """One fault that can be brought about."""

    name: str
    """Its name on the command line."""
    button: str
    """The words on its button."""
    help: str
    """The event, in words."""
    of_tablet: bool
    """Whether it is about one tablet; the others are about the whole cluster."""


class DemoStateForm(Form, frozen=True, kw_only=True):
    """The servers of a demo: what is broken at them, and what can be."""

    tablets: list[DemoTabletForm]
    """All tablets, by alias."""
    has_vtorc: bool
    """Whether its vtorc runs."""
    has_topology: bool
    """Whether its topology server runs."""
    faults: list[DemoFaultForm]
    """The catalogue."""


async def ask_demo(door: Path, command: str, target: str) -> DoorReply | None:
    """Have the demo carry out a command; returns None if it ended before it answered.

    Raises OSError if no demo is behind the door.
    """
    reader, writer = await asyncio.open_unix_connection(door)
    try:
        writer.write(msgspec.json.encode({"do": command, "on": target}) + b"\n")
        line = await reader.readline()
    except ConnectionError:
        return None
    finally:
        writer.close()
    return msgspec.json.decode(line, type=DoorReply) if line else None
