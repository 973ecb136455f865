"""Instances and analyses have the values that v12's clients compare."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    RUNNING,
    STOPPED,
    answers,
    failing,
    gtids,
    primary,
    replica,
    shard,
    unprobed,
)
from tests.unit.server.told import ask_app
from tests.unit.server.v12.world import MYSQL, World, form, full_world
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import TabletView
from vtorc.forms.frames import ShardFrame
from vtorc.server.v12.cluster_book import ClusterBook
from vtorc.server.v12.instances import is_recently_checked


async def ask(path: str, *tablets: TabletView) -> Any:
    """The value at a path, for a cluster of a primary and these tablets."""
    world: World = full_world()
    world.tell(ShardFrame(shard=form(shard(primary(server_id=100, **MYSQL), *tablets))))
    got = await ask_app(world.app(), f"/api/{path}")
    assert got.status == 200, got.body
    return got.json


def lagging(lag: int | None, **changes: Any) -> TabletView:
    """The replica zone1-101, so many seconds behind."""
    tablet = replica("zone1-101", **MYSQL)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, lag=lag, **changes))


@pytest.mark.parametrize(
    ("state", "number", "runs"),
    [(RUNNING, 1, True), (STOPPED, 0, False), (CONNECTING, 2, False), (ThreadState.UNKNOWN, 2, False)],
)
async def test_the_state_of_a_thread_is_a_number(state: ThreadState, number: int, runs: bool) -> None:
    """A thread runs, is stopped, or is something else; clients tell them apart by number."""
    got = await ask("instance/mysql-zone1-101/3306", replica("zone1-101", io=state, **MYSQL))
    assert (got["ReplicationIOThreadState"], got["ReplicationIOThreadRuning"]) == (number, runs)
    assert (got["ReplicationSQLThreadState"], got["Slave_IO_Running"]) == (1, runs)


@pytest.mark.parametrize(
    ("tablet", "problems"),
    [
        (lagging(3), []),
        (lagging(11), ["replication_lag"]),
        (lagging(3600, sql_delay=3600), []),
        (replica("zone1-101", sql=STOPPED), ["not_replicating"]),
        (failing(replica("zone1-101")), ["last_check_invalid"]),
        (unprobed(replica("zone1-101")), ["last_check_invalid"]),
        (replica("zone1-101", executed="100:1-50,101:1"), ["errant_gtid"]),
        (replica("zone1-101", sql=STOPPED, executed="100:1-50,101:1"), ["not_replicating", "errant_gtid"]),
    ],
)
async def test_problems_are_named_in_v12s_order(tablet: TabletView, problems: list[str]) -> None:
    """The first problem of replication counts, and errant transactions beside it."""
    assert (await ask("instance/mysql-zone1-101/3306", tablet))["Problems"] == problems


async def test_lag_errors_and_errant_transactions_are_told() -> None:
    """What MySQL tells of replication arrives at the fields of v12."""
    tablet = lagging(7, last_sql_error="Duplicate entry", source_user="vt_repl", read_to=("binlog.000003", 99))
    got = await ask("instance/mysql-zone1-101/3306", answers(tablet, binlog_row_image="MINIMAL"))
    assert got["SecondsBehindMaster"] == got["ReplicationLagSeconds"] == {"Int64": 7, "Valid": True}
    assert (got["LastSQLError"], got["BinlogRowImage"]) == ("Duplicate entry", "MINIMAL")
    assert got["HasReplicationCredentials"] is True
    assert got["ReadBinlogCoordinates"] == {"LogFile": "binlog.000003", "LogPos": 99, "Type": 0}
    assert got["SelfBinlogCoordinates"] == {"LogFile": "binlog.000007", "LogPos": 4711, "Type": 0}
    assert got["SemiSyncReplicaStatus"] is True


async def test_a_server_that_never_answered_has_zero_values() -> None:
    """What is not known is Go's zero value, never null where a client reads on."""
    got = await ask("instance/mysql-zone1-101/3306", unprobed(replica("zone1-101")))
    assert (got["Version"], got["ServerID"], got["GtidErrant"], got["LastSeenTimestamp"]) == ("", 0, "", "")
    assert got["SecondsSinceLastSeen"] == {"Int64": 0, "Valid": False}
    assert got["Replicas"] == []
    assert got["ReadOnly"] is False


@pytest.mark.parametrize(("type_", "rule"), [(TabletType.REPLICA, "neutral"), (TabletType.RDONLY, "must_not")])
async def test_the_type_of_a_tablet_is_its_promotion_rule(type_: TabletType, rule: str) -> None:
    """Only tablets of type primary and replica may be promoted, as v12's policies have it."""
    rules = await ask("bulk-promotion-rules", replica("zone1-101", type_))
    assert {row["Hostname"]: row["PromotionRule"] for row in rules}["mysql-zone1-101"] == rule


