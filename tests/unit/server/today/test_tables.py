"""The tables of `/api/database-state`."""

import json
from typing import Any

import pytest

from tests.unit.core.builders import CONNECTING, STOPPED, failing, primary, replica, shard, unprobed
from tests.unit.server.today.memories import (
    app_of,
    decision_frames,
    heartbeat,
    memory_of,
    recovery_frame,
    status_frame,
)
from tests.unit.server.told import ask_app
from vtorc.recovery.record import Outcome
from vtorc.server.memory import ServerMemory

BROKEN = shard(primary(), replica("zone1-101", io=STOPPED), failing(replica("zone1-102")))


async def table(memory: ServerMemory, name: str) -> Any:
    """Return the rows of a table."""
    tables = json.loads((await ask_app(app_of(memory), "/api/database-state")).text)
    return next(each["Rows"] for each in tables if each["TableName"] == name)


async def test_the_dump_is_a_text_with_tabs() -> None:
    """Vitess' own tests look for names and aliases in it."""
    answer = await ask_app(app_of(memory_of(BROKEN)), "/api/database-state")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.startswith('[\n\t{\n\t\t"TableName": "database_instance",\n\t\t"Rows": [\n\t\t\t{\n')
    assert '"alias": "zone1-0000000101"' in answer.text
    assert answer.text.endswith("]\n")


async def test_a_tablet_that_was_never_asked_is_in_the_topology_only() -> None:
    """Its instance gets a row with its first answer."""
    memory = memory_of(shard(primary(), unprobed(replica("zone1-101"))))
    instances, tablets = [await table(memory, name) for name in ("database_instance", "vitess_tablet")]
    assert [row["alias"] for row in instances] == ["zone1-0000000100"]
    assert [row["alias"] for row in tablets] == ["zone1-0000000100", "zone1-0000000101"]


async def test_times_and_truths_are_written_as_sqlite_writes_them() -> None:
    """A tablet that does not answer was seen before it was checked."""
    rows = await table(memory_of(BROKEN), "database_instance")
    gone = next(row for row in rows if row["alias"] == "zone1-0000000102")
    assert (gone["last_checked"], gone["last_seen"]) == ("2023-11-14 22:13:20", "2023-11-14 22:13:16")
    assert (gone["read_only"], gone["last_check_partial_success"], gone["replica_io_running"]) == ("1", "0", "1")
    assert (gone["exec_source_log_pos"], gone["port"]) == (None, "3306")


async def test_a_tablet_is_told_with_its_record() -> None:
    """The record is text protobuf, with what is known of it."""
    row = (await table(memory_of(BROKEN), "vitess_tablet"))[0]
    assert row["info"] == (
        'alias:{cell:"zone1" uid:100} hostname:"host-zone1-100" port_map:{key:"grpc" value:15999} '
        'keyspace:"commerce" shard:"0" type:PRIMARY mysql_hostname:"mysql-zone1-100" mysql_port:3306'
    )


async def test_a_recovery_has_a_row_and_one_for_each_step() -> None:
    """Begin and end are whole seconds, and a step tells its tablet and its result."""
    memory = memory_of(recovery_frame())
    [recovery] = await table(memory, "topology_recovery")
    assert (recovery["start_recovery"], recovery["end_recovery"]) == ("2023-11-14 22:13:20", "2023-11-14 22:13:22")
    assert (recovery["is_successful"], recovery["all_errors"]) == ("1", "")
    assert recovery["successor_alias"] == "zone1-0000000102"
    [step] = await table(memory, "topology_recovery_steps")
    assert step["recovery_id"] == recovery["recovery_id"]
    assert (step["audit_at"], step["message"]) == ("2023-11-14 22:13:21", "start replication on zone1-0000000101: done")


async def test_a_recovery_that_failed_has_its_reason() -> None:
    """Vitess' vtorc leaves the errors out."""
    [recovery] = await table(memory_of(recovery_frame(outcome=Outcome.FAILED)), "topology_recovery")
    assert (recovery["is_successful"], recovery["all_errors"]) == ("0", "the replica was repaired")


async def test_the_last_analysis_of_a_tablet_is_no_problem_once_the_problem_is_gone() -> None:
    """The change log keeps both, in their order."""
    view = shard(primary(), replica("zone1-101", io=STOPPED))
    memory = memory_of(*decision_frames(view), *decision_frames(view, cleared=True))
    changes = await table(memory, "database_instance_analysis_changelog")
    assert [row["analysis"] for row in changes] == ["ReplicationStopped", "NoProblem"]
    assert [row["analysis"] for row in await table(memory, "database_instance_last_analysis")] == ["NoProblem"]
    assert [row["analysis"] for row in await table(memory, "recovery_detection")] == ["ReplicationStopped"]


@pytest.mark.parametrize(("allowed", "rows"), [(True, None), (False, [{"disable_recovery": "1"}])])
async def test_stopped_recoveries_have_a_row(allowed: bool, rows: list[dict[str, str]] | None) -> None:
    """The table is empty, and so null, while recoveries are allowed."""
    assert await table(memory_of(status_frame(allowed=allowed)), "global_recovery_disable") == rows


async def test_tables_of_vtorc_itself_tell_its_version_and_its_last_sign_of_life() -> None:
    """They come from the status and the heartbeat."""
    memory = memory_of(status_frame(), heartbeat(), shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING)))
    [deployment] = await table(memory, "vtorc_db_deployments")
    assert deployment == {"deployed_version": "1.2.3", "deployed_timestamp": "2023-11-14 22:12:20"}
    assert await table(memory, "node_health") == [{"last_seen_active": "2023-11-14 22:13:20"}]
    [health] = await table(memory, "primary_health")
    assert health == {"alias": "zone1-0000000100", "health_state": None, "last_updated": "2023-11-14 22:13:20"}
