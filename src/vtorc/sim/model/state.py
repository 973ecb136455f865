"""A state of the model: small tuples of numbers, so that millions can be told apart quickly.

Writes are numbered in the order in which they were made, and a set of writes is an int with those bits set. That is
all there is to a log, because logs keep the order in which writes were made.
"""

from collections.abc import Iterator
from typing import NamedTuple

NO_TABLET = -1

STOPPED, CONNECTING, CONNECTED = range(3)
"""States of an IO thread."""

IDLE, STOPPING, FETCHING, PROMOTING, UNDOING = range(5)
"""Where a coordinator is: at rest, stopping tablets, letting the winner fetch, re-pointing and promoting, undoing."""


class Tablet(NamedTuple):
    """One tablet and its MySQL.

    `log` is its binary log, of which `visible` is committed: what is not waits for acknowledgements. `relay` was
    received and not applied yet. `waits` is the source's side of semi-sync, `acks` the replica's; `acked` are the
    writes of its source that it acknowledged and that wait for more.
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
        """All writes that are on its disk."""
        return self.log | self.relay


class Known(NamedTuple):
    """What a tablet was found to hold when it was stopped, if it was `reached`; `undo` that something has to be put
    back if the failover breaks off.
    """

    reached: bool = False
    executed: int = 0
    received: int = 0
    was_primary: bool = False
    source: int = NO_TABLET
    undo: bool = False


class Seen(NamedTuple):
    """What the primary was last seen to have committed, if it was; `waited`: with enough ackers connected.

    `down` is the set of tablets that were down then.
    """

    at_all: bool = False
    executed: int = 0
    waited: bool = False
    down: int = 0


class Coordinator(NamedTuple):
    """One vtorc: where it is, and what it knows; `todo` is the set of tablets that it has calls under way to, and
    `proving` says that the journal row is still to be written.
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


class Left(NamedTuple):
    """How much may still happen."""

    writes: int
    crashes: int
    cuts: int
    lock_losses: int


class State(NamedTuple):
    """Everything.

    `topo_primary` is who the topology says is primary, `lock` the coordinator that has the shard's lock. `origins` tells of
    each write where it was made, plus `JOURNAL` if it is a row of the reparent journal. The rest no vtorc can know:
    `acknowledged` are the acknowledged writes, `discarded` those of which the last live copy was thrown away.
    """

    tablets: tuple[Tablet, ...]
    coordinators: tuple[Coordinator, ...]
    lock: int
    topo_primary: int
    origins: tuple[int, ...]
    acknowledged: int
    discarded: int
    seen: Seen
    left: Left


JOURNAL = 16
"""Added to the origin of a journal row."""

Action = tuple[str, tuple[int, ...]]
"""What happened, as a format with places for tablets or coordinators, for instance `("{} crashes", (0,))`."""

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
    """Return the numbers in a set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def lowest(mask: int) -> int:
    """Return the set of only the first write of a set that is not empty."""
    return mask & -mask
