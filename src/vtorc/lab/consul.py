"""A real Consul of one server, as a child process, for the demo and the tests."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vtorc.errors import TopoError
from vtorc.lab.parts import find_consul
from vtorc.lab.topo_process import START_SECONDS, TopoProcess
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient


class ConsulServer(TopoProcess):
    """One Consul; see `TopoProcess`.

    `settings` are added to its configuration. `access` is how a client reaches it once it has started, and its
    addresses begin with `scheme`.
    """

    name = "consul"

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, object] | None = None,
        access: ConsulAccess | None = None,
        scheme: str = "http",
    ) -> None:
        super().__init__(folder)
        self._settings = settings or {}
        self._access = access or ConsulAccess(environ={})
        self._scheme = scheme
        self._server_port, self._lan_port = self.ports.take(), self.ports.take()

    @property
    def address(self) -> str:
        """Host and port for clients, with the scheme if that is another one than http."""
        return super().address if self._scheme == "http" else f"{self._scheme}://{super().address}"

    async def answer(self) -> None:
        """Wait until there is a leader, and the agent's own node is registered, without which there are no sessions."""
        client = ConsulClient([self.address], timeout=START_SECONDS, access=self._access, cell="global")
        try:
            await self._first_write(client)
            reply = await client.call("session", "PUT", "session/create", body=b"{}")
            await client.call("end of a session", "PUT", f"session/destroy/{reply.body['ID']}")
            await client.call("delete", "DELETE", "kv/vtorc-lab-ready")
        finally:
            await client.close()

    async def _first_write(self, client: ConsulClient) -> None:
        """Write a key; a new leader answers a moment before it has made the tokens of its settings."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                await client.call("write", "PUT", "kv/vtorc-lab-ready", body=b"yes")
            except TopoError as error:
                if "ACL not found" not in str(error) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                return

    def command(self) -> Sequence[str]:
        """Return Consul with its arguments; it listens on this machine only, and asks no other about new versions."""
        ports = {
            "http": -1 if self._scheme == "https" else self.client_port,
            "https": self.client_port if self._scheme == "https" else -1,
            "server": self._server_port,
            "serf_lan": self._lan_port,
            "serf_wan": -1,
            "dns": -1,
            "grpc": -1,
        }
        settings: dict[str, object] = {
            "data_dir": str(self.data),
            "server": True,
            "bootstrap_expect": 1,
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "node_name": "lab",
            "disable_update_check": True,
            "leave_on_terminate": False,
            "performance": {"raft_multiplier": 1},
            **self._settings,
            "ports": ports,
        }
        path = self.folder / "consul.json"
        path.write_text(json.dumps(settings, indent=2))
        return [str(find_consul().path), "agent", f"-config-file={path}"]
