"""The alerts and the dashboard hold together with the metrics and with their page; promtool tries them end to end."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vtorc.server.today.exposition import PREFIX
from vtorc.server.today.golang import snake_case
from vtorc.server.today.metric_table import METRICS, MetricKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
RULES: dict[str, Any] = {
    rule["alert"]: rule
    for group in yaml.safe_load((ROOT / "contrib/prometheus/vtorc.rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
DASHBOARD = json.loads((ROOT / "contrib/grafana/vtorc.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

OF_PROMETHEUS = {"instance", "job", "pod", "le", "alertname"}
"""Labels that no metric of vtorc has by itself."""

TRAITS = {PREFIX + snake_case(name): traits for name, traits in METRICS.items()}


def expressions() -> Iterator[tuple[str, str]]:
    """Yield all expressions, each with the texts that show its labels."""
    for rule in RULES.values():
        yield rule["expr"], str(rule["annotations"])
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def metric_of(name: str) -> str:
    """Return the metric that a series belongs to."""
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if name not in TRAITS and TRAITS[stem].kind is MetricKind.DURATIONS else name


@pytest.mark.parametrize(("expression", "shown"), list(expressions()))
def test_expressions_name_metrics_with_labels_that_they_have(expression: str, shown: str) -> None:
    """A label that a metric does not have would be empty for ever."""
    metrics = {metric_of(name) for name in re.findall(r"\bvtorc_[a-z_]+", expression)}
    assert metrics <= TRAITS.keys()
    has = {snake_case(label) for metric in metrics for label in TRAITS[metric].labels} | OF_PROMETHEUS
    selected = re.findall(r"([a-z_]+)(?:=~|!~|!=|=)\"", expression)
    grouped = re.findall(r"(?:by|without|on) \(([a-z_, ]+)\)", expression)
    told = re.findall(r"\{\{ ?(?:\$labels\.)?([a-z_]+)", shown)
    named = {*selected, *(label for group in grouped for label in group.split(", ")), *told}
    assert named <= has


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_how_urgent_it_is_and_leads_to_its_section(alert: str) -> None:
    """Its section says what is seen, what vtorc does, and what the operator does."""
    rule = RULES[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert sorted(rule["annotations"]) == ["description", "runbook", "summary"]
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{alert.lower()}"
    section = PAGE.partition(f"\n## {alert}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^- \*\*(\w+)\*\*: ", section, re.MULTILINE) == ["Seen", "vtorc", "Operator"]


def test_the_page_has_the_alerts_that_there_are() -> None:
    """They stand in the order of the rules."""
    assert re.findall(r"^## (Vtorc\w+)$", PAGE, re.MULTILINE) == list(RULES)


def test_panels_explain_themselves_and_do_not_overlap() -> None:
    """Grafana would move panels that do."""
    assert all(panel["title"] and panel["description"] for panel in PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
