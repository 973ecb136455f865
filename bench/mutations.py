"""Shows that the simulator finds bugs: switches seeded ones on, one at a time, and counts the seeds until it does.

Run it as `python -m bench.mutations [--only NAME] [--budget N] [--jobs N]`; it exits with 1 if any bug survives.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context

from rich.console import Console
from rich.table import Table

from bench.mutants import MUTANTS, Mutant
from bench.patching import Patch
from vtorc.sim.campaigns.run import PROFILES, run_seed

_BROKEN = frozenset({"crash", "simulation"})
"""What a mutant violates that does not fit the code around it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mutant: the invariants that caught it (empty if none did), after how many seeds and seconds.

    `seconds` are of processor time; `text` is what the first violation said.
    """

    name: str
    caught_by: tuple[str, ...]
    text: str
    seeds: int
    seconds: float


def try_mutant(name: str, budget: int) -> Verdict:
    """Run seeds with one mutant in place until one violates an invariant, at most `budget`."""
    chosen = MUTANTS[name]
    patch = Patch()
    began = time.process_time()
    profile = PROFILES[chosen.profile]
    if chosen.kinds:
        profile = replace(profile, kinds=chosen.kinds)
    try:
        chosen.apply(patch)
        for seed in range(budget):
            result = run_seed(seed, profile)
            if not result.ok:
                if crashes := [each.text for each in result.violations if each.rule in _BROKEN]:
                    raise AssertionError(f"{name} does not fail as a bug would, it breaks: {crashes[0]}")
                rules = tuple(dict.fromkeys(each.rule for each in result.violations))
                return _verdict(name, began, seeds=seed + 1, caught_by=rules, text=result.violations[0].text)
    finally:
        patch.undo()
    return _verdict(name, began, seeds=budget)


def _verdict(name: str, began: float, *, seeds: int, caught_by: tuple[str, ...] = (), text: str = "") -> Verdict:
    seconds = time.process_time() - began
    return Verdict(name=name, caught_by=caught_by, text=text, seeds=seeds, seconds=seconds)


def try_all(mutants: Sequence[Mutant], *, budget: int | None, jobs: int, console: Console) -> list[Verdict]:
    """Try mutants, each in a process of its own, and say how each ended; returns the verdicts in the mutants' order."""
    verdicts: dict[str, Verdict] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context, max_tasks_per_child=1) as pool:
        running: list[Future[Verdict]] = [
            pool.submit(try_mutant, each.name, each.budget if budget is None else budget) for each in mutants
        ]
        for future in as_completed(running):
            verdict = future.result()
            verdicts[verdict.name] = verdict
            how = f"caught by {', '.join(verdict.caught_by)}: {verdict.text}" if verdict.caught_by else "SURVIVES"
            console.print(f"{verdict.name}: {how} (seeds: {verdict.seeds})", highlight=False, markup=False)
    return [verdicts[each.name] for each in mutants]


def table_of(verdicts: Sequence[Verdict]) -> Table:
    """Lay the verdicts out for people."""
    table = Table(title="Seeded bugs")
    for heading in ("Bug", "What it does", "Caught by", "Profile", "Faults"):
        table.add_column(heading)
    for heading in ("Seeds", "Budget", "Seconds"):
        table.add_column(heading, justify="right")
    for each in verdicts:
        chosen = MUTANTS[each.name]
        table.add_row(
            each.name,
            chosen.what,
            ", ".join(each.caught_by) or "nothing",
            chosen.profile,
            ", ".join(chosen.kinds) or "all",
            str(each.seeds),
            str(chosen.budget),
            f"{each.seconds:.1f}",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Try what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutations", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(MUTANTS), help="try this one only; may be repeated")
    parser.add_argument("--budget", type=int, help="try so many seeds at most, whatever the list says")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    options = parser.parse_args(arguments)
    chosen = [each for each in MUTANTS.values() if not options.only or each.name in options.only]
    console = Console()
    verdicts = try_all(chosen, budget=options.budget, jobs=options.jobs, console=console)
    console.print(table_of(verdicts))
    survivors = [each.name for each in verdicts if not each.caught_by]
    console.print(
        f"{len(verdicts) - len(survivors)} of {len(verdicts)} caught" + "".join(f"; {s} survives" for s in survivors)
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
