"""Mutation testing: breaks what decides and what cannot be undone, one piece at a time, and tells what no test noticed.

Run it as `make mutants`, or `make mutants MODULE=recovery/stop` for what begins like that below `src/vtorc`. mutmut
makes and tries the mutants (`scripts/mutation_operators.py`); those that do not type-check are not counted, because no
such code can be committed. A survivor is tried by the unit tests again in a process of its own, in which what runs at
import is mutated as well, and then by the scenarios. One that survives them too has to be on the page
`docs/mutants.md`, with the reason why no test can notice it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".mutants"
PAGE = ROOT / "docs" / "mutants.md"
OPERATORS = ROOT / "scripts" / "mutation_operators.py"
PYTHON = sys.executable
BAR = 0.9
"""Least share of the mutants of each module that tests have to notice."""

READ_BY_TESTS = ("bench", "docs")
"""Folders that some of the tests read or import."""

NOT_TYPED = "caught by type check"
UNTRIED = "not checked"
CAUGHT = frozenset({"killed", "timeout", "segfault", "suspicious"})
"""What mutmut calls a mutant that made a test fail, or that never came to an end."""

NOTHING = "–"
"""The cell of a mutant that drops whole lines."""

ROW = re.compile(
    r"^\| `(?P<place>[^`]+)` \| `+ ?(?P<before>.+?) ?`+ "
    rf"\| (?:`+ ?(?P<after>.+?) ?`+|{NOTHING}) \| (?P<reason>.+) \|$"
)


@dataclass(frozen=True)
class Block:
    """Modules that are tried together, and the tests that they are judged by."""

    modules: tuple[str, ...]
    """Glob patterns below `src/vtorc`, without `.py`."""
    tests: tuple[str, ...]
    """Folders and files below `tests`."""


BLOCKS = {
    "lock": Block(("topo/lease", "topo/shard_lock"), ("unit/topo",)),
    "control": Block(("control/budget", "control/breaker", "control/shard_loop"), ("unit/control",)),
    "recovery": Block(("recovery/*",), ("unit/recovery",)),
    "decision": Block(("core/decision/*",), ("unit/core/decision",)),
    "detection": Block(("core/detection/*",), ("unit/core/detection", "unit/core/decision")),
    "election": Block(("core/election/*",), ("unit/core/election",)),
    "memory": Block(
        ("core/facts/observed_term", "core/facts/tablet_memory", "core/facts/last_probe", "discovery/probe"),
        ("unit/core/facts", "unit/discovery"),
    ),
    "holds": Block(
        ("core/facts/holds", "control/hold_book"),
        ("unit/core/facts/test_holds.py", "unit/control/test_hold_book.py"),
    ),
    "facts": Block(("core/facts/gtid", "core/facts/intervals", "core/facts/durability"), ("unit/core/facts",)),
    "evidence": Block(
        tuple(
            f"core/facts/{name}"
            for name in (
                "rolled_back",
                "fitness",
                "unfitness",
                "past_proof",
                "ack_path",
                "client_span",
                "external_source",
                "effective_policy",
                "watched",
            )
        ),
        ("unit/core",),
    ),
}


@dataclass(frozen=True)
class Change:
    """One mutant as the page names it: the function, and the lines before and after."""

    place: str
    before: str
    after: str

    @property
    def row(self) -> str:
        """The row of the page, with the reason to be filled in."""
        return f"| `{self.place}` | {_code(self.before)} | {_code(self.after)} | … |"


@dataclass(frozen=True)
class Mutant:
    """One mutant and what became of it, in mutmut's words."""

    name: str
    verdict: str

    @property
    def module(self) -> str:
        """The module below `src/vtorc`, without `.py`."""
        return "/".join(self.name.split(".")[1:-1])


def main(words: Sequence[str]) -> int:
    """Try the mutants, print the results, and return the exit code: 1 below the bar, or with an unlisted survivor."""
    options = _parser().parse_args(words)
    listed = {change for change, _ in page_rows(PAGE.read_text())}
    fine = True
    for name, block in BLOCKS.items():
        modules = chosen(block, options.module)
        if modules:
            print(f"mutants: {name}: {', '.join(modules)}", flush=True)
            run = BlockRun(WORK / name, modules, block.tests)
            fine = run.report(run.results(again=options.again), listed, scenarios=not options.unit) and fine
    return 0 if fine else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", nargs="?", default="", help="begin of the modules' names, such as recovery/stop")
    parser.add_argument("--again", action="store_true", help="try only those again that survived the last time")
    parser.add_argument("--unit", action="store_true", help="leave out the scenarios")
    return parser


def chosen(block: Block, prefix: str) -> list[str]:
    """Return the modules of a block that begin with `prefix`."""
    source = ROOT / "src" / "vtorc"
    found = sorted(path for pattern in block.modules for path in source.glob(f"{pattern}.py"))
    names = (path.relative_to(source).with_suffix("").as_posix() for path in found if path.name != "__init__.py")
    return [name for name in names if name.startswith(prefix)]


