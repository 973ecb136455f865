"""Campaigns: their counts, the explanation of a failing seed, and the command line."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vtorc.cli.sim import main
from vtorc.sim.campaigns.campaign import Failure, Job, Totals, explain, run_campaign, summary
from vtorc.sim.campaigns.run import Result
from vtorc.sim.checks.invariants import Violation
from vtorc.sim.faults.fault import Fault
from vtorc.sim.faults.notation import read_fault

_PATIENCE = 60.0
"""Seconds after which a process that was to end counts as left behind."""


def test_a_campaign_counts_all_its_runs() -> None:
    """Every seed is run once, in several processes, and the totals add up all runs."""
    runs: list[int] = []
    totals = run_campaign(
        Job(profile="kill-mysqld"), range(4), processes=2, progress=lambda so_far: runs.append(so_far.runs)
    )
    assert runs == [1, 2, 3, 4]
    assert totals.faults == {"kill-mysqld": 4}
    assert not totals.failed
    assert totals.writes > 0
    assert summary(totals, 2.0)[0] == "4 seeds in 2.0 s, 2.00 seeds per second"


def test_a_campaign_that_is_killed_takes_its_processes_along() -> None:
    """SIGKILL leaves no process of the campaign behind, although it gives no chance to end them."""
    command = (sys.executable, "-m", "vtorc.cli.main", "sim", "--seeds", "0..100000", "--jobs", "2")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as campaign:
        try:
            assert campaign.stderr is not None
            assert campaign.stderr.read(1)  # the progress of its first runs
            children = Path(f"/proc/{campaign.pid}/task/{campaign.pid}/children").read_text().split()
            ends = [os.pidfd_open(int(child)) for child in children]
        finally:
            campaign.send_signal(signal.SIGKILL)
    assert len(ends) >= 2
    for end in ends:
        assert select.select([end], [], [], _PATIENCE)[0]
        os.close(end)


def test_pieces_of_a_campaign_have_the_digest_of_the_whole() -> None:
    """The digests of two halves add up to that of all seeds, so that a long campaign can be run in pieces."""

    def digest(*seeds: int) -> int:
        return run_campaign(Job(profile="calm"), seeds, processes=1, progress=lambda _: None).digest

    assert (digest(0, 1) + digest(2)) % 2**256 == digest(2, 0, 1) != digest(0, 1)


def test_a_run_that_breaks_is_a_failure_of_its_seed() -> None:
    """An unexpected error ends the run of its seed, not the campaign."""
    fault = Fault(kind="no-such-kind", at=1.0, lasts=1.0)
    result = Job().run(3, faults=(fault,))
    assert [each.rule for each in result.violations] == ["broken"]
    assert "KeyError" in result.violations[0].text


def test_a_failing_seed_is_explained_with_a_command_that_replays_it() -> None:
    """The lines name rule, sentence and faults, and the command has exactly these faults."""
    fault = Fault(kind="kill-mysqld", at=1.25, lasts=3.0, shard=1, target=2)
    result = Result(seed=17, faults=(fault, fault), violations=[Violation("two-writable", "both", 9.5)])
    lines = Failure(result, (fault,), shrunk=True).lines(Job(profile="storm", shards=2))
    assert lines[1] == "  two-writable at 9.500 s: both"
    command = lines[-1].split()
    assert command[:6] == ["vtorc", "sim", "--seed", "17", "--profile", "storm"]
    assert read_fault(command[command.index("--fault") + 1], at=0.0, lasts=0.0) == fault


def test_a_failure_that_does_not_repeat_keeps_all_its_faults() -> None:
    """If no smaller run fails in the same way, the explanation has the faults of the failing run."""
    fault = Fault(kind="clock-jump", at=1.0, lasts=1.0)
    totals = Totals()
    totals.add(Result(seed=5, faults=(fault,), violations=[Violation("no-such-rule", "text", 1.0)]))
    (failure,) = explain(Job(profile="calm"), totals.failed)
    assert failure.faults == (fault,)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--seeds", "5..5"], "expected a second number above the first"),
        (["--seeds", "five"], "expected two whole numbers"),
        (["--seeds", "0..2", "--fault", "kill-mysqld"], "--profile KIND draws its faults"),
        (["--trace"], "expected --seeds A..B"),
        (["--seed", "1", "--shards", "0"], "expected a whole number from 1"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line names the wrong word and what was expected, before anything runs."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_an_unknown_profile_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A profile's name that is nearly right is answered with the right one."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    assert main(["--seed", "1", "--profile", "kill-mysql"]) == 2
    assert "did you mean kill-mysqld?" in capsys.readouterr().err
