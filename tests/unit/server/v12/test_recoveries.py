"""Recoveries, detections and what was blocked have the values that pages and vttablet rely on."""

from typing import Any

import msgspec
import pytest

from tests.unit.server.told import ask_app
from tests.unit.server.v12.world import (
    FIRST,
    HEALTHY,
    LOST,
    World,
    ago,
    detected,
    form,
    full_world,
    lost_view,
    recovery,
    running,
)
from vtorc.forms.frames import DecisionFrame, GoneFrame, RecoveryFrame, ShardFrame
from vtorc.forms.recovery import HookRunForm, StepForm
from vtorc.server.v12.recoveries import BLOCKING_RULES

LARGEST_IN_JAVASCRIPT = 2**53 - 1


async def ask(world: World, path: str) -> Any:
    """The value at a path."""
    got = await ask_app(world.app(), f"/api/{path}")
    assert got.status == 200, got.body
    return got.json


async def test_vttablet_learns_by_keyspace_dot_shard_whether_a_recovery_is_in_progress() -> None:
    """The first entry of a shard is active exactly while vtorc carries out a recovery there."""
    world = full_world()
    assert (await ask(world, "audit-recovery/alias/customer.-80"))[0]["IsActive"] is True
    assert (await ask(world, "audit-recovery/alias/commerce.0"))[0]["IsActive"] is False
    world.tell(ShardFrame(shard=form(lost_view())))
    assert await ask(world, "audit-recovery/alias/customer.-80") == []


async def test_an_ended_recovery_tells_times_successor_and_participants() -> None:
    """Times are those that pages compare as text, and the number is one that JavaScript can hold."""
    (got,) = await ask(full_world(), f"audit-recovery/uid/{recovery().id}")
    assert (got["RecoveryStartTimestamp"], got["RecoveryEndTimestamp"]) == (
        "2026-09-21 14:12:20",
        "2026-09-21 14:12:20",
    )
    assert got["Id"] == int(recovery().id) // 1000 <= LARGEST_IN_JAVASCRIPT
    assert got["SuccessorKey"] == {"Hostname": "mysql-zone1-100", "Port": 3306}
    assert got["ParticipatingInstanceKeys"] == [{"Hostname": "mysql-zone1-100", "Port": 3306}]
    assert got["AnalysisEntry"]["AnalyzedInstanceKey"] == {"Hostname": "mysql-zone1-101", "Port": 3306}
    assert got["AnalysisEntry"]["Analysis"] == "DeadPrimary"
    assert got["AllErrors"] == [""]
    assert got["RecoveryType"] == "PrimaryRecoveryGTID"


async def test_a_recovery_in_progress_has_no_end_and_no_successor() -> None:
    """A recovery in progress is pending: no end, an empty successor, and steps so far."""
    world = full_world()
    (got,) = await ask(world, "active-cluster-recovery/mysql-zone1-300:3306")
    assert (got["IsActive"], got["RecoveryEndTimestamp"]) == (True, "")
    assert got["SuccessorKey"] == {"Hostname": "", "Port": 0}
    steps = await ask(world, f"audit-recovery-steps/{got['UID']}")
    assert [step["Message"] for step in steps] == ["take the lock: done (0.020 s)"]


async def test_a_recovery_with_a_record_is_over_though_its_shard_still_shows_it() -> None:
    """Between the record and the next news of the shard a recovery is told once, as ended."""
    world = full_world()
    world.tell(RecoveryFrame(recovery=recovery(shard=LOST, began=running().began, winner="zone1-0000000301")))
    (got,) = await ask(world, "audit-recovery/alias/customer:-80")
    assert got["IsActive"] is False
    assert await ask(world, "active-cluster-recovery/customer:-80") == []


