"""The alerts and the dashboard over the scrapes of a real daemon, whose shard fails over and then stands still."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, by_hand
from tests.e2e.daemon.test_today import TodaysApi
from tests.e2e.daemon.watching import until
from tests.e2e.monitoring.promtool import HAS_VALUES, RULES, Scraped, firing, panels, why_not
from tests.e2e.monitoring.test_alerts import RARE
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.ports import Ports
from vtorc.lab.vtorc_process import VtorcProcess


def values(text: str, name: str) -> dict[str, float]:
    """Return the values of a metric in a scrape by their labels."""
    lines = re.findall(rf"^vtorc_{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in lines}


async def scrape_when(api: TodaysApi, holds: Callable[[str], bool]) -> str:
    """Scrape until the answer is as wanted, and return it."""
    seen = [""]

    async def not_yet() -> str:
        seen[0] = await api.text("/metrics")
        return "" if seen[0] and holds(seen[0]) else f"/metrics: {seen[0][-4000:]}"

    await until(not_yet)
    return seen[0]


async def fired(
    api: TodaysApi,
    holds: Callable[[str], bool],
    course: Callable[[str], list[Scraped]],
    alerts: list[str],
    folder: Path,
) -> str:
    """Scrape until the answer is as wanted and a course with it raises just these alerts, and return it.

    On a busy machine a single scrape may show that vtorc was not heard, or late.
    """
    seen = [""]

    async def not_yet() -> str:
        seen[0] = await scrape_when(api, holds)
        return await firing(course(seen[0]), alerts, folder)

    await until(not_yet)
    return seen[0]


async def serving(vtorc: VtorcProcess) -> TodaysApi:
    """Return today's API of a vtorc."""
    line = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
    return TodaysApi(line["address"])


def is_well(text: str) -> bool:
    """Return whether the shard takes writes, is ready, and has no problem, and its counters are told, too."""
    ready, standing = values(text, "shard_ready"), values(text, "standing_still")
    is_ready = 1.0 in ready.values() and not standing and 1.0 in values(text, "shard_takes_writes").values()
    return is_ready and bool(values(text, "shard_recoveries_failed"))


def is_stuck(text: str) -> bool:
    """Return whether vtorc leaves a problem of the shard alone after a recovery that failed."""
    return bool(values(text, "standing_still")) and any(values(text, "shard_recoveries_failed").values())


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    """Give ports for the daemon."""
    with_ports = Ports()
    yield with_ports
    with_ports.release()


async def test_alerts_and_dashboard_follow_a_real_shard(ports: Ports, tmp_path: Path) -> None:
    """No alert fires while all is well, those of a shard that cannot fail over do, and each panel has values."""
    async with LabCluster(LabSpec(topo="local")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        listener = (f"--port={ports.take()}", "--bind-address=127.0.0.1", "--instance-poll-time=1s")
        api = await serving(await daemons.start_knowing(*listener))
        await shard.well()
        well = await fired(api, is_well, lambda text: [Scraped(text, 60)], [], tmp_path)
        named = set(re.findall(r"\bvtorc_[a-z_]+", RULES.read_text(encoding="utf-8")))
        missing = {name for name in named if not values(well, name.removeprefix("vtorc_"))}
        assert missing <= {"vtorc_announcements", "vtorc_shard_silenced", "vtorc_standing_still"}  # rare ones

        await by_hand((await shard.replicas())[0], "STOP REPLICA")
        lost = await shard.well()
        # The primary may count the replica's old connection a moment longer, and such a client is of no known tablet.
        repaired = await scrape_when(api, lambda text: is_well(text) and _repairs(text) > _repairs(well))
        await scrape_when(api, lambda text: is_well(text) and _probes(text) > _probes(repaired) + 15)
        await lost.kill_mysqld()
        heir = await shard.replaced(lost)
        await shard.return_of(lost)
        replaced = await scrape_when(api, lambda text: is_well(text) and values(text, "pending_recoveries") == {"": 0})

        [other] = [tablet for tablet in await shard.replicas() if tablet is not lost]
        await other.kill_mysqld()
        await heir.kill_mysqld()
        expected = ["VtorcShardTakesNoWrites", "VtorcShardRecoveryFailed", "VtorcShardStandingStill"]
        before = [Scraped(well, 15), Scraped(replaced, 15)]
        stuck = await fired(api, is_stuck, lambda text: [*before, Scraped(text, 8)], expected, tmp_path)
        course = [*before, Scraped(stuck, 8)]
        wanted = {
            text: HAS_VALUES
            for title, text in panels()
            if not any(name in text for name in RARE) and title != "Shards that are not ready"
        }
        assert len(wanted) > 25
        assert await why_not(course, wanted, tmp_path) == ""


def _repairs(text: str) -> float:
    return sum(values(text, "successful_recoveries").values())


def _probes(text: str) -> float:
    return values(text, "discoveries_attempt")[""]
