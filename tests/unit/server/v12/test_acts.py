"""What acts goes through a plan of vtorc, and is answered once the recovery ended."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.unit.server.today.memories import settings_frame
from tests.unit.server.told import Answered, Forwarding, ask_app
from tests.unit.server.v12 import fields
from tests.unit.server.v12.world import (
    HEALTHY,
    LOST,
    STATUS,
    World,
    ago,
    form,
    full_world,
    healthy_view,
    lost_view,
    plan,
    recovery,
    running,
)
from vtorc.forms.frames import ProblemForm, RecoveryFrame, ShardFrame
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.v12 import asking

REASON = " by the API of orchestrator"


def ready(*, shard: str = HEALTHY, risk: str = "", **changes: Any) -> World:
    """A world in which a plan for the shard succeeds, and promotes the replica zone1-101."""
    world = full_world()
    world.replies = {
        "plan": (200, plan(risk=risk)),
        "execute": (202, {"recovery": running(shard=shard, began=ago(0))}),
        "recoveries": (200, {"allow": True}),
    }
    world.ends = [recovery(seconds_ago=0, **({"shard": shard, "winner": "zone1-0000000101"} | changes))]
    return world


def refusal(status: int = 409) -> tuple[int, ProblemForm]:
    """A reply that refuses."""
    return status, ProblemForm(title="refused", status=status, what="the shard", why="has no replica", do="add one")


async def ask(world: World, path: str, **options: Any) -> Answered:
    """Ask for a path."""
    return await ask_app(world.app(), f"/api/{path}", **options)


@pytest.mark.parametrize(
    ("path", "kind_and_target", "accept_loss"),
    [
        ("graceful-primary-takeover/commerce:0/mysql-zone1-101/3306", ("planned", "zone1-0000000101"), False),
        ("graceful-master-takeover/mysql-zone1-100/3306/zone2-0000000200/0", ("planned", "zone2-0000000200"), False),
        ("graceful-primary-takeover-auto/commerce:0", ("planned", None), False),
        ("graceful-primary-takeover-auto/commerce:0/mysql-zone1-101/3306", ("planned", "zone1-0000000101"), False),
        ("force-primary-failover/commerce:0", ("emergency", None), True),
        ("force-master-takeover/commerce:0/mysql-zone1-101/3306", ("forced", "zone1-0000000101"), False),
    ],
)
async def test_a_takeover_is_planned_and_executed(
    path: str, kind_and_target: tuple[str, str | None], accept_loss: bool
) -> None:
    """A takeover asks for the plan that it means, executes it with a reason, and tells the successor."""
    world = ready()
    got = await ask(world, path)
    assert world.asked == [
        ("plan", {"shard": HEALTHY, "kind": kind_and_target[0], "to": kind_and_target[1]}),
        ("execute", {"plan": "p7", "reason": path.partition("/")[0] + REASON, "accept_loss": accept_loss}),
    ]
    assert (got.status, got.json["Code"]) == (200, "OK")
    assert set(got.json["Details"]) == fields.RECOVERY
    assert got.json["Details"]["SuccessorKey"] == {"Hostname": "mysql-zone1-101", "Port": 3306}
    assert got.json["Details"]["IsSuccessful"] is True


async def test_a_takeover_without_a_target_takes_the_only_replica() -> None:
    """With exactly one replica of the primary no target has to be named."""
    view = lost_view()
    world = ready(shard=LOST, winner="zone1-0000000301")
    only = msgspec.structs.replace(form(view), tablets=form(view).tablets[:2])
    world.tell(ShardFrame(shard=only))
    got = await ask(world, "graceful-primary-takeover/customer:-80")
    assert got.status == 200
    assert world.asked[0] == ("plan", {"shard": LOST, "kind": "planned", "to": "zone1-0000000301"})


async def test_what_a_failover_risks_is_told() -> None:
    """The answer to a forced failover has the risk of its plan."""
    got = await ask(ready(risk="Writes that reached no other tablet are lost."), "force-primary-failover/commerce:0")
    assert got.json["Message"].endswith("Writes that reached no other tablet are lost.")


async def test_a_target_in_another_cluster_is_refused_without_asking() -> None:
    """A designated instance of another shard is a mistake."""
    world = ready()
    got = await ask(world, "graceful-primary-takeover/commerce:0/mysql-zone1-301/3306")
    assert (got.status, world.asked) == (500, [])
    assert "is in customer/-80: expected a replica of commerce/0" in got.json["Message"]


async def test_the_refusal_of_a_plan_is_told_and_nothing_executed() -> None:
    """A plan that cannot be carried out is not executed."""
    world = ready()
    world.replies["plan"] = (200, plan(refusal="no replica has all writes"))
    got = await ask(world, "graceful-primary-takeover-auto/commerce:0")
    assert (got.status, got.json) == (500, {"Code": "ERROR", "Message": "no replica has all writes", "Details": None})
    assert [kind for kind, _ in world.asked] == ["plan"]


@pytest.mark.parametrize("kind", ["plan", "execute"])
async def test_a_problem_is_told_with_its_reason_and_what_to_do(kind: str) -> None:
    """What vtorc refuses is an error with all that it says."""
    world = ready()
    world.replies[kind] = refusal()
    got = await ask(world, "force-primary-failover/commerce:0")
    assert (got.status, got.json["Message"]) == (500, "the shard. has no replica. add one")


async def test_a_sender_without_the_right_is_unauthorized() -> None:
    """A client that may not act is told so in v12's word, with the reason as details."""
    world = ready()
    world.replies["execute"] = refusal(403)
    got = await ask(world, "force-primary-failover/commerce:0")
    assert (got.status, got.json["Message"]) == (500, "Unauthorized")
    assert got.json["Details"] == "the shard. has no replica. add one"


