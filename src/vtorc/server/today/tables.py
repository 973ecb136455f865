"""The tables of Vitess' vtorc for `/api/database-state`, made from what is known; what is not known is null.

Vitess' vtorc keeps all that it knows in 16 SQLite tables, and this dump of them is part of its API. This vtorc has no
such tables.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping

from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.server.memory import ServerMemory
from vtorc.server.today.analyses import NO_PROBLEM
from vtorc.server.today.golang import go_json, parse_time, sql_time
from vtorc.server.today.instance_row import Row, instance_row
from vtorc.server.today.known import KnownTablet, known_tablets, watched_shards

Table = Callable[[ServerMemory], Iterator[Row]]


def database_state(memory: ServerMemory) -> str:
    """Return all tables as Vitess' vtorc dumps them: every value is a text or null, and no rows are null."""
    tables = []
    for name, table in _TABLES.items():
        rows = [{column: _text(row[column]) for column in sorted(row)} for row in table(memory)]
        tables.append({"TableName": name, "Rows": rows or None})
    return go_json(tables, indent="\t", sort_keys=False) + "\n"


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(int(value))
    return None if value is None else str(value)


def _instances(memory: ServerMemory) -> Iterator[Row]:
    return (instance_row(known) for known in known_tablets(memory) if known.mysql is not None)


def _tablets(memory: ServerMemory) -> Iterator[Row]:
    for known in known_tablets(memory):
        tablet = known.tablet
        yield {
            "alias": tablet.alias,
            "hostname": tablet.mysql_host,
            "port": tablet.mysql_port,
            "keyspace": known.shard.keyspace,
            "shard": known.shard.shard,
            "cell": tablet.cell,
            "tablet_type": TabletType[tablet.type].value,
            "primary_timestamp": sql_time(tablet.term_start),
            "info": _record_text(known),
        }


def _record_text(known: KnownTablet) -> str:
    """Return the known part of a tablet's record as text protobuf."""
    tablet = known.tablet
    alias = TabletAlias.parse(tablet.alias)
    parts = [f'alias:{{cell:"{alias.cell}" uid:{alias.uid}}}']
    if tablet.host:
        parts += [f'hostname:"{tablet.host}"', f'port_map:{{key:"grpc" value:{tablet.grpc_port}}}']
    parts += [f'keyspace:"{known.shard.keyspace}"', f'shard:"{known.shard.shard}"', f"type:{tablet.type}"]
    if tablet.mysql_host:
        parts += [f'mysql_hostname:"{tablet.mysql_host}"', f"mysql_port:{tablet.mysql_port}"]
    return " ".join(parts)


def _keyspaces(memory: ServerMemory) -> Iterator[Row]:
    for shard in {shard.keyspace: shard for shard in watched_shards(memory)}.values():
        yield {
            "keyspace": shard.keyspace,
            "keyspace_type": int(shard.keyspace_is_snapshot),
            "durability_policy": shard.durability,
            "disable_emergency_reparent": shard.keyspace_forbids_emergency_reparent,
        }


def _shards(memory: ServerMemory) -> Iterator[Row]:
    for shard in watched_shards(memory):
        yield {
            "keyspace": shard.keyspace,
            "shard": shard.shard,
            "primary_alias": shard.recorded_primary,
            "primary_timestamp": sql_time(shard.term_start),
            "disable_emergency_reparent": shard.forbids_emergency_reparent,
        }


def _primary_health(memory: ServerMemory) -> Iterator[Row]:
    for known in known_tablets(memory):
        if known.tablet.is_primary:
            updated = sql_time(known.tablet.asked_at)
            yield {"alias": known.tablet.alias, "health_state": None, "last_updated": updated}


def _recoveries(memory: ServerMemory) -> Iterator[Row]:
    for recovery in list(memory.recoveries.values()):
        keyspace, _, shard = recovery.shard.partition("/")
        succeeded = recovery.succeeded
        yield {
            "recovery_id": recovery.id,
            "alias": recovery.tablet,
            "start_recovery": sql_time(recovery.began),
            "end_recovery": _after(recovery.began, recovery.seconds),
            "successor_alias": recovery.winner,
            "analysis": recovery.code,
            "keyspace": keyspace,
            "shard": shard,
            "is_successful": succeeded,
            "all_errors": "" if succeeded else recovery.sentence,
            "detection_id": None,
        }


def _recovery_steps(memory: ServerMemory) -> Iterator[Row]:
    steps = ((recovery, step) for recovery in list(memory.recoveries.values()) for step in recovery.steps)
    for number, (recovery, step) in enumerate(steps, start=1):
        on = f" on {step.tablet}" if step.tablet is not None else ""
        yield {
            "recovery_step_id": number,
            "recovery_id": recovery.id,
            "audit_at": _after(recovery.began, step.started + step.seconds),
            "message": f"{step.name}{on}: {step.result}",
        }


def _detections(memory: ServerMemory) -> Iterator[Row]:
    decided = (frame for frame in list(memory.decisions) if frame.change == "decided")
    for number, frame in enumerate(decided, start=1):
        keyspace, _, shard = frame.finding.shard.partition("/")
        yield {
            "detection_id": number,
            "alias": frame.finding.tablet,
            "analysis": frame.finding.code,
            "keyspace": keyspace,
            "shard": shard,
            "detection_timestamp": sql_time(frame.at),
        }


def _analysis_changes(memory: ServerMemory) -> Iterator[Row]:
    for number, frame in enumerate(list(memory.decisions), start=1):
        yield {
            "changelog_id": number,
            "alias": frame.finding.tablet,
            "analysis_timestamp": sql_time(frame.at),
            "analysis": frame.finding.code if frame.change == "decided" else NO_PROBLEM,
        }


def _last_analyses(memory: ServerMemory) -> Iterator[Row]:
    for row in {row["alias"]: row for row in _analysis_changes(memory)}.values():
        yield {column: value for column, value in row.items() if column != "changelog_id"}


def _disabled(memory: ServerMemory) -> Iterator[Row]:
    if memory.status is not None and not memory.status.recoveries_allowed:
        yield {"disable_recovery": 1}


def _node_health(memory: ServerMemory) -> Iterator[Row]:
    if memory.heartbeat is not None:
        yield {"last_seen_active": sql_time(memory.heartbeat.at)}


def _deployments(memory: ServerMemory) -> Iterator[Row]:
    if (status := memory.status) is not None:
        yield {"deployed_version": status.version, "deployed_timestamp": sql_time(status.started)}


def _never_written(memory: ServerMemory) -> Iterator[Row]:
    """Yield no rows: Vitess' vtorc has the table, and fills it only on request."""
    return iter(())


def _after(time: str, seconds: float) -> str:
    return (parse_time(time) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


_TABLES: Mapping[str, Table] = {
    "database_instance": _instances,
    "vitess_tablet": _tablets,
    "vitess_keyspace": _keyspaces,
    "vitess_shard": _shards,
    "primary_health": _primary_health,
    "topology_recovery": _recoveries,
    "topology_recovery_steps": _recovery_steps,
    "recovery_detection": _detections,
    "database_instance_last_analysis": _last_analyses,
    "database_instance_analysis_changelog": _analysis_changes,
    "audit": _never_written,
    "global_recovery_disable": _disabled,
    "node_health": _node_health,
    "database_instance_stale_binlog_coordinates": _never_written,
    "database_instance_topology_history": _never_written,
    "vtorc_db_deployments": _deployments,
}
