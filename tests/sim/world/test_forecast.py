"""Forecasts for an operator's own topology, and the file that describes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from vtorc.core.facts.ids import ShardId
from vtorc.sim.errors import SimPlanError
from vtorc.sim.faults.notation import read_fault
from vtorc.sim.forecast.forecast import Distribution, Forecast, quantile
from vtorc.sim.forecast.topology_file import TopologyFile, read_topology_file

_EXAMPLE = Path(__file__).parents[3] / "docs" / "topology-example.json"


def _read(tmp_path: Path, **changes: Any) -> TopologyFile:
    written: dict[str, Any] = {
        "shards": [
            {
                "keyspace": "commerce",
                "durability": "semi_sync",
                "primary": "zone1-100",
                "tablets": [{"alias": "zone1-100"}, {"alias": "zone2-101"}, {"alias": "zone3-102"}],
            }
        ],
        "mysql": {"replica_net_timeout": 8, "connect_retry": 1},
    }
    path = tmp_path / "my.json"
    path.write_text(json.dumps(written | changes))
    return read_topology_file(path)


def _shard(**changes: Any) -> list[dict[str, Any]]:
    return [{"keyspace": "commerce", "durability": "semi_sync", "tablets": [{"alias": "zone1-100"}]} | changes]


def test_the_example_is_a_topology() -> None:
    """docs/topology-example.json is a topology with three shards, settings and primaries."""
    topology = read_topology_file(_EXAMPLE)
    assert [str(each.shard) for each in topology.plan.shards] == ["commerce/-80", "commerce/80-", "sessions/0"]
    assert topology.settings.rules.limits.block_seconds == 30.0
    assert topology.plan.mysql.replica_net_timeout == 8.0
    assert len(topology.primaries) == 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"shard": []}, "unknown key 'shard': expected one of cells"),
        ({"shards": []}, r"shards: \[\]: expected a list of shards"),
        ({"cells": ["zone1"]}, "expected 'zone2' too"),
        ({"vtorcs": ["zone4"]}, r"vtorcs\[0\]: 'zone4': expected one of zone1, zone2, zone3"),
        ({"writes_per_second": "many"}, "writes_per_second: 'many': expected a number from"),
        ({"settings": {"recovery-polls": 3}}, "settings: unknown flag"),
        ({"mysql": {"replica_net_timeout": 0}}, "mysql.replica_net_timeout: 0: expected a number from 1"),
        ({"shards": _shard(durability="quorum")}, r"shards\[0\].durability: 'quorum': expected one of none"),
        ({"shards": _shard(tablets=[{"alias": "100"}])}, r"shards\[0\].tablets\[0\].alias: tablet alias '100'"),
        ({"shards": _shard(tablets=[{"alias": "zone1-1", "cell": "zone2"}])}, "expected 'zone1', as its alias says"),
        ({"shards": _shard(tablets=[{"alias": "zone1-1", "type": "primary"}])}, 'key "primary" names the primary'),
        ({"shards": _shard(primary="zone1-7")}, r"shards\[0\].primary: 'zone1-7': expected one of zone1-0000000100"),
        ({"shards": _shard() + _shard()}, "shards: 'commerce/0' is there twice"),
    ],
)
def test_a_wrong_topology_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    """The message names file, key, value and what was expected."""
    with pytest.raises(SimPlanError, match=complaint):
        _read(tmp_path, **changes)


def test_text_that_is_not_json_is_refused_with_its_place(tmp_path: Path) -> None:
    """The message has the line and the column of the error."""
    path = tmp_path / "my.json"
    path.write_text('{\n "cells": [}')
    with pytest.raises(SimPlanError, match="line 2 column 12: not valid JSON"):
        read_topology_file(path)


def test_a_shard_that_can_fail_over_comes_back(tmp_path: Path) -> None:
    """Losing the primary's cell costs a shard with two more cells an outage, and no acknowledged write."""
    topology = _read(tmp_path)
    forecast = Forecast(topology, (read_fault("lose-cell:zone1+60", at=0.0, lasts=60.0, plan=topology.plan),))
    outcome = forecast.run(1)
    assert not outcome.trouble
    (shard,) = outcome.shards
    assert shard.shard == ShardId("commerce", "0")
    assert shard.outage is not None
    assert 0.0 < shard.outage < 60.0
    assert shard.broken == 0


def test_a_shard_that_cannot_fail_over_says_why(tmp_path: Path) -> None:
    """Without any acker left the shard stays down, and the sentence names the missing tablets."""
    tablets = [{"alias": "zone1-100"}, {"alias": "zone1-101"}, {"alias": "zone2-102"}]
    topology = _read(tmp_path, shards=_shard(primary="zone1-100", tablets=tablets))
    forecast = Forecast(topology, (read_fault("lose-cell:zone1+60", at=0.0, lasts=60.0, plan=topology.plan),))
    outcome = forecast.run(1)
    text = "\n".join(Distribution([outcome]).lines(forecast))
    assert "not back while the fault lasts: 1 of 1 runs (100 %)" in text
    assert "to exclude that, reach one of zone1-0000000100, zone1-0000000101" in text


def test_quantiles_are_values_that_occurred() -> None:
    """A quantile is the smallest value that the given share of values does not exceed."""
    values = [1.0, 2.0, 3.0, 4.0]
    assert [quantile(values, share) for share in (0.5, 0.9, 1.0)] == [2.0, 4.0, 4.0]
    assert quantile([7.0], 0.01) == 7.0
