"""Putting the sources of settings together: flag over environment over file over default."""

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
    """Settings, where each came from, and what is to be told.

    A source, by field, is "flag -x", "environment X", "file x.json" or "default".
    """

    settings: Settings
    sources: SourceMap = field(
        default_factory=lambda: MappingProxyType({one.name: "default" for one in fields(Settings)})
    )
    notes: Sequence[str] = ()
    files: Sequence[str] = ()


def load(words: Iterable[str], environment: Mapping[str, str], *, folder: Path) -> Loaded:
    """Read all sources; raises `SettingsError` with every problem there is, and then nothing is applied.

    `words` are those after the program's name; `folder` is where relative file names start.
    """
    line, variables = parse_flags(words), read_environment(environment)
    chosen = choose_files(_bootstrap([*variables.assigned, *line.assigned]), folder=folder)
    contents = [read_file(path, format_, environment) for path, format_ in chosen.files]
    parts: list[CommandLine | FileContent] = [*contents, variables, line]
    assigned = [one for part in parts for one in part.assigned]
    settings, sources = _merge(assigned)
    failed = {name for part in parts for name in part.failed}
    problems = [*line.problems, *variables.problems, *chosen.problems]
    problems += [problem for content in contents for problem in content.problems]
    problems += check(settings, failed=failed)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    notes = [
        *line.notes,
        *chosen.notes,
        *(note for content in contents for note in content.notes),
        *_without_effect(assigned),
    ]
    return Loaded(
        settings=settings,
        sources=sources,
        notes=tuple(dict.fromkeys(notes)),
        files=tuple(str(path) for path, _ in chosen.files),
    )


def _bootstrap(assigned: Iterable[Assigned]) -> FileSettings:
    names = {one.name for one in fields(FileSettings)}
    return FileSettings(**{one.setting.field: one.value for one in assigned if one.setting.field in names})


def _merge(assigned: Iterable[Assigned]) -> tuple[Settings, SourceMap]:
    values: dict[str, Any] = {}
    sources = {one.field: "default" for one in USED if one.field}
    for one in assigned:
        if one.setting.field:
            values[one.setting.field] = one.value
            sources[one.setting.field] = one.source
    return Settings(**values), MappingProxyType(sources)


def _without_effect(assigned: Iterable[Assigned]) -> list[str]:
    return [
        f"accepted, no effect: {one.written} ({one.setting.no_effect})" for one in assigned if one.setting.no_effect
    ]
