"""A state of the model: small tuples of numbers, so that millions can be compared quickly.

Writes are numbered in the order in which they were made, and a set of writes is an int with those bits set. A log is
such a set, because logs keep the order in which writes were made.
"""

from collections.abc import Iterator
from typing import NamedTuple

NO_TABLET = -1

STOPPED, CONNECTING, CONNECTED = range(3)
"""States of an IO thread."""

IDLE, STOPPING, FETCHING, PROMOTING, UNDOING = range(5)
"""Phases of a coordinator: idle, stopping tablets, letting the winner fetch, re-pointing and promoting, undoing."""


class Tablet(NamedTuple):
    """One tablet and its MySQL.

    `log` is its binary log, of which `visible` is committed; the other writes wait for acknowledgements. `relay` was
    received and not applied yet. `waits` is the source's side of semi-sync, `acks` the replica's side. `acked` are
    writes of its source that it acknowledged and that wait for more acknowledgements.
    """

    up: bool = True
    read_only: bool = True
    waits: bool = False
    acks: bool = False
    source: int = NO_TABLET
    io: int = STOPPED
    log: int = 0
    visible: int = 0
    relay: int = 0
    acked: int = 0

    @property
    def held(self) -> int:
        """All writes on its disk."""
        return self.log | self.relay


class Known(NamedTuple):
    """The writes that a tablet held when it was stopped, if it was `reached`.

    `undo` says that a change to it has to be undone if the failover breaks off.
    """

    reached: bool = False
    executed: int = 0
    received: int = 0
    was_primary: bool = False
    source: int = NO_TABLET
    undo: bool = False


class Seen(NamedTuple):
    """The writes that the primary had committed when it was last seen at work, if it was seen `at_all`.

    `waited` says that enough ackers were connected then; `down` is the set of tablets that were down then.
    """

    at_all: bool = False
    executed: int = 0
    waited: bool = False
    down: int = 0


class Coordinator(NamedTuple):
    """One vtorc: its phase and its knowledge.

    `todo` is the set of tablets to which its calls are under way; `proving` says that it has yet to write the journal
    row.
    """

    phase: int = IDLE
    primary: int = NO_TABLET
    known: tuple[Known, ...] = ()
    winner: int = NO_TABLET
    todo: int = 0
    proving: bool = False
    seen: Seen = Seen()
    exempt: int = 0
    rounds: int = 0


class Remaining(NamedTuple):
    """How much may still happen."""

    writes: int
    crashes: int
    cuts: int
    lock_losses: int


class State(NamedTuple):
    """A whole state.

    `topo_primary` is the primary by its record, `lock` the coordinator that holds the shard's lock. `origins` has for
    each write the tablet where it was made, plus `JOURNAL` for a row of the reparent journal. No vtorc can know the
    rest: `acknowledged` writes, and the acknowledged ones without any live copy, as it was `discarded`.
    """

    tablets: tuple[Tablet, ...]
    coordinators: tuple[Coordinator, ...]
    lock: int
    topo_primary: int
    origins: tuple[int, ...]
    acknowledged: int
    discarded: int
    seen: Seen
    left: Remaining


JOURNAL = 16
"""Added to the origin of a journal row."""

Action = tuple[str, tuple[int, ...]]
"""The name of a step, as a format with places for tablets or coordinators, for instance `("{} crashes", (0,))`."""

Step = tuple[Action, State]


def with_tablet(state: State, place: int, tablet: Tablet) -> State:
    """Replace one tablet."""
    tablets = state.tablets
    return state._replace(tablets=(*tablets[:place], tablet, *tablets[place + 1 :]))


def with_coordinator(state: State, place: int, coordinator: Coordinator) -> State:
    """Replace one coordinator."""
    all_ = state.coordinators
    return state._replace(coordinators=(*all_[:place], coordinator, *all_[place + 1 :]))


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers in a set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def lowest(mask: int) -> int:
    """Return the set of only the first write of a non-empty set."""
    return mask & -mask
