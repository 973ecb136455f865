"""The fleet's budget of questions to tablets: so many at a time, for the most likely lost primaries first.

All tablets of a large cluster were dialled at once when vtorc started, and all tablets of a lost cell are asked in a
hurry. The event loop was then late by seconds, and answers that lay there looked like silence. A question therefore
waits for a slot before its deadline begins. A tablet that does not answer frees its slot soon: waiting costs nothing.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Callable

CALLS = 32
"""Questions over connections that stand, at a time: as many answers as the loop reads in one round while on time."""

DIALS = 16
"""Questions at a time to tablets that did not answer the last one: most need a connection, which costs several times
as much.
"""

HELD = 0.02
"""Seconds that a slot is held for an answer while the event loop is idle; what takes longer waits for the network."""

ROUNDS = 30.0
"""Seconds that a call takes longer for each second by which a beat of the event loop is late on average. It goes
through a dozen rounds of the loop and more.
"""

_TURN_OF_THE_LAST = 4
"""Every so many slots go to the least urgent question that waits, so that a storm leaves the calm shards watched."""


class Lane(enum.IntEnum):
    """How urgent a question is, the most urgent first: what was not asked at all tells more than what is asked again.

    When a cell of a thousand tablets was lost, the shards that had been found already were asked again and again. The
    last lost primary was asked for the first time after a minute.
    """

    AWAITED = 0  # a verdict on a primary that does not answer, or a recovery, waits for it
    HINTED_PRIMARY = 1  # a primary to which something happened, and which was not asked since
    HINTED = 2  # any other tablet of which this is so
    LOST_PRIMARY = 3  # asked again, as its primary does not answer
    SUSPECTED = 4
    CALM = 5


class ProbeSlot:
    """The place of one tablet's questions, which come one after the other."""

    def __init__(self, budget: "ProbeBudget") -> None:
        self.lane = Lane.CALM
        self._budget = budget
        self._queue: _Queue | None = None
        self._granted: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether a question waits for a slot."""
        return self._granted is not None and not self._granted.done()

    async def take(self, *, dial: bool) -> None:
        """Take a slot, after a wait if all are taken; `dial` if the question most likely needs a connection."""
        self._queue = self._budget.queue(dial=dial)
        if not self._queue.is_busy:
            self._queue.hold(self)
            return
        self._granted = asyncio.get_running_loop().create_future()
        self._queue.append(self)
        try:
            await self._granted
        except asyncio.CancelledError:
            self.free()
            raise

    def free(self) -> None:
        """Give the slot back; does nothing if it was taken back before."""
        self._granted = None
        if self._queue is not None:
            self._queue.free(self)

    def move(self, lane: Lane) -> None:
        """Give this and all later questions another urgency."""
        if lane is self.lane:
            return
        self.lane = lane
        if self.waits and self._queue is not None:
            self._queue.append(self)

    def grant(self) -> None:
        """End the wait."""
        if self._granted is not None:
            self._granted.set_result(None)


class _Queue:
    """Slots of one kind, and the questions that wait for them."""

    def __init__(self, most: int, now: Callable[[], float], drag: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._drag = drag
        self._holding: dict[ProbeSlot, float] = {}  # since when, the longest first
        self._lanes: tuple[deque[ProbeSlot], ...] = tuple(deque() for _ in Lane)
        self._granted = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a question would have to wait."""
        return len(self._holding) >= self._most or any(self._lanes)

    @property
    def held(self) -> int:
        """How many slots are taken."""
        return len(self._holding)

    @property
    def waiting(self) -> int:
        """How many questions wait for a slot."""
        return sum(slot.lane is lane and slot.waits for lane in Lane for slot in set(self._lanes[lane]))

    def hold(self, slot: ProbeSlot) -> None:
        """Take a slot."""
        self._holding[slot] = self._now()

    def free(self, slot: ProbeSlot) -> None:
        """Give a slot back, if it was not taken back already."""
        if self._holding.pop(slot, None) is not None:
            self._hand_out()

    def append(self, slot: ProbeSlot) -> None:
        """Put a question at the end of its lane; its place in another lane is passed over from now on."""
        self._lanes[slot.lane].append(slot)
        self._hand_out()

    def _hand_out(self) -> None:
        """Hand out the slots that are free, or are held for longer than an answer needs."""
        while any(self._lanes) and (slot := self._next()) is not None:
            if len(self._holding) >= self._most and not self._take_back():
                self._lanes[slot.lane].appendleft(slot)
                return
            self._granted += 1
            self.hold(slot)
            slot.grant()

    def _next(self) -> ProbeSlot | None:
        last_first = self._granted % _TURN_OF_THE_LAST == _TURN_OF_THE_LAST - 1
        for lane in reversed(Lane) if last_first else Lane:
            queue = self._lanes[lane]
            while queue:
                slot = queue.popleft()
                if slot.lane is lane and slot.waits:
                    return slot
        return None

    def _take_back(self) -> bool:
        """Take back the slot that is held longest, if it is held long enough; else look again when it is."""
        slot, since = next(iter(self._holding.items()))
        left = since + HELD + ROUNDS * self._drag() - self._now()
        if left <= 0.0:
            del self._holding[slot]
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._look_again)
        return False

    def _look_again(self) -> None:
        self._timer = None
        self._hand_out()


class ProbeBudget:
    """The slots of one vtorc for the questions to all its tablets."""

    def __init__(self, now: Callable[[], float], *, drag: Callable[[], float] = lambda: 0.0) -> None:
        """Measure in seconds of `now`; `drag` returns by how many seconds beats of the event loop are late."""
        self._calls = _Queue(CALLS, now, drag)
        self._dials = _Queue(DIALS, now, drag)

    @property
    def held(self) -> int:
        """How many slots are taken."""
        return self._calls.held + self._dials.held

    @property
    def waiting(self) -> int:
        """How many questions wait for a slot."""
        return self._calls.waiting + self._dials.waiting

    def new_slot(self) -> ProbeSlot:
        """Return the place of one tablet."""
        return ProbeSlot(self)

    def queue(self, *, dial: bool) -> _Queue:
        """Return the slots for questions that need a connection, or for all others."""
        return self._dials if dial else self._calls
