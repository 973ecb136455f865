"""The topology as text looks as the public client prints it."""

from dataclasses import replace

from tests.unit.core.builders import RUNNING, STOPPED, answers, failing, primary, replica, shard, unprobed
from tests.unit.server.v12.world import DOWNTIME, MYSQL, form, healthy_view, held
from vtorc.core.facts.views import ShardView
from vtorc.forms.frames import ShardFrame
from vtorc.forms.notes import TagForm
from vtorc.server.memory import ServerMemory
from vtorc.server.v12 import tree
from vtorc.server.v12.cluster_book import ClusterBook
from vtorc.server.v12.clusters import Cluster


def cluster_of(view: ShardView) -> Cluster:
    """The cluster of one view."""
    memory = ServerMemory()
    memory.take(ShardFrame(shard=form(view)), 0.0)
    return ClusterBook(memory).now.all()[0]


def with_lag(name: str, lag: int | None, **changes: object) -> object:
    """A replica that is so many seconds behind."""
    tablet = replica(name, **MYSQL)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, lag=lag, **changes))  # type: ignore[arg-type]


def test_each_server_is_below_its_source_with_its_state() -> None:
    """Replicas are indented by their depth, and states stand below each other."""
    view = shard(
        primary(**MYSQL),
        with_lag("zone1-101", 0),  # type: ignore[arg-type]
        with_lag("zone2-200", 300),  # type: ignore[arg-type]
        replica("zone1-102", of="zone1-101", sql=STOPPED, **MYSQL),
        failing(replica("zone1-103", of="zone1-102", **MYSQL)),
    )
    assert tree.tree(cluster_of(view)).splitlines() == [
        "mysql-zone1-100:3306 (zone1-0000000100)       [0s,ok,8.0.40,rw,ROW,>>,GTID,semi:primary]",
        "+ mysql-zone1-101:3306 (zone1-0000000101)     [0s,ok,8.0.40,ro,ROW,>>,GTID,semi:replica]",
        "  - mysql-zone1-102:3306 (zone1-0000000102)   [null,nonreplicating,8.0.40,ro,ROW,>>,GTID,semi:replica]",
        "    - mysql-zone1-103:3306 (zone1-0000000103) [unknown,invalid,8.0.40,ro,ROW,>>,GTID,semi:replica]",
        "+ mysql-zone2-200:3306 (zone2-0000000200)     [300s,lag,8.0.40,ro,ROW,>>,GTID,semi:replica]",
    ]


def test_the_table_has_the_same_columns_in_each_line() -> None:
    """Scripts cut the table at `|`: server, lag, status, version, ro or rw, format, the rest."""
    rows = [line.split("|") for line in tree.tabulated(cluster_of(healthy_view())).splitlines()]
    assert [len(row) for row in rows] == [7, 7, 7]
    assert [cell.strip() for cell in rows[0]] == [
        "mysql-zone1-100:3306 (zone1-0000000100)", "0s", "ok", "8.0.40", "rw", "ROW", ">>,GTID,semi:primary",
    ]  # fmt: skip
    assert {len(row[0]) for row in rows} == {len(rows[0][0])}


def test_a_server_that_was_not_asked_yet_is_invalid() -> None:
    """What is not known is neither fine nor writable."""
    assert tree.tree(cluster_of(shard(unprobed(primary())))) == (
        "mysql-zone1-100:3306 (zone1-0000000100) [unknown,invalid,ro,nobinlog]"
    )


def test_what_is_old_is_unchecked() -> None:
    """After a silence of vtorc nothing counts as known."""
    assert "[unknown,unchecked," in tree.tree(cluster_of(healthy_view()), 60.0)


def test_servers_in_a_ring_are_drawn_once_each() -> None:
    """Two servers that replicate from each other are a tree all the same."""
    ring = shard(replica("zone1-100", of="zone1-101", io=RUNNING), replica("zone1-101", of="zone1-100"), named=None)
    heads = [line.partition("[")[0].strip() for line in tree.tree(cluster_of(ring)).splitlines()]
    assert heads == ["mysql-zone1-100:3306 (zone1-0000000100)", "+ mysql-zone1-101:3306 (zone1-0000000101)"]


def test_errant_transactions_and_tags_are_shown() -> None:
    """A server with errant transactions says so; tags follow in brackets of their own."""
    errant = replica("zone1-101", executed="100:1-50,101:1", **MYSQL)
    tags = [TagForm(tablet="zone1-0000000101", name=name, value=value) for name, value in (("old", ""), ("a", "b"))]
    lines = tree.tagged(cluster_of(shard(primary(**MYSQL), errant)), tags).splitlines()
    assert lines[0].endswith("] []")
    assert lines[1].endswith("[null,ok,8.0.40,ro,ROW,>>,GTID:errant,semi:replica] [old,a=b]")


def test_a_downtimed_server_says_so() -> None:
    """A server that a hold silences is marked as downtimed."""
    frames = held(DOWNTIME)
    memory = ServerMemory()
    for frame in frames:
        memory.take(frame, 0.0)
    lines = tree.tree(ClusterBook(memory).now.all()[0]).splitlines()
    assert [line.endswith(",downtimed]") for line in lines] == [False, True, False]
