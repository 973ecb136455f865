"""The calls to topology servers as metrics."""

import pytest

from tests.unit.topo.worlds import SHARD, World
from vtorc.control.topo_metrics import TopoMetrics
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import NoNode
from vtorc.sim.engine.loop import run


def test_each_call_is_counted_by_operation_and_cell() -> None:
    """A call that failed, be it for a record that does not exist, is counted as an error and has no duration."""

    async def main() -> None:
        world = World(None)
        await world.fill()
        metrics = TopoMetrics()
        world.topo.hear_calls(metrics.heard)
        await world.topo.shard(SHARD)
        await world.topo.cells()
        with pytest.raises(NoNode):
            await world.topo.shard(ShardId("ks", "gone"))
        await world.topo.tablet(TabletAlias("zone1", 100))
        async with world.topo.try_lock_shard(SHARD, "test"):
            pass
        told = {(m.name, *m.labels.values()): (m.counts[-1] if m.counts else m.value) for m in metrics.metrics()}
        assert told == {
            ("TopologyConnOperations", "Get", "global"): 2,  # the shard, and where the cell is
            ("TopologyConnOperations", "ListDir", "global"): 1,
            ("TopologyConnOperations", "Get", "zone1"): 1,
            ("TopologyConnOperations", "Lock", "global"): 1,
            ("TopologyConnErrors", "Get", "global"): 1,
        }
        await world.topo.close()

    run(main())
