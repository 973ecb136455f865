"""Documents and code hold together: links, names of modules and files, and sentences that documents quote."""

import configparser
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vtorc.config.catalogue import FLAGS, fold
from vtorc.core.facts.rules import Rule
from vtorc.sim.campaigns.mask import mask
from vtorc.sim.scenario.commands import ScenarioCommands

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "vtorc"
SCRIPTS = PACKAGE / "sim" / "scenario" / "scripts"
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCS]
DECISIONS = ROOT / "docs" / "decisions"

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"[\w./-]*\w\.(?:py|md|txt|toml|json|yml|proto)|\.importlinter|\.ci/run")
DOTTED = re.compile(r"[a-z_]\w*(?:\.\w+)+")
QUOTE = re.compile(r"<!-- quoted from scenario ([\w-]+) -->\n\n```text\n(.*?)\n```", re.DOTALL)

PROFILE = re.compile(r'Profile\(\s*name="([\w-]+)"')

OTHERS = {"vtorc.log", "my.cnf", "orc_config.json", "report.json", "part.json"}
"""Names of files that look like ours and are written or brought by the operator, or are Vitess'."""

PACKAGES = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__"}


def read(name: str) -> str:
    """Read a document."""
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    """Read a document without its blocks of code."""
    return FENCE.sub("", read(name))


def anchors(text: str) -> set[str]:
    """Name the headings of a document as links to them do."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


def terms(name: str) -> Iterator[str]:
    """List what a document has in backticks, outside of its blocks of code."""
    return iter(CODE.findall(prose(name)))


def test_documents_are_found() -> None:
    """The documents that others point to are among those that are checked."""
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/design.md"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_relative_link_leads_somewhere(name: str) -> None:
    """A link to a file of the project finds it, and a link to a heading finds that."""
    broken = []
    for link in LINK.findall(prose(name)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("name", NAMES)
def test_each_file_that_is_named_exists(name: str) -> None:
    """A file in backticks is there: below the project, its package or its documents, or a test by its bare name.

    An absolute path is one of the operator's host.
    """
    bases = (ROOT, PACKAGE, ROOT / "docs")
    missing = []
    for term in terms(name):
        if not FILE.fullmatch(term) or term in OTHERS or term.startswith("/"):
            continue
        found = any((base / term).exists() for base in bases)
        if not found and "/" not in term:
            found = any((ROOT / "tests").rglob(term)) or any(PACKAGE.rglob(term))
        if not found:
            missing.append(term)
    assert not missing


def resolves(term: str) -> bool:
    """Tell whether a dotted name is that of a module, or of something in one."""
    parts = term.removeprefix("vtorc.").split(".")
    root = "" if parts[0] == "bench" else "vtorc."
    for length in range(len(parts), 0, -1):
        module = root + ".".join(parts[:length])
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            continue
        if spec is None:
            continue
        found: object = importlib.import_module(module)
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@pytest.mark.parametrize("name", NAMES)
def test_each_module_that_is_named_exists(name: str) -> None:
    """A dotted name in backticks that begins with a package of ours is a module, class or function."""
    ours = (t for t in terms(name) if DOTTED.fullmatch(t) and not FILE.fullmatch(t))
    known = [t for t in ours if t.removeprefix("vtorc.").split(".")[0] in PACKAGES | {"bench"}]
    assert not [term for term in known if not resolves(term)]


def test_the_glossary_says_where_each_word_is_held() -> None:
    """The third column of the glossary is empty or a module, class or function."""
    rows = [line.strip("|").split("|") for line in read("docs/glossary.md").splitlines() if line.startswith("| ")]
    places = [place for row in rows for place in CODE.findall(row[2])]
    assert {len(row) for row in rows} == {4}
    assert len(places) > 40
    assert not [place for place in places if not resolves(place)]


def layers(contract: str) -> list[str]:
    """Read the layers of a contract, the highest first."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    text = parser[f"importlinter:contract:{contract}"]["layers"]
    return [re.sub(r"[()]", "", line.strip()) for line in text.strip().splitlines()]


def test_the_drawing_of_the_house_is_that_of_the_linter() -> None:
    """CONTRIBUTING.md draws the floors, and the rooms of the core, in the order of `.importlinter`."""
    drawn = [
        [row.split("  ")[0].strip() for row in re.findall(r"^\| (.{22}) \| .*\|$", block, re.MULTILINE)]
        for block in FENCE.findall(read("CONTRIBUTING.md"))
    ]
    assert drawn[:2] == [layers("floors"), layers("core-rooms")]


def test_the_index_of_decisions_names_each() -> None:
    """Each record has one row in the index, under its number, and the three parts that a record has."""
    records = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    rows = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \|", (DECISIONS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [file for _, file in rows] == records
    for number, file in rows:
        text = (DECISIONS / file).read_text(encoding="utf-8")
        assert text.startswith(f"# {number}: ")
        assert HEADING.findall(text)[1:] == ["Context", "Decision", "Consequence"]


def plain(sentence: str) -> str:
    """Make sentences alike that differ in tablets, times and counts only."""
    sentence = re.sub(r"\b\w+-\d{10}\b", "TABLET", mask(sentence))
    return re.sub(r"\b(?:\d[\d,]*|N)\b", "N", sentence)


