"""Check four rules of this project that the usual tools lack, for all of `src/vtorc` but the generated code.

1. Words for persons are rare: in each package fewer than 1 in 1,000 words is `who`, `nobody`, `somebody` or the like.
   The parts of a program have names of their own; only an operator is a `who`. Docstrings and comments are counted
   together, and the strings that the program shows apart from them.
2. No sentence of a docstring or comment begins with `What` or `Who` as a noun: the thing has a name.
3. A class name is used once at the top level of modules, so that the name identifies the class.
4. Modules do not import each other in a circle, also not inside a function or for types only. A reader of one of them
   would have to read all.

It prints one line for each rule that holds. With a broken rule it prints a line for each place and exits 1.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
ROOT_PACKAGE = "vtorc"
LIMIT = 1.0
"""Words for persons in 1,000 words; a package has to stay below it."""

PERSON = re.compile(
    r"\b(?:who|whoever|whom|whose|nobody|somebody|everybody|anybody|someone|everyone|anyone)\b", re.IGNORECASE
)
NAMELESS = re.compile(r"\W*(?:What|Who|Whose|Whoever)\b")
"""The beginning of a sentence with a question word in place of a noun, unless the sentence asks."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
WORD = re.compile(r"[^\W\d_]\w*(?:['’]\w+)*")

KINDS = ("docstrings and comments", "shown strings")
"""The kinds of text, which are counted separately."""

Graph = Mapping[str, Collection[str]]
"""For each module, the modules that it imports."""


@dataclass(frozen=True)
class Passage:
    """A comment or a string, with the first and last line of the file it stands on."""

    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Module:
    """A Python file of the product."""

    path: Path
    """The path as printed, relative to the parent folder of `src`."""

    name: str
    is_package: bool
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed code."""
        return ast.parse(self.text, str(self.path))

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the file, the first at 0."""
        return self.text.split("\n")

    @property
    def package(self) -> str:
        """The top-level package; modules outside of one count together as the root package."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 2 or (self.is_package and len(parts) == 2) else ROOT_PACKAGE


def read_modules(source: Path) -> list[Module]:
    """Read all modules of the product below `source`, without generated code."""
    paths = sorted(path for path in (source / ROOT_PACKAGE).rglob("*.py") if "_pb2" not in path.name)
    proto = source / ROOT_PACKAGE / "proto"
    return [_read(path, source) for path in paths if proto not in path.parents]


def _read(path: Path, source: Path) -> Module:
    parts = path.relative_to(source).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(path.relative_to(source.parent), name, is_package, path.read_text(encoding="utf-8"))


# Words for persons


@dataclass(frozen=True)
class Hit:
    """A word for a person, and its place."""

    path: Path
    line: int
    word: str
    text: str


@dataclass
class Count:
    """The words of one kind of text in one package, and those among them that are words for persons."""

    words: int = 0
    hits: list[Hit] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Words for persons in 1,000 words."""
        return 1000 * len(self.hits) / self.words if self.words else 0.0

    def __str__(self) -> str:
        return f"{len(self.hits)} of {self.words}, {self.rate:.2f} per 1,000, limit below {LIMIT:g}"


