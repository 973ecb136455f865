"""Faults of mysqlds: their disks, connections, speed, appliers and binary logs."""

from vtorc.sim.faults.fault import Begin, End, FaultScene, in_turn, nothing
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.server import SimMysqld


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


def come_and_go(scene: FaultScene) -> End:
    """Let a mysqld refuse every other report to its vttablet, as one that is almost full does."""
    mysqld = scene.tablet.mysqld
    mysqld.comes_and_goes = True
    return lambda: setattr(mysqld, "comes_and_goes", False)


def refuse_account(scene: FaultScene) -> End:
    """Let a mysqld accept no new connection of the replication account."""
    return lock_account_on(scene.tablet.mysqld)


def lock_account(scene: FaultScene) -> End:
    """Lock the replication account on all servers of a shard; connections that exist go on."""
    return in_turn(*(lock_account_on(tablet.mysqld) for tablet in scene.shard.tablets))


def lock_account_on(mysqld: SimMysqld) -> End:
    """Lock the replication account on one server; returns what unlocks it, unless another fault keeps it locked."""
    mysqld.account_locks += 1

    def end() -> None:
        mysqld.account_locks -= 1

    return end


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


def damage_relay_log(scene: FaultScene) -> End:
    """Damage a replica's relay log, which its applier cannot read until it is dropped."""
    scene.replica.mysqld.replication.applier.damaged = True
    return nothing


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
