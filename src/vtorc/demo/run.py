"""Runs the demo from its options to its exit code: for a person to watch, or a series of failovers unattended."""

import asyncio
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
from vtorc.demo.board import Board, Sentence
from vtorc.demo.failovers import Series
from vtorc.demo.folder import make_ready
from vtorc.demo.printed import HEADER, TO_TRY, failover_line, summary_text
from vtorc.demo.report import DemoReport, Failover, Setup
from vtorc.demo.scene import Scene, SceneSpec, open_scene
from vtorc.demo.servers import Servers
from vtorc.demo.show import Show
from vtorc.demo.writer import INTERVAL
from vtorc.errors import VtorcError
from vtorc.lab.cluster import LabSpec
from vtorc.lab.errors import LabError, PartMissing
from vtorc.lab.parts import ETCD, find_etcd

EXIT_OK = 0
EXIT_FAILED = 1

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What a person asked for; `topo` None means etcd if it can be had, `failovers` None that a person watches."""

    tablets: int = 3
    durability: str = "semi_sync"
    topo: str | None = None
    folder: Path | None = None
    failovers: int | None = None
    fault: str = "kill-mysqld"
    report: Path | None = None


def run_demo(options: DemoOptions, choose: Callable[[], Servers]) -> int:
    """Run the demo until it is told to stop, or until its failovers are done; returns the exit code.

    `choose` names the kind of servers, or raises PartMissing.
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


async def _until_stopped(options: DemoOptions, choose: Callable[[], Servers]) -> int:
    body = asyncio.create_task(_run(options, choose), name="demo")
    told_to_stop: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not told_to_stop:  # a second Ctrl-C must not break off the end of the servers
            body.cancel()
        told_to_stop.append(number)

    for number in _STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await body
    except asyncio.CancelledError:
        return EXIT_OK if options.failovers is None else 128 + told_to_stop[0]


async def _run(options: DemoOptions, choose: Callable[[], Servers]) -> int:
    if options.failovers is not None:
        _refuse_hopeless(options)
        _refuse_unwritable(options.report)
    servers = choose()
    if servers.notice:
        _write(f"{servers.notice}\n")
    topo = options.topo or _best_topo()
    folder = await asyncio.to_thread(make_ready, options.folder) if options.folder is not None else None
    spec = SceneSpec(tablets=options.tablets, durability=options.durability, topo=topo, folder=folder)
    if options.failovers is not None:
        return await _failovers(options, spec, servers)
    return await _for_a_person(spec, servers)


async def _for_a_person(spec: SceneSpec, servers: Servers) -> int:
    console = Console(highlight=False)
    on_screen = console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    board = Board(tell=None if on_screen else _tell)
    async with open_scene(spec, servers, board, _progress) as scene:
        show = Show(scene)
        if on_screen:
            await show.on_screen(console)
        else:
            await _narrate(scene, show)
    if on_screen:
        _write("The demo has ended, and all its servers with it.\n")
    return EXIT_OK


async def _narrate(scene: Scene, show: Show) -> None:
    up_at = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(show.plain(), name="answer other terminals")
        primary = await scene.board.wait_for(lambda: scene.primary)
        _write(f"{primary.alias} is primary, {time.monotonic() - up_at:.1f} s after the last tablet came up.\n")
        _write(f"\n{TO_TRY}\n")


async def _failovers(options: DemoOptions, spec: SceneSpec, servers: Servers) -> int:
    assert options.failovers is not None
    setup = Setup(
        wanted=options.failovers,
        fault=options.fault,
        durability=spec.durability,
        tablets=spec.tablets,
        topo=spec.topo,
        write_interval_ms=round(INTERVAL * 1000),
        simulated=servers.simulated,
    )
    report = DemoReport(setup)

    def done(failover: Failover) -> None:
        _write(failover_line(len(report.failovers), failover) + "\n")

    board = Board()
    async with open_scene(spec, servers, board, _progress) as scene:
        _write(f"\n{HEADER}\n")
        try:
            await Series(scene, report, done).run()
        except asyncio.CancelledError:
            report.interrupted = True
            raise
        finally:
            if options.report is not None:
                options.report.write_text(json.dumps(report.as_json(), indent=2) + "\n")
            _write(f"\n{summary_text(report, Console().width)}")
            if not report.succeeded:
                _write(f"\nThe last sentences of vtorc:\n{_last(board.sentences)}\n")
    return EXIT_OK if report.succeeded else EXIT_FAILED


def _last(sentences: Sequence[Sentence]) -> str:
    return "\n".join(f"  {each}" for each in list(sentences)[-12:])


def _best_topo() -> str:
    try:
        find_etcd()
    except PartMissing as error:
        if os.environ.get(ETCD.variable):  # whoever names one wants that one
            raise
        _write(f"No etcd, so the topology is one SQLite file: {error}\n")
        return "local"
    return "etcd2"


def _refuse_hopeless(options: DemoOptions) -> None:
    """Refuse a series in which nobody could take over from some primary. One that may lose writes shows how many."""
    members = [Member(spec.alias, TabletType.REPLICA) for spec in LabSpec(tablets=options.tablets).tablet_specs()]
    chosen = policy(options.durability)
    for primary in members:
        survival = survives(chosen, primary, members=members, available=members)
        lost = next(loss for loss in survival.tablets if primary in loss.lost)
        if lost.outcome is LossOutcome.NO_CANDIDATE:
            raise LabError(
                f"{options.tablets} tablets with durability {options.durability} do not survive their primary: {lost}; "
                "use more with --tablets"
            )


def _refuse_unwritable(report: Path | None) -> None:
    if report is not None and not (report.parent.is_dir() and os.access(report.parent, os.W_OK)):
        raise LabError(f"--report: {report} cannot be written; name a file in a folder that exists")


@contextmanager
def _progress(what: str) -> Iterator[None]:
    began = time.monotonic()
    _write(f"{what} … ")
    try:
        yield
    except BaseException:
        _write("\n")
        raise
    _write(f"{time.monotonic() - began:.1f} s\n")


def _tell(sentence: Sentence) -> None:
    _write(f"{sentence}\n")


def _write(text: str) -> None:
    """Write at once; whoever read our output and went away does not stop the demo, a signal does."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(error: BaseException) -> int:
    sys.stderr.write(f"vtorc demo: {error}\n")
    return EXIT_FAILED
