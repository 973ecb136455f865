"""SQL through a tablet: tests for modules with a fixture `shard` of servers that understand all of SQL."""

from tests.tablet_conformance.harness import PATIENCE, Shard, Tablet
from vtorc.proto import query_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm


async def test_sql_runs_for_the_caller(shard: Shard) -> None:
    """ExecuteFetchAsDba returns column names, wire types and values, also NULL."""
    result = await fetch(shard.tablets[0], "SELECT 7 AS number, 'seven' AS text, NULL AS nothing")
    assert [field.name for field in result.fields] == ["number", "text", "nothing"]
    assert [field.type for field in result.fields][:2] == [query_pb2.INT64, query_pb2.VARCHAR]
    assert list(result.rows[0].lengths) == [1, 5, -1]
    assert result.rows[0].values == b"7seven"


async def fetch(tablet: Tablet, sql: str) -> query_pb2.QueryResult:
    """Run a statement as the administrator."""
    request = tm.ExecuteFetchAsDbaRequest(query=sql.encode(), max_rows=10)
    return (await tablet.rpc.ExecuteFetchAsDba(request, timeout=PATIENCE)).result