async def test_a_recovery_that_failed_is_an_error_with_its_record() -> None:
    """A takeover without success is an error, and its details are the recovery."""
    world = ready(outcome="refused", sentence="it lags", winner=None)
    got = await ask(world, "graceful-primary-takeover-auto/commerce:0")
    assert (got.status, got.json["Message"]) == (500, "it lags")
    assert got.json["Details"]["SuccessorKey"] == {"Hostname": "", "Port": 0}
    assert got.json["Details"]["AllErrors"] == ["it lags"]


async def test_other_recoveries_do_not_end_the_wait() -> None:
    """Only the recovery that was begun, of this shard, is the answer."""
    world = ready()
    world.ends = [recovery(seconds_ago=0, shard=LOST), recovery(seconds_ago=9, sentence="another"), *world.ends]
    got = await ask(world, "graceful-primary-takeover-auto/commerce:0")
    assert got.json["Details"]["SuccessorKey"]["Hostname"] == "mysql-zone1-101"


async def test_a_recovery_that_takes_long_is_told_as_going_on() -> None:
    """A call ends after a while, and says where the recovery is to be followed."""
    world = ready()
    world.ends = []
    got = await ask_app(world.app(patience=0.0), "/api/graceful-primary-takeover-auto/commerce:0")
    assert got.status == 500
    assert "follow it by /api/audit-recovery/alias/commerce:0" in got.json["Message"]


