"""The topology server of a lab, always a real one, with the records that operators write."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId
from vtorc.errors import VtorcError
from vtorc.lab.consul import ConsulServer
from vtorc.lab.errors import LabError
from vtorc.lab.etcd import EtcdServer
from vtorc.lab.guard import RunFolder, sweep_stale_runs
from vtorc.lab.topo_process import TopoProcess
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer

_SERVERS: Mapping[str, Callable[[Path], TopoProcess]] = {
    "etcd2": EtcdServer,
    "consul": ConsulServer,
    "zk2": ZooKeeperServer,
}

TOPO_KINDS = (*_SERVERS, "local")
"""The kinds of topology that a lab can have."""


class LabTopo:
    """The topology server of one run; `kind` is one of TOPO_KINDS. All processes of the run end with its folder."""

    def __init__(self, kind: str, folder: Path | None) -> None:
        self._kind = kind
        self._folder = folder
        self._run: RunFolder | None = None
        self._process: TopoProcess | None = None
        self._server: TopoServer | None = None

    async def start(self, *, cells: Sequence[str], shards: Sequence[ShardId], durability: str) -> None:
        """Start the server, and write cells, keyspaces and shards; after an error `stop` cleans up."""
        policy(durability)
        await asyncio.to_thread(sweep_stale_runs)
        self._run = self._made_folder()
        if self._kind not in TOPO_KINDS:
            raise LabError(f"topology {self._kind!r}: expected one of {', '.join(TOPO_KINDS)}")
        if make := _SERVERS.get(self._kind):
            self._process = make(self._run.path / self._kind)
            await self.start_server()
        self._server = await open_topo(self.settings)
        address = ",".join(self.settings.global_server_address)
        for cell in cells:
            await self._server.create_cell(cell, server_address=address, root=self._root(cell))
        for keyspace in dict.fromkeys(shard.keyspace for shard in shards):
            await self._server.create_keyspace(keyspace, durability_policy=durability)
        for shard in shards:
            await self._server.create_shard(shard)

    def _made_folder(self) -> RunFolder:
        try:
            return RunFolder(self._folder)
        except OSError as error:
            where, other = ("a temporary folder", "TMPDIR") if self._folder is None else (self._folder, "--dir")
            raise LabError(
                f"{where} for data and logs cannot be made ({error.strerror}); name a folder with {other} that can be "
                "written to"
            ) from error

    @property
    def is_down(self) -> bool:
        """Whether the server was killed; a file never is."""
        return self._process is not None and not self._process.is_running

    async def start_server(self) -> None:
        """Start the server, which keeps its data over `kill_server`; raises LabError if there is none."""
        server = self._server_process("start")
        await server.start()
        (server.folder / f"{server.name}.pid").write_text(str(server.pid))

    async def kill_server(self) -> None:
        """Kill the server; raises LabError if there is none."""
        await self._server_process("kill").kill()

    def _server_process(self, what: str) -> TopoProcess:
        if self._process is None:
            raise LabError(f"the topology is a file, there is no server to {what}; use --topo etcd2")
        return self._process

    def _root(self, cell: str) -> str:
        """Return the root of a cell's records; Vitess wants one without a slash at its beginning in Consul."""
        return f"vitess/{cell}" if self._kind == "consul" else f"/vitess/{cell}"

    async def stop(self) -> None:
        """Kill all processes of the run, and delete its folder unless that was given."""
        if self._server is not None:
            with contextlib.suppress(VtorcError):  # a test may have broken the server on purpose
                await self._server.close()
            self._server = None
        if self._run is not None:
            await asyncio.to_thread(self._run.close)
            self._run = None
        if self._process is not None:
            await self._process.kill()
            self._process = None

    @property
    def settings(self) -> TopoAccess:
        """The address of the server."""
        address = self._process.address if self._process is not None else str(self.folder / "topo.sqlite")
        return TopoAccess(implementation=self._kind, global_server_address=(address,), global_root=self._root("global"))

    @property
    def server(self) -> TopoServer:
        """The lab's own client of the server."""
        assert self._server is not None, "the lab was not started"
        return self._server

    @property
    def etcd(self) -> EtcdServer:
        """The etcd server, for tests that break it."""
        assert isinstance(self._process, EtcdServer), "the lab has no etcd"
        return self._process

    @property
    def folder(self) -> Path:
        """The folder of all data and logs."""
        assert self._run is not None, "the lab was not started"
        return self._run.path
