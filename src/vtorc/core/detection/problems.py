"""The catalogue of problems: one row each with all that is known of it.

Codes keep Vitess' spelling (`go/vt/vtorc/inst/analysis.go`), because dashboards and alerts of its users match on them.
The codes that only vtorc has say so.
"""

import enum
from dataclasses import dataclass
from typing import Self

from vtorc.core.detection.recoveries import Recovery


class PrimaryDoubt(enum.Enum):
    """How a problem bears on the shard's primary."""

    CERTAIN = "certain"
    """The primary is not in question."""
    IN_DOUBT = "in doubt"
    """The shard may have no primary that takes writes; other repairs wait for that."""
    UNREACHED = "unreached"
    """In doubt, and vtorc cannot tell whether the primary or vtorc itself is cut off."""


class ReplicationChange(enum.Enum):
    """How the repair of a problem changes the replication of its tablet."""

    NONE = "none"
    """No problem."""
    RESTART = "restart"
    """Stops the threads and starts them again; the relay log stays (StopReplication, StartReplication)."""
    ATTACH = "attach"
    """Points it at the primary with SetReplicationSource and nothing else, which drops its relay log."""
    REATTACH = "reattach"
    """The same with a replica that may acknowledge for the primary already, so one tablet of a shard at a time.

    The dropped relay logs together may be all copies of an acknowledged write but the primary's.
    """
    DETACH = "detach"
    """Takes its source away, which drops its relay log."""

    @property
    def attaches(self) -> bool:
        """Whether it points the tablet at the primary."""
        return self in (ReplicationChange.ATTACH, ReplicationChange.REATTACH)

    @property
    def lets_replicate(self) -> bool:
        """Whether the tablet receives from the primary afterwards."""
        return self.attaches or self is ReplicationChange.RESTART

    @property
    def drops_relay_log(self) -> bool:
        """Whether the tablet loses the transactions that wait in its relay log."""
        return self.attaches or self is ReplicationChange.DETACH

    @property
    def one_at_a_time(self) -> bool:
        """Whether only one tablet of a shard is repaired at a time."""
        return self is ReplicationChange.REATTACH


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the catalogue; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The code as operators and programs read it."""
    priority: int
    """0 concerns the whole shard, 1 is critical, 2 high, 3 medium, 4 low, as in Vitess."""
    recovery: Recovery | None
    """The recovery that it asks for; None where no recovery of vtorc could help."""
    primary: PrimaryDoubt
    """How it bears on the primary."""
    replication: ReplicationChange
    """How its repair changes replication."""
    warns: bool
    """Whether vtorc logs a warning when it does nothing about the problem."""


class Code(enum.Enum):
    """Problem codes in the order in which they are considered within one priority; each member is its row."""

    _value_: str
    problem: Problem
    order: int

    def __new__(cls, problem: Problem) -> Self:
        """Make a member with the spelling as its value, and its place in the list as its order."""
        member = object.__new__(cls)
        member._value_ = problem.spelling
        member.problem = problem
        member.order = len(cls.__members__)
        return member

    # Two lines a row, aligned by hand: the code, then priority, recovery, primary, replication and warns.
    # fmt: off
    UNKNOWN_DURABILITY_POLICY = Problem("UnknownDurabilityPolicy",  # only vtorc has it
        0, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    NO_DURABILITY_POLICY = Problem("NoDurabilityPolicy",  # only vtorc has it
        0, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    BAD_TABLET_RECORD = Problem("BadTabletRecord",  # only vtorc has it
        2, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    UNREACHABLE_CELL = Problem("UnreachableCell",  # only vtorc has it
        2, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    UNKNOWN_SEMI_SYNC_CLIENTS = Problem("UnknownSemiSyncClients",  # only vtorc has it
        2, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    PRIMARY_DISK_STALLED = Problem("PrimaryDiskStalled",
        0, Recovery.RECOVER_DEAD_PRIMARY,           PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    DEAD_PRIMARY_WITHOUT_REPLICAS = Problem("DeadPrimaryWithoutReplicas",
        0, None,                                    PrimaryDoubt.UNREACHED, ReplicationChange.NONE,     warns=True)
    DEAD_PRIMARY = Problem("DeadPrimary",
        0, Recovery.RECOVER_DEAD_PRIMARY,           PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    DEAD_PRIMARY_AND_REPLICAS = Problem("DeadPrimaryAndReplicas",
        0, None,                                    PrimaryDoubt.UNREACHED, ReplicationChange.NONE,     warns=True)
    DEAD_PRIMARY_AND_SOME_REPLICAS = Problem("DeadPrimaryAndSomeReplicas",
        0, Recovery.RECOVER_DEAD_PRIMARY,           PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    PRIMARY_HAS_PRIMARY = Problem("PrimaryHasPrimary",
        0, Recovery.RECOVER_PRIMARY_HAS_PRIMARY,    PrimaryDoubt.IN_DOUBT,  ReplicationChange.DETACH,   warns=True)
    CLUSTER_HAS_NO_PRIMARY = Problem("ClusterHasNoPrimary",
        0, Recovery.ELECT_NEW_PRIMARY,              PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    PRIMARY_TABLET_DELETED = Problem("PrimaryTabletDeleted",
        0, Recovery.RECOVER_PRIMARY_TABLET_DELETED, PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    PRIMARY_SEMI_SYNC_BLOCKED = Problem("PrimarySemiSyncBlocked",
        0, Recovery.RECOVER_DEAD_PRIMARY,           PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    PRIMARY_ROLLED_BACK = Problem("PrimaryRolledBack",  # only vtorc has it
        0, Recovery.RECOVER_DEAD_PRIMARY,           PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    INVALID_PRIMARY = Problem("InvalidPrimary",
        1, None,                                    PrimaryDoubt.IN_DOUBT,  ReplicationChange.NONE,     warns=True)
    SHARD_TAKES_NO_WRITES = Problem("ShardTakesNoWrites",  # only vtorc has it
        1, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    PRIMARY_IS_READ_ONLY = Problem("PrimaryIsReadOnly",
        2, Recovery.FIX_PRIMARY,                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    PRIMARY_RECORD_OUTDATED = Problem("PrimaryRecordOutdated",  # only vtorc has it
        2, Recovery.CORRECT_PRIMARY_RECORD,         PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    STALE_TOPO_PRIMARY = Problem("StaleTopoPrimary",
        2, Recovery.RECONCILE_STALE_TOPO_PRIMARY,   PrimaryDoubt.CERTAIN,   ReplicationChange.DETACH,   warns=False)
    REPLICA_IS_WRITABLE = Problem("ReplicaIsWritable",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    REPLICA_SEMI_SYNC_MUST_BE_SET = Problem("ReplicaSemiSyncMustBeSet",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.RESTART,  warns=False)
    PRIMARY_SEMI_SYNC_MUST_BE_SET = Problem("PrimarySemiSyncMustBeSet",
        3, Recovery.FIX_PRIMARY,                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET = Problem("PrimarySemiSyncMustNotBeSet",
        3, Recovery.FIX_PRIMARY,                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    REPLICA_SEMI_SYNC_MUST_NOT_BE_SET = Problem("ReplicaSemiSyncMustNotBeSet",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.RESTART,  warns=False)
    PRIMARY_CURRENT_TYPE_MISMATCH = Problem("PrimaryCurrentTypeMismatch",
        3, Recovery.FIX_PRIMARY,                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    NOT_CONNECTED_TO_PRIMARY = Problem("NotConnectedToPrimary",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.ATTACH,   warns=False)
    CONNECTED_TO_WRONG_PRIMARY = Problem("ConnectedToWrongPrimary",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.ATTACH,   warns=False)
    REPLICATION_STOPPED = Problem("ReplicationStopped",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.RESTART,  warns=False)
    REPLICATION_BROKEN = Problem("ReplicationBroken",  # only vtorc has it
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.RESTART,  warns=True)
    REPLICA_CUT_OFF = Problem("ReplicaCutOff",  # only vtorc has it
        3, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    REPLICA_MISCONFIGURED = Problem("ReplicaMisconfigured",
        3, Recovery.FIX_REPLICA,                    PrimaryDoubt.CERTAIN,   ReplicationChange.REATTACH, warns=False)
    UNREACHABLE_PRIMARY = Problem("UnreachablePrimary",
        3, Recovery.RESTART_DIRECT_REPLICA,         PrimaryDoubt.UNREACHED, ReplicationChange.NONE,     warns=False)
    UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS = Problem("UnreachablePrimaryWithBrokenReplicas",
        3, Recovery.RESTART_DIRECT_REPLICA,         PrimaryDoubt.UNREACHED, ReplicationChange.NONE,     warns=False)
    ERRANT_GTID_DETECTED = Problem("ErrantGTIDDetected",
        3, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    REPLICA_ROLLED_BACK = Problem("ReplicaRolledBack",  # only vtorc has it
        2, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    TABLET_UNFIT = Problem("TabletUnfit",  # only vtorc has it
        3, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    UNSTABLE_TABLET = Problem("UnstableTablet",  # only vtorc has it
        4, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=True)
    INVALID_REPLICA = Problem("InvalidReplica",
        4, None,                                    PrimaryDoubt.CERTAIN,   ReplicationChange.NONE,     warns=False)
    # fmt: on
