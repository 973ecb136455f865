"""The pages for operators name commands, paths, problems and rules that exist, and forget none."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.server.told import RecordedAsk, told_memory
from vtorc.cli.client.words import COMMANDS, COMMON
from vtorc.config.catalogue import FLAGS, fold
from vtorc.core.detection.problems import Code
from vtorc.core.facts.rules import Rule
from vtorc.demo.faults import FAULTS
from vtorc.forms.readiness import NOT_READY
from vtorc.server.today.routes import today_routes
from vtorc.server.v1.actions import FORWARDS
from vtorc.server.v1.endpoints import PREFIX
from vtorc.server.v1.table import READS
from vtorc.server.v12.routes import ROUTES

ROOT = Path(__file__).parents[2]
NAMES = (
    "quick-start moving-a-primary 3am operating alerts security running pages durability permissions failover-time "
    "from-vitess-vtorc from-orchestrator comparison notifications"
)
PAGES = ["README.md", *(f"docs/{name}.md" for name in NAMES.split())]


def read(name: str) -> str:
    """Read a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name: str, program: str) -> Iterator[list[str]]:
    """Yield the words after a program in each command of a page: in backticks, or on an indented line."""
    text = read(name).replace("\\\n", " ")
    spans = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)]
    for span in spans:
        if program in span:
            yield re.sub(r'"[^"]*"', "TEXT", span.partition(program)[2]).split()


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_ctl_exist(name: str) -> None:
    """Each command of `vtorc ctl` in a page is one, and takes the options that it is given."""
    wrong = []
    for words in commands(name, "vtorc ctl "):
        rest = words[2:] if words[0] == "--server" else words
        if not rest or rest[0].startswith("-") or rest[0] in ("$COMMAND",):
            continue
        command = COMMANDS.get(rest[0])
        known = {word.name for word in (*(command.words if command else ()), *COMMON)}
        options = [word.partition("=")[0] for word in rest[1:] if word.startswith("--")]
        if command is None or [option for option in options if option not in known]:
            wrong.append(" ".join(rest))
    assert not wrong


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_the_demo_exist(name: str) -> None:
    """Each command for a running demo is one, with a fault that can be brought about."""
    known = {"status", "kill", "pause", "start", "rebuild", "break"}
    for words in commands(name, "vtorc demo "):
        if words and not words[0].startswith("-"):
            assert words[0] in known
            if words[0] == "break" and not words[1].startswith("-"):
                assert words[1] in {*FAULTS, "FAULT"}


@pytest.mark.parametrize("name", PAGES)
def test_paths_of_the_api_exist(name: str) -> None:
    """Each path of the API in a page leads somewhere."""
    patterns = [re.sub(r"\{\w+\}", "[^/]+", f"{PREFIX}{each.path}") for each in (*READS, *FORWARDS)]
    patterns += [f"{PREFIX}/{word}" for word in ("events", r"openapi\.json")]
    patterns += [re.sub(r":\w+", "[^/]+", f"/api/{route.path}") for route in ROUTES]
    patterns += ["/api/status", *(route.path for route in today_routes(told_memory(), RecordedAsk()))]
    named = {path.rstrip("/.:") for path in re.findall(r"(?<![\w.])(/api/[\w./:-]+)", read(name))} - {PREFIX, "/api"}
    assert not [path for path in named if not any(re.fullmatch(pattern, path) for pattern in patterns)]


def rows(heading: str) -> list[list[str]]:
    """Return the codes of the first column of the table below a heading of docs/3am.md."""
    section = read("docs/3am.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [re.findall(r"`([^`]+)`", cell) for cell in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)]


def test_each_problem_has_its_row_at_3_am() -> None:
    """The table names each problem once, and none that there is not."""
    named = [code for cell in rows("Each problem") for code in cell]
    assert sorted(named) == sorted([*(code.value for code in Code), NOT_READY])


def test_each_refusal_has_its_row_at_3_am() -> None:
    """The table names each rule that refuses a promotion and nothing else."""
    named = {rule for cell in rows("It refuses to promote") for rule in cell}
    refusing = {rule.value for rule in Rule if not rule.traits.decides} - {Rule.LATE.value, Rule.OWN_ERROR.value}
    assert named == refusing


def test_flags_of_the_daemon_exist() -> None:
    """Each flag on a command line that starts vtorc is one of its flags."""
    lines = [words for name in PAGES for words in commands(name, "bin/vtorc ")]
    started = [words for words in lines if words and words[0].startswith("-")]
    assert started
    flags = {fold(word.lstrip("-").partition("=")[0]) for words in started for word in words if word.startswith("-")}
    assert not flags - FLAGS.keys() - {"check-config"}


@pytest.mark.parametrize("picture", sorted((ROOT / "docs/pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_is_small_and_needs_nothing_else(picture: Path) -> None:
    """A drawing has a title and a description, names no other file, is readable on dark, and is shown on a page."""
    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]
    assert len(text) < 10_000
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|@import", text)
    assert "prefers-color-scheme: dark" in text
    shown = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert f"(pictures/{picture.name})" in shown


def test_the_index_leads_to_each_page() -> None:
    """docs/README.md links to each page of the folder."""
    linked = set(re.findall(r"\]\(([\w-]+\.md)", read("docs/README.md")))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_the_pages_have_commands() -> None:
    """The tests of commands above look at many."""
    assert sum(len(list(commands(name, "vtorc ctl "))) for name in PAGES) > 80
    assert sum(len(list(commands(name, "vtorc demo "))) for name in PAGES) > 10
