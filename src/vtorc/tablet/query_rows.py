"""Rows of a statement that a tablet ran, out of the form in which it sends them."""

from vtorc.errors import TabletBadAnswer
from vtorc.mysql.survey import Row
from vtorc.proto import query_pb2


def rows(result: query_pb2.QueryResult) -> list[Row]:
    """Return the rows by column name, SQL NULL as None; raises TabletBadAnswer."""
    names = [field.name for field in result.fields]
    return [dict(zip(names, _cells(row, len(names)), strict=True)) for row in result.rows]


def _cells(row: query_pb2.Row, columns: int) -> list[str | None]:
    found: list[str | None] = []
    end = 0
    for length in row.lengths:
        start, end = end, end + max(length, 0)
        found.append(None if length < 0 else row.values[start:end].decode(errors="replace"))
    if len(found) != columns or end != len(row.values):
        raise TabletBadAnswer(
            f"a row of {len(found)} values in {len(row.values)} bytes: expected {columns} values in {end} bytes"
        )
    return found
