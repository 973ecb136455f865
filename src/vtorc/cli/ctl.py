"""The command line of `vtorc ctl`; what its commands do is in `vtorc.cli.client`."""

import argparse
import sys
from collections.abc import Sequence

from vtorc.cli.client.words import COMMANDS, COMMON, CtlWord

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    ctl = argparse.ArgumentParser(
        prog="vtorc ctl",
        description="Asks a running vtorc, and has it change the primary of a shard.",
        epilog="Exit code: 0 healthy or done, 1 problems found or refused, 2 error.",
        allow_abbrev=False,
    )
    for word in COMMON:
        _add(ctl, word, default=word.default)
    commands = ctl.add_subparsers(dest="command", title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        words = commands.add_parser(
            name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}.", allow_abbrev=False
        )
        for word in command.words:
            _add(words, word, default=word.default)
        for word in COMMON:
            _add(words, word, default=argparse.SUPPRESS)  # an option before the command stands
        words.set_defaults(refuse=words.error)
    return ctl


def _add(words: argparse.ArgumentParser, word: CtlWord, *, default: str | None) -> None:
    if not word.name.startswith("--"):
        words.add_argument(
            word.name,
            metavar=word.metavar,
            help=word.help,
            choices=word.choices,
            nargs="?" if word.is_optional else None,
        )
    elif word.is_switch:
        words.add_argument(
            word.name, help=word.help, action="store_true", default=False if default is None else default
        )
    else:
        words.add_argument(
            word.name,
            metavar=word.metavar,
            help=word.help if word.choices is None else f"{word.help}: {', '.join(word.choices)}",
            choices=word.choices,
            required=word.is_required,
            default=default,
        )


def main(words: Sequence[str]) -> int:
    """Carry out a command; returns the exit code: 0 healthy or done, 1 problems found or refused, 2 error."""
    ctl = parser()
    for word in words:
        if not _is_utf8(word):
            ctl.error(f"argument {word!a}: expected text in UTF-8")
    options, left = ctl.parse_known_args(words)
    if left:
        options.refuse(f"unrecognized arguments: {' '.join(left)}")  # with the usage of the command, and not of all
    try:
        # imported only now: the forms take a while to load, which a wrong command line need not wait for
        from vtorc.cli.client.commands import run

        return run(options)
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("\n")
        return INTERRUPTED


def _is_utf8(word: str) -> bool:
    """Return whether a word can be sent: Python keeps other bytes of a command line as halves of characters."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
