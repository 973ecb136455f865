"""A vtorc that cannot start says why in one sentence, and its exit code says whether the settings are at fault."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemons import echo
from vtorc.lab.vtorc_process import VtorcProcess

EXIT_FAILED, EXIT_BAD_SETTINGS = 1, 2
TOPO = ("-topo_implementation=etcd2", "-topo_global_server_address=127.0.0.1:1", "-topo_global_root=/vitess/global")


async def _end_of(folder: Path, *flags: str) -> tuple[int, str]:
    """Start a vtorc and wait for its end; returns the exit code and all that it logged."""
    async with VtorcProcess(folder, flags, on_line=echo("vtorc")) as vtorc:
        code = await vtorc.wait_exit()
    return code, "\n".join(str(line["event"]) for line in vtorc.lines)


async def test_a_broken_settings_file(tmp_path: Path) -> None:
    """A settings file that is no JSON is refused with its name and the place of the error."""
    (tmp_path / "broken.json").write_text('{"Debug": true,\n "RecoveryPeriodBlockSeconds" 5}')
    code, said = await _end_of(tmp_path, *TOPO, "-config=broken.json")
    assert code == EXIT_BAD_SETTINGS
    assert "broken.json" in said
    assert "line 2" in said


async def test_a_wrong_value_in_the_settings_file(tmp_path: Path) -> None:
    """A value of the wrong kind is refused with its key, the value and what was expected."""
    (tmp_path / "orc_config.json").write_text('{"RecoveryPeriodBlockSeconds": "soon"}')
    code, said = await _end_of(tmp_path, *TOPO, "-config=orc_config.json")
    assert code == EXIT_BAD_SETTINGS
    for part in ("RecoveryPeriodBlockSeconds", "soon", "expected"):
        assert part in said


async def test_an_unknown_flag(tmp_path: Path) -> None:
    """A flag that vtorc does not have is refused by name, with the flag that may have been meant."""
    code, said = await _end_of(tmp_path, *TOPO, "-cluster_to_watch=commerce")
    assert code == EXIT_BAD_SETTINGS
    assert "cluster_to_watch" in said
    assert "clusters_to_watch" in said.replace("-", "_")


async def test_a_method_of_access_that_is_not_there(tmp_path: Path) -> None:
    """A settings file that wants OAuth is refused with what to use: no port is opened to all instead."""
    (tmp_path / "orc_config.json").write_text('{"AuthenticationMethod": "oauth", "ListenAddress": "127.0.0.1:0"}')
    code, said = await _end_of(tmp_path, *TOPO, "-config=orc_config.json")
    assert code == EXIT_BAD_SETTINGS
    assert "AuthenticationMethod" in said
    assert "use basic, or proxy" in said


async def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """A file for TLS that is not there ends the start before anything else, with its key."""
    (tmp_path / "orc_config.json").write_text(
        '{"UseSSL": true, "SSLCertFile": "no.pem", "SSLPrivateKeyFile": "no-key.pem", "ListenAddress": "127.0.0.1:0"}'
    )
    code, said = await _end_of(tmp_path, *TOPO, "-config=orc_config.json")
    assert code == EXIT_BAD_SETTINGS
    assert "SSLCertFile: no.pem: it cannot be read" in said


async def test_a_topology_file_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """A path that is too long, or below a closed folder, ends the start with the path and what to name instead."""
    flags = ("-topo_implementation=local", f"-topo_global_server_address={'x' * 300}", TOPO[2])
    code, said = await _end_of(tmp_path, *flags)
    assert code == EXIT_BAD_SETTINGS
    assert "cannot be used as topology file" in said
    assert "Traceback" not in said


@pytest.fixture
def silent_address() -> Iterator[str]:
    """Give an address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("listens", [False, True], ids=["no server", "a silent server"])
async def test_an_unreachable_topology_server(tmp_path: Path, silent_address: str, listens: bool) -> None:
    """A topology server that does not answer ends vtorc after the connect timeout, with its address and what to do."""
    address = silent_address if listens else "127.0.0.1:1"
    flags = (*TOPO[::2], f"-topo_global_server_address={address}", "-remote_operation_timeout=1s")
    code, said = await _end_of(tmp_path, *flags)
    assert code == EXIT_FAILED
    assert f"topology server {address} did not answer within 1 s" in said
    assert "check topo_global_server_address" in said
