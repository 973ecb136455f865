"""Commands on single instances go to vtorc with the tablets that they mean, and are answered once they ended."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import STOPPED, replica
from tests.unit.server.told import ask_app
from tests.unit.server.v12.world import (
    HEALTHY,
    MYSQL,
    World,
    ago,
    form,
    full_world,
    healthy_view,
    recovery,
    running,
    with_tablet,
)
from vtorc.core.facts.views import TabletView
from vtorc.forms.frames import ProblemForm, ShardFrame
from vtorc.server.v12 import asking

REASON = " by the API of orchestrator"
FIRST, SECOND = "zone1-0000000101", "zone2-0000000200"


def ready(**changes: object) -> World:
    """A world in which a command on the healthy shard ends at once; `changes` are those of its record."""
    world = full_world()
    world.replies = {
        "command": (202, {"recovery": running(shard=HEALTHY, began=ago(0))}),
        "probe": (200, {"answered": [FIRST]}),
    }
    ended: dict[str, object] = {"sentence": "commerce/0: done", "winner": None, "code": None} | changes
    world.ends = [recovery(seconds_ago=0, **ended)]
    return world


def of_another_source() -> TabletView:
    """The replica zone2-200, which replicates from zone1-101."""
    return replica("zone2-200", of="zone1-101", server_id=200, **MYSQL)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("start-replica/mysql-zone1-101/3306", "StartReplication"),
        ("start-slave/mysql-zone1-101/3306", "StartReplication"),
        ("restart-replica/mysql-zone1-101/3306", "RestartReplication"),
        ("set-read-only/mysql-zone1-101/3306", "SetReadOnly"),
        ("flush-binary-logs/mysql-zone1-101/3306", "FlushBinaryLogs"),
        ("relocate/mysql-zone1-101/3306/mysql-zone1-100/3306", "ReparentTablet"),
        ("repoint/mysql-zone1-101/3306/mysql-zone1-100/3306", "ReparentTablet"),
    ],
)
async def test_a_command_goes_to_vtorc_with_its_tablet(path: str, command: str) -> None:
    """A command on an instance is asked for with tablet and reason, and answered with the instance."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{path}")
    reason = path.partition("/")[0] + REASON
    assert world.asked == [("command", {"shard": HEALTHY, "command": command, "tablets": [FIRST], "reason": reason})]
    assert (got.status, got.json["Details"]["InstanceAlias"]) == (200, FIRST)
    assert got.json["Message"].endswith("commerce/0: done")


async def test_all_replicas_of_an_instance_are_relocated_by_one_command() -> None:
    """Replicas of a replica are made to replicate from the primary, all in one command."""
    world = ready()
    world.tell(ShardFrame(shard=form(with_tablet(healthy_view(), of_another_source()))))
    world.ends_with = [ShardFrame(shard=form(healthy_view()))]
    got = await ask_app(world.app(), "/api/relocate-slaves/mysql-zone1-101/3306/mysql-zone1-100/3306")
    assert [arguments["tablets"] for _, arguments in world.asked] == [[SECOND]]
    assert [each["MasterKey"]["Hostname"] for each in got.json["Details"]] == ["mysql-zone1-100"]


@pytest.mark.parametrize(
    "path",
    [
        "relocate/mysql-zone1-101/3306/mysql-zone2-200/3306",
        "relocate/mysql-zone1-101/3306/mysql-zone1-300/3306",
        "relocate-replicas/mysql-zone1-100/3306/mysql-zone1-101/3306",
        "repoint-replicas/mysql-zone1-101/3306",
    ],
)
async def test_no_source_but_the_primary_is_taken(path: str) -> None:
    """What would make a replica follow anything but the primary of its shard is refused without asking."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{path}")
    assert (got.status, world.asked) == (501, [])
    assert "is not the primary of commerce/0 (mysql-zone1-100:3306)" in got.json["Message"]


async def test_a_command_that_is_refused_is_an_error_with_the_reason() -> None:
    """The answer to a command that did not succeed tells the sentence of its record."""
    world = ready(outcome="refused", sentence="commerce/0: its relay log has the last copy")
    got = await ask_app(world.app(), "/api/start-replica/mysql-zone1-101/3306")
    assert (got.status, got.json["Message"]) == (500, "commerce/0: its relay log has the last copy")


async def test_the_answer_waits_for_the_news_of_what_was_changed() -> None:
    """The instance is told as the command left it, though the record comes before the news of the shard."""
    stopped = replica("zone1-101", io=STOPPED, sql=STOPPED, server_id=101, **MYSQL)
    world = ready()
    world.tell(ShardFrame(shard=form(with_tablet(healthy_view(), stopped))))
    world.ends_with = [ShardFrame(shard=form(healthy_view()))]
    got = await ask_app(world.app(), "/api/start-replica/mysql-zone1-101/3306")
    assert got.json["Details"]["ReplicationIOThreadState"] == 1


async def test_news_that_do_not_come_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without news the instance is told as it was known before."""
    monkeypatch.setattr(asking, "NEWS_WITHIN", 0.0)
    stopped = replica("zone1-101", io=STOPPED, sql=STOPPED, server_id=101, **MYSQL)
    world = ready()
    world.tell(ShardFrame(shard=form(with_tablet(healthy_view(), stopped))))
    got = await ask_app(world.app(), "/api/start-replica/mysql-zone1-101/3306")
    assert got.json["Details"]["ReplicationIOThreadState"] == 0


async def test_a_tablet_that_has_left_meanwhile_is_an_error() -> None:
    """An instance that is gone by the end of its command is told so."""
    world = ready()
    view = healthy_view()
    left = replace(view, tablets=tuple(each for each in view.tablets if str(each.alias) != FIRST))
    world.ends_with = [ShardFrame(shard=form(left))]
    got = await ask_app(world.app(), "/api/flush-binary-logs/mysql-zone1-101/3306")
    assert got.json["Message"] == f"{FIRST} has left its shard: see /api/all-instances"


@pytest.mark.parametrize("command", ["discover", "async-discover", "refresh"])
async def test_an_instance_is_asked_now(command: str) -> None:
    """Discovering an instance has vtorc ask its tablet at once."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{command}/mysql-zone1-101/3306")
    assert (got.status, world.asked) == (200, [("probe", {"shard": HEALTHY, "tablets": [FIRST]})])


async def test_a_client_without_the_right_has_nothing_asked() -> None:
    """A refusal of vtorc's is told in v12's word."""
    world = ready()
    why = ProblemForm(title="no", status=403, what="a request", why="you may only read", do="ask an operator")
    world.replies["probe"] = (403, why)
    got = await ask_app(world.app(), "/api/discover/mysql-zone1-101/3306")
    assert (got.status, got.json["Message"]) == (500, "Unauthorized")
