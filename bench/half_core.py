"""Half a core for a process: a quota of the kernel where this user may set one, else stopped and continued by hand."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

PERIOD = 0.010
"""Seconds of one turn: the process may run for half of it."""

_MICROSECONDS = round(PERIOD * 1e6)
_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/cpu")


@contextlib.asynccontextmanager
async def half_a_core(pid: int) -> AsyncIterator[str]:
    """Give a process half a core while inside; yields in what way: "cgroup v2", "cgroup v1" or "stopped by turns"."""
    for way, make in (("cgroup v2", _make_v2), ("cgroup v1", _make_v1)):
        try:
            group = make(pid)
        except OSError:
            continue
        try:
            (group / "cgroup.procs").write_text(str(pid))
            yield way
        finally:
            with contextlib.suppress(OSError):  # the process has ended, or ends elsewhere
                (group.parent / "cgroup.procs").write_text(str(pid))
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


def _make_v2(pid: int) -> Path:
    (_V2 / "cgroup.subtree_control").write_text("+cpu")
    group = _V2 / f"vtorc-bench-{pid}"
    group.mkdir()
    (group / "cpu.max").write_text(f"{_MICROSECONDS // 2} {_MICROSECONDS}")
    return group


def _make_v1(pid: int) -> Path:
    group = _V1 / f"vtorc-bench-{pid}"
    group.mkdir()
    (group / "cpu.cfs_period_us").write_text(str(_MICROSECONDS))
    (group / "cpu.cfs_quota_us").write_text(str(_MICROSECONDS // 2))
    return group


async def _stop_by_turns(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(PERIOD / 2)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(PERIOD / 2)
