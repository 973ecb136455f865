"""Half a core for a process: a quota of the kernel where this user may set one, else stopped and continued by hand."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

PERIOD = 0.010
"""Seconds of one turn: the process may run for half of it."""

_MICROSECONDS = round(PERIOD * 1e6)
_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/cpu")


@contextlib.asynccontextmanager
async def half_a_core(pid: int) -> AsyncIterator[str]:
    """Give a process half a core while inside; yields in what way: "cgroup v2", "cgroup v1" or "stopped by turns"."""
    for way, limit in (("cgroup v2", _limit_v2), ("cgroup v1", _limit_v1)):
        try:
            group = limit(pid)
        except OSError:
            continue
        try:
            yield way
        finally:
            with contextlib.suppress(OSError):  # the process may have ended
                _write(group.parent / "cgroup.procs", str(pid))
            with contextlib.suppress(OSError):
                group.rmdir()
        return
    turns = asyncio.create_task(_stop_by_turns(pid), name="stop by turns")
    try:
        yield "stopped by turns"
    finally:
        turns.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


# The highest weight: within its half, the process does not share with whatever else the machine does.


def _limit_v2(pid: int) -> Path:
    _write(_V2 / "cgroup.subtree_control", "+cpu")
    return _group(_V2, pid, {"cpu.max": f"{_MICROSECONDS // 2} {_MICROSECONDS}", "cpu.weight": "10000"})


def _limit_v1(pid: int) -> Path:
    quota = {"cpu.cfs_period_us": str(_MICROSECONDS), "cpu.cfs_quota_us": str(_MICROSECONDS // 2)}
    return _group(_V1, pid, quota | {"cpu.shares": "262144"})


def _group(parent: Path, pid: int, limits: Mapping[str, str]) -> Path:
    """Make a group with these limits and put the process into it; raises OSError, and leaves none behind."""
    if not (parent / "cgroup.procs").exists():
        raise FileNotFoundError(f"{parent} is no group of processes")
    group = parent / f"vtorc-bench-{pid}"
    group.mkdir()
    try:
        for name, value in limits.items():
            _write(group / name, value)
        _write(group / "cgroup.procs", str(pid))
    except OSError:
        group.rmdir()
        raise
    return group


def _write(file: Path, text: str) -> None:
    """Write to a file that the kernel has made: where another file system is mounted, none is made."""
    with file.open("r+") as existing:
        existing.write(text)


async def _stop_by_turns(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(PERIOD / 2)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(PERIOD / 2)
