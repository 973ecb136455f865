"""The properties of every state of the model, and goals that must be reachable, so that the model is not empty."""

from collections.abc import Callable, Mapping

from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.state import IDLE, JOURNAL, NO_TABLET, STOPPED, State


def broken(plan: ModelPlan, state: State) -> str:
    """Return the property that a state breaks; empty if it breaks none."""
    if state.acknowledged & ~state.tablets[state.topo_primary].log:
        return "acknowledged-write-lost"
    if state.discarded:
        return "last-copy-discarded"
    if sum(_can_get_acknowledged(plan, state, place) for place in range(len(state.tablets))) > 1:
        return "two-writable"
    return ""


def _can_get_acknowledged(plan: ModelPlan, state: State, place: int) -> bool:
    """Return whether a client's write could be acknowledged now, or as soon as trying replicas have connected."""
    tablet = state.tablets[place]
    if not tablet.up or tablet.read_only or tablet.source != NO_TABLET:
        return False
    if not tablet.waits:
        return True
    ready = sum(each.up and each.source == place and each.acks and each.io != STOPPED for each in state.tablets)
    return ready >= plan.acks


Goal = Callable[[State], bool]


def _failed_over(state: State) -> bool:
    return state.topo_primary != 0 and all(each.phase == IDLE for each in state.coordinators)


def _proven(state: State) -> bool:
    rows = sum(1 << write for write, origin in enumerate(state.origins) if origin >= JOURNAL)
    return bool(state.acknowledged & rows)


def _unacknowledged_came_back(state: State) -> bool:
    """Return whether the old primary has committed a write without acknowledgement after another became primary."""
    return state.topo_primary != 0 and state.tablets[0].up and bool(state.tablets[0].visible & ~state.acknowledged)


def _undone(state: State) -> bool:
    given_up = any(each.phase == IDLE and each.rounds == 0 for each in state.coordinators)
    return given_up and state.topo_primary == 0 and bool(state.acknowledged)


GOALS: Mapping[str, Goal] = {
    "a write is acknowledged": lambda state: bool(state.acknowledged),
    "a failover completes": _failed_over,
    "the new primary is proven": _proven,
    "an unacknowledged write comes back": _unacknowledged_came_back,
    "a failover is given up": _undone,
    "two vtorcs are at work": lambda state: sum(each.phase != IDLE for each in state.coordinators) > 1,
}
"""States that can be reached; each plan says which of them it must reach."""
