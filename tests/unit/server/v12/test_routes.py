"""Each route of Vitess 12's API answers in its style with the fields that its clients and pages read."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.server.told import ask_app
from tests.unit.server.v12 import fields
from tests.unit.server.v12.world import (
    DOWNTIME,
    FIRST,
    HEALTHY,
    LOST,
    LOST_PRIMARY,
    MAINTENANCE,
    SECOND,
    World,
    ago,
    full_world,
    held,
    plan,
    recovery,
    running,
    tagged,
)
from vtorc.forms.notes import TagForm
from vtorc.forms.settings import ReloadForm
from vtorc.server.v12 import asking
from vtorc.server.v12.recoveries import recovery_number
from vtorc.server.v12.refusals import REASONS
from vtorc.server.v12.routes import ROUTES, V12Route
from vtorc.server.v12.synonyms import OLD_NAMES

Check = Callable[[Any], None]

VALUES = {
    "host": "mysql-zone1-101",
    "port": "3306",
    "belowHost": "mysql-zone1-100",
    "belowPort": "3306",
    "siblingHost": "mysql-zone2-200",
    "siblingPort": "3306",
    "designatedHost": "mysql-zone1-101",
    "designatedPort": "3306",
    "candidateHost": "mysql-zone1-301",
    "candidatePort": "3306",
    "clusterHint": "commerce%2F0",
    "clusterName": FIRST,
    "clusterAlias": "commerce:0",
    "searchString": "zone1-101",
    "page": "0",
    "uid": recovery().id,
    "seconds": "60",
    "errorStatusCode": "503",
    "tagName": "role",
    "tagValue": "backup",
    "duration": "30m",
    "promotionRule": "prefer",
    "maintenanceKey": "8",
    "recoveryId": str(int(recovery().id) // 1000),
}
"""Values of the paths; those that are not here are words."""

OTHER_VALUES = {
    "repoint-replicas/:host/:port": {"host": "mysql-zone1-100"},
    "recover/:host/:port": {"host": "mysql-zone1-300"},
    "recover/:host/:port/:candidateHost/:candidatePort": {"host": "mysql-zone1-300"},
    "recover-lite/:host/:port": {"host": "mysql-zone1-300"},
    "recover-lite/:host/:port/:candidateHost/:candidatePort": {"host": "mysql-zone1-300"},
    "audit-recovery/id/:id": {"id": str(recovery_number(recovery()))},
    "recently-active-instance-recovery/:host/:port": {"host": "mysql-zone1-100"},
    "audit/instance/:host/:port": {"host": "mysql-zone1-101"},
    "replication-analysis/instance/:host/:port": {"host": "mysql-zone1-300"},
    "replication-analysis/:clusterName": {"clusterName": LOST_PRIMARY},
    "problems/:clusterName": {"clusterName": LOST_PRIMARY},
    "active-cluster-recovery/:clusterName": {"clusterName": LOST_PRIMARY},
}

QUERIES = {
    "tagged": "?tag=role%3Dbackup%0A",
    "tag-value/:host/:port": "?tag=role%0A",
    "tag/:host/:port": "?tag=role%3Dbackup%0A",
    "untag/:host/:port": "?tag=role",
    "untag-all": "?tag=role%3Dbackup",
    "ack-recovery/:recoveryId": "?comment=seen%0A",
    "ack-recovery/uid/:uid": "?comment=seen%0A",
    "ack-recovery/cluster/:clusterHint": "?comment=seen%0A",
    "ack-recovery/cluster/alias/:clusterAlias": "?comment=seen%0A",
    "ack-recovery/instance/:host/:port": "?comment=seen%0A",
    "ack-all-recoveries": "?comment=seen%0A",
    "search": "?s=zone1-101%0A",
    "restart-replica-statements/:host/:port": "?q=set+global+x%3D1",
}


def has(names: frozenset[str]) -> Check:
    """An object with exactly these fields."""

    def check(value: Any) -> None:
        assert set(value) == names

    return check


def many(check: Check) -> Check:
    """A list with at least one item, all of which pass."""

    def check_all(value: Any) -> None:
        assert isinstance(value, list)
        assert value
        for item in value:
            check(item)

    return check_all


def is_(expected: object) -> Check:
    """This very value."""

    def check(value: Any) -> None:
        assert value == expected

    return check


def recovery_(value: Any) -> None:
    """A recovery as the pages need it: its lists are lists, its successor an object."""
    assert set(value) == fields.RECOVERY
    analysis_(value["AnalysisEntry"])
    for name in ("LostReplicas", "ParticipatingInstanceKeys", "AllErrors"):
        assert isinstance(value[name], list)
    assert set(value["SuccessorKey"]) == fields.KEY


def detection_(value: Any) -> None:
    """A detection: a recovery without a successor."""
    assert set(value) == fields.RECOVERY
    assert value["SuccessorKey"] is None


def analysis_(value: Any) -> None:
    """An analysis of a cluster that is known."""
    assert set(value) == fields.ANALYSIS
    assert set(value["ClusterDetails"]) == fields.CLUSTER_INFO
    assert value["ClusterDetails"]["ClusterName"] in (FIRST, LOST_PRIMARY)
    assert isinstance(value["Replicas"], list)


def health_(value: Any) -> None:
    """The health with a list of nodes."""
    assert set(value) == fields.HEALTH
    many(has(fields.NODE))(value["AvailableNodes"])
    has(fields.NODE)(value["ActiveNode"])


def text(value: Any) -> None:
    """Text that is not empty."""
    assert isinstance(value, str)
    assert value


instance, key, cluster_info = has(fields.INSTANCE), has(fields.KEY), has(fields.CLUSTER_INFO)

RAW: dict[str, Check] = {
    "search/:searchString": many(instance),
    "search": many(instance),
    "all-instances": many(instance),
    "instance/:host/:port": instance,
    "instance-replicas/:host/:port": is_([]),
    "cluster/:clusterHint": many(instance),
    "cluster/alias/:clusterAlias": many(instance),
    "cluster/instance/:host/:port": many(instance),
    "cluster-info/:clusterHint": cluster_info,
    "cluster-info/alias/:clusterAlias": cluster_info,
    "cluster-osc-replicas/:clusterHint": many(instance),
    "clusters": is_([FIRST, LOST_PRIMARY]),
    "clusters-info": many(cluster_info),
    "primaries": many(instance),
    "primary/:clusterHint": instance,
    "downtimed": many(instance),
    "downtimed/:clusterHint": many(instance),
    "problems": many(instance),
    "problems/:clusterName": many(instance),
    "bulk-instances": many(key),
    "bulk-promotion-rules": many(has(fields.CANDIDATE)),
    "tagged": many(key),
    "tags/:host/:port": is_(["role=backup"]),
    "tag-value/:host/:port": is_("backup"),
    "tag-value/:host/:port/:tagName": is_("backup"),
    "maintenance": many(has(fields.MAINTENANCE)),
    "audit-failure-detection": many(detection_),
    "audit-failure-detection/:page": many(detection_),
    "audit-failure-detection/id/:id": many(detection_),
    "audit-failure-detection/alias/:clusterAlias": many(detection_),
    "audit-failure-detection/alias/:clusterAlias/:page": many(detection_),
    "replication-analysis-changelog": many(has(fields.CHANGELOG)),
    "audit-recovery": many(recovery_),
    "audit-recovery/:page": many(recovery_),
    "audit-recovery/id/:id": many(recovery_),
    "audit-recovery/uid/:uid": many(recovery_),
    "audit-recovery/cluster/:clusterName": many(recovery_),
    "audit-recovery/cluster/:clusterName/:page": many(recovery_),
    "audit-recovery/alias/:clusterAlias": many(recovery_),
    "audit-recovery/alias/:clusterAlias/:page": many(recovery_),
    "audit-recovery-steps/:uid": many(has(fields.STEP)),
    "active-cluster-recovery/:clusterName": many(recovery_),
    "recently-active-cluster-recovery/:clusterName": many(recovery_),
    "recently-active-instance-recovery/:host/:port": many(recovery_),
    "blocked-recoveries": is_([]),
    "blocked-recoveries/cluster/:clusterName": is_([]),
    "audit": many(has(fields.AUDIT)),
    "audit/:page": many(has(fields.AUDIT)),
    "audit/instance/:host/:port": many(has(fields.AUDIT)),
    "audit/instance/:host/:port/:page": many(has(fields.AUDIT)),
    "lb-check": is_("OK"),
    "_ping": is_("OK"),
    "leader-check": is_("OK"),
    "leader-check/:errorStatusCode": is_("OK"),
    "routed-leader-check": is_("OK"),
    "headers": is_({"Accept": ["*/*"], "Host": ["127.0.0.1:3000"], "Content-Length": ["0"]}),
}
"""The value of each raw route."""

TOLD: dict[str, Check] = {
    "cluster-pool-instances/:clusterName": is_({}),
    "cluster-pool-instances/:clusterName/:pool": is_({}),
    "relocate/:host/:port/:belowHost/:belowPort": instance,
    "relocate-below/:host/:port/:belowHost/:belowPort": instance,
    "relocate-replicas/:host/:port/:belowHost/:belowPort": is_([]),
    "move-below-gtid/:host/:port/:belowHost/:belowPort": instance,
    "move-replicas-gtid/:host/:port/:belowHost/:belowPort": is_([]),
    "repoint/:host/:port/:belowHost/:belowPort": instance,
    "repoint-replicas/:host/:port": many(instance),
    "start-replica/:host/:port": instance,
    "restart-replica/:host/:port": instance,
    "flush-binary-logs/:host/:port": instance,
    "set-read-only/:host/:port": instance,
    "restart-replica-statements/:host/:port": is_(["stop replica;", "set global x=1;", "start replica;"]),
    "can-replicate-from/:host/:port/:belowHost/:belowPort": key,
    "can-replicate-from-gtid/:host/:port/:belowHost/:belowPort": key,
    "topology/:clusterHint": text,
    "topology/:host/:port": text,
    "topology-tabulated/:clusterHint": text,
    "topology-tabulated/:host/:port": text,
    "topology-tags/:clusterHint": text,
    "topology-tags/:host/:port": text,
    "resolve/:host/:port": key,
    "discover/:host/:port": instance,
    "async-discover/:host/:port": is_(None),
    "refresh/:host/:port": key,
    "in-maintenance/:host/:port": is_(SECOND),
    "stop-replica/:host/:port": instance,
    "stop-replica-nice/:host/:port": instance,
    "tag/:host/:port": key,
    "tag/:host/:port/:tagName/:tagValue": key,
    "untag/:host/:port": many(key),
    "untag/:host/:port/:tagName": many(key),
    "untag-all": many(key),
    "untag-all/:tagName/:tagValue": many(key),
    "begin-maintenance/:host/:port/:owner/:reason": key,
    "end-maintenance/:host/:port": key,
    "end-maintenance/:maintenanceKey": is_(8),
    "begin-downtime/:host/:port/:owner/:reason": key,
    "begin-downtime/:host/:port/:owner/:reason/:duration": key,
    "end-downtime/:host/:port": key,
    "register-candidate/:host/:port/:promotionRule": key,
    "ack-recovery/:recoveryId": is_(str(recovery_number(recovery()))),
    "ack-recovery/uid/:uid": is_(recovery().id),
    "ack-recovery/cluster/:clusterHint": is_(FIRST),
    "ack-recovery/cluster/alias/:clusterAlias": is_(FIRST),
    "ack-recovery/instance/:host/:port": key,
    "ack-all-recoveries": is_("seen"),
    "reload-configuration": is_("settings reloaded, nothing changed"),
    "replication-analysis": many(analysis_),
    "replication-analysis/:clusterName": many(analysis_),
    "replication-analysis/instance/:host/:port": many(analysis_),
    "recover/:host/:port": key,
    "recover/:host/:port/:candidateHost/:candidatePort": key,
    "recover-lite/:host/:port": key,
    "recover-lite/:host/:port/:candidateHost/:candidatePort": key,
    "graceful-primary-takeover/:host/:port/:designatedHost/:designatedPort": recovery_,
    "graceful-primary-takeover/:clusterHint/:designatedHost/:designatedPort": recovery_,
    "graceful-primary-takeover-auto/:host/:port": recovery_,
    "graceful-primary-takeover-auto/:host/:port/:designatedHost/:designatedPort": recovery_,
    "graceful-primary-takeover-auto/:clusterHint": recovery_,
    "graceful-primary-takeover-auto/:clusterHint/:designatedHost/:designatedPort": recovery_,
    "force-primary-failover/:host/:port": recovery_,
    "force-primary-failover/:clusterHint": recovery_,
    "force-primary-takeover/:clusterHint/:designatedHost/:designatedPort": recovery_,
    "force-primary-takeover/:host/:port/:designatedHost/:designatedPort": recovery_,
    "automated-recovery-filters": has(fields.FILTERS),
    "disable-global-recoveries": is_("disabled"),
    "enable-global-recoveries": is_("enabled"),
    "check-global-recoveries": is_("enabled"),
    "status": health_,
    "health": health_,
    "hostname-resolve-cache": is_({}),
    "reset-hostname-resolve-cache": is_(None),
}
"""The details of each route with an envelope."""

ERRORS = {
    "graceful-primary-takeover/:host/:port": "has 2 replicas: name the designated one",
    "graceful-primary-takeover/:clusterHint": "has 2 replicas: name the designated one",
}
"""The message of each route that cannot do what is asked for in this cluster."""


def path_of(route: V12Route) -> str:
    """A path of the route."""
    values = VALUES | {"id": detection_id()} | OTHER_VALUES.get(route.path, {})
    segments = [values.get(part[1:], "word") if part.startswith(":") else part for part in route.path.split("/")]
    return "/api/" + "/".join(segments) + QUERIES.get(route.path, "")


def detection_id() -> str:
    """The number of the detection in the full world: its time in microseconds."""
    return str((1_790_000_000_000 - 60_500) * 1000)


def acting_world() -> World:
    """A full world in which every plan can be carried out, with holds and notes on the replica zone1-101."""
    world = full_world()
    world.tell(*held(DOWNTIME, MAINTENANCE), tagged(role="backup"))
    world.replies = {
        "plan": (200, plan()),
        "execute": (202, {"recovery": running(began=ago(0))}),
        "command": (202, {"recovery": running(began=ago(0))}),
        "probe": (200, {"answered": []}),
        "hold": (200, {}),
        "lift": (200, {}),
        "acknowledge": (200, {}),
        "tag": (200, {}),
        "untag": (200, {"tags": [TagForm(tablet="zone1-0000000101", name="role", value="backup")]}),
        "reload": (200, ReloadForm(done=True, sentences=["settings reloaded, nothing changed"])),
        "recoveries": (200, {}),
    }
    world.ends = [recovery(seconds_ago=0, shard=shard, winner="zone1-0000000101") for shard in (HEALTHY, LOST)]
    return world


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_each_route_answers_in_its_style_with_the_fields_that_clients_read(
    route: V12Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each route answers as Vitess 12's clients read it, or refuses with the reason."""
    monkeypatch.setattr(asking, "NEWS_WITHIN", 0.0)  # none come in this world
    got = await ask_app(acting_world().app(), path_of(route), headers={"accept": "*/*"})
    assert got.headers["content-type"] == "application/json; charset=UTF-8"
    if not route.is_supported:
        assert got.status == 501
        assert got.json["Code"] == "ERROR"
        assert got.json["Message"].endswith(REASONS[route.path.partition("/")[0]])
    elif route.path in ERRORS:
        assert got.status == 500
        assert got.json["Code"] == "ERROR"
        assert ERRORS[route.path] in got.json["Message"]
    elif route.path in RAW:
        assert got.status == 200
        RAW[route.path](got.json)
    else:
        assert got.status == 200, got.json
        assert set(got.json) == {"Code", "Message", "Details"}
        assert got.json["Code"] == "OK"
        assert isinstance(got.json["Message"], str)
        TOLD[route.path](got.json["Details"])


