"""The disk probe, which shows whether the disk hangs."""

import errno
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


async def test_probe_of_a_full_disk_raises_until_it_goes_on(tmp_path: Path) -> None:
    """A disk that was made full answers with the error of a full disk, and takes files again after that."""
    probe = FileProbe(tmp_path)
    probe.fill()
    with pytest.raises(OSError, match="No space left on device") as raised:
        await probe()
    assert raised.value.errno == errno.ENOSPC
    probe.go_on()
    await probe()


async def test_no_probe_is_no_stall() -> None:
    """Without a probe the disk counts as healthy."""
    monitor = DiskMonitor(None, AgentTimings())
    await monitor.run()
    assert not monitor.stalled
