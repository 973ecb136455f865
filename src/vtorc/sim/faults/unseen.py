"""Faults that happen while the vtorcs see nothing: a replica comes, acknowledges alone, and goes, and is lost.

A vtorc knows how things were when it last looked. Six times it took that for how they were later, and gave up the
writes that a replica had acknowledged meanwhile. Other faults do not bring that about: either a vtorc sees, or nothing
comes and goes. Here every vtorc is blinded, each in a way of its own. A replica that comes stays for longer than vtorc
lets pass between two looks: what is shorter, it does not promise to notice.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from vtorc.core.facts.remembered import LONGEST_GAP
from vtorc.errors import VtorcError
from vtorc.sim.cluster.out_of_service import OUT_OF_SERVICE, OutOfService
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.faults.fault import End, FaultScene, nothing, once
from vtorc.sim.faults.strike import Strike
from vtorc.sim.faults.topology import forget_tablet

_RESTARTED_WITHIN = 10.0
"""Seconds after a vtorc was cut off within which it is killed, if it is."""

_STAYS = (LONGEST_GAP, LONGEST_GAP + 4.0)
"""Seconds for which a replica acknowledges with others before it does so alone."""


def blind_vtorcs(scene: FaultScene) -> End:
    """Blind all vtorcs."""
    strike = Strike(scene)
    _blind(strike)
    return strike.end


def _blind(strike: Strike) -> End:
    """Blind each vtorc in a way of its own; returns what lets all of them see, which the end does at the latest."""
    ends = list[End]()
    for vtorc in strike.world.vtorcs:
        way = strike.random.choice(list(_WAYS))
        strike.world.trace.note(vtorc.host.name, f"is {way}")
        ends.append(_WAYS[way](strike, vtorc))
    see = once(*ends)
    strike.on_end(see)
    return see


def _cut_off(strike: Strike, vtorc: SimVtorc) -> End:
    """Cut it off from everything."""
    return strike.cut({vtorc.host.name}, strike.world.network.hosts.keys() - {vtorc.host.name})


def _cut_off_and_kill(strike: Strike, vtorc: SimVtorc) -> End:
    """Cut it off from everything and kill it: the next process goes by the memory file until it reads the topology."""
    strike.later(0.0, _RESTARTED_WITHIN, vtorc.process.crash)
    return _cut_off(strike, vtorc)


def _hide_tablets(strike: Strike, vtorc: SimVtorc) -> End:
    """Cut it off from the tablets of the shard, while it reads the topology."""
    return strike.cut({vtorc.host.name}, {each.host.name for each in strike.scene.shard.tablets})


def _hide_topology(strike: Strike, vtorc: SimVtorc) -> End:
    """Cut it off from the topology servers, while it hears the tablets."""
    return strike.cut({vtorc.host.name}, {topo.process.host.name for topo in strike.world.topos.values()})


def _freeze(_: Strike, vtorc: SimVtorc) -> End:
    """Stop it as SIGSTOP does."""
    vtorc.process.freeze()
    return vtorc.process.thaw


def _stop(strike: Strike, vtorc: SimVtorc) -> End:
    """Cut the power of its host."""
    strike.world.power_off(vtorc.host)
    return lambda: strike.world.power_on(vtorc.host)


_WAYS: Mapping[str, Callable[[Strike, SimVtorc], End]] = {
    "cut off": _cut_off,
    "cut off, and killed soon": _cut_off_and_kill,
    "cut off from the tablets": _hide_tablets,
    "cut off from the topology servers": _hide_topology,
    "stopped with SIGSTOP": _freeze,
    "without power": _stop,
}


def unseen_acker(scene: FaultScene) -> End:
    """Put a replica back in service while the vtorcs are blind, and take it out again before it is lost."""
    strike = Strike(scene)
    acker = strike.acker()
    comes = _take_out(strike, acker, stops=False)

    def goes() -> None:
        _take_out(strike, acker, stops=strike.random.random() < 0.5)

    _act_unseen(strike, acker, comes, goes, lambda: _lose(strike, acker))
    return strike.end


def unseen_acker_rebuilt(scene: FaultScene) -> End:
    """Start and repair the MySQL of a replica while the vtorcs are blind, and rebuild it when the primary is lost."""
    strike = Strike(scene)
    acker = strike.acker()
    acker.mysqld.process.crash()
    strike.on_end(lambda: strike.world.start_mysqld(acker.mysqld))

    def comes() -> None:
        strike.world.start_mysqld(acker.mysqld)
        strike.world.spawn(_repair(strike, acker), "repair by hand")

    def rebuild() -> None:
        others = [each for each in strike.replicas if each is not acker]
        strike.world.stop_and_rebuild(acker, strike.random.choice([*others, None]))
        strike.later(1.0, 10.0, lambda: strike.world.start_mysqld(acker.mysqld))

    _act_unseen(strike, acker, comes, nothing, rebuild)
    return strike.end


def unseen_acker_deleted(scene: FaultScene) -> End:
    """Let a replica acknowledge alone while the vtorcs are blind, and delete its record before it is lost.

    Half of the time it was out of service until the vtorcs were blind.
    """
    strike = Strike(scene)
    acker = strike.acker()
    comes = _take_out(strike, acker, stops=False) if strike.random.random() < 0.5 else nothing

    def goes() -> None:
        strike.on_end(forget_tablet(strike.world, acker))

    _act_unseen(strike, acker, comes, goes, lambda: _lose(strike, acker))
    return strike.end


def _act_unseen(
    strike: Strike, acker: SimTablet, comes: End, goes: Callable[[], object], lose: Callable[[], object]
) -> None:
    """Let the acker come while the vtorcs are blind, acknowledge alone, and go; then lose it with the primary.

    Each step is a little later than the one before. The vtorcs may see again before the loss, or only after it.
    """
    others = [each for each in strike.replicas if each is not acker]
    crashes = strike.random.random() < 0.5

    def be_alone() -> None:
        if not crashes:
            strike.starve(acker)
            return
        for each in others:
            each.mysqld.process.crash()
        strike.on_end(come_back)

    def come_back() -> None:
        for each in others:
            strike.world.start_mysqld(each.mysqld)

    def lose_both() -> None:
        strike.lose_primary()
        lose()
        come_back()

    draw = strike.random.uniform
    comes_at = draw(8.0, 20.0)
    is_alone_at = comes_at + draw(*_STAYS)
    goes_at = is_alone_at + draw(2.0, 5.0)
    blind_at, sees_at = comes_at - draw(0.0, 8.0), goes_at + draw(0.0, 10.0)

    def blind() -> None:
        strike.at(sees_at - blind_at, _blind(strike))

    strike.at(blind_at, blind)
    strike.at(comes_at, comes)
    strike.at(is_alone_at, be_alone)
    strike.at(goes_at, goes)
    strike.at(goes_at + draw(0.1, 3.0), lose_both)


def _take_out(strike: Strike, acker: SimTablet, *, stops: bool) -> End:
    """Take the acker out of service; returns what puts it back, which the end does at the latest."""
    leave = OutOfService(strike.world, acker, strike.random.choice(OUT_OF_SERVICE), stops=stops)
    leave.begin()
    put_back = once(leave.end)
    strike.on_end(put_back)
    return put_back


def _lose(strike: Strike, acker: SimTablet) -> None:
    strike.random.choice((strike.power_off, strike.kill_both, strike.hide))(acker)


async def _repair(strike: Strike, acker: SimTablet) -> None:
    """Let an operator start replication of the acker once its MySQL is up, as vtorc would."""
    semi_sync = strike.may_ack(acker)
    while (agent := acker.agent) is not None:
        with contextlib.suppress(VtorcError, TimeoutError):
            await agent.replication.start(semi_sync=semi_sync)
            return
        await asyncio.sleep(0.5)
