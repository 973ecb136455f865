"""Faults of processes, hosts and clocks."""

import math
import random
from collections.abc import Sequence

from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.engine.process import Host
from vtorc.sim.faults.fault import End, FaultScene, in_turn, nothing

_HOUR = 3600 * 10**9
"""Nanoseconds."""

_SHUTDOWN_TAKES = 8.0
"""Seconds from SIGTERM until mysqld closes the connections of its replicas."""


def kill_mysqld(scene: FaultScene) -> End:
    """Kill a mysqld, and start it at the end."""
    return _kill_mysqlds(scene, [scene.tablet])


def shut_down_mysqld(scene: FaultScene) -> End:
    """Shut a mysqld down in order, and start it at the end."""
    tablet = scene.tablet
    tablet.mysqld.shut_down(_SHUTDOWN_TAKES)

    def end() -> None:
        tablet.mysqld.process.crash()
        scene.world.start_mysqld(tablet.mysqld)

    return end


def kill_vttablet(scene: FaultScene) -> End:
    """Kill a vttablet, which its supervisor starts again."""
    scene.tablet.process.crash()
    return nothing


def kill_both(scene: FaultScene) -> End:
    """Kill vttablet and mysqld of one host."""
    tablet = scene.tablet  # asked once: without its vttablet a primary is no longer tablet 0
    tablet.process.crash()
    return _kill_mysqlds(scene, [tablet])


def keep_vttablet_down(scene: FaultScene) -> End:
    """Kill a vttablet, and keep its supervisor from starting it until the end."""
    tablet = scene.tablet
    tablet.wanted = False
    tablet.process.crash()
    return lambda: scene.world.start_tablet(tablet)


def shut_down_vttablet(scene: FaultScene) -> End:
    """Shut a vttablet down as an operator does."""
    tablet = scene.tablet
    scene.world.spawn(tablet.shut_down(), "shut down")
    return lambda: scene.world.start_tablet(tablet)


def power_off(scene: FaultScene) -> End:
    """Cut the power of a tablet's host."""
    host = scene.tablet.host
    scene.world.power_off(host)
    return lambda: scene.world.power_on(host)


def freeze_mysqld(scene: FaultScene) -> End:
    """Stop a mysqld as SIGSTOP does."""
    process = scene.tablet.mysqld.process
    process.freeze()
    return process.thaw


def freeze_vttablet(scene: FaultScene) -> End:
    """Stop a vttablet as SIGSTOP does."""
    process = scene.tablet.process
    process.freeze()
    return process.thaw


def lose_cell(scene: FaultScene) -> End:
    """Cut the power of all hosts of a cell."""
    hosts = scene.world.hosts_of(scene.cell)
    for host in hosts:
        scene.world.power_off(host)

    def end() -> None:
        for host in hosts:
            scene.world.power_on(host)

    return end


def restart_all_replicas(scene: FaultScene) -> End:
    """Kill the mysqlds of all replicas."""
    primary = scene.shard.primary
    return _kill_mysqlds(scene, [each for each in scene.shard.tablets if each is not primary])


def kill_all_primaries(scene: FaultScene) -> End:
    """Kill the mysqlds of the primaries of all shards."""
    shards = scene.world.shards.values()
    return _kill_mysqlds(scene, [primary for shard in shards if (primary := shard.primary) is not None])


def _kill_mysqlds(scene: FaultScene, tablets: Sequence[SimTablet]) -> End:
    for tablet in tablets:
        tablet.mysqld.process.crash()

    def end() -> None:
        for tablet in tablets:
            scene.world.start_mysqld(tablet.mysqld)

    return end


def kill_vtorc(scene: FaultScene) -> End:
    """Kill a vtorc, which its supervisor starts again."""
    _vtorc(scene).process.crash()
    return nothing


def kill_all_vtorcs(scene: FaultScene) -> End:
    """Kill all vtorcs, which their supervisors start again."""
    for vtorc in scene.world.vtorcs:
        vtorc.process.crash()
    return nothing


def lose_vtorcs_in_turn(scene: FaultScene) -> End:
    """Cut the power of the hosts of all vtorcs, one after the other, each for as long; the first one at once."""
    world, lasts = scene.world, scene.fault.lasts / len(scene.world.vtorcs)
    off: list[Host] = []

    def turn(number: int) -> None:
        end()
        host = world.vtorcs[number].host
        world.power_off(host)
        off.append(host)

    def end() -> None:
        while off:
            world.power_on(off.pop())

    turn(0)
    turns = [current_loop().call_later(number * lasts, turn, number) for number in range(1, len(world.vtorcs))]
    return in_turn(*(each.cancel for each in turns), end)


def freeze_vtorc(scene: FaultScene) -> End:
    """Stop a vtorc as SIGSTOP does."""
    process = _vtorc(scene).process
    process.freeze()
    return process.thaw


def stand_still(scene: FaultScene) -> End:
    """Let a vtorc stand still now and then, between any two instructions."""
    return pause(scene, _vtorc(scene), gaps=(1, 300), seconds=(0.1, 30.0))


def starve_vtorc(scene: FaultScene) -> End:
    """Give a vtorc so little processor time that each of its steps takes long."""
    return pause(scene, _vtorc(scene), gaps=(1, 10), seconds=(0.01, 0.3))


def pause(scene: FaultScene, vtorc: SimVtorc, *, gaps: tuple[int, int], seconds: tuple[float, float]) -> End:
    """Let a vtorc stand still after so many readings of its clock, for so long; short pauses are as likely as long."""
    generator = random.Random(scene.fault.name)
    least, most = (math.log(each) for each in seconds)
    vtorc.pauses.begin(lambda: (generator.randint(*gaps), math.exp(generator.uniform(least, most))))
    return vtorc.pauses.end


def _vtorc(scene: FaultScene) -> SimVtorc:
    vtorcs = scene.world.vtorcs
    return vtorcs[scene.fault.target % len(vtorcs)]


def clock_jump(scene: FaultScene) -> End:
    """Move the wall clock of a tablet's or a vtorc's host by an hour."""
    hosts = [scene.tablet.host, *(vtorc.host for vtorc in scene.world.vtorcs)]
    host = hosts[scene.fault.target % len(hosts)]
    host.wall_offset += _HOUR * (1 if scene.fault.target % 2 else -1)
    return nothing


def reuse_address(scene: FaultScene) -> End:
    """Cut a host's power and give its address to another tablet, while the record of its own tablet stays."""
    world, tablet = scene.world, scene.tablet
    world.power_off(tablet.host)
    world.tablets[tablet.address] = _primary_of_next_shard(scene)

    def end() -> None:
        world.tablets[tablet.address] = tablet
        world.power_on(tablet.host)

    return end


def _primary_of_next_shard(scene: FaultScene) -> SimTablet:
    """The primary of the next shard, or of this one if the world has only one."""
    shards = list(scene.world.shards.values())
    shard = shards[(shards.index(scene.shard) + 1) % len(shards)]
    return shard.primary or shard.tablets[0]
