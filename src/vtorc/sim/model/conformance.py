"""Holds a run against the model: `conforms(plan, events)` tells whether what happened is a path that the model has.

An event is what can be seen of one step of the model; each is allowed where the model allows the step, and changes
the same state by the same functions. Unlike in an exploration there are as many writes as a run makes.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from vtorc.sim.model import mysql
from vtorc.sim.model.plan import Plan
from vtorc.sim.model.recovery_path import Done, Violation, follows
from vtorc.sim.model.state import NOBODY, Left, Seen, State, Tablet, with_tablet

Write = Hashable
"""The name of a write, for instance its series and number."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write was made on a tablet; `by_hand` by a person who circumvents read_only."""

    tablet: int
    write: Write
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A write is in the relay log of a tablet."""

    tablet: int
    write: Write


@dataclass(frozen=True, slots=True)
class Applied:
    """A write from the relay log is in the binary log."""

    tablet: int
    write: Write


@dataclass(frozen=True, slots=True)
class Committed:
    """A write was committed where it was made, because replicas had acknowledged it or without that."""

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
    """A server that is down has a copy of another's data."""

    tablet: int
    copy_of: int


@dataclass(frozen=True, slots=True)
class Pointed:
    """A tablet has another source, or none; its relay log is gone."""

    tablet: int
    source: int


@dataclass(frozen=True, slots=True)
class Writable:
    """A tablet takes writes of clients from now on, or no longer; `by_hand` because of a person."""

    tablet: int
    writable: bool
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """A vtorc has done these steps to replace a primary."""

    steps: tuple[Done, ...]


Event = Wrote | Received | Applied | Committed | Crashed | Restarted | Restored | Pointed | Writable | Recovered


def conforms(plan: Plan, events: Iterable[Event]) -> Violation | None:
    """Follow the events through the model; returns the first that the model does not have, None if it has them all."""
    path = Path(plan)
    for event in events:
        if violation := path.follow(event):
            return violation
    return None


@dataclass(slots=True)
class Path:
    """A run as far as it has come, as a state of the model; one event after the other is followed."""

    plan: Plan
    steps: int = 0
    _state: State = field(init=False)
    _numbers: dict[Write, int] = field(default_factory=dict)
    _ever: dict[int, int] = field(default_factory=dict)
    """Who ever held a write that is not acknowledged yet; a crash since then does not undo what was sent."""

    def __post_init__(self) -> None:
        self._state = State(
            tablets=tuple(Tablet() for _ in self.plan.members),
            coordinators=(),
            lock=NOBODY,
            named=NOBODY,
            origins=(),
            told=0,
            discarded=0,
            seen=Seen(),
            left=Left(0, 0, 0, 0),
        )

    def follow(self, event: Event) -> Violation | None:
        """Take one more step; returns why the model cannot, None if it can."""
        self.steps += 1
        if isinstance(event, Recovered):
            return follows(event.steps)
        tablet = self._state.tablets[event.tablet]
        why = ""
        match event:
            case Wrote() | Received() | Applied() | Committed():
                why = self._write(event, tablet)
            case Crashed():
                self._state = mysql.crashed(self.plan, self._state, event.tablet)
            case Restarted():
                why = self._restart(event)
            case Restored():
                copied = self._state.tablets[event.copy_of].visible
                self._change(event.tablet, Tablet(up=False, log=copied, visible=copied))
            case Pointed():
                self._change(event.tablet, tablet._replace(source=event.source, relay=0))
            case Writable():
                why = self._writable(event, tablet)
        name = self.plan.members[event.tablet].alias
        return Violation(f"step {self.steps}, {event}: {name}: {why}") if why else None

    def _write(self, event: Wrote | Received | Applied | Committed, tablet: Tablet) -> str:
        number = self._numbers.setdefault(event.write, len(self._numbers))
        write = 1 << number
        if not tablet.up:
            return "is down"
        match event:
            case Wrote():
                self._ever[number] = 0
                return self._wrote(event, tablet, write)
            case Received():
                if tablet.source == NOBODY or not self._state.tablets[tablet.source].log & write:
                    return "has received what its source does not have"
                if number in self._ever:
                    self._ever[number] |= 1 << event.tablet
                self._change(event.tablet, tablet._replace(relay=tablet.relay | write))
            case Applied():
                if not tablet.relay & write:
                    return "has applied what it did not receive"
                applied = tablet._replace(log=tablet.log | write, relay=tablet.relay & ~write)
                self._change(event.tablet, applied._replace(visible=applied.visible | write))
            case Committed():
                holders = self._ever.pop(number, 0).bit_count()
                self._change(event.tablet, tablet._replace(visible=tablet.visible | write))
                if event.acknowledged and holders < self.plan.acks:
                    return f"has a write acknowledged that {holders} replicas ever received"
                if event.acknowledged:
                    self._state = self._state._replace(told=self._state.told | write)
        return ""

    def _wrote(self, event: Wrote, tablet: Tablet, write: int) -> str:
        if tablet.read_only and not event.by_hand:
            return "has taken a write although it is read-only"
        self._change(event.tablet, tablet._replace(log=tablet.log | write))
        return ""

    def _restart(self, event: Restarted) -> str:
        self._state = mysql.restarted(self._state, event.tablet)
        held = self._state.tablets[event.tablet].held.bit_count()
        return "" if held == event.held else f"has {event.held} writes after its start, not {held}"

    def _writable(self, event: Writable, tablet: Tablet) -> str:
        self._change(event.tablet, tablet._replace(read_only=not event.writable))
        if not event.writable or event.by_hand:
            return ""
        lost = self._state.told & ~tablet.log
        return f"takes writes, and lacks {lost.bit_count()} acknowledged ones" if lost else ""

    def _change(self, place: int, tablet: Tablet) -> None:
        self._state = with_tablet(self._state, place, tablet)


__all__: Sequence[str] = [
    "Applied",
    "Committed",
    "Crashed",
    "Done",
    "Event",
    "Path",
    "Pointed",
    "Received",
    "Recovered",
    "Restarted",
    "Restored",
    "Violation",
    "Writable",
    "Wrote",
    "conforms",
]
