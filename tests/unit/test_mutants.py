"""Which mutants `make mutants` makes, how it tries them, and the page of those that no test can notice."""

from pathlib import Path
from typing import Any

import libcst as cst
import pytest
from mutmut.mutation.file_mutation import mutate_file_contents

from scripts.mutants import operators
from scripts.mutants.__main__ import Result, is_enough, table
from scripts.mutants.blocks import BLOCKS, chosen
from scripts.mutants.decorated import name_of, without_decorators
from scripts.mutants.making import Mutant, changed_lines
from scripts.mutants.page import PAGE, Change, page_rows
from scripts.mutants.trials import Trials

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("'a'", True),
        ("f'{a}'", True),
        ("'; '.join(a)", True),
        ("log.info('a', tablet=b)", True),
        ("'a' if b else f'c'", True),
        ("'a' if b else c", False),
        ("str(a) or 'no answer'", True),
        ("'a' + b", True),
        ("a", False),
        ("a.join('b')", False),
        ("a or b", False),
    ],
)
def test_texts_for_people_are_known(code: str, text: bool) -> None:
    """A string, and what is made of strings, is a text; a call with a string is none."""
    assert operators.is_text(cst.parse_expression(code)) is text


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("ask(tablet, 'position')", ["ask(None, 'position')", "ask('position')"]),
        ("ask('position', tablet)", ["ask('position', None)", "ask('position', )"]),
        ("ask(f'{tablet}')", []),
    ],
)
def test_an_argument_is_dropped_unless_it_is_a_text(code: str, left: list[str]) -> None:
    """Each other argument is dropped once, and made None once."""
    made = operators.without_texts(cst.ensure_type(cst.parse_expression(code), cst.Call))
    assert [cst.Module([]).code_for_node(each) for each in made] == left


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("await session.check_lock()", ["pass"]),
        ("steps.append(step)", ["pass"]),
        ("log.info('started')", []),
        ("'a docstring'", []),
    ],
)
def test_a_call_that_is_a_statement_is_dropped(line: str, left: list[str]) -> None:
    """A check of the lock is gone then; a log line or a docstring decides nothing."""
    statement = cst.ensure_type(cst.parse_statement(line), cst.SimpleStatementLine).body[0]
    made = operators.no_call(cst.ensure_type(statement, cst.Expr))
    assert [cst.Module([]).code_for_node(each) for each in made] == left


def test_a_condition_is_forced_both_ways() -> None:
    """It is false in one mutant and true in the other, whatever it says."""
    condition = cst.ensure_type(cst.parse_statement("if a or (b := c):\n    pass\n"), cst.If)
    made = [cst.Module([]).code_for_node(each).splitlines()[0] for each in operators.forced(condition)]
    assert made == ["if (a or (b := c)) and False:", "if (a or (b := c)) or True:"]


PROPERTIES = """
import contextlib
from collections.abc import Iterator

class Base:
    @property
    def size(self) -> int:
        return 1

class Tablet(Base):
    @property
    def size(self) -> int:
        return super().size + 2

    @contextlib.contextmanager
    def held(self, name: str, *, at: int = 3) -> Iterator[int]:
        yield at if name else 0
"""


def test_properties_and_context_managers_are_broken_as_well() -> None:
    """They do the same with their bodies taken out, and keep their names on the page."""
    code = without_decorators(PROPERTIES)
    found: dict[str, Any] = {}
    exec(code, found)
    with found["Tablet"]().held("a", at=4) as at:
        assert (found["Tablet"]().size, at) == (3, 4)
    assert mutate_file_contents("tablet.py", PROPERTIES).mutant_names == []
    functions = {name.rpartition("__mutmut_")[0] for name in mutate_file_contents("tablet.py", code).mutant_names}
    assert {name_of(each).replace("ǁ", ".") for each in functions} == {"x.Base.size", "x.Tablet.size", "x.Tablet.held"}


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    @property\n    def size(self) -> int:\n        ...\n",
        "@cache\ndef size() -> int:\n    return 1\n",
        "def outer() -> None:\n    @contextmanager\n    def inner() -> Iterator[None]:\n        yield\n",
    ],
)
def test_what_cannot_be_broken_stays_as_it_is(code: str) -> None:
    """A body that does nothing, a decorator that is not known, and a function within another."""
    assert without_decorators(code) == code


def test_each_block_has_modules_and_tests() -> None:
    """Every pattern finds a module, and every folder of tests exists."""
    for block in BLOCKS.values():
        assert all(list((ROOT / "src/vtorc").glob(f"{pattern}.py")) for pattern in block.modules)
        assert all((ROOT / "tests" / path).exists() for path in block.tests)
        assert chosen(block, "") == sorted(chosen(block, ""))


