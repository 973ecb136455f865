"""Checks a run against the model: `Path` follows its events and returns the first one that the model lacks.

An event is the visible part of one step of the model. It is allowed where the model allows the step, and changes the
same state by the same functions. Unlike in an exploration, there are as many writes as the run makes.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from vtorc.sim.model import mysql
from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.recovery_path import Done, PathViolation, follows
from vtorc.sim.model.state import NO_TABLET, Remaining, Seen, State, Tablet

Write = Hashable
"""The name of a write: the same on every server that has it, and no other write's."""


class Wrote(NamedTuple):
    """A tablet has a new write in its binary log; `by_hand` says that read_only may not have stopped it."""

    tablet: int
    write: Write
    by_hand: bool = False


class Received(NamedTuple):
    """A tablet has a write in its relay log."""

    tablet: int
    write: Write


class Applied(NamedTuple):
    """A tablet has a write of its relay log in its binary log."""

    tablet: int
    write: Write


class Committed(NamedTuple):
    """A write was committed where it was made, with acknowledgements of replicas or without."""

    tablet: int
    write: Write
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Crashed:
    """A server ended."""

    tablet: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """A server started, with so many writes in its logs."""

    tablet: int
    held: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A server that is down has a copy of another server's data.

    It has the commits that still wait, too, if `shows_waiting`: the other server shows them (wait point AFTER_COMMIT).
    """

    tablet: int
    copy_of: int
    shows_waiting: bool


@dataclass(frozen=True, slots=True)
class Pointed:
    """A tablet has another source, or none; its relay log is gone."""

    tablet: int
    source: int


@dataclass(frozen=True, slots=True)
class Writable:
    """A tablet takes writes of clients from now on, or no longer; `by_hand` says that an operator caused it."""

    tablet: int
    writable: bool
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """A vtorc took these steps to replace a primary."""

    steps: tuple[Done, ...]


_IS_DOWN = "is down"

Event = Wrote | Received | Applied | Committed | Crashed | Restarted | Restored | Pointed | Writable | Recovered


class _FollowedServer:
    """The fields of a model's `Tablet` that a run changes, of which each event changes one or two."""

    __slots__ = ("log", "read_only", "relay", "source", "up", "visible")

    def __init__(self, tablet: Tablet) -> None:
        self.up = tablet.up
        self.read_only = tablet.read_only
        self.source = tablet.source
        self.log = tablet.log
        self.visible = tablet.visible
        self.relay = tablet.relay

    def as_tablet(self) -> Tablet:
        """Return the tablet of the model."""
        return Tablet(
            up=self.up,
            read_only=self.read_only,
            source=self.source,
            log=self.log,
            visible=self.visible,
            relay=self.relay,
        )


@dataclass(slots=True)
class Path:
    """The state of the model after the events of a run so far."""

    plan: ModelPlan
    steps: int = 0
    _servers: list[_FollowedServer] = field(init=False)
    _acknowledged: int = 0
    _numbers: dict[Write, int] = field(default_factory=dict)
    _ever: dict[int, int] = field(default_factory=dict)
    """The tablets that ever received an unacknowledged write; a later crash does not undo an acknowledgement."""

    def __post_init__(self) -> None:
        self._servers = [_FollowedServer(Tablet()) for _ in self.plan.members]

    def follow(self, event: Event) -> PathViolation | None:
        """Take the step of one more event; returns why the model has no such step, None if it has."""
        self.steps += 1
        if isinstance(event, Recovered):
            return follows(event.steps)
        server = self._servers[event.tablet]
        why = ""
        match event:
            case Received():
                why = self._received(event, server)
            case Applied():
                why = self._applied(event, server)
            case Wrote():
                why = self._wrote(event, server)
            case Committed():
                why = self._committed(event, server)
            case Crashed():
                self._take(mysql.crashed(self.plan, self._state, event.tablet))
            case Restarted():
                why = self._restart(event)
            case Restored():
                other = self._servers[event.copy_of]
                copied = other.log if event.shows_waiting else other.visible
                self._servers[event.tablet] = _FollowedServer(Tablet(up=False, log=copied, visible=copied))
            case Pointed():
                server.source, server.relay = event.source, 0
            case Writable():
                why = self._writable(event, server)
        if not why:
            return None
        return PathViolation(f"step {self.steps}, {event}: {self.plan.members[event.tablet].alias}: {why}")

    @property
    def _state(self) -> State:
        """The whole state, for rare steps; frequent steps change their server alone."""
        return State(
            tablets=tuple(server.as_tablet() for server in self._servers),
            coordinators=(),
            lock=NO_TABLET,
            topo_primary=NO_TABLET,
            origins=(),
            acknowledged=self._acknowledged,
            discarded=0,
            seen=Seen(),
            left=Remaining(0, 0, 0, 0),
        )

    def _take(self, state: State) -> None:
        self._servers = [_FollowedServer(tablet) for tablet in state.tablets]

    def _number(self, write: Write) -> int:
        return self._numbers.setdefault(write, len(self._numbers))

    def _received(self, event: Received, server: _FollowedServer) -> str:
        number = self._number(event.write)
        write = 1 << number
        if not server.up:
            return _IS_DOWN
        if server.source == NO_TABLET or not self._servers[server.source].log & write:
            return "has received a write that its source lacks"
        if number in self._ever:
            self._ever[number] |= 1 << event.tablet
        server.relay |= write
        return ""

    def _applied(self, event: Applied, server: _FollowedServer) -> str:
        write = 1 << self._number(event.write)
        if not server.up:
            return _IS_DOWN
        if not server.relay & write:
            return "has applied a write that it did not receive"
        server.log |= write
        server.visible |= write
        server.relay &= ~write
        return ""

    def _wrote(self, event: Wrote, server: _FollowedServer) -> str:
        number = self._number(event.write)
        if not server.up:
            return _IS_DOWN
        self._ever[number] = 0
        if server.read_only and not event.by_hand:
            return "has taken a write although it is read-only"
        server.log |= 1 << number
        return ""

    def _committed(self, event: Committed, server: _FollowedServer) -> str:
        number = self._number(event.write)
        if not server.up:
            return _IS_DOWN
        holders = self._ever.pop(number, 0).bit_count()
        if event.acknowledged:
            if holders < self.plan.acks:
                return f"has an acknowledged write that only {holders} replicas ever received"
            self._acknowledged |= 1 << number
        server.visible |= 1 << number
        return ""

    def _restart(self, event: Restarted) -> str:
        self._take(mysql.restarted(self._state, event.tablet))
        server = self._servers[event.tablet]
        held = (server.log | server.relay).bit_count()
        return "" if held == event.held else f"has {event.held} writes after its start, not {held}"

    def _writable(self, event: Writable, server: _FollowedServer) -> str:
        server.read_only = not event.writable
        if not event.writable or event.by_hand:
            return ""
        lost = self._acknowledged & ~server.log
        return f"takes writes, and lacks {lost.bit_count()} acknowledged ones" if lost else ""
