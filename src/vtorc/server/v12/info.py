"""Handlers that tell about instances and clusters."""

import re

from vtorc.core.facts.gtid import GtidSet
from vtorc.server.today.known import TodayLimits
from vtorc.server.v12 import tree
from vtorc.server.v12.analyses import analyses, cluster_info
from vtorc.server.v12.answers import GoObject, Told, V12Error, key_of
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Server
from vtorc.server.v12.downtime import downtime_of
from vtorc.server.v12.instances import instance, problems, promotion_rule

BINLOG_FORMATS = ("STATEMENT", "MIXED", "ROW")
"""In the order in which a replica may only have a later one than its source."""

MAINTENANCE_LAG = 20
"""ReasonableMaintenanceReplicationLagSeconds: a source that is late on purpose by more gives this to its replicas."""

REPLICA_SYNTAX = (8, 0, 22)
"""The version of MySQL that has STOP REPLICA beside STOP SLAVE, which later ones do not have."""


def all_instances(call: Call) -> list[GoObject]:
    """Return all instances."""
    return _instances(call, list(call.clusters.servers()))


def one_instance(call: Call) -> GoObject:
    """Return one instance."""
    return instance(call.server(), call.silence)


def instance_replicas(call: Call) -> list[GoObject]:
    """Return the instances that replicate from one."""
    source = call.server()
    return _instances(call, _replicas_of(call, source))


def search(call: Call) -> list[GoObject]:
    """Return the instances in which a text occurs, or that have it as their server id or port."""
    text = call.values.get("searchString") or call.query.get("s", "")
    return _instances(call, [server for server in call.clusters.servers() if _matches(server, text)])


def cluster(call: Call) -> list[GoObject]:
    """Return the instances of a cluster."""
    return _instances(call, list(call.cluster().servers))


def one_cluster_info(call: Call) -> GoObject:
    """Return what there is to say about one cluster."""
    return cluster_info(call.cluster(), call.memory.status)


def clusters(call: Call) -> list[str]:
    """Return the names of all clusters."""
    return [each.name for each in call.clusters.all()]


def clusters_info(call: Call) -> list[GoObject]:
    """Return what there is to say about all clusters."""
    return [cluster_info(each, call.memory.status) for each in call.clusters.all()]


def cluster_osc_replicas(call: Call) -> list[GoObject]:
    """Return up to four replicas by which an online schema change may measure lag, of several cells first."""
    fine = [server for server in call.cluster().servers if server.is_valid and server.is_replica]
    of_new_cell: dict[str, Server] = {}
    for server in fine:
        of_new_cell.setdefault(server.tablet.cell, server)
    first = list(of_new_cell.values())
    return _instances(call, [*first, *(server for server in fine if server not in first)][:4])


def primaries(call: Call) -> list[GoObject]:
    """Return the writable primary of each cluster that has one."""
    found = [each.primary for each in call.clusters.all()]
    return _instances(call, [server for server in found if server is not None and _is_writable(server)])


def primary(call: Call) -> GoObject:
    """Return the writable primary of a cluster; raises V12Error if it has none."""
    found = call.cluster()
    if found.primary is None or not _is_writable(found.primary):
        raise V12Error(f"{found.shard.name} has no primary that takes writes: {found.shard.sentence}")
    return instance(found.primary, call.silence)


def with_problems(call: Call) -> list[GoObject]:
    """Return the instances with problems, of all clusters or of one; those that are downtimed are left out."""
    found = call.known_cluster() if call.hint else None
    servers = call.clusters.servers() if not call.hint else (found.servers if found is not None else ())
    ignored = TodayLimits.of(call.memory.settings).ignored_hosts
    return _instances(
        call,
        [
            server
            for server in servers
            if problems(server, call.silence)
            and downtime_of(server) is None
            and not any(each.search(server.address.host) for each in ignored)
        ],
    )


def topology(call: Call) -> Told:
    """Return the tree of a cluster."""
    found = call.cluster()
    return Told(f"Topology for cluster {found.name}", tree.tree(found, call.silence))


def topology_tabulated(call: Call) -> Told:
    """Return the tree of a cluster as a table."""
    found = call.cluster()
    return Told(f"Topology for cluster {found.name}", tree.tabulated(found, call.silence))


def topology_tags(call: Call) -> Told:
    """Return the tree of a cluster with tags."""
    found = call.cluster()
    tags = call.memory.notes.tags if call.memory.notes is not None else []
    return Told(f"Topology for cluster {found.name}", tree.tagged(found, tags, call.silence))


def bulk_instances(call: Call) -> list[GoObject]:
    """Return the keys of all instances."""
    return [key_of(server.address) for server in call.clusters.servers()]


def bulk_promotion_rules(call: Call) -> list[GoObject]:
    """Return the promotion rule of each instance."""
    return [
        {
            "Hostname": server.address.host,
            "Port": server.address.port,
            "PromotionRule": promotion_rule(server),
            "LastSuggestedString": "",
            "PromotionRuleExpiry": "",
        }
        for server in call.clusters.servers()
    ]


def replication_analysis(call: Call) -> Told:
    """Return what is wrong, in all clusters or in one, by any name of it."""
    found = call.known_cluster() if call.hint else None
    chosen = call.clusters.all() if not call.hint else ([found] if found is not None else [])
    return Told("Analysis", [entry for each in chosen for entry in analyses(each, call.memory.status)])


