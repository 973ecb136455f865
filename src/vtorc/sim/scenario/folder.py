"""The scenarios of a folder, also those that cannot be played yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vtorc.sim.errors import SimPlanError
from vtorc.sim.scenario.script import Script, difference, play, read_script

SCRIPTS = Path(__file__).parent / "scripts"
"""The folder of the scenarios that ship with vtorc."""


@dataclass(frozen=True, slots=True)
class ScenarioFolder:
    """All scenarios of a folder, in the order of their numbers."""

    all: tuple[Script, ...]

    @classmethod
    def read(cls, folder: Path) -> "ScenarioFolder":
        """Read all `*.txt` of a folder; raises SimPlanError."""
        paths = sorted(folder.glob("*.txt"))
        if not paths:
            raise SimPlanError(f"{folder}: there is no scenario; --dir names the folder that has them")
        return cls(tuple(read_script(path) for path in paths))

    @property
    def scripts(self) -> tuple[Script, ...]:
        """The scenarios that must have the outcome in their files."""
        return tuple(script for script in self.all if not script.waits_for)

    def find(self, name: str) -> Script:
        """Return a scenario that can be played, by its number or a part of its name; raises SimPlanError."""
        found = [each for each in self.all if name == each.name or (name.isdigit() and int(name) == each.number)]
        found = found or [each for each in self.all if name in each.name]
        if len(found) != 1:
            names = ", ".join(each.name for each in found or self.all)
            raise SimPlanError(f"scenario {name!r}: expected one of {names}")
        return _playable(found[0])

    def lines(self) -> list[str]:
        """Return the list of all scenarios for printing."""
        lines: list[str] = []
        for script in self.all:
            lines.append(f"{script.name:<36} {script.title}")
            if script.waits_for:
                lines.append(f"{'':<36}   waits for: {script.waits_for}")
        return lines


def is_path(name: str) -> bool:
    """Return whether a word of the command line is the path of a file, and not the name of a scenario."""
    return "/" in name or name.endswith(".txt")


def read_own(path: Path) -> Script:
    """Read a scenario of an operator's own; raises SimPlanError, also for a file that cannot be read."""
    try:
        return _playable(read_script(path))
    except OSError as error:
        raise SimPlanError(f"{path}: cannot be read: {error.strerror}; expected the file of a scenario") from error
    except UnicodeDecodeError as error:
        raise SimPlanError(f"{path}: expected UTF-8 text, and byte {error.start} is none") from error


def _playable(script: Script) -> Script:
    if not script.blocks:
        raise SimPlanError(f"scenario {script.name} cannot be played yet; it waits for: {script.waits_for}")
    return script


def check_script(
    script: Script, *, seed: int, rewrite: bool, sink: Callable[[str], None] | None, say: Callable[[str], None]
) -> int:
    """Play one scenario and print whether it had the outcome in its file.

    Returns 0 if it had, or if the file was rewritten, else 1.
    """
    played = play(script, seed=seed, sink=sink)
    changed = difference(script, played)
    if not changed:
        say(f"{script.name}: as expected")
        return 0
    if rewrite:
        script.path.write_text(played.text(), encoding="utf-8")
        say(f"{script.name}: rewritten")
        return 0
    say(f"{script.name}: came out differently\n{changed}")
    return 1
