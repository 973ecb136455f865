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


Event = Wrote | Received | Applied | Committed | Crashed | Restarted | Restored | Pointed | Writable | Recovered


@dataclass(slots=True)
class Path:
    """The state of the model after the events of a run so far."""

    plan: ModelPlan
    steps: int = 0
    _tablets: list[Tablet] = field(init=False)
    _acknowledged: int = 0
    _numbers: dict[Write, int] = field(default_factory=dict)
    _ever: dict[int, int] = field(default_factory=dict)
    """The tablets that ever received an unacknowledged write; a later crash does not undo an acknowledgement."""

    def __post_init__(self) -> None:
        self._tablets = [Tablet() for _ in self.plan.members]

    def follow(self, event: Event) -> PathViolation | None:
        """Take the step of one more event; returns why the model has no such step, None if it has."""
        self.steps += 1
        if isinstance(event, Recovered):
            return follows(event.steps)
        tablet = self._tablets[event.tablet]
        why = ""
        match event:
            case Received() | Applied() | Wrote() | Committed():
                why = self._write(event, tablet)
            case Crashed():
                self._take(mysql.crashed(self.plan, self._state, event.tablet))
            case Restarted():
                why = self._restart(event)
            case Restored():
                other = self._tablets[event.copy_of]
                copied = other.log if event.shows_waiting else other.visible
                self._tablets[event.tablet] = Tablet(up=False, log=copied, visible=copied)
            case Pointed():
                self._tablets[event.tablet] = tablet._replace(source=event.source, relay=0)
            case Writable():
                why = self._writable(event, tablet)
        name = self.plan.members[event.tablet].alias
        return PathViolation(f"step {self.steps}, {event}: {name}: {why}") if why else None

    @property
    def _state(self) -> State:
        """The whole state, for rare steps; frequent steps change their tablet alone."""
        return State(
            tablets=tuple(self._tablets),
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
        self._tablets = list(state.tablets)

    def _write(self, event: Wrote | Received | Applied | Committed, tablet: Tablet) -> str:
        number = self._numbers.setdefault(event.write, len(self._numbers))
        write = 1 << number
        if not tablet.up:
            return "is down"
        match event:
            case Received():
                if tablet.source == NO_TABLET or not self._tablets[tablet.source].log & write:
                    return "has received a write that its source lacks"
                if number in self._ever:
                    self._ever[number] |= 1 << event.tablet
                changed = tablet._replace(relay=tablet.relay | write)
            case Applied():
                if not tablet.relay & write:
                    return "has applied a write that it did not receive"
                changed = tablet._replace(
                    log=tablet.log | write, visible=tablet.visible | write, relay=tablet.relay & ~write
                )
            case Wrote():
                self._ever[number] = 0
                if tablet.read_only and not event.by_hand:
                    return "has taken a write although it is read-only"
                changed = tablet._replace(log=tablet.log | write)
            case Committed():
                holders = self._ever.pop(number, 0).bit_count()
                if event.acknowledged:
                    if holders < self.plan.acks:
                        return f"has an acknowledged write that only {holders} replicas ever received"
                    self._acknowledged |= write
                changed = tablet._replace(visible=tablet.visible | write)
        self._tablets[event.tablet] = changed
        return ""

    def _restart(self, event: Restarted) -> str:
        self._take(mysql.restarted(self._state, event.tablet))
        held = self._tablets[event.tablet].held.bit_count()
        return "" if held == event.held else f"has {event.held} writes after its start, not {held}"

    def _writable(self, event: Writable, tablet: Tablet) -> str:
        self._tablets[event.tablet] = tablet._replace(read_only=not event.writable)
        if not event.writable or event.by_hand:
            return ""
        lost = self._acknowledged & ~tablet.log
        return f"takes writes, and lacks {lost.bit_count()} acknowledged ones" if lost else ""
