"""An unattended series on a server that MySQL's crash recovery left with an unacknowledged row."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.e2e.demo.demos import commit_alone
from vtorc.demo.demo_observer import DemoObserver
from vtorc.demo.failovers import FailoverSeries
from vtorc.demo.report import DemoReport, Failover, SeriesSetup
from vtorc.demo.running_demo import DemoSpec, RunningDemo, open_demo
from vtorc.demo.servers import DemoTablet, RealServers
from vtorc.lab.parts import find_mysqld

SETUP = SeriesSetup(
    wanted=1, fault="kill-mysqld", durability="semi_sync", tablets=3, topo="local", write_interval_ms=10
)


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Restore the logging for the next test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@contextlib.contextmanager
def _quietly(what: str) -> Iterator[None]:
    yield


async def test_a_server_that_returns_with_more_than_was_acknowledged_is_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errant server is rebuilt and replicates from the start; the failover converges, and its report says
    "rebuilt".
    """
    start = RunningDemo.start_or_resume

    async def start_with_a_row_too_many(demo: RunningDemo, tablet: DemoTablet) -> str:
        said = await start(demo, tablet)
        await commit_alone(tablet.connect_as_dba)
        return said

    monkeypatch.setattr(RunningDemo, "start_or_resume", start_with_a_row_too_many)
    report, done = DemoReport(SETUP), list[Failover]()
    spec = DemoSpec(folder=tmp_path / "demo")
    async with open_demo(spec, RealServers(find_mysqld()), DemoObserver(), _quietly) as demo:
        await FailoverSeries(demo, report, done.append).run()
        assert done == report.failovers
        (failover,) = done
        assert failover.problem == ""
        assert failover.rebuilt
        assert failover.lost == 0
        session = await demo.find(failover.old_primary).connect_as_dba()
        assert await session.rows("SHOW DATABASES LIKE 'errant'") == []
        session.close()
    assert report.succeeded
