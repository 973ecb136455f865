"""A whole small Vitess cluster on this machine: a topology server, and tablets with real mysqlds.

Its servers end with the process that made it, however that ends: when it leaves the context, or when it is killed.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.lab.etcd import EtcdServer
from vtorc.lab.parts import find_mysqld
from vtorc.lab.ports import Ports
from vtorc.lab.tablet_handle import LabTablet, TabletSpec
from vtorc.lab.template import template_folder
from vtorc.lab.topology import LabTopo
from vtorc.topo.open import TopoAccess
from vtorc.topo.server import TopoServer
from vtorc.topo.tasks import all_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """The parts of a lab. Each shard has `tablets` tablets, spread over the cells in turn.

    The last `rdonly` of them are RDONLY. `topo` is one of `TOPO_KINDS`; every tablet process gets
    `tablet_flags`.
    """

    keyspace: str = "commerce"
    shards: tuple[str, ...] = ("0",)
    cells: tuple[str, ...] = ("zone1", "zone2", "zone3")
    tablets: int = 3
    rdonly: int = 0
    durability: str = "semi_sync"
    topo: str = "local"
    tablet_flags: tuple[str, ...] = ()
    mysqld_options: tuple[str, ...] = field(default_factory=tuple)

    def shard_ids(self) -> list[ShardId]:
        """List the shards."""
        return [ShardId.parse(f"{self.keyspace}/{shard}") for shard in self.shards]

    def tablet_specs(self) -> list[TabletSpec]:
        """List the tablets: the first shard's are numbered from 101, the second's from 201, and so on."""
        return [
            TabletSpec(
                alias=TabletAlias(self.cells[number % len(self.cells)], 100 * (index + 1) + number + 1),
                shard=shard,
                type=TabletType.RDONLY if number >= self.tablets - self.rdonly else TabletType.REPLICA,
            )
            for index, shard in enumerate(self.shard_ids())
            for number in range(self.tablets)
        ]


class LabCluster:
    """A running lab; use it as a context, or call `start` and `stop`."""

    def __init__(self, spec: LabSpec, *, folder: Path | None = None) -> None:
        self.spec = spec
        self._topology = LabTopo(spec.topo, folder)
        self._ports = Ports()
        self._tablets: dict[TabletAlias, LabTablet] = {}

    async def start(self) -> None:
        """Start everything and wait until all tablets are up; the shards have no primaries yet.

        Raises LabError or PartMissing, after everything that was started has ended.
        """
        try:
            await self.start_topo()
            await self.start_tablets()
        except BaseException:
            await self.stop()
            raise

    async def start_topo(self) -> None:
        """Start the topology server and write cells, keyspace and shards."""
        spec = self.spec
        await self._topology.start(cells=spec.cells, shards=spec.shard_ids(), durability=spec.durability)

    async def start_tablets(self) -> None:
        """Start all tablets at once."""
        await asyncio.to_thread(lambda: template_folder(find_mysqld()))
        flags = [
            *self.topo_flags,
            *self.spec.tablet_flags,
            *(f"--mysqld-option={each}" for each in self.spec.mysqld_options),
        ]
        for spec in self.spec.tablet_specs():
            self._tablets[spec.alias] = LabTablet(
                spec,
                folder=self.folder / str(spec.alias),
                host="127.0.0.1",
                grpc_port=self._ports.take(),
                mysql_port=self._ports.take(),
                flags=flags,
            )
        await all_of([tablet.start_tablet() for tablet in self._tablets.values()])

    async def stop(self) -> None:
        """Kill all processes, and delete the data unless the folder was given."""
        await self._topology.stop()
        self._ports.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.stop())

    @property
    def topo_is_down(self) -> bool:
        """Whether the topology server was killed."""
        return self._topology.is_down

    async def kill_topo(self) -> None:
        """Kill the topology server; raises LabError if the topology is a file."""
        await self._topology.kill_server()

    async def restart_topo(self) -> None:
        """Start the topology server again with its data."""
        await self._topology.start_server()

    @property
    def topo_settings(self) -> TopoAccess:
        """The address of the topology server."""
        return self._topology.settings

    @property
    def topo_flags(self) -> tuple[str, str, str]:
        """The address of the topology server as command line flags, for tablets and for vtorc."""
        settings = self.topo_settings
        return (
            f"--topo-implementation={settings.implementation}",
            f"--topo-global-server-address={','.join(settings.global_server_address)}",
            f"--topo-global-root={settings.global_root}",
        )

    @property
    def topo(self) -> TopoServer:
        """The lab's own client of the topology server."""
        return self._topology.server

    @property
    def etcd(self) -> EtcdServer:
        """The etcd server, for tests that break it; only with topology etcd2."""
        return self._topology.etcd

    @property
    def folder(self) -> Path:
        """The folder of all data and logs."""
        return self._topology.folder

    @property
    def tablets(self) -> Mapping[TabletAlias, LabTablet]:
        """All tablets by name."""
        return self._tablets

    def tablet(self, alias: TabletAlias | str) -> LabTablet:
        """Find a tablet by its name."""
        return self._tablets[TabletAlias.parse(alias) if isinstance(alias, str) else alias]

    def shard_ids(self) -> list[ShardId]:
        """List the shards."""
        return self.spec.shard_ids()
