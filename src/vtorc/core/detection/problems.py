"""The catalogue of problems: one row each with its code, urgency, place in the order of repairs, the recovery that it
asks for, and all else that is known of it.

Codes keep Vitess' spelling (`go/vt/vtorc/inst/analysis.go`), because dashboards and alerts of its users match on
them. The codes that are ours say so.
"""

import enum
from dataclasses import dataclass
from typing import Self

from vtorc.core.detection.recoveries import Recovery


class PrimaryDoubt(enum.Enum):
    """What a problem says about the shard's primary."""

    CERTAIN = "certain"
    """The primary is not in question."""
    IN_DOUBT = "in doubt"
    """The shard may have no primary that takes writes; other repairs wait for that."""
    UNREACHED = "unreached"
    """In doubt, and vtorc cannot tell whether the primary or vtorc itself is cut off."""


class ReplicationChange(enum.Enum):
    """What the repair of a problem does to the replication of the tablet in the finding."""

    NONE = "none"
    """Nothing."""
    RESTART = "restart"
    """Stops the threads and starts them again; the relay log stays (StopReplication, StartReplication)."""
    ATTACH = "attach"
    """Points it at the primary with SetReplicationSource and nothing else, which drops its relay log."""
    DETACH = "detach"
    """Takes its source away, which drops its relay log."""

    @property
    def drops_relay_log(self) -> bool:
        """Whether transactions that wait in the relay log are lost on that tablet."""
        return self in (ReplicationChange.ATTACH, ReplicationChange.DETACH)


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the catalogue; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The code as people and programs read it."""
    priority: int
    """0 concerns the whole shard, 1 is critical, 2 high, 3 medium, 4 low, as in Vitess."""
    recovery: Recovery | None
    """The recovery that it asks for; None where no recovery of vtorc could help."""
    primary: PrimaryDoubt
    """What it says about the primary."""
    replication: ReplicationChange
    """What its repair does to replication."""
    warns: bool
    """Whether standing still before it is logged as a warning."""
    one_at_a_time: bool
    """Whether only one tablet of a shard is repaired at a time: each repair drops the relay log of a tablet that
    acknowledges, and all of them together may be all copies of an acknowledged write but the primary's.
    """


class Code(enum.Enum):
    """Problem codes in the order in which they are considered within one urgency; each member is its row."""

    _value_: str
    problem: Problem
    order: int

    def __new__(cls, problem: Problem) -> Self:
        """Make a member: its value is the spelling, its order its place in the list."""
        member = object.__new__(cls)
        member._value_ = problem.spelling
        member.problem = problem
        member.order = len(cls.__members__)
        return member

    UNKNOWN_DURABILITY_POLICY = Problem(
        "UnknownDurabilityPolicy",  # ours
        priority=0,
        recovery=None,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    NO_DURABILITY_POLICY = Problem(
        "NoDurabilityPolicy",  # ours
        priority=0,
        recovery=None,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    BAD_TABLET_RECORD = Problem(
        "BadTabletRecord",  # ours
        priority=2,
        recovery=None,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    UNREACHABLE_CELL = Problem(
        "UnreachableCell",  # ours
        priority=2,
        recovery=None,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    PRIMARY_DISK_STALLED = Problem(
        "PrimaryDiskStalled",
        priority=0,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    DEAD_PRIMARY_WITHOUT_REPLICAS = Problem(
        "DeadPrimaryWithoutReplicas",
        priority=0,
        recovery=None,
        primary=PrimaryDoubt.UNREACHED,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    DEAD_PRIMARY = Problem(
        "DeadPrimary",
        priority=0,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    DEAD_PRIMARY_AND_REPLICAS = Problem(
        "DeadPrimaryAndReplicas",
        priority=0,
        recovery=None,
        primary=PrimaryDoubt.UNREACHED,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    DEAD_PRIMARY_AND_SOME_REPLICAS = Problem(
        "DeadPrimaryAndSomeReplicas",
        priority=0,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    PRIMARY_HAS_PRIMARY = Problem(
        "PrimaryHasPrimary",
        priority=0,
        recovery=Recovery.RECOVER_PRIMARY_HAS_PRIMARY,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.DETACH,
        warns=True,
        one_at_a_time=False,
    )
    CLUSTER_HAS_NO_PRIMARY = Problem(
        "ClusterHasNoPrimary",
        priority=0,
        recovery=Recovery.ELECT_NEW_PRIMARY,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    PRIMARY_TABLET_DELETED = Problem(
        "PrimaryTabletDeleted",
        priority=0,
        recovery=Recovery.RECOVER_PRIMARY_TABLET_DELETED,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    PRIMARY_SEMI_SYNC_BLOCKED = Problem(
        "PrimarySemiSyncBlocked",
        priority=0,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    INVALID_PRIMARY = Problem(
        "InvalidPrimary",
        priority=1,
        recovery=None,
        primary=PrimaryDoubt.IN_DOUBT,
        replication=ReplicationChange.NONE,
        warns=True,
        one_at_a_time=False,
    )
    PRIMARY_IS_READ_ONLY = Problem(
        "PrimaryIsReadOnly",
        priority=2,
        recovery=Recovery.FIX_PRIMARY,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    STALE_TOPO_PRIMARY = Problem(
        "StaleTopoPrimary",
        priority=2,
        recovery=Recovery.RECONCILE_STALE_TOPO_PRIMARY,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.DETACH,
        warns=False,
        one_at_a_time=False,
    )
    REPLICA_IS_WRITABLE = Problem(
        "ReplicaIsWritable",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    REPLICA_SEMI_SYNC_MUST_BE_SET = Problem(
        "ReplicaSemiSyncMustBeSet",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.RESTART,
        warns=False,
        one_at_a_time=False,
    )
    PRIMARY_SEMI_SYNC_MUST_BE_SET = Problem(
        "PrimarySemiSyncMustBeSet",
        priority=3,
        recovery=Recovery.FIX_PRIMARY,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET = Problem(
        "PrimarySemiSyncMustNotBeSet",
        priority=3,
        recovery=Recovery.FIX_PRIMARY,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    REPLICA_SEMI_SYNC_MUST_NOT_BE_SET = Problem(
        "ReplicaSemiSyncMustNotBeSet",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.RESTART,
        warns=False,
        one_at_a_time=False,
    )
    PRIMARY_CURRENT_TYPE_MISMATCH = Problem(
        "PrimaryCurrentTypeMismatch",
        priority=3,
        recovery=Recovery.FIX_PRIMARY,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    NOT_CONNECTED_TO_PRIMARY = Problem(
        "NotConnectedToPrimary",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.ATTACH,
        warns=False,
        one_at_a_time=False,
    )
    CONNECTED_TO_WRONG_PRIMARY = Problem(
        "ConnectedToWrongPrimary",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.ATTACH,
        warns=False,
        one_at_a_time=False,
    )
    REPLICATION_STOPPED = Problem(
        "ReplicationStopped",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.RESTART,
        warns=False,
        one_at_a_time=False,
    )
    REPLICA_MISCONFIGURED = Problem(
        "ReplicaMisconfigured",
        priority=3,
        recovery=Recovery.FIX_REPLICA,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.ATTACH,
        warns=False,
        one_at_a_time=True,
    )
    UNREACHABLE_PRIMARY = Problem(
        "UnreachablePrimary",
        priority=3,
        recovery=Recovery.RESTART_DIRECT_REPLICA,
        primary=PrimaryDoubt.UNREACHED,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS = Problem(
        "UnreachablePrimaryWithBrokenReplicas",
        priority=3,
        recovery=Recovery.RESTART_DIRECT_REPLICA,
        primary=PrimaryDoubt.UNREACHED,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    ERRANT_GTID_DETECTED = Problem(
        "ErrantGTIDDetected",
        priority=3,
        recovery=None,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
    INVALID_REPLICA = Problem(
        "InvalidReplica",
        priority=4,
        recovery=None,
        primary=PrimaryDoubt.CERTAIN,
        replication=ReplicationChange.NONE,
        warns=False,
        one_at_a_time=False,
    )
