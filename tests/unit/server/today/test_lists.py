"""Today's lists of tablets: which ones they have, and what they say about them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    STOPPED,
    answers,
    failing,
    fresh_shard,
    new,
    primary,
    replica,
    shard,
    unprobed,
)
from tests.unit.server.today.memories import app_of, memory_of, settings_frame, shard_frame
from tests.unit.server.told import ask_app
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import KeyspaceType
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.server.memory import ServerMemory

P, R1, R2 = "zone1-0000000100", "zone1-0000000101", "zone1-0000000102"
HEALTHY = shard(primary(), replica("zone1-101"), replica("zone1-102"))


async def rows(memory: ServerMemory, path: str) -> Any:
    """Return what a path answers, as Python values."""
    return json.loads((await ask_app(app_of(memory), path)).text)


def lagging(seconds: int, *, delay: int = 0) -> TabletView:
    """Return a replica that is so many seconds behind, and meant to be behind by `delay`."""
    tablet = replica("zone1-101")
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, lag=seconds, sql_delay=delay))


@pytest.mark.parametrize(
    ("tablet", "problems"),
    [
        pytest.param(failing(replica("zone1-101")), ["last_check_invalid"], id="does not answer"),
        pytest.param(replica("zone1-101", io=STOPPED), ["not_replicating"], id="IO thread stopped"),
        pytest.param(replica("zone1-101", sql=STOPPED), ["not_replicating"], id="SQL thread stopped"),
        pytest.param(replica("zone1-101", io=CONNECTING), ["not_replicating"], id="IO thread connects"),
        pytest.param(lagging(11), ["replication_lag"], id="lags"),
        pytest.param(lagging(10), None, id="lags by the limit"),
        pytest.param(lagging(100, delay=95), None, id="is late on purpose"),
        pytest.param(replica("zone1-101", executed="100:1-50,101:1-2"), ["errant_gtid"], id="errant"),
        pytest.param(
            replica("zone1-101", io=STOPPED, executed="100:1-50,101:1-2"),
            ["not_replicating", "errant_gtid"],
            id="stopped and errant",
        ),
        pytest.param(unprobed(replica("zone1-101")), None, id="not asked yet"),
        pytest.param(replica("zone1-101"), None, id="well"),
    ],
)
async def test_problems_lists_the_tablets_that_are_not_well(tablet: TabletView, problems: list[str] | None) -> None:
    """A tablet is listed with the first thing that is wrong, and with errant transactions beside it."""
    memory = memory_of(settings_frame(), shard(primary(), tablet, replica("zone1-102")))
    listed = await rows(memory, "/api/problems")
    if problems is None:
        assert listed is None
    else:
        assert [(row["InstanceAlias"], row["Problems"]) for row in listed] == [(R1, problems)]


async def test_hosts_that_are_to_be_ignored_are_no_problem() -> None:
    """A stopped replica on a host that fits a filter is not listed."""
    view = shard(primary(), replica("zone1-101", io=STOPPED), replica("zone1-102"))
    memory = memory_of(settings_frame(problem_ignore_hostname_filters=("zone1-10[1-9]$",)), view)
    assert await rows(memory, "/api/problems") is None


async def test_the_limit_of_lag_is_the_setting() -> None:
    """A replica with 11 seconds of lag is no problem where 20 are reasonable."""
    view = shard(primary(), lagging(11), replica("zone1-102"))
    memory = memory_of(settings_frame(reasonable_replication_lag=20.0), view)
    assert await rows(memory, "/api/problems") is None


async def test_an_instance_says_how_it_replicates() -> None:
    """Source, depth, ancestry and thread states are those of the tablet."""
    view = shard(primary(), replica("zone1-101"), replica("zone1-102", of="zone1-101", io=STOPPED))
    [row] = await rows(memory_of(view), "/api/problems")
    assert row["InstanceAlias"] == R2
    assert (row["SourceHost"], row["SourcePort"], row["ReplicationDepth"]) == ("mysql-zone1-101", 3306, 2)
    assert row["AncestryUUID"] == ",".join(f"00000{number}-0000-0000-0000-000000000000" for number in (100, 101, 102))
    assert (row["ReplicationIOThreadState"], row["ReplicationSQLThreadState"]) == (0, 1)
    assert (row["ReplicationIOThreadRuning"], row["ReplicationSQLThreadRuning"]) == (False, True)
    assert (row["TabletType"], row["IsCoPrimary"], row["UsingOracleGTID"]) == (TabletType.REPLICA.value, False, True)


async def test_an_instance_says_how_its_mysql_is_set_up() -> None:
    """Settings, binary log and flavour are those that the tablet told."""
    tablet = answers(
        replica("zone1-101", io=STOPPED),
        server_id=7,
        version="8.4.3",
        version_comment="Percona Server (GPL)",
        gtid_mode="ON",
        log_bin=True,
        log_replica_updates=True,
        binlog_format="ROW",
        binlog_end=("bin.000003", 1234),
        heartbeat_interval=4.5,
        replica_net_timeout=9,
    )
    [row] = await rows(memory_of(shard(primary(), tablet)), "/api/problems")
    names = ("ServerID", "Version", "FlavorName", "GTIDMode", "SupportsOracleGTID", "LogBinEnabled", "BinlogFormat")
    assert [row[name] for name in names] == [7, "8.4.3", "Percona", "ON", True, True, "ROW"]
    assert row["SelfBinlogCoordinates"] == {"LogFile": "bin.000003", "LogPos": 1234, "Type": 0}
    assert (row["HeartbeatInterval"], row["ReplicaNetTimeout"]) == (4.5, 9)


async def test_errant_gtids_lists_only_the_tablets_that_have_some() -> None:
    """The transactions are those that the primary neither has nor wrote."""
    errant = replica("zone1-101", executed="100:1-50,101:1-2")
    [row] = await rows(memory_of(shard(primary(), errant, replica("zone1-102"))), "/api/errant-gtids")
    assert (row["InstanceAlias"], row["GtidErrant"]) == (R1, "00000101-0000-0000-0000-000000000000:1-2")


@pytest.mark.parametrize("path", ["/api/problems", "/api/errant-gtids", "/api/detection-analysis"])
async def test_a_list_without_rows_is_null(path: str) -> None:
    """Go's nil slice is `null`, which Vitess' own tests compare with."""
    loud = shard(
        *(
            answers(tablet, log_bin=True, log_replica_updates=True)
            for tablet in (primary(), replica("zone1-101"), replica("zone1-102"))
        )
    )
    assert (await ask_app(app_of(memory_of(loud)), path)).text == "null"
    assert (await ask_app(app_of(memory_of()), path)).text == "null"


@pytest.mark.parametrize(
    ("query", "status", "is_listed"),
    [
        ("", 200, True),
        ("?keyspace=commerce", 200, True),
        ("?keyspace=commerce&shard=0", 200, True),
        ("?keyspace=commerce&shard=-80", 200, False),
        ("?keyspace=customer", 200, False),
        ("?shard=0", 400, False),
    ],
)
@pytest.mark.parametrize("path", ["/api/problems", "/api/errant-gtids", "/api/detection-analysis"])
async def test_lists_can_be_of_one_keyspace_or_shard(path: str, query: str, status: int, is_listed: bool) -> None:
    """A shard without its keyspace is refused, as it names no shard."""
    view = shard(primary(), replica("zone1-101", executed="100:1-50,101:1-2"), replica("zone1-102"))
    answer = await ask_app(app_of(memory_of(view)), path + query)
    assert answer.status == status
    assert (R1 in answer.text) == is_listed
    if status == 400:
        assert answer.text == "Filtering by shard without keyspace isn't supported\n"


async def test_a_shard_that_is_only_watched_is_in_no_list() -> None:
    """Vitess' vtorc does not know of shards outside of its clusters to watch."""
    view = shard(primary(), failing(replica("zone1-101")), replica("zone1-102"))
    assert await rows(memory_of(shard_frame(view, controlled=False)), "/api/problems") is None