@dataclass(frozen=True)
class BlockRun:
    """One run of mutmut in a folder of its own, on some modules of a block."""

    folder: Path
    modules: Sequence[str]
    tests: Sequence[str]

    def results(self, *, again: bool) -> list[Mutant]:
        """Make the mutants and try them; with `again`, only those that survived before."""
        before = self._verdicts() if again and (self.folder / "mutants").exists() else []
        if not before:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._prepare()
        names = [mutant.name for mutant in before if mutant.verdict not in {*CAUGHT, NOT_TYPED}]
        if names or not before:
            self._mutmut("run", "--max-children", "1", *names)
        # A function that was changed since has other mutants than those that survived in it.
        untried = [mutant.name for mutant in self._verdicts() if mutant.verdict == UNTRIED]
        if untried:
            self._mutmut("run", "--max-children", "1", *untried)
        return self._verdicts()

    def report(self, mutants: Sequence[Mutant], listed: Collection[Change], *, scenarios: bool) -> bool:
        """Print what became of the mutants of each module; return whether that is good enough."""
        fine = True
        for module in self.modules:
            mine = [mutant for mutant in mutants if mutant.module == module]
            counted = [mutant for mutant in mine if mutant.verdict != NOT_TYPED]
            survivors = {m.name: self.change(m) for m in counted if m.verdict not in CAUGHT}
            equal = {name for name, change in survivors.items() if change in listed}
            noticed = {name for name in survivors.keys() - equal if self._is_noticed(name, scenarios=scenarios)}
            left = [survivors[name] for name in survivors if name not in equal | noticed]
            share = 1 - len(left) / max(1, len(counted) - len(equal))
            fine = fine and not left and share >= BAR
            print(
                f"mutants: {module}: {len(counted)} type-check ({len(mine) - len(counted)} more do not), "
                f"{share:.0%} noticed, {len(noticed)} of them at import or only by scenarios; "
                f"{len(equal)} listed as equal, {len(left)} survive",
                flush=True,
            )
            for change, times in Counter(left).items():
                print(change.row + (f" ({times} times)" if times > 1 else ""), flush=True)
        return fine

    def change(self, mutant: Mutant) -> Change:
        """Return the lines that a mutant changes."""
        diff = self._mutmut("show", mutant.name, quiet=True).splitlines()
        before = [line[1:].strip() for line in diff if line.startswith("-") and not line.startswith("---")]
        after = [line[1:].strip() for line in diff if line.startswith("+") and not line.startswith("+++")]
        function = mutant.name.rsplit(".", 1)[1].split("__mutmut_")[0]
        place = function.replace("xǁ", "").replace("ǁ", ".").removeprefix("x_")
        return Change(f"{mutant.module}: {place}", " ".join(before), " ".join(after))

    def _prepare(self) -> None:
        """Make the folder: links to the code, and the project's settings with those for mutmut."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("src", "tests", *READ_BY_TESTS):
            link = self.folder / name
            if not link.exists():
                link.symlink_to(ROOT / name)
        files = [f"src/vtorc/{module}.py" for module in self.modules]
        settings: dict[str, object] = {
            "source_paths": ["src"],
            "only_mutate": files,
            "also_copy": list(READ_BY_TESTS),
            "pytest_add_cli_args_test_selection": [f"tests/{path}" for path in self.tests],
            "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist"],
            "type_check_command": ["mypy", *files, "--output", "json", "--disable-error-code", "unused-ignore"],
            "use_git_change_detection": False,
            # A mutant that loops for ever is ended after ten times what its tests take, and twenty seconds.
            "timeout_multiplier": 5.0,
            "timeout_constant": 2.0,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        text = (ROOT / "pyproject.toml").read_text() + "\n".join(("", "[tool.mutmut]", *lines, ""))
        tomllib.loads(text)
        (self.folder / "pyproject.toml").write_text(text)

    def _verdicts(self) -> list[Mutant]:
        lines = self._mutmut("results", "--all", "true", quiet=True).splitlines()
        parts = (line.strip().rpartition(": ") for line in lines if ": " in line)
        return [Mutant(name, verdict) for name, _, verdict in parts]

    def _mutmut(self, *words: str, quiet: bool = False) -> str:
        environment = {**os.environ, "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [PYTHON, OPERATORS, *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"mutants: mutmut {words[0]} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout

    def _is_noticed(self, name: str, *, scenarios: bool) -> bool:
        """Return whether a survivor of mutmut is noticed by the same tests afresh, or by the scenarios."""
        if self._fails_afresh(name, "-p", "no:xdist", *(f"tests/{path}" for path in self.tests)):
            return True
        return scenarios and self._fails_afresh(name, "-n", "2", "tests/sim/scenarios")

    def _fails_afresh(self, name: str, *words: str) -> bool:
        """Return whether tests fail in a process that has one mutant in place from its start.

        mutmut tries mutants in processes that have imported the code already: what runs at import, as the rows of a
        catalogue do, is not mutated there.
        """
        folder = self.folder / "mutants"
        environment = {**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": str(folder / "src")}
        command = [PYTHON, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *words]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False).returncode == 1


def page_rows(text: str) -> Iterator[tuple[Change, str]]:
    """Yield the mutants that the page lists, each with its reason."""
    for line in text.splitlines():
        if found := ROW.match(line):
            before, after = ((found[name] or "").replace("\\|", "|") for name in ("before", "after"))
            yield Change(found["place"], before, after), found["reason"]


def _code(text: str) -> str:
    """Return code for a cell of a table."""
    if not text:
        return NOTHING
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
