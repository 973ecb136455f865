"""Which tablets replicate from a server outside their shard."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, alias, answers, failing, primary, replica, shard, unprobed
from vtorc.core.facts.external_source import external_source
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, X = "zone1-101", "zone2-200", "zone9-900"
FED = replica(R1, of=X, executed="100:1-50,900:1-5")
EXTERNAL = f"mysql-{X}:3306"


def ended(tablet: TabletView) -> TabletView:
    """The tablet, which is told to replicate from no server any more, and names the last one's UUID still."""
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, source_host="", source_port=0))


def source_of(view: ShardView, name: str = R1) -> str:
    tablet = view.tablet(alias(name))
    assert tablet is not None
    return external_source(view, tablet)


@pytest.mark.parametrize(
    ("view", "source"),
    [
        pytest.param(shard(primary(), FED), EXTERNAL, id="it has received what that server wrote"),
        pytest.param(shard(primary(dead_for=9), FED), EXTERNAL, id="the primary is dead"),
        pytest.param(
            shard(primary(), replica(R1, TabletType.DRAINED, of=X, executed="900:1-5")), EXTERNAL, id="a drained tablet"
        ),
        pytest.param(shard(primary(), replica(R1, of=X)), "", id="it has received nothing of it, so it may be a relay"),
        pytest.param(shard(primary(), replica(R1)), "", id="it replicates from the primary"),
        pytest.param(shard(primary(), replica(R1, of=None)), "", id="it has no source"),
        pytest.param(
            shard(primary(executed="100:1-50,900:1-3"), FED),
            "",
            id="that server was the primary, and its record is gone",
        ),
        pytest.param(shard(primary(), FED, replica(X)), "", id="that server is a tablet"),
        pytest.param(shard(primary(), FED, unprobed(replica(R2))), EXTERNAL, id="another tablet was not asked yet"),
        pytest.param(
            shard(primary(), FED, unreachable_cells={"zone9": "no route"}), EXTERNAL, id="a cell cannot be read"
        ),
        pytest.param(shard(primary(dead_for=9, never_heard=True), FED), "", id="the primary was never heard"),
        pytest.param(shard(replica(R2), FED), "", id="there is no primary"),
        pytest.param(shard(primary(), failing(FED)), "", id="it does not answer now"),
        pytest.param(shard(primary(), ended(FED)), "", id="it has a source no more"),
    ],
)
def test_an_external_source_is_a_server_that_neither_is_nor_was_a_tablet_of_the_shard(
    view: ShardView, source: str
) -> None:
    """A source is external if the tablet has writes of it that the shard never had."""
    assert source_of(view) == source


def test_an_address_that_moved_is_known_by_its_uuid() -> None:
    """A tablet of the shard is no external source, even under another address."""
    other = replica(X, record_changes={"mysql_hostname": "moved"})
    assert source_of(shard(primary(), FED, other)) == ""


def test_a_primary_may_have_an_external_source() -> None:
    """A primary may replicate from an unknown server: a database that is being moved into this shard."""
    fed = primary(source=X, executed="100:1-50,900:1-5")
    assert source_of(shard(fed, replica(R2)), P) == EXTERNAL


@pytest.mark.parametrize(
    "changes",
    [{"bad_records": {alias(X): "truncated"}}, {"unreachable_cells": {"zone9": "no route"}}],
    ids=lambda c: str(*c),
)
def test_a_primary_may_follow_a_tablet_that_is_not_known(changes: dict[str, Any]) -> None:
    """A tablet that is unknown may be the one that the primary replicates from."""
    fed = primary(source=X, executed="100:1-50,900:1-5")
    assert source_of(shard(fed, replica(R2), **changes), P) == ""
    assert source_of(shard(fed, unprobed(replica(R2))), P) == ""
