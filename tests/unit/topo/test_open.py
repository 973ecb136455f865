import dataclasses
from pathlib import Path

import pytest
import structlog

from tests.unit.topo.worlds import tablet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import TopoMisconfigured, TopoUnavailable
from vtorc.proto import topodata_pb2
from vtorc.topo.cells import TopoLimits
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.etcd2 import EtcdTls
from vtorc.topo.etcd_client import EtcdClient
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.zk_access import ZkAccess


def settings(path: Path, **changes: object) -> TopoAccess:
    """Name a topology file."""
    base = TopoAccess(implementation="local", global_server_address=(str(path),), global_root="/vitess/global")
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


async def test_local_topology_serves_global_and_cells(tmp_path: Path) -> None:
    """A topology file that does not exist is made, and holds the cells that name it too."""
    file = tmp_path / "topo.db"
    topo = await open_topo(settings(file))
    await topo.create_cell("zone1", server_address=f"{tmp_path}/../{tmp_path.name}/topo.db", root="/vitess/zone1")
    await topo.create_tablet(tablet("zone1", 100))
    await topo.close()
    again = await open_topo(settings(file))
    assert await again.cells() == ("zone1",)
    assert (await again.tablet(TabletAlias("zone1", 100))).keyspace == "ks"
    await again.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"implementation": "etcd"}, "topo_implementation is 'etcd': expected one of etcd2, consul, zk2, local"),
        ({"implementation": ""}, "topo_implementation is '': expected one of"),
        ({"global_server_address": ()}, "topo_global_server_address is empty"),
        ({"global_server_address": ("",)}, "topo_global_server_address is empty"),
        ({"global_root": "/"}, "topo_global_root is '/': expected the path"),
        (
            {"implementation": "etcd2", "global_server_address": ("no port",)},
            "etcd endpoint 'no port': expected host:port",
        ),
        ({"implementation": "etcd2", "global_server_address": ("ftp://h:1",)}, "expected host:port"),
        (
            {
                "implementation": "etcd2",
                "global_server_address": ("https://h:1",),
                "etcd_tls": EtcdTls(ca="/nowhere/ca.pem"),
            },
            "topo_etcd_tls_ca '/nowhere/ca.pem' cannot be read: No such file",
        ),
        (
            {"implementation": "etcd2", "etcd_tls": EtcdTls(cert="/nowhere/cert.pem", key="/nowhere/key.pem")},
            "topo_etcd_tls_key '/nowhere/key.pem' cannot be read: No such file",
        ),
        (
            {"implementation": "zk2", "global_server_address": ("h",)},
            "ZooKeeper servers 'h': expected host:port, or several",
        ),
        (
            {"implementation": "zk2", "zk": ZkAccess(auth_file="/nowhere/auth")},
            "topo_zk_auth_file '/nowhere/auth' cannot be read",
        ),
        (
            {"implementation": "zk2", "zk": ZkAccess(auth_file="/dev/null")},
            "topo_zk_auth_file '/dev/null' is malformed: expected <scheme>:<auth>",
        ),
        (
            {"implementation": "zk2", "zk": ZkAccess(cert="/nowhere/cert.pem", key="/nowhere/key.pem")},
            "topo_zk_tls_cert '/nowhere/cert.pem' and topo_zk_tls_key '/nowhere/key.pem' cannot be used",
        ),
    ],
)
async def test_settings_that_lead_nowhere_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    """Each wrong setting is refused with its name, its value and what was expected."""
    with pytest.raises(TopoMisconfigured) as raised:
        await open_topo(settings(tmp_path / "topo.db", **changes))
    assert message in str(raised.value)


@pytest.mark.parametrize("implementation", ["etcd2", "consul", "zk2"])
@pytest.mark.parametrize(
    "address",
    [
        "h:99999",
        "h:0",
        "h:１２",
        "h:99999999999999999999",
        "[::1:1",
        "::1:1",
        "[x]:1",
        "a..b:1",
        "a b:1",
        "/:1",
        "u@h:1",
        f"{'x' * 70}:1",
        "\x1b[31m:1",
        "\0:1",
    ],
)
async def test_an_address_that_no_client_can_call_is_refused(tmp_path: Path, implementation: str, address: str) -> None:
    """It is refused before a library sees it, which would raise an error of its own at each call."""
    with pytest.raises(TopoMisconfigured, match="expected host:port"):
        await open_topo(settings(tmp_path / "topo.db", implementation=implementation, global_server_address=(address,)))


