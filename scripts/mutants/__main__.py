"""Mutation testing: breaks what decides and what cannot be undone, one piece at a time, and tells what no test noticed.

Run it as `make mutants`, or `make mutants MODULE=recovery/stop` for what begins like that below `src/vtorc`. mutmut
makes the mutants (`operators.py`, `making.py`); those that do not type-check are not counted, because no such code can
be committed. The unit tests of a module judge its mutants first, and the scenarios what survives them (`trials.py`).
One that survives both has to be on the page `docs/mutants.md`, with the reason why no test can notice it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.mutants.blocks import BLOCKS, SCENARIOS, Block, chosen
from scripts.mutants.making import ROOT, Mutant, make
from scripts.mutants.page import PAGE, Change, page_rows
from scripts.mutants.trials import Trials

WORK = ROOT / ".mutants"
BAR = 0.9
"""Least share of all mutants that tests have to notice, those on the page not counted as noticed."""


@dataclass(frozen=True)
class Result:
    """What became of the mutants of one module."""

    module: str
    mutants: int
    """Those that type-check."""
    untyped: int
    by_scenarios: int
    """Those that the unit tests let pass, and the scenarios do not."""
    listed: int
    left: tuple[Change, ...]
    """The survivors that the page does not list."""

    @property
    def noticed(self) -> int:
        """The mutants that made a test fail."""
        return self.mutants - self.listed - len(self.left)


def main(words: Sequence[str]) -> int:
    """Try the mutants, print the results, and return the exit code: 1 below the bar, or with an unlisted survivor."""
    options = _parser().parse_args(words)
    listed = {change for change, _ in page_rows(PAGE.read_text())}
    results: list[Result] = []
    for name, block in BLOCKS.items():
        modules = chosen(block, options.module)
        if modules:
            print(f"mutants: {name}: {', '.join(modules)}", flush=True)
            results += _try(name, block, modules, listed, again=options.again, scenarios=not options.unit)
    if not results:
        sys.exit(f"mutants: no module that is tried begins with {options.module!r}; see scripts/mutants/blocks.py")
    print("\n".join(table(results)))
    return 0 if is_enough(results, everything=not options.module) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("module", nargs="?", default="", help="begin of the modules' names, such as recovery/stop")
    parser.add_argument("--again", action="store_true", help="try only those again that survived the last time")
    parser.add_argument("--unit", action="store_true", help="leave out the scenarios")
    return parser


def _try(
    name: str, block: Block, modules: Sequence[str], listed: Collection[Change], *, again: bool, scenarios: bool
) -> list[Result]:
    """Try the mutants of some modules of a block, and print those that survive."""
    folder = WORK / name
    memory = WORK / f"{name}.json"
    made = make(folder, modules)
    print(f"mutants: {len(made.typed)} made; {len(made.untyped)} more do not type-check", flush=True)
    known = _noticed_before(memory) if again else frozenset()
    trials = Trials(folder)
    unit = trials.survivors([each for each in made.typed if (each.name, each.digest) not in known], block.tests)
    asked = [each for each in unit if each.change not in listed] if scenarios else []
    noticed = {each.name for each in asked} - {each.name for each in trials.survivors(asked, SCENARIOS)}
    survived = [each for each in unit if each.name not in noticed]
    _remember(memory, made.typed, survived, modules)
    results = [_result(module, made.typed, made.untyped, noticed, survived, listed) for module in modules]
    for change, times in Counter(change for result in results for change in result.left).items():
        print(change.row + (f" ({times} times)" if times > 1 else ""), flush=True)
    for change in sorted(_rows_without_survivor(modules, survived, listed), key=lambda change: change.row):
        print(f"mutants: listed, but no such mutant survives: {change.row}", flush=True)
    return results


def _result(
    module: str,
    typed: Iterable[Mutant],
    untyped: Iterable[Mutant],
    by_scenarios: Collection[str],
    survived: Iterable[Mutant],
    listed: Collection[Change],
) -> Result:
    mine = [mutant for mutant in typed if mutant.change.module == module]
    changes = [mutant.change for mutant in survived if mutant.change.module == module]
    left = tuple(change for change in changes if change not in listed)
    return Result(
        module=module,
        mutants=len(mine),
        untyped=sum(mutant.change.module == module for mutant in untyped),
        by_scenarios=sum(mutant.name in by_scenarios for mutant in mine),
        listed=len(changes) - len(left),
        left=left,
    )


def _rows_without_survivor(
    modules: Collection[str], survived: Iterable[Mutant], listed: Iterable[Change]
) -> set[Change]:
    return {change for change in listed if change.module in modules} - {mutant.change for mutant in survived}


def _noticed_before(memory: Path) -> frozenset[tuple[str, str]]:
    """Return the mutants that were noticed the last time, by name and digest."""
    if not memory.exists():
        return frozenset()
    return frozenset((name, digest) for name, digest in json.loads(memory.read_text()).items())


def _remember(memory: Path, tried: Iterable[Mutant], survived: Iterable[Mutant], modules: Collection[str]) -> None:
    """Store which mutants were noticed; those of other modules stay as they are."""
    left = {mutant.name for mutant in survived}
    mine = {f"vtorc.{module.replace('/', '.')}" for module in modules}
    kept = {name: digest for name, digest in _noticed_before(memory) if name.rpartition(".")[0] not in mine}
    now = {mutant.name: mutant.digest for mutant in tried if mutant.name not in left}
    memory.write_text(json.dumps(kept | now))


def table(results: Sequence[Result]) -> list[str]:
    """Return the lines of the table of all modules."""
    heads = ("mutants", "noticed", "by scenarios only", "listed", "left", "not typed")
    numbers = [
        (each.mutants, each.noticed, each.by_scenarios, each.listed, len(each.left), each.untyped) for each in results
    ]
    total = tuple(map(sum, zip(*numbers, strict=True)))
    names = ["module", *(each.module for each in results), "all"]
    rows = [[name, *map(str, row)] for name, row in zip(names, [heads, *numbers, total], strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def is_enough(results: Sequence[Result], *, everything: bool) -> bool:
    """Return whether every survivor is on the page, and, where all was tried, tests notice enough."""
    share = sum(each.noticed for each in results) / max(1, sum(each.mutants for each in results))
    print(f"mutants: {share:.1%} noticed")
    return not any(each.left for each in results) and (share >= BAR or not everything)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
