"""The check of the house's own rules, on small products made for it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.check_house import count_words, main, nameless, read_modules

FILLER = "word " * 1500


def product(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a product's files, named from `src/vtorc` on, and return its source folder."""
    for name, text in files.items():
        path = folder / "src" / "vtorc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "src"


def hits(source: Path) -> list[tuple[str, str, int, str]]:
    """Return the words for persons in a product: package, kind of text (its first word), line and word."""
    counts = count_words(read_modules(source))
    return [
        (package, kind.split()[0], hit.line, hit.word)
        for (package, kind), count in counts.items()
        for hit in count.hits
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""Who."""', [("docstrings", 1, "Who")]),
        ('class A:\n    """One.\n\n    And WHOM.\n    """', [("docstrings", 4, "WHOM")]),
        ('async def f() -> None:\n    """Nobody\'s."""', [("docstrings", 2, "Nobody")]),
        ('x = 1\n"""For someone, whose it is."""', [("docstrings", 2, "someone"), ("docstrings", 2, "whose")]),
        ("x = 1  # for everyone", [("docstrings", 1, "everyone")]),
        ('x = "anybody"', [("shown", 1, "anybody")]),
        ('x = f"{1} whoever {1:who}"', [("shown", 1, "whoever")]),
        (
            'x = (\n    "one "\n    f"everybody {1} "\n    "anyone"\n)',
            [("shown", 3, "everybody"), ("shown", 4, "anyone")],
        ),
        ("x = f\"{'somebody' if x else 1}\"", [("shown", 1, "somebody")]),
        ("who = b'who'\nwho_else = whose_name = who", []),
        ('"""The whole of a wholly anyonesided matter, who_is_it."""', []),
    ],
)
def test_finds_words_for_persons(tmp_path: Path, text: str, found: list[tuple[str, int, str]]) -> None:
    """Whole words in docstrings, comments and other strings are found on their lines, and names in code are not."""
    assert hits(product(tmp_path, {"core/a.py": text})) == [("core", *hit) for hit in found]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"""What it does."""', ["src/vtorc/core/a.py:1: What it does."]),
        ('x = 1\n"""One.\n\nWho asks is told."""', ["src/vtorc/core/a.py:2: Who asks is told."]),
        ("x = 1  # Whose it is", ["src/vtorc/core/a.py:1: # Whose it is"]),
        ('"""One. What it does; None if unknown."""', ["src/vtorc/core/a.py:1: What it does; None if unknown."]),
        ('"""What is wrong? It says what."""', []),
        ('x = "What it does."', []),
        ('"""Whatever it does, and what for."""', []),
    ],
)
def test_finds_sentences_without_a_name(tmp_path: Path, text: str, told: list[str]) -> None:
    """A sentence of a docstring or comment that begins with a question word is told, unless it asks."""
    found = nameless(read_modules(product(tmp_path, {"core/a.py": text})))
    assert found == [f"{each}: name the thing instead of the question word" for each in told]


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("core/a.py", "core"),
        ("core/deep/a.py", "core"),
        ("core/__init__.py", "core"),
        ("app.py", "vtorc"),
        ("__init__.py", "vtorc"),
        ("proto/__init__.py", None),
        ("core/a_pb2.py", None),
    ],
)
def test_counts_for_the_top_level_package(tmp_path: Path, name: str, package: str | None) -> None:
    """A file counts for its top-level package, a single module for the root, and generated code for none."""
    assert [hit[0] for hit in hits(product(tmp_path, {name: "# who"}))] == ([package] if package else [])


@pytest.mark.parametrize(("words", "code"), [(1001, 0), (1000, 1)], ids=["below the limit", "at the limit"])
@pytest.mark.parametrize("form", ["# {}", "x = '{}'"], ids=["comment", "string"])
def test_limits_words_for_persons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, words: int, code: int
) -> None:
    """One word for a person in a thousand words breaks the rule, and one in more does not."""
    source = product(tmp_path, {"core/a.py": form.format("who" + " word" * (words - 1))})
    assert main([], source) == code
    assert ("src/vtorc/core: words for persons in" in capsys.readouterr().out) == bool(code)


