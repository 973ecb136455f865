"""The scenarios that ship with the simulator; `vtorc sim scenario --all --rewrite` rewrites their outcomes."""

import re
from pathlib import Path

import pytest

from vtorc.cli.sim import main
from vtorc.server.today.code_guide import GUIDES
from vtorc.sim.errors import SimPlanError
from vtorc.sim.scenario.folder import SCRIPTS, ScenarioFolder
from vtorc.sim.scenario.script import Script, difference, play, read_script

_BOOK = ScenarioFolder.read(SCRIPTS)
_LISTED = set(range(1, 44))
_NEWS = re.compile(r" (?:begins \w+ for|cleared) (\w+)")
"""A line of a trace with a code."""


@pytest.mark.parametrize("script", _BOOK.scripts, ids=lambda script: script.name)
def test_a_scenario_comes_out_as_its_file_says(script: Script) -> None:
    """Each scenario has the outcome in its file, and finds each code that the page of codes names it for."""
    expected = {code.value for code, guide in GUIDES.items() if guide.scenario == script.name}
    told = set(re.findall(r"\w+", "\n".join(line for block in script.blocks for line in block.outcome)))

    def hear(line: str) -> None:
        if found := _NEWS.search(line):
            told.add(found[1])

    changed = difference(script, play(script, seed=1, sink=hear if expected else None))
    assert not changed, f"{script.path}\n{changed}"
    assert expected <= told


def test_every_scenario_is_there_or_waits_for_something() -> None:
    """Each number of the list of scenarios has a file, and files without blocks say what they wait for."""
    assert {script.number for script in _BOOK.all} >= _LISTED
    assert all(script.blocks or script.waits_for for script in _BOOK.all)


def test_only_a_limit_of_the_promise_breaks_an_invariant() -> None:
    """A scenario whose outcome has a violation says in its first line that it shows where the promise ends."""
    broken = {
        script.name: script.title
        for script in _BOOK.all
        if any(line.startswith("VIOLATION") for block in script.blocks for line in block.outcome)
    }
    assert broken
    assert not [name for name, title in broken.items() if not title.startswith("A limit of the promise: ")]


def test_a_file_is_written_as_it_was_read() -> None:
    """Reading a scenario and writing it again changes nothing, so that a rewrite changes outcomes only."""
    for script in _BOOK.all:
        if script.blocks:
            assert script.text() == script.path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("start\n----\n", "expected a comment"),
        ("# What happens.\nstart\n", "line 1: expected a line ----"),
        ("# What happens.\n", "line 1: expected a line ----"),
        ("waits-for:\n# What happens.\n", "expected what it waits for"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """A scenario without comment, rule or commands is refused with the line and what was expected in it."""
    path = tmp_path / "01-wrong.txt"
    path.write_text(text)
    with pytest.raises(SimPlanError, match=complaint):
        read_script(path)


@pytest.fixture
def _fixed_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the command from starting this process anew."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")


@pytest.mark.usefixtures("_fixed_hash_seed")
def test_a_file_of_ones_own_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path is played like a scenario that ships with vtorc, and with --rewrite its outcome is written to it."""
    path = tmp_path / "07-mine.txt"
    path.write_text("# A shard comes up.\nshard durability=none tablets=zone1-100\nboot\nsettle\n----\nsomething\n")
    assert [main(["scenario", str(path), *more]) for more in ([], ["--rewrite"], [])] == [1, 0, 0]
    out = capsys.readouterr().out
    assert "07-mine: came out differently" in out
    assert out.endswith("07-mine: rewritten\n07-mine: as expected\n")


@pytest.mark.usefixtures("_fixed_hash_seed")
@pytest.mark.parametrize("contents", [None, b"\xff", b"waits-for: more\n# What happens.\n"])
def test_a_path_without_a_scenario_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contents: bytes | None
) -> None:
    """A file that is missing, no text, or waits for something is one line with its name and exit code 2."""
    path = tmp_path / "07-mine.txt"
    if contents is not None:
        path.write_bytes(contents)
    assert main(["scenario", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "07-mine" in line


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("kill-mysql primary", "unknown command"),
        ("settle", "start or boot first"),
        ("shard durability=semi_sync", "expected durability= and tablets="),
        ("shard durability=semi_sync tablets=100", "tablet alias '100'"),
        ("world lease=long", "expected a number"),
        ("boot now", "unexpected 'now'"),
        ("settings recovery-polls=1", "unknown flag"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(tmp_path: Path, command: str, complaint: str) -> None:
    """A wrong command stops the scenario with the command and what was expected."""
    path = tmp_path / "01-wrong.txt"
    path.write_text(f"# What happens.\n{command}\n----\n")
    with pytest.raises(SimPlanError, match=complaint):
        play(read_script(path), seed=1)
