"""What `vtorc --help` says, made from the list of settings."""

import textwrap
from collections.abc import Mapping
from itertools import groupby

from vtorc import __version__
from vtorc.config.catalogue import USED
from vtorc.config.setting import Setting, Where

_WIDTH = 100


def version_text() -> str:
    """Name the program and its version."""
    return f"vtorc {__version__}\n"


def help_text(commands: Mapping[str, str]) -> str:
    """Describe the daemon's flags group by group; `commands` are the other commands, each with what it does."""
    lines = [
        "vtorc keeps one healthy MySQL primary in every shard of a Vitess cluster.",
        "",
        "  vtorc FLAGS               watch and repair, until SIGTERM",
        *(f"  vtorc {f'{name} …':<19} {what}" for name, what in commands.items()),
        "",
        "A flag has one or two dashes, and _ or - within its name. A switch is turned off with =false.",
    ]
    for title, settings in groupby((one for one in USED if not one.no_effect), key=lambda one: one.group):
        lines += ["", f"{title}:"]
        for one in settings:
            lines += _entry(one)
    lines += [
        "",
        *textwrap.wrap(
            "Further flags of Vitess v11 to v24 are accepted and do nothing; each that is given is named at start. "
            "Keys of the settings file, and all that is accepted, are listed in docs/settings.md.",
            _WIDTH,
        ),
        "",
    ]
    return "\n".join(lines)


def _entry(one: Setting) -> list[str]:
    flags = [f"--{spelling.name}" for spelling in one.spellings if spelling.where is Where.FLAG]
    if not flags:
        return []
    default = "" if one.default in ("", ()) else f" (default {one.show(one.default)})"
    text = textwrap.wrap(one.doc + default, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return [f"  {', '.join(flags)}  {one.kind.name}", *text]