async def test_steps_name_tablet_time_and_result() -> None:
    """Each step is one line with its time."""
    failed = StepForm(name="promote", tablet="zone1-0000000100", started=2.5, seconds=1.0, result="timed out")
    world = full_world()
    world.tell(RecoveryFrame(recovery=recovery(id="5", steps=[failed])))
    assert await ask(world, "audit-recovery-steps/5") == [
        {
            "Id": 1,
            "RecoveryUID": "5",
            "AuditAt": "2026-09-21 14:12:22",
            "Message": "promote on zone1-0000000100: timed out (1.000 s)",
        }
    ]
    assert await ask(world, "audit-recovery-steps/nothing") == []


async def test_steps_have_the_commands_that_ran_afterwards() -> None:
    """Commands of hooks come last, with what they printed, and so does the output of those before the recovery."""
    asked = StepForm(
        name="PreFailoverProcesses 1 of 1", tablet=None, started=0.1, seconds=1.0, result="done", output="ok"
    )
    run = HookRunForm(
        hook="PostFailoverProcesses",
        number=2,
        at="2026-09-21T14:13:00.000Z",
        seconds=0.5,
        result="ended with exit code 1",
        output="no mail",
    )
    world = full_world()
    world.tell(RecoveryFrame(recovery=recovery(id="5", steps=[asked], hooks=[run])))
    steps = await ask(world, "audit-recovery-steps/5")
    assert [step["Message"] for step in steps] == [
        "PreFailoverProcesses 1 of 1: done (1.000 s): ok",
        "PostFailoverProcesses 2: ended with exit code 1 (0.500 s): no mail",
    ]
    assert steps[1]["AuditAt"] == "2026-09-21 14:13:00"


async def test_a_failed_recovery_tells_its_reason_and_no_successor() -> None:
    """A recovery that failed has its sentence as its error."""
    world = full_world()
    world.tell(RecoveryFrame(recovery=recovery(id="5", outcome="failed", sentence="no tablet answered")))
    (got,) = await ask(world, "audit-recovery/uid/5")
    assert (got["IsSuccessful"], got["SuccessorAlias"], got["AllErrors"]) == (False, "", ["no tablet answered"])


async def test_recoveries_come_latest_first_in_pages_of_twenty() -> None:
    """The list begins with those in progress, then the latest; pages count from 0."""
    world = full_world()
    for number in range(25):
        world.tell(RecoveryFrame(recovery=recovery(id=str(10_000 * number), sentence=str(number))))
    first = await ask(world, "audit-recovery/alias/commerce:0")
    second = await ask(world, "audit-recovery/alias/commerce:0/1")
    assert [row["AnalysisEntry"]["Description"] for row in first[:2]] == ["24", "23"]
    assert (len(first), len(second)) == (20, 6)
    assert (await ask(world, "audit-recovery"))[0]["IsActive"] is True
    assert await ask(world, "audit-recovery/word") == await ask(world, "audit-recovery")


@pytest.mark.parametrize(("seconds_ago", "is_recent"), [(299, True), (302, False)])
async def test_a_recovery_is_recent_for_five_minutes(seconds_ago: float, is_recent: bool) -> None:
    """What ended longer ago is not recent, and then the answer is null."""
    world = full_world()
    world.memory.recoveries.clear()
    world.tell(RecoveryFrame(recovery=recovery(seconds_ago=seconds_ago)))
    assert (await ask(world, f"recently-active-cluster-recovery/{FIRST}") is not None) is is_recent
    assert (await ask(world, "recently-active-instance-recovery/mysql-zone1-100/3306") is not None) is is_recent
    assert await ask(world, "recently-active-instance-recovery/mysql-zone1-101/3306") is None


async def test_a_detection_and_its_recovery_name_each_other() -> None:
    """The recovery has the number of the detection before it, and the detection that of the recovery."""
    world = full_world()
    (detection,) = await ask(world, "audit-failure-detection/alias/commerce:0")
    (ended,) = await ask(world, "audit-recovery/alias/commerce:0")
    assert ended["LastDetectionId"] == detection["Id"] <= LARGEST_IN_JAVASCRIPT
    assert detection["RelatedRecoveryId"] == ended["Id"]
    assert await ask(world, f"audit-failure-detection/id/{detection['Id']}") == [detection]


