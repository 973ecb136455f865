"""Faults of what vtorc remembers and of what it goes by: lost memories, rebuilt servers, changed policies."""

from vtorc.sim.checks.invariants import holds
from vtorc.sim.cluster.policy_change import change_policy
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.faults.amid_failover import last_acker_leaves
from vtorc.sim.faults.fault import End, FaultScene, nothing

_POLICIES = ("none", "semi_sync")


def lose_vtorc(scene: FaultScene) -> End:
    """Kill a vtorc, and lose its disk; its supervisor starts it on another."""
    vtorcs = scene.world.vtorcs
    _lose(vtorcs[scene.fault.target % len(vtorcs)])
    return nothing


def lose_all_vtorcs(scene: FaultScene) -> End:
    """Kill all vtorcs, and lose their disks."""
    for vtorc in scene.world.vtorcs:
        _lose(vtorc)
    return nothing


def _lose(vtorc: SimVtorc) -> None:
    vtorc.process.crash()
    vtorc.disk.lose()
    vtorc.holds.lose()


def rebuild_replica(scene: FaultScene) -> End:
    """Rebuild a replica, unless it alone has an acknowledged write besides the primary: an operator looks first.

    Nor does an operator rebuild a primary that is down for the moment.
    """
    tablet = scene.replica
    if scene.shard.ledger.committer is tablet.mysqld or _is_last_replica_with_a_write(scene, tablet):
        return nothing
    return _replace(scene, tablet)


def replace_server(scene: FaultScene) -> End:
    """Put another server in the place of any tablet's, whatever is lost with it."""
    return _replace(scene, scene.tablet)


def _replace(scene: FaultScene, tablet: SimTablet) -> End:
    """Stop a mysqld, and put another server in its place: an empty one, or a clone of another tablet's."""
    others = [each for each in scene.shard.tablets if each is not tablet]
    moment = round(scene.fault.at * 1000)
    source = others[moment % len(others)] if others and moment % 3 else None
    scene.world.stop_and_rebuild(tablet, source)
    return lambda: scene.world.start_mysqld(tablet.mysqld)


def _is_last_replica_with_a_write(scene: FaultScene, tablet: SimTablet) -> bool:
    others = [
        each
        for each in scene.shard.tablets
        if each not in (tablet, scene.shard.primary) and each.mysqld.process.running
    ]
    return any(
        holds(tablet.mysqld, write) and not any(holds(each.mysqld, write) for each in others)
        for write in scene.shard.ledger.protected.values()
    )


def change_durability(scene: FaultScene) -> End:
    """Change the keyspace's policy to one that asks for no acknowledgements, or to one that does; at the end back."""
    before = scene.shard.plan.durability
    keyspace = scene.shard.id.keyspace
    change_policy(scene.world, keyspace, _POLICIES[before == _POLICIES[0]])
    return lambda: change_policy(scene.world, keyspace, before)


def last_acker_leaves_unremembered(scene: FaultScene) -> End:
    """Lose the primary after its last acker was taken out of service, and all vtorcs with what they remember."""
    end = last_acker_leaves(scene)
    current_loop().call_later(4.0 + 12.0 * (scene.fault.at % 1.0), lose_all_vtorcs, scene)
    return end
