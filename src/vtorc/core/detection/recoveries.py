"""The catalogue of recoveries: one row each with all that is known of it, whatever calls for it.

The names keep Vitess' spelling (`go/vt/vtorc/logic/topology_recovery.go`), because metrics and the API show them.
"""

import enum
from dataclasses import dataclass
from typing import Self

from vtorc.core.facts.holds import Effect


class Urgency(enum.IntEnum):
    """How soon a recovery may begin while others wait for a slot too, the most urgent first."""

    LOST_PRIMARY = 0  # to replace it, or to find out whether it is lost: the outage is the same
    FIRST_ELECTION = 1
    PRIMARY_REPAIR = 2
    REPLICA_REPAIR = 3

    @property
    def is_repair(self) -> bool:
        """Whether the primary stays; repairs have slots of their own."""
        return self >= Urgency.PRIMARY_REPAIR


class Reparent(enum.Enum):
    """An operation of Vitess that gives a shard another primary, by its name in metrics and in the reparent journal."""

    EMERGENCY = "EmergencyReparentShard"
    """It replaces a primary that is lost, or taken for lost by an operator."""
    PLANNED = "PlannedReparentShard"
    """It moves a primary that is well, or elects the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryTraits:
    """One row of the catalogue; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """Vitess' name of the recovery."""
    intent: str
    """The end of the sentence that announces it."""
    urgency: Urgency
    """Its place among the recoveries that wait for a slot."""
    reparent: Reparent | None
    """The operation of Vitess that it comes down to; None where the primary stays."""
    replaces_primary: bool
    """Whether it makes another tablet the primary because the present one is lost."""
    batches: bool
    """Whether it keeps the primary and sees to the findings of several tablets at once."""
    changes_tablet: bool
    """Whether it changes how the MySQL of the tablet in the finding replicates, which an external source forbids."""
    forbidden_by: Effect | None
    """The effect of a hold by which vtorc does not begin it; None for one that only operators ask for."""
    may_be_outranked: bool
    """Whether it is broken off when the primary is lost meanwhile. Recoveries that end within seconds are not."""


def _of_operators(spelling: str, intent: str) -> RecoveryTraits:
    """Return the row of a command on replicas that operators give: no problem calls for it, and the primary stays."""
    return RecoveryTraits(
        spelling=spelling,
        intent=intent,
        urgency=Urgency.REPLICA_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=False,
        changes_tablet=True,
        may_be_outranked=True,
        forbidden_by=None,
    )


