"""Applications of a simulated world: they find the primary as vtgate does, write, and note acknowledged writes."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import MysqlError, TabletError
from vtorc.sim.checks.invariants import ShardLedger
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.engine.network import Network, NetworkError, NoAnswer
from vtorc.sim.engine.process import Life, Process
from vtorc.sim.mysql.binlog import InsertRow, Transaction
from vtorc.tablet.api import HealthReport
from vtorc.vttablet.errors import TabletActionError

_RETRY_STREAM = 1.0


class Gateway:
    """Follows the health of a shard's tablets, and knows which one is the serving primary, as vtgate does."""

    def __init__(self, manager: SimTabletManager, tablets: Sequence[SimTablet]) -> None:
        self._manager = manager
        self._tablets = tablets
        self._reports: dict[SimTablet, HealthReport] = {}

    async def follow(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for tablet in self._tablets:
                group.create_task(self._follow(tablet), name=f"health of {tablet.config.alias}")

    @property
    def primary(self) -> SimTablet | None:
        """The primary of the newest term that any tablet has reported, None unless it serves."""
        primaries = [
            (report.primary_term_start_seconds, tablet)
            for tablet, report in self._reports.items()
            if report.type is TabletType.PRIMARY
        ]
        if not primaries:
            return None
        tablet = max(primaries, key=lambda each: each[0])[1]
        report = self._reports[tablet]
        return tablet if report.serving and not report.health_error else None

    async def _follow(self, tablet: SimTablet) -> None:
        config = tablet.config
        record = TabletRecord(
            alias=config.alias,
            keyspace=config.shard.keyspace,
            shard=config.shard.shard,
            type=config.init_type,
            hostname=config.hostname,
            grpc_port=config.grpc_port,
        )
        while True:
            try:
                async for report in self._manager.stream_health(record):
                    self._reports[tablet] = report
            except TabletError:
                self._reports.pop(tablet, None)
            await asyncio.sleep(_RETRY_STREAM)


class Client:
    """An application process that writes rows with unique ids, one after the other.

    It writes to the primary that its gateway names. If `direct`, it writes to the mysqld of one tablet after the other,
    as an application without Vitess does. All clients of a world share `row_ids`; `interval` and `deadline` (of one
    write) are in seconds.
    """

    def __init__(
        self,
        process: Process,
        tablets: Sequence[SimTablet],
        *,
        network: Network,
        ledger: ShardLedger,
        open_tablets: Callable[[Life], SimTabletManager],
        row_ids: Iterator[int],
        interval: float,
        deadline: float,
        direct: bool,
    ) -> None:
        self.process = process
        self._tablets = tablets
        self._network = network
        self._ledger = ledger
        self._open_tablets = open_tablets
        self._row_ids = row_ids
        self._interval = interval
        self._deadline = deadline
        self._direct = direct

    def start(self) -> None:
        """Start the process, which begins to write."""
        life = self.process.start()
        if self._direct:
            life.spawn(self._write_directly(life), name="writer")
            return
        gateway = Gateway(self._open_tablets(life), self._tablets)
        life.spawn(gateway.follow(), name="gateway")
        life.spawn(self._write_through(life, gateway), name="writer")

    async def _write_through(self, life: Life, gateway: Gateway) -> None:
        while True:
            await asyncio.sleep(self._interval)
            tablet = gateway.primary
            if tablet is not None:
                await self._write(life, tablet)

    async def _write_directly(self, life: Life) -> None:
        for tablet in itertools.cycle(self._tablets):
            await asyncio.sleep(self._interval)
            await self._write(life, tablet)

    async def _write(self, life: Life, tablet: SimTablet) -> None:
        row = next(self._row_ids)

        async def insert() -> Transaction:
            if self._direct:
                return await tablet.mysqld.write(InsertRow(row))
            return await tablet.execute(row)

        target = tablet.mysqld.process if self._direct else tablet.process
        with contextlib.suppress(NetworkError, NoAnswer, MysqlError, TabletActionError):
            transaction = await self._network.call_light(life, target, insert, limit=self._deadline)
            self._ledger.acknowledged(tablet.mysqld, transaction)
