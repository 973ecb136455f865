"""`bench.server` at a small size, with failovers of real servers."""

import asyncio
import sys

import pytest

SMALL = ("--shards=12", "--tablets=40", "--failovers=1", "--turns=1", "--topo=local")


@pytest.mark.parametrize(
    ("options", "bars"),
    [
        pytest.param(("--listeners=3", "--stuck=1"), 6, id="clients that read"),
        pytest.param(("--attack", "--connections=30"), 5, id="attack"),
    ],
)
async def test_both_arms_run_and_each_bar_is_told(options: tuple[str, ...], bars: int) -> None:
    """Each figure is measured, and the exit code follows from the verdicts; how high they are is no matter here."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.server", *SMALL, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    verdicts = [line for line in said.splitlines() if line.startswith(("pass  ", "MISS  "))]
    assert len(verdicts) == bars, said
    assert not [line for line in verdicts if ": –," in line and "stopped" not in line and "killed" not in line], said
    assert process.returncode == int(any(line.startswith("MISS") for line in verdicts)), said
