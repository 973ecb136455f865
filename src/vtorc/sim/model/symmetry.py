"""Exchanges replicas that differ only in their number, so that a state is visited once and not once per order.

The election breaks ties by name, so the oracle asks it under every naming, which makes this sound.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.state import JOURNAL, Coordinator, Known, State, bits

_INSIDE = 99


class Symmetry:
    """The exchanges that a plan allows."""

    def __init__(self, plan: ModelPlan) -> None:
        self._groups = plan.alike
        self._size = len(plan.members)
        self._as_is = tuple(range(self._size))
        self._inside = frozenset(place for group in self._groups for place in group)

    def canonical(self, state: State) -> State:
        """Return the state that represents all states that are alike."""
        return self.sorted(state)[0]

    def sorted(self, state: State) -> tuple[State, tuple[int, ...]]:
        """Return the canonical state, and for each place in it the former place of the tablet."""
        if not self._groups:
            return state, self._as_is
        runs = self._runs(state)
        if runs is None:
            return state, self._as_is
        best: tuple[State, tuple[int, ...]] | None = None
        for order in self._orders(runs):
            found = self._permuted(state, order), order
            if best is None or found < best:
                best = found
        assert best is not None
        return best

    def _runs(self, state: State) -> list[list[list[int]]] | None:
        """Return each group in the order of its keys, cut where keys differ; None if the state is in that order."""
        changed = False
        found: list[list[list[int]]] = []
        tablets = state.tablets
        for group in self._groups:
            rough = sorted(((tablets[place][:4], tablets[place][5:]), place) for place in group)
            runs = [[rough[0][1]]]
            for before, after in itertools.pairwise(rough):
                if before[0] == after[0]:
                    runs[-1].append(after[1])
                else:
                    runs.append([after[1]])
            if len(runs) < len(group):
                runs = [finer for run in runs for finer in self._finer(state, run)]
            found.append(runs)
            changed = (
                changed
                or len(runs) < len(group)
                or any(run[0] != place for run, place in zip(runs, group, strict=False))
            )
        return found if changed else None

    def _finer(self, state: State, run: list[int]) -> list[list[int]]:
        """Split a run of tablets by what other tablets and coordinators know of them."""
        if len(run) == 1:
            return [run]
        keyed = sorted((self._key(state, place), place) for place in run)
        return [[place for _, place in same] for _, same in itertools.groupby(keyed, key=lambda each: each[0])]

    def _key(self, state: State, place: int) -> tuple[Any, ...]:
        """Return all facts about a tablet that name no other exchangeable tablet."""
        tablet = state.tablets[place]
        source = _INSIDE if tablet.source in self._inside else tablet.source
        own = sum(1 << write for write, origin in enumerate(state.origins) if origin % JOURNAL == place)
        follows = sum(each.source == place for each in state.tablets)
        seen = tuple(
            (
                each.primary == place,
                each.winner == place,
                each.todo >> place & 1,
                each.exempt >> place & 1,
                each.seen.down >> place & 1,
                _known_key(each, place),
            )
            for each in state.coordinators
        )
        down = state.seen.down >> place & 1
        return (*tablet[:4], source, *tablet[5:], own, follows, state.topo_primary == place, down, seen)

    def _orders(self, groups: list[list[list[int]]]) -> Iterator[tuple[int, ...]]:
        """Yield the orders that have each group sorted by its keys; there is more than one only for equal keys."""
        per_group = []
        for runs in groups:
            shuffles = itertools.product(*(itertools.permutations(run) for run in runs))
            per_group.append([tuple(itertools.chain(*shuffle)) for shuffle in shuffles])
        for orders in itertools.product(*per_group):
            whole = list(range(self._size))
            for group, order in zip(self._groups, orders, strict=True):
                for place, other in zip(group, order, strict=True):
                    whole[place] = other
            yield tuple(whole)

    def _permuted(self, state: State, order: Sequence[int]) -> State:
        if all(place == other for place, other in enumerate(order)):
            return state
        new = [0] * (self._size + 1)
        for place, other in enumerate(order):
            new[other] = place
        new[-1] = -1
        tablets = tuple(state.tablets[other]._replace(source=new[state.tablets[other].source]) for other in order)
        return state._replace(
            tablets=tablets,
            coordinators=tuple(_renamed(each, order, new) for each in state.coordinators),
            topo_primary=new[state.topo_primary],
            origins=tuple(new[origin % JOURNAL] + (origin & JOURNAL) for origin in state.origins),
            seen=state.seen._replace(down=_moved(state.seen.down, new)),
        )


def _known_key(coordinator: Coordinator, place: int) -> tuple[Any, ...]:
    known = coordinator.known[place] if coordinator.known else Known()
    return (known.reached, known.executed, known.received, known.was_primary, known.undo)


def _renamed(coordinator: Coordinator, order: Sequence[int], new: Sequence[int]) -> Coordinator:
    return coordinator._replace(
        primary=new[coordinator.primary],
        known=tuple(coordinator.known[other]._replace(source=new[coordinator.known[other].source]) for other in order)
        if coordinator.known
        else (),
        winner=new[coordinator.winner],
        todo=_moved(coordinator.todo, new),
        seen=coordinator.seen._replace(down=_moved(coordinator.seen.down, new)),
        exempt=_moved(coordinator.exempt, new),
    )


def _moved(places: int, new: Sequence[int]) -> int:
    return sum(1 << new[place] for place in bits(places))
