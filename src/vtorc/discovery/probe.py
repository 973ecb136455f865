"""Asks one tablet for its status, again and again; at most one call is under way, so that a slow tablet delays only
itself.
"""

import asyncio
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from vtorc.core.facts.direct_answer import DirectAnswer
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.remembered import RememberedTablet
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import TabletView
from vtorc.discovery.lateness import OnTimeClock, OnTimeTimeout
from vtorc.discovery.probe_budget import Lane, ProbeBudget, ProbeSlot
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.slow_answer import SlowAnswer
from vtorc.errors import (
    TabletBadAnswer,
    TabletCallFailed,
    TabletError,
    TabletUnreachable,
)
from vtorc.tablet.api import TabletManager

_PAUSE_FOR_WAIT = 2.0
"""Pause after a question, as a multiple of what it had to wait for its slot."""

_MOST_VOID = 3
"""Failures since the last answer that are void because vtorc was late; all further ones count."""

_LATE_SHARE = 0.2
"""Share of a deadline by which vtorc must be late for a failure within it to be void."""

_MYSQL_GONE = frozenset({2002, 2003, 2006, 2013})
"""Client errors of a tablet that its mysqld does not answer (MySQL client error reference).

They mean: no socket, no connection, server gone away, connection lost.
"""


class TabletProbe:
    """Owns what is known of one tablet; `changed` is called with the views before and after each probe that ended."""

    def __init__(
        self,
        record: TabletRecord,
        tablets: TabletManager,
        clock: OnTimeClock,
        changed: Callable[[TabletView, TabletView], None],
        *,
        slot: ProbeSlot | None = None,
        read_at: float = -math.inf,
        remembered: RememberedTablet | None = None,
        told_by_others: Callable[[], Sequence[GtidSet]] = tuple,
        is_slow: Callable[[], None] = lambda: None,
        is_asked_directly: bool = False,
        hears: Callable[[], None] = lambda: None,
    ) -> None:
        """Take `slot` for each question; if None, the tablet has a budget of its own.

        `record` is of a topology reading that began at `read_at`. `remembered` is what an earlier process or an earlier
        record of the same alias left, None if nothing. `told_by_others` returns what other tablets have told to have,
        or to have had, by the moment of the call. `is_slow` is called when a primary is silent for longer than usual.
        `is_asked_directly` says whether vtorc asks its MySQL itself while it fails. `hears` is called when the tablet
        tells of its MySQL, before that is taken over.
        """
        self._told_by_others = told_by_others
        self._is_slow = is_slow
        self._hears = hears
        self._call = SlowAnswer(clock, self._take_slowness)
        self._read_at = read_at
        self._tablets = tablets
        self._clock = clock
        self._changed = changed
        self._due = asyncio.Event()
        self._probe_ended = asyncio.Event()
        self._last_started = float("-inf")
        self._hurried_since: float | None = None
        self._slot = slot if slot is not None else ProbeBudget(clock.now).new_slot()
        self._lane = Lane.CALM
        self._waiting = 0
        self._to_look_at = False
        self._voids = 0
        self._unasked = 0.0
        self._late_at_status = 0.0
        self._answers = asyncio.Event()
        self._fails = asyncio.Event()
        self._call_timeout: OnTimeTimeout | None = None
        self._hurried_deadline = 0.0
        self.view = TabletView(
            record=record, memory=self._first_memory(record, remembered), is_asked_directly=is_asked_directly
        )

    def _first_memory(self, record: TabletRecord, remembered: RememberedTablet | None) -> TabletMemory:
        now = self._clock.now()
        if remembered is None:
            return TabletMemory(unknown_until=now)
        return remembered.memory.after_reading(
            record,
            replace(record, type=remembered.type),
            read_at=self._read_at,
            before_read_at=remembered.read_at,
            now=now,
        )

    @property
    def remembered(self) -> RememberedTablet:
        """All that has to outlive this process."""
        return RememberedTablet.of(self.record.type, self._read_at, self.view.memory)

    @property
    def record(self) -> TabletRecord:
        """The tablet's record, as last read."""
        return self.view.record

    def update_record(self, record: TabletRecord, *, read_at: float) -> bool:
        """Take over a newer record, of a topology reading that began at `read_at`; returns whether it differs.

        A tablet that was shut down cleanly has blanked its addresses. The address of its mysqld is kept, because its
        replicas still name it as their source.
        """
        if record.is_shut_down and not record.mysql_hostname:
            record = replace(record, mysql_hostname=self.record.mysql_hostname, mysql_port=self.record.mysql_port)
        memory = self.view.memory.after_reading(
            record, self.record, read_at=read_at, before_read_at=self._read_at, now=self._clock.now()
        )
        self._read_at = read_at
        if record == self.record:
            self.view = replace(self.view, memory=memory)
            return False
        moved = (record.hostname, record.grpc_port) != (self.record.hostname, self.record.grpc_port)
        direct = self.view.direct if record.mysql_address == self.record.mysql_address else None
        self.view = replace(self.view, record=record, memory=memory, direct=direct)
        if moved:
            self.ask_now()
        return True

    def note_unknown_clients(self, number: int, *, explained: bool) -> None:
        """Remember of a primary how many of its semi-sync clients no tablet is, and whether a count was complete."""
        memory = self.view.memory
        if (number, explained) != (memory.unknown_clients, memory.clients_explained):
            memory = replace(memory, unknown_clients=number, clients_explained=explained)
            self.view = replace(self.view, memory=memory)

    def note_memory(self, memory: TabletMemory) -> None:
        """Remember this from now on."""
        self.view = replace(self.view, memory=memory)

    def ask_now(self) -> None:
        """Ask again at once, or as soon as the call under way has ended."""
        self._due.set()

    def hurry(self, *, since: float | None) -> None:
        """Keep the hurried pace for something that happened at `since`; the calm pace if None."""
        if since is not None and self._hurried_since is None:
            self.ask_now()
            self._shorten_deadline()
        self._hurried_since = since

    def _shorten_deadline(self) -> None:
        """Give the call under way no longer than one that would begin now: it may hang on what is suspected."""
        if self._call_timeout is not None:
            self._call_timeout.shorten(self._hurried_deadline)

    def _take_slowness(self) -> None:
        """Give the slow call under way no longer than one that began in a hurry, and tell of it."""
        if self._call_timeout is not None:
            self._call_timeout.shorten(max(0.0, self._hurried_deadline - self._call.waited))
        self._is_slow()

    def set_lane(self, lane: Lane) -> None:
        """Ask with this urgency from now on; the first question since the primary was lost is more urgent."""
        if lane is Lane.LOST_PRIMARY and self._lane is not lane:
            self._to_look_at = True
        self._lane = lane
        self._move()

    def look_first(self) -> None:
        """Put the next question before those that are asked again, as something happened to this very tablet."""
        self._to_look_at = True
        self._move()

    def _move(self) -> None:
        lane = self._lane
        if self._waiting or (self._to_look_at and lane is Lane.LOST_PRIMARY):
            lane = Lane.AWAITED
        elif self._to_look_at:
            lane = Lane.HINTED_PRIMARY if self.record.type is TabletType.PRIMARY else Lane.HINTED
        self._slot.move(lane)

    async def wait_for_probe(self, moment: float) -> None:
        """Wait until a probe that started at or after `moment` has ended."""
        self._waiting += 1
        self._move()
        self.ask_now()
        try:
            while self._last_started < moment:
                await self._probe_ended.wait()
        finally:
            self._waiting -= 1
            self._move()

    async def wait_until_it_answers(self) -> None:
        """Wait until the last probe brought a status, and nothing has put that in doubt since."""
        await self._answers.wait()

    async def wait_until_it_fails(self) -> None:
        """Wait until the last probe brought no status, of a tablet that was not shut down."""
        await self._fails.wait()

    def note_direct(self, answer: DirectAnswer, record: TabletRecord) -> bool:
        """Take over what its MySQL told when asked by `record`; False if its tablet manager answers by now."""
        since, is_there = self.view.failing_since, record.mysql_address == self.record.mysql_address
        if since is None or answer.asked_at < since or not is_there:
            return False
        self.view = replace(self.view, direct=answer)
        return True

    def doubt(self) -> None:
        """Let `wait_until_it_answers` wait for the next probe, as the tablet's health stream broke.

        The lost tablets of a cell were dialled once a second for their streams, while their probes waited for slots.
        """
        self._answers.clear()

    async def run(self, pace: Callable[[], ProbePace]) -> None:
        """Probe until cancelled."""
        pause = 0.0
        first = True
        while True:
            await self._pause(pause)
            counts = await self._probe(pace())
            since, present = self._hurried_since, pace()
            if not counts:
                pause = present.hurried_interval
                continue
            pause = present.interval(
                None if since is None else self._clock.now() - since,
                primary_may_be_lost=self._lane is Lane.LOST_PRIMARY,
                is_primary=self.record.type is TabletType.PRIMARY,
            )
            # Where questions wait for slots, more of them would wait longer, and each recovery with them.
            pause = max(pause, min(present.calm_interval, _PAUSE_FOR_WAIT * self._unasked))
            if first and since is None:
                # Spreads the probes of tablets that were found in one reading of the topology.
                pause *= zlib.crc32(str(self.view.alias).encode()) / 2**32
            first = False

    async def _pause(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._due.set)
        try:
            await self._due.wait()
        finally:
            timer.cancel()

    async def _probe(self, pace: ProbePace) -> bool:
        """Ask once, and return whether the outcome counts; it does not if vtorc was late and heard nothing.

        The wait for a slot comes before the deadline begins: that other tablets are asked first says nothing about
        this one.
        """
        queued_at = self._clock.now()
        await self._slot.take(dial=self.view.current_status is None)
        self._due.clear()  # what was to be asked since is asked now
        self._to_look_at = False
        self._move()
        try:
            started = self._clock.now()
            self._unasked = started - queued_at
            deadline = pace.calm_deadline if self._hurried_since is None else pace.hurried_deadline
            self._hurried_deadline = pace.hurried_deadline
            before = self.view
            after = await self._ask(before.record, started, deadline)
        finally:
            self._slot.free()
        if after is None:
            self._voids += 1
            return False
        if after.is_current:
            self._voids = 0
        self.view = after
        self._last_started = started
        (self._answers.set if after.is_current else self._answers.clear)()
        can_be_asked = after.failure not in (None, ProbeFailure.SHUT_DOWN)
        (self._fails.set if can_be_asked else self._fails.clear)()
        ended, self._probe_ended = self._probe_ended, asyncio.Event()
        ended.set()
        self._changed(before, self.view)
        return True

    async def _ask(self, record: TabletRecord, started: float, deadline: float) -> TabletView | None:
        """Return the view after one question; None if it failed and the failure is void."""
        if record.is_shut_down:
            return self._failed(started, ProbeFailure.SHUT_DOWN, "its record says that it was shut down")
        told_before = self._told_by_others()
        ping, late_before = self._ping(record), self._clock.late
        is_calm_primary = self._hurried_since is None and record.type is TabletType.PRIMARY
        self._call.asked(tell_before=deadline if is_calm_primary else 0.0)
        outcome: TabletStatus | tuple[ProbeFailure, str]
        try:
            async with self._clock.timeout(deadline) as self._call_timeout:
                outcome = await self._tablets.full_status(record)
            self._call.answered()
            self._hears()
        except TimeoutError:
            failure = ProbeFailure.HUNG if ping is not None and _has_answered(ping) else ProbeFailure.TIMEOUT
            outcome = failure, f"no answer within {self._clock.now() - started:.1f} s"
        except TabletError as error:
            outcome = failure_of(error), str(error)
        finally:
            self._call_timeout = None
            self._call.ended()
            if ping is not None:
                ping.cancel()
                await asyncio.gather(ping, return_exceptions=True)
        # Nothing is waited for from here on, so that the view keeps what was learnt of the tablet meanwhile.
        if isinstance(outcome, TabletStatus):
            late, self._late_at_status = late_before - self._late_at_status, late_before
            return self._answered(record, outcome, started, told_before, late)
        failure, text = outcome
        if self._is_void(failure, self._clock.late - late_before, deadline):
            return None
        return self._failed(started, failure, text)

    def _is_void(self, failure: ProbeFailure, late: float, deadline: float) -> bool:
        """Return whether a failure tells of vtorc only, which was late by `late` seconds meanwhile.

        A refusal and an answer come from the other host, however late they are read. Silence and a broken connection
        may be of vtorc's own making. gRPC's deadlines and keepalives go on while the process stands still, and gRPC's
        threads wait for the processor too. But a vtorc that is late for ever must not be blind, so only some failures
        since the last answer are void.
        """
        heard_nothing = failure.is_silence or failure is ProbeFailure.UNREACHABLE
        return heard_nothing and late > _LATE_SHARE * deadline and self._voids < _MOST_VOID

    def _answered(
        self,
        asked_record: TabletRecord,
        status: TabletStatus,
        started: float,
        told_before: Sequence[GtidSet],
        late: float,
    ) -> TabletView:
        """Return the view after a probe that brought a status: all that is remembered may change."""
        before, ended = self.view, self._clock.now()
        return TabletView(
            record=before.record,
            last_probe=LastProbe.answered(status, started=started, ended=ended, before=before.last_probe),
            memory=before.memory.after_answer(
                status,
                before.last_probe,
                started=started,
                ended=ended,
                asked_record=asked_record,
                record=before.record,
                told_before=told_before,
                late=late,
            ),
            is_asked_directly=before.is_asked_directly,
        )

    def _failed(self, started: float, failure: ProbeFailure, text: str) -> TabletView:
        """Return the view after a failed probe.

        The last status stays, and all that is remembered. A tablet with its MySQL down acknowledges nothing more.
        """
        if failure is ProbeFailure.MYSQL_DOWN:
            self._hears()
        before, ended = self.view, self._clock.now()
        memory = before.memory
        if before.is_current and failure is not ProbeFailure.SHUT_DOWN:
            memory = memory.after_first_failure(started=started)
        if failure is ProbeFailure.MYSQL_DOWN:
            memory = memory.after_mysql_down(ended=ended)
        return TabletView(
            record=before.record,
            last_probe=before.last_probe.failed(
                failure,
                text,
                started=started,
                ended=ended,
                unasked=self._unasked,
                late=self._clock.late - self._late_at_status,
            ),
            memory=memory,
            direct=before.direct if failure is not ProbeFailure.SHUT_DOWN else None,
            is_asked_directly=before.is_asked_directly,
        )

    def _ping(self, record: TabletRecord) -> "asyncio.Task[None] | None":
        """Start a ping beside the next question if the tablet did not answer the last one in time, else return None.

        The ping tells whether the tablet manager is there at all. It is free while all is well, and delays no verdict.
        """
        if self.view.failure is None or not self.view.failure.is_silence:
            return None
        return asyncio.create_task(self._tablets.ping(record), name=f"ping {record.alias}")


def _has_answered(ping: "asyncio.Task[None]") -> bool:
    return ping.done() and not ping.cancelled() and ping.exception() is None


def failure_of(error: TabletError) -> ProbeFailure:
    """Classify a failed status call by the part of the tablet that is in trouble."""
    match error:
        case TabletUnreachable(reason="refused"):
            return ProbeFailure.REFUSED
        case TabletUnreachable(reason="timeout"):
            return ProbeFailure.TIMEOUT
        case TabletUnreachable(reason="shut down"):
            return ProbeFailure.SHUT_DOWN
        case TabletUnreachable():
            return ProbeFailure.UNREACHABLE
        case TabletBadAnswer():
            return ProbeFailure.BAD_ANSWER
        case TabletCallFailed(errno=errno) if errno in _MYSQL_GONE:
            return ProbeFailure.MYSQL_DOWN
        case _:
            return ProbeFailure.ERROR