def analysed(tablets: ShardView) -> ServerMemory:
    """Return a memory with one shard."""
    return memory_of(settings_frame(), tablets)


async def test_the_analysis_of_a_dead_primary_counts_its_replicas() -> None:
    """The counts say how many replicas there are, answer and replicate."""
    view = shard(
        primary(dead_for=3), replica("zone1-101", io=CONNECTING), failing(replica("zone1-102")), replica("zone1-103")
    )
    row = (await rows(analysed(view), "/api/detection-analysis"))[0]
    assert row["AnalyzedInstanceAlias"] == P
    names = ("CountReplicas", "CountValidReplicas", "CountValidReplicatingReplicas", "CountSemiSyncReplicasEnabled")
    assert [row[name] for name in names] == [3, 2, 1, 3]
    assert (row["IsClusterPrimary"], row["IsPrimary"], row["LastCheckValid"]) == (True, True, False)
    assert row["AnalyzedInstancePrimaryAlias"] == "<nil>"


async def test_a_missing_alias_is_escaped_as_go_does() -> None:
    """What means something in HTML never stands in an answer as it is."""
    view = shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING), replica("zone1-102", io=CONNECTING))
    text = (await ask_app(app_of(analysed(view)), "/api/detection-analysis")).text
    assert '"AnalyzedInstancePrimaryAlias": "\\u003cnil\\u003e"' in text
    assert text.startswith('[\n {\n  "Analysis": "DeadPrimary",\n')


