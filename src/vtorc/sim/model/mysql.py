"""The steps of tablets without a vtorc: clients write, replicas receive, acknowledge and apply, servers crash.

The rules are those of `vtorc.sim.mysql`, that is AFTER_SYNC with an endless timeout: a commit is in the binary log,
then waits, then becomes visible. After a crash all writes of the binary log are committed, acknowledged or not (MySQL
manual, "Semisynchronous Replication").
"""

from collections.abc import Iterator

from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.state import (
    CONNECTED,
    CONNECTING,
    NO_TABLET,
    STOPPED,
    Seen,
    State,
    Step,
    Tablet,
    bits,
    lowest,
    with_tablet,
)


def steps(plan: ModelPlan, state: State) -> Iterator[Step]:
    """Yield every step that can happen next without a vtorc's decision."""
    for place, tablet in enumerate(state.tablets):
        if tablet.up:
            yield from _of_server(plan, state, place, tablet)
            if tablet.source != NO_TABLET:
                yield from _of_replica(plan, state, place, tablet)
        else:
            yield ("{} comes back", (place,)), restarted(state, place)
    if plan.observes_primary:
        yield from _looks(plan, state)


def made(state: State, place: int, *, origin: int) -> State:
    """Write on a tablet; the write waits for acknowledgements if semi-sync is on there."""
    write = 1 << len(state.origins)
    tablet = state.tablets[place]
    visible = tablet.visible if tablet.waits else tablet.visible | write
    state = state._replace(origins=(*state.origins, origin))
    return with_tablet(state, place, tablet._replace(log=tablet.log | write, visible=visible))


def crashed(plan: ModelPlan, state: State, place: int) -> State:
    """End a server; its replicas begin to try to connect."""
    tablet = state.tablets[place]
    relay = tablet.relay if plan.durable_relay else 0
    gone = tablet._replace(up=False, io=STOPPED, waits=False, acks=False, read_only=True, relay=relay, acked=0)
    tablets = [
        each._replace(io=CONNECTING) if each.source == place and each.io == CONNECTED else each
        for each in state.tablets
    ]
    tablets[place] = gone
    return state._replace(tablets=tuple(tablets))


def restarted(state: State, place: int) -> State:
    """Start a server, read-only, without semi-sync and replication; all writes of its binary log are committed."""
    tablet = state.tablets[place]
    seen = state.seen._replace(down=state.seen.down & ~(1 << place))
    return with_tablet(state, place, tablet._replace(up=True, visible=tablet.log))._replace(seen=seen)


def started(state: State, place: int, *, source: int, acks: bool) -> State:
    """Start replication from a source; the IO thread connects at once if the source is up."""
    tablet = state.tablets[place]
    io = CONNECTED if state.tablets[source].up else CONNECTING
    return with_tablet(state, place, tablet._replace(source=source, acks=acks, io=io))


def without_relay(state: State, place: int, *, reached: int) -> State:
    """Drop a relay log; acknowledged writes that no other tablet holds, which is up or was `reached`, are discarded."""
    tablet = state.tablets[place]
    elsewhere = 0
    for other, each in enumerate(state.tablets):
        if other != place and (each.up or reached >> other & 1):
            elsewhere |= each.held
    lost = tablet.relay & ~tablet.log & state.acknowledged & ~elsewhere
    state = with_tablet(state, place, tablet._replace(relay=0, acked=0))
    return state._replace(discarded=state.discarded | lost) if lost else state


def _of_server(plan: ModelPlan, state: State, place: int, tablet: Tablet) -> Iterator[Step]:
    left = state.left
    if left.writes and not tablet.read_only and tablet.source == NO_TABLET:
        after = made(state, place, origin=place)
        yield ("a client writes to {}", (place,)), after._replace(left=left._replace(writes=left.writes - 1))
    if left.crashes:
        after = crashed(plan, state, place)
        yield ("{} crashes", (place,)), after._replace(left=left._replace(crashes=left.crashes - 1))


def _of_replica(plan: ModelPlan, state: State, place: int, tablet: Tablet) -> Iterator[Step]:
    if tablet.relay:
        write = lowest(tablet.relay)
        applied = tablet._replace(log=tablet.log | write, visible=tablet.visible | write, relay=tablet.relay & ~write)
        yield ("{} applies", (place,)), with_tablet(state, place, applied)
    source = state.tablets[tablet.source]
    if not source.up:
        return
    if tablet.io == CONNECTING:
        yield ("{} connects to {}", (place, tablet.source)), with_tablet(state, place, tablet._replace(io=CONNECTED))
    if tablet.io == CONNECTED:
        if missing := source.log & ~tablet.held:
            received = tablet._replace(relay=tablet.relay | lowest(missing))
            yield ("{} receives from {}", (place, tablet.source)), with_tablet(state, place, received)
        if state.left.cuts:
            left = state.left._replace(cuts=state.left.cuts - 1)
            after = with_tablet(state, place, tablet._replace(io=CONNECTING))._replace(left=left)
            yield ("the link from {} to {} breaks", (tablet.source, place)), after
    # An acknowledgement that is under way arrives although the IO thread has been stopped since.
    if tablet.acks and source.waits and (fresh := _unacknowledged(source, tablet)):
        after = _acknowledged(
            plan, with_tablet(state, place, tablet._replace(acked=tablet.acked | fresh)), tablet.source
        )
        yield ("an acknowledgement of {} reaches {}", (place, tablet.source)), after


def _unacknowledged(source: Tablet, replica: Tablet) -> int:
    """Return the waiting writes that the replica has not acknowledged and holds together with all earlier ones."""
    missing = source.log & ~replica.held
    before = lowest(missing) - 1 if missing else -1
    return source.log & ~source.visible & before & ~replica.acked


def _acknowledged(plan: ModelPlan, state: State, place: int) -> State:
    """Commit, in order, the writes that have enough acknowledgements; their clients get OK."""
    tablets = list(state.tablets)
    tablet = tablets[place]
    replicas = [other for other, each in enumerate(tablets) if each.source == place]
    done = 0
    for number in bits(tablet.log & ~tablet.visible):
        if sum(tablets[other].acked >> number & 1 for other in replicas) < plan.acks:
            break
        done |= 1 << number
    if not done:
        return state
    tablets[place] = tablet._replace(visible=tablet.visible | done)
    for other in replicas:
        tablets[other] = tablets[other]._replace(acked=tablets[other].acked & ~done)
    return state._replace(tablets=tuple(tablets), acknowledged=state.acknowledged | done)


def _looks(plan: ModelPlan, state: State) -> Iterator[Step]:
    """Yield that a vtorc sees the primary at work, if that adds to what it knows."""
    primary = state.tablets[state.topo_primary]
    if not primary.up or primary.read_only or primary.source != NO_TABLET:
        return
    ready = sum(each.io == CONNECTED and each.acks and each.source == state.topo_primary for each in state.tablets)
    down = sum(1 << place for place, each in enumerate(state.tablets) if not each.up)
    seen = Seen(True, primary.visible, primary.waits and ready >= plan.acks, down)
    if seen != state.seen:
        yield ("a vtorc sees {} at work", (state.topo_primary,)), state._replace(seen=seen)
