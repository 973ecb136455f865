"""The base of a server as its replication threads need it; `SimMysqld` is the server."""

import abc
import random
from collections.abc import Callable, Mapping, Sequence

from vtorc.sim.engine.network import Network
from vtorc.sim.engine.process import Process
from vtorc.sim.mysql.binlog import Transaction
from vtorc.sim.mysql.disk import SimDisk
from vtorc.sim.mysql.dump import ReplicationSource
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.sim.mysql.mysqld_process import MysqldProcess
from vtorc.sim.mysql.settings import DropReason, SimMysqlSettings

Address = tuple[str, int]
"""Host name and port of a mysqld."""


class ReplicaServer(MysqldProcess, abc.ABC):
    """A server that may replicate; `sources` maps addresses to the servers that it can replicate from."""

    def __init__(
        self,
        process: Process,
        *,
        uuid: str,
        server_id: int,
        network: Network,
        sources: Mapping[Address, ReplicationSource],
        generator: random.Random,
        settings: SimMysqlSettings,
    ) -> None:
        super().__init__(process, generator=generator, settings=settings)
        self.uuid = uuid
        self.server_id = server_id
        self.network = network
        self.sources = sources
        self.executed = GtidLog()
        self.disk = SimDisk(self)
        self.semi_sync_replica = False

    @abc.abstractmethod
    def commit_applied(self, transaction: Transaction, done: Callable[[], None]) -> None:
        """Log a transaction of the relay log and commit it in the storage engine; `done` is called after that."""

    @abc.abstractmethod
    def note_received(self, transaction: Transaction) -> None:
        """Take note of a transaction that is in the relay log now."""

    @abc.abstractmethod
    def note_relay_log_dropped(self, lost: Sequence[Transaction], why: DropReason) -> None:
        """Take note that these transactions were received, not applied, and are gone."""

    @abc.abstractmethod
    def note_pointed(self) -> None:
        """Take note that the relay log is empty, and that the source may be another one."""

    @abc.abstractmethod
    def note_writability(self) -> None:
        """Take note of a change that decides whether a write can be acknowledged."""
