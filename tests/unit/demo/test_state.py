"""What the pages are told of the servers of a demo."""

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.demo.simulated_cluster import SimulatedTablet
from vtorc.demo.simulated_servers import SimMachine
from vtorc.demo.state import broken_parts
from vtorc.lab.tablet_handle import TabletSpec
from vtorc.topo.open import TopoAccess


async def test_a_tablet_names_what_it_has_run_out_of_until_that_is_mended() -> None:
    """A full disk and a full server are no processes that are down, and are told all the same."""
    machine, alias = SimMachine(), TabletAlias("zone1", 101)
    topo = TopoAccess(implementation="local", global_server_address=("",), global_root="/")
    spec = TabletSpec(alias=alias, shard=ShardId("commerce", "0"))
    tablet = SimulatedTablet(spec, machine.server(alias, 3306), machine, topo=topo, grpc_port=1)
    await tablet.fill_disk()
    await tablet.refuse_connections()
    assert broken_parts(tablet)[2:] == ["its disk is full", "its mysqld takes no new connections"]
    await tablet.free_disk()
    await tablet.accept_connections()
    assert broken_parts(tablet) == ["its mysqld is down", "its tablet manager is down"]
