"""Runs the demo from its options to its exit code, attended or as an unattended series of failovers."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from vtorc.core.election.survivability import LossOutcome, survives
from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import TabletType
from vtorc.demo.demo_observer import DemoObserver, Sentence
from vtorc.demo.failovers import FailoverSeries
from vtorc.demo.folder import make_ready
from vtorc.demo.interactive import InteractiveDemo
from vtorc.demo.plain_output import HEADER, failover_line, summary_text, to_try
from vtorc.demo.report import DemoReport, Failover, SeriesSetup
from vtorc.demo.running_demo import DemoSpec, RunningDemo, open_demo
from vtorc.demo.servers import ServerKind
from vtorc.demo.writer import INTERVAL
from vtorc.errors import VtorcError
from vtorc.lab.cluster import LabSpec
from vtorc.lab.errors import LabError, PartMissing
from vtorc.lab.parts import ETCD, find_etcd

EXIT_OK = 0
EXIT_FAILED = 1

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


HEALTHY_WITHIN = 15.0
"""Seconds that the shard gets to be healthy before operators are told what to try; one that cannot be takes as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the command; `topo` None means etcd if there is one, `failovers` None means an attended demo."""

    tablets: int = 3
    durability: str = "semi_sync"
    topo: str | None = None
    folder: Path | None = None
    failovers: int | None = None
    fault: str = "kill-mysqld"
    report: Path | None = None


def run_demo(options: DemoOptions, choose: Callable[[], ServerKind]) -> int:
    """Run the demo until a signal stops it, or until its failovers are done; returns the exit code.

    `choose` returns the kind of servers, or raises PartMissing.
    """
    try:
        return uvloop.run(_until_stopped(options, choose))
    except VtorcError as error:
        return _failed(error)
    except BaseExceptionGroup as group:
        expected, rest = group.split(VtorcError)
        if rest is not None or expected is None:
            raise
        return _failed(expected.exceptions[0])


async def _until_stopped(options: DemoOptions, choose: Callable[[], ServerKind]) -> int:
    body = asyncio.create_task(_run(options, choose), name="demo")
    stop_signals: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not stop_signals:  # a second Ctrl-C must not interrupt the shutdown of the servers
            body.cancel()
        stop_signals.append(number)

    for number in _STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await body
    except asyncio.CancelledError:
        return EXIT_OK if options.failovers is None else 128 + stop_signals[0]


async def _run(options: DemoOptions, choose: Callable[[], ServerKind]) -> int:
    if options.failovers is not None:
        _refuse_without_candidate(options)
        _refuse_unwritable(options.report)
    servers = choose()
    if servers.notice:
        _write(f"{servers.notice}\n")
    topo = options.topo or _best_topo()
    folder = await asyncio.to_thread(make_ready, options.folder) if options.folder is not None else None
    spec = DemoSpec(tablets=options.tablets, durability=options.durability, topo=topo, folder=folder)
    if options.failovers is not None:
        return await _failovers(options, spec, servers)
    return await _interactive(spec, servers)


async def _interactive(spec: DemoSpec, servers: ServerKind) -> int:
    console = Console(highlight=False)
    on_screen = console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    observer = DemoObserver(on_sentence=None if on_screen else _print_sentence)
    async with open_demo(spec, servers, observer, _progress) as demo:
        interactive = InteractiveDemo(demo)
        if on_screen:
            await interactive.run_on_screen(console)
        else:
            await _narrate(demo, interactive)
    if on_screen:
        _write("The demo has ended, and all its servers with it.\n")
    return EXIT_OK


async def _narrate(demo: RunningDemo, interactive: InteractiveDemo) -> None:
    up_at = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(interactive.serve_commands(), name="answer other terminals")
        primary = await demo.observer.wait_for(lambda: demo.primary)
        _write(f"{primary.alias} is primary, {time.monotonic() - up_at:.1f} s after the last tablet came up.\n")
        # A primary that ends before vtorc has seen it wait for acknowledgements is rightly not replaced.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEALTHY_WITHIN):
                await demo.observer.wait_for(lambda: demo.healthy)
        _write(f"\n{to_try(demo)}\n")


async def _failovers(options: DemoOptions, spec: DemoSpec, servers: ServerKind) -> int:
    assert options.failovers is not None
    setup = SeriesSetup(
        wanted=options.failovers,
        fault=options.fault,
        durability=spec.durability,
        tablets=spec.tablets,
        topo=spec.topo,
        write_interval_ms=round(INTERVAL * 1000),
        simulated=servers.simulated,
    )
    report = DemoReport(setup)

    def print_failover(failover: Failover) -> None:
        _write(failover_line(len(report.failovers), failover) + "\n")

    observer = DemoObserver()
    async with open_demo(spec, servers, observer, _progress) as demo:
        _write(f"\n{demo.ask}  asks vtorc over its API\n\n{HEADER}\n")
        try:
            await FailoverSeries(demo, report, print_failover).run()
        except asyncio.CancelledError:
            report.interrupted = True
            raise
        finally:
            if options.report is not None:
                options.report.write_text(json.dumps(report.as_json(), indent=2) + "\n")
            _write(f"\n{summary_text(report, Console().width)}")
            if not report.succeeded:
                _write(f"\nThe last sentences of vtorc:\n{_last(observer.sentences)}\n")
    return EXIT_OK if report.succeeded else EXIT_FAILED


def _last(sentences: Sequence[Sentence]) -> str:
    return "\n".join(f"  {each}" for each in list(sentences)[-12:])


def _best_topo() -> str:
    try:
        find_etcd()
    except PartMissing as error:
        if os.environ.get(ETCD.variable):  # an etcd that is named explicitly is never passed over
            raise
        _write(f"No etcd, so the topology is one SQLite file: {error}\n")
        return "local"
    return "etcd2"


def _refuse_without_candidate(options: DemoOptions) -> None:
    """Refuse a series in which some primary would have no possible successor.

    A policy under which writes may be lost is no reason to refuse: the series shows how many are.
    """
    members = [Member(spec.alias, TabletType.REPLICA) for spec in LabSpec(tablets=options.tablets).tablet_specs()]
    chosen = policy(options.durability)
    for primary in members:
        survival = survives(chosen, primary, members=members, available=members)
        lost = next(loss for loss in survival.tablets if primary in loss.lost)
        if lost.outcome is LossOutcome.NO_CANDIDATE:
            raise LabError(
                f"--tablets {options.tablets} --durability {options.durability}: the shard would not survive the loss "
                f"of its primary: {lost}; use more with --tablets"
            )


def _refuse_unwritable(report: Path | None) -> None:
    if report is not None and not (report.parent.is_dir() and os.access(report.parent, os.W_OK)):
        raise LabError(f"--report: {report} cannot be written; name a file in a writable folder that exists")


@contextmanager
def _progress(step: str) -> Iterator[None]:
    began = time.monotonic()
    _write(f"{step} … ")
    try:
        yield
    except BaseException:
        _write("\n")
        raise
    _write(f"{time.monotonic() - began:.1f} s\n")


def _print_sentence(sentence: Sentence) -> None:
    _write(f"{sentence}\n")


def _write(text: str) -> None:
    """Write at once; an output that is gone or full does not stop the demo, only a signal does."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"vtorc demo: the output cannot be written ({error.strerror}); the demo goes on\n")


def _failed(error: BaseException) -> int:
    sys.stderr.write(f"vtorc demo: {error}\n")
    return EXIT_FAILED
