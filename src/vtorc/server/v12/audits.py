"""Handlers that tell about recoveries, detections and what vtorc did."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.server.v12 import recoveries
from vtorc.server.v12.answers import GoObject, go_time, key_of
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Address
from vtorc.server.v12.paths import whole_number

PAGE = 20
"""Entries of one page; the first is page 0."""

Entry = TypeVar("Entry")
AnyRecovery = RecoveryForm | RunningForm


def audit_recovery(call: Call) -> list[GoObject]:
    """Return recoveries, those in progress first, then the latest; of one cluster if the path names one."""
    chosen = _all(call)
    if call.hint:
        shard = _shard(call)
        chosen = [each for each in chosen if each.shard == shard]
    if call.query.get("unacknowledged") == "true":
        chosen = [each for each in chosen if isinstance(each, RunningForm) or each.acknowledgement is None]
    return _told(call, _page(call, chosen))


def recovery_by_number(call: Call) -> list[GoObject]:
    """Return the recovery of a number."""
    number = call.number("id")
    return [entry for entry in _told(call, _all(call)) if entry["Id"] == number]


def recovery_by_uid(call: Call) -> list[GoObject]:
    """Return the recovery of a permanent name."""
    return _told(call, [each for each in _all(call) if _uid(each) == call.values["uid"]])


def recovery_steps(call: Call) -> list[GoObject]:
    """Return the steps of a recovery."""
    uid = call.values["uid"]
    found = next((each for each in _all(call) if _uid(each) == uid), None)
    if found is None:
        return []
    hooks = found.hooks if isinstance(found, RecoveryForm) else ()
    return recoveries.steps(uid, found.steps, found.began, hooks)


def active_cluster_recovery(call: Call) -> list[GoObject]:
    """Return the recovery of a cluster that is in progress."""
    shard = _shard(call)
    return _told(call, [each for each in _going(call) if each.shard == shard])


def recently_active_cluster_recovery(call: Call) -> list[GoObject] | None:
    """Return the recoveries of a cluster that ended a short while ago; None, which pages need, if there are none."""
    shard = _shard(call)
    return _told(call, [each for each in _recent(call) if each.shard == shard]) or None


def recently_active_instance_recovery(call: Call) -> list[GoObject] | None:
    """Return those that promoted an instance; None if there are none."""
    server = call.server()
    return _told(call, [each for each in _recent(call) if each.winner == server.tablet.alias]) or None


def blocked_recoveries(call: Call) -> list[GoObject]:
    """Return what is wrong and is not repaired yet because of an earlier recovery, of all clusters or of one."""
    found = call.known_cluster() if call.hint else None
    chosen = call.clusters.all() if not call.hint else ([found] if found is not None else [])
    return [entry for each in chosen for entry in recoveries.blocked(each, call.memory.recoveries.values())]


def audit_failure_detection(call: Call) -> list[GoObject]:
    """Return what was detected, the latest first; of one cluster if the path names one."""
    shard = _shard(call) if call.hint else None
    detections = _detections(call)
    numbered = [item for item in detections.items() if not call.hint or item[1].finding.shard == shard]
    return _detected(call, _page(call, numbered), detections)


def detection_by_number(call: Call) -> list[GoObject]:
    """Return what was detected under a number."""
    number, detections = call.number("id"), _detections(call)
    return _detected(call, [item for item in detections.items() if item[0] == number], detections)


def replication_analysis_changelog(call: Call) -> list[GoObject]:
    """Return what was decided about each instance, oldest first."""
    return recoveries.changelog(call.memory.decisions, call.clusters)


def audit(call: Call) -> list[GoObject]:
    """Return what vtorc did, the latest first; on one instance if the path names one."""
    rows = [row for recovery in _over(call) if (row := _audited(call, recovery)) is not None]
    rows += [_asked(call, entry) for entry in call.memory.audit]
    rows.sort(key=lambda row: str(row["AuditTimestamp"]), reverse=True)
    if "host" in call.values:
        key = key_of(call.server().address)
        rows = [row for row in rows if row["AuditInstanceKey"] == key]
    return _page(call, rows)


def _audited(call: Call, recovery: RecoveryForm) -> GoObject | None:
    cluster = call.clusters.of_shard(recovery.shard)
    server = cluster.server(recovery.tablet) if cluster is not None else None
    if cluster is None:
        return None
    return {
        "AuditId": recoveries.recovery_number(recovery),
        "AuditTimestamp": go_time(recovery.began),
        "AuditType": _dashed(recovery.kind),
        "AuditInstanceKey": key_of(server.address if server is not None else Address.parse(cluster.name)),
        "Message": recovery.sentence,
    }


def _asked(call: Call, entry: AuditForm) -> GoObject:
    """Return the row of what an operator asked for."""
    cluster = call.clusters.of_shard(entry.shard) if entry.shard is not None else None
    server = cluster.server(entry.tablet) if cluster is not None and entry.tablet is not None else None
    address = server.address if server is not None else Address.parse(cluster.name) if cluster is not None else None
    return {
        "AuditId": int(entry.id.partition("-")[0]) // 1000,
        "AuditTimestamp": go_time(entry.at),
        "AuditType": entry.action.replace("_", "-").replace(" ", "-"),
        "AuditInstanceKey": key_of(address),
        "Message": f"{entry.result}: {entry.sentence} (asked for by {entry.actor} from {entry.origin})",
    }


def _dashed(name: str) -> str:
    """Return `RecoverDeadPrimary` as `recover-dead-primary`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("-")


def _going(call: Call) -> list[RunningForm]:
    """Return the recoveries in progress; one that has its record already is over, though its shard still shows it."""
    over = {(recovery.shard, recovery.began) for recovery in call.memory.recoveries.values()}
    shown = [shard.running for shard in call.memory.shards.values() if shard.running is not None]
    return [running for running in shown if (running.shard, running.began) not in over]


def _over(call: Call) -> list[RecoveryForm]:
    return list(call.memory.recoveries.values())[::-1]


def _all(call: Call) -> list[AnyRecovery]:
    return [*_going(call), *_over(call)]


def _recent(call: Call) -> list[RecoveryForm]:
    now = call.tools.wall()
    return [each for each in _over(call) if recoveries.recently_ended(each, now)]


def _uid(recovery: AnyRecovery) -> str:
    return recovery.id if isinstance(recovery, RecoveryForm) else recoveries.running_uid(recovery)


def _detections(call: Call) -> recoveries.Detections:
    return recoveries.Detections(call.memory.decisions, call.memory.recoveries.values())


def _told(call: Call, chosen: Iterable[AnyRecovery]) -> list[GoObject]:
    detections = _detections(call)
    return [
        recoveries.ended(each, call.clusters, detections)
        if isinstance(each, RecoveryForm)
        else recoveries.running(each, call.clusters)
        for each in chosen
    ]


def _detected(
    call: Call, chosen: Iterable[tuple[int, DecisionFrame]], detections: recoveries.Detections
) -> list[GoObject]:
    return [recoveries.detection(number, frame, call.clusters, detections) for number, frame in chosen]


def _shard(call: Call) -> str | None:
    """Return the name of the shard that the path means; None for one that is not known, for lists that are empty."""
    found = call.known_cluster()
    return found.shard.name if found is not None else None


def _page(call: Call, entries: Sequence[Entry]) -> list[Entry]:
    start = PAGE * (whole_number(call.values.get("page", "0")) or 0)
    return list(entries[start : start + PAGE])
