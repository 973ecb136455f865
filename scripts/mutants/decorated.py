"""Takes the bodies of decorated functions out of them, because mutmut leaves alone each function with a decorator.

More than a hundred properties tell of tablets and shards what decisions rest on, and no mutant of them had been tried.
"""

from collections.abc import Iterator, Sequence

import libcst as cst
import libcst.matchers as m

_KNOWN = {"property", "cached_property", "contextmanager", "asynccontextmanager"}
"""The decorators with functions that may as well call another one."""

_MARK = "__of_"


def without_decorators(code: str) -> str:
    """Return the same code, in which each property and each context manager calls a plain function with its body."""
    return cst.parse_module(code).visit(_Split()).code


def name_of(function: str) -> str:
    """Return the name of the function that the body was taken out of."""
    return function.partition(_MARK)[0]


class _Split(cst.CSTTransformer):
    def __init__(self) -> None:
        self._within: list[cst.ClassDef | cst.FunctionDef] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._within.append(node)

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        self._within.pop()
        return updated_node

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._within.append(node)

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        self._within.pop()
        around = self._within[-1] if self._within else None
        if isinstance(around, cst.FunctionDef) or not _is_known(updated_node):
            return updated_node
        # The class is in the name: a property of a subclass that asks `super()` would call itself for ever.
        name = f"{updated_node.name.value}{_MARK}{around.name.value if around is not None else ''}"
        body = updated_node.with_changes(decorators=(), name=cst.Name(name))
        words = list(_passed_on(updated_node.params))
        called = f"{words.pop(0)}.{name}" if around is not None else name
        call = cst.parse_statement(f"return {called}({', '.join(words)})")
        outside = updated_node.with_changes(asynchronous=None, body=cst.IndentedBlock([call]))
        return cst.FlattenSentinel([outside, body])


def _is_known(function: cst.FunctionDef) -> bool:
    """Return whether a function has one decorator, a known one, and does anything."""
    if len(function.decorators) != 1:
        return False
    decorator = function.decorators[0].decorator
    name = decorator.attr if isinstance(decorator, cst.Attribute) else decorator
    return isinstance(name, cst.Name) and name.value in _KNOWN and not _is_empty(function.body.body)


def _is_empty(body: Sequence[cst.CSTNode]) -> bool:
    """Return whether a body is that of a protocol: a docstring and an ellipsis."""
    text = m.Expr(m.SimpleString() | m.ConcatenatedString() | m.Ellipsis())
    return all(m.matches(each, m.SimpleStatementLine([text])) or m.matches(each, text) for each in body)


def _passed_on(params: cst.Parameters) -> Iterator[str]:
    """Yield the arguments that give a function's parameters to another one like it."""
    for param in (*params.posonly_params, *params.params):
        yield param.name.value
    if isinstance(params.star_arg, cst.Param):
        yield f"*{params.star_arg.name.value}"
    for param in params.kwonly_params:
        yield f"{param.name.value}={param.name.value}"
    if params.star_kwarg is not None:
        yield f"**{params.star_kwarg.name.value}"
