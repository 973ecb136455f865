"""The command `vtorc`: the daemon when it is given flags, else one of its other commands."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence

from vtorc.config.catalogue import nearest

_COMMANDS = {
    "demo": "a small cluster of real servers on this machine, to watch and to break",
    "sim": "simulated clusters with injected failures",
    "history": "what vtorc did and why, from the file that it keeps",
    "ctl": "commands for operators",
}


def commands() -> Mapping[str, str]:
    """Name the commands that this installation has, each with what it does; `x` is the module `vtorc.cli.x`."""
    return {name: what for name, what in _COMMANDS.items() if importlib.util.find_spec(f"vtorc.cli.{name}")}


def main(words: Sequence[str] | None = None) -> int:
    """Run `vtorc` with the words after its name (by default those of the process) and return its exit code.

    A command's module has `main(words) -> int`, which gets the words after the command's name.
    """
    words = sys.argv[1:] if words is None else words
    known = commands()
    if not words or words[0].startswith("-") or words[0] == "http":
        from vtorc.cli.daemon import run_daemon

        return run_daemon(words, known)
    if words[0] == "help":
        return main(["--help"])
    if words[0] not in known:
        near = nearest(words[0], known)
        hint = (
            f"did you mean 'vtorc {near[0]}'?"
            if near
            else " ".join(["expected flags", *(f"or 'vtorc {name}'" for name in known)])
        )
        sys.stderr.write(f"vtorc: unknown command '{words[0]}'; {hint}\n")
        return 2
    return int(importlib.import_module(f"vtorc.cli.{words[0]}").main(words[1:]))


if __name__ == "__main__":
    sys.exit(main())
