"""Structure warnings of Vitess' vtorc: what is unwise about a tablet and its replicas, whether or not it fails now."""

from collections.abc import Callable, Sequence

from vtorc.server.today.known import KnownTablet

Condition = Callable[[KnownTablet], bool]


def structure_warnings(known: KnownTablet) -> list[str]:
    """Return the warnings that hold for a tablet that has answered once."""
    return [name for name, holds in STRUCTURE_WARNINGS.items() if known.mysql is not None and holds(known)]


def logging_replicas(known: KnownTablet) -> list[KnownTablet]:
    """Return the replicas that answer and write what they receive into binary logs of their own."""
    return [
        replica
        for replica in known.valid_replicas
        if replica.mysql is not None and replica.mysql.binlog_enabled and replica.mysql.binlog_has_replicated
    ]


def with_format(replicas: Sequence[KnownTablet], binlog_format: str) -> int:
    """Return how many of the replicas write this format."""
    return sum(replica.mysql is not None and replica.mysql.binlog_format == binlog_format for replica in replicas)


def major_version(version: str) -> str:
    """Return the first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def major_versions(replicas: Sequence[KnownTablet]) -> set[str]:
    """Return the major versions of the replicas."""
    return {major_version(replica.tablet.version) for replica in replicas if replica.tablet.version}


def gtid_modes(known: KnownTablet) -> list[str]:
    """Return the gtid_mode of each replica that has told it, in alphabetical order."""
    return sorted(replica.mysql.gtid_mode for replica in known.replicas if replica.mysql is not None)


def uses_gtids(known: KnownTablet) -> bool:
    """Return whether all replicas that answer find their place by GTIDs, and there is one."""
    return bool(known.valid_replicas) and all(replica.replication.auto_position for replica in known.valid_replicas)


def _has_many_replicas(known: KnownTablet) -> bool:
    return not known.has_source and len(known.replicas) > 1


def _writes_both(first: str, second: str) -> Condition:
    def holds(known: KnownTablet) -> bool:
        replicas = logging_replicas(known)
        both = with_format(replicas, first) > 0 and with_format(replicas, second) > 0
        return not known.has_source and both

    return holds


def _lacks_clients(known: KnownTablet) -> bool:
    told = known.semi_sync
    needed = told.wait_for_replica_count or 0
    return not known.has_source and bool(told.waits) and not told.is_waiting and (told.clients or 0) < needed


def _is_read_only(known: KnownTablet) -> bool:
    return not known.has_source and bool(known.tablet.read_only)


def _has_other_gtid_mode(known: KnownTablet) -> bool:
    return known.mysql is not None and any(mode != known.mysql.gtid_mode for mode in gtid_modes(known))


STRUCTURE_WARNINGS: dict[str, Condition] = {
    "NoLoggingReplicasStructureWarning": lambda known: _has_many_replicas(known) and not logging_replicas(known),
    "NoFailoverSupportStructureWarning": lambda known: _has_many_replicas(known) and not uses_gtids(known),
    "StatementAndMixedLoggingReplicasStructureWarning": _writes_both("STATEMENT", "MIXED"),
    "StatementAndRowLoggingReplicasStructureWarning": _writes_both("STATEMENT", "ROW"),
    "MixedAndRowLoggingReplicasStructureWarning": _writes_both("MIXED", "ROW"),
    "MultipleMajorVersionsLoggingReplicasStructureWarning": lambda known: (
        not known.has_source and len(major_versions(logging_replicas(known))) > 1
    ),
    "DifferentGTIDModesStructureWarning": _has_other_gtid_mode,
    "ErrantGTIDStructureWarning": lambda known: any(replica.gtid.errant for replica in known.replicas),
    "NoWriteablePrimaryStructureWarning": _is_read_only,
    "NotEnoughValidSemiSyncReplicasStructureWarning": _lacks_clients,
}
"""Each warning with its condition, in the order of Vitess."""
