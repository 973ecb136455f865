"""The command line of `vtorc demo`."""

from pathlib import Path

import pytest

from vtorc.cli.demo import main, parser
from vtorc.demo.faults import FAULTS


def test_the_defaults_are_a_small_semi_sync_cluster() -> None:
    """Without any word: three tablets, semi_sync, the best available topology, no unattended failovers."""
    options = parser().parse_args([])
    assert (options.tablets, options.durability, options.topo, options.dir) == (3, "semi_sync", None, None)
    assert (options.failovers, options.fault, options.report, options.command) == (None, "kill-mysqld", None, None)


def test_a_series_is_asked_for_with_flags() -> None:
    """The flags of an unattended series are read as given."""
    words = "--failovers 20 --report r.json --durability cross_cell --tablets 5 --topo etcd2 --fault kill-mysqld"
    options = parser().parse_args(words.split())
    assert (options.failovers, options.report, options.durability) == (20, Path("r.json"), "cross_cell")
    assert (options.tablets, options.topo, options.fault) == (5, "etcd2", "kill-mysqld")


def test_the_folder_of_a_demo_may_stand_on_either_side_of_the_command() -> None:
    """`--dir` belongs to the demo and to its commands alike."""
    assert parser().parse_args(["--dir", "x", "kill", "primary"]).dir == Path("x")
    options = parser().parse_args(["kill", "zone1-101", "--dir", "x"])
    assert (options.command, options.tablet, options.dir) == ("kill", "zone1-101", Path("x"))


@pytest.mark.parametrize("columns", ["1", "80", "200"])
def test_the_faults_are_explained_in_a_column_of_their_own(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault begins a line, the longest name included, and its words are wrapped beside it."""
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        main(["break", "--help"])
    lines = capsys.readouterr().out.split("faults:\n")[1].splitlines()
    assert [line.split()[0] for line in lines if line[2] != " "] == list(FAULTS)
    assert all(line[20:22].isspace() and not line[22].isspace() for line in lines)
    assert max(map(len, lines)) <= max(60, int(columns) - 2)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--tablets", "0"], "argument --tablets: expected a whole number from 1 to 20, got '0'"),
        (["--tablets", "many"], "argument --tablets: expected a whole number from 1 to 20, got 'many'"),
        (["--failovers", "-1"], "argument --failovers: expected a whole number from 1 to 1000000, got '-1'"),
        (["--durability", "strong"], "argument --durability: invalid choice: 'strong'"),
        (["--report", "r.json"], "--report: expected --failovers N with it"),
        (["smash", "primary"], "invalid choice: 'smash'"),
        (["break", "primary"], "argument FAULT: invalid choice: 'primary'"),
        (["--failovers", "1", "--fault", "kill-etcd"], "argument --fault: invalid choice: 'kill-etcd'"),
        (["kill"], "the following arguments are required: tablet"),
    ],
)
def test_a_wrong_word_is_refused_with_what_was_expected(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started, and the message names the word and the expected ones."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--failovers", "1", "--tablets", "2", "--topo", "local"], "would not survive the loss of its primary"),
        (["--failovers", "1", "--topo", "local", "--report", "/no/such/folder/r.json"], "/r.json cannot be written"),
        (["--simulated", "--topo", "local", "--dir", "/proc/no"], "/proc/no for data and logs cannot be made (No such"),
    ],
)
def test_a_demo_that_cannot_go_well_is_not_begun(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shard that would not survive, and files that cannot be written, are refused before any server starts."""
    assert main(words) == 1
    assert complaint in capsys.readouterr().err
