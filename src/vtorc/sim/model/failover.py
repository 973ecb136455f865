"""The steps of vtorcs: lock, stop, elect, promote and re-point, break off and undo; and the repairs in between.

The order of steps is that of `vtorc.recovery.emergency` and `vtorc.recovery.promotion`; `vtorc.core.election.choice`
elects. A call that fails counts as never made: every step may be left out, and a vtorc may give up at every moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vtorc.sim.model import mysql
from vtorc.sim.model.oracle import Oracle, Pick, Question
from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.state import (
    CONNECTING,
    FETCHING,
    IDLE,
    JOURNAL,
    NO_TABLET,
    PROMOTING,
    STOPPED,
    STOPPING,
    UNDOING,
    Coordinator,
    Known,
    Seen,
    State,
    Step,
    bits,
    with_coordinator,
    with_tablet,
)


def at_rest(rounds: int) -> Coordinator:
    """Return an idle coordinator that may begin so many failovers."""
    return Coordinator(rounds=rounds)


@dataclass(frozen=True, slots=True)
class Failovers:
    """All steps that vtorcs can take in a state."""

    plan: ModelPlan
    oracle: Oracle

    def steps(self, state: State) -> Iterator[Step]:
        """Yield every step that a vtorc can take next, a repair and the loss of a lock included."""
        for number, coordinator in enumerate(state.coordinators):
            yield from _CoordinatorSteps(self.plan, self.oracle, state, number, coordinator).steps()
        if state.lock == NO_TABLET and self.plan.repairs:
            yield from _repairs(self.plan, state)
        if state.lock != NO_TABLET and state.left.lock_losses:
            left = state.left._replace(lock_losses=state.left.lock_losses - 1)
            yield ("vtorc {} loses its lock", (state.lock,)), state._replace(lock=NO_TABLET, left=left)


@dataclass(frozen=True, slots=True)
class _CoordinatorSteps:
    """The steps that one vtorc can take in a state."""

    plan: ModelPlan
    oracle: Oracle
    state: State
    number: int
    coordinator: Coordinator

    def steps(self) -> Iterator[Step]:
        phase = self.coordinator.phase
        if phase == IDLE:
            yield from self._begin()
        elif phase == STOPPING:
            yield from self._stop()
            yield from self._elect()
            yield from self._give_up()
        elif phase == FETCHING:
            yield from self._fetched()
            yield from self._give_up()
        elif phase == PROMOTING:
            yield from self._promote()
            yield from self._end()
        else:
            yield from self._undo()

    @property
    def _has_lock(self) -> bool:
        return self.state.lock == self.number

    @property
    def _calls_arrive(self) -> bool:
        return self._has_lock or not self.plan.prompt_calls or not self.plan.rules.heed_lock

    def _becomes(self, state: State, **changes: Any) -> State:
        return with_coordinator(state, self.number, self.coordinator._replace(**changes))

    def _rests(self, state: State) -> State:
        lock = NO_TABLET if state.lock == self.number else state.lock
        return with_coordinator(state, self.number, at_rest(self.coordinator.rounds))._replace(lock=lock)

    # --- lock, stop

    def _begin(self) -> Iterator[Step]:
        state = self.state
        if state.lock != NO_TABLET or not self.coordinator.rounds:
            return
        primary = state.topo_primary
        exempt = 0
        if state.seen.at_all and not state.tablets[primary].up:
            exempt = sum(1 << n for n in bits(state.seen.down) if n != primary and not state.tablets[n].up)
        after = self._becomes(
            state,
            phase=STOPPING,
            primary=primary,
            known=(Known(),) * len(state.tablets),
            seen=state.seen,
            exempt=exempt,
            rounds=self.coordinator.rounds - 1,
        )
        yield ("vtorc {} takes the lock to replace {}", (self.number, primary)), after._replace(lock=self.number)

    def _stop(self) -> Iterator[Step]:
        if not self._calls_arrive:
            return
        for place, tablet in enumerate(self.state.tablets):
            if not tablet.up or self.coordinator.known[place].reached:
                continue
            if tablet.source == NO_TABLET:
                after = tablet._replace(read_only=True, waits=False, visible=tablet.log)
                known = Known(True, tablet.log, tablet.log, True, NO_TABLET, not tablet.read_only)
                what = "vtorc {} demotes {}"
            else:
                leave = tablet.io == CONNECTING and not self.plan.rules.stop_connecting
                after = tablet._replace(io=tablet.io if leave else STOPPED)
                known = Known(True, tablet.visible, tablet.held, False, tablet.source, tablet.io != STOPPED)
                what = "vtorc {} stops {}"
            state = with_tablet(self.state, place, after)
            yield (what, (self.number, place)), self._becomes(state, known=self._knowing(place, known))

    def _knowing(self, place: int, known: Known) -> tuple[Known, ...]:
        return (*self.coordinator.known[:place], known, *self.coordinator.known[place + 1 :])

    # --- elect, apply

    def _elect(self) -> Iterator[Step]:
        if not self._may_go_on:
            return
        for pick in self._picks():
            if pick.source != NO_TABLET:
                yield from self._fetch(pick)
            else:
                for winner in pick.winners:
                    if not self.plan.rules.wait_applied or self._has_applied(winner):
                        yield self._ask_to_promote(winner, pick.required, "vtorc {} elects {} and promotes it")

    @property
    def _may_go_on(self) -> bool:
        """Whether the check of the lock, before each step that cannot be undone, succeeds."""
        return self._has_lock or not self.plan.rules.heed_lock

    def _picks(self) -> tuple[Pick, ...]:
        origins, coordinator = self.state.origins, self.coordinator
        return self.oracle.ask(
            Question(coordinator.primary, coordinator.known, coordinator.seen, coordinator.exempt, origins)
        ).picks

    def _has_applied(self, place: int) -> bool:
        known, tablet = self.coordinator.known[place], self.state.tablets[place]
        return tablet.up and known.reached and not known.received & ~tablet.visible

    def _fetch(self, pick: Pick) -> Iterator[Step]:
        """Let the winner fetch the writes that it lacks from a holder that has applied them."""
        (winner,) = pick.winners
        early = not self.plan.rules.hold_before_repoint
        if not self.state.tablets[winner].up or not (self._has_applied(pick.source) or early):
            return
        state = mysql.without_relay(self.state, winner, reached=self._reached)
        state = mysql.started(state, winner, source=pick.source, acks=False)
        todo = self._others(winner, pick.required) if early else 0
        after = self._becomes(state, phase=FETCHING, winner=winner, todo=todo)
        yield ("vtorc {} elects {}, which fetches from {}", (self.number, winner, pick.source)), after

    def _fetched(self) -> Iterator[Step]:
        yield from self._repoint()
        if not self._may_go_on:
            return
        (required,) = {pick.required for pick in self._picks() if self.coordinator.winner in pick.winners}
        tablet = self.state.tablets[self.coordinator.winner]
        if tablet.up and not required & ~tablet.visible:
            yield self._ask_to_promote(
                self.coordinator.winner, required, "vtorc {} promotes {}, which has fetched everything"
            )

    # --- promote, re-point, prove

    def _ask_to_promote(self, winner: int, required: int, what: str) -> Step:
        """Send the promotion and all calls that re-point; from here on there is no way back."""
        todo = self._others(winner, required) | 1 << winner
        after = self._becomes(
            self.state, phase=PROMOTING, known=self._briefly(), winner=winner, todo=todo, seen=Seen(), exempt=0
        )
        return (what, (self.number, winner)), after

    def _briefly(self) -> tuple[Known, ...]:
        """Return the part of its knowledge that matters after the decision, so that fewer states differ."""
        return tuple(each._replace(executed=0, received=0, source=NO_TABLET) for each in self.coordinator.known)

    def _others(self, winner: int, required: int) -> int:
        """Return the set of stopped tablets that hold no write that the winner will lack."""
        return sum(
            1 << place
            for place, known in enumerate(self.coordinator.known)
            if known.reached and place != winner and not known.received & ~required
        )

    def _promote(self) -> Iterator[Step]:
        yield from self._repoint()
        winner, state = self.coordinator.winner, self.state
        tablet = state.tablets[winner]
        if not self._calls_arrive or not tablet.up:
            return
        if self.coordinator.todo >> winner & 1:
            state = mysql.without_relay(state, winner, reached=self._reached)
            primary = state.tablets[winner]._replace(
                source=NO_TABLET, io=STOPPED, acks=False, waits=self.plan.acks > 0, read_only=False
            )
            state = with_tablet(state, winner, primary)._replace(topo_primary=winner, seen=Seen())
            yield (
                ("{} is primary", (winner,)),
                self._becomes(state, todo=self.coordinator.todo & ~(1 << winner), proving=True),
            )
        elif self.coordinator.proving and not tablet.read_only:
            after = mysql.made(self._becomes(state, proving=False), winner, origin=winner + JOURNAL)
            yield ("vtorc {} writes the journal row on {}", (self.number, winner)), after

    def _repoint(self) -> Iterator[Step]:
        if not self._calls_arrive:
            return
        for place in bits(self.coordinator.todo & ~(1 << self.coordinator.winner)):
            if self.state.tablets[place].up:
                yield (
                    ("{} is pointed at {}", (place, self.coordinator.winner)),
                    self._becomes(
                        _pointed(self.plan, self.state, place, self.coordinator.winner, reached=self._reached),
                        todo=self.coordinator.todo & ~(1 << place),
                    ),
                )

    @property
    def _reached(self) -> int:
        return sum(1 << place for place, known in enumerate(self.coordinator.known) if known.reached)

    def _end(self) -> Iterator[Step]:
        over = not self.coordinator.todo and not self.coordinator.proving
        if over or self._lock_is_wanted:
            yield ("vtorc {} is done", (self.number,)), self._rests(self.state)
        if not self.plan.rules.no_way_back:
            yield from self._give_up()

    @property
    def _lock_is_wanted(self) -> bool:
        """Whether it makes a difference to release the lock before all calls were made."""
        return self.plan.repairs or any(each.rounds for each in self.state.coordinators)

    # --- break off

    def _give_up(self) -> Iterator[Step]:
        """Break off, as after a refusal, a failure, a deadline or the loss of the lock, and undo what may be undone."""
        undo = sum(1 << place for place, known in enumerate(self.coordinator.known) if known.undo)
        moved_on = self.state.topo_primary != self.coordinator.primary
        if self._has_lock or not self.plan.rules.undo_under_lock:
            lock = self.state.lock
        elif self.state.lock == NO_TABLET and not moved_on:
            lock = self.number
        else:
            undo, lock = 0, self.state.lock
        if not undo:
            yield ("vtorc {} gives up", (self.number,)), self._rests(self.state)
            return
        after = self._becomes(
            self.state,
            phase=UNDOING,
            known=self._briefly(),
            todo=undo,
            winner=self._late_winner(),
            seen=Seen(),
            exempt=0,
        )._replace(lock=lock)
        yield ("vtorc {} gives up and begins to undo its changes", (self.number,)), after

    def _late_winner(self) -> int:
        """Return the tablet that may yet become primary, as its promotion is under way although the vtorc gave up."""
        asked = self.coordinator.phase == PROMOTING and self.coordinator.todo >> self.coordinator.winner & 1
        return self.coordinator.winner if asked else NO_TABLET

    def _undo(self) -> Iterator[Step]:
        if not any(self.state.tablets[place].up for place in bits(self.coordinator.todo)) or not self._has_lock:
            yield ("vtorc {} has undone what it could", (self.number,)), self._rests(self.state)
        if not self._calls_arrive and self.plan.rules.undo_under_lock:
            return
        for place in bits(self.coordinator.todo):
            tablet, known = self.state.tablets[place], self.coordinator.known[place]
            if not tablet.up:
                continue
            left = self.coordinator.todo & ~(1 << place)
            if not known.was_primary and tablet.source != NO_TABLET:
                state = mysql.started(self.state, place, source=tablet.source, acks=tablet.acks)
                yield ("vtorc {} starts {} again", (self.number, place)), self._becomes(state, todo=left)
            elif known.was_primary and tablet.source == NO_TABLET:
                state = with_tablet(self.state, place, tablet._replace(read_only=False, waits=self.plan.acks > 0))
                yield ("vtorc {} lets {} be primary again", (self.number, place)), self._becomes(state, todo=left)
        if self.coordinator.winner != NO_TABLET:
            late = self.coordinator._replace(todo=1 << self.coordinator.winner, phase=PROMOTING)
            for action, after in _CoordinatorSteps(self.plan, self.oracle, self.state, self.number, late)._promote():
                yield action, with_coordinator(after, self.number, self.coordinator._replace(winner=NO_TABLET))


def _pointed(plan: ModelPlan, state: State, place: int, source: int, *, reached: int) -> State:
    """Point a tablet at a source, which drops its relay log."""
    state = mysql.without_relay(state, place, reached=reached)
    tablet = state.tablets[place]._replace(read_only=True, waits=False, visible=state.tablets[place].log)
    state = with_tablet(state, place, tablet)
    return mysql.started(state, place, source=source, acks=plan.acknowledges(source, place))


def _repairs(plan: ModelPlan, state: State) -> Iterator[Step]:
    """Yield the repairs while no failover is under way, one call under the lock each."""
    topo_primary = state.topo_primary
    primary = state.tablets[topo_primary]
    if not primary.up:
        return
    if primary.read_only and primary.source == NO_TABLET:
        after = with_tablet(state, topo_primary, primary._replace(read_only=False, waits=plan.acks > 0))
        yield ("a repair makes {} writable", (topo_primary,)), after
    for place, tablet in enumerate(state.tablets):
        if place == topo_primary or not tablet.up:
            continue
        if tablet.source == topo_primary and tablet.io == STOPPED:
            after = mysql.started(state, place, source=topo_primary, acks=plan.acknowledges(topo_primary, place))
            yield ("a repair starts replication on {}", (place,)), after
        elif tablet.source != topo_primary and not tablet.held & ~primary.visible:
            yield (
                ("a repair points {} at {}", (place, topo_primary)),
                _pointed(plan, state, place, topo_primary, reached=0),
            )
