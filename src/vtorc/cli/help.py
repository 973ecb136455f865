"""The texts of `vtorc --help` and `vtorc --version`."""

import textwrap
from collections.abc import Mapping
from itertools import groupby

from vtorc import __version__
from vtorc.config.catalogue import USED
from vtorc.config.setting import Setting, Where

_WIDTH = 100


def version_text() -> str:
    """Return the name of the program and its version."""
    return f"vtorc {__version__}\n"


def help_text(commands: Mapping[str, str]) -> str:
    """Describe the daemon's flags by group; `commands` are the other commands, each with its description."""
    lines = [
        "vtorc keeps one healthy MySQL primary in every shard of a Vitess cluster.",
        "",
        "  vtorc FLAGS               watch and repair, until SIGTERM",
        "  vtorc --check-config FLAGS",
        "                            say whether vtorc would start, and with which settings; --json for programs",
        *(f"  vtorc {f'{name} …':<19} {what}" for name, what in commands.items()),
        "",
        "A flag has one or two dashes, and _ or - within its name. =false turns a switch off.",
    ]
    for title, settings in groupby(
        (setting for setting in USED if not setting.no_effect), key=lambda setting: setting.group
    ):
        lines += ["", f"{title}:"]
        for setting in settings:
            lines += _entry(setting)
    lines += [
        "",
        *textwrap.wrap(
            "Further flags of Vitess v11 to v24 are accepted without effect; vtorc names each that is given at the "
            "start. docs/settings.md lists these, and the keys of the settings file.",
            _WIDTH,
        ),
        "",
    ]
    return "\n".join(lines)


def _entry(setting: Setting) -> list[str]:
    flags = [f"--{spelling.name}" for spelling in setting.spellings if spelling.where is Where.FLAG]
    if not flags:
        return []
    default = "" if setting.default in ("", ()) else f" (default {setting.show(setting.default)})"
    text = textwrap.wrap(setting.doc + default, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return [f"  {', '.join(flags)}  {setting.kind.name}", *text]
