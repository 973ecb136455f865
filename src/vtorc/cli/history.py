"""`vtorc history FILE`: the recoveries and decisions of a vtorc with their reasons, from its history file."""

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vtorc.errors import HistoryError
from vtorc.history.store import History, StoredDecision, StoredRecovery

_WHERE = "vtorc-history.sqlite in the folder of vtorc's -log_dir, or the file of its -sqlite-data-file"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    words = argparse.ArgumentParser(
        prog="vtorc history",
        usage="%(prog)s [--shard KEYSPACE/SHARD] [--limit N] [--json] FILE",
        description="Recoveries with their steps and the safety argument of each promotion, and decisions.",
    )
    words.add_argument("file", nargs="?", metavar="FILE", type=Path, help=f"history file: {_WHERE}")
    words.add_argument("--shard", help="only this shard, as keyspace/shard")
    words.add_argument("--limit", type=int, default=20, help="the latest N of each, newest first (default 20)")
    words.add_argument("--json", action="store_true", help="one JSON object for each recovery and decision")
    return words


def main(words: Sequence[str]) -> int:
    """Print the history; returns the exit code, 1 if there is no history."""
    command = parser()
    options = command.parse_args(words)
    if options.file is None:
        command.error(f"expected a history file: {_WHERE}")
    if not options.file.exists():
        sys.stderr.write(f"vtorc history: {options.file} does not exist; name {_WHERE}\n")
        return 1
    try:
        history = History(str(options.file))
    except HistoryError as error:
        sys.stderr.write(f"vtorc history: {error}\n")
        return 1
    try:
        recoveries = list(history.recoveries(shard=options.shard, limit=options.limit))
        decisions = list(history.decisions(shard=options.shard, limit=options.limit))
    finally:
        history.close()
    if options.json:
        entries: list[StoredRecovery | StoredDecision] = [*recoveries, *decisions]
        sys.stdout.writelines(json.dumps(asdict(entry)) + "\n" for entry in entries)
        return 0
    for recovery in recoveries:
        sys.stdout.write(_recovery_text(recovery))
    sys.stdout.write("Decisions\n" if decisions else "")
    for decision in decisions:
        sys.stdout.write(f"  {_when(decision.at)}  [{decision.rule}] {decision.sentence}\n")
    return 0


def _recovery_text(recovery: StoredRecovery) -> str:
    detail = recovery.detail
    lines = [
        f"{_when(recovery.began)}  {recovery.shard}  {recovery.recovery} for {recovery.code or 'an operator'}"
        f" ({recovery.outcome})",
        f"  {recovery.sentence}",
    ]
    asked = detail.get("asked")
    if isinstance(asked, Mapping):
        lines.append(f"  asked for by {asked.get('actor')} from {asked.get('origin')}: {asked.get('reason')}")
    argument = detail.get("argument")
    if isinstance(argument, Mapping):
        lines.append(f"  why it was safe: {argument.get('sentence')}")
    steps = detail.get("steps")
    for step in steps if isinstance(steps, list) else []:
        on = f" on {step['target']}" if step["target"] else ""
        lines.append(f"  {step['started']:8.3f} s  {step['duration']:7.3f} s  {step['name']}{on}: {step['result']}")
    return "\n".join(lines) + "\n\n"


def _when(nanoseconds: int) -> str:
    at = datetime.datetime.fromtimestamp(nanoseconds / 1e9, tz=datetime.UTC)
    return at.isoformat(timespec="milliseconds")
