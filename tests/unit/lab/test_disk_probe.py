"""The disk probe, which shows whether the disk hangs."""

from pathlib import Path

import pytest

from vtorc.lab.disk_probe import FileProbe
from vtorc.vttablet.config import AgentTimings
from vtorc.vttablet.monitors import DiskMonitor


async def test_probe_writes_a_file(tmp_path: Path) -> None:
    """A probe of a healthy disk returns and leaves a small file."""
    await FileProbe(tmp_path)()
    assert (tmp_path / "disk_probe").stat().st_size < 100


async def test_probe_of_a_broken_disk_raises(tmp_path: Path) -> None:
    """A probe that cannot write raises the error of its write."""
    with pytest.raises(FileNotFoundError):
        await FileProbe(tmp_path / "missing")()


async def test_no_probe_is_no_stall() -> None:
    """Without a probe the disk counts as healthy."""
    monitor = DiskMonitor(None, AgentTimings())
    await monitor.run()
    assert not monitor.stalled
