"""Draws the picture on a terminal of any size, or as text."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from vtorc.demo.demo_observer import Mark, Sentence
from vtorc.demo.picture import UNKNOWN, Picture, TabletLine

_WIDE = 100
# Wide enough for the usual values, so that no column moves; on a narrow screen 80 characters together.
_COLUMNS: tuple[tuple[str, int, JustifyMethod], ...] = (
    ("", 2, "left"),
    ("CELL", 5, "left"),
    ("TABLET", 16, "left"),
    ("ROLE", 10, "left"),
    ("MYSQLD", 9, "left"),
    ("MYSQL PORT", 10, "right"),
    ("LAG", 7, "right"),
    ("SEMI-SYNC", 12, "left"),
    ("GTIDS", 11, "left"),
)
_WIDE_ONLY = ("CELL", "MYSQL PORT")
_STYLES = {
    Mark.GOOD: "green",
    Mark.REPAIR: "yellow",
    Mark.NO_ACTION: "magenta",
    Mark.FAILED: "bold red",
    Mark.OPERATOR: "cyan",
    Mark.WRITES: "blue",
}
_MYSQLD = {"running": ("●", "green"), "paused": ("‖", "yellow"), "down": ("✗", "bold red")}


def render(picture: Picture, console: Console, *, height: int | None = None) -> RenderableType:
    """Draw the picture, with as many of the last sentences as fit into `height` lines; None means all of them."""
    head = _help(picture) if picture.help else _head(picture, console.width)
    sentences = () if picture.help else picture.sentences
    foot = [Text(line, style="reverse") for line in _foot(picture.keys, console.width)]
    if height is None:
        return Group(*head, _sentences(sentences), *foot)
    # Long findings fill a small screen: the last keys stay, with which servers are mended and the demo is ended.
    top = _lines(console, head)[: max(0, height - min(1, len(foot)))]
    foot = foot[max(0, len(top) + len(foot) - height) :]
    left = height - len(top) - len(foot)
    log = _lines(console, [_sentences(sentences[-left:])])[-left:] if left else []
    blank: list[list[Segment]] = [[] for _ in range(left - len(log))]
    return Group(Segments([part for line in [*top, *log, *blank] for part in (*line, Segment.line())]), *foot)


def as_text(picture: Picture, width: int) -> str:
    """Return the picture without colours, for another terminal."""
    console = Console(width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(render(picture, console))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _head(picture: Picture, width: int) -> list[RenderableType]:
    return [
        *_state(picture),
        _topology(picture.tablets, wide=width >= _WIDE),
        _labelled("WRITES", [Text(picture.writes)]),
        _labelled("FINDINGS", [_marked(mark, text) for mark, text in picture.findings] or [Text("none")]),
        _labelled("ASK", [Text(picture.ask, overflow="fold")]),
        Text(""),
    ]


def _help(picture: Picture) -> list[RenderableType]:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=7, no_wrap=True)
    grid.add_column(ratio=1)
    for key, text in picture.help:
        grid.add_row(Text(key, style="cyan"), Text(text, overflow="fold"))
    return [*_state(picture), grid]


def _state(picture: Picture) -> list[RenderableType]:
    return [
        Text(picture.title, style="bold", overflow="ellipsis", no_wrap=True),
        _marked(picture.mark, picture.headline),
        Text(""),
    ]


def _topology(tablets: Sequence[TabletLine], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title, width, justify in _COLUMNS:
        if wide or title not in _WIDE_ONLY:
            table.add_column(title, min_width=width, no_wrap=True, justify=justify)
    by_cell = sorted(tablets, key=lambda line: line.alias)
    for cell, lines in groupby(by_cell, key=lambda line: line.alias.cell):
        for place, line in enumerate(lines):
            table.add_row(*_row(line, cell if place == 0 else "", wide=wide))
    return table


def _row(line: TabletLine, cell: str, *, wide: bool) -> list[Text]:
    """Return the cells of one tablet; its alias names its cell, so a narrow screen leaves that column out."""
    weight = "bold" if line.role == "primary" else ""
    shape, colour = _MYSQLD.get(line.mysqld, (UNKNOWN, ""))
    return [
        Text(f"›{line.number}" if line.picked else f" {line.number}", style="reverse" if line.picked else "cyan"),
        *([Text(cell)] if wide else []),
        Text(str(line.alias), style=weight),
        Text(line.role, style=weight),
        Text(f"{shape} {line.mysqld}", style=colour),
        *([Text(str(line.port), style="dim")] if wide else []),
        Text(line.lag),
        Text(line.semi_sync),
        Text(line.gtids),
    ]


def _foot(keys: Sequence[str], width: int) -> list[str]:
    """Return as many lines as the keys need; a key and what it does stay on one line."""
    lines: list[str] = []
    for key in keys:
        if lines and len(lines[-1]) + len(key) <= width:
            lines[-1] += f"{key}  "
        else:
            lines.append(f" {key}  ")
    return [line.rstrip().ljust(width) for line in lines]


def _labelled(label: str, texts: Sequence[RenderableType]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(ratio=1)
    for place, text in enumerate(texts):
        grid.add_row(Text(label if place == 0 else "", style="dim"), text)
    return grid


def _marked(mark: Mark, text: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=1, no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_row(Text(mark.value, style=_STYLES[mark]), Text(text))
    return grid


def _sentences(sentences: Sequence[Sentence]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(width=1, no_wrap=True)
    grid.add_column(ratio=1)
    for each in sentences:
        at, mark = Text(f"{each.at:%H:%M:%S}", style="dim"), Text(each.mark.value, style=_STYLES[each.mark])
        grid.add_row(at, mark, Text(each.text))
    return grid


def _lines(console: Console, blocks: Sequence[RenderableType]) -> list[list[Segment]]:
    options = console.options.update(height=None)
    return [line for block in blocks for line in console.render_lines(block, options, pad=False)]
