"""Merging the sources of settings: a flag takes precedence, then the environment, the file, the default."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vtorc.config.catalogue import USED, Assigned
from vtorc.config.check import check
from vtorc.config.file_settings import FileSettings
from vtorc.config.files import FileContent, choose_files, read_file
from vtorc.config.flags import CommandLine, parse_flags, read_environment
from vtorc.config.settings import Settings
from vtorc.errors import SettingsError

SourceMap = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, the source of each, and notes for the log.

    A source, by field, is "flag -x", "environment X", 'key "X" of x.json' or "default".
    """

    settings: Settings
    sources: SourceMap = field(
        default_factory=lambda: MappingProxyType({setting.name: "default" for setting in fields(Settings)})
    )
    notes: Sequence[str] = ()
    files: Sequence[str] = ()


def load(words: Iterable[str], environment: Mapping[str, str], *, folder: Path) -> Loaded:
    """Read all sources; raises SettingsError with the problems of all of them.

    `words` are those after the program's name; relative file names are below `folder`.
    """
    line, variables = parse_flags(words), read_environment(environment)
    chosen = choose_files(_bootstrap([*variables.assigned, *line.assigned]), folder=folder)
    contents = [read_file(file, environment) for file in chosen.files]
    parts: list[CommandLine | FileContent] = [*contents, variables, line]
    assigned = [assignment for part in parts for assignment in part.assigned]
    settings, sources = _merge(assigned)
    failed = {name for part in parts for name in part.failed}
    problems = [*line.problems, *variables.problems, *chosen.problems]
    problems += [problem for content in contents for problem in content.problems]
    written = {each.setting.field: each.written for each in assigned if each.setting.field}
    if not any(content.is_unknown for content in contents):  # else what seems to be missing may be in that file
        problems += check(settings, written=written, failed=failed)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    notes = [
        *line.notes,
        *chosen.notes,
        *(note for content in contents for note in content.notes),
        *_without_effect(assigned),
        *_always_so(assigned),
    ]
    return Loaded(
        settings=settings,
        sources=sources,
        notes=tuple(dict.fromkeys(notes)),
        files=tuple(str(file.path) for file in chosen.files),
    )


def _bootstrap(assigned: Iterable[Assigned]) -> FileSettings:
    names = {setting.name for setting in fields(FileSettings)}
    chosen = {assignment.setting.field: assignment.value for assignment in assigned}
    return FileSettings(**{name: value for name, value in chosen.items() if name in names})


def _merge(assigned: Iterable[Assigned]) -> tuple[Settings, SourceMap]:
    values: dict[str, Any] = {}
    sources = {setting.field: "default" for setting in USED if setting.field}
    for assignment in assigned:
        if name := assignment.setting.field:
            values[name] = assignment.value
            sources[name] = assignment.written
    return Settings(**values), MappingProxyType(sources)


def _without_effect(assigned: Iterable[Assigned]) -> list[str]:
    return [
        f"accepted, no effect: {assignment.written} ({assignment.setting.no_effect})"
        for assignment in assigned
        if assignment.setting.no_effect
    ]


def _always_so(assigned: Iterable[Assigned]) -> list[str]:
    return [f"always so: {each.written} ({each.setting.always})" for each in assigned if each.setting.always]