async def test_a_recovery_that_leaves_no_record_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recovery that was in progress, and is gone without a record, is told as broken off."""
    monkeypatch.setattr(asking, "RECORD_WITHIN", 0.0)
    world = ready()
    world.ends = []
    call = asyncio.create_task(ask(world, "graceful-primary-takeover-auto/commerce:0"))
    await world.executed.wait()
    shown = running(shard=HEALTHY, began=ago(0))
    world.tell(ShardFrame(shard=form(healthy_view(), running=shown)), ShardFrame(shard=form(healthy_view())))
    got = await call
    assert (got.status, got.json["Code"]) == (500, "ERROR")
    assert "was broken off, and left no record" in got.json["Message"]


async def test_news_of_the_shard_may_overtake_the_record() -> None:
    """A record that comes right after the recovery went away is the answer."""
    world = ready()
    world.ends = []
    call = asyncio.create_task(ask(world, "graceful-primary-takeover-auto/commerce:0"))
    await world.executed.wait()
    shown = running(shard=HEALTHY, began=ago(0))
    world.tell(ShardFrame(shard=form(healthy_view(), running=shown)), ShardFrame(shard=form(healthy_view())))
    world.tell(RecoveryFrame(recovery=recovery(seconds_ago=0)))
    assert (await call).status == 200


async def test_a_reply_that_makes_no_sense_is_told() -> None:
    """A reply without a plan is an error that names it."""
    world = ready()
    world.replies["plan"] = (200, {"said": "yes"})
    got = await ask(world, "graceful-primary-takeover-auto/commerce:0")
    assert "reply with status 200 is no PlanForm" in got.json["Message"]


async def test_a_lost_primary_is_recovered_and_the_successor_told() -> None:
    """`recover` replaces a lost primary at once."""
    world = ready(shard=LOST, winner="zone1-0000000301")
    got = await ask(world, "recover/mysql-zone1-300/3306")
    assert world.asked[0] == ("plan", {"shard": LOST, "kind": "emergency", "to": None})
    assert got.json["Details"] == {"Hostname": "mysql-zone1-301", "Port": 3306}


@pytest.mark.parametrize("path", ["recover/mysql-zone1-100/3306", "recover/mysql-zone1-301/3306"])
async def test_what_is_no_lost_primary_is_not_recovered(path: str) -> None:
    """`recover` of a healthy primary or of a replica is refused without asking."""
    world = ready()
    got = await ask(world, path)
    assert (got.status, world.asked) == (500, [])
    assert "is not a lost primary" in got.json["Message"]


@pytest.mark.parametrize(("path", "allow"), [("disable-global-recoveries", False), ("enable-global-recoveries", True)])
async def test_recoveries_are_switched_for_all_clusters(path: str, allow: bool) -> None:
    """The switch of all recoveries is asked for with a reason."""
    world = ready()
    got = await ask(world, path)
    assert world.asked == [("recoveries", {"allow": allow, "reason": path + REASON})]
    assert got.json["Details"] == ("enabled" if allow else "disabled")


async def test_the_switch_is_shown_as_vtorc_told_it() -> None:
    """`check-global-recoveries` tells what holds."""
    world = ready()
    world.tell(msgspec.structs.replace(STATUS, recoveries_allowed=False))
    assert (await ask(world, "check-global-recoveries")).json["Details"] == "disabled"
    assert (await ask(world, "clusters-info")).json[0]["HasAutomatedMasterRecovery"] is False
    assert (await ask(world, "automated-recovery-filters")).json["Details"]["RecoverPrimaryClusterFilters"] == []


async def test_the_filters_of_recoveries_are_those_of_the_settings() -> None:
    """`automated-recovery-filters` has the hosts that vtorc leaves alone."""
    world = ready()
    world.tell(settings_frame(recovery_ignore_hostname_filters=("^db7",)))
    got = (await ask(world, "automated-recovery-filters")).json["Details"]
    assert got["RecoveryIgnoreHostnameFilters"] == ["^db7"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
async def test_nothing_acts_but_get(method: str) -> None:
    """A takeover by another method than GET is refused without asking."""
    world = ready()
    got = await ask(world, "force-primary-failover/commerce:0", method=method)
    assert (got.status, world.asked) == (405, [])


async def test_no_other_host_and_no_foreign_page_makes_it_act() -> None:
    """A remote client is unauthorized, and a page of another site is refused."""
    world = ready()
    app = make_app(world.memory, Forwarding(world.ask), listener=Listener.V12)
    path = "/api/disable-global-recoveries"
    remote = await ask_app(app, path, client="192.0.2.7")
    assert (remote.json["Message"], world.asked) == ("Unauthorized", [])
    foreign = await ask_app(app, path, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status, world.asked) == (403, [])
    assert (await ask_app(app, path)).json["Details"] == "disabled"


async def test_a_call_that_is_given_up_leaves_no_listener() -> None:
    """A client that goes away leaves nothing behind that hears of each frame."""
    world = ready()
    world.ends = []
    call = asyncio.create_task(ask(world, "graceful-primary-takeover-auto/commerce:0"))
    await world.executed.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    listeners = world.memory._listeners
    assert len(listeners) == 1, "that of the clusters"
