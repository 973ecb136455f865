"""Settings files: the choice of the files, and the values of their keys.

An unknown key is ignored with a warning, because every Vitess ignored such keys and existing files have some. With any
other problem the whole file is refused.
"""

import codecs
import json
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtorc.config.catalogue import KEYS, Assigned, fold_key, nearest
from vtorc.config.file_settings import FileSettings
from vtorc.config.orchestrator import adjust
from vtorc.config.setting import UNSET, Setting
from vtorc.files import contents_of

_DEFAULT_FILES = ("/etc/orchestrator.conf.json", "conf/orchestrator.conf.json", "orchestrator.conf.json")
_SMALLEST = {"json": "a JSON object with the settings, or {} for none", "toml": "settings in TOML, or a comment"}
"""The least that a file has, in words, by format."""

_MARKS = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
"""The byte order marks that editors write, each with its encoding."""

_UNREADABLE = ("yaml", "yml", "hcl", "ini", "env", "dotenv", "properties", "props", "prop")


class BadFile(ValueError):
    """A file is malformed; the message is the part after the file's name."""


@dataclass(slots=True)
class FileContent:
    """The contents of one settings file."""

    assigned: list[Assigned] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_unknown: bool = False
    """Whether nothing is known of what it sets: it could not be read, or is malformed."""


@dataclass(frozen=True, slots=True)
class FileChoice:
    """Files to read, in order; a later file takes precedence."""

    files: Sequence["ChosenFile"] = ()
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """One file to read."""

    path: Path
    """Where it is."""
    format: str
    """Its format, as its ending names it; empty if nothing does."""
    label: str
    """How problems and notes name it: without its folder, unless another file that is read has the same name."""


def choose_files(wanted: FileSettings, *, folder: Path) -> FileChoice:
    """Find the files that the flags and the environment name; relative names are below `folder`."""
    if wanted.config and wanted.config_file:
        return FileChoice(problems=["flag --config and --config-file both name a settings file: keep one"])
    if wanted.config:
        return FileChoice(_labelled([(folder / wanted.config, wanted.config_type or _format(wanted.config, "json"))]))
    if wanted.config_file:
        path = folder / wanted.config_file
        if not _may_be_there(path):
            return _missing(wanted, wanted.config_file)
        return FileChoice(_labelled([(path, wanted.config_type or _format(wanted.config_file, ""))]))
    return _search(wanted, folder)


def _labelled(files: Sequence[tuple[Path, str]]) -> list[ChosenFile]:
    names = Counter(path.name for path, _ in files)
    return [ChosenFile(path, form, path.name if names[path.name] == 1 else str(path)) for path, form in files]


def _format(name: str, otherwise: str) -> str:
    extension = Path(name).suffix.removeprefix(".").lower()
    return extension if extension in ("json", "toml", *_UNREADABLE) else otherwise


def _may_be_there(path: Path) -> bool:
    """Return whether there is something at a path; of one that cannot be looked at, reading it tells why."""
    try:
        return path.exists()
    except OSError:
        return True


def _search(wanted: FileSettings, folder: Path) -> FileChoice:
    found = [(path, "json") for name in _DEFAULT_FILES if _is_default_file(path := folder / name)]
    asked = (wanted.config_path, wanted.config_name) != (FileSettings.config_path, FileSettings.config_name)
    for place in wanted.config_path:
        try:
            here = [
                (path, extension)
                for extension in ("json", "toml", *_UNREADABLE)
                if (path := folder / place / f"{wanted.config_name}.{extension}").is_file()
            ]
        except OSError as error:
            if not asked:
                continue
            return FileChoice(problems=[f"no settings file can be looked for in {place}: {error.strerror}"])
        if len(here) > 1:
            both = " and ".join(str(path) for path, _ in here)
            return FileChoice(
                problems=[f"{both} are settings files of one name: keep one, or name it in --config-file"]
            )
        if here:
            return FileChoice(_labelled([*found, *here]))
    if asked and not found:
        return _missing(wanted, f"{wanted.config_name}.json or .toml in {' or '.join(wanted.config_path)}")
    return FileChoice(_labelled(found))