def test_one_module_can_be_chosen() -> None:
    """The begin of a name is enough."""
    assert chosen(BLOCKS["recovery"], "recovery/st") == ["recovery/stop"]
    assert chosen(BLOCKS["lock"], "recovery/st") == []


@pytest.mark.parametrize(("before", "after"), [("a | b", "a & `b`"), ("alias=alias,", "")])
def test_a_row_is_read_as_it_is_written(before: str, after: str) -> None:
    """A bar in the code does not end the cell, and a mutant may drop whole lines."""
    change = Change("recovery/stop: read_clock", before, after)
    assert list(page_rows(change.row)) == [(change, "…")]


def test_a_mutant_is_told_by_the_lines_that_it_changes() -> None:
    """Lines that stay are left out, and several that change make one."""
    before = ["def lead(self):", "    return choose(", "        a,", "        b,", "    )"]
    assert changed_lines(before, before[:2] + before[4:]) == ("a, b,", "")
    assert changed_lines(before, [*before[:3], "        None,", "    )"]) == ("b,", "None,")


CODE = """
from threading import Event

def at_import():
    return 1

def total(n):
    found = 0
    while n > 0:
        found += n
        n -= 1
    return found

def wait(is_done):
    if not is_done:
        Event().wait()

def unasked():
    return 1

VALUE = at_import()
"""
TESTS = """
import small

def test_value():
    assert small.VALUE == 1

def test_total():
    assert small.total(3) == 6

def test_wait(tmp_path):
    small.wait(tmp_path.exists())
"""


def test_a_mutant_survives_only_if_no_test_fails_or_fails_to_end(tmp_path: Path) -> None:
    """Endless work, an endless wait and other code at import are noticed; the same result and unasked code are not."""
    for folder in ("src", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    mutated = mutate_file_contents("small.py", CODE)
    (tmp_path / "src" / "small.py").write_text(mutated.code)
    (tmp_path / "tests" / "test_small.py").write_text(TESTS)
    made = [Mutant(f"small.{name}", Change(name, "", ""), "") for name in mutated.mutant_names]
    survivors = Trials(tmp_path, spare=1, idle=2).survivors(made, ["test_small.py"])
    lines, spans = mutated.code.splitlines(), mutated.line_span_by_function_name
    total, unasked = (spans[each.change.place] for each in survivors)
    assert "    while n >= 0:" in lines[total.start : total.end]
    assert "    return 2" in lines[unasked.start : unasked.end]
    assert survivors[-1].function == "small.x_unasked"


def test_tests_that_fail_without_a_mutant_end_the_run(tmp_path: Path) -> None:
    """Their failures would count for mutants."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "tests" / "test_small.py").write_text("def test_value():\n    assert 1 == 2\n")
    with pytest.raises(SystemExit, match="the tests do not run"):
        Trials(tmp_path).survivors([Mutant("small.x_total__mutmut_1", Change("", "", ""), "")], ["test_small.py"])


def test_one_survivor_that_is_not_listed_is_too_many() -> None:
    """A listed one is allowed, as long as the tests notice nine of ten mutants of all modules."""
    listed = Result("recovery/stop", mutants=10, untyped=3, by_scenarios=1, listed=1, left=())
    left = Result("topo/lease", mutants=10, untyped=0, by_scenarios=0, listed=0, left=(Change("", "", ""),))
    worse = Result("topo/lease", mutants=10, untyped=0, by_scenarios=0, listed=2, left=())
    assert is_enough([listed], everything=True)
    assert not is_enough([listed, left], everything=True)
    assert is_enough([worse], everything=False)
    assert not is_enough([worse], everything=True)


def test_the_table_has_a_row_for_each_module_and_one_for_all() -> None:
    """The mutants that type-check are noticed, listed or left."""
    listed = Result("recovery/stop", mutants=10, untyped=3, by_scenarios=1, listed=1, left=())
    left = Result("topo/lease", mutants=9, untyped=0, by_scenarios=0, listed=0, left=(Change("", "", ""),))
    assert [line.split() for line in table([listed, left])[1:]] == [
        ["recovery/stop", "10", "9", "1", "1", "0", "3"],
        ["topo/lease", "9", "8", "0", "0", "1", "0"],
        ["all", "19", "17", "1", "1", "1", "3"],
    ]


ROWS = list(page_rows(PAGE.read_text()))


@pytest.mark.parametrize("row", ROWS, ids=[change.place for change, _ in ROWS])
def test_the_page_lists_only_code_that_is_there(row: tuple[Change, str]) -> None:
    """A row for lines that have changed since has to be looked at again, or dropped."""
    change, reason = row
    module = change.place.partition(":")[0]
    source = " ".join((ROOT / "src" / "vtorc" / f"{module}.py").read_text().split())
    assert " ".join(change.before.split()) in source
    assert len(reason) > 10