def test_the_table_has_all_179_routes_of_vitess_12_once() -> None:
    """The table names each of Vitess 12's routes once."""
    assert len(ROUTES) == len({route.path for route in ROUTES}) == 179


def test_each_reason_belongs_to_a_route() -> None:
    """Each reason of a refusal is that of a route."""
    assert set(REASONS) == {route.path.partition("/")[0] for route in ROUTES if not route.is_supported}


@pytest.mark.parametrize("old", sorted(OLD_NAMES))
async def test_an_old_name_answers_as_the_new_one(old: str) -> None:
    """An old name is a route of its own, with the answer of the new one."""
    new = OLD_NAMES[old]
    known = {route.path.partition("/")[0]: route for route in ROUTES}
    if new not in known:
        assert (await ask_app(full_world().app(), f"/api/{old}/x")).status == 501
        return
    path = path_of(known[new])
    by_new = await ask_app(acting_world().app(), path)
    by_old = await ask_app(acting_world().app(), re.sub(f"^/api/{new}", f"/api/{old}", path))
    assert (by_old.status, by_old.json) == (by_new.status, by_new.json)


async def test_an_instance_has_its_source_and_threads_under_both_names() -> None:
    """The values under the old names are those under the new ones."""
    got = (await ask_app(full_world().app(), f"/api/instance/{SECOND.replace(':', '/')}")).json
    assert got["MasterKey"] == got["SourceKey"] == {"Hostname": "mysql-zone1-100", "Port": 3306}
    assert got["Slave_SQL_Running"] is got["ReplicationSQLThreadRuning"] is True
    assert got["ReplicationIOThreadState"] == 1
    assert got["InstanceAlias"] == "zone1-0000000101"
    assert got["ClusterName"] == FIRST
    assert got["SuggestedClusterAlias"] == "commerce:0"
    assert got["DataCenter"] == "zone1"
    assert got["IsLastCheckValid"] is got["IsRecentlyChecked"] is True


