"""Faults of mysqlds: their disks, connections, speed, appliers and binary logs."""

from vtorc.sim.faults.fault import Begin, End, FaultScene, nothing
from vtorc.sim.mysql.disk import DiskState


def disk(state: DiskState) -> Begin:
    """Let the disk below a mysqld stall or fill."""

    def begin(scene: FaultScene) -> End:
        disk = scene.tablet.mysqld.disk
        disk.become(state)
        return lambda: disk.become(DiskState.FINE)

    return begin


def refuse_connections(scene: FaultScene) -> End:
    """Let a mysqld take no new connections."""
    mysqld = scene.tablet.mysqld
    mysqld.refuses_connections = True
    return lambda: setattr(mysqld, "refuses_connections", False)


def lose_socket(scene: FaultScene) -> End:
    """Remove the socket through which a vttablet reaches its mysqld; a mysqld that starts makes a new one."""
    mysqld = scene.tablet.mysqld
    mysqld.has_socket = False
    return lambda: setattr(mysqld, "has_socket", True)


def slow_mysqld(scene: FaultScene) -> End:
    """Slow all work of a mysqld down."""
    mysqld = scene.tablet.mysqld
    mysqld.slowness = 300.0
    return lambda: setattr(mysqld, "slowness", 1.0)


def slow_applier(scene: FaultScene) -> End:
    """Slow a replica's applier down."""
    applier = scene.replica.mysqld.replication.applier
    applier.slowness = 3000.0
    return lambda: setattr(applier, "slowness", 1.0)


def lock_applier(scene: FaultScene) -> End:
    """Let another session hold a lock that a replica's applier waits for."""
    applier = scene.replica.mysqld.replication.applier
    applier.locked = True
    return applier.unlock


def break_applier(scene: FaultScene) -> End:
    """Let the next step of a replica's applier fail."""
    applier = scene.replica.mysqld.replication.applier
    applier.broken = True
    return lambda: setattr(applier, "broken", False)


def purge_binlogs(scene: FaultScene) -> End:
    """Purge all but the newest transactions of a binary log."""
    scene.tablet.mysqld.binlog.purge(keep=20)
    return nothing


def roll_back_disk(scene: FaultScene) -> End:
    """Take a snapshot of a mysqld's disk, and put it in place at the end, when the mysqld is killed and started."""
    mysqld = scene.tablet.mysqld
    snapshot = mysqld.snapshot()

    def end() -> None:
        mysqld.process.crash()
        mysqld.roll_back(snapshot)
        scene.world.start_mysqld(mysqld)

    return end