def replication_analysis_of_instance(call: Call) -> Told:
    """Return what is wrong with one instance."""
    key = key_of(call.server().address)
    found = analyses(call.cluster(), call.memory.status)
    return Told("Analysis", [entry for entry in found if entry["AnalyzedInstanceKey"] == key])


def resolve(call: Call) -> Told:
    """Return the key of an instance that answers; raises V12Error for one that does not."""
    server = call.server()
    if not server.is_valid:
        raise V12Error(f"{server.tablet.alias} {server.tablet.says}, as {server.shard.name} was known last")
    return Told("Instance resolved", key_of(server.address))


def can_replicate_from(call: Call) -> Told:
    """Return whether one instance could replicate from another, by its settings."""
    server, source = call.server(), call.server("belowHost", "belowPort")
    return Told(_word(_obstacle(server, source) is None), key_of(source.address))


def can_replicate_from_gtid(call: Call) -> Told:
    """Return the same, provided that the source still has all transactions that the replica lacks."""
    server, source = call.server(), call.server("belowHost", "belowPort")
    return Told(_word(_obstacle(server, source) is None and _has_all_missing(server, source)), key_of(source.address))


def restart_replica_statements(call: Call) -> Told:
    """Return the statements that stop what replication runs, do `q`, and start it again."""
    server, query = call.server(), call.query.get("q", "").rstrip(";")
    if not query:
        raise V12Error("q: expected the statement to run while replication is stopped")
    replication = server.tablet.replication
    running = [
        thread
        for thread, state in (
            ("io_thread", replication.io_thread if replication is not None else ""),
            ("sql_thread", replication.sql_thread if replication is not None else ""),
        )
        if state in ("running", "connecting")
    ]
    threads = [""] if len(running) == 2 else [f" {thread}" for thread in running]
    noun = "replica" if _version(server) >= REPLICA_SYNTAX else "slave"
    statements = [f"{verb} {noun}{thread};" for verb in ("stop", "start") for thread in threads]
    return Told("Statements", [*statements[: len(threads)], f"{query};", *statements[len(threads) :]])


def no_pools(call: Call) -> Told:
    """Return that no pool of orchestrator's clients has an instance of a cluster, which its pages ask for."""
    call.cluster()
    return Told("there are no pools: Vitess routes by tablet type", {})


def _instances(call: Call, servers: list[Server]) -> list[GoObject]:
    silence = call.silence
    return [instance(server, silence) for server in servers]


def _replicas_of(call: Call, source: Server) -> list[Server]:
    shard = call.clusters.of_shard(source.shard.name)
    return [server for server in shard.servers if server.source == source.address] if shard is not None else []


def _matches(server: Server, text: str) -> bool:
    tablet, mysql = server.tablet, server.tablet.mysql
    shown = (
        str(server.address),
        server.cluster_name,
        tablet.version,
        mysql.version_comment if mysql is not None else "",
        tablet.alias,
        f"{server.shard.keyspace}:{server.shard.shard}",
    )
    numbers = (server.address.port, mysql.server_id if mysql is not None else None)
    return any(text.lower() in each.lower() for each in shown) or text in map(str, numbers)


def _is_writable(server: Server) -> bool:
    return server.tablet.read_only is False


def _word(holds: bool) -> str:
    return "true" if holds else "false"


def _obstacle(server: Server, source: Server) -> str | None:
    """Return why a server could not replicate from a source; raises V12Error for the same server."""
    if server.address == source.address:
        raise V12Error(f"{server.address} cannot replicate from itself: give another instance")
    mysql, its = server.tablet.mysql, source.tablet.mysql
    if mysql is None or its is None:
        return "one of them never answered"
    same_uuid = server.tablet.server_uuid == source.tablet.server_uuid != ""
    logs = mysql.binlog_enabled and mysql.binlog_has_replicated
    obstacles = {
        "no binary log": its.binlog_enabled is not True,
        "no updates of its source in its log": source.is_replica and its.binlog_has_replicated is not True,
        "a later version": _version(server)[:2] < _version(source)[:2],
        "another binary log format": bool(logs) and _format(mysql.binlog_format) < _format(its.binlog_format),
        "the same server id": mysql.server_id == its.server_id,
        "the same server_uuid": same_uuid,
        "filters": _has_filters(source) and not _has_filters(server),
        "a longer delay": server.delay < source.delay and source.delay > MAINTENANCE_LAG,
    }
    return next((obstacle for obstacle, holds in obstacles.items() if holds), None)


def _has_all_missing(server: Server, source: Server) -> bool:
    gtid, its = server.tablet.gtid, source.tablet.mysql
    if gtid is None or its is None or its.gtid_mode.upper() != "ON":
        return False
    return not GtidSet.parse(its.purged).difference(GtidSet.parse(gtid.executed))


def _has_filters(server: Server) -> bool:
    return server.tablet.replication is not None and server.tablet.replication.has_filters is True


def _format(name: str) -> int:
    return BINLOG_FORMATS.index(name) if name in BINLOG_FORMATS else 0


def _version(server: Server) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", server.tablet.version)[:3])
