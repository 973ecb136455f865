"""The command `vtorc`: the daemon when it is given flags, else one of its other commands."""

import importlib
import sys
from collections.abc import Sequence

from vtorc.config.catalogue import nearest

COMMANDS = {
    "demo": "a small cluster of real servers on this machine, to watch and to break",
    "sim": "simulated clusters with injected failures",
    "ctl": "asks a running vtorc: the state of shards, why, plans and changes of a primary",
    "history": "the recoveries and decisions of a vtorc with their reasons, from its history file",
}
"""The other commands, each with its description; command `x` is the module `vtorc.cli.x`."""


def main(words: Sequence[str] | None = None) -> int:
    """Run `vtorc` with the words after its name (by default those of the process) and return its exit code.

    A command's module has `main(words) -> int`, which gets the words after the command's name.
    """
    words = sys.argv[1:] if words is None else words
    if not words or words[0].startswith("-") or words[0] == "http":
        from vtorc.cli.daemon import run_daemon

        return run_daemon(words, COMMANDS)
    if words[0] == "help":
        return main(["--help"])
    if words[0] not in COMMANDS:
        sys.stderr.write(f"vtorc: unknown command '{words[0]}'; {_hint(words[0])}\n")
        return 2
    return int(importlib.import_module(f"vtorc.cli.{words[0]}").main(words[1:]))


def _hint(word: str) -> str:
    """Say which command an unknown word may be; at night `vtorc status` is typed for `vtorc ctl status`."""
    from vtorc.cli.client.words import COMMANDS as OF_CTL

    names = [*COMMANDS, *(f"ctl {name}" for name in OF_CTL)]
    near = [f"ctl {word}"] if word in OF_CTL else nearest(word, names)
    if near:
        return f"did you mean 'vtorc {near[0]}'?"
    return " ".join(["expected flags", *(f"or 'vtorc {name}'" for name in COMMANDS)])


if __name__ == "__main__":
    sys.exit(main())