async def test_a_primary_has_an_empty_source_and_no_threads() -> None:
    """A primary's source is the empty key, and its threads do not exist."""
    got = (await ask_app(full_world().app(), f"/api/instance/{FIRST.replace(':', '/')}")).json
    assert got["MasterKey"] == {"Hostname": "", "Port": 0}
    assert got["ReplicationSQLThreadState"] == got["ReplicationIOThreadState"] == -1
    assert got["Replicas"] == [
        {"Hostname": "mysql-zone1-101", "Port": 3306},
        {"Hostname": "mysql-zone2-200", "Port": 3306},
    ]
    assert got["ReadOnly"] is False


async def test_an_analysis_tells_of_the_dead_primary() -> None:
    """The analysis of a lost primary has its address, cluster, counts and code."""
    got = (await ask_app(full_world().app(), "/api/replication-analysis")).json["Details"]
    dead = next(entry for entry in got if entry["Analysis"] == "DeadPrimary")
    assert dead["AnalyzedInstanceKey"] == {"Hostname": "mysql-zone1-300", "Port": 3306}
    assert dead["ClusterDetails"]["ClusterAlias"] == "customer:-80"
    assert (dead["CountReplicas"], dead["CountReplicasFailingToConnectToPrimary"]) == (2, 2)
    assert dead["IsClusterPrimary"] is True
    assert dead["LastCheckValid"] is False


