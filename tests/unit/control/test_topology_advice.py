"""The warnings about a topology that has nothing of what the settings name."""

from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from vtorc.control.topology_advice import TopologyAdvice
from vtorc.core.facts.ids import ShardId

SHARD = ShardId("commerce", "-80")


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Catch what is logged."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines
    structlog.reset_defaults()


def test_an_entry_that_matches_nothing_is_named_once_while_that_lasts(logged: list[EventDict]) -> None:
    """Each entry without a shard is one warning with its text, and another one after it had shards meanwhile."""
    advice = TopologyAdvice(["commerce", "comerce/-80"], root="/vitess/global")
    for shards in ([SHARD], [SHARD], [SHARD, ShardId("comerce", "-80")], [SHARD]):
        advice.read(shards)
    assert [(line["log_level"], line["event"]) for line in logged] == 2 * [
        (
            "warning",
            "clusters_to_watch: 'comerce/-80' matches none of the 1 shards, so vtorc acts on nothing for it; check "
            "the spelling of the keyspace and the key range",
        )
    ]


def test_a_root_without_keyspaces_is_named(logged: list[EventDict]) -> None:
    """A global root with no shard is one warning with the path, whatever entries there are."""
    TopologyAdvice(["commerce"], root="/vitess/globall").read([])
    (line,) = logged
    assert line["log_level"] == "warning"
    assert "topo_global_root: '/vitess/globall' has no keyspace with a shard" in line["event"]


def test_a_local_topology_that_was_made_just_now_is_named(logged: list[EventDict]) -> None:
    """A file that did not exist before is named instead of the root in it, which may well be right."""
    advice = TopologyAdvice([], root="/global", new_file="/var/topo.sqlite")
    advice.read([])
    advice.read([SHARD])
    (line,) = logged
    assert "topo_global_server_address: there was no file /var/topo.sqlite" in line["event"]