def test_quoted_sentences_are_those_of_scenarios() -> None:
    """What docs/operating.md quotes from the log stands in the outcome of the scenario that it names."""
    quotes = QUOTE.findall(read("docs/operating.md"))
    assert quotes
    for scenario, block in quotes:
        outcome = plain((SCRIPTS / f"{scenario}.txt").read_text(encoding="utf-8"))
        parts = [part for line in block.splitlines() for part in plain(line).split("…") if part]
        assert not [part for part in parts if part.strip() not in outcome]


def test_flags_that_are_named_exist() -> None:
    """Each flag of vtorc in the pages for operators is one."""
    named = {
        term
        for name in ("docs/operating.md", "docs/alerts.md", "docs/security.md", "SECURITY.md")
        for term in terms(name)
        if term.startswith("-")
    }
    flags = {fold(term.lstrip("-").partition("=")[0]) for term in named}
    assert flags
    assert not flags - FLAGS.keys()


def test_the_page_of_the_simulator_names_rules_and_profiles_that_exist() -> None:
    """Each invariant in docs/simulator.md is one that a run can break, and the profiles are all there are."""
    page = read("docs/simulator.md")
    tables = dict(re.findall(r"^##+ (.+?)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    first_cells = {title: re.findall(r"^\| (`.+?) \|", body, re.MULTILINE) for title, body in tables.items()}
    code = "\n".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "sim").rglob("*.py"))
    rules = [rule for cell in first_cells["Invariants"] for rule in CODE.findall(cell)]
    assert len(rules) > 15
    assert not [rule for rule in rules if f'"{rule}"' not in code]
    assert sorted(cell.strip("`") for cell in first_cells["Profiles"]) == sorted(set(PROFILE.findall(code)))


def test_the_page_of_the_simulator_names_commands_that_exist() -> None:
    """The commands of scenarios in docs/simulator.md are all there are."""
    table = read("docs/simulator.md").partition("### Scenarios")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    named = {term.split()[0] for cell in cells for term in CODE.findall(cell)}
    assert named == {each[3:].replace("_", "-") for each in dir(ScenarioCommands) if each.startswith("do_")}


def test_findings_name_what_holds_them() -> None:
    """Scenarios that docs/simulator-findings.md names are there; files and modules are checked with all documents."""
    named = set(re.findall(r"`(\d\d-[\w-]+)`", read("docs/simulator-findings.md")))
    assert named
    assert not named - {path.stem for path in SCRIPTS.glob("*.txt")}


LIMIT = "# A limit of the promise: "
"""How a scenario begins that shows a limit."""


def limits_of_the_promise() -> dict[str, list[str]]:
    """Read docs/promise.md: the heading of each limit, and the scenarios and tests after "Shown by"."""
    sections = re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", read("docs/promise.md"), re.MULTILINE | re.DOTALL)
    return {title: CODE.findall(body.partition("**Shown by** ")[2]) for title, body in sections}


def is_shown(name: str) -> bool:
    """Tell whether a name is that of a scenario, or of a test as pytest spells it."""
    path, _, test = name.partition("::")
    if not test:
        return (SCRIPTS / f"{name}.txt").exists()
    return (ROOT / path).exists() and f"def {test}(" in read(path)


@pytest.mark.parametrize(("title", "shown_by"), limits_of_the_promise().items())
def test_each_limit_of_the_promise_is_shown(title: str, shown_by: list[str]) -> None:
    """Each limit in docs/promise.md names scenarios or tests, and all of them exist."""
    names = [name for name in shown_by if re.match(r"\d\d-|tests/", name)]
    assert names, title
    assert not [name for name in names if not is_shown(name)]


def test_the_page_of_the_promise_has_each_limit() -> None:
    """Each scenario that shows a limit is named under one limit in docs/promise.md."""
    shown = [name for names in limits_of_the_promise().values() for name in names]
    limits = [path.stem for path in SCRIPTS.glob("*.txt") if path.read_text(encoding="utf-8").startswith(LIMIT)]
    assert len(limits) > 10
    assert sorted(name for name in shown if name in limits) == sorted(limits)


@pytest.mark.parametrize("name", NAMES)
def test_rules_that_are_named_exist(name: str) -> None:
    """What a document calls a rule is one of the catalogue, or an invariant of the simulator."""
    named = re.findall(r"\b[Rr]ules?(?: is)? `([a-z-]+)`", read(name))
    invariants = CODE.findall(read("docs/simulator.md").partition("## Invariants")[2].partition("\n## ")[0])
    assert not set(named) - {rule.value for rule in Rule} - set(invariants)


LINE_BY_LINE = [name for name in NAMES if name not in ("README.md", "docs/settings.md")]
"""Documents that are written a sentence a line; the page of settings is generated."""

MOST_WORDS = 27
"""Words of a sentence; the rule is 25, and a file name or a flag may split into more."""


@pytest.mark.parametrize("name", LINE_BY_LINE)
def test_a_line_is_a_sentence(name: str) -> None:
    """Outside of tables a line holds one sentence, and no long one."""
    text = prose(name).partition("## How prose is written here")[0]
    lines = [line for line in text.splitlines() if not line.startswith(("|", "    ", "#"))]
    assert not [line for line in lines if re.search(r"[a-z`)][.?!] [A-Z]", line)], "more than one sentence"
    assert not [line for line in lines if len(LINK.sub("link", line).split()) > MOST_WORDS], "a long sentence"
