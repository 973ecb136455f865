"""Which counts of semi-sync clients tell more than the count before."""

from typing import Any

import pytest

from tests.unit.core.builders import NOW, alias, client_count
from vtorc.core.facts.client_count import tells_more

BEFORE = client_count()


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"asked_at": NOW, "told_at": NOW, "clients": 3, "is_settled": True}, False),
        ({"primary": alias("zone1-101")}, True),
        ({"unexplained": 1}, True),
        ({"unseen": 1}, True),
        ({"certain_since": NOW}, True),
    ],
)
def test_a_count_tells_more_if_other_clients_are_unknown(changes: dict[str, Any], more: bool) -> None:
    """Or if it is of another primary, or has become certain; a later count of the same is none."""
    assert tells_more(client_count(**changes), BEFORE) is more
    assert tells_more(BEFORE, client_count(**changes)) is more


def test_the_first_count_tells_more_than_none() -> None:
    """And so does the loss of the last one."""
    assert [tells_more(BEFORE, None), tells_more(None, BEFORE), tells_more(None, None)] == [True, True, False]
