"""Each alert fires for what it is about, by the scrapes that a vtorc in that state gives, and for nothing else."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs

from tests.e2e.monitoring.promtool import HAS_VALUES, RULES, Scraped, firing, panels, why_not, why_rules_are_wrong
from tests.unit.control.test_fleet_metrics import counting, record
from tests.unit.core.builders import CONNECTING, NOW, held, hold, primary, replica, shard
from tests.unit.server.today.memories import WALL, heartbeat, judged, memory_of, metrics_frame, status_frame
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.views import ShardView
from vtorc.forms.frames import AnnouncementForm, AnyFrame, MetricForm, ShardFrame
from vtorc.forms.readiness import readiness_form
from vtorc.forms.shard import shard_form
from vtorc.forms.tablet import Moment
from vtorc.forms.times import rfc3339
from vtorc.recovery.record import Outcome
from vtorc.recovery.session import Bounds
from vtorc.server.today.exposition import prometheus_text
from vtorc.server.today.gauges import FleetGauges

RARE = ("vtorc_announcements", "vtorc_topology_conn_errors")
"""Metrics of the dashboard that a healthy vtorc over a topology file does not have."""

REPLICA, OTHER = replica("zone1-101"), replica("zone1-102")
ERRANT = replica("zone1-103", executed="100:1-50,103:1-3")
HEALTHY = shard(primary(), REPLICA, OTHER)


def known(view: ShardView, *, late: float = 0.0) -> ShardFrame:
    """Return what is told of a shard with its readiness, `late` seconds after the answers of its tablets."""
    judgement = judged(view)
    ready = readiness_form(judgement, Bounds(), NOW)
    return ShardFrame(shard=shard_form(judgement, Moment(NOW + late, WALL), revision=1, ready=ready))


def counted(*, failed: int = 0, own_errors: int = 0, starts: int = 1) -> list[MetricForm]:
    """Return what vtorc counts after failed recoveries, mistakes of its own, and starts of its HTTP server."""
    metrics = counting()
    metrics.found(ShardId("commerce", "0"), tablets=3, controlled=True)
    for _ in range(failed):
        metrics.finished(record(outcome=Outcome.REFUSED))
    for _ in range(own_errors):
        metrics.failed(ShardId("commerce", "0"), ValueError(), 1.0)
    return [*metrics.metrics(), MetricForm(name="HttpServerStarts", labels={}, value=starts)]


def scrape(*told: AnyFrame, silent: float = 0.1, counts: Iterable[MetricForm] | None = None) -> str:
    """Return a scrape of a healthy vtorc of which some frames are others, and that was not heard for some seconds."""
    metrics = metrics_frame(*(counted() if counts is None else counts))
    memory = memory_of(status_frame(), heartbeat(), known(HEALTHY), metrics, *told)
    return prometheus_text(chain(metrics.metrics, FleetGauges(memory, clock=lambda: silent).metrics()))


def announced(rule: str) -> AnyFrame:
    """Return the status of a vtorc for whose whole fleet something holds."""
    form = AnnouncementForm(rule=rule, since="2023-11-14T22:13:20.000Z", sentence="it holds")
    return structs.replace(status_frame(), announcements=[form])


def without_emergencies(view: ShardView) -> ShardView:
    """Return a shard with emergency reparents switched off in its record."""
    return replace(view, shard_record=replace(view.shard_record, emergency_reparent_disabled=True))


def getting_late() -> list[Scraped]:
    """Return the course of a vtorc that is late for a fifth of its time."""
    beats = [structs.replace(heartbeat(), late_seconds=12.0 * minute) for minute in range(12)]
    return [Scraped(scrape(beat), 1) for beat in beats]


@dataclass(frozen=True)
class Case:
    """A course after a quarter of an hour without a problem."""

    alert: str
    """The alert that it is about."""
    course: Callable[[], list[Scraped]]
    """Its scrapes."""
    others: tuple[str, ...] = ()
    """Further alerts that fire."""


def lasting(alert: str, text: Callable[[], str | None], *others: str, minutes: int = 16) -> Case:
    """Return a case in which all scrapes are equal."""
    return Case(alert, lambda: [Scraped(text(), minutes)], others)


CASES = [
    lasting(
        "VtorcShardTakesNoWrites",
        lambda: scrape(known(shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING)))),
    ),
    lasting(
        "VtorcShardCommitsWait",
        lambda: scrape(known(shard(primary()))),
        "VtorcShardNotReady",
    ),
    lasting("VtorcShardRecoveryFailed", lambda: scrape(counts=counted(failed=1)), minutes=5),
    lasting("VtorcShardNotReady", lambda: scrape(known(without_emergencies(HEALTHY)))),
    lasting("VtorcShardStandingStill", lambda: scrape(known(shard(primary(), REPLICA, ERRANT, OTHER)))),
    lasting("VtorcManyPrimariesLost", lambda: scrape(announced("breaker"))),
    lasting("VtorcRecoveriesOff", lambda: scrape(status_frame(allowed=False), known(without_emergencies(HEALTHY)))),
    lasting(
        "VtorcTopologyUnread",
        lambda: scrape(structs.replace(status_frame(), topology_failures=["cell zone1: timeout"])),
    ),
    lasting("VtorcAbsent", lambda: None, "VtorcDown"),
    lasting("VtorcDown", lambda: None, minutes=2),
    lasting("VtorcSilent", lambda: scrape(silent=30.0)),
    Case("VtorcLate", getting_late),
    lasting("VtorcProbesOld", lambda: scrape(known(HEALTHY, late=30.0))),
    lasting(
        "VtorcShardForgotten",
        lambda: scrape(structs.replace(heartbeat(), at=rfc3339(WALL + 180 * 10**9))),
    ),
    lasting("VtorcOwnError", lambda: scrape(counts=counted(own_errors=1)), minutes=5),
    lasting("VtorcHttpServerRestarts", lambda: scrape(counts=counted(starts=5)), minutes=10),
]


def rules() -> dict[str, Any]:
    """Return the rules by the name of their alert."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


