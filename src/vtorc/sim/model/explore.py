"""Visits every order of steps up to a depth, breadth first, so that a counterexample is as short as possible."""

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from vtorc.sim.model import mysql
from vtorc.sim.model.failover import Failovers, at_rest
from vtorc.sim.model.oracle import Oracle
from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.properties import GOALS, broken
from vtorc.sim.model.state import CONNECTED, NO_TABLET, Action, Remaining, Seen, State, Step, Tablet
from vtorc.sim.model.symmetry import Symmetry


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The shortest series of steps that breaks a property."""

    rule: str
    outcome: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{number:3}. {line}" for number, line in enumerate(self.outcome, 1)]
        return "\n".join([*lines, f"  => {self.rule}"])


@dataclass(slots=True)
class ExplorationReport:
    """The findings of an exploration; `complete` says that there are no further states beyond `depth`."""

    depth: int = 0
    complete: bool = False
    counterexample: Counterexample | None = None
    reached: dict[str, int] = field(default_factory=dict)
    refusals: set[str] = field(default_factory=set)


def first_state(plan: ModelPlan) -> State:
    """Return a healthy shard without writes."""
    primary = Tablet(read_only=False, waits=plan.acks > 0)
    replicas = [
        Tablet(source=0, io=CONNECTED, acks=plan.acknowledges(0, place)) for place in range(1, len(plan.members))
    ]
    return State(
        tablets=(primary, *replicas),
        coordinators=tuple(at_rest(plan.rounds) for _ in range(plan.coordinators)),
        lock=NO_TABLET,
        topo_primary=0,
        origins=(),
        acknowledged=0,
        discarded=0,
        seen=Seen(),
        left=Remaining(plan.writes, plan.crashes, plan.cuts, plan.lock_losses),
    )


def transitions(plan: ModelPlan, oracle: Oracle) -> Callable[[State], Iterator[Step]]:
    """Return the function that yields the next steps of a state."""
    failovers = Failovers(plan, oracle)
    return lambda state: itertools.chain(mysql.steps(plan, state), failovers.steps(state))


def explore(plan: ModelPlan, *, depth: int = 1000) -> ExplorationReport:
    """Visit every state that can be reached in `depth` steps; stops at the first that breaks a property.

    Replicas that are alike are exchangeable.
    """
    with _no_garbage_collection():
        return _explore(plan, depth=depth)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Switch the collector off: there are no cycles here, and it takes half of the time among millions of tuples."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _explore(plan: ModelPlan, *, depth: int) -> ExplorationReport:
    oracle = Oracle(plan)
    after = transitions(plan, oracle)
    canonical = Symmetry(plan).canonical
    start = first_state(plan)
    parents: dict[State, tuple[State, Action] | None] = {start: None}
    report = ExplorationReport()
    level = [start]
    while level:
        following: list[State] = []
        for state in level:
            _note_goals(report, state)
            if report.depth == depth:
                continue
            for action, raw in after(state):
                next_ = canonical(raw)
                if next_ in parents:
                    continue
                parents[next_] = (state, action)
                if rule := broken(plan, next_):
                    report.counterexample = Counterexample(rule, _story(plan, parents, next_))
                    return report
                following.append(next_)
        if report.depth == depth:
            break
        level = following
        report.depth += 1
    report.complete = not level
    report.refusals = oracle.refusals
    return report


def _note_goals(report: ExplorationReport, state: State) -> None:
    for name, goal in GOALS.items():
        if name not in report.reached and goal(state):
            report.reached[name] = report.depth


def _story(plan: ModelPlan, parents: dict[State, tuple[State, Action] | None], last: State) -> tuple[str, ...]:
    """Return the steps to a state as text, with one name for each tablet from beginning to end."""
    steps: list[Step] = []
    step = parents[last]
    while step is not None:
        steps.append((step[1], last))
        last = step[0]
        step = parents[last]
    steps.reverse()
    return tuple(_retold(plan, steps))


def _retold(plan: ModelPlan, steps: Sequence[Step]) -> Iterator[str]:
    """Take the steps once more, and undo the exchanges of tablets that made each state canonical."""
    symmetry = Symmetry(plan)
    after = transitions(plan, Oracle(plan))
    state = first_state(plan)
    names = list(range(len(plan.members)))
    for action, expected in steps:
        text, places = action
        raw = next(raw for found, raw in after(state) if found == action and symmetry.canonical(raw) == expected)
        is_vtorc = text.startswith("vtorc {}")
        shown = [
            str(place + 1)
            if is_vtorc and position == 0
            else plan.members[names[place]].alias.cell + f"-{plan.members[names[place]].alias.uid}"
            for position, place in enumerate(places)
        ]
        yield text.format(*shown)
        state, order = symmetry.sorted(raw)
        names = [names[place] for place in order]
