"""Downtime, maintenance and promotion rules are holds of vtorc, and are told in v12's terms."""

import msgspec
import pytest

from tests.unit.server.told import ask_app
from tests.unit.server.v12.world import (
    DOWNTIME,
    FIRST,
    MAINTENANCE,
    SECOND,
    STATUS,
    World,
    ago,
    form,
    full_world,
    healthy_view,
    held,
    lost_view,
)
from vtorc.forms.frames import ProblemForm, ShardFrame
from vtorc.forms.hold import HoldForm
from vtorc.server.v12 import asking

KEY = {"Hostname": "mysql-zone1-101", "Port": 3306}
TABLET = "tablet:zone1-0000000101"
SILENCED = ["no_alert", "no_failover", "no_repair"]


@pytest.fixture(autouse=True)
def _no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no news: a test tells all beforehand."""
    monkeypatch.setattr(asking, "NEWS_WITHIN", 0.0)


def ready(*holds: HoldForm) -> World:
    """A world in which each order is taken, with these holds on the replica zone1-101."""
    world = full_world()
    world.replies = {"hold": (200, {}), "lift": (200, {})}
    world.tell(*held(*holds))
    return world


def rule(effect: str) -> HoldForm:
    """The hold of a promotion rule."""
    return msgspec.structs.replace(DOWNTIME, number=9, purpose="promotion_rule", effects=[effect], expires=None)


@pytest.mark.parametrize(
    ("path", "owner", "reason", "purpose", "effects", "seconds"),
    [
        ("begin-downtime/{}/ann%0A/a%20new%2Fdisk%0A", "ann", "a new/disk", "downtime", SILENCED, 600),
        ("begin-downtime/{}/ann/disk/2d", "ann", "disk", "downtime", SILENCED, 2 * 86400),
        ("begin-maintenance/{}/bob/reboot", "bob", "reboot", "maintenance", SILENCED, 600),
        ("begin-maintenance/{}/vitess/vttablet", "vitess", "vttablet", "maintenance", [], 600),
        ("register-candidate/{}/prefer", None, "register-candidate", "promotion_rule", ["prefer"], None),
        ("register-candidate/{}/prefer_not", None, "register-candidate", "promotion_rule", ["prefer_not"], None),
        ("register-candidate/{}/must_not", None, "register-candidate", "promotion_rule", ["not_promotable"], None),
    ],
)
async def test_an_order_becomes_a_hold(
    path: str, owner: str | None, reason: str, purpose: str, effects: list[str], seconds: int | None
) -> None:
    """An order on an instance asks for the hold that it means, with owner, reason and length."""
    world = ready()
    got = await ask_app(world.app(), f"/api/{path.format('mysql-zone1-101/3306')}")
    assert (got.status, got.json["Details"]) == (200, KEY)
    ((kind, asked),) = world.asked
    assert (kind, asked["scope"], asked["purpose"]) == ("hold", TABLET, purpose)
    assert (asked["owner"], asked["effects"], asked["seconds"]) == (owner, effects, seconds)
    assert str(asked["reason"]).removesuffix(" by the API of orchestrator") == reason


@pytest.mark.parametrize(
    ("path", "purpose"),
    [
        ("end-downtime/mysql-zone1-101/3306", "downtime"),
        ("end-maintenance/mysql-zone1-101/3306", "maintenance"),
        ("register-candidate/mysql-zone1-101/3306/neutral", "promotion_rule"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
async def test_the_end_of_an_order_lifts_its_hold(path: str, purpose: str, is_there: bool) -> None:
    """An order that ends lifts its hold; without one the answer is as good, because v12's was."""
    world = ready()
    if not is_there:
        world.replies["lift"] = (404, ProblemForm(title="no", status=404, what="it", why="is not there", do="look"))
    got = await ask_app(world.app(), f"/api/{path}")
    assert (got.status, got.json["Details"]) == (200, KEY)
    ((kind, asked),) = world.asked
    assert (kind, asked["scope"], asked["purpose"]) == ("lift", TABLET, purpose)


async def test_an_order_that_cannot_be_kept_is_an_error() -> None:
    """What vtorc says of a disk that is full is told."""
    world = ready()
    problem = ProblemForm(title="no", status=503, what="the order was not taken", why="the disk is full", do="mend it")
    world.replies = {"hold": (503, problem), "lift": (503, problem)}
    for path in ("begin-downtime/{}/ann/disk", "end-downtime/{}"):
        got = await ask_app(world.app(), f"/api/{path.format('mysql-zone1-101/3306')}")
        assert (got.status, got.json["Message"]) == (500, "the order was not taken. the disk is full. mend it")


@pytest.mark.parametrize("length", ["10", "0m", "1y", "-5m", "20000w"])
async def test_a_wrong_length_is_refused_without_asking(length: str) -> None:
    """A length that vtorc does not know is told with those that it knows."""
    world = ready()
    got = await ask_app(world.app(), f"/api/begin-downtime/mysql-zone1-101/3306/ann/disk/{length}")
    assert (got.status, world.asked) == (500, [])
    assert got.json["Message"].startswith(f"duration '{length}': expected a number with s, m, h, d or w")


