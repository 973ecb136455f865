"""The settings as a page of Markdown: `python -m vtorc.config.doc > docs/settings.md`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from vtorc.config.accepted import ACCEPTED
from vtorc.config.catalogue import USED
from vtorc.config.setting import Setting, Where

_HEAD = """\
# Settings

<!-- Made by `python -m vtorc.config.doc`; change `src/vtorc/config/` instead. -->

A flag has one or two dashes, and `_` or `-` within its name; its value follows after `=` or as the next word.
A switch is on if it is given, off with `=false`, and never takes the next word as its value.
A repeated list is extended; of any other repeated flag the last value counts.
Durations are written as in Go: `500ms`, `30s`, `1m30s`, `1h`.
The daemon takes flags only.

A settings file is one JSON object (`--config`, `--config-file`) or TOML table.
Its keys are the names of the flags without leading dashes, or the older keys listed here, in upper or lower case.
A flag takes precedence over an environment variable, that over the file, and the file over the default.

If a flag or the file is wrong, vtorc lists all problems at once, one on each line, and does not start (exit code 2).
`vtorc --check-config` with the same flags says so without starting, and shows each setting with where it comes from.
A key that no Vitess knew is ignored with a warning: every Vitess ignored such keys, and existing files have some.
SIGHUP reads all of it again.
Settings marked *live* then change at once; a change of another setting is logged and takes effect at the next start.
If the file is wrong, or gone, nothing changes.
"""

_ALWAYS = """
## Always so

Flags and keys of Vitess v11 to v24 for what vtorc does whatever their value is.
A value that asks for the contrary is refused where the table says so.
At the start vtorc names each of them that is given.
"""

_ABSENT = """
## Accepted, no effect

Flags and keys for things that vtorc or Vitess does not have.
Old command lines and files may have them; at the start vtorc names each of them that is given.
"""


def markdown() -> str:
    """Return the page."""
    parts = [_HEAD]
    for title, settings in groupby(USED, key=lambda setting: setting.group):
        parts.append(f"\n## {title}\n")
        parts += [_entry(setting) for setting in settings]
    parts += [_ALWAYS, "\n| What vtorc does | Names |\n|---|---|\n"]
    parts += _rows(ACCEPTED, lambda setting: setting.always)
    parts.append(_ABSENT)
    for where, title in ((Where.FLAG, "Flags"), (Where.KEY, "Keys of the file")):
        parts.append(f"\n### {title}\n\n| Reason | Names |\n|---|---|\n")
        parts += _rows([one for one in ACCEPTED if one.spellings[0].where is where], lambda setting: setting.no_effect)
    return "".join(parts)


def _rows(accepted: Sequence[Setting], reason_of: Callable[[Setting], str]) -> Iterator[str]:
    """Yield a row for each reason with the settings that have it; those without one are left out."""
    for reason, settings in groupby(accepted, key=reason_of):
        if reason:
            yield f"| {reason} | {', '.join(f'`{setting.name}`' for setting in settings)} |\n"


def _entry(setting: Setting) -> str:
    names = [f"`{_spelled(name, where)}`" for name, where in _names(setting)]
    facts = [
        setting.kind.name,
        *([f"default `{setting.show(setting.default)}`"] if setting.default not in ("", ()) else []),
    ]
    if setting.live:
        facts.append("live")
    lines = [f"\n**{names[0]}** ({', '.join(facts)})  \n", setting.doc]
    if setting.no_effect:
        lines.append(f" *Accepted, no effect: {setting.no_effect}.*")
    if setting.always:
        lines.append(f" *Always so: {setting.always}.*")
    if len(names) > 1:
        lines.append(f"  \nAlso {', '.join(names[1:])}.")
    return "".join([*lines, "\n"])


def _names(setting: Setting) -> list[tuple[str, Where]]:
    """List the flags, then the keys and variables, without the key that has the flag's name."""
    flags = [(spelling.name, Where.FLAG) for spelling in setting.spellings if spelling.where is Where.FLAG]
    others = [
        (spelling.name, spelling.where)
        for spelling in setting.spellings
        if spelling.where is not Where.FLAG and (spelling.name, Where.FLAG) not in flags
    ]
    return [*flags, *others]


def _spelled(name: str, where: Where) -> str:
    return f"--{name}" if where is Where.FLAG else f"${name}" if where is Where.ENVIRONMENT else name


if __name__ == "__main__":
    sys.stdout.write(markdown())
