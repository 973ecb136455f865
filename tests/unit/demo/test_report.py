"""The report about a series of failovers, and its printed lines."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.demo.plain_output import HEADER, failover_line, summary_text, verdict
from vtorc.demo.report import DemoReport, Failover, SeriesSetup, percentile, summarise

SETUP = SeriesSetup(
    wanted=2, fault="kill-mysqld", durability="semi_sync", tablets=3, topo="local", write_interval_ms=10
)
ONE = Failover(
    fault="kill-mysqld",
    old_primary="zone1-0000000101",
    new_primary="zone2-0000000102",
    detected_ms=30.0,
    promoted_ms=210.0,
    write_gap_ms=300.0,
    returned_ms=3100.0,
    acked=1200,
    argument="no other tablet could have acknowledged",
)
TWO = replace(ONE, old_primary="zone2-0000000102", new_primary="zone1-0000000101", detected_ms=50.0, acked=2400)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([3.0, 1.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        (list(map(float, range(1, 101))), 99, 99.0),
        (list(map(float, range(1, 21))), 99, 20.0),
    ],
)
def test_percentiles_are_by_nearest_rank(values: list[float], percent: int, expected: float | None) -> None:
    """A percentile is the smallest value that so many percent of all values do not exceed."""
    assert percentile(values, percent) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_so_many_of_a_hundred_values_do_not_exceed_a_percentile(values: list[float], percent: int) -> None:
    """At least `percent` of the values are at or below the percentile, and fewer are below it."""
    found = percentile(values, percent)
    assert found is not None
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_summary_of_nothing_has_no_numbers() -> None:
    """A time that was never measured is null, not zero."""
    assert summarise([]) == {"p50": None, "p99": None, "max": None}


def test_a_series_without_losses_is_a_success() -> None:
    """A series succeeds if all wanted failovers converged and no row was lost."""
    report = DemoReport(SETUP, [ONE, TWO])
    assert report.succeeded
    assert report.failures == []
    assert verdict(report) == "2 of 2 failovers converged; 0 of 2,400 acknowledged rows lost."


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (
            replace(TWO, lost=3),
            "failover 2 (zone2-0000000102 to zone1-0000000101): 3 of 2400 acknowledged rows are missing",
        ),
        (
            replace(TWO, one_cell=1),
            "failover 2 (zone2-0000000102 to zone1-0000000101): "
            "1 times one cell alone may have held an acknowledged write",
        ),
        (
            replace(TWO, new_primary=None, problem="no other tablet took writes in time"),
            "failover 2 (zone2-0000000102 to no tablet): no other tablet took writes in time",
        ),
    ],
)
def test_a_failed_series_says_which_failover_and_why(second: Failover, complaint: str) -> None:
    """A loss, a breach of the cell rule or a failover that did not converge makes the series fail, and is named."""
    report = DemoReport(SETUP, [ONE, second])
    assert not report.succeeded
    assert report.failures == [complaint]
    assert f"FAILED: {complaint}" in verdict(report)


def test_a_series_that_was_broken_off_is_no_success() -> None:
    """Fewer failovers than wanted are a failure, even if all of them converged."""
    assert not DemoReport(SETUP, [ONE]).succeeded
    interrupted = DemoReport(SETUP, [ONE], interrupted=True)
    assert interrupted.failures == ["interrupted after 1 of 2 failovers"]


def test_the_report_file_holds_each_failover_and_the_summary() -> None:
    """The JSON form has the times of each failover, and percentiles over all."""
    stored = json.loads(json.dumps(DemoReport(SETUP, [ONE, replace(TWO, rebuilt=True)]).as_json()))
    first = stored["failovers"][0]
    assert {name: first[name] for name in ("fault", "detected_ms", "promoted_ms", "write_gap_ms", "acked", "lost")} == {
        "fault": "kill-mysqld",
        "detected_ms": 30.0,
        "promoted_ms": 210.0,
        "write_gap_ms": 300.0,
        "acked": 1200,
        "lost": 0,
    }
    assert first["argument"] == "no other tablet could have acknowledged"
    summary = stored["summary"]
    assert summary["detected_ms"] == {"p50": 30.0, "p99": 50.0, "max": 50.0}
    assert (summary["failovers"], summary["converged"], summary["lost"], summary["rebuilt"]) == (2, 2, 0, 1)
    assert (summary["acked"], summary["one_cell"], summary["durability"]) == (2400, 0, "semi_sync")


def test_a_phase_begins_where_the_one_before_it_ended() -> None:
    """A planned move has other phases than a failover, and a primary that stays has the first one only."""
    moved = replace(ONE, phases_ms={"locked": 10.0, "elected": 15.0, "stopped": 55.0, "promoted": 155.0})
    stays = replace(ONE, new_primary=None, phases_ms={"noticed": 40.0})
    report = DemoReport(SETUP, [moved, stays])
    took = {phase: report.took(phase) for phase in ("noticed", "locked", "elected", "stopped", "promoted")}
    assert took == {"noticed": [40.0], "locked": [10.0], "elected": [5.0], "stopped": [40.0], "promoted": [100.0]}


def test_the_line_of_a_failover_stands_under_its_header() -> None:
    """The columns line up within 80 characters; notes follow after them."""
    line = failover_line(1, ONE)
    assert line == "  1  zone1-101  zone2-102     30 ms    210 ms     300 ms    1,200     0   3.1 s"
    assert len(HEADER) == len(line) <= 80
    assert failover_line(2, replace(TWO, rebuilt=True)).endswith("  rebuilt")


def test_the_line_of_a_failover_that_failed_says_why() -> None:
    """A step that was not reached is a dash, and the reason follows."""
    failed = Failover(fault="kill-mysqld", old_primary="zone1-0000000101", problem="no other tablet took writes")
    assert failover_line(3, failed) == (
        "  3  zone1-101  –                 –         –          –        0     0       –  no other tablet took writes"
    )


def test_the_summary_shows_the_distribution_and_the_verdict() -> None:
    """The table has one line for each measured time; rebuilt servers are explained."""
    text = summary_text(DemoReport(SETUP, [ONE, replace(TWO, rebuilt=True)]), width=80)
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines()]
    assert ["from the fault to the decision", "30", "50", "50"] in rows
    assert ["from the repair to a healthy shard", "3,100", "3,100", "3,100"] in rows
    assert "2 of 2 failovers converged; 0 of 2,400 acknowledged rows lost." in text
    assert "1 of the broken servers came back with a row that no replica had acknowledged" in text
