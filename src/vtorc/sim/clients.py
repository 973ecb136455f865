"""Applications of the simulated world: they find the primary as vtgate does, write, and note what was acknowledged."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence

from vtorc.core.ids import TabletType
from vtorc.core.tablet import TabletRecord
from vtorc.errors import MysqlError, TabletActionError, TabletError
from vtorc.sim.invariants import ShardLedger
from vtorc.sim.manager import SimTabletManager
from vtorc.sim.mysql.binlog import InsertRow, Transaction
from vtorc.sim.network import Network, NetworkError
from vtorc.sim.process import Life
from vtorc.sim.tablet import SimTablet
from vtorc.tablet.api import HealthReport

_WRITE_DEADLINE = 5.0
_RETRY_STREAM = 1.0


class Gateway:
    """Follows the health of a shard's tablets and says which one is the primary that serves, as vtgate does."""

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
        """The serving primary of the newest term that anybody has reported."""
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


class Writer:
    """Writes rows with ids that nobody else uses, one after the other; all writers of a world share `row_ids`."""

    def __init__(
        self, network: Network, client: Life, ledger: ShardLedger, *, row_ids: Iterator[int], interval: float
    ) -> None:
        self._network = network
        self._client = client
        self._ledger = ledger
        self._row_ids = row_ids
        self._interval = interval

    async def write_through(self, gateway: Gateway) -> None:
        """Write to whatever primary the gateway names, for ever."""
        while True:
            await asyncio.sleep(self._interval)
            tablet = gateway.primary
            if tablet is None:
                self._ledger.blocked()
                continue
            await self._try(tablet, direct=False)

    async def write_directly(self, tablets: Sequence[SimTablet]) -> None:
        """Write to the mysqld of one tablet after the other, for ever, as an application that knows no Vitess."""
        for tablet in itertools.cycle(tablets):
            await asyncio.sleep(self._interval)
            await self._try(tablet, direct=True)

    async def _try(self, tablet: SimTablet, *, direct: bool) -> None:
        row = next(self._row_ids)

        async def insert() -> Transaction:
            if direct:
                return await tablet.mysqld.write(InsertRow(row))
            return await tablet.execute(row)

        target = tablet.mysqld.process if direct else tablet.process
        try:
            async with asyncio.timeout(_WRITE_DEADLINE):
                transaction = await self._network.call(self._client, target, insert)
        except (NetworkError, MysqlError, TabletActionError, TimeoutError):
            self._ledger.failed()
        else:
            self._ledger.acknowledged(tablet.mysqld, transaction)
