"""Which mutants mutmut makes of a piece of code, with the changes that this project asks for.

mutmut neither drops statements nor forces conditions, and those are the slips that hurt: a check of the lock that is
gone, a refusal that never comes. Texts for people are left alone: no test holds each word of a sentence.
"""

from collections.abc import Callable, Iterable
from typing import Any

import libcst as cst
from mutmut.mutation import file_mutation, mutators


def is_text(node: cst.CSTNode) -> bool:
    """Return whether an expression is a text: a string, or made of strings."""
    match node:
        case cst.BaseString():
            return True
        case cst.Call(func=cst.Attribute(value=cst.BaseString())):
            return True
        case cst.Call(func=cst.Attribute(value=cst.Name(value="log" | "_log"))):
            return True
        case cst.IfExp(body=body, orelse=orelse):
            return is_text(body) and is_text(orelse)
        case cst.BooleanOperation(right=right):
            return is_text(right)
        case cst.BinaryOperation(left=left, right=right):
            return is_text(left) or is_text(right)
    return False


def without_texts(node: cst.Call) -> Iterable[cst.Call]:
    """Drop each argument, or make it None, as mutmut does, but not the arguments that are texts."""
    texts = {index for index, argument in enumerate(node.args) if is_text(argument.value)}
    for changed in mutators.operator_arg_removal(node):
        kept = {id(argument) for argument in changed.args}
        if texts.isdisjoint(index for index, argument in enumerate(node.args) if id(argument) not in kept):
            yield changed


def assignment(node: cst.Assign | cst.AnnAssign) -> Iterable[cst.CSTNode]:
    """Assign None instead, as mutmut does, but not instead of a text."""
    return () if node.value is not None and is_text(node.value) else mutators.operator_assignment(node)


def no_call(node: cst.Expr) -> Iterable[cst.Pass]:
    """Drop a statement that is a call."""
    value = node.value.expression if isinstance(node.value, cst.Await) else node.value
    if isinstance(value, cst.Call) and not is_text(value):
        yield cst.Pass(semicolon=node.semicolon)


def no_raise(node: cst.Raise) -> Iterable[cst.Pass]:
    """Drop a `raise`."""
    yield cst.Pass(semicolon=node.semicolon)


def forced(node: cst.If | cst.CompIf) -> Iterable[cst.If | cst.CompIf]:
    """Force a condition to be false, and to be true."""
    condition = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    for operator, constant in ((cst.And(), "False"), (cst.Or(), "True")):
        yield node.with_changes(test=cst.BooleanOperation(left=condition, operator=operator, right=cst.Name(constant)))


Operator = Callable[[Any], Iterable[cst.CSTNode]]
"""Makes mutants of one node."""

REPLACED: dict[Operator, Operator | None] = {
    mutators.operator_string: None,
    mutators.operator_arg_removal: without_texts,
    mutators.operator_assignment: assignment,
}
"""What stands in for an operator of mutmut; None drops it."""

ADDED: list[tuple[type, Operator]] = [
    (cst.Expr, no_call),
    (cst.Raise, no_raise),
    (cst.If, forced),
    (cst.CompIf, forced),
]


class WithoutTexts(file_mutation.MutationVisitor):
    """Changes nothing within a text."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        return is_text(node) or super()._skip_node_and_children(node)


def install() -> None:
    """Put the changes in place."""
    kept = [(kind, REPLACED.get(operator, operator)) for kind, operator in mutators.mutation_operators]
    file_mutation.mutation_operators = [  # type: ignore[attr-defined]
        *((kind, operator) for kind, operator in kept if operator is not None),
        *ADDED,
    ]
    file_mutation.MutationVisitor = WithoutTexts  # type: ignore[misc]
