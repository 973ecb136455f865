"""Draws the picture on a terminal of any size, or as text."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vtorc.lab.demo.board import Mark, Sentence
from vtorc.lab.demo.picture import Picture, TabletLine

_WIDE = 100
_STYLES = {
    Mark.GOOD: "green",
    Mark.REPAIR: "yellow",
    Mark.STAND_STILL: "magenta",
    Mark.FAILED: "bold red",
    Mark.PERSON: "cyan",
    Mark.WRITES: "blue",
}
_MYSQLD = {"running": ("●", "green"), "paused": ("‖", "yellow"), "down": ("✗", "bold red")}


def render(picture: Picture, console: Console, *, height: int | None = None) -> RenderableType:
    """Draw the picture; with a `height` (in lines) as many of the last sentences as fit, without one all of them."""
    head = _head(picture, console.width)
    foot: list[RenderableType] = [Text(picture.keys, style="reverse", overflow="fold")] if picture.keys else []
    if height is None:
        return Group(*head, _sentences(picture.sentences, ""), *foot)
    left = height - _lines(console, [*head, *foot])
    shown = list(_that_fit(picture.sentences, console, left))
    log = _sentences(shown, "")
    filler = [Text("")] * max(0, left - _lines(console, [log]))
    return Group(*head, log, *filler, *foot)


def as_text(picture: Picture, width: int) -> str:
    """Draw the picture without colours, for whoever asks from another terminal."""
    console = Console(width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(render(picture, console))
    return captured.get()


def _head(picture: Picture, width: int) -> list[RenderableType]:
    return [
        Text(picture.title, style="bold", overflow="ellipsis", no_wrap=True),
        _marked(picture.mark, picture.headline),
        Text(""),
        _topology(picture.tablets, wide=width >= _WIDE),
        Text(""),
        _labelled("WRITES", [Text(picture.writes)]),
        _labelled("FINDINGS", [_marked(mark, text) for mark, text in picture.findings] or [Text("none")]),
        Text(""),
    ]


def _topology(tablets: Sequence[TabletLine], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("CELL", "", "TABLET", "ROLE", "MYSQLD"):
        table.add_column(title, no_wrap=True)
    if wide:
        table.add_column("MYSQL PORT", no_wrap=True, justify="right")
    table.add_column("LAG", no_wrap=True, justify="right")
    table.add_column("SEMI-SYNC", no_wrap=True)
    table.add_column("GTIDS", no_wrap=True)
    by_cell = sorted(tablets, key=lambda line: line.alias)
    for cell, lines in groupby(by_cell, key=lambda line: line.alias.cell):
        for place, line in enumerate(lines):
            table.add_row(*_row(line, cell if place == 0 else "", wide=wide))
    return table


def _row(line: TabletLine, cell: str, *, wide: bool) -> list[Text]:
    known = "dim" if line.stale else ""
    shape, colour = _MYSQLD.get(line.mysqld, ("?", ""))
    cells = [
        Text(cell),
        Text(f"›{line.number}" if line.picked else f" {line.number}", style="reverse" if line.picked else "cyan"),
        Text(str(line.alias), style="bold" if line.role == "primary" else ""),
        Text(line.role, style="bold" if line.role == "primary" else known),
        Text(f"{shape} {line.mysqld}", style=colour),
    ]
    if wide:
        cells.append(Text(str(line.port), style="dim"))
    return [*cells, Text(line.lag, style=known), Text(line.semi_sync, style=known), Text(line.gtids, style=known)]


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


def _sentences(sentences: Sequence[Sentence], none: str) -> Table | Text:
    if not sentences:
        return Text(none)
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(width=1, no_wrap=True)
    grid.add_column(ratio=1)
    for each in sentences:
        at, mark = Text(f"{each.at:%H:%M:%S}", style="dim"), Text(each.mark.value, style=_STYLES[each.mark])
        grid.add_row(at, mark, Text(each.text))
    return grid


def _that_fit(sentences: Sequence[Sentence], console: Console, lines: int) -> Sequence[Sentence]:
    """The last sentences that together take at most so many lines."""
    shown: list[Sentence] = []
    for sentence in reversed(sentences):
        lines -= _lines(console, [_sentences([sentence], "")])
        if lines < 0:
            break
        shown.insert(0, sentence)
    return shown


def _lines(console: Console, blocks: Sequence[RenderableType]) -> int:
    return sum(len(console.render_lines(block, console.options.update(height=None))) for block in blocks)