async def test_an_analysis_counts_replicas_by_their_state() -> None:
    """The counts are those of the replicas of the analysed instance."""
    tablets = (
        replica("zone1-101", io=CONNECTING, io_error="refused", **MYSQL),
        failing(replica("zone1-102", **MYSQL)),
        replica("zone1-103", TabletType.RDONLY, semi_sync=False, **(MYSQL | {"binlog_format": "MIXED"})),
    )
    world = full_world()
    world.tell(ShardFrame(shard=form(shard(primary(read_only=True, **MYSQL), *tablets))))
    got = (await ask_app(world.app(), "/api/replication-analysis/commerce:0")).json["Details"]
    entry = next(each for each in got if each["Analysis"] == "PrimaryIsReadOnly")
    counts = {name: value for name, value in entry.items() if name.startswith("Count") and value}
    assert counts == {
        "CountReplicas": 3,
        "CountValidReplicas": 2,
        "CountValidReplicatingReplicas": 1,
        "CountReplicasFailingToConnectToPrimary": 1,
        "CountReplicasFailingToConnectToMaster": 1,
        "CountSemiSyncReplicasEnabled": 1,
        "CountLoggingReplicas": 2,
        "CountMixedBasedLoggingReplicas": 1,
        "CountRowBasedLoggingReplicas": 1,
        "CountDistinctMajorVersionsLoggingReplicas": 1,
    }
    assert (entry["IsPrimary"], entry["IsReadOnly"], entry["OracleGTIDImmediateTopology"]) == (True, True, True)


def true_fields(value: dict[str, Any]) -> set[str]:
    """The names of the fields that are true, without those that only have older names."""
    return {name for name, field in value.items() if field is True and "Master" not in name and "Slave" not in name}


async def test_an_instance_claims_only_what_is_known() -> None:
    """All that vtorc does not know or keep, such as downtime and detached replicas, is false."""
    healthy = {"LogBinEnabled", "LogReplicationUpdatesEnabled", "SupportsOracleGTID", "SemiSyncAvailable"}
    seen = {"SemiSyncEnforced", "IsLastCheckValid", "IsUpToDate", "IsRecentlyChecked"}
    replicating = {"ReplicationSQLThreadRuning", "ReplicationIOThreadRuning", "UsingOracleGTID", "ReadOnly"}
    rows = await ask("cluster/commerce:0", replica("zone1-101", **MYSQL))
    assert [true_fields(row) for row in rows] == [
        {*healthy, *seen, "SemiSyncPrimaryEnabled", "SemiSyncPrimaryStatus", "SemiSyncReplicaEnabled"},
        {*healthy, *seen, *replicating, "SemiSyncReplicaEnabled", "SemiSyncReplicaStatus"},
    ]
    assert rows[1]["RelaylogCoordinates"] == {"LogFile": "", "LogPos": 0, "Type": 1}


async def test_an_analysis_claims_only_what_is_known() -> None:
    """All that vtorc does not know or keep is false; the time of the term is that of the tablet's record."""
    got = (await ask_app(full_world().app(), "/api/replication-analysis/customer:-80")).json["Details"]
    assert true_fields(got[0]) == {
        "IsPrimary",
        "IsClusterPrimary",
        "IsActionableRecovery",
        "OracleGTIDImmediateTopology",
        "SemiSyncPrimaryEnabled",
        "SemiSyncPrimaryStatus",
        "SemiSyncReplicaEnabled",
    }
    assert got[0]["PrimaryTimeStamp"] == "1970-01-01T00:00:00.000Z"


async def test_replicas_without_auto_position_are_no_gtid_topology() -> None:
    """An analysis says that all replicas use GTIDs only if they do."""
    tablet = replica("zone1-101", sql=STOPPED, **MYSQL)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    by_file = answers(tablet, replication=replace(tablet.status.replication, auto_position=False))
    world = full_world()
    world.tell(ShardFrame(shard=form(shard(primary(read_only=True, **MYSQL), by_file))))
    got = (await ask_app(world.app(), "/api/replication-analysis/commerce:0")).json["Details"]
    assert {entry["OracleGTIDImmediateTopology"] for entry in got} == {False}
    assert [entry["PrimaryTimeStamp"] for entry in got if not entry["IsPrimary"]] == ["0001-01-01T00:00:00Z"]


@pytest.mark.parametrize(("delay", "word"), [(20, "true"), (21, "false")])
async def test_a_source_that_is_late_on_purpose_is_none_for_others(delay: int, word: str) -> None:
    """A source that stays behind by more than a little would hand that on."""
    source = lagging(delay, sql_delay=delay)
    tablets = (answers(source, server_id=101), replica("zone1-102", **(MYSQL | {"server_id": 102})))
    got = await ask("can-replicate-from/mysql-zone1-102/3306/mysql-zone1-101/3306", *tablets)
    assert got["Message"] == word


