"""Tags and acknowledgements are kept by vtorc, and told in v12's terms."""

import msgspec
import pytest

from tests.unit.server.told import ask_app
from tests.unit.server.v12.world import HEALTHY, LOST, World, full_world, recovery, tagged
from vtorc.forms.frames import NotesFrame, RecoveryFrame
from vtorc.forms.notes import AcknowledgementForm, TagForm

KEY = {"Hostname": "mysql-zone1-101", "Port": 3306}
ELSEWHERE = recovery(seconds_ago=30.0, shard=LOST, tablet="zone1-0000000300")


def ready() -> World:
    """A world with two recoveries and two tags, in which each note is taken."""
    world = full_world()
    world.replies = {"acknowledge": (200, {}), "tag": (200, {}), "untag": (200, {"tags": []})}
    world.tell(RecoveryFrame(recovery=ELSEWHERE), tagged(role="backup", old=""))
    return world


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("role", ["101"]),
        ("role=backup%0A", ["101"]),
        ("role=lead", []),
        ("role,old", ["101"]),
        ("role,~old", []),
        ("!role,~old", ["100", "200", "300", "301", "302"]),
        ("~role=lead", ["100", "101", "200", "300", "301", "302"]),
    ],
)
async def test_instances_are_found_by_their_tags(wanted: str, found: list[str]) -> None:
    """A list of tags finds the instances that have all of them, and lack those with a sign before them."""
    got = await ask_app(ready().app(), f"/api/tagged/?tag={wanted}")
    assert sorted(key["Hostname"][-3:] for key in got.json) == found


async def test_the_tags_of_an_instance_are_told() -> None:
    """Each tag is told with its value, which may be empty."""
    world = ready()
    assert (await ask_app(world.app(), "/api/tags/mysql-zone1-101/3306")).json == ["role=backup", "old="]
    assert (await ask_app(world.app(), "/api/tag-value/mysql-zone1-101/3306?tag=old")).json == ""
    got = await ask_app(world.app(), "/api/tag-value/mysql-zone1-100/3306/role")
    assert (got.status, got.json["Message"]) == (500, "tag role not found for mysql-zone1-100:3306")


@pytest.mark.parametrize(
    ("path", "kind", "arguments"),
    [
        ("tag/mysql-zone1-101/3306?tag=role%3Dlead%0A", "tag", {"tablets": ["zone1-0000000101"], "tag": "role=lead"}),
        ("tag/mysql-zone1-101/3306/role/lead", "tag", {"tablets": ["zone1-0000000101"], "tag": "role=lead"}),
        ("untag/mysql-zone1-101/3306?tag=role", "untag", {"tablets": ["zone1-0000000101"], "tag": "role"}),
        ("untag-all?tag=role=backup", "untag", {"tablets": None, "tag": "role=backup"}),
    ],
)
async def test_a_change_of_tags_goes_to_vtorc(path: str, kind: str, arguments: dict[str, object]) -> None:
    """Tags are put on and taken away by vtorc, which keeps them."""
    world = ready()
    assert (await ask_app(world.app(), f"/api/{path}")).status == 200
    assert world.asked == [(kind, arguments)]


async def test_the_instances_that_had_a_tag_are_told() -> None:
    """The answer to untagging names the instances that had the tag."""
    world = ready()
    world.replies["untag"] = (200, {"tags": [TagForm(tablet="zone1-0000000101", name="role", value="backup")]})
    got = (await ask_app(world.app(), "/api/untag-all?tag=role=backup")).json
    assert (got["Message"], got["Details"]) == ("role removed from 1 instances", [KEY])


@pytest.mark.parametrize("path", ["untag-all?tag=role", "tag/mysql-zone1-101/3306", "tagged?tag=a%20b"])
async def test_what_is_no_tag_is_refused_without_asking(path: str) -> None:
    """A tag without a name, with a blank in it, or without the value that is needed, is refused."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{path}")
    assert (got.status, world.asked) == (500, [])
    assert "expected <name>" in got.json["Message"]


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        (f"ack-recovery/{int(recovery().id) // 1000}", [recovery().id]),
        (f"ack-recovery/uid/{recovery().id}", [recovery().id]),
        ("ack-recovery/cluster/commerce:0", [recovery().id]),
        ("ack-recovery/cluster/alias/customer:-80", [ELSEWHERE.id]),
        ("ack-recovery/instance/mysql-zone1-101/3306", [recovery().id]),
        ("ack-recovery/instance/mysql-zone1-100/3306", []),
        ("ack-all-recoveries", [recovery().id, ELSEWHERE.id]),
    ],
)
async def test_the_recoveries_that_are_meant_are_acknowledged(path: str, chosen: list[str]) -> None:
    """An acknowledgement by id, cluster, instance or of all goes to vtorc with its comment."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{path}?comment=seen%0A")
    assert got.status == 200
    assert world.asked == ([("acknowledge", {"recoveries": chosen, "comment": "seen"})] if chosen else [])


@pytest.mark.parametrize("path", ["ack-recovery/7?comment=seen", "ack-recovery/uid/7?comment=seen"])
async def test_a_recovery_that_is_not_known_is_not_acknowledged(path: str) -> None:
    """A number that is no recovery's is told."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{path}")
    assert (got.status, world.asked) == (500, [])
    assert "no recovery that ended is known by that" in got.json["Message"]


async def test_an_acknowledgement_needs_a_comment() -> None:
    """Without a comment nothing is acknowledged, as in v12."""
    world = ready()
    got = await ask_app(world.app(), "/api/ack-all-recoveries?comment=%0A")
    assert (got.status, world.asked) == (500, [])
    assert got.json["Message"].startswith("No acknowledge comment given")


async def test_an_acknowledged_recovery_says_so_and_is_not_acknowledged_again() -> None:
    """A recovery has the acknowledgement's operator, time and comment, and leaves the list of those without one."""
    world = ready()
    seen = AcknowledgementForm(recovery=recovery().id, actor="ann", comment="seen", at="2026-01-02T03:04:05.6Z")
    world.tell(NotesFrame(acknowledgements=[seen], tags=[]))
    (row,) = (await ask_app(world.app(), "/api/audit-recovery/alias/commerce:0")).json
    assert (row["Acknowledged"], row["AcknowledgedBy"], row["AcknowledgedComment"]) == (True, "ann", "seen")
    assert row["AcknowledgedAt"] == "2026-01-02 03:04:05"
    left = (await ask_app(world.app(), "/api/audit-recovery?unacknowledged=true")).json
    assert [each["UID"] for each in left if not each["IsActive"]] == [ELSEWHERE.id]
    await ask_app(world.app(), "/api/ack-all-recoveries?comment=done")
    assert world.asked == [("acknowledge", {"recoveries": [ELSEWHERE.id], "comment": "done"})]


async def test_an_acknowledgement_outlives_the_news_of_its_recovery() -> None:
    """A server that hears of the acknowledgement before the recovery knows both."""
    world = World()
    seen = AcknowledgementForm(recovery=recovery().id, actor="ann", comment="seen", at="2026-01-02T03:04:05Z")
    world.tell(NotesFrame(acknowledgements=[seen], tags=[]), RecoveryFrame(recovery=recovery()))
    assert world.memory.recoveries[recovery().id].acknowledgement == seen
    world.tell(NotesFrame(acknowledgements=[], tags=[]))
    assert world.memory.recoveries[recovery().id] == msgspec.structs.replace(recovery(), acknowledgement=None)
    assert world.memory.recoveries[recovery().id].shard == HEALTHY
