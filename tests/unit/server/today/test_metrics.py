"""Metrics as Prometheus and as Go's expvar see them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.unit.core.builders import CONNECTING, NOW, STOPPED, changed, failing, held, hold, primary, replica, shard
from tests.unit.server.today.memories import (
    app_of,
    heartbeat,
    memory_of,
    metrics_frame,
    settings_frame,
    shard_frame,
    status_frame,
)
from tests.unit.server.told import ask_app
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView
from vtorc.forms.frames import AnnouncementForm, GoneFrame, MetricForm
from vtorc.server.memory import ServerMemory
from vtorc.server.today.gauges import FleetGauges
from vtorc.server.today.golang import go_time, snake_case
from vtorc.server.today.metric_table import METRICS, MetricKind

SHARD = {"Keyspace": "commerce", "Shard": "0"}
STOPPED_SHARD = shard(primary(), replica("zone1-101", io=STOPPED), replica("zone1-102"))
HEALTHY = shard(primary(), replica("zone1-101"), replica("zone1-102"))
KEY = "ReplicationStopped.zone1-0000000101.commerce.0"


async def text_of(memory: ServerMemory) -> str:
    """Return what Prometheus reads."""
    return (await ask_app(app_of(memory), "/metrics")).text


async def variables(memory: ServerMemory) -> Any:
    """Return what `/debug/vars` answers."""
    return json.loads((await ask_app(app_of(memory), "/debug/vars")).text)


def test_every_metric_is_named_as_prometheus_names_it() -> None:
    """Capitals in a row are one word, and labels follow the same rule."""
    names = (
        "CurrentErrantGTIDCount",
        "DetectedProblems",
        "RecoveryType",
        "TabletsWatchedByCell",
        "ErrantGtidTabletCount",
    )
    assert [snake_case(name) for name in names] == [
        "current_errant_gtid_count",
        "detected_problems",
        "recovery_type",
        "tablets_watched_by_cell",
        "errant_gtid_tablet_count",
    ]
    assert len({snake_case(name) for name in METRICS}) == len(METRICS)


def test_times_have_no_zeros_at_their_end() -> None:
    """Go writes as much of a fraction as there is, and a time that is missing as the first of all."""
    assert go_time("2023-11-14T22:13:20.120Z") == "2023-11-14T22:13:20.12Z"
    assert go_time("2023-11-14T22:13:20.000Z") == "2023-11-14T22:13:20Z"
    assert go_time(None) == "0001-01-01T00:00:00Z"


async def test_a_counter_has_help_type_and_one_line_for_each_of_its_labels() -> None:
    """The value stands after the labels, which are in alphabetical order."""
    told = [
        MetricForm(name="RecoveriesCount", labels={"RecoveryType": kind, **SHARD}, value=count)
        for kind, count in (("FixReplica", 3), ("FixPrimary", 1))
    ]
    text = await text_of(memory_of(metrics_frame(*told)))
    assert (
        "# HELP vtorc_recoveries_count Recoveries that ended\n"
        "# TYPE vtorc_recoveries_count counter\n"
        'vtorc_recoveries_count{keyspace="commerce",recovery_type="FixReplica",shard="0"} 3\n'
        'vtorc_recoveries_count{keyspace="commerce",recovery_type="FixPrimary",shard="0"} 1\n'
    ) in text


async def test_durations_are_a_histogram_in_seconds_for_prometheus_and_in_nanoseconds_for_expvar() -> None:
    """Both count how many took at most each bound."""
    told = MetricForm(
        name="ShardLockTimings", labels={"Action": "Lock"}, value=0.75, counts=[0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    )
    memory = memory_of(metrics_frame(told))
    text = await text_of(memory)
    assert 'vtorc_shard_lock_timings_bucket{action="Lock",le="0.1"} 1\n' in text
    assert 'vtorc_shard_lock_timings_bucket{action="Lock",le="+Inf"} 2\n' in text
    assert 'vtorc_shard_lock_timings_sum{action="Lock"} 0.75\n' in text
    assert 'vtorc_shard_lock_timings_count{action="Lock"} 2\n' in text
    timings = (await variables(memory))["ShardLockTimings"]
    assert (timings["TotalCount"], timings["TotalTime"]) == (2, 750_000_000)
    histogram = timings["Histograms"]["Lock"]
    assert (histogram["50000000"], histogram["100000000"], histogram["inf"]) == (0, 1, 2)
    assert (histogram["Count"], histogram["Time"]) == (2, 750_000_000)


async def test_names_cannot_break_the_text() -> None:
    """Quotes, backslashes and line ends of a label are escaped."""
    told = MetricForm(name="RefusedDecisions", labels={"Rule": 'a"b\\c\nd'}, value=1)
    assert 'vtorc_refused_decisions{rule="a\\"b\\\\c\\nd"} 1\n' in await text_of(memory_of(metrics_frame(told)))


async def test_dots_in_a_value_of_several_do_not_split_its_key() -> None:
    """Keys of expvar join the values by dots."""
    told = MetricForm(
        name="PlannedReparentCounts", labels={"Keyspace": "a.b", "Shard": "0", "Result": "success"}, value=2
    )
    assert (await variables(memory_of(metrics_frame(told))))["PlannedReparentCounts"] == {"a_b.0.success": 2}


async def test_a_metric_that_the_catalogue_does_not_have_is_left_out() -> None:
    """A newer vtorc may tell more than this server knows."""
    text = await text_of(memory_of(metrics_frame(MetricForm(name="Unheard", labels={}, value=1))))
    assert "unheard" not in text


async def test_a_problem_that_is_gone_is_0_until_its_tablet_is_gone() -> None:
    """Vitess' tests and alerts wait for the 0, and a tablet that is gone leaves nothing behind."""
    memory = memory_of(STOPPED_SHARD)
    app = app_of(memory)

    async def problems() -> Any:
        return json.loads((await ask_app(app, "/debug/vars")).text)["DetectedProblems"]

    assert await problems() == {KEY: 1}
    memory.take(shard_frame(HEALTHY), 1.0)
    assert await problems() == {KEY: 0}
    memory.take(shard_frame(shard(primary(), replica("zone1-102"))), 2.0)
    assert await problems() == {}
    memory.take(shard_frame(STOPPED_SHARD), 3.0)
    memory.take(GoneFrame(shard="commerce/0"), 4.0)
    assert await problems() == {}


