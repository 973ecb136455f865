"""Faults of servers that operators set up otherwise than Vitess does.

Their replicas answer, receive and count as ackers like all others, and are less than full copies.
"""

import random

from vtorc.core.facts.status import ThreadState
from vtorc.sim.faults.fault import Begin, End, FaultScene, nothing


def set_up(*, lasts: bool, **changes: bool) -> Begin:
    """Set a replica up otherwise, and back at the end unless that `lasts`.

    MySQL reads these settings as it starts, or changes them on a replica that runs. So a replica with a stopped IO
    thread is left alone: it may be in the midst of a promotion, which a restart would break off (seed 4056).
    """

    def begin(scene: FaultScene) -> End:
        tablet = scene.replica
        mysqld = tablet.mysqld
        if mysqld.replication.source is None or mysqld.replication.io_state is ThreadState.STOPPED:
            return nothing  # a former primary that was not demoted yet is no replica either
        before = {name: getattr(mysqld.setup, name) for name in changes}
        mysqld.setup = mysqld.setup.with_changes(**changes)
        if not mysqld.setup.log_bin:
            mysqld.close_dumps()

        def end() -> None:
            mysqld.setup = mysqld.setup.with_changes(**before)

        return nothing if lasts else end

    return begin


def remove_plugins(scene: FaultScene) -> End:
    """Remove the plugins of semi-sync from a replica, which goes on receiving without acknowledging."""
    mysqld = scene.replica.mysqld
    mysqld.setup = mysqld.setup.with_changes(semi_sync_plugins=False)
    mysqld.semi_sync_replica = False
    mysqld.replication.reconnect()

    def end() -> None:
        mysqld.setup = mysqld.setup.with_changes(semi_sync_plugins=True)

    return end


def delay_applier(scene: FaultScene) -> End:
    """Let a replica apply everything late on purpose, by as many seconds as the fault lasts."""
    applier = scene.replica.mysqld.replication.applier
    applier.delay_by(scene.fault.lasts)
    return lambda: applier.delay_by(0.0)


def raise_wait_count(scene: FaultScene) -> End:
    """Let a mysqld wait for one acknowledgement more than before."""
    mysqld = scene.tablet.mysqld
    mysqld.acks.wait_for(mysqld.acks.count + 1)
    mysqld.note_writability()

    def end() -> None:
        mysqld.acks.wait_for(mysqld.settings.wait_for_replica_count)
        mysqld.note_writability()

    return end


def copy_identity(scene: FaultScene) -> End:
    """Let a replica have the server_uuid of another, as if both were made from one disk image."""
    others = [each for each in scene.shard.tablets if each is not scene.shard.primary and each is not scene.replica]
    if not others:
        return nothing
    mysqld, own = scene.replica.mysqld, scene.replica.mysqld.uuid
    copied = random.Random(scene.fault.name).choice(others).mysqld.uuid
    mysqld.change_uuid(copied)

    def end() -> None:
        if mysqld.uuid == copied:  # unless it was rebuilt since
            mysqld.change_uuid(own)

    return end
