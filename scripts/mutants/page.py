"""The page of the mutants that no test can notice, `docs/mutants.md`: its rows, read and written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutants.md"

NOTHING = "–"
"""The cell of a mutant that drops whole lines."""

ROW = re.compile(
    r"^\| `(?P<place>[^`]+)` \| `+ ?(?P<before>.+?) ?`+ "
    rf"\| (?:`+ ?(?P<after>.+?) ?`+|{NOTHING}) \| (?P<reason>.+) \|$"
)


@dataclass(frozen=True)
class Change:
    """One mutant as the page names it: the function, and the lines before and after."""

    place: str
    """The module below `src/vtorc` without `.py`, a colon, and the function with its class."""
    before: str
    after: str

    @property
    def row(self) -> str:
        """The row of the page, with the reason to be filled in."""
        return f"| `{self.place}` | {_code(self.before)} | {_code(self.after)} | … |"

    @property
    def module(self) -> str:
        """The module below `src/vtorc`, without `.py`."""
        return self.place.partition(":")[0]


def page_rows(text: str) -> Iterator[tuple[Change, str]]:
    """Yield the mutants that the page lists, each with its reason."""
    for line in text.splitlines():
        if found := ROW.match(line):
            before, after = ((found[name] or "").replace("\\|", "|") for name in ("before", "after"))
            yield Change(found["place"], before, after), found["reason"]


def _code(text: str) -> str:
    """Return code for a cell of a table."""
    if not text:
        return NOTHING
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"
