"""The parts of v12's API that vtorc refuses, each with the reason and with what to do instead."""

from collections.abc import Callable

from vtorc.server.v12.answers import V12Error
from vtorc.server.v12.call import Call

NOT_IMPLEMENTED = 501

_SOURCE = "each replica of a shard replicates from its primary, and vtorc points it there by itself"
_RELOCATE = f"{_SOURCE}; to change the source by hand use `vtctldclient ReparentTablet ALIAS`"
_TOPOLOGY = f"{_SOURCE}; to make another tablet the primary use graceful-primary-takeover/HINT/HOST/PORT"
_FILE_POSITION = f"vtorc moves replicas by GTID only, never by file and position; {_RELOCATE}"
_MYSQL = "vtorc has no SQL session of its own; use `vtctldclient ExecuteFetchAsDBA ALIAS '{}'`"
_DETACH = (
    "a detached replica looks broken to Vitess; to take a tablet out use `vtctldclient ChangeTabletType ALIAS drained`"
)
_ERRANT = "vtorc shows errant transactions and does not remove them; restore the tablet from a backup"
_POOLS = "pools belong to orchestrator's own clients; Vitess routes by tablet type"
_KV = "the primary of a shard is in its shard record: use `vtctldclient GetShard KEYSPACE/SHARD`"
_NAMES = "Vitess' tablet records have the host names; change them there"
_FORGET = (
    "a tablet is known as long as it has a record, and an election has to count it; remove the record by"
    " `vtctldclient DeleteTablets ALIAS`, and vtorc forgets it at once"
)
_NODES = "each vtorc acts by itself, and the shard lock keeps several of them apart"
_METRICS = "vtorc does not keep these measurements; what it counts is at /metrics"
_BACKEND = "vtorc has no backend database; what it counts is at /metrics"
_RAFT = "vtorc has no raft group; each one acts by itself, and the shard lock keeps several of them apart"
_PSEUDO_GTID = "vtorc knows real GTIDs only"
_SEMI_SYNC = "the durability policy of the keyspace sets semi-sync: use `vtctldclient SetKeyspaceDurabilityPolicy`"

REASONS: dict[str, str] = {
    "regroup-replicas": _TOPOLOGY,
    "regroup-replicas-gtid": _TOPOLOGY,
    "regroup-replicas-bls": "Vitess has no binlog servers",
    "move-up": _FILE_POSITION,
    "move-up-replicas": _FILE_POSITION,
    "move-below": _FILE_POSITION,
    "make-co-primary": "two primaries that replicate from each other are what vtorc repairs",
    "take-siblings": _RELOCATE,
    "take-primary": _TOPOLOGY,
    "enable-gtid": "Vitess needs GTIDs on every server from its start: set gtid_mode=ON in its settings",
    "disable-gtid": "Vitess needs GTIDs on every server",
    "locate-gtid-errant": "vtorc reads no binary logs; the transactions are in GtidErrant of instance/HOST/PORT",
    "gtid-errant-reset-primary": _ERRANT,
    "gtid-errant-inject-empty": _ERRANT,
    "skip-query": "the replica would count as having a transaction that it lacks, and could be promoted without that"
    " write; mend what the error names, or restore the tablet from a backup",
    "reset-replica": _DETACH,
    "detach-replica": _DETACH,
    "detach-replica-primary-host": _DETACH,
    "reattach-replica": _RELOCATE,
    "reattach-replica-primary-host": _RELOCATE,
    "purge-binary-logs": "vtorc deletes no binary logs; MySQL does by binlog_expire_logs_seconds",
    "set-writeable": "vtorc keeps the primary writable; for a tablet use `vtctldclient SetWritable ALIAS true`",
    "kill-query": _MYSQL.format("KILL ID"),
    "submit-pool-instances": _POOLS,
    "heuristic-cluster-pool-instances": _POOLS,
    "heuristic-cluster-pool-lag": _POOLS,
    "snapshot-topologies": "vtorc keeps no snapshots of topologies; recoveries are in its history",
    "set-cluster-alias": "the alias of a cluster is its keyspace and shard, and stays",
    "submit-primaries-to-kv-stores": _KV,
    "forget": _FORGET,
    "forget-cluster": _FORGET,
    "grab-election": _NODES,
    "reelect": _NODES,
    "reload-cluster-alias": "this was retired in Vitess 12 already; the alias of a cluster is its keyspace and shard",
    "register-hostname-unresolve": _NAMES,
    "deregister-hostname-unresolve": _NAMES,
    "discovery-metrics-raw": _METRICS,
    "discovery-metrics-aggregated": _METRICS,
    "discovery-queue-metrics-raw": _METRICS,
    "discovery-queue-metrics-aggregated": _METRICS,
    "backend-query-metrics-raw": _BACKEND,
    "backend-query-metrics-aggregated": _BACKEND,
    "write-buffer-metrics-raw": _BACKEND,
    "write-buffer-metrics-aggregated": _BACKEND,
}
"""The reason for each route of v12 that is refused, by its first segment."""

FOREIGN: dict[str, str] = {
    "raft-state": _RAFT,
    "raft-health": _RAFT,
    "raft-leader": _RAFT,
    "raft-yield": _RAFT,
    "raft-yield-hint": _RAFT,
    "match": _PSEUDO_GTID,
    "match-below": _PSEUDO_GTID,
    "match-up": _PSEUDO_GTID,
    "match-up-replicas": _PSEUDO_GTID,
    "match-replicas": _PSEUDO_GTID,
    "last-pseudo-gtid": _PSEUDO_GTID,
    "move-equivalent": _FILE_POSITION,
    "move-gtid": _RELOCATE,
    "delay-replication": "vtorc sets no delay; set MySQL's SOURCE_DELAY on the tablet itself",
    "enable-semi-sync-primary": _SEMI_SYNC,
    "disable-semi-sync-primary": _SEMI_SYNC,
    "enable-semi-sync-replica": _SEMI_SYNC,
    "disable-semi-sync-replica": _SEMI_SYNC,
    "agents": "orchestrator's agents are no part of Vitess",
    "agent": "orchestrator's agents are no part of Vitess",
    "seeds": "Vitess makes new replicas from backups: see `vtctldclient RestoreFromBackup`",
}
"""The reason for what orchestrator had and v12 had no more, by the first segment of the path."""


def refusal(command: str) -> Callable[[Call], object]:
    """Return a handler that refuses a command of `REASONS`."""
    reason = REASONS[command]

    def refuse(_: Call) -> object:
        raise refused(command, reason)

    return refuse


def refused(command: str, reason: str) -> V12Error:
    """Return the error that refuses a command for a reason."""
    return V12Error(f"{command} is not supported by vtorc: {reason}", status=NOT_IMPLEMENTED)


def unknown(path: tuple[str, ...], first: str) -> V12Error:
    """Return the error for a path that no route has; `first` is its first segment by its newest name."""
    if first in FOREIGN:
        return refused(first, FOREIGN[first])
    return V12Error(f"/api/{'/'.join(path)} is unknown: see the list of Vitess 12's API for its paths", status=404)
