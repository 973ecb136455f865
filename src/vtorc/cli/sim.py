"""The command line of `vtorc sim`; the simulator itself is in `vtorc.sim`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vtorc.cli.client.errors import OutputFailed
from vtorc.cli.client.screen import Screen
from vtorc.sim.engine.hashseed import fix_hash_seed
from vtorc.sim.errors import SimPlanError

if TYPE_CHECKING:
    from vtorc.sim.campaigns.campaign import Job, Totals

_PROGRESS_INTERVAL = 5.0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    sim = argparse.ArgumentParser(
        prog="vtorc sim",
        description="The real control code in a simulated world with faults, which follow from a seed.",
        epilog="A fault is KIND[:TARGET[#SHARD]][@AT][+LASTS], times in seconds. 'vtorc sim scenario --help' has more.",
    )
    mode = sim.add_mutually_exclusive_group()
    mode.add_argument("--seeds", type=_range, metavar="A..B", help="run all seeds from A up to, but without, B")
    mode.add_argument("--kinds", action="store_true", help="list the kinds of faults, as a table in Markdown")
    mode.add_argument("--seed", type=int, metavar="X", help="run one seed")
    sim.add_argument(
        "--topology", type=Path, metavar="FILE", help="forecast for this topology (JSON), over --runs seeds"
    )
    sim.add_argument(
        "--trace", action="store_true", help="with --seed: print each observation, decision and action with its time"
    )
    sim.add_argument("--profile", default="default", help="calm, single, default, storm, or a kind of fault")
    sim.add_argument("--shards", type=_positive, default=1, metavar="N", help="shards of each world (default 1)")
    sim.add_argument("--tablets", type=_positive, metavar="N", help="tablets of each shard, over three cells")
    sim.add_argument("--fault", action="append", default=[], help="inject this fault instead of randomly drawn ones")
    sim.add_argument("--runs", type=_positive, default=100, metavar="N", help="with --topology: how many (default 100)")
    sim.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: CPUs)"
    )
    sim.add_argument(
        "--within", type=_positive, metavar="SECONDS", help="with --seeds: end after this time, even if seeds are left"
    )
    return sim


def scenario_parser() -> argparse.ArgumentParser:
    """Describe the command line of `vtorc sim scenario`."""
    words = argparse.ArgumentParser(
        prog="vtorc sim scenario", description="Failures that operators have met, each as a script with its outcome."
    )
    words.add_argument(
        "name",
        nargs="?",
        metavar="NAME|FILE",
        help="number or name of a scenario, or the path of a file of your own, such as ./07-mine.txt",
    )
    words.add_argument("--list", action="store_true", help="list all, also those that wait for a feature")
    words.add_argument("--all", action="store_true", help="run all")
    words.add_argument("--rewrite", action="store_true", help="store the outcomes in the files as the expected ones")
    words.add_argument("--trace", action="store_true", help="print each observation, decision and action with its time")
    words.add_argument("--seed", type=int, default=1, help="another order of events (default 1)")
    words.add_argument("--dir", type=Path, help="where the scripts are (default: those that ship with vtorc)")
    return words


def main(words: Sequence[str]) -> int:
    """Simulate; returns the exit code: 0 if all outcomes are as expected, 1 if not, 2 for a wrong command line."""
    try:
        if words and words[0] == "scenario":
            return _scenario(scenario_parser(), words[1:])
        return _sim(parser(), words)
    except (SimPlanError, OutputFailed) as error:
        sys.stderr.write(f"vtorc sim: {error}\n")
        return 2


def _sim(sim: argparse.ArgumentParser, words: Sequence[str]) -> int:
    options = sim.parse_args(words)
    if options.kinds:
        from vtorc.sim.faults.notation import table_of_kinds

        _print_line(table_of_kinds())
        return 0
    if options.seeds is None and options.seed is None and options.topology is None:
        sim.error("expected --seeds A..B, --seed X, --topology FILE, or the word scenario")
    if options.trace and options.seed is None:
        sim.error("--trace: expected --seed X with it")
    if options.seeds is not None and options.topology is not None:
        sim.error("--seeds: expected --runs N with --topology")
    if options.fault and options.seeds is not None:
        sim.error(
            "--fault: expected --seed X or --topology FILE with it; with --seeds, --profile KIND draws its faults"
        )
    fix_hash_seed()
    if options.topology is not None:
        return _forecast(options)
    from vtorc.sim.campaigns.campaign import Job
    from vtorc.sim.campaigns.profiles import find_profile

    find_profile(options.profile)  # an unknown profile is refused before anything starts
    job = Job(profile=options.profile, shards=options.shards, tablets=options.tablets)
    return _one(job, options) if options.seed is not None else _many(job, options)


def _one(job: "Job", options: argparse.Namespace) -> int:
    from vtorc.sim.campaigns.campaign import Failure, Totals, stopwatch, summary
    from vtorc.sim.faults.notation import read_fault

    faults = [read_fault(text, at=1.0, lasts=15.0) for text in options.fault] or None
    elapsed, totals = stopwatch(), Totals()
    result = job.run(options.seed, faults=faults, sink=_print_line if options.trace else None)
    if options.trace:
        _print_line(f"trace {result.digest}, {'all invariants held' if result.ok else 'INVARIANTS BROKEN'}")
    else:
        totals.add(result)
        _print_lines(summary(totals, elapsed()))
        if result.fleet is not None and result.fleet.shards > 1 and result.fleet.lost:
            _print_lines(result.fleet.lines())
        if not result.ok:
            _print_lines(Failure(result, result.faults, shrunk=False).lines(job))
    return 0 if result.ok else 1


def _many(job: "Job", options: argparse.Namespace) -> int:
    from vtorc.sim.campaigns.campaign import explain, run_campaign, stopwatch, summary

    elapsed = stopwatch()
    seeds: range = options.seeds
    totals = run_campaign(
        job, seeds, processes=options.jobs, progress=_progress(len(seeds), elapsed), within=options.within
    )
    _print_lines(summary(totals, elapsed()))
    for failure in explain(job, totals.failed):
        _print_lines(failure.lines(job))
    cut_short = totals.runs < len(seeds) and options.within is None
    return 1 if totals.failed or cut_short else 0


def _forecast(options: argparse.Namespace) -> int:
    from vtorc.sim.campaigns.parallel import in_parallel
    from vtorc.sim.faults.notation import read_fault
    from vtorc.sim.forecast.forecast import LASTS, Distribution, Forecast
    from vtorc.sim.forecast.topology_file import read_topology_file

    topology = read_topology_file(options.topology)
    if not options.fault:
        raise SimPlanError("--topology: expected --fault with it, for example --fault lose-cell:zone1")
    faults = tuple(read_fault(text, at=0.0, lasts=LASTS, plan=topology.plan) for text in options.fault)
    forecast = Forecast(topology, faults)
    if options.seed is not None:
        outcome = forecast.run(options.seed, sink=_print_line if options.trace else None)
        _print_lines(Distribution([outcome]).lines(forecast))
        return 1 if outcome.trouble else 0
    outcomes = sorted(in_parallel(forecast.run, range(options.runs), processes=options.jobs), key=lambda o: o.seed)
    _print_lines(Distribution(outcomes).lines(forecast))
    return 0 if not any(outcome.trouble for outcome in outcomes) else 1


def _scenario(words: argparse.ArgumentParser, given: Sequence[str]) -> int:
    options = words.parse_args(given)
    if not options.list and not options.all and options.name is None:
        words.error("expected the name of a scenario, --list or --all")
    fix_hash_seed()
    from vtorc.sim.scenario.folder import SCRIPTS, ScenarioFolder, check_script, is_path, read_own

    sink = _print_line if options.trace else None
    if options.name is not None and is_path(options.name):
        script = read_own(Path(options.name))
        return check_script(script, seed=options.seed, rewrite=options.rewrite, sink=sink, say=_print_line)
    book = ScenarioFolder.read(options.dir or SCRIPTS)
    if options.list:
        _print_lines(book.lines())
        return 0
    chosen = book.scripts if options.all else (book.find(options.name),)
    exit_codes = [
        check_script(script, seed=options.seed, rewrite=options.rewrite, sink=sink, say=_print_line)
        for script in chosen
    ]
    return max(exit_codes)


def _progress(total: int, elapsed: Callable[[], float]) -> "Callable[[Totals], None]":
    reported_at = 0.0

    def report(totals: "Totals") -> None:
        nonlocal reported_at
        now = elapsed()
        if now - reported_at < _PROGRESS_INTERVAL or totals.runs == total:
            return
        reported_at = now
        sys.stderr.write(
            f"{totals.runs} of {total} seeds, {totals.runs / now:.2f} per second, {totals.failovers} failovers, "
            f"{len(totals.failed)} failed{''.join(f' {run.seed}' for run in totals.failed[-5:])}\n"
        )

    return report


def _print_line(line: str) -> None:
    Screen(sys.stdout).write(f"{line}\n")


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        _print_line(line)


def _range(text: str) -> range:
    first, dots, last = text.partition("..")
    if not dots or not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"expected two whole numbers as in 0..1000, got {text!r}")
    if int(last) <= int(first):
        raise argparse.ArgumentTypeError(f"expected a second number above the first, got {text!r}")
    return range(int(first), int(last))


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
