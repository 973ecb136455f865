"""Lines of text: marks of states, aligned columns, wrapped sentences, times and durations. Pure."""

import datetime
import textwrap
from collections.abc import Sequence

from vtorc.forms.shard_states import STATE_MARKS, STATE_WORDS

WRONG = "✗"
"""The mark of something that is wrong with a tablet, or of a recovery that did not succeed."""

NOT_KNOWN = "–"

GAP = "  "

TIE = "\N{NO-BREAK SPACE}"
"""A space at which no line is broken, as between a number and its unit."""


def state_mark(state: str) -> str:
    """Return the mark of a state; that of "unknown" for one that a later vtorc may have."""
    return STATE_MARKS.get(state, STATE_MARKS["unknown"])


def state_words(state: str) -> str:
    """Return a state as it is shown, with its mark."""
    return f"{state_mark(state)} {STATE_WORDS.get(state, state)}"


def columns(rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), numbers: Sequence[int] = ()) -> list[str]:
    """Return rows as lines, each column as wide as its widest value.

    Columns with positions in `numbers` are aligned at the right. Each word stays whole, as names must be copied whole.
    """
    table = [*([header] if header and rows else []), *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))] if table else []
    return [
        GAP.join(
            value.rjust(width) if at in numbers else value.ljust(width)
            for at, (value, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def wrapped(text: str, width: int, *, indent: str = "", first: str | None = None) -> list[str]:
    """Return a text as lines of at most `width` characters, which no word is broken for.

    `first` stands before the first line in place of `indent`. A `TIE` in the text becomes a space.
    """
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(TIE, " ") for line in lines]


def packed(phrases: Sequence[str], width: int, *, indent: str) -> list[str]:
    """Return phrases, none of them broken, on as few lines of at most `width` characters as they need.

    `indent` stands before all lines but the first.
    """
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + len(GAP) + len(phrase) <= width:
            lines[-1] += GAP + phrase
        else:
            lines.append((indent if lines else "") + phrase)
    return [line.rstrip() for line in lines]


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which gets an s unless there is one of it."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clock_time(rfc3339: str) -> str:
    """Return a time without its fraction of a second, as `2026-11-29 03:12:07Z`; another text as it is."""
    at = _parsed(rfc3339)
    return rfc3339 if at is None else at.strftime("%Y-%m-%d %H:%M:%SZ")


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one RFC 3339 time to another; None if either is malformed."""
    begin, end = _parsed(earlier), _parsed(later)
    return None if begin is None or end is None else (end - begin).total_seconds()


def _parsed(rfc3339: str) -> datetime.datetime | None:
    try:
        at = datetime.datetime.fromisoformat(rfc3339)
    except ValueError:
        return None
    return at.astimezone(datetime.UTC) if at.tzinfo is not None else None


def duration(seconds: float) -> str:
    """Return a duration with the two largest units that it has, and tenths below a minute."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (whole, "s")]
    largest = next(at for at, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for count, unit in units[largest : largest + 2] if count)
