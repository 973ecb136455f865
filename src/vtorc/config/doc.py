"""The settings as a page of Markdown: `python -m vtorc.config.doc > docs/settings.md`."""

import sys
from itertools import groupby

from vtorc.config.accepted import ACCEPTED
from vtorc.config.catalogue import USED
from vtorc.config.setting import Setting, Where

_HEAD = """\
# Settings

<!-- Made by `python -m vtorc.config.doc`; change `src/vtorc/config/` instead. -->

A flag has one or two dashes, and `_` or `-` within its name; its value follows after `=` or as the next word. A switch
is on by being there, off with `=false`, and never takes the next word. A repeated list goes on; of any other repeated
flag the last one holds. Durations are written as in Go: `500ms`, `30s`, `1m30s`, `1h`. The daemon takes no other words.

A settings file is one JSON object (`--config`, `--config-file`) or TOML table. Its keys are the flags' names without
dashes in front, or the older keys listed here, in any case. A flag wins over an environment variable, that over the
file, the file over the default.

Everything that is wrong with flags and file is told at once, one line each, and vtorc does not start (exit code 2). A
key that no Vitess knew is passed over with a warning that names it, because every Vitess passed over such keys in
silence and files in use hold some. SIGHUP reads everything again: what is marked *live* holds at once, the rest is
named and waits for the next start, and a file that is wrong changes nothing.
"""

_MIDDLE = """
## Accepted, no effect

Flags and keys of Vitess v11 to v24 that old command lines and files may hold. Each that is given is named once at
start.
"""


def markdown() -> str:
    """Write the page."""
    parts = [_HEAD]
    for title, settings in groupby(USED, key=lambda one: one.group):
        parts.append(f"\n## {title}\n")
        parts += [_entry(one) for one in settings]
    parts.append(_MIDDLE)
    for where, title in ((Where.FLAG, "Flags"), (Where.KEY, "Keys of the file")):
        parts.append(f"\n### {title}\n\n| Why | Names |\n|---|---|\n")
        some = [one for one in ACCEPTED if one.spellings[0].where is where]
        parts += [
            f"| {why} | {', '.join(f'`{one.name}`' for one in each)} |\n"
            for why, each in groupby(some, key=lambda one: one.no_effect)
        ]
    return "".join(parts)


def _entry(one: Setting) -> str:
    names = [f"`{_spelled(name, where)}`" for name, where in _names(one)]
    facts = [one.kind.name, *([f"default `{one.show(one.default)}`"] if one.default not in ("", ()) else [])]
    if one.live:
        facts.append("live")
    lines = [f"\n**{names[0]}** ({', '.join(facts)})  \n", one.doc]
    if one.no_effect:
        lines.append(f" *Accepted, no effect: {one.no_effect}.*")
    if len(names) > 1:
        lines.append(f"  \nAlso {', '.join(names[1:])}.")
    return "".join([*lines, "\n"])


def _names(one: Setting) -> list[tuple[str, Where]]:
    """List flags, then keys and variables; the key that is the flag's name goes without saying."""
    flags = [(spelling.name, Where.FLAG) for spelling in one.spellings if spelling.where is Where.FLAG]
    others = [
        (spelling.name, spelling.where)
        for spelling in one.spellings
        if spelling.where is not Where.FLAG and (spelling.name, Where.FLAG) not in flags
    ]
    return [*flags, *others]


def _spelled(name: str, where: Where) -> str:
    return f"--{name}" if where is Where.FLAG else f"${name}" if where is Where.ENVIRONMENT else name


if __name__ == "__main__":
    sys.stdout.write(markdown())