async def test_a_problem_between_two_scrapes_leaves_its_0() -> None:
    """The gauge is told of each change, not only asked."""
    memory = memory_of(HEALTHY)
    app = app_of(memory)
    memory.take(shard_frame(STOPPED_SHARD), 1.0)
    memory.take(shard_frame(HEALTHY), 2.0)
    assert json.loads((await ask_app(app, "/debug/vars")).text)["DetectedProblems"] == {KEY: 0}


async def test_errant_transactions_are_counted_by_tablet() -> None:
    """Tablets without any are there as 0."""
    memory = memory_of(shard(primary(), replica("zone1-101", executed="100:1-50,101:1-3"), replica("zone1-102")))
    told = await variables(memory)
    assert told["CurrentErrantGTIDCount"] == {"zone1-0000000100": 0, "zone1-0000000101": 3, "zone1-0000000102": 0}
    assert told["ErrantGtidTabletCount"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TabletsWatchedByCell", {"zone1": 2, "zone2": 1}),
        ("TabletsWatchedByShard", {"commerce.0": 3}),
        ("ShardStates", {"healthy": 1}),
        ("AckHeadroom", {"commerce.0": 1}),
        ("EmergencyReparentShardDisabled", {}),
    ],
)
async def test_what_is_watched_is_counted(name: str, value: dict[str, int]) -> None:
    """The counts come from the shards as they are now."""
    memory = memory_of(shard(primary(), replica("zone1-101"), replica("zone2-200")))
    assert (await variables(memory))[name] == value


async def test_what_mysql_told_of_silent_tablets_is_counted() -> None:
    """The tablets are counted by the answer of their MySQL; one that answers, or was not asked, is none of them."""
    direct = DirectAnswer(outcome=DirectOutcome.NO_GREETING, asked_at=NOW)
    hung = (changed(failing(replica(name), ProbeFailure.HUNG), direct=direct) for name in ("zone1-101", "zone1-102"))
    memory = memory_of(shard(primary(), *hung, failing(replica("zone2-200"))))
    assert (await variables(memory))["MysqlAskedDirectly"] == {"no_greeting": 2}


@pytest.mark.parametrize("record", ["keyspace_record", "shard_record"])
async def test_a_shard_with_emergency_reparents_switched_off_is_told(record: str) -> None:
    """The switch may be in the record of the keyspace or of the shard."""
    view = shard(primary(), replica("zone1-101"))
    off = replace(view, **{record: replace(getattr(view, record), emergency_reparent_disabled=True)})
    assert (await variables(memory_of(off)))["EmergencyReparentShardDisabled"] == {"commerce.0": 1}


def told(memory: ServerMemory, now: float = 0.0) -> Mapping[tuple[str, ...], float]:
    """Return the gauges by name and labels, at a moment of the memory's clock."""
    gauges = FleetGauges(memory, clock=lambda: now)
    return {(metric.name, *metric.labels.values()): metric.value for metric in gauges.metrics()}


async def test_counters_do_not_seem_to_begin_anew_while_a_server_is_told() -> None:
    """A counter that a new server process was not told yet is absent, and not 0."""
    counter = MetricForm(name="DiscoveriesAttempt", labels={}, value=12)
    memory = memory_of(status_frame(), HEALTHY)
    assert "vtorc_discoveries" not in await text_of(memory)
    memory.take(metrics_frame(counter), 1.0)
    text = await text_of(memory)
    assert "\nvtorc_discoveries_attempt 12\n" in text
    assert "\nvtorc_discoveries_fail 0\n" in text


