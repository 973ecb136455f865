"""Wire types of statement results."""

import pytest

from vtorc.lab.mysql_connection import quote, quote_name
from vtorc.lab.mysql_fetch import query_type
from vtorc.proto import query_pb2
from vtorc.vttablet.sql_session import Column

UNSIGNED, ENUM, SET = 32, 256, 2048
BINARY, UTF8 = 63, 255


@pytest.mark.parametrize(
    ("number", "flags", "charset", "expected"),
    [
        (1, 0, BINARY, query_pb2.INT8),
        (1, UNSIGNED, BINARY, query_pb2.UINT8),
        (2, UNSIGNED, BINARY, query_pb2.UINT16),
        (9, UNSIGNED, BINARY, query_pb2.UINT24),
        (3, UNSIGNED, BINARY, query_pb2.UINT32),
        (8, 0, BINARY, query_pb2.INT64),
        (8, UNSIGNED, BINARY, query_pb2.UINT64),
        (13, UNSIGNED, BINARY, query_pb2.YEAR),
        (4, 0, BINARY, query_pb2.FLOAT32),
        (5, 0, BINARY, query_pb2.FLOAT64),
        (246, 0, BINARY, query_pb2.DECIMAL),
        (6, 0, BINARY, query_pb2.NULL_TYPE),
        (7, 0, BINARY, query_pb2.TIMESTAMP),
        (12, 0, BINARY, query_pb2.DATETIME),
        (16, 0, BINARY, query_pb2.BIT),
        (245, 0, BINARY, query_pb2.JSON),
        (252, 0, UTF8, query_pb2.TEXT),
        (252, 0, BINARY, query_pb2.BLOB),
        (253, 0, UTF8, query_pb2.VARCHAR),
        (253, 0, BINARY, query_pb2.VARBINARY),
        (254, 0, UTF8, query_pb2.CHAR),
        (254, 0, BINARY, query_pb2.BINARY),
        (254, ENUM, UTF8, query_pb2.ENUM),
        (254, SET, UTF8, query_pb2.SET),
    ],
)
def test_protocol_types_have_their_wire_types(number: int, flags: int, charset: int, expected: int) -> None:
    """Each protocol type, with its flags and character set, has Vitess' query.Type."""
    assert query_type(Column("x", number, charset, flags)) == expected


def test_quoting_keeps_quotes_and_backslashes_inside() -> None:
    """Quotes, backslashes and backticks within values and names do not end them."""
    assert quote("it's \\ fine") == "'it''s \\\\ fine'"
    assert quote_name("a`b") == "`a``b`"
