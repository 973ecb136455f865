"""What Prometheus makes of scrapes: alerts and expressions over a course of them, worked out by promtool."""

import asyncio
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vtorc.lab.parts import find_promtool

ROOT = Path(__file__).parents[3]
RULES = ROOT / "contrib" / "prometheus" / "vtorc.rules.yml"
DASHBOARD = ROOT / "contrib" / "grafana" / "vtorc.json"

EVERY = 30
"""Seconds between two scrapes, and between two evaluations."""

HAS_VALUES = [{"labels": "{}", "value": 1}]
"""What an expression of `panels` is when its panel shows something."""

Series = Mapping[str, float]
"""Values by series, each written as in a scrape."""

_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")


@dataclass(frozen=True)
class Scraped:
    """What Prometheus scraped for a while."""

    text: str | None
    """The text of each scrape; None while vtorc did not answer."""
    minutes: int
    """For how long."""
    instance: str = "vtorc-1:3000"
    """The address of the vtorc, by which Prometheus tells several apart."""

    @property
    def series(self) -> Series:
        """The values with the labels of the target, `up` included."""
        labels = f'instance="{self.instance}",job="vtorc"'
        found = {f"up{{{labels}}}": float(self.text is not None)}
        for line in (self.text or "").splitlines():
            if not line.startswith("#"):
                sample = _SAMPLE.match(line)
                assert sample is not None, f"not a sample: {line}"
                inner = f"{labels},{sample['labels']}" if sample["labels"] else labels
                found[f"{sample['name']}{{{inner}}}"] = float(sample["value"])
        return found


def course_of(scraped: Sequence[Scraped]) -> list[dict[str, str]]:
    """Return the series of a course of scrapes as promtool reads them; a series ends where a scrape lacks it."""
    known = [(each.series, each.minutes * 60 // EVERY) for each in scraped]
    names = dict.fromkeys(name for series, _ in known for name in series)
    return [{"series": name, "values": " ".join(_values_of(name, known))} for name in names]


def _values_of(name: str, known: Iterable[tuple[Series, int]]) -> Iterable[str]:
    ended = "_"
    for series, times in known:
        if name in series:
            yield from [_text(series[name])] * times
            ended = "stale"
        else:
            yield from [ended] + ["_"] * (times - 1)
            ended = "_"


def _text(value: float) -> str:
    return "+Inf" if math.isinf(value) else repr(value)


def panels() -> Iterator[tuple[str, str]]:
    """Yield whether each expression of the dashboard has values, as an expression, with the title of its panel."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$keyspace", ".*").replace("$__rate_interval", "5m")
            assert "$" not in text, f"{panel['title']}: a variable is left in {text}"
            yield panel["title"], f"(count({text}) > bool 0)"


async def why_not(
    scraped: Sequence[Scraped],
    wanted: Mapping[str, Sequence[Mapping[str, Any]]],
    folder: Path,
    *,
    beside: Sequence[Scraped] = (),
) -> str:
    """Let promtool work out expressions at the end of a course, and return how they differ from what is wanted.

    `wanted` has the samples of each expression, as promtool writes them. The answer is empty if all are as wanted.
    `beside` is the course of another vtorc.
    """
    ends = sum(each.minutes for each in scraped) * 60 - EVERY
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{EVERY}s",
        "tests": [
            {
                "interval": f"{EVERY}s",
                "input_series": [*course_of(scraped), *course_of(beside)],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": f"{ends}s", "exp_samples": list(samples)}
                    for expression, samples in wanted.items()
                ],
            }
        ],
    }
    file = folder / "course.test.yml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    return await _complaint("test", "rules", str(file))


async def firing(
    scraped: Sequence[Scraped], alerts: Iterable[str], folder: Path, *, beside: Sequence[Scraped] = ()
) -> str:
    """Return how the alerts that fire at the end of a course differ from `alerts`; empty if these and no others do."""
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    return await why_not(scraped, {'max by (alertname) (ALERTS{alertstate="firing"})': samples}, folder, beside=beside)


async def why_rules_are_wrong(file: Path) -> str:
    """Return what promtool finds wrong with a file of rules; empty if nothing."""
    return await _complaint("check", "rules", "--lint=all", "--lint-fatal", str(file))


async def _complaint(*words: str) -> str:
    running = await asyncio.create_subprocess_exec(
        find_promtool().path, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await running.communicate()
    return "" if running.returncode == 0 else output.decode()