@pytest.mark.parametrize(
    ("view", "takes_writes"),
    [
        pytest.param(HEALTHY, 1, id="healthy"),
        pytest.param(shard(primary(read_only=True), replica("zone1-101")), 0, id="read-only"),
        pytest.param(shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING)), 0, id="in doubt"),
        pytest.param(shard(replica("zone1-100"), replica("zone1-101")), 0, id="no primary"),
    ],
)
def test_a_shard_counts_as_writable_only_beyond_doubt(view: ShardView, takes_writes: int) -> None:
    """An alert must not wait for a proof that the primary is dead."""
    assert told(memory_of(view))["ShardTakesWrites", "commerce", "0"] == takes_writes


def test_a_problem_that_is_left_alone_is_told_with_its_rule_until_it_is_gone() -> None:
    """A problem that vtorc acts on is not told, and one that is gone leaves nothing behind."""
    silent = failing(replica("zone1-101"))
    memory = memory_of(shard(primary(), silent, replica("zone1-102", io=STOPPED), replica("zone1-103")))
    standing = {labels for labels in told(memory) if labels[0] == "StandingStill"}
    assert standing == {("StandingStill", "InvalidReplica", "commerce", "0", "no-remedy")}
    memory.take(shard_frame(HEALTHY), 1.0)
    assert not any(labels[0] == "StandingStill" for labels in told(memory))


def test_a_hold_that_silences_alerts_is_told_with_its_shard() -> None:
    """What vtorc leaves alone is then no alert, and a hold of another kind silences none."""
    view = shard(primary(), failing(replica("zone1-101")), replica("zone1-102"))
    silenced = told(memory_of(held(view, hold(Effect.NO_ALERT, on="shard:commerce/0"))))
    assert silenced["ShardSilenced", "commerce", "0"] == 1
    assert not any(labels[0] == "StandingStill" for labels in silenced)
    other = told(memory_of(held(view, hold(Effect.NO_REPAIR, on="shard:commerce/0"))))
    assert ("ShardSilenced", "commerce", "0") not in other
    assert any(labels[0] == "StandingStill" for labels in other)


def test_a_tablet_that_does_not_answer_does_not_make_probes_seem_late() -> None:
    """The age of probes tells of vtorc, and a dead tablet has a finding of its own."""
    dead = failing(replica("zone1-102"), for_=60.0)
    memory = memory_of(shard(primary(), replica("zone1-101"), dead))
    [ages] = [metric for metric in FleetGauges(memory).metrics() if metric.name == "ProbeAgeSeconds"]
    assert ages.counts is not None
    assert (ages.counts[-1], ages.counts[-2]) == (2, 2)


def test_what_holds_for_vtorc_as_a_whole_is_told() -> None:
    """Stopped recoveries, unread cells, announcements, silence, and shards that were judged long ago."""
    announcement = AnnouncementForm(rule="breaker", since="2023-11-14T22:13:20.000Z", sentence="many are lost")
    status = structs.replace(
        status_frame(allowed=False), topology_failures=["cell zone1"], announcements=[announcement, announcement]
    )
    late = structs.replace(heartbeat(), at="2023-11-14T22:13:50.500Z")
    values = told(memory_of(HEALTHY, status, late), now=4.25)
    assert values[("RecoveriesAllowed",)] == 0
    assert values[("TopologyFailures",)] == 1
    assert values["Announcements", "breaker"] == 1
    assert values[("ControlSilenceSeconds",)] == 4.25
    assert values[("OldestShardSeconds",)] == 30.5


def test_every_gauge_is_in_the_catalogue_with_its_labels() -> None:
    """The server leaves out what its catalogue does not have."""
    status = structs.replace(
        status_frame(), announcements=[AnnouncementForm(rule="late", since="2023-11-14T22:13:20.000Z", sentence="late")]
    )
    memory = memory_of(shard(primary(), failing(replica("zone1-101"))), status, heartbeat())
    gauges = list(FleetGauges(memory).metrics())
    assert {"Announcements", "StandingStill", "ShardTakesWrites"} <= {metric.name for metric in gauges}
    for metric in gauges:
        traits = METRICS[metric.name]
        assert sorted(metric.labels) == sorted(traits.labels), metric.name
        assert (metric.counts is not None) == (traits.kind is MetricKind.DURATIONS), metric.name


async def test_metrics_are_left_out_and_labels_added_up_as_the_settings_say() -> None:
    """A dropped metric is in neither list, and values that differ only in a combined label are one sum."""
    counted = [
        MetricForm(name="PlannedReparentCounts", labels={"Keyspace": "a", "Shard": name, "Result": "success"}, value=n)
        for name, n in (("-80", 2), ("80-", 3))
    ]
    settings = settings_frame(stats_drop_variables=("ShardStates",), stats_combine_dimensions=("Shard",))
    memory = memory_of(settings, metrics_frame(*counted), HEALTHY)
    told = await variables(memory)
    assert told["PlannedReparentCounts"] == {"a.all.success": 5}
    assert "ShardStates" not in told
    text = await text_of(memory)
    assert 'vtorc_planned_reparent_counts{keyspace="a",result="success",shard="all"} 5\n' in text
    assert "vtorc_shard_states" not in text
    assert 'vtorc_tablets_watched_by_cell{cell="zone1"} 3\n' in text
