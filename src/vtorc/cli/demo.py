"""The command line of `vtorc demo`; the demo itself is in `vtorc.demo`."""

import argparse
import os
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vtorc.core.facts.durability import POLICY_NAMES
from vtorc.demo.faults import FAULTS, OF_SERIES, DemoFault
from vtorc.demo.remote import run_command
from vtorc.lab.errors import PartMissing
from vtorc.lab.parts import MYSQL, find_mysqld

if TYPE_CHECKING:
    from vtorc.demo.servers import ServerKind

_FULL_NAMES = {"kill": "kill-mysqld", "pause": "stop-mysqld"}
"""The faults that have a command of their own."""

_LONGEST_FAULT = max(map(len, FAULTS))

_LEAST_WIDTH = 60
_TOPOS = ("etcd2", "consul", "zk2", "local")
_MOST_TABLETS = 20


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    demo = argparse.ArgumentParser(
        prog="vtorc demo",
        description="A small cluster of real servers on this machine, watched by vtorc: one shard, three cells.",
        epilog="Without a command the demo starts. The commands talk to the demo that was started last.",
    )
    demo.add_argument("--tablets", type=_tablets, default=3, metavar="N", help="how many (default 3)")
    demo.add_argument(
        "--durability", choices=POLICY_NAMES, default="semi_sync", metavar="POLICY", help=f"{', '.join(POLICY_NAMES)}"
    )
    demo.add_argument("--topo", choices=_TOPOS, help="topology server (default: etcd2 if there is an etcd, else local)")
    demo.add_argument(
        "--dir", type=Path, help="folder of all data and logs, kept afterwards (default: a temporary one)"
    )
    demo.add_argument(
        "--simulated",
        action="store_true",
        help="simulate the MySQL servers, which is the default where there is no MySQL; all other parts are real",
    )
    series = demo.add_argument_group("unattended failovers")
    series.add_argument("--failovers", type=_count, metavar="N", help="break the primary N times, measure, and end")
    series.add_argument(
        "--fault",
        choices=OF_SERIES,
        default=OF_SERIES[0],
        metavar="FAULT",
        help=f"what happens to it: a fault of a tablet, as in 'vtorc demo break --help' (default {OF_SERIES[0]})",
    )
    series.add_argument("--report", type=Path, metavar="FILE", help="write the results to this file, as JSON")
    commands = demo.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for name, action, tablet in (
        ("status", "show the tablets, the problems and the last sentences", None),
        ("kill", "kill -9 the mysqld of a tablet", "an alias, or primary"),
        ("pause", "make the mysqld of a tablet hang (SIGSTOP)", "an alias, or primary"),
        ("start", "start what is down, and resume what hangs", "an alias, or all"),
        ("rebuild", "delete the data of a replica and have it replicate from the start", "an alias"),
    ):
        command = commands.add_parser(name, help=action, description=f"Have the running demo {action}.")
        command.add_argument("--dir", type=Path, default=argparse.SUPPRESS, help="folder of the demo, if not the last")
        if tablet is not None:
            command.add_argument("tablet", help=tablet)
    breaking = commands.add_parser(
        "break",
        help="bring a fault about",
        description="Have the running demo bring a fault about.",
        epilog="\n".join(["faults:", *map(_explained, FAULTS.values())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    breaking.add_argument("--dir", type=Path, default=argparse.SUPPRESS, help="folder of the demo, if not the last")
    breaking.add_argument("fault_to_bring", choices=FAULTS, metavar="FAULT", help="one of those below")
    breaking.add_argument("tablet", nargs="?", default="primary", help="an alias, or primary (default: primary)")
    return demo


def _explained(fault: DemoFault) -> str:
    """Return the name of a fault with what it is, as argparse lays out the words of a command."""
    return textwrap.fill(
        fault.help,
        width=max(_LEAST_WIDTH, shutil.get_terminal_size().columns - 2),
        initial_indent=f"  {fault.name:<{_LONGEST_FAULT}}  ",
        subsequent_indent=" " * (_LONGEST_FAULT + 4),
    )


def main(words: Sequence[str]) -> int:
    """Start the demo, or send a command to a running one; returns the exit code."""
    demo = parser()
    options = demo.parse_args(words)
    if options.report is not None and options.failovers is None:
        demo.error("--report: expected --failovers N with it")
    if options.command == "status":
        return run_command(options.dir, "status", str(shutil.get_terminal_size((80, 24)).columns))
    if options.command == "break":
        return run_command(options.dir, options.fault_to_bring, options.tablet)
    if options.command is not None:
        return run_command(options.dir, _FULL_NAMES.get(options.command, options.command), options.tablet)
    # gRPC's own handlers of fork would run, and log, each time that the demo starts a process
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    # imported only now: the modules of the demo take a while to load, which a wrong command line need not wait for
    try:
        from vtorc.demo.run import DemoOptions, run_demo
    except KeyboardInterrupt:
        return 130  # nothing has been started yet, so that no traceback is of any use

    return run_demo(
        DemoOptions(
            tablets=options.tablets,
            durability=options.durability,
            topo=options.topo,
            folder=options.dir,
            failovers=options.failovers,
            fault=options.fault,
            report=options.report,
        ),
        lambda: _servers(simulated=options.simulated),
    )


def _servers(*, simulated: bool) -> "ServerKind":
    """Return real servers, or simulated ones if they are asked for or there is no MySQL.

    Raises PartMissing if the environment names a mysqld that cannot be used.
    """
    from vtorc.demo.servers import RealServers
    from vtorc.demo.simulated_cluster import SimulatedServers

    if simulated:
        return SimulatedServers("That is what --simulated asks for.")
    try:
        return RealServers(find_mysqld())
    except PartMissing as missing:
        if os.environ.get(MYSQL.variable):  # the operator named this mysqld, so no other server is to take its place
            raise
        return SimulatedServers(str(missing))


def _tablets(text: str) -> int:
    return _between(text, 1, _MOST_TABLETS)


def _count(text: str) -> int:
    return _between(text, 1, 1_000_000)


def _between(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")
    return int(text)
