"""What vtorcs do: take the lock, stop, elect, promote and re-point, break off and undo; and the repairs in between.

The order of steps is that of `vtorc.recovery.emergency` and `vtorc.recovery.promotion`; who is elected is asked of
`vtorc.core.election.choice`. A call that fails is one that is never made: every step may be left out, and at every
moment a vtorc may give up.
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
    NOBODY,
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
    """Return a coordinator that has nothing to do and may begin so many failovers."""
    return Coordinator(rounds=rounds)


@dataclass(frozen=True, slots=True)
class Failovers:
    """All that vtorcs can do in a state."""

    plan: ModelPlan
    oracle: Oracle

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that a vtorc can do next."""
        for who, coordinator in enumerate(state.coordinators):
            yield from _Turn(self.plan, self.oracle, state, who, coordinator).steps()
        if state.lock == NOBODY and self.plan.repairs:
            yield from _repairs(self.plan, state)
        if state.lock != NOBODY and state.left.lock_losses:
            left = state.left._replace(lock_losses=state.left.lock_losses - 1)
            yield ("vtorc {} loses its lock", (state.lock,)), state._replace(lock=NOBODY, left=left)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one vtorc can do in a state."""

    plan: ModelPlan
    oracle: Oracle
    state: State
    who: int
    it: Coordinator

    def steps(self) -> Iterator[Step]:
        phase = self.it.phase
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
        return self.state.lock == self.who

    @property
    def _calls_arrive(self) -> bool:
        return self._has_lock or not self.plan.prompt_calls or not self.plan.rules.heed_lock

    def _becomes(self, state: State, **changes: Any) -> State:
        return with_coordinator(state, self.who, self.it._replace(**changes))

    def _rests(self, state: State) -> State:
        lock = NOBODY if state.lock == self.who else state.lock
        return with_coordinator(state, self.who, at_rest(self.it.rounds))._replace(lock=lock)

    # --- lock, stop

    def _begin(self) -> Iterator[Step]:
        state = self.state
        if state.lock != NOBODY or not self.it.rounds:
            return
        primary = state.named
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
            rounds=self.it.rounds - 1,
        )
        yield ("vtorc {} takes the lock to replace {}", (self.who, primary)), after._replace(lock=self.who)

    def _stop(self) -> Iterator[Step]:
        if not self._calls_arrive:
            return
        for place, tablet in enumerate(self.state.tablets):
            if not tablet.up or self.it.known[place].reached:
                continue
            if tablet.source == NOBODY:
                after = tablet._replace(read_only=True, waits=False, visible=tablet.log)
                known = Known(True, tablet.log, tablet.log, True, NOBODY, not tablet.read_only)
                what = "vtorc {} demotes {}"
            else:
                leave = tablet.io == CONNECTING and not self.plan.rules.stop_connecting
                after = tablet._replace(io=tablet.io if leave else STOPPED)
                known = Known(True, tablet.visible, tablet.held, False, tablet.source, tablet.io != STOPPED)
                what = "vtorc {} stops {}"
            state = with_tablet(self.state, place, after)
            yield (what, (self.who, place)), self._becomes(state, known=self._knowing(place, known))

    def _knowing(self, place: int, known: Known) -> tuple[Known, ...]:
        return (*self.it.known[:place], known, *self.it.known[place + 1 :])

    # --- elect, apply

    def _elect(self) -> Iterator[Step]:
        if not self._may_go_on:
            return
        for pick in self._picks():
            if pick.source != NOBODY:
                yield from self._fetch(pick)
            else:
                for winner in pick.winners:
                    if not self.plan.rules.wait_applied or self._has_applied(winner):
                        yield self._ask_to_promote(winner, pick.required, "vtorc {} elects {} and promotes it")

    @property
    def _may_go_on(self) -> bool:
        """The check of the lock before each step that cannot be undone."""
        return self._has_lock or not self.plan.rules.heed_lock

    def _picks(self) -> tuple[Pick, ...]:
        origins, it = self.state.origins, self.it
        return self.oracle.ask(Question(it.primary, it.known, it.seen, it.exempt, origins)).picks

    def _has_applied(self, place: int) -> bool:
        known, tablet = self.it.known[place], self.state.tablets[place]
        return tablet.up and known.reached and not known.received & ~tablet.visible

    def _fetch(self, pick: Pick) -> Iterator[Step]:
        """Let the winner fetch what it lacks from a holder that has applied it."""
        (winner,) = pick.winners
        early = not self.plan.rules.hold_before_repoint
        if not self.state.tablets[winner].up or not (self._has_applied(pick.source) or early):
            return
        state = mysql.without_relay(self.state, winner, heard=self._heard)
        state = mysql.started(state, winner, source=pick.source, acks=False)
        todo = self._others(winner, pick.required) if early else 0
        after = self._becomes(state, phase=FETCHING, winner=winner, todo=todo)
        yield ("vtorc {} elects {}, which fetches from {}", (self.who, winner, pick.source)), after

    def _fetched(self) -> Iterator[Step]:
        yield from self._repoint()
        if not self._may_go_on:
            return
        (required,) = {pick.required for pick in self._picks() if self.it.winner in pick.winners}
        tablet = self.state.tablets[self.it.winner]
        if tablet.up and not required & ~tablet.visible:
            yield self._ask_to_promote(self.it.winner, required, "vtorc {} promotes {}, which has fetched everything")

    # --- promote, re-point, prove

    def _ask_to_promote(self, winner: int, required: int, what: str) -> Step:
        """From here on all calls are under way, and there is no way back."""
        todo = self._others(winner, required) | 1 << winner
        after = self._becomes(
            self.state, phase=PROMOTING, known=self._briefly(), winner=winner, todo=todo, seen=Seen(), exempt=0
        )
        return (what, (self.who, winner)), after

    def _briefly(self) -> tuple[Known, ...]:
        """What of its knowledge still matters once it has decided: fewer states differ that way."""
        return tuple(each._replace(executed=0, received=0, source=NOBODY) for each in self.it.known)

    def _others(self, winner: int, required: int) -> int:
        """The stopped tablets that hold nothing that the winner will lack."""
        return sum(
            1 << place
            for place, known in enumerate(self.it.known)
            if known.reached and place != winner and not known.received & ~required
        )

    def _promote(self) -> Iterator[Step]:
        yield from self._repoint()
        winner, state = self.it.winner, self.state
        tablet = state.tablets[winner]
        if not self._calls_arrive or not tablet.up:
            return
        if self.it.todo >> winner & 1:
            state = mysql.without_relay(state, winner, heard=self._heard)
            primary = state.tablets[winner]._replace(
                source=NOBODY, io=STOPPED, acks=False, waits=self.plan.acks > 0, read_only=False
            )
            state = with_tablet(state, winner, primary)._replace(named=winner, seen=Seen())
            yield ("{} is primary", (winner,)), self._becomes(state, todo=self.it.todo & ~(1 << winner), proving=True)
        elif self.it.proving and not tablet.read_only:
            after = mysql.made(self._becomes(state, proving=False), winner, origin=winner + JOURNAL)
            yield ("vtorc {} writes the journal row on {}", (self.who, winner)), after

    def _repoint(self) -> Iterator[Step]:
        if not self._calls_arrive:
            return
        for place in bits(self.it.todo & ~(1 << self.it.winner)):
            if self.state.tablets[place].up:
                yield (
                    ("{} is pointed at {}", (place, self.it.winner)),
                    self._becomes(
                        _pointed(self.plan, self.state, place, self.it.winner, heard=self._heard),
                        todo=self.it.todo & ~(1 << place),
                    ),
                )

    @property
    def _heard(self) -> int:
        return sum(1 << place for place, known in enumerate(self.it.known) if known.reached)

    def _end(self) -> Iterator[Step]:
        over = not self.it.todo and not self.it.proving
        if over or self._lock_is_wanted:
            yield ("vtorc {} is done", (self.who,)), self._rests(self.state)
        if not self.plan.rules.no_way_back:
            yield from self._give_up()

    @property
    def _lock_is_wanted(self) -> bool:
        """Whether it makes a difference that the lock is given back before everything has been tried."""
        return self.plan.repairs or any(each.rounds for each in self.state.coordinators)

    # --- break off

    def _give_up(self) -> Iterator[Step]:
        """After a refusal, a failure, a deadline or the loss of the lock: put back what was changed, if it may be."""
        undo = sum(1 << place for place, known in enumerate(self.it.known) if known.undo)
        moved_on = self.state.named != self.it.primary
        if self._has_lock or not self.plan.rules.undo_under_lock:
            lock = self.state.lock
        elif self.state.lock == NOBODY and not moved_on:
            lock = self.who
        else:
            undo, lock = 0, self.state.lock
        if not undo:
            yield ("vtorc {} gives up", (self.who,)), self._rests(self.state)
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
        yield ("vtorc {} gives up and puts back what it changed", (self.who,)), after

    def _late_winner(self) -> int:
        """Who may become primary although the vtorc has given up: it was asked to, and its answer did not come."""
        asked = self.it.phase == PROMOTING and self.it.todo >> self.it.winner & 1
        return self.it.winner if asked else NOBODY

    def _undo(self) -> Iterator[Step]:
        if not any(self.state.tablets[place].up for place in bits(self.it.todo)) or not self._has_lock:
            yield ("vtorc {} has put back what it could", (self.who,)), self._rests(self.state)
        if not self._calls_arrive and self.plan.rules.undo_under_lock:
            return
        for place in bits(self.it.todo):
            tablet, known = self.state.tablets[place], self.it.known[place]
            if not tablet.up:
                continue
            left = self.it.todo & ~(1 << place)
            if not known.was_primary and tablet.source != NOBODY:
                state = mysql.started(self.state, place, source=tablet.source, acks=tablet.acks)
                yield ("vtorc {} starts {} again", (self.who, place)), self._becomes(state, todo=left)
            elif known.was_primary and tablet.source == NOBODY:
                state = with_tablet(self.state, place, tablet._replace(read_only=False, waits=self.plan.acks > 0))
                yield ("vtorc {} lets {} be primary again", (self.who, place)), self._becomes(state, todo=left)
        if self.it.winner != NOBODY:
            late = self.it._replace(todo=1 << self.it.winner, phase=PROMOTING)
            for action, after in _Turn(self.plan, self.oracle, self.state, self.who, late)._promote():
                yield action, with_coordinator(after, self.who, self.it._replace(winner=NOBODY))


def _pointed(plan: ModelPlan, state: State, place: int, source: int, *, heard: int) -> State:
    """Point a tablet at a source, which drops its relay log."""
    state = mysql.without_relay(state, place, heard=heard)
    tablet = state.tablets[place]._replace(read_only=True, waits=False, visible=state.tablets[place].log)
    state = with_tablet(state, place, tablet)
    return mysql.started(state, place, source=source, acks=plan.acknowledges(source, place))


def _repairs(plan: ModelPlan, state: State) -> Iterator[Step]:
    """What is put right while no failover is under way, one call under the lock each."""
    named = state.named
    primary = state.tablets[named]
    if not primary.up:
        return
    if primary.read_only and primary.source == NOBODY:
        after = with_tablet(state, named, primary._replace(read_only=False, waits=plan.acks > 0))
        yield ("a repair makes {} writable", (named,)), after
    for place, tablet in enumerate(state.tablets):
        if place == named or not tablet.up:
            continue
        if tablet.source == named and tablet.io == STOPPED:
            after = mysql.started(state, place, source=named, acks=plan.acknowledges(named, place))
            yield ("a repair starts replication on {}", (place,)), after
        elif tablet.source != named and not tablet.held & ~primary.visible:
            yield ("a repair points {} at {}", (place, named)), _pointed(plan, state, place, named, heard=0)