async def test_a_cell_whose_server_cannot_be_opened_hides_no_other(tmp_path: Path) -> None:
    """The record of a cell may hold anything: its tablets count as unreachable, and those of other cells are read."""
    file = tmp_path / "topo.db"
    topo = await open_topo(settings(file))
    shard = ShardId("ks", "0")
    await topo.create_keyspace("ks")
    await topo.create_shard(shard)
    await topo.create_cell("good", server_address=str(file), root="/good")
    await topo.create_cell("zero", server_address="\0", root="/zero")
    await topo.create_cell("long", server_address="x" * 5000, root="/long")
    await topo.create_tablet(
        topodata_pb2.Tablet(alias=topodata_pb2.TabletAlias(cell="good", uid=1), keyspace="ks", shard="0")
    )
    found = await topo.tablets_of_shard(shard)
    assert [record.alias.cell for record in found.records] == ["good"]
    assert found.unreachable_cells.keys() == {"zero", "long"}
    assert "its record names the server '\\x00'" in found.unreachable_cells["zero"]
    await topo.close()


@pytest.mark.parametrize(("implementation", "name"), [("etcd2", "etcd"), ("zk2", "ZooKeeper")])
async def test_unreachable_server_is_named(implementation: str, name: str) -> None:
    """An unreachable server is reported with its address, the time waited, and the setting to check."""
    nowhere = TopoAccess(
        implementation=implementation,
        global_server_address=("127.0.0.1:1",),
        global_root="/vitess/global",
        limits=TopoLimits(remote_operation_timeout=0.3),
    )
    with pytest.raises(TopoUnavailable) as raised:
        await open_topo(nowhere)
    text = str(raised.value)
    assert text.startswith(f"topology server 127.0.0.1:1 did not answer within 0.3 s: {name}")
    assert "refused" in text
    assert "check topo_global_server_address" in text


def test_etcd_needs_an_endpoint() -> None:
    """A cell whose address has no endpoint in it is refused."""
    with pytest.raises(TopoMisconfigured, match="no address of an etcd server"):
        EtcdClient([], timeout=1.0)


@pytest.mark.parametrize(
    ("tls", "warnings"),
    [
        (EtcdTls(), 0),
        (EtcdTls(ca="/ca.pem"), 1),
        (EtcdTls(cert="/cert.pem"), 1),
        (EtcdTls(key="/key.pem", ca="/ca.pem"), 1),
    ],
)
def test_half_of_tls_is_warned_about(tls: EtcdTls, warnings: int) -> None:
    """A CA alone, or a certificate without key, means no TLS where no scheme asks for it, as in Vitess, but not
    silently.
    """
    with structlog.testing.capture_logs() as logs:
        assert tls.credentials() is None
    assert len([each for each in logs if "without TLS" in each["event"]]) == warnings


@pytest.mark.parametrize("half", [ZkAccess(ca="/ca.pem"), ZkAccess(cert="/cert.pem"), ZkAccess(key="/key.pem")])
def test_half_of_tls_with_zookeeper_is_warned_about(half: ZkAccess) -> None:
    """Without both a certificate and its key there is no TLS, as in Vitess, but not silently."""
    with structlog.testing.capture_logs() as logs:
        half.check_files()
        ZkAccess().check_files()
    assert ["without TLS" in each["event"] for each in logs] == [True]


def test_the_scheme_of_an_endpoint_decides_on_tls() -> None:
    """https is encrypted without a client certificate too, http never is."""
    with structlog.testing.capture_logs() as logs:
        assert EtcdTls().credentials("https") is not None
        assert EtcdTls().credentials("http") is None
        assert logs == []
        assert EtcdTls(cert="/cert.pem", key="/key.pem").credentials("http") is None
    assert ["without TLS" in each["event"] for each in logs] == [True]


@pytest.mark.parametrize("text", ["{", "[]", '{"zone1": 3}', pytest.param("[" * 100_000, id="deep")])
def test_malformed_consul_tokens_are_refused(tmp_path: Path, text: str) -> None:
    """A file of Consul tokens in another form is refused with its name and the expected form."""
    file = tmp_path / "tokens.json"
    file.write_text(text)
    with pytest.raises(TopoMisconfigured, match=r"consul_auth_static_file .* expected JSON such as"):
        ConsulAccess(auth_file=str(file)).token("zone1")
