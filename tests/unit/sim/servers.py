"""A few simulated MySQL servers on hosts of their own, without tablets."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ThreadState
from vtorc.sim.engine.loop import current_loop, run
from vtorc.sim.engine.network import LinkFault, Network
from vtorc.sim.engine.process import Process
from vtorc.sim.mysql.admin import SimMysqlServer
from vtorc.sim.mysql.binlog import InsertRow, Transaction
from vtorc.sim.mysql.replica_server import Address
from vtorc.sim.mysql.server import MysqlObserver, SimMysqld
from vtorc.sim.mysql.settings import DropReason, SimMysqlSettings
from vtorc.vttablet.mysql_api import Source, Threads


class Notes(MysqlObserver):
    """Keeps the events of all servers."""

    def __init__(self) -> None:
        self.commits: list[tuple[SimMysqld, Transaction, bool]] = []
        self.dropped: list[tuple[SimMysqld, list[Transaction], DropReason]] = []
        self.wiped: list[SimMysqld] = []

    def committed(self, server: SimMysqld, transaction: Transaction, *, acknowledged: bool, waited: bool) -> None:
        self.commits.append((server, transaction, acknowledged))

    def relay_log_dropped(self, server: SimMysqld, lost: Sequence[Transaction], why: DropReason) -> None:
        self.dropped.append((server, list(lost), why))

    def history_wiped(self, server: SimMysqld) -> None:
        self.wiped.append(server)


class Servers:
    """Servers m0, m1, …; each with a tablet process that administers it."""

    def __init__(self, count: int, settings: SimMysqlSettings) -> None:
        self.network = Network(current_loop().random)
        self.notes = Notes()
        self.rows = 0
        directory: dict[Address, SimMysqld] = {}
        self.all: list[SimMysqld] = []
        self.admins: list[SimMysqlServer] = []
        self.tablets: list[Process] = []
        for number in range(count):
            host = self.network.add_host(f"m{number}", f"zone{number % 2}")
            server = SimMysqld(
                Process(host, "mysqld"),
                3306,
                uuid=f"{number:08x}-0000-0000-0000-000000000000",
                server_id=100 + number,
                network=self.network,
                directory=directory,
                generator=current_loop().random,
                settings=settings,
                observer=self.notes,
            )
            directory[server.address] = server
            server.start()
            tablet = Process(host, "vttablet")
            self.all.append(server)
            self.tablets.append(tablet)
            self.admins.append(SimMysqlServer(server, tablet.start()))

    async def replicate(
        self, *, source: int = 0, semi_sync: bool = True, replicas: Sequence[int] | None = None
    ) -> None:
        """Make one server the writable source of the others, and wait until they are connected."""
        await self.admins[source].set_semi_sync(primary=semi_sync, replica=semi_sync)
        await self.admins[source].set_read_only(False)
        for number in range(len(self.all)) if replicas is None else replicas:
            if number != source:
                await self.point(number, source, semi_sync=semi_sync)
        for number in range(len(self.all)) if replicas is None else replicas:
            if number != source:
                await self.connected(number)

    async def point(self, number: int, source: int, *, semi_sync: bool = True) -> None:
        """Point one server at another and start replication."""
        admin = self.admins[number]
        await admin.stop_replication()
        await admin.set_semi_sync(primary=False, replica=semi_sync)
        await admin.change_source(Source(host=f"m{source}", port=3306))
        await admin.start_replication()

    async def connected(self, number: int) -> None:
        """Wait until a server's IO thread runs."""
        await until(lambda: self.all[number].replication.io_state is ThreadState.RUNNING)

    async def write(self, number: int = 0, *, deadline: float = 2.0) -> Transaction:
        """Insert one row; raises TimeoutError if it is not acknowledged in time."""
        self.rows += 1
        async with asyncio.timeout(deadline):
            return await self.all[number].write(InsertRow(self.rows), pooled=True)

    def write_in_background(self, number: int = 0) -> "asyncio.Task[Transaction]":
        """Insert one row with an endless deadline."""
        self.rows += 1
        return asyncio.create_task(self.all[number].write(InsertRow(self.rows)))

    def cut(self, *names: str, towards: Sequence[str] | None = None) -> None:
        """Cut the ways from hosts to the others, or to some."""
        self.network.impose(
            LinkFault(
                name=f"cut {names}",
                sources=frozenset(names),
                targets=None if towards is None else frozenset(towards),
                cut=True,
            )
        )

    async def stop_io(self, number: int) -> None:
        """Stop a server's IO thread only."""
        await self.admins[number].stop_replication(Threads.IO)

    def executed(self, number: int) -> GtidSet:
        """Return the visible transactions of a server."""
        return self.all[number].executed.value


async def until(condition: Callable[[], bool], *, limit: float = 300.0) -> None:
    """Wait in virtual time until a condition holds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.01)


def play(
    main: Callable[[Servers], Awaitable[None]],
    *,
    count: int = 3,
    seed: int = 1,
    settings: SimMysqlSettings | None = None,
) -> Servers:
    """Run a scenario among some servers, and return them."""
    made: list[Servers] = []

    async def start() -> None:
        made.append(Servers(count, settings or SimMysqlSettings()))
        await main(made[0])

    run(start(), seed=seed)
    return made[0]