async def test_an_analysis_has_the_most_urgent_problem_and_all_others_beside_it() -> None:
    """The first is the problem of the row, and each has its priority."""
    tablet = replica("zone1-101", io=STOPPED, executed="100:1-50,101:1-2", read_only=False)
    rows_ = await rows(analysed(shard(primary(), tablet, replica("zone1-102"))), "/api/detection-analysis")
    row = next(row for row in rows_ if row["AnalyzedInstanceAlias"] == R1)
    assert row["Analysis"] == "ReplicaIsWritable"
    matched = [(problem["Analysis"], problem["Priority"]) for problem in row["AnalysisMatchedProblems"]]
    assert matched == [("ReplicaIsWritable", 3), ("ReplicationStopped", 3), ("ErrantGTIDDetected", 3)]
    assert row["Description"] == row["AnalysisMatchedProblems"][0]["Description"]


async def test_a_problem_of_the_whole_shard_is_told_at_its_first_replica() -> None:
    """Vitess has no analysis without a tablet."""
    view = fresh_shard(new("zone1-101"), new("zone1-102"))
    listed = await rows(analysed(view), "/api/detection-analysis")
    assert [(row["AnalyzedInstanceAlias"], row["Analysis"]) for row in listed] == [
        (R1, "ClusterHasNoPrimary"),
        (R2, "NoProblem"),
    ]


@pytest.mark.parametrize(
    ("view", "warnings"),
    [
        pytest.param(HEALTHY, ["NoLoggingReplicasStructureWarning"], id="no replica logs"),
        pytest.param(
            shard(
                primary(),
                *(
                    answers(replica(name), log_bin=True, log_replica_updates=True, binlog_format=form, version=version)
                    for name, form, version in (
                        ("zone1-101", "STATEMENT", "8.0.30"),
                        ("zone1-102", "ROW", "8.4.1"),
                        ("zone1-103", "MIXED", "8.0.40"),
                    )
                ),
            ),
            [
                "StatementAndMixedLoggingReplicasStructureWarning",
                "StatementAndRowLoggingReplicasStructureWarning",
                "MixedAndRowLoggingReplicasStructureWarning",
                "MultipleMajorVersionsLoggingReplicasStructureWarning",
            ],
            id="formats and versions differ",
        ),
        pytest.param(
            shard(answers(primary(), gtid_mode="ON"), answers(replica("zone1-101"), gtid_mode="ON_PERMISSIVE")),
            ["DifferentGTIDModesStructureWarning"],
            id="gtid modes differ",
        ),
        pytest.param(
            shard(primary(), replica("zone1-101", executed="100:1-50,101:1-2")),
            ["ErrantGTIDStructureWarning"],
            id="errant replica",
        ),
        pytest.param(
            shard(primary(read_only=True), replica("zone1-101")),
            ["NoWriteablePrimaryStructureWarning"],
            id="read-only primary",
        ),
        pytest.param(shard(primary(), replica("zone1-101")), None, id="well"),
    ],
)
async def test_structure_warnings_are_told_of_a_primary_that_works(view: ShardView, warnings: list[str] | None) -> None:
    """What is unwise about a primary and its replicas is told although nothing fails."""
    listed = await rows(analysed(view), "/api/detection-analysis") or []
    told = [row["StructureAnalysis"] for row in listed if row["AnalyzedInstanceAlias"] == P]
    assert told == ([warnings] if warnings is not None else [])


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(shard(primary(), replica("zone1-101"), new("zone1-102", type_=TabletType.DRAINED)), id="drained"),
        pytest.param(shard(new("zone1-101"), kind=KeyspaceType.SNAPSHOT, named=None), id="snapshot"),
    ],
)
async def test_what_vitess_does_not_look_at_has_no_warnings(view: ShardView) -> None:
    """A drained tablet without a source is not taken for a read-only primary."""
    assert await rows(analysed(view), "/api/detection-analysis") is None


async def test_an_analysis_with_warnings_alone_has_no_problem() -> None:
    """Its code is `NoProblem`, as in Vitess."""
    [row] = await rows(analysed(HEALTHY), "/api/detection-analysis")
    assert (row["Analysis"], row["AnalysisMatchedProblems"], row["Description"]) == ("NoProblem", [], "")
