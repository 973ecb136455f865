"""Faults of the network between hosts."""

from collections.abc import Iterable

from vtorc.sim.engine.process import Host
from vtorc.sim.faults.fault import End, FaultScene, in_turn


def isolate(scene: FaultScene) -> End:
    """Cut a tablet's host off, both ways."""
    return in_turn(*scene.impose_both_ways({scene.tablet.host.name}, cut=True))


def cut_outgoing(scene: FaultScene) -> End:
    """Let nothing get out of a tablet's host."""
    return scene.impose(sources={scene.tablet.host.name}, cut=True)


def cut_incoming(scene: FaultScene) -> End:
    """Let nothing get into a tablet's host."""
    return scene.impose(targets={scene.tablet.host.name}, cut=True)


def cut_from_replicas(scene: FaultScene) -> End:
    """Cut a tablet off from the others of its shard."""
    tablet = scene.tablet
    others = _names(each.host for each in scene.shard.tablets if each is not tablet)
    return in_turn(*scene.impose_both_ways({tablet.host.name}, others, cut=True))


def cut_acks(scene: FaultScene) -> End:
    """Let nothing get from the replicas to the primary."""
    primary = scene.shard.tablets[0] if scene.shard.primary is None else scene.shard.primary
    others = _names(each.host for each in scene.shard.tablets if each is not primary)
    return scene.impose(sources=others, targets={primary.host.name}, cut=True)


def cut_vtorc_from_tablet(scene: FaultScene) -> End:
    """Cut a tablet off from all vtorcs."""
    vtorcs = _names(vtorc.host for vtorc in scene.world.vtorcs)
    return in_turn(*scene.impose_both_ways(vtorcs, {scene.tablet.host.name}, cut=True))


def isolate_vtorc(scene: FaultScene) -> End:
    """Cut a vtorc off, both ways."""
    vtorcs = scene.world.vtorcs
    return in_turn(*scene.impose_both_ways({vtorcs[scene.fault.target % len(vtorcs)].host.name}, cut=True))


def cut_cell(scene: FaultScene) -> End:
    """Cut a cell off from all others."""
    inside = _names(scene.world.hosts_of(scene.cell))
    outside = scene.world.network.hosts.keys() - inside
    return in_turn(*scene.impose_both_ways(inside, outside, cut=True))


def lose_messages(scene: FaultScene) -> End:
    """Lose a third of a host's messages, both ways."""
    return in_turn(*scene.impose_both_ways({scene.tablet.host.name}, loss=0.3))


def lose_messages_everywhere(scene: FaultScene) -> End:
    """Lose a few messages on every link."""
    return scene.impose(loss=0.05)


def delay_messages(scene: FaultScene) -> End:
    """Delay a host's messages, both ways."""
    return in_turn(*scene.impose_both_ways({scene.tablet.host.name}, delay=0.4))


def _names(hosts: Iterable[Host]) -> frozenset[str]:
    return frozenset(host.name for host in hosts)
