"""The shards that `--clusters_to_watch` makes vtorc act on."""

import pytest

from vtorc.control.scope import Scope
from vtorc.core.facts.ids import ShardId
from vtorc.errors import NameParseError


@pytest.mark.parametrize(
    ("entries", "shard", "covered"),
    [
        ((), "commerce/-80", True),
        ((), "commerce/80-8000", True),
        (("commerce",), "commerce/0", True),
        (("commerce",), "orders/0", False),
        (("commerce/-80",), "commerce/40-80", True),
        (("commerce/-80",), "commerce/40-c0", False),
        (("orders", "commerce/80-"), "commerce/80-c0", True),
        (("commerce",), "commerce/80-8000", True),
        (("commerce",), "commerce/-00", True),
        (("commerce",), "commerce/a-b-c", True),
        (("commerce/80-",), "commerce/80-8000", False),
        (("commerce/-80", "commerce"), "commerce/-00", True),
    ],
)
def test_a_shard_is_covered_by_an_entry_that_contains_it(entries: tuple[str, ...], shard: str, covered: bool) -> None:
    """An entry covers its keyspace or key range; a shard whose name is no range is covered by whole keyspaces only."""
    keyspace, _, name = shard.partition("/")
    assert Scope.parse(entries).covers(ShardId(keyspace, name)) is covered


@pytest.mark.parametrize("entry", ["", "/-80", "commerce/80-40", "commerce/xyz"])
def test_an_entry_that_cannot_be_read_is_refused(entry: str) -> None:
    """A malformed entry is an error instead of being skipped, which could widen the scope to everything."""
    with pytest.raises(NameParseError):
        Scope.parse([entry])
