"""The count of writes that only the primary's own cell held."""

import pytest

from tests.unit.demo.shards import UUIDS, A, B, written
from vtorc.core.facts.gtid import GtidSet
from vtorc.demo.cross_cell_check import one_cell_writes


@pytest.mark.parametrize(
    ("survived", "held", "in_doubt", "breaches"),
    [
        (written(50), written(50), 0, 0),
        (written(50), written(60), 0, 0),
        (written(50), written(49), 1, 0),
        (written(50), written(49), 0, 1),
        (written(50), written(40), 1, 9),
        (written(50).union(written(9, B)), written(50), 0, 0),
    ],
)
def test_what_only_the_primarys_own_cell_had_is_a_breach(
    survived: GtidSet, held: GtidSet, in_doubt: int, breaches: int
) -> None:
    """Surviving writes of the old primary that no other cell had are counted, except for those in doubt."""
    assert one_cell_writes(survived=survived, held=held, old_uuid=UUIDS[A], in_doubt=in_doubt) == breaches