async def test_what_is_old_is_not_recently_checked() -> None:
    """Without news of vtorc instances turn stale, and the node unhealthy."""
    world = full_world()
    world.silence = 40.0
    problems = (await ask_app(world.app(), "/api/problems/commerce:0")).json
    assert [row["Problems"] for row in problems] == [["not_recently_checked"]] * 3
    assert problems[0]["SecondsSinceLastSeen"] == {"Int64": 40, "Valid": True}
    health = await ask_app(world.app(), "/api/health")
    assert (health.status, health.json["Details"]["Healthy"]) == (500, False)
    check = await ask_app(world.app(), "/api/leader-check/503")
    assert (check.status, check.json["Message"]) == (503, "Not leader")


async def test_empty_lists_and_nulls_are_those_that_the_pages_need() -> None:
    """Recent recoveries are null if there are none; everything else that is empty is a list."""
    world = full_world()
    world.memory.recoveries.clear()
    lists = ["blocked-recoveries/cluster/x:1", "maintenance", "problems/x:1", f"active-cluster-recovery/{FIRST}"]
    for path in [*lists, "audit-recovery/alias/commerce.0", "audit-recovery/cluster/x:1", "audit/7"]:
        assert (await ask_app(world.app(), f"/api/{path}")).json == []
    for path in [
        f"recently-active-cluster-recovery/{FIRST}",
        f"recently-active-instance-recovery/{FIRST.replace(':', '/')}",
    ]:
        assert (await ask_app(world.app(), f"/api/{path}")).json is None
    assert (await ask_app(world.app(), "/api/replication-analysis/commerce:0")).json["Details"] == []
