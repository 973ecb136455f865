"""Clusters are named after their primaries, and hints mean what operators know of them."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import primary, replica, shard
from tests.unit.server.v12.world import (
    FIRST,
    HEALTHY,
    LOST,
    LOST_PRIMARY,
    SECOND,
    THIRD,
    form,
    full_world,
    healthy_view,
    recovery,
    with_tablet,
)
from vtorc.core.facts.ids import ShardId, TabletType
from vtorc.core.facts.views import ShardView
from vtorc.forms.frames import GoneFrame, RecoveryFrame, ShardFrame
from vtorc.server.memory import ServerMemory
from vtorc.server.v12.answers import V12Error
from vtorc.server.v12.cluster_book import KEPT_NAMES, ClusterBook
from vtorc.server.v12.clusters import Address, Clusters


def view_with(primary_name: str, *others: str) -> ShardView:
    """The healthy shard with this primary and these replicas."""
    tablets = [primary(primary_name), *(replica(name, of=primary_name) for name in others)]
    return shard(*tablets, named=primary_name)


def told(*views: ShardView) -> Clusters:
    """What is known after these views, one after the other."""
    memory = ServerMemory()
    book = ClusterBook(memory)
    for view in views:
        memory.take(ShardFrame(shard=form(view)), 0.0)
    return book.now


@pytest.mark.parametrize(
    "hint",
    ["commerce:0", "commerce/0", "commerce.0", FIRST, SECOND, THIRD, "mysql-zone2-200", "zone1-0000000101"],
)
def test_a_hint_means_a_cluster_by_name_alias_or_server(hint: str) -> None:
    """Each way to name a cluster finds it."""
    found = ClusterBook(full_world().memory).now.cluster(hint)
    assert (found.shard.name, found.name, found.alias) == (HEALTHY, FIRST, "commerce:0")


@pytest.mark.parametrize("hint", ["", "commerce", "zone1-100", "mysql-zone1-10:3306", "mysql-zone1-101:3307"])
def test_a_part_of_a_name_means_nothing(hint: str) -> None:
    """Hints are matched exactly, and an unknown one is refused with what was expected."""
    with pytest.raises(V12Error, match="expected host:port of a server, keyspace:shard, or a tablet alias"):
        ClusterBook(full_world().memory).now.cluster(hint)


def test_a_cluster_keeps_the_name_of_its_last_primary_while_it_has_none() -> None:
    """Without a primary the name stays, and all tablets have the same."""
    without = shard(replica("zone1-100"), replica("zone1-101"), named=None)
    clusters = told(healthy_view(), without)
    (cluster,) = clusters.all()
    assert cluster.name == FIRST
    assert {server.cluster_name for server in cluster.servers} == {FIRST}


def test_a_cluster_without_any_primary_so_far_is_named_after_the_recorded_one() -> None:
    """The shard record names the cluster before a primary was seen, and the first tablet without one."""
    tablets = (replica("zone1-100"), replica("zone1-101"))
    assert told(shard(*tablets, named="zone1-101")).all()[0].name == SECOND
    assert told(shard(*tablets, named=None)).all()[0].name == FIRST


def test_earlier_names_still_mean_the_cluster() -> None:
    """The names of the last primaries are kept, the latest first."""
    names = [f"zone1-{number}" for number in range(100, 112)]
    clusters = told(*(view_with(name, "zone2-200") for name in names))
    (cluster,) = clusters.all()
    assert cluster.names == tuple(f"mysql-{name}:3306" for name in reversed(names))[:KEPT_NAMES]
    assert clusters.find_cluster("mysql-zone1-105:3306") is cluster
    assert clusters.find_cluster("mysql-zone1-100:3306") is None


def test_a_primary_that_comes_back_is_no_second_name() -> None:
    """A name counts once, in its latest place."""
    clusters = told(view_with("zone1-100", "zone1-101"), view_with("zone1-101", "zone1-100"), healthy_view())
    assert clusters.all()[0].names == (FIRST, SECOND)


def test_winners_of_recoveries_are_earlier_names() -> None:
    """A server that starts anew learns earlier primaries from the recoveries."""
    memory = full_world().memory
    memory.take(RecoveryFrame(recovery=recovery(id="1", winner="zone2-0000000200")), 0.0)
    cluster = ClusterBook(memory).now.cluster("commerce:0")
    assert cluster.names == (FIRST, THIRD)


def test_a_name_that_belongs_to_another_cluster_now_means_that_one() -> None:
    """The present name counts more than a former one of another cluster."""
    other = replace(view_with("zone1-100", "zone1-400"), shard=ShardId("other", "0"))
    moved = view_with("zone1-101", "zone2-200")
    clusters = told(healthy_view(), moved, other)
    assert clusters.cluster(FIRST).shard.name == "other/0"


def test_an_address_of_two_tablets_is_refused() -> None:
    """An address that is recorded twice means neither of both, and the alias tells them apart."""
    twice = replica("zone1-102", record_changes={"mysql_hostname": "mysql-zone1-101"})
    view = shard(primary(), replica("zone1-101"), twice)
    clusters = told(view)
    with pytest.raises(V12Error, match=r"several tablets \(zone1-0000000101, zone1-0000000102\)"):
        clusters.server("mysql-zone1-101", "3306")
    assert clusters.server("zone1-0000000102", "1").tablet.alias == "zone1-0000000102"


def test_an_address_in_two_clusters_is_no_hint() -> None:
    """An address that tablets of two clusters have means none of them."""
    other = replace(
        shard(
            primary("zone1-300"),
            replica("zone1-301", record_changes={"mysql_hostname": "mysql-zone1-101"}),
            named="zone1-300",
        ),
        shard=ShardId("other", "0"),
    )
    assert told(healthy_view(), other).find_cluster(SECOND) is None


@pytest.mark.parametrize(("host", "port"), [("mysql-zone1-10", "3306"), ("mysql-zone1-101", "3307"), ("", "3306")])
def test_an_unknown_server_is_refused(host: str, port: str) -> None:
    """A host is matched exactly, never by a part of it."""
    with pytest.raises(V12Error, match="no tablet has its MySQL at"):
        ClusterBook(full_world().memory).now.server(host, port)


def test_a_port_has_to_be_a_number() -> None:
    """A port that is no number is refused as such."""
    with pytest.raises(V12Error, match="port 'x': expected a whole number"):
        ClusterBook(full_world().memory).now.server("mysql-zone1-101", "x")


def test_a_shard_that_is_gone_is_no_cluster() -> None:
    """A shard that left the topology server is not shown any more."""
    world = full_world()
    book = ClusterBook(world.memory)
    before = book.now
    world.tell(GoneFrame(shard=LOST))
    assert [cluster.name for cluster in book.now.all()] == [FIRST]
    assert book.now.find_cluster(LOST_PRIMARY) is None
    assert before.find_cluster(LOST_PRIMARY) is not None, "what a call has seen stays"


def test_tablets_without_an_address_are_left_out() -> None:
    """A tablet that was stopped cleanly has no address, and a shard of only such tablets is no cluster."""
    stopped = replica("zone1-101", record_changes={"mysql_hostname": "", "mysql_port": 0})
    assert [str(server.address) for server in told(shard(primary(), stopped)).servers()] == [FIRST]
    assert told(shard(stopped, named=None)).all() == []


def test_servers_are_ordered_by_depth_below_the_primary() -> None:
    """The primary comes first, and a replica of a replica is one deeper."""
    chained = replica("zone1-050", TabletType.RDONLY, of="zone2-200")
    (cluster,) = told(shard(primary(), replica("zone1-101"), replica("zone2-200"), chained)).all()
    assert [(server.tablet.alias, server.depth) for server in cluster.servers] == [
        ("zone1-0000000100", 0),
        ("zone1-0000000101", 1),
        ("zone2-0000000200", 1),
        ("zone1-0000000050", 2),
    ]
    assert cluster.servers[2].replicas == (Address("mysql-zone1-050", 3306),)


def test_a_ring_of_sources_has_an_end() -> None:
    """Two servers that replicate from each other have a finite depth."""
    (cluster,) = told(
        shard(replica("zone1-100", of="zone1-101"), replica("zone1-101", of="zone1-100"), named=None)
    ).all()
    assert [server.depth for server in cluster.servers] == [1, 1]


def test_what_a_tablet_is_called_now_is_found_after_each_change() -> None:
    """A tablet that has moved is found at its new address only, however often was asked before."""
    memory = ServerMemory()
    book = ClusterBook(memory)
    memory.take(ShardFrame(shard=form(healthy_view())), 0.0)
    assert book.now.server("mysql-zone1-101", "3306").tablet.alias == "zone1-0000000101"
    moved = replica("zone1-101", record_changes={"mysql_hostname": "elsewhere"})
    memory.take(ShardFrame(shard=form(with_tablet(healthy_view(), moved))), 0.0)
    assert book.now.server("elsewhere", "3306").tablet.alias == "zone1-0000000101"
    with pytest.raises(V12Error, match="no tablet has its MySQL at"):
        book.now.server("mysql-zone1-101", "3306")
