"""What the demo concludes from the servers about cells."""

import pytest

from tests.unit.demo.shards import UUIDS, A, B, written
from vtorc.core.facts.gtid import GtidSet
from vtorc.demo.cells import alone_in_cell


@pytest.mark.parametrize(
    ("survived", "held", "unpromised", "breaches"),
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
    survived: GtidSet, held: GtidSet, unpromised: int, breaches: int
) -> None:
    """Writes of the old primary that survived without any other cell are counted, save those nobody was promised."""
    assert alone_in_cell(survived=survived, held=held, old_uuid=UUIDS[A], unpromised=unpromised) == breaches
