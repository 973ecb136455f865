"""The catalogue of problems: one entry each with its code, urgency, place in the order of repairs, and the recovery
it asks for.

Codes keep Vitess' spelling (`go/vt/vtorc/inst/analysis.go`), because dashboards and alerts of its users match on
them. The codes that are ours say so.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vtorc.core.facts.ids import ShardId, TabletAlias


class Recovery(enum.Enum):
    """What can be done about a problem; the values are Vitess' names of its recoveries, which metrics and the API
    show.
    """

    ELECT_NEW_PRIMARY = "ElectNewPrimary"
    RECOVER_DEAD_PRIMARY = "RecoverDeadPrimary"
    RECOVER_PRIMARY_TABLET_DELETED = "RecoverPrimaryTabletDeleted"
    RECOVER_PRIMARY_HAS_PRIMARY = "RecoverPrimaryHasPrimary"
    FIX_PRIMARY = "FixPrimary"
    FIX_REPLICA = "FixReplica"
    RECONCILE_STALE_TOPO_PRIMARY = "ReconcileStaleTopoPrimary"
    RESTART_DIRECT_REPLICA = "RestartArbitraryDirectReplica"
    PLANNED_REPARENT = "PlannedReparentShard"
    EMERGENCY_REPARENT = "EmergencyReparentShard"

    @property
    def replaces_primary(self) -> bool:
        """Whether it makes another tablet the primary because the present one is lost."""
        return self in (Recovery.RECOVER_DEAD_PRIMARY, Recovery.RECOVER_PRIMARY_TABLET_DELETED)


class Code(enum.Enum):
    """Problem codes in the order in which they are considered within one urgency."""

    UNKNOWN_DURABILITY_POLICY = "UnknownDurabilityPolicy"  # ours
    NO_DURABILITY_POLICY = "NoDurabilityPolicy"  # ours
    BAD_TABLET_RECORD = "BadTabletRecord"  # ours
    BLIND_CELL = "BlindCell"  # ours
    PRIMARY_DISK_STALLED = "PrimaryDiskStalled"
    DEAD_PRIMARY_WITHOUT_REPLICAS = "DeadPrimaryWithoutReplicas"
    DEAD_PRIMARY = "DeadPrimary"
    DEAD_PRIMARY_AND_REPLICAS = "DeadPrimaryAndReplicas"
    DEAD_PRIMARY_AND_SOME_REPLICAS = "DeadPrimaryAndSomeReplicas"
    PRIMARY_HAS_PRIMARY = "PrimaryHasPrimary"
    CLUSTER_HAS_NO_PRIMARY = "ClusterHasNoPrimary"
    PRIMARY_TABLET_DELETED = "PrimaryTabletDeleted"
    PRIMARY_SEMI_SYNC_BLOCKED = "PrimarySemiSyncBlocked"
    INVALID_PRIMARY = "InvalidPrimary"
    PRIMARY_IS_READ_ONLY = "PrimaryIsReadOnly"
    STALE_TOPO_PRIMARY = "StaleTopoPrimary"
    REPLICA_IS_WRITABLE = "ReplicaIsWritable"
    REPLICA_SEMI_SYNC_MUST_BE_SET = "ReplicaSemiSyncMustBeSet"
    PRIMARY_SEMI_SYNC_MUST_BE_SET = "PrimarySemiSyncMustBeSet"
    PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET = "PrimarySemiSyncMustNotBeSet"
    REPLICA_SEMI_SYNC_MUST_NOT_BE_SET = "ReplicaSemiSyncMustNotBeSet"
    PRIMARY_CURRENT_TYPE_MISMATCH = "PrimaryCurrentTypeMismatch"
    NOT_CONNECTED_TO_PRIMARY = "NotConnectedToPrimary"
    CONNECTED_TO_WRONG_PRIMARY = "ConnectedToWrongPrimary"
    REPLICATION_STOPPED = "ReplicationStopped"
    REPLICA_MISCONFIGURED = "ReplicaMisconfigured"
    UNREACHABLE_PRIMARY = "UnreachablePrimary"
    UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS = "UnreachablePrimaryWithBrokenReplicas"
    ERRANT_GTID_DETECTED = "ErrantGTIDDetected"
    INVALID_REPLICA = "InvalidReplica"


@dataclass(frozen=True, slots=True)
class Problem:
    """One catalogue entry: 0 is the whole shard's problem, 1 critical … 4 low; `recovery` is None where nothing can
    be done.
    """

    priority: int
    recovery: Recovery | None


CATALOGUE: Mapping[Code, Problem] = MappingProxyType(
    {
        Code.UNKNOWN_DURABILITY_POLICY: Problem(0, None),
        Code.NO_DURABILITY_POLICY: Problem(0, None),
        Code.BAD_TABLET_RECORD: Problem(2, None),
        Code.BLIND_CELL: Problem(2, None),
        Code.PRIMARY_DISK_STALLED: Problem(0, Recovery.RECOVER_DEAD_PRIMARY),
        Code.DEAD_PRIMARY_WITHOUT_REPLICAS: Problem(0, None),
        Code.DEAD_PRIMARY: Problem(0, Recovery.RECOVER_DEAD_PRIMARY),
        Code.DEAD_PRIMARY_AND_REPLICAS: Problem(0, None),
        Code.DEAD_PRIMARY_AND_SOME_REPLICAS: Problem(0, Recovery.RECOVER_DEAD_PRIMARY),
        Code.PRIMARY_HAS_PRIMARY: Problem(0, Recovery.RECOVER_PRIMARY_HAS_PRIMARY),
        Code.CLUSTER_HAS_NO_PRIMARY: Problem(0, Recovery.ELECT_NEW_PRIMARY),
        Code.PRIMARY_TABLET_DELETED: Problem(0, Recovery.RECOVER_PRIMARY_TABLET_DELETED),
        Code.PRIMARY_SEMI_SYNC_BLOCKED: Problem(0, Recovery.RECOVER_DEAD_PRIMARY),
        Code.INVALID_PRIMARY: Problem(1, None),
        Code.PRIMARY_IS_READ_ONLY: Problem(2, Recovery.FIX_PRIMARY),
        Code.STALE_TOPO_PRIMARY: Problem(2, Recovery.RECONCILE_STALE_TOPO_PRIMARY),
        Code.REPLICA_IS_WRITABLE: Problem(3, Recovery.FIX_REPLICA),
        Code.REPLICA_SEMI_SYNC_MUST_BE_SET: Problem(3, Recovery.FIX_REPLICA),
        Code.PRIMARY_SEMI_SYNC_MUST_BE_SET: Problem(3, Recovery.FIX_PRIMARY),
        Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET: Problem(3, Recovery.FIX_PRIMARY),
        Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET: Problem(3, Recovery.FIX_REPLICA),
        Code.PRIMARY_CURRENT_TYPE_MISMATCH: Problem(3, Recovery.FIX_PRIMARY),
        Code.NOT_CONNECTED_TO_PRIMARY: Problem(3, Recovery.FIX_REPLICA),
        Code.CONNECTED_TO_WRONG_PRIMARY: Problem(3, Recovery.FIX_REPLICA),
        Code.REPLICATION_STOPPED: Problem(3, Recovery.FIX_REPLICA),
        Code.REPLICA_MISCONFIGURED: Problem(3, Recovery.FIX_REPLICA),
        Code.UNREACHABLE_PRIMARY: Problem(3, Recovery.RESTART_DIRECT_REPLICA),
        Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS: Problem(3, Recovery.RESTART_DIRECT_REPLICA),
        Code.ERRANT_GTID_DETECTED: Problem(3, None),
        Code.INVALID_REPLICA: Problem(4, None),
    }
)

_ORDER = {code: index for index, code in enumerate(Code)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of one tablet (or, with no alias, of the shard), with what was seen.

    `confirmed` is False while the evidence is not complete: nothing may be done about it yet, but probes should
    hurry. `evidence` holds the inputs of the condition as text, for people. `may_be_load` says that the tablet may be
    overloaded rather than broken: then another one in its place would be next.
    """

    code: Code
    shard: ShardId
    alias: TabletAlias | None
    sentence: str
    confirmed: bool = True
    evidence: Mapping[str, str] = field(default_factory=dict)
    may_be_load: bool = False

    @property
    def problem(self) -> Problem:
        """Its catalogue entry."""
        return CATALOGUE[self.code]

    @property
    def sort_key(self) -> tuple[int, int, str]:
        """Most urgent first; within one urgency in catalogue order, then by tablet."""
        return (self.problem.priority, _ORDER[self.code], str(self.alias or ""))
