"""Shows that the simulator finds bugs: puts seeded bugs in place, one at a time, and counts the seeds until one fails.

Run it as `python -m bench.mutations [--only NAME] [--budget N] [--jobs N]`; it exits with 1 if any bug survives. Each
verdict is one line; a terminal shows them all as a table too.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context

from rich.console import Console
from rich.table import Table

from bench.mutants import MUTANTS, Mutant
from bench.patching import Patch
from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import run_seed

_BROKEN = frozenset({"crash", "simulation"})
"""The rules that a mutant violates which no longer fits the code around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of one mutant."""

    name: str
    caught_by: tuple[str, ...]
    """The invariants that caught it; empty: it survived."""
    text: str
    """The text of the first violation."""
    seeds: int
    seconds: float
    """Processor time."""


def try_mutant(name: str, budget: int) -> Verdict:
    """Run seeds with one mutant in place, at most `budget`, until one violates an invariant."""
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


def try_all(
    mutants: Sequence[Mutant], *, budget: int | None, jobs: int, report: Callable[[Verdict], None]
) -> list[Verdict]:
    """Try mutants, each in a process of its own, and report each verdict as it comes; returns them in the mutants'
    order.
    """
    verdicts: dict[str, Verdict] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context, max_tasks_per_child=1) as pool:
        running: list[Future[Verdict]] = [
            pool.submit(try_mutant, mutant.name, mutant.budget if budget is None else budget) for mutant in mutants
        ]
        for future in as_completed(running):
            verdict = future.result()
            verdicts[verdict.name] = verdict
            report(verdict)
    return [verdicts[mutant.name] for mutant in mutants]


def line_of(verdict: Verdict) -> str:
    """Write a verdict as one line: name, caught or not, by which invariants, after how many runs and seconds.

    What the first violation said comes last, on the same line.
    """
    runs = f"{verdict.seeds} run{'' if verdict.seeds == 1 else 's'}, {verdict.seconds:.1f} s"
    if not verdict.caught_by:
        return f"{verdict.name}: NOT CAUGHT ({runs})"
    return f"{verdict.name}: caught by {', '.join(verdict.caught_by)} ({runs}): {' '.join(verdict.text.split())}"


def summary_of(verdicts: Sequence[Verdict]) -> str:
    """Write how many seeded bugs were caught, and the names of those that were not, as one line."""
    survivors = [verdict.name for verdict in verdicts if not verdict.caught_by]
    missed = f"; not caught: {', '.join(survivors)}" if survivors else ""
    return f"{len(verdicts) - len(survivors)} of {len(verdicts)} seeded bugs caught{missed}"


def table_of(verdicts: Sequence[Verdict]) -> Table:
    """Lay the verdicts out as a table, for a terminal."""
    table = Table(title="Seeded bugs")
    for heading in ("Bug", "What it does", "Caught by", "Profile", "Faults"):
        table.add_column(heading)
    for heading in ("Seeds", "Budget", "Seconds"):
        table.add_column(heading, justify="right")
    for each in verdicts:
        chosen = MUTANTS[each.name]
        table.add_row(
            each.name,
            chosen.effect,
            ", ".join(each.caught_by) or "nothing",
            chosen.profile,
            ", ".join(chosen.kinds) or "all",
            str(each.seeds),
            str(chosen.budget),
            f"{each.seconds:.1f}",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the chosen mutants; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutations", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(MUTANTS), help="try this one only; may be repeated")
    parser.add_argument("--budget", type=int, help="try at most so many seeds for each")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    options = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS.values() if not options.only or mutant.name in options.only]
    verdicts = try_all(chosen, budget=options.budget, jobs=options.jobs, report=lambda verdict: _say(line_of(verdict)))
    if sys.stdout.isatty():
        Console().print(table_of(verdicts))
    _say(summary_of(verdicts))
    return 0 if all(verdict.caught_by for verdict in verdicts) else 1


def _say(line: str) -> None:
    """Write a line at once: in a pipe it would wait until many are there, and a log of CI would stand still."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