@pytest.mark.parametrize(("silence", "is_recent"), [(25.0, True), (25.1, False)])
async def test_a_check_is_recent_for_five_polls(silence: float, is_recent: bool) -> None:
    """What was checked within five polls counts as recent, by the silence of vtorc as well."""
    world = full_world()
    (one,) = [each for each in ClusterBook(world.memory).now.servers() if each.tablet.alias == "zone1-0000000100"]
    assert one.seconds_since(one.tablet.asked_at) == 0
    assert is_recently_checked(one, silence) is is_recent


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "true"),
        ({"server_id": 100}, "false"),
        ({"server_uuid": "00000100-0000-0000-0000-000000000000"}, "false"),
        ({"version": "5.7.44"}, "false"),
        ({"binlog_format": "STATEMENT"}, "false"),
    ],
)
async def test_a_server_can_replicate_from_what_it_understands(changes: dict[str, Any], word: str) -> None:
    """Versions, identities and formats decide whether one server could replicate from another."""
    tablet = replica("zone1-101", **(MYSQL | {"server_id": 101} | changes))
    got = await ask("can-replicate-from/mysql-zone1-101/3306/mysql-zone1-100/3306", tablet)
    assert (got["Message"], got["Details"]) == (word, {"Hostname": "mysql-zone1-100", "Port": 3306})


@pytest.mark.parametrize(("purged", "word"), [("100:1-40", "true"), ("100:1-41", "false")])
async def test_by_gtid_the_source_must_have_what_is_missing(purged: str, word: str) -> None:
    """A source that has deleted what a replica lacks is no source by GTID."""
    behind = replica("zone1-101", executed="100:1-40", **(MYSQL | {"server_id": 101}))
    world = full_world()
    world.tell(ShardFrame(shard=form(shard(primary(server_id=100, purged=gtids(purged), **MYSQL), behind))))
    path = "/api/can-replicate-from-gtid/mysql-zone1-101/3306/mysql-zone1-100/3306"
    assert (await ask_app(world.app(), path)).json["Message"] == word


@pytest.mark.parametrize(
    ("io", "sql", "version", "expected"),
    [
        (RUNNING, RUNNING, "8.0.40", ["stop replica;", "x;", "start replica;"]),
        (STOPPED, RUNNING, "8.0.40", ["stop replica sql_thread;", "x;", "start replica sql_thread;"]),
        (CONNECTING, STOPPED, "5.7.44", ["stop slave io_thread;", "x;", "start slave io_thread;"]),
        (STOPPED, STOPPED, "8.4.3", ["x;"]),
    ],
)
async def test_statements_stop_and_start_what_runs(
    io: ThreadState, sql: ThreadState, version: str, expected: list[str]
) -> None:
    """Only the threads that run are stopped, in the syntax of the server's version."""
    tablet = replica("zone1-101", io=io, sql=sql, **(MYSQL | {"version": version}))
    got = await ask("restart-replica-statements/mysql-zone1-101/3306?q=x;", tablet)
    assert got["Details"] == expected


@pytest.mark.parametrize("text", ["ZONE1-101", "commerce:0", "8.0.40", "community", "101"])
async def test_search_finds_parts_of_names_versions_and_whole_numbers(text: str) -> None:
    """A search looks into addresses, aliases, clusters and versions, and at server ids as a whole."""
    tablet = replica("zone1-101", **(MYSQL | {"server_id": 101}))
    assert "mysql-zone1-101" in {row["Key"]["Hostname"] for row in await ask(f"search/{text}", tablet)}
    assert await ask("search?s=nothing-of-that", tablet) == []


async def test_structure_warnings_and_summaries_are_told_beside_the_findings() -> None:
    """v12's analyses have the structure warnings of today's, and the codes that sum a primary up."""
    world = full_world()
    stopped = replica("zone1-101", sql=STOPPED, **(MYSQL | {"gtid_mode": "ON_PERMISSIVE"}))
    world.tell(ShardFrame(shard=form(shard(primary(**MYSQL), stopped))))
    got = (await ask_app(world.app(), "/api/replication-analysis/commerce:0")).json["Details"]
    assert [(each["Analysis"], each["StructureAnalysis"]) for each in got if each["IsClusterPrimary"]] == [
        ("PrimarySingleReplicaNotReplicating", ["DifferentGTIDModesStructureWarning"])
    ]
    world.tell(ShardFrame(shard=form(shard(primary(**MYSQL), answers(stopped, replication=None)))))
    got = (await ask_app(world.app(), "/api/replication-analysis/commerce:0")).json["Details"]
    assert "NoProblem" not in {each["Analysis"] for each in got}


async def test_a_server_with_warnings_alone_has_no_problem() -> None:
    """What is unwise about a primary is told although nothing is wrong."""
    world = full_world()
    world.tell(ShardFrame(shard=form(shard(primary(), replica("zone1-101"), replica("zone1-102")))))
    got = (await ask_app(world.app(), "/api/replication-analysis/commerce:0")).json["Details"]
    assert [(each["Analysis"], each["StructureAnalysis"]) for each in got] == [
        ("NoProblem", ["NoLoggingReplicasStructureWarning"])
    ]
