"""What the operator's commands are told of a recovery, in the words of Vitess v12."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import SHARD, alias, primary, record, replica, shard
from tests.unit.recovery.fakes import WALL, begun
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.recovery.hooks import HookOccasion
from vtorc.recovery.pre_hooks import occasion_of
from vtorc.recovery.record import OperatorRequest, Outcome

PRIMARY, FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (100, 101, 102))
OLD = record(PRIMARY, TabletType.PRIMARY, mysql_hostname="old", mysql_port=3301)
ONE = record(FIRST, TabletType.REPLICA, mysql_hostname="one", mysql_port=3302)
TWO = record(SECOND, TabletType.REPLICA, mysql_hostname="two", mysql_port=3303)


def test_a_command_is_told_of_the_failed_server_the_replicas_and_the_successor() -> None:
    """Hosts, ports and counts come under v12's names, and under v11's where that had others."""
    words = HookOccasion(
        shard=SHARD, code="DeadPrimary", description="it is dead", failed=OLD, replicas=(ONE, TWO), successor=ONE
    ).words()
    assert (words["failedHost"], words["failedPort"], words["failureCluster"]) == ("old", "3301", "old:3301")
    assert words["failureClusterAlias"] == "commerce:0"
    assert words["countReplicas"] == words["countSlaves"] == "2"
    assert words["replicaHosts"] == words["slaveHosts"] == "one:3302,two:3303"
    assert (words["successorHost"], words["successorPort"], words["successorAlias"]) == ("one", "3302", FIRST)
    assert words["isSuccessful"] == "true"
    assert words["failureDescription"] == "it is dead"


def test_a_command_is_told_of_a_shard_without_a_primary() -> None:
    """It has no failed server, and the shard stands for the cluster; there are no words of a successor."""
    words = HookOccasion(shard=SHARD, code="ClusterHasNoPrimary", description="it has none").words()
    assert (words["failedHost"], words["failedPort"], words["failureCluster"]) == ("", "", "commerce/0")
    assert words["countReplicas"] == words["countSlaves"] == "0"
    assert words["isSuccessful"] == "false"
    assert not any(name.startswith("successor") for name in words)


@pytest.mark.parametrize(
    ("code", "about", "failed"),
    [
        (Code.CLUSTER_HAS_NO_PRIMARY, alias(FIRST), FIRST),
        (Code.CLUSTER_HAS_NO_PRIMARY, alias("zone1-107"), None),
        (None, alias(FIRST), None),
    ],
    ids=["the tablet of the problem", "a tablet that is gone", "a command of an operator"],
)
def test_without_a_primary_the_tablet_of_the_problem_is_the_failed_one(
    code: Code | None, about: TabletAlias, failed: str | None
) -> None:
    """What an operator names is the new primary, and has not failed."""
    view = shard(replica(FIRST), replica(SECOND), named=None)
    occasion = occasion_of(begun(Recovery.RECOVER_DEAD_PRIMARY, code=code, about=about), view)
    assert (str(occasion.failed.alias) if occasion.failed is not None else None) == failed
    assert occasion.code == (code.value if code is not None else "DeadPrimary")
    assert (occasion.command, occasion.successor) == ("", None)


def test_a_command_before_a_planned_move_is_told_of_its_successor() -> None:
    """The primary counts as the failed server, as in v12, and its replicas do not include it."""
    view = shard(primary(), replica(FIRST), replica(SECOND))
    asked = begun(Recovery.PLANNED_REPARENT, about=alias(FIRST))
    occasion = occasion_of(asked, view, successor=view.tablet(alias(FIRST)))
    assert occasion.failed is not None
    assert occasion.successor is not None
    assert (str(occasion.failed.alias), str(occasion.successor.alias)) == (PRIMARY, FIRST)
    assert [str(each.alias) for each in occasion.replicas] == [FIRST, SECOND]
    assert (occasion.command, occasion.recovery) == ("graceful-primary-takeover", WALL)


def test_a_recovery_that_ended_before_it_did_anything_keeps_its_purpose() -> None:
    """Its record says what was asked for, of which tablet and by whom, and that it took no time."""
    request = OperatorRequest(actor="ann", origin="127.0.0.1", reason="a drill")
    asked = replace(begun(Recovery.STOP_REPLICATION, code=Code.REPLICATION_STOPPED, about=alias(FIRST)), asked=request)
    ended = asked.ended(Outcome.REFUSED, "it is refused")
    assert (ended.shard, ended.recovery, ended.code, ended.alias) == (
        SHARD,
        Recovery.STOP_REPLICATION,
        Code.REPLICATION_STOPPED,
        alias(FIRST),
    )
    assert (ended.asked, ended.began, ended.duration) == (request, WALL, 0.0)
    assert (ended.outcome, ended.sentence, ended.steps) == (Outcome.REFUSED, "it is refused", ())