async def test_a_wrong_promotion_rule_is_refused_without_asking() -> None:
    """A rule that v12 did not have is told with those that it had."""
    world = ready()
    got = await ask_app(world.app(), "/api/register-candidate/mysql-zone1-101/3306/must")
    assert (got.status, world.asked) == (500, [])
    assert got.json["Message"] == "promotionRule 'must': expected one of prefer, neutral, prefer_not, must_not"


async def test_a_downtimed_instance_is_shown_so_in_both_vocabularies() -> None:
    """An instance has reason, owner and end of its downtime, is listed as downtimed, and is no problem any more."""
    world = ready(DOWNTIME)
    got = (await ask_app(world.app(), "/api/instance/mysql-zone1-101/3306")).json
    assert (got["IsDowntimed"], got["DowntimeReason"], got["DowntimeOwner"]) == (True, "a new disk", "ann")
    assert got["DowntimeEndTimestamp"] == ago(-480)[:19].replace("T", " ")
    assert got["ElapsedDowntime"] == 120 * 10**9
    assert [row["Key"] for row in (await ask_app(world.app(), "/api/downtimed")).json] == [KEY]
    assert [row["Key"] for row in (await ask_app(world.app(), "/api/downtimed/commerce:0")).json] == [KEY]
    assert (await ask_app(world.app(), "/api/downtimed/customer:-80")).json == []
    world.silence = 40.0
    problems = (await ask_app(world.app(), "/api/problems/commerce:0")).json
    assert KEY not in [row["Key"] for row in problems]
    assert len(problems) == 2


async def test_a_hold_that_silences_a_shard_downtimes_its_instances() -> None:
    """A hold without an end on the whole shard is told of each instance, with an end that is far away."""
    world = ready()
    hold = msgspec.structs.replace(DOWNTIME, purpose="hold", scope="shard:commerce/0", expires=None)
    world.tell(ShardFrame(shard=msgspec.structs.replace(form(healthy_view()), holds=[hold])))
    rows = (await ask_app(world.app(), "/api/downtimed")).json
    assert len(rows) == 3
    assert {row["DowntimeEndTimestamp"] for row in rows} == {"9999-12-31 23:59:59"}
    (info, _) = (await ask_app(world.app(), "/api/clusters-info")).json
    assert (info["ClusterName"], info["HasAutomatedPrimaryRecovery"]) == (FIRST, False)


async def test_the_analysis_of_a_downtimed_instance_says_so() -> None:
    """A finding about a downtimed instance is skippable, with the time that is left."""
    world = ready()
    lost = form(lost_view())
    on_primary = [msgspec.structs.replace(each, holds=[DOWNTIME]) if each.is_primary else each for each in lost.tablets]
    world.tell(STATUS, ShardFrame(shard=msgspec.structs.replace(lost, tablets=on_primary)))
    (first, *_) = (await ask_app(world.app(), "/api/replication-analysis/customer:-80")).json["Details"]
    assert (first["IsDowntimed"], first["SkippableDueToDowntime"]) == (True, True)
    assert first["DowntimeRemainingSeconds"] == 480


@pytest.mark.parametrize(
    ("effect", "shown", "is_candidate"),
    [("prefer", "prefer", True), ("prefer_not", "prefer_not", False), ("not_promotable", "must_not", False)],
)
async def test_a_promotion_rule_is_shown(effect: str, shown: str, is_candidate: bool) -> None:
    """The rule that operators gave an instance takes the place of that of its type."""
    world = ready(rule(effect))
    got = (await ask_app(world.app(), "/api/instance/mysql-zone1-101/3306")).json
    assert (got["PromotionRule"], got["IsCandidate"]) == (shown, is_candidate)
    rules = (await ask_app(world.app(), "/api/bulk-promotion-rules")).json
    assert [row["PromotionRule"] for row in rules if row["Hostname"] == "mysql-zone1-101"] == [shown]


async def test_maintenance_is_listed_and_ended_by_its_number() -> None:
    """Maintenance is listed with its number, by which it can be ended."""
    world = ready(MAINTENANCE)
    (row,) = (await ask_app(world.app(), "/api/maintenance")).json
    assert (row["MaintenanceId"], row["Key"], row["Owner"], row["SecondsElapsed"]) == (8, KEY, "vitess", 120)
    got = (await ask_app(world.app(), "/api/in-maintenance/mysql-zone1-101/3306")).json
    assert (got["Message"], got["Details"]) == ("true", SECOND)
    got = (await ask_app(world.app(), "/api/in-maintenance/mysql-zone1-100/3306")).json
    assert (got["Message"], got["Details"]) == ("false", "")
    assert (await ask_app(world.app(), "/api/end-maintenance/8")).json["Details"] == 8
    assert world.asked[-1][1]["hold"] == 8
    assert "no maintenance has the number 7" in (await ask_app(world.app(), "/api/end-maintenance/7")).json["Message"]