def test_lists_the_words_of_one_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verbose list for one package names file, line, word and text of its words only, also below the limit."""
    source = product(tmp_path, {"core/a.py": f"# {FILLER}\nx = 1  # who", "topo/a.py": "# who"})
    assert main(["--verbose", "--package", "core"], source) == 0
    assert capsys.readouterr().out.splitlines() == [
        "src/vtorc/core/a.py:2: who: x = 1  # who",
        "words for persons: at most 0.67 per 1,000 words, in docstrings and comments of core",
        "sentences: those of 1 modules begin with a name",
        "class names: those of 1 modules are used once",
        "imports: 1 modules are in no circle",
    ]


def test_refuses_an_unknown_package(tmp_path: Path) -> None:
    """A package that is not there is refused, with the names of those that are."""
    with pytest.raises(SystemExit, match=r"no package cor in .*; there are core, topo"):
        main(["--package", "cor"], product(tmp_path, {"core/a.py": "", "topo/a.py": ""}))


@pytest.mark.parametrize(
    ("one", "other", "repeated"),
    [
        ("class A: ...", "class A: ...", True),
        ("class A: ...", "if 1:\n    x = 1\nelse:\n    class A: ...", True),
        ("class A: ...", "class B: ...", False),
        ("class A: ...", "class B:\n    class A: ...", False),
        ("class A: ...", "def f():\n    class A: ...", False),
        ("class A: ...", "from vtorc.core.a import A", False),
        ("try:\n    class A: ...\nexcept OSError:\n    class A: ...", "", False),
    ],
)
def test_names_both_files_of_a_repeated_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: str, other: str, repeated: bool
) -> None:
    """Two modules with a top-level class of one name are both named, and inner classes may share names."""
    source = product(tmp_path, {"core/a.py": one, "topo/b.py": other, "proto/c.py": one})
    assert main([], source) == repeated
    line = "src/vtorc/core/a.py, src/vtorc/topo/b.py: class A is defined 2 times"
    assert (line in capsys.readouterr().out) == repeated


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"core/a.py": "import vtorc.core.b", "core/b.py": "from vtorc.core import a"}, "core.a -> core.b -> core.a"),
        ({"a.py": "from vtorc.b import x", "b.py": "def f():\n    from vtorc import a"}, "a -> b -> a"),
        ({"a.py": "import vtorc.b", "b.py": "if TYPE_CHECKING:\n    from vtorc.a import A"}, "a -> b -> a"),
        (
            {"core/__init__.py": "from .deep import a", "core/deep/a.py": "from .. import X"},
            "core -> core.deep.a -> core",
        ),
        ({"core/a.py": "from .b import x", "core/b.py": "from . import a"}, "core.a -> core.b -> core.a"),
        ({"a.py": "import vtorc.a"}, "a -> a"),
        ({"a.py": "import vtorc.b", "b.py": "import vtorc.c", "c.py": "import vtorc.a"}, "a -> b -> c -> a"),
        (
            {
                "core/__init__.py": "from vtorc.core.a import A",
                "core/a.py": "from vtorc.core import b",
                "core/b.py": "",
            },
            "",
        ),
        ({"a.py": "import vtorc.b, os", "b.py": "import vtorc.c", "c.py": "import a, vtorc.none"}, ""),
        ({"a.py": "import vtorc.b, vtorc.c", "b.py": "import vtorc.d", "c.py": "import vtorc.d", "d.py": ""}, ""),
    ],
)
def test_finds_circles_of_imports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: Mapping[str, str], circle: str
) -> None:
    """A circle is found wherever its imports stand, and a package's own module is in one only if it is imported."""
    assert main([], product(tmp_path, files)) == bool(circle)
    lines = [line for line in capsys.readouterr().out.splitlines() if "circle of imports" in line]
    assert [line.split(": ")[1].replace("vtorc.", "") for line in lines] == (
        [f"circle of imports {circle}"] if circle else []
    )


def test_gives_the_shortest_circle_of_a_knot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Circles that share a module are one line with the shortest, and others have lines of their own."""
    imports = {"a": "b", "b": "c", "c": "a, vtorc.d", "d": "c", "e": "f, vtorc.a", "f": "e"}
    source = product(tmp_path, {f"{name}.py": f"import vtorc.{others}" for name, others in imports.items()})
    assert main([], source) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[0] for line in lines if "circle of imports" in line] == [
        "src/vtorc/c.py: circle of imports vtorc.c -> vtorc.d -> vtorc.c, the shortest in a knot of 4 modules",
        "src/vtorc/e.py: circle of imports vtorc.e -> vtorc.f -> vtorc.e",
    ]


@pytest.mark.parametrize(("package", "code"), [("core", 1), ("topo", 1), ("cli", 0)])
def test_tells_only_of_a_chosen_package(tmp_path: Path, package: str, code: int) -> None:
    """A class name and a circle break the rules for each package with a part in them, and for no other."""
    files = {
        "core/a.py": "import vtorc.topo.a\nclass A: ...",
        "topo/a.py": "import vtorc.core.a\nclass A: ...",
        "cli/a.py": "import vtorc.core.a",
    }
    assert main(["--package", package], product(tmp_path, files)) == code