async def test_prometheus_takes_the_rules() -> None:
    """promtool finds nothing wrong with them."""
    assert await why_rules_are_wrong(RULES) == ""


def test_each_alert_is_tried() -> None:
    """There is a case for each, so that an alert that can never fire is noticed."""
    assert sorted(case.alert for case in CASES) == sorted(rules())


async def test_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
    """An hour of a healthy shard and an on-time vtorc."""
    assert await firing([Scraped(scrape(), 60)], [], tmp_path) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
async def test_an_alert_fires_for_what_it_is_about(case: Case, tmp_path: Path) -> None:
    """It has all labels that its texts name, and no unrelated alert fires with it."""
    course = [Scraped(scrape(), 15), *case.course()]
    assert await firing(course, [case.alert, *case.others], tmp_path) == ""
    named = sorted(set(re.findall(r"\$labels\.(\w+)", str(rules()[case.alert]["annotations"]))))
    matchers = "".join(f',{label}!=""' for label in named)
    expression = f'count(ALERTS{{alertname="{case.alert}"{matchers}}}) > bool 0'
    assert await why_not(course, {expression: HAS_VALUES}, tmp_path) == ""


async def test_an_alert_on_a_shard_needs_the_word_of_all_vtorcs(tmp_path: Path) -> None:
    """A shard that one of two vtorcs sees well is no reason to wake an operator."""
    lost = scrape(known(shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING))))
    other = Scraped(scrape(), 30, instance="vtorc-2:3000")
    assert await firing([Scraped(scrape(), 15), Scraped(lost, 15)], [], tmp_path, beside=[other]) == ""


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING)), id="dead"),
        pytest.param(shard(primary()), id="alone"),
        pytest.param(without_emergencies(HEALTHY), id="not ready"),
        pytest.param(shard(primary(), REPLICA, ERRANT, OTHER), id="errant"),
    ],
)
async def test_a_hold_silences_the_alerts_on_its_shard(view: ShardView, tmp_path: Path) -> None:
    """Downtime that an operator has announced wakes no other operator, whatever the shard lacks."""
    silent = held(view, hold(Effect.NO_ALERT, on="shard:commerce/0"))
    course = [Scraped(scrape(), 15), Scraped(scrape(known(silent), counts=counted(failed=1)), 8)]
    assert await firing(course, [], tmp_path) == ""


async def test_panels_show_what_is_rare(tmp_path: Path) -> None:
    """Those whose metrics a real vtorc seldom has; test_scrapes.py tries the others on one."""
    failed = MetricForm(name="TopologyConnErrors", labels={"Operation": "Get", "Cell": "zone1"}, value=2)
    course = [Scraped(scrape(announced("breaker"), counts=[*counted(), failed]), 15)]
    wanted = {text: HAS_VALUES for _, text in panels() if any(name in text for name in RARE)}
    assert len(wanted) == len(RARE)
    assert await why_not(course, wanted, tmp_path) == ""