async def test_detections_of_one_moment_have_numbers_of_their_own() -> None:
    """Decisions of the same millisecond are told apart, and a later one is not what called for the recovery."""
    world = full_world()
    for code in ("ReplicaIsWritable", "DeadPrimary"):
        finding = msgspec.structs.replace(detected(), code=code)
        world.tell(DecisionFrame(at=ago(10), change="decided", finding=finding))
    numbers = [row["Id"] for row in await ask(world, "audit-failure-detection")]
    assert len(set(numbers)) == 3
    assert numbers == sorted(numbers, reverse=True)
    (ended,) = await ask(world, "audit-recovery/alias/commerce:0")
    assert ended["LastDetectionId"] == numbers[-1]


async def test_the_changelog_has_a_line_for_each_change() -> None:
    """What was decided about an instance is told with its time, and NoProblem at its end."""
    (got,) = await ask(full_world(), "replication-analysis-changelog")
    assert got["AnalyzedInstanceKey"] == {"Hostname": "mysql-zone1-101", "Port": 3306}
    assert got["Changelog"] == ["2026-09-21 14:12:19;DeadPrimary,", "2026-09-21 14:12:21;NoProblem,"]


@pytest.mark.parametrize("rule", [*sorted(BLOCKING_RULES), "act"])
async def test_what_an_earlier_recovery_holds_back_is_blocked(rule: str) -> None:
    """A finding is blocked while an earlier recovery of its shard forbids the next, and for no other reason."""
    world = full_world()
    shard = form(lost_view())
    findings = [msgspec.structs.replace(finding, rule=rule) for finding in shard.findings]
    world.tell(ShardFrame(shard=msgspec.structs.replace(shard, findings=findings)))
    world.tell(RecoveryFrame(recovery=recovery(id="7000", shard=LOST)))
    got = await ask(world, "blocked-recoveries")
    if rule == "act":
        assert got == []
    else:
        assert got[0] == {
            "FailedInstanceKey": {"Hostname": "mysql-zone1-300", "Port": 3306},
            "ClusterName": "mysql-zone1-300:3306",
            "Analysis": "DeadPrimary",
            "LastBlockedTimestamp": "2026-09-21 14:13:20",
            "BlockingRecoveryId": 7,
        }
        assert await ask(world, "blocked-recoveries/cluster/customer:-80") == got


async def test_the_recovery_of_a_shard_that_is_gone_is_told_without_cluster() -> None:
    """A recovery outlives its shard, with the alias of the shard and no name of a cluster."""
    world = full_world()
    world.tell(GoneFrame(shard=HEALTHY))
    (got,) = await ask(world, f"audit-recovery/uid/{recovery().id}")
    assert got["AnalysisEntry"]["ClusterDetails"]["ClusterName"] == ""
    assert got["AnalysisEntry"]["ClusterDetails"]["ClusterAlias"] == "commerce:0"
    assert got["ParticipatingInstanceKeys"] == []
    assert await ask(world, "audit") == []


async def test_the_audit_tells_recoveries_by_their_kind() -> None:
    """Each recovery is a row of the audit under the name of its kind."""
    (row,) = await ask(full_world(), "audit/instance/mysql-zone1-101/3306")
    assert (row["AuditType"], row["Message"]) == ("recover-dead-primary", recovery().sentence)
    assert await ask(full_world(), "audit/instance/mysql-zone1-100/3306") == []


async def test_a_recovery_that_an_operator_asked_for_is_named_by_its_kind() -> None:
    """Without a problem the analysis is the kind of recovery."""
    world = full_world()
    going = running(code=None, kind="PlannedReparent", tablet=None)
    world.tell(ShardFrame(shard=form(lost_view(), running=going)))
    (got,) = await ask(world, "audit-recovery/alias/customer:-80")
    assert got["AnalysisEntry"]["Analysis"] == "PlannedReparent"
    assert got["AnalysisEntry"]["AnalyzedInstanceKey"]["Hostname"] == "mysql-zone1-300"
