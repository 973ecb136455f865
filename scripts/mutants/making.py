"""Makes the mutants of some modules: a copy of the project in which each function carries all its mutants.

The copy runs as the project does until `MUTANT_UNDER_TEST` names a mutant. mutmut writes that code.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from mutmut.mutation.data import LineSpan
from mutmut.mutation.file_mutation import mutate_file_contents

from scripts.mutants import operators
from scripts.mutants.decorated import name_of, without_decorators
from scripts.mutants.page import Change

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "tests")
"""Folders of which the copy has its own: code is changed in one, and tests look for files from where they are."""

_MARK = "__mutmut_"
_ORIGINAL = "orig"


@dataclass(frozen=True)
class Mutant:
    """One mutant of one function."""

    name: str
    """The name that switches it on: module, function and number in mutmut's spelling."""
    change: Change
    digest: str
    """A digest of the function as the mutant has it; it tells whether an earlier verdict still holds."""

    @property
    def function(self) -> str:
        """The module and the function, as mutmut names a call of it."""
        return self.name.rpartition(_MARK)[0]


@dataclass(frozen=True)
class Made:
    """The mutants of some modules, as they are in the copy of the project."""

    typed: list[Mutant]
    """Those that type-check, in the order of the code."""
    untyped: list[Mutant]
    """Those that do not, and so could not be committed."""


def make(folder: Path, modules: Sequence[str]) -> Made:
    """Copy the project to `folder`, put the mutants of `modules` in place, and type-check them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name in COPIED:
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    operators.install()
    spans: dict[str, Mapping[str, LineSpan]] = {}
    mutants: list[Mutant] = []
    for module in modules:
        path = folder / _file(module)
        mutated = mutate_file_contents(str(path), without_decorators(path.read_text()))
        path.write_text(mutated.code)
        spans[module] = mutated.line_span_by_function_name
        mutants += _mutants(module, mutated.mutant_names, mutated.code.splitlines(), spans[module])
    errors = _errors(folder, [_file(module) for module in modules])
    bad = {
        f"{_dotted(module)}.{function}"
        for module, functions in spans.items()
        for function, span in functions.items()
        if any(span.start <= line <= span.end for line in errors[_file(module)])
    }
    return Made([each for each in mutants if each.name not in bad], [each for each in mutants if each.name in bad])


def _file(module: str) -> str:
    return f"src/vtorc/{module}.py"


def _dotted(module: str) -> str:
    return f"vtorc.{module.replace('/', '.')}"


def _mutants(
    module: str, names: Sequence[str], lines: Sequence[str], spans: Mapping[str, LineSpan]
) -> Iterator[Mutant]:
    for name in names:
        function, _, number = name.rpartition(_MARK)
        before = _body(lines, spans[f"{function}{_MARK}{_ORIGINAL}"], f"{_MARK}{_ORIGINAL}")
        after = _body(lines, spans[name], f"{_MARK}{number}")
        place = function.replace("xǁ", "").replace("ǁ", ".").removeprefix("x_")
        dropped, added = changed_lines(before, after)
        digest = hashlib.sha256("\n".join([*before, *after]).encode()).hexdigest()[:16]
        yield Mutant(f"{_dotted(module)}.{name}", Change(f"{module}: {name_of(place)}", dropped, added), digest)


def _body(lines: Sequence[str], span: LineSpan, suffix: str) -> list[str]:
    """Return the lines of one version of a function, without what mutmut added to its name."""
    text = "\n".join(lines[span.start - 1 : span.end])
    return text.replace(f"{suffix}(", "(", 1).strip().splitlines()


def changed_lines(before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """Return the lines that were dropped, and those that were added, each as one line."""
    diff = list(unified_diff(before, after, n=0, lineterm=""))[2:]
    dropped, added = ([line[1:].strip() for line in diff if line.startswith(sign)] for sign in "-+")
    return " ".join(dropped), " ".join(added)


def _errors(folder: Path, files: Sequence[str]) -> Mapping[str, list[int]]:
    """Return for each file the lines with an error of types."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--output", "json", "--disable-error-code", "unused-ignore"),
            *("--cache-dir", str(folder.parent / ".mypy_cache"), *files),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        sys.exit(f"mutants: mypy failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    found: dict[str, list[int]] = defaultdict(list)
    for line in done.stdout.splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            found[error["file"]].append(error["line"])
    return found
