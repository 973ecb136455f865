"""Which mutants `make mutants` makes, and the page of those that no test can notice."""

from pathlib import Path

import libcst as cst
import pytest

from scripts import mutants
from scripts import mutation_operators as operators

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


def test_each_block_has_modules_and_tests() -> None:
    """Every pattern finds a module, and every folder of tests exists."""
    for block in mutants.BLOCKS.values():
        assert all(list((ROOT / "src/vtorc").glob(f"{pattern}.py")) for pattern in block.modules)
        assert all((ROOT / "tests" / path).exists() for path in block.tests)
        assert mutants.chosen(block, "") == sorted(mutants.chosen(block, ""))


def test_one_module_can_be_chosen() -> None:
    """The begin of a name is enough."""
    assert mutants.chosen(mutants.BLOCKS["recovery"], "recovery/st") == ["recovery/stop"]
    assert mutants.chosen(mutants.BLOCKS["lock"], "recovery/st") == []


@pytest.mark.parametrize(("before", "after"), [("a | b", "a & `b`"), ("alias=alias,", "")])
def test_a_row_is_read_as_it_is_written(before: str, after: str) -> None:
    """A bar in the code does not end the cell, and a mutant may drop whole lines."""
    change = mutants.Change("recovery/stop: read_clock", before, after)
    assert list(mutants.page_rows(change.row)) == [(change, "…")]


ROWS = list(mutants.page_rows((ROOT / "docs" / "mutants.md").read_text()))


@pytest.mark.parametrize("row", ROWS, ids=[change.place for change, _ in ROWS])
def test_the_page_lists_only_code_that_is_there(row: tuple[mutants.Change, str]) -> None:
    """A row for lines that have changed since has to be looked at again, or dropped."""
    change, reason = row
    module = change.place.partition(":")[0]
    source = " ".join((ROOT / "src" / "vtorc" / f"{module}.py").read_text().split())
    assert " ".join(change.before.split()) in source
    assert len(reason) > 10