class _Strings(ast.NodeVisitor):
    """Sorts the strings of a module: strings that are a statement are docstrings, all others may be shown."""

    def __init__(self) -> None:
        self.docstrings: list[Passage] = []
        self.shown: list[Passage] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            self.docstrings.append(_passage(node.value, node.value.value))
        else:
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.shown.append(_passage(node, node.value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Add an f-string as one passage, and strings inside its braces as further ones, without format specs."""
        texts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
        self.shown.append(_passage(node, "".join(texts)))
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)


def _passage(node: ast.expr, text: str) -> Passage:
    return Passage(text, node.lineno, node.end_lineno or node.lineno)


def passages(module: Module) -> dict[str, list[Passage]]:
    """Return the passages of a module, by kind of text."""
    strings = _Strings()
    strings.visit(module.tree)
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    comments = [
        Passage(token.string, token.start[0], token.end[0]) for token in tokens if token.type == tokenize.COMMENT
    ]
    return dict(zip(KINDS, (strings.docstrings + comments, strings.shown), strict=True))


def hits_in(module: Module, passage: Passage) -> Iterator[Hit]:
    """Find the words for persons in a passage, each with its line in the file."""
    numbers = range(passage.first, passage.last + 1)
    places = ((number, word) for number in numbers for word in PERSON.findall(module.lines[number - 1]))
    for word in PERSON.findall(passage.text):
        line = next((number for number, written in places if written == word), passage.first)
        yield Hit(module.path, line, word, module.lines[line - 1].strip())


def count_words(modules: Iterable[Module]) -> dict[tuple[str, str], Count]:
    """Count words and words for persons, for each package and kind of text."""
    counts: dict[tuple[str, str], Count] = defaultdict(Count)
    for module in modules:
        for kind, found in passages(module).items():
            count = counts[module.package, kind]
            for passage in sorted(found, key=lambda passage: passage.first):
                count.words += len(WORD.findall(passage.text))
                count.hits += hits_in(module, passage)
    return dict(sorted(counts.items()))


def too_many_persons(counts: Mapping[tuple[str, str], Count]) -> list[str]:
    """Describe the packages and kinds of text that are not below the limit."""
    return [
        f"{_folder(package)}: words for persons in {kind}: {count}: name the part, task or tablet instead "
        f"(--verbose --package {package} lists them)"
        for (package, kind), count in counts.items()
        if count.rate >= LIMIT
    ]


def _folder(package: str) -> str:
    return f"src/{ROOT_PACKAGE}/" + ("*.py" if package == ROOT_PACKAGE else package)


def _most(counts: Mapping[tuple[str, str], Count]) -> str:
    """Name the package and kind of text with the highest rate."""
    (package, kind), count = max(counts.items(), key=lambda item: item[1].rate)
    return f"at most {count.rate:.2f} per 1,000 words, in {kind} of {package}"


# Beginnings of sentences


def nameless(modules: Iterable[Module]) -> list[str]:
    """Describe the sentences of docstrings and comments that begin with a question word and are no questions."""
    return [
        f"{module.path}:{passage.first}: {sentence.strip()}: name the thing instead of the question word"
        for module in modules
        for passage in passages(module)[KINDS[0]]
        for sentence in SENTENCE_END.split(passage.text)
        if NAMELESS.match(sentence) and not sentence.rstrip().endswith("?")
    ]


# Class names


def top_level_classes(node: ast.AST) -> Iterator[ast.ClassDef]:
    """Find the classes that can be imported from a module, also those defined under an `if` or `try`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield child
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from top_level_classes(child)


def repeated_classes(modules: Iterable[Module]) -> dict[str, list[Module]]:
    """Return the class names that more than one module defines, with these modules."""
    places: dict[str, dict[str, Module]] = defaultdict(dict)
    for module in modules:
        for found in top_level_classes(module.tree):
            places[found.name][module.name] = module
    return {name: list(owners.values()) for name, owners in sorted(places.items()) if len(owners) > 1}


def _repetition(name: str, owners: Sequence[Module]) -> str:
    files = ", ".join(str(module.path) for module in owners)
    return f"{files}: class {name} is defined {len(owners)} times: give each a name that says which one it is"


# Circles of imports


def imported(module: Module, names: Collection[str]) -> set[str]:
    """Return those of the modules `names` that a module imports, at any place of its code."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            members = (f"{origin}.{alias.name}" for alias in node.names)
            found.update(member if member in names else origin for member in members)
    return found.intersection(names)


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """Return the full name of the module after `from`; in a package one dot stands for the package itself."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    above = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*above, node.module] if node.module else above)


def import_graph(modules: Sequence[Module]) -> Graph:
    """Return the modules that each module imports."""
    names = {module.name for module in modules}
    return {module.name: imported(module, names) for module in modules}


def shortest_circle(graph: Graph, start: str) -> list[str]:
    """Return a shortest path from a module back to it, with the module at both ends; empty if there is none."""
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:  # the list grows meanwhile, with longer paths at its end
        for name in sorted(graph[path[-1]]):
            if name == start:
                return [*path, name]
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    return []


def reachable(graph: Graph, start: str) -> set[str]:
    """Return all modules that a module imports, directly or through others."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = set(graph[ahead.pop()]) - found
        found |= new
        ahead += new
    return found


def circles(graph: Graph) -> dict[frozenset[str], list[str]]:
    """Return the largest groups of modules that all import each other, directly or through others.

    Each group has a shortest circle in it. Two circles that share a module are in one group, which must be mended as a
    whole.
    """
    reach = {name: reachable(graph, name) for name in graph}
    groups = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph} - {frozenset()}
    return {
        group: min((shortest_circle(graph, name) for name in sorted(group)), key=len)
        for group in sorted(groups, key=sorted)
    }


def _circle(group: Collection[str], names: Sequence[str], paths: Mapping[str, Path]) -> str:
    larger = f", the shortest in a knot of {len(group)} modules" if len(group) > len(names) - 1 else ""
    return (
        f"{paths[names[0]]}: circle of imports {' -> '.join(names)}{larger}: "
        "move their shared code into a module that imports none of them"
    )


# The command


def main(words: Sequence[str], source: Path = SOURCE) -> int:
    """Check the product below `source`, print the results, and return the exit code."""
    options = _parser().parse_args(words)
    modules = read_modules(source)
    known = sorted({module.package for module in modules})
    if options.package and options.package not in known:
        sys.exit(f"no package {options.package} in {source / ROOT_PACKAGE}; there are {', '.join(known)}")
    chosen = {options.package} if options.package else set(known)
    results = [
        check_persons(modules, chosen, verbose=options.verbose),
        check_beginnings(modules, chosen),
        check_classes(modules, chosen),
        check_circles(modules, chosen),
    ]
    return 0 if all(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true", help="list each word for a person, as file:line: word: line")
    parser.add_argument("--package", metavar="NAME", help="report only this package, for all four rules")
    return parser


def check_persons(modules: Iterable[Module], chosen: Collection[str], *, verbose: bool = False) -> bool:
    """Check and report how often the chosen packages have words for persons."""
    counts = count_words(module for module in modules if module.package in chosen)
    for hit in (hit for count in counts.values() for hit in count.hits if verbose):
        print(f"{hit.path}:{hit.line}: {hit.word}: {hit.text}")
    return _report(too_many_persons(counts), f"words for persons: {_most(counts)}")


def check_beginnings(modules: Sequence[Module], chosen: Collection[str]) -> bool:
    """Check and report the sentences of the chosen packages that begin with a question word in place of a noun."""
    ours = [module for module in modules if module.package in chosen]
    return _report(nameless(ours), f"sentences: those of {len(ours)} modules begin with a name")


def check_classes(modules: Sequence[Module], chosen: Collection[str]) -> bool:
    """Check and report the classes of the chosen packages with a name that any package uses again."""
    ours = {module for module in modules if module.package in chosen}
    repeated = repeated_classes(modules)
    problems = [_repetition(name, owners) for name, owners in repeated.items() if not ours.isdisjoint(owners)]
    return _report(problems, f"class names: those of {len(ours)} modules are used once")


def check_circles(modules: Sequence[Module], chosen: Collection[str]) -> bool:
    """Check and report the modules of the chosen packages that are in a circle of imports."""
    ours = {module.name for module in modules if module.package in chosen}
    paths = {module.name: module.path for module in modules}
    graph = import_graph(modules)
    problems = [_circle(group, names, paths) for group, names in circles(graph).items() if ours & group]
    return _report(problems, f"imports: {len(ours)} modules are in no circle")


def _report(problems: Iterable[str], summary: str) -> bool:
    """Print the problems, or the summary if there are none; return whether there are none."""
    lines = list(problems)
    print(*(lines or [summary]), sep="\n")
    return not lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
