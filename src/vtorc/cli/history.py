"""`vtorc history FILE`: the recoveries and decisions of a vtorc with their reasons, from its history file."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from vtorc.cli.client.screen import Screen
from vtorc.cli.client.when import point_in_time
from vtorc.cli.history_text import (
    Entry,
    audit_line,
    decision_line,
    entry_lines,
    happened,
    json_line,
    recovery_lines,
    shown_time,
)
from vtorc.errors import HistoryError, VtorcError
from vtorc.history.file_identity import file_identity
from vtorc.history.reader import HistoryReader, Place, Selection

EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130

_WHERE = "vtorc-history.sqlite in the folder of vtorc's -log_dir, or the file of its -sqlite-data-file"
_LATEST = 20
_LOOK_EVERY = 1.0
"""Seconds between two looks for new entries."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    words = argparse.ArgumentParser(
        prog="vtorc history",
        usage="%(prog)s [--shard KEYSPACE/SHARD] [--since WHEN] [--limit N] [--follow] [--json] FILE",
        description="Recoveries with their steps and the safety argument of each promotion, decisions, and requests of "
        "operators.",
        epilog="Exit code: 0 shown, also if there is nothing, 1 no history that can be read, 2 wrong command line.",
        allow_abbrev=False,
    )
    words.add_argument("file", nargs="?", metavar="FILE", type=Path, help=f"history file: {_WHERE}")
    words.add_argument("--shard", type=_shard, metavar="KEYSPACE/SHARD", help="only this shard")
    words.add_argument(
        "--since",
        type=point_in_time,
        metavar="WHEN",
        help="only from this time on: a duration back from now such as 2h, or a time such as 2026-11-29T21:00:00Z",
    )
    words.add_argument(
        "--limit",
        type=_limit,
        metavar="N",
        help=f"the latest N of each, newest first (default {_LATEST}, or all with --since)",
    )
    words.add_argument("--follow", action="store_true", help="oldest first, and new ones as they come, until Ctrl-C")
    words.add_argument("--json", action="store_true", help="one JSON object for each recovery, decision and request")
    return words


def main(words: Sequence[str]) -> int:
    """Print the history; returns the exit code, 1 if there is no history that can be read."""
    command = parser()
    options = command.parse_args(words)
    if options.file is None:
        command.error(f"expected a history file: {_WHERE}")
    limit = options.limit or (None if options.since is not None else _LATEST)
    chosen = Selection(shard=options.shard, since=options.since or 0, limit=limit)
    screen, notes = Screen(sys.stdout), Screen(sys.stderr)
    try:
        _expect_file(options.file)
        if options.follow:
            _follow(options.file, chosen, screen, json_=options.json)
        else:
            _show(options.file, chosen, screen, notes, json_=options.json)
    except VtorcError as error:
        notes.say([f"vtorc history: {error}"])
        return EXIT_FAILED
    except KeyboardInterrupt:
        notes.say([""])
        return EXIT_INTERRUPTED
    return EXIT_DONE


def _expect_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise HistoryError(f"{path} is a folder; name {_WHERE}")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise HistoryError(f"{path} does not exist; name {_WHERE}") from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}; name {_WHERE}") from error


def _show(path: Path, chosen: Selection, screen: Screen, notes: Screen, *, json_: bool) -> None:
    with closing(HistoryReader(str(path))) as history:
        recoveries, decisions, asked = history.recoveries(chosen), history.decisions(chosen), history.audit(chosen)
    if not recoveries and not decisions and not asked:
        (notes if json_ else screen).say([_nothing(path, chosen)])
    elif json_:
        entries: list[Entry] = [*recoveries, *decisions, *asked]
        screen.say(map(json_line, entries))
    else:
        screen.say([line for recovery in recoveries for line in recovery_lines(recovery)])
        screen.say([*(["Decisions"] if decisions else []), *map(decision_line, decisions)])
        screen.say([*(["Requests of operators"] if asked else []), *map(audit_line, asked)])


def _nothing(path: Path, chosen: Selection) -> str:
    shard = f" of {chosen.shard}" if chosen.shard else ""
    since = f" since {shown_time(chosen.since)}" if chosen.since else ""
    return f"{path} has no recovery, no decision and no request{shard}{since}"


def _follow(path: Path, chosen: Selection, screen: Screen, *, json_: bool) -> None:
    tail = HistoryTail(path, chosen)
    while not screen.is_closed:
        for entry in tail.take():
            screen.say([json_line(entry)] if json_ else entry_lines(entry))
        time.sleep(_LOOK_EVERY)


class HistoryTail:
    """The entries of a history as they come, oldest first; a file that vtorc makes anew is read from its begin."""

    def __init__(self, path: Path, chosen: Selection) -> None:
        """Begin with the latest entries that are `chosen`; later ones have no limit."""
        self._path = str(path)
        self._chosen = chosen
        self._place = Place()
        self._file = file_identity(self._path)

    def take(self) -> list[Entry]:
        """Return the entries since the last call; none while there is no file. Raises HistoryError."""
        file = file_identity(self._path)
        if file is None:
            return []
        with closing(HistoryReader(self._path)) as history:
            end = history.end()
            if file != self._file or end.is_before(self._place):
                self._file, self._place = file, Place()
            entries: list[Entry] = [
                *reversed(history.recoveries(self._chosen, after=self._place)),
                *reversed(history.decisions(self._chosen, after=self._place)),
                *reversed(history.audit(self._chosen, after=self._place)),
            ]
        self._place = end
        self._chosen = replace(self._chosen, limit=None)
        return sorted(entries, key=happened)


def _shard(text: str) -> str:
    keyspace, _, shard = text.partition("/")
    if not keyspace or not shard or "/" in shard:
        raise argparse.ArgumentTypeError(f"expected <keyspace>/<shard> such as commerce/-80, got {text!r}")
    return text


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
