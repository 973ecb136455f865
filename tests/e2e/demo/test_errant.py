"""What an unattended series does with a server that MySQL's recovery left with a row nobody was promised."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.e2e.demo.demos import commit_alone
from vtorc.demo.board import Board
from vtorc.demo.failovers import Series
from vtorc.demo.report import DemoReport, Failover, Setup
from vtorc.demo.scene import Scene, SceneSpec, open_scene
from vtorc.demo.servers import DemoTablet, RealServers
from vtorc.lab.parts import find_mysqld

SETUP = Setup(wanted=1, fault="kill-mysqld", durability="semi_sync", tablets=3, topo="local", write_interval_ms=10)


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Give the next test the logging that this one found."""
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
    """The errant server is emptied and replicates from the start; the failover counts as converged, and says so."""
    start = Scene.mend

    async def start_with_a_row_too_many(scene: Scene, tablet: DemoTablet) -> str:
        said = await start(scene, tablet)
        await commit_alone(tablet.connect_as_dba)
        return said

    monkeypatch.setattr(Scene, "mend", start_with_a_row_too_many)
    report, done = DemoReport(SETUP), list[Failover]()
    spec = SceneSpec(folder=tmp_path / "demo")
    async with open_scene(spec, RealServers(find_mysqld()), Board(), _quietly) as scene:
        await Series(scene, report, done.append).run()
        assert done == report.failovers
        (failover,) = done
        assert failover.problem == ""
        assert failover.rebuilt
        assert failover.lost == 0
        session = await scene.find(failover.old_primary).connect_as_dba()
        assert await session.rows("SHOW DATABASES LIKE 'errant'") == []
        session.close()
    assert report.succeeded
