"""Many seeds in parallel processes: the totals of all runs, and the few faults that make a failing run fail."""

import contextlib
import functools
import gc
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vtorc.sim.campaigns.parallel import in_parallel
from vtorc.sim.campaigns.profiles import find_profile
from vtorc.sim.campaigns.run import Result, run_seed
from vtorc.sim.campaigns.shrink import shrink
from vtorc.sim.checks.invariants import Violation
from vtorc.sim.cluster.plan import WorldPlan, fleet_plan
from vtorc.sim.faults.catalogue import kind_of
from vtorc.sim.faults.fault import Fault
from vtorc.sim.faults.notation import write_fault

_SHRINK_RUNS = 60
_SHRINK_AT_MOST = 10
_DIGESTS = 2**256


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The world of each seed of a campaign; with `tablets` every shard has that many, else the number is drawn."""

    profile: str = "default"
    shards: int = 1
    tablets: int | None = None

    def plan(self, seed: int) -> WorldPlan | None:
        """Return the world of a seed, None if the profile draws it."""
        if self.tablets is None:
            return None
        return fleet_plan(random.Random(f"plan {seed}"), shards=self.shards, tablets=self.tablets)

    def run(
        self, seed: int, *, faults: Sequence[Fault] | None = None, sink: Callable[[str], None] | None = None
    ) -> Result:
        """Run one seed; an unexpected error is a violation too, as its seed replays it."""
        profile = find_profile(self.profile)
        _freeze()
        try:
            return run_seed(seed, profile, faults=faults, plan=self.plan(seed), shards=self.shards, sink=sink)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno} of {where.filename})"
            return Result(seed=seed, faults=(), violations=[Violation("broken", text, 0.0)])

    def replay(self, seed: int, faults: Iterable[Fault] = ()) -> str:
        """Return the command that runs a seed again and shows its trace."""
        words = ["vtorc sim", f"--seed {seed}"]
        words += [f"--profile {self.profile}"] if self.profile != "default" else []
        words += [f"--shards {self.shards}"] if self.shards != 1 else []
        words += [f"--tablets {self.tablets}"] if self.tablets is not None else []
        return " ".join([*words, *(f"--fault {write_fault(fault)}" for fault in faults), "--trace"])


@functools.cache
def _freeze() -> None:
    """Exclude everything that is loaded from garbage collection, which costs each run 10 ms at its beginning."""
    gc.collect()
    gc.freeze()


@dataclass(slots=True)
class Totals:
    """The sums over all runs so far; `failed` has the results of the failing ones. Times are virtual seconds.

    `digest` is the sum of the digests of all traces. It does not depend on the order in which runs end, and a campaign
    in pieces can be compared with one in one piece.
    """

    runs: int = 0
    seconds: float = 0.0
    writes: int = 0
    failovers: int = 0
    refused: int = 0
    unprotected_lost: int = 0
    digest: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count a run."""
        self.runs += 1
        self.seconds += result.seconds
        self.writes += result.writes
        self.failovers += result.failovers
        self.refused += result.refused
        self.unprotected_lost += result.unprotected_lost
        self.digest = (self.digest + int(result.digest or "0", 16)) % _DIGESTS
        self.faults.update(fault.kind for fault in result.faults)
        if not result.ok:
            self.failed.append(result)


def run_campaign(
    job: Job,
    seeds: Sequence[int],
    *,
    processes: int,
    progress: Callable[[Totals], None],
    within: float | None = None,
) -> Totals:
    """Run all seeds in so many processes and return the totals; `progress` gets the totals so far after each run.

    KeyboardInterrupt, or the end of `within` seconds, ends the campaign early with the totals by then.
    """
    totals = Totals()
    elapsed = stopwatch()
    with contextlib.suppress(KeyboardInterrupt):
        for result in in_parallel(job.run, seeds, processes=processes):
            totals.add(result)
            progress(totals)
            if within is not None and elapsed() >= within:
                break
    totals.failed.sort(key=lambda result: result.seed)
    return totals


@dataclass(frozen=True, slots=True)
class Failure:
    """A failing seed; `faults` are those that suffice, if it was `shrunk`, else all."""

    result: Result
    faults: tuple[Fault, ...]
    shrunk: bool

    def lines(self, job: Job) -> list[str]:
        """Return what failed, and the command that replays it, for printing."""
        lines = [f"seed {self.result.seed}:"]
        lines += [f"  {each.rule} at {each.at:.3f} s: {each.text}" for each in self.result.violations]
        if self.shrunk:
            lines.append(f"  {len(self.faults)} of {len(self.result.faults)} faults suffice:")
            lines += [f"    {fault}: {kind_of(fault).sentence}" for fault in self.faults]
        return [*lines, f"  {job.replay(self.result.seed, self.faults if self.shrunk else ())}"]


def explain(job: Job, failed: Sequence[Result]) -> Iterator[Failure]:
    """Find the faults that suffice for each failing run; only for the first few, as each takes many runs."""
    for number, result in enumerate(failed):
        if number >= _SHRINK_AT_MOST or not result.faults:
            yield Failure(result, result.faults, shrunk=False)
            continue
        seed, rule = result.seed, result.violations[0].rule

        def fails(faults: Sequence[Fault], seed: int = seed, rule: str = rule) -> bool:
            return any(each.rule == rule for each in job.run(seed, faults=faults).violations)

        yield Failure(result, shrink(result.faults, fails, most_runs=_SHRINK_RUNS), shrunk=True)


def summary(totals: Totals, elapsed: float) -> list[str]:
    """Return the figures of a campaign that took `elapsed` real seconds, for printing."""
    rate = totals.runs / elapsed if elapsed else 0.0
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(totals.faults.items()))
    return [
        f"{totals.runs} seeds in {elapsed:.1f} s, {rate:.2f} seeds per second",
        f"{totals.seconds / 3600:.1f} hours simulated, {totals.seconds / max(elapsed, 1e-9):.0f} times real time",
        f"{totals.failovers} failovers, {totals.refused} refusals, {totals.writes} acknowledged writes",
        f"{totals.unprotected_lost} unprotected writes lost (policy none, or semi-sync switched off)",
        f"{totals.faults.total()} faults: {kinds or 'none'}",
        f"digest of all traces {totals.digest:064x}",
        f"{len(totals.failed)} seeds with violations",
    ]


def stopwatch() -> Callable[[], float]:
    """Return a function that returns the real seconds since now."""
    began = time.monotonic()
    return lambda: time.monotonic() - began
