"""The command hooks of Vitess v12: the occasions on which they run, and the words that their commands get.

The names and placeholders are those of v12 (`go/vt/orchestrator/logic/topology_recovery.go`, `executeProcesses`,
`prepareCommand`), with those of v11, which says master and slave.
"""

import enum
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.records import TabletRecord


class Hook(enum.Enum):
    """An occasion on which commands of the operator run, by v12's key of the settings file."""

    ON_DETECTION = "OnFailureDetectionProcesses"
    PRE_GRACEFUL_TAKEOVER = "PreGracefulTakeoverProcesses"
    PRE_FAILOVER = "PreFailoverProcesses"
    POST_PRIMARY_FAILOVER = "PostPrimaryFailoverProcesses"
    POST_FAILOVER = "PostFailoverProcesses"
    POST_UNSUCCESSFUL_FAILOVER = "PostUnsuccessfulFailoverProcesses"
    POST_GRACEFUL_TAKEOVER = "PostGracefulTakeoverProcesses"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookOccasion:
    """The facts that the commands of a hook are told."""

    shard: ShardId
    code: str
    """The problem; `DeadPrimary` for what an operator asked for, as in v12."""
    description: str
    """The problem, or what is done, in one sentence."""
    recovery: int = 0
    """The name of the recovery: when it began, in nanoseconds since the Unix epoch; 0 if there is none."""
    command: str = ""
    """An operator's request, in v12's words; empty if vtorc acts by itself."""
    failed: TabletRecord | None = None
    """The tablet that has the problem, or is replaced; None if it is the whole shard."""
    is_primary: bool = True
    """Whether that tablet is the primary."""
    replicas: tuple[TabletRecord, ...] = ()
    """The other tablets of the shard."""
    successor: TabletRecord | None = None
    """The new primary; None without one."""

    def words(self) -> dict[str, str]:
        """Return what a command is told, by the names of v12's placeholders."""
        hosts = ",".join(map(_address, self.replicas))
        flag = {True: "true", False: "false"}
        words = {
            "failureType": self.code,
            "instanceType": "primary" if self.is_primary else "replica",
            "isPrimary": flag[self.is_primary],
            "isMaster": flag[self.is_primary],
            "isCoPrimary": "false",
            "isCoMaster": "false",
            "failureDescription": self.description,
            "command": self.command,
            "failedHost": self.failed.mysql_hostname if self.failed is not None else "",
            "failedPort": str(self.failed.mysql_port) if self.failed is not None else "",
            "failureCluster": _address(self.failed) if self.failed is not None else str(self.shard),
            "failureClusterAlias": f"{self.shard.keyspace}:{self.shard.shard}",
            "failureClusterDomain": "",
            "countReplicas": str(len(self.replicas)),
            "countSlaves": str(len(self.replicas)),
            "isDowntimed": "false",
            "autoPrimaryRecovery": "true",
            "autoMasterRecovery": "true",
            "autoIntermediatePrimaryRecovery": "false",
            "autoIntermediateMasterRecovery": "false",
            "recoveryUID": str(self.recovery or ""),
            "isSuccessful": flag[self.successor is not None],
            "lostReplicas": "",
            "countLostReplicas": "0",
            "replicaHosts": hosts,
            "slaveHosts": hosts,
        }
        if self.successor is not None:
            words |= {
                "successorHost": self.successor.mysql_hostname,
                "successorPort": str(self.successor.mysql_port),
                "successorAlias": str(self.successor.alias),
            }
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class HookResult:
    """How a command of a hook ended."""

    result: str
    """"done", or why it counts as failed."""
    output: str
    """Its output, as far as it is kept."""
    seconds: float
    """How long it ran."""

    @property
    def is_done(self) -> bool:
        """Whether it ended well."""
        return self.result == "done"


class PreHooks(Protocol):
    """Runs the commands that may refuse a recovery."""

    def count(self, hook: Hook) -> int:
        """Return how many commands the operator has for a hook."""
        ...

    async def run(self, hook: Hook, number: int, occasion: HookOccasion) -> HookResult:
        """Run a command of a hook, counted from 1, within its time limit; a cancelled call ends the command."""
        ...


class NoHooks:
    """The hooks of an operator without any."""

    def count(self, hook: Hook) -> int:
        """Return that there is no command."""
        return 0

    async def run(self, hook: Hook, number: int, occasion: HookOccasion) -> HookResult:
        """Do nothing."""
        return HookResult(result="done", output="", seconds=0.0)


def _address(record: TabletRecord) -> str:
    return f"{record.mysql_hostname}:{record.mysql_port}"