def _is_default_file(path: Path) -> bool:
    """Return whether there is a file that no operator has named.

    One below a folder that vtorc may not search is none: an operator's shell may stand in /root.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def _missing(wanted: FileSettings, name: str) -> FileChoice:
    sentence = f"there is no settings file {name}"
    if wanted.config_file_not_found_handling in ("error", "exit"):
        return FileChoice(problems=[sentence])
    return FileChoice(notes=[sentence] if wanted.config_file_not_found_handling == "warn" else [])


def read_file(file: ChosenFile, environment: Mapping[str, str]) -> FileContent:
    """Read one file; problems are collected, not raised."""
    content = FileContent()
    path, label = file.path, file.label
    try:
        written, given = _decode(path, file.format)
    except OSError as error:
        return FileContent(problems=[f"{label}: cannot be read: {error.strerror} ({path})"], is_unknown=True)
    except BadFile as error:
        return FileContent(problems=[f"{label}{error}"], is_unknown=True)
    adjusted = adjust({fold_key(name): value for name, value in given.items()}, environment, folder=path.parent)
    content.problems += [f"{label}: {problem}" for problem in (*written, *adjusted.problems)]
    content.notes += [f"{label}: {note}" for note in adjusted.notes]
    names = {fold_key(name): name for name in given}
    for folded, value in adjusted.values.items():
        _read_key(content, label, names.get(folded), folded, value)
    return content


def _decode(path: Path, format_: str) -> tuple[list[str], dict[str, Any]]:
    """Return the problems with keys, and the values; raises BadFile and OSError."""
    decoders: dict[str, Callable[[str], tuple[list[str], Any]]] = {"json": _decode_json, "toml": _decode_toml}
    decoder = decoders.get(format_)
    if decoder is None:
        raise BadFile(
            f": expected a JSON or TOML file, got {format_ or 'no extension'} (--config-type names the format)"
        )
    twice, values = decoder(_text(contents_of(path), format_))
    if not isinstance(values, dict):
        raise BadFile(f": expected one object with the settings in it, got {_shown(values)}")
    folded: set[str] = set()
    for name in values:
        if fold_key(name) in folded:
            twice.append(name)
        folded.add(fold_key(name))
    return [f"key {_shown(name)} is given twice" for name in dict.fromkeys(twice)], values


def _text(contents: bytes, format_: str) -> str:
    """Return the text of a file; raises BadFile if it is empty, or other than UTF-8 without a byte order mark."""
    mark = next((mark for mark in _MARKS if contents.startswith(mark)), None)
    if mark is not None:
        raise BadFile(f": begins with a byte order mark (BOM) of {_MARKS[mark]}: save it as UTF-8 without one")
    try:
        text = contents.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(
            f": expected UTF-8 text, got byte {error.object[error.start]:#04x} at offset {error.start}"
        ) from error
    if not text.strip():
        raise BadFile(f": is empty: expected {_SMALLEST[format_]}; remove the file if there are no settings")
    return text


def _decode_json(text: str) -> tuple[list[str], Any]:
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in items:
            if name in values:
                twice.append(name)
            values[name] = value
        return values

    def constant(name: str) -> Any:
        raise BadFile(f": not valid JSON: {name} is not a value")

    try:
        return twice, json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except BadFile:
        raise
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise BadFile(f" line {error.lineno} column {error.colno}: not valid JSON: {reason}") from error
    except RecursionError as error:
        raise BadFile(": not valid JSON: nested too deeply") from error
    except ValueError as error:
        raise BadFile(": not valid JSON: a number has too many digits") from error


def _decode_toml(text: str) -> tuple[list[str], Any]:
    try:
        return [], tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadFile(f": not valid TOML: {error}") from error
    except RecursionError as error:
        raise BadFile(": not valid TOML: nested too deeply") from error
    except ValueError as error:
        raise BadFile(": not valid TOML: a number has too many digits") from error


def _read_key(content: FileContent, file: str, given: str | None, folded: str, value: Any) -> None:
    """Read one key; `given` is its spelling in the file, None if its value follows from other keys."""
    if value is None:  # in Go a null leaves the setting unchanged
        return
    matches = KEYS.get(folded, ())
    name = given if given is not None or not matches else matches[0].spelling.name
    written = f'key "{name}" of {file}' if given is not None else f'{file}, which has no key "{name}"'
    if not matches:
        content.notes.append(f"{file}: unknown key {_shown(name)} has no effect{_hint(folded)}")
    for match in matches:
        setting, spelling = match.setting, match.spelling
        try:
            assigned = spelling.meaning(spelling.kind.from_file(value))
        except ValueError:
            got = "a value that is not shown" if setting.secret else _shown(value)
            content.problems.append(f'{file}: key "{name}": expected {spelling.kind.expected}, got {got}')
            content.failed.add(setting.name)
            continue
        if assigned is not UNSET:
            _keep(content, setting, Assigned(setting=setting, value=assigned, written=written))


def _keep(content: FileContent, setting: Setting, new: Assigned) -> None:
    other = next((old for old in content.assigned if old.setting is setting), None)
    if other is not None and other.value != new.value:
        content.problems.append(
            f"{other.written} and {new.written} are the same setting with different values: keep one"
        )
        content.failed.add(setting.name)
    content.assigned.append(new)


def _hint(folded: str) -> str:
    """Say which key an unknown one may be: orchestrator's is found under its newer name, others by likeness."""
    renamed = folded.replace("master", "primary").replace("slave", "replica")
    if renamed in KEYS:
        either = ", which has none either" if KEYS[renamed][0].setting.no_effect else ""
        return f"; Vitess calls it {_spelled(renamed)}{either}"
    near = nearest(folded, KEYS)
    return f"; did you mean {' or '.join(_spelled(key) for key in near)}" if near else ""


def _spelled(folded: str) -> str:
    return f'"{KEYS[folded][0].spelling.name}"'


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
