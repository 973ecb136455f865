"""A real ZooKeeper of one server, as a child process, for the demo and the tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vtorc.lab.parts import find_zookeeper
from vtorc.lab.topo_process import START_SECONDS, TopoProcess
from vtorc.topo.zk_access import ZkAccess
from vtorc.topo.zk_client import ZkClient


class ZooKeeperServer(TopoProcess):
    """One ZooKeeper; see `TopoProcess`.

    `settings` are added to its configuration. With `secure` its port for clients speaks TLS alone. `access` is how a
    client reaches it once it has started.
    """

    name = "zookeeper"

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        access: ZkAccess | None = None,
        secure: bool = False,
    ) -> None:
        super().__init__(folder)
        self._settings = settings or {}
        self._access = access or ZkAccess()
        self._secure = secure

    async def answer(self) -> None:
        """Wait until a client has a session."""
        client = ZkClient(self.address, timeout=START_SECONDS, access=self._access)
        try:
            await client.exists("/")
        finally:
            await client.close()

    def command(self) -> Sequence[str]:
        """Return ZooKeeper with its configuration; it listens on this machine only."""
        port = "secureClientPort" if self._secure else "clientPort"
        address = "secureClientPortAddress" if self._secure else "clientPortAddress"
        settings = {
            "dataDir": str(self.data),
            port: str(self.client_port),
            address: "127.0.0.1",
            "tickTime": "2000",
            "admin.enableServer": "false",
            "maxClientCnxns": "0",
            "4lw.commands.whitelist": "ruok",
            **self._settings,
        }
        path = self.folder / "zoo.cfg"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return [str(find_zookeeper().path), str(path)]
