"""The connections of a vtorc to simulated servers themselves: one that only waits for its end, and one to ask."""

import asyncio
from collections.abc import Callable, Mapping

from vtorc.core.facts.direct_answer import ANSWERS_WITHIN, DirectAnswer, DirectOutcome
from vtorc.core.facts.records import TabletRecord
from vtorc.sim.cluster.tablet import Address
from vtorc.sim.engine.network import Network, NetworkError
from vtorc.sim.engine.process import Life
from vtorc.sim.engine.stream import End, Stream, connect
from vtorc.sim.mysql.mysqld_process import resolve
from vtorc.sim.mysql.reports import server_report
from vtorc.sim.mysql.server import SimMysqld

_CONNECT_S = 1.0
_PAUSE_S = 1.0


class SimDirectMysql:
    """Implements `Sentinel` for one process of the simulated world."""

    def __init__(self, network: Network, client: Life, directory: Mapping[Address, SimMysqld]) -> None:
        self._network = network
        self._client = client
        self._directory = directory

    async def watch_server(self, tablet: Callable[[], TabletRecord], lost: Callable[[], None]) -> None:
        """Hold a connection to the tablet's server, and call `lost` when it breaks, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    stream = await self._connect(tablet())
            except (NetworkError, TimeoutError):
                await asyncio.sleep(_PAUSE_S)
                continue
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            stream.client.on_close = lambda ended=ended: resolve(ended, None)
            try:
                await ended
            finally:
                stream.client.close()
            lost()
            await asyncio.sleep(_PAUSE_S)

    async def ask(self, tablet: TabletRecord) -> DirectAnswer:
        """Ask the tablet's server for its status."""
        stream: Stream | None = None
        answered: asyncio.Future[DirectAnswer] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                stream = await self._connect(tablet)
                stream.client.on_close = lambda: resolve(answered, DirectAnswer(outcome=DirectOutcome.UNREACHABLE))
                server = self._directory[tablet.mysql_address]
                stream.client.send(_let_in, server, stream.server, lambda answer: resolve(answered, answer))
                return await answered
        except TimeoutError:
            return DirectAnswer(outcome=DirectOutcome.UNREACHABLE if stream is None else DirectOutcome.NO_GREETING)
        except NetworkError as error:
            refused = error.reason == "refused"
            return DirectAnswer(outcome=DirectOutcome.REFUSED if refused else DirectOutcome.UNREACHABLE)
        finally:
            if stream is not None:
                stream.client.close()

    async def _connect(self, tablet: TabletRecord) -> Stream:
        server = self._directory.get(tablet.mysql_address)
        if server is None:
            raise NetworkError("unreachable", tablet.mysql_address)
        return await connect(self._network, self._client, server.process)


def _let_in(server: SimMysqld, end: End, answered: Callable[[DirectAnswer], None]) -> None:
    """Answer a client; this runs at the server, and not before its process goes on."""
    if server.refuses_connections:
        end.send(answered, DirectAnswer(outcome=DirectOutcome.REFUSES_LOGIN))
    else:
        end.send(answered, DirectAnswer(outcome=DirectOutcome.ANSWERS, status=server_report(server)))
