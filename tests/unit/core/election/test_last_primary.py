"""What is told of the last primary by its own answers, and by those of its replicas."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import answers, primary, replica, shard, uuid
from vtorc.core.election.last_primary import LastPrimary, last_primary
from vtorc.core.facts.views import ShardView


def replaced(*, seen: bool, replicas: bool) -> ShardView:
    """A shard with another server under the alias of its primary."""
    tablet = primary() if seen else primary(read_only=True)
    tablet = answers(tablet, server_uuid=uuid(900), read_only=True)
    return shard(tablet, *(replica(name) for name in ("zone1-101", "zone2-200") if replicas))


@pytest.mark.parametrize(
    ("seen", "replicas", "successor"),
    [(True, True, uuid(900)), (True, False, uuid(900)), (False, True, uuid(900)), (False, False, "")],
    ids=["both tell", "it was seen at work", "its replicas tell", "neither tells"],
)
def test_another_server_under_its_alias_is_told_from_the_one_that_was_primary(
    seen: bool, replicas: bool, successor: str
) -> None:
    """That one was seen at work, or else is the server that its replicas received from."""
    view = replaced(seen=seen, replicas=replicas)
    found = last_primary(view)
    assert found is not None
    assert found.replaced_by(view) == successor


def test_a_primary_that_was_never_seen_at_work_is_matched_by_no_tablet() -> None:
    """What it held is not known, so no log can be compared with it."""
    found = last_primary(shard(primary()))
    assert found is not None
    assert not replace(found, observed_term=None).is_matched_by({})
    assert not LastPrimary(tablet=found.tablet, observed_term=found.observed_term).is_matched_by({})
