"""Whole runs: the real control code survives every kind of fault, alone and several at once."""

import os
import random
import subprocess
import sys

import pytest

from vtorc.sim.campaigns.profiles import PROFILES, draw_faults
from vtorc.sim.campaigns.run import Result, run_seed
from vtorc.sim.faults.catalogue import KINDS, MIXED_KINDS
from vtorc.sim.faults.fault import Fault

_ENOUGH_KINDS = 25


def _story(result: Result) -> str:
    return "\n".join(f"{each.at:.3f} {each.rule}: {each.text}" for each in result.violations)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_happens_in_a_calm_world(seed: int) -> None:
    """Without faults every shard gets its first primary, takes writes, and keeps that primary."""
    result = run_seed(seed, PROFILES["calm"])
    assert result.ok, _story(result)
    assert result.failovers == 0
    assert result.writes > 0


@pytest.mark.parametrize("kind", MIXED_KINDS)
def test_one_fault_of_each_kind_is_survived(kind: str) -> None:
    """Each kind of fault, hitting the primary where it can, leaves every invariant intact and the shard well again."""
    fault = Fault(kind=kind, at=1.0, lasts=15.0)
    result = run_seed(7, PROFILES["single"], faults=(fault,))
    assert result.ok, _story(result)


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_several_faults_at_once_are_survived(seed: int) -> None:
    """Faults drawn at random leave every invariant intact and the shard well again."""
    result = run_seed(seed, PROFILES["default"])
    assert result.ok, _story(result)


@pytest.mark.parametrize("seed", [53, 129])
def test_a_storm_that_leaves_no_recorded_primary_is_survived(seed: int) -> None:
    """A shard whose topology is made anew amid other faults is well again, with an operator where vtorc asks."""
    result = run_seed(seed, PROFILES["storm"])
    assert result.ok, _story(result)


def test_a_dead_primary_is_replaced() -> None:
    """A primary's host that loses power for long costs one failover, and no protected write."""
    fault = Fault(kind="power-off", at=1.0, lasts=60.0)
    result = run_seed(7, PROFILES["single"], faults=(fault,))
    assert result.ok, _story(result)
    assert result.failovers == 1


def test_there_are_enough_kinds_of_faults() -> None:
    """At least 25 kinds exist, each with a sentence, and random runs draw from all of them."""
    assert len(MIXED_KINDS) >= _ENOUGH_KINDS
    assert all(kind.sentence.endswith(".") for kind in KINDS.values())
    drawn = {
        fault.kind for seed in range(300) for fault in draw_faults(random.Random(seed), PROFILES["storm"], shards=1)
    }
    assert drawn == set(MIXED_KINDS)


_PROGRAM = """
from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import run_seed
for seed in (11, 12):
    print(run_seed(seed, PROFILES["default"]).digest)
"""


def _digests(hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_same_seed_writes_the_same_trace_in_every_process() -> None:
    """Traces are byte-identical in processes with other hash seeds, so no order depends on hashing."""
    digests = _digests("1")
    assert len(digests.split()) == 2
    assert _digests("2") == digests
    own = [run_seed(seed, PROFILES["default"]).digest for seed in (11, 12)]
    assert own == digests.split()


def test_a_trace_can_be_read() -> None:
    """A trace tells the plan, the faults and the decisions, line by line with the time of each."""
    lines: list[str] = []
    run_seed(7, PROFILES["single"], faults=(Fault(kind="kill-mysqld", at=1.0, lasts=5.0),), sink=lines.append)
    text = "\n".join(lines)
    assert "begins: 1.000 kill-mysqld" in text
    assert "decides" in text
    assert all(float(line.split()[0]) >= 0 for line in lines)
