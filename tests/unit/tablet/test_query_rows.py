from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.errors import TabletBadAnswer
from vtorc.proto.query_pb2 import Field, QueryResult, Row
from vtorc.tablet.query_rows import rows


def table(*found: dict[str, str | None]) -> QueryResult:
    """Build a result as tablets send it."""
    return QueryResult(
        fields=[Field(name=name) for name in (found[0] if found else {})],
        rows=[
            Row(
                lengths=[-1 if cell is None else len(cell.encode()) for cell in row.values()],
                values="".join(cell or "" for cell in row.values()).encode(),
            )
            for row in found
        ],
    )


def test_a_row_that_does_not_fit_its_columns_is_refused() -> None:
    """The error says how many values and bytes came, and how many were expected."""
    with pytest.raises(TabletBadAnswer, match="expected 0 values in 1 bytes"):
        rows(QueryResult(rows=[Row(lengths=[1], values=b"x")]))


@given(st.lists(st.lists(st.text(max_size=5) | st.none(), min_size=2, max_size=2), max_size=4))
def test_cells_are_cut_as_they_were_joined(cells: list[list[str | None]]) -> None:
    """NULL, empty and multi-byte values survive."""
    found = [dict(zip(("a", "b"), row, strict=True)) for row in cells]
    assert rows(table(*found)) == found


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3), st.binary(max_size=8))
def test_any_row_is_read_or_refused(lengths: list[int], values: bytes) -> None:
    """Any answers give a status or TabletBadAnswer."""
    names = [Field(name=name) for name in ("a", "b")]
    with suppress(TabletBadAnswer):
        found: list[Any] = rows(QueryResult(fields=names, rows=[Row(lengths=lengths, values=values)]))
        assert [*found[0]] == ["a", "b"]
