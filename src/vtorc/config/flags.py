"""The command line of the daemon, read as Go's `flag` package and pflag do, but with each ignored word reported.

Source of the rules: Go `flag` (Vitess v11 to v13), pflag with Vitess' rewriting of underscores (v14 and later).
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from vtorc.config.catalogue import FLAGS, VARIABLES, Assigned, Match, fold, nearest
from vtorc.config.kinds import SWITCH
from vtorc.config.setting import UNSET
from vtorc.core.facts.one_line import escaped

Wants = Literal["run", "check", "help", "version"]

_WANTS: Mapping[str, Wants] = {"h": "help", "help": "help", "version": "version", "check-config": "check"}
"""The requests of flags that are no settings."""


@dataclass(slots=True)
class CommandLine:
    """The contents of a command line or of the environment."""

    wants: Wants = "run"
    json: bool = False
    """Whether the answer of `--check-config` is to be JSON."""
    assigned: list[Assigned] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse_flags(words: Iterable[str]) -> CommandLine:
    """Read the words after the program's name; problems are collected, not raised."""
    line, rest = CommandLine(), deque(words)
    before = ""
    while rest:
        word = rest.popleft()
        if word == "--":
            for left in rest:
                _refuse_word(line, left, before="")
            break
        if word.startswith("-") and word != "-":
            _read_flag(line, word, rest)
        else:
            _refuse_word(line, word, before=before)
        before = word
    if line.json and line.wants == "run":
        line.problems.append("flag --json: expected --check-config with it")
    line.problems = [escaped(problem) for problem in line.problems]
    return line


def read_environment(environment: Mapping[str, str]) -> CommandLine:
    """Read the environment variables that are settings; an empty variable counts as unset, as in viper."""
    line = CommandLine()
    for name, match in VARIABLES.items():
        if text := environment.get(name, ""):
            _assign(line, match, text, written=f"environment {name}")
    return line


def _refuse_word(line: CommandLine, word: str, *, before: str) -> None:
    if word == "http":
        line.notes.append("accepted, no effect: the word 'http' (vtorc is always the daemon)")
        return
    match = FLAGS.get(_split(before)[0]) if before.startswith("-") and "=" not in before else None
    if match and match.spelling.kind is SWITCH:
        line.problems.append(
            f"unexpected word {word!r}: the switch {before} takes its value with '=', as in {before}={word}"
        )
        return
    line.problems.append(f"unexpected word {word!r}: the daemon takes flags only, and each begins with a dash")


def _split(word: str) -> tuple[str, str | None]:
    name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
    return fold(name), text if equals else None


def _is_flag(word: str) -> bool:
    return word.startswith("-") and _split(word)[0] in {*FLAGS, *_WANTS, "json"}


def _read_flag(line: CommandLine, word: str, rest: deque[str]) -> None:
    name, text = _split(word)
    shown = word.partition("=")[0]
    if not name or name.startswith("-"):
        line.problems.append(f"unexpected word {word!r}: expected a flag such as -name or --name=value")
        return
    if name in _WANTS:
        wants = _WANTS[name]
        if wants != "check" or (line.wants == "run" and _is_on(line, shown, text)):
            line.wants = wants
        return
    if name == "json":
        line.json = _is_on(line, shown, text)
        return
    if name == "v" and text is None and not (rest and rest[0].isdigit()):
        line.wants = "version"  # since v14; before, and as --v since, it is a level of logging and takes a number
        return
    if (match := FLAGS.get(name)) is None:
        near = "".join(
            f"{lead}--{similar}"
            for lead, similar in zip(
                ("; did you mean ", " or ", " or "), nearest(name, [*FLAGS, "check-config"]), strict=False
            )
        )
        line.problems.append(f"unknown flag {shown}{near}")
        if text is None and rest and not rest[0].startswith("-"):
            rest.popleft()  # most likely the value of the unknown flag
        return
    if text is None:
        if match.spelling.kind is SWITCH:
            text = "true"
        elif not rest or rest[0] == "--":
            line.problems.append(f"flag {shown} needs a value: {match.spelling.kind.expected}")
            line.failed.add(match.setting.name)
            return
        elif _is_flag(rest[0]):
            line.problems.append(
                f"flag {shown} needs a value, but the next word is the flag {rest[0]}; if meant, {shown}={rest[0]}"
            )
            line.failed.add(match.setting.name)
            return
        else:
            text = rest.popleft()
    _assign(line, match, text, written=f"flag {shown}")


def _is_on(line: CommandLine, shown: str, text: str | None) -> bool:
    """Return whether a switch that is no setting is on."""
    try:
        return text is None or SWITCH.from_text(text)
    except ValueError:
        line.problems.append(f"flag {shown}: expected {SWITCH.expected}, got {text!r}")
        return False


def _assign(line: CommandLine, match: Match, text: str, *, written: str) -> None:
    setting, spelling = match.setting, match.spelling
    try:
        value = spelling.meaning(spelling.kind.from_text(text))
    except ValueError:
        line.problems.append(f"{written}: expected {spelling.kind.expected}, got {text!r}")
        line.failed.add(setting.name)
        return
    if value is UNSET:
        return
    if spelling.note:
        line.notes.append(f"{written}: {spelling.note}")
    if setting.kind.name == "list":  # as in pflag, a repeated list is extended; of other flags the last value counts
        earlier = (assigned.value for assigned in line.assigned if assigned.setting is setting)
        value = (*(word for words in earlier for word in words), *value)
    line.assigned.append(Assigned(setting=setting, value=value, written=written))