class Recovery(enum.Enum):
    """A kind of recovery; each member is its row, so that none can be forgotten."""

    _value_: str
    traits: RecoveryTraits

    def __new__(cls, traits: RecoveryTraits) -> Self:
        """Make a member; its value is the spelling."""
        member = object.__new__(cls)
        member._value_ = traits.spelling
        member.traits = traits
        return member

    ELECT_NEW_PRIMARY = RecoveryTraits(
        spelling="ElectNewPrimary",
        intent="electing the first primary",
        urgency=Urgency.FIRST_ELECTION,
        reparent=Reparent.PLANNED,
        replaces_primary=False,
        batches=False,
        changes_tablet=False,
        forbidden_by=Effect.NO_FAILOVER,
        may_be_outranked=False,
    )
    RECOVER_DEAD_PRIMARY = RecoveryTraits(
        spelling="RecoverDeadPrimary",
        intent="replacing the primary",
        urgency=Urgency.LOST_PRIMARY,
        reparent=Reparent.EMERGENCY,
        replaces_primary=True,
        batches=False,
        changes_tablet=False,
        forbidden_by=Effect.NO_FAILOVER,
        may_be_outranked=False,
    )
    RECOVER_PRIMARY_TABLET_DELETED = RecoveryTraits(
        spelling="RecoverPrimaryTabletDeleted",
        intent="replacing the primary",
        urgency=Urgency.LOST_PRIMARY,
        reparent=Reparent.EMERGENCY,
        replaces_primary=True,
        batches=False,
        changes_tablet=False,
        forbidden_by=Effect.NO_FAILOVER,
        may_be_outranked=False,
    )
    RECOVER_PRIMARY_HAS_PRIMARY = RecoveryTraits(
        spelling="RecoverPrimaryHasPrimary",
        intent="removing its replication source",
        urgency=Urgency.PRIMARY_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=False,
        changes_tablet=True,
        forbidden_by=Effect.NO_REPAIR,
        may_be_outranked=True,
    )
    FIX_PRIMARY = RecoveryTraits(
        spelling="FixPrimary",
        intent="repairing the primary",
        urgency=Urgency.PRIMARY_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=True,
        changes_tablet=True,
        forbidden_by=Effect.NO_REPAIR,
        may_be_outranked=True,
    )
    FIX_REPLICA = RecoveryTraits(
        spelling="FixReplica",
        intent="repairing the replica",
        urgency=Urgency.REPLICA_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=True,
        changes_tablet=True,
        forbidden_by=Effect.NO_REPAIR,
        may_be_outranked=True,
    )
    RECONCILE_STALE_TOPO_PRIMARY = RecoveryTraits(
        spelling="ReconcileStaleTopoPrimary",
        intent="making it a replica of the present primary",
        urgency=Urgency.REPLICA_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=True,
        changes_tablet=True,
        forbidden_by=Effect.NO_REPAIR,
        may_be_outranked=True,
    )
    CORRECT_PRIMARY_RECORD = RecoveryTraits(  # only vtorc has it
        spelling="CorrectPrimaryRecord",
        intent="writing into its record that it is primary",
        urgency=Urgency.PRIMARY_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=False,
        changes_tablet=False,
        forbidden_by=Effect.NO_REPAIR,
        may_be_outranked=True,
    )
    DRAIN_ERRANT_TABLET = RecoveryTraits(
        spelling="RecoverErrantGTIDDetected",
        intent="changing its type to DRAINED",
        urgency=Urgency.REPLICA_REPAIR,
        reparent=None,
        replaces_primary=False,
        batches=False,
        changes_tablet=True,
        forbidden_by=Effect.NO_REPAIR,
        may_be_outranked=True,
    )
    RESTART_DIRECT_REPLICA = RecoveryTraits(
        spelling="RestartArbitraryDirectReplica",
        intent="making one replica reconnect to learn more",
        urgency=Urgency.LOST_PRIMARY,
        reparent=None,
        replaces_primary=False,
        batches=False,
        changes_tablet=False,
        forbidden_by=Effect.NO_FAILOVER,
        may_be_outranked=False,
    )
    PLANNED_REPARENT = RecoveryTraits(
        spelling="PlannedReparentShard",
        intent="moving the primary as an operator asked",
        urgency=Urgency.REPLICA_REPAIR,
        reparent=Reparent.PLANNED,
        replaces_primary=False,
        batches=False,
        changes_tablet=False,
        forbidden_by=None,
        may_be_outranked=True,
    )
    EMERGENCY_REPARENT = RecoveryTraits(
        spelling="EmergencyReparentShard",
        intent="replacing the primary as an operator asked",
        urgency=Urgency.REPLICA_REPAIR,
        reparent=Reparent.EMERGENCY,
        replaces_primary=False,
        batches=False,
        changes_tablet=False,
        forbidden_by=None,
        may_be_outranked=False,
    )
    REPARENT_TABLET = _of_operators("ReparentTablet", "making it replicate from the primary as an operator asked")
    START_REPLICATION = _of_operators("StartReplication", "starting its replication as an operator asked")
    RESTART_REPLICATION = _of_operators("RestartReplication", "restarting its replication as an operator asked")
    STOP_REPLICATION = _of_operators("StopReplication", "stopping its replication as an operator asked")
    STOP_REPLICATION_NICELY = _of_operators(  # only vtorc has it; orchestrator calls it stop-replica-nice
        "StopReplicationNicely", "stopping its replication after its relay log as an operator asked"
    )
    SET_READ_ONLY = _of_operators("SetReadOnly", "making it read-only as an operator asked")
    FLUSH_BINARY_LOGS = _of_operators("FlushBinaryLogs", "beginning a new binary log as an operator asked")

    @property
    def replaces_primary(self) -> bool:
        """Whether it makes another tablet the primary because the present one is lost."""
        return self.traits.replaces_primary
