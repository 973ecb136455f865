"""The scenarios that ship with the simulator; `vtorc sim scenario --all --rewrite` rewrites their outcomes."""

from pathlib import Path

import pytest

from vtorc.sim.errors import SimPlanError
from vtorc.sim.scenario.folder import SCRIPTS, ScenarioFolder
from vtorc.sim.scenario.script import Script, difference, play, read_script

_BOOK = ScenarioFolder.read(SCRIPTS)
_LISTED = set(range(1, 44))


@pytest.mark.parametrize("script", _BOOK.scripts, ids=lambda script: script.name)
def test_a_scenario_comes_out_as_its_file_says(script: Script) -> None:
    """Each scenario has the outcome in its file, unless it waits for something."""
    changed = difference(script, play(script, seed=1))
    assert not changed, f"{script.path}\n{changed}"


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
