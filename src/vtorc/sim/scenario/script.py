"""Scenarios as text: a comment, commands, and the outcome that they must have.

A file is a series of blocks. Each has comment lines (`#`), command lines, a line `----`, and the outcome, which ends
with an empty line. Commands of later blocks go on where the earlier ones stopped. `vtorc.sim.scenario.commands` has the
commands. A line `waits-for: …` says what is missing before the scenario has its right outcome, or can be written.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vtorc.sim.engine.loop import SimLoop
from vtorc.sim.engine.trace import Trace
from vtorc.sim.errors import SimError, SimPlanError
from vtorc.sim.scenario.commands import ScenarioCommands

_RULE = "----"
_WAITS = "waits-for:"


@dataclass(frozen=True, slots=True)
class Block:
    """Comments, commands and outcome as in the file, without line ends; `line` is the number of the first line."""

    comments: tuple[str, ...]
    commands: tuple[str, ...]
    outcome: tuple[str, ...]
    line: int

    def text(self) -> str:
        """Return the block as text of a file."""
        return "\n".join((*self.comments, *self.commands, _RULE, *self.outcome)) + "\n"


@dataclass(frozen=True, slots=True)
class Script:
    """One scenario; `waits_for` says what its right outcome still needs, and is empty if it needs nothing."""

    path: Path
    number: int
    title: str
    blocks: tuple[Block, ...]
    waits_for: str = ""

    @property
    def name(self) -> str:
        """The name of its file without the ending; it begins with the number."""
        return self.path.stem

    def text(self) -> str:
        """Return the contents of the file."""
        head = f"{_WAITS} {self.waits_for}\n" if self.waits_for else ""
        return head + "\n".join(block.text() for block in self.blocks)


def read_script(path: Path) -> Script:
    """Read a scenario; raises SimPlanError with the wrong line."""
    number, dash, _ = path.stem.partition("-")
    if not dash or not number.isdigit():
        raise SimPlanError(
            f"{path}: expected a file name such as 02-mysqld-killed.txt, with the scenario's number first"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    title = next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
    if not title:
        raise SimPlanError(f"{path} line 1: expected a comment that says what happens")
    waits = [line.removeprefix(_WAITS).strip() for line in lines if line.startswith(_WAITS)]
    if waits and not waits[0]:
        raise SimPlanError(f"{path}: expected what it waits for, after {_WAITS}")
    rest = [line for line in lines if not line.startswith(_WAITS)]
    blocks = _blocks(path, rest) if _RULE in rest or not waits else ()
    return Script(path, int(number), title, blocks, waits_for="".join(waits))


def _blocks(path: Path, lines: list[str]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    start = 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        try:
            rule = lines.index(_RULE, start)
        except ValueError:
            raise SimPlanError(f"{path} line {start + 1}: expected a line {_RULE} after these commands") from None
        end = next((n for n in range(rule, len(lines)) if not lines[n].strip()), len(lines))
        head = lines[start:rule]
        comments = tuple(line for line in head if line.startswith("#"))
        commands = tuple(line for line in head if line.strip() and not line.startswith("#"))
        blocks.append(Block(comments, commands, tuple(lines[rule + 1 : end]), start + 1))
        start = end
    return tuple(blocks)


def play(script: Script, *, seed: int, sink: Callable[[str], None] | None = None) -> Script:
    """Play a scenario and return it with the outcome of this run; `sink` gets the lines of the trace.

    Raises SimPlanError for a wrong command.
    """
    loop = SimLoop(seed=f"scenario {script.number} {seed}")
    trace = Trace(loop.time, sink=sink)
    blocks: list[Block] = []

    async def run() -> None:
        commands = ScenarioCommands(trace)
        for block in script.blocks:
            outcome: list[str] = []
            for line in block.commands:
                trace.note("scenario", line)
                outcome += await commands.do(line)
            blocks.append(replace(block, outcome=tuple(outcome)))

    try:
        with trace.capturing_logs():
            loop.run(run())
    except SimError as error:
        raise SimPlanError(f"{script.path}: the simulation stopped: {error}") from error
    except SimPlanError as error:
        raise SimPlanError(f"{script.path}: {error}") from error
    return replace(script, blocks=tuple(blocks))


def difference(expected: Script, played: Script) -> str:
    """Return the difference between the outcome in the file and that of a run; empty if there is none."""
    lines = difflib.unified_diff(
        expected.text().splitlines(),
        played.text().splitlines(),
        "what the file says",
        "what came out",
        lineterm="",
        n=5,
    )
    return "\n".join(lines)
