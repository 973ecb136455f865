"""Simulated MySQL servers in real time, as the processes of one machine, on an ordinary event loop.

The code is the simulator's, and only the clock differs. The order of events depends on the real machine, so a run
cannot be replayed.
"""

import asyncio
import random
import time
from uuid import UUID

from vtorc.core.facts.ids import TabletAlias
from vtorc.lab.errors import LabError
from vtorc.sim.engine.network import Latency, Network
from vtorc.sim.engine.process import Life, Process, ProcessState
from vtorc.sim.mysql.replica_server import Address
from vtorc.sim.mysql.server import MysqlObserver, SimMysqld
from vtorc.sim.mysql.settings import SimMysqlSettings

LAB_SETTINGS = SimMysqlSettings(replica_net_timeout=8.0, recovery=Latency(0.3, 0.6, 1.5))
"""Settings as those of the lab's real servers; the recovery after a start takes about as long as theirs."""

_STATES = {ProcessState.RUNNING: "running", ProcessState.FROZEN: "paused", ProcessState.STOPPED: "down"}


class SimMachine:
    """One host, with the servers on it; make it inside the event loop in which they shall run."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._random = random.Random()
        self._network = Network(self._random)
        self._host = self._network.add_host(address, "lab")
        # A term begins by the tablet's clock, which is this machine's. A server with another clock could not win one.
        self._host.wall_offset = time.time_ns() - self._host.wall()
        self._mysqlds: dict[Address, SimMysqld] = {}

    def client(self, name: str) -> Life:
        """Start a process that can connect to servers."""
        return Process(self._host, name).start()

    def server(self, alias: TabletAlias, port: int) -> "SimServer":
        """Install a server, empty and down."""
        return SimServer(self, alias, port)

    def install(self, process: Process, port: int) -> SimMysqld:
        """Make an empty server with a UUID and a server_id of its own, in the place of the one that had its port.

        A replica skips transactions with its own server_id. With the same one, a rebuilt server would never get back
        the transactions that it had written before.
        """
        mysqld = SimMysqld(
            process,
            port,
            uuid=str(UUID(int=self._random.getrandbits(128), version=4)),
            server_id=self._random.randrange(1, 2**32),
            network=self._network,
            directory=self._mysqlds,
            generator=self._random,
            settings=LAB_SETTINGS,
            observer=MysqlObserver(),
        )
        self._mysqlds[mysqld.address] = mysqld
        return mysqld

    def new_process(self) -> Process:
        """Make a stopped process for a server."""
        return Process(self._host, "mysqld")

    def recovery_time(self) -> float:
        """Draw how many seconds a server needs from its start until it answers."""
        return LAB_SETTINGS.recovery.draw(self._random)


class SimServer:
    """One simulated mysqld as the operator of its machine handles it: start, kill, pause, wipe."""

    def __init__(self, machine: SimMachine, alias: TabletAlias, port: int) -> None:
        self.port = port
        self._machine = machine
        self._alias = alias
        self._process = machine.new_process()
        self._starting = asyncio.Lock()
        self.mysqld = machine.install(self._process, port)

    @property
    def state(self) -> str:
        """Running, paused or down."""
        return _STATES[self._process.state]

    async def start(self) -> None:
        """Start the server unless it runs, and return once it answers."""
        async with self._starting:
            if self._process.state is ProcessState.STOPPED:
                await asyncio.sleep(self._machine.recovery_time())
                self.mysqld.start()

    def kill(self) -> None:
        """End the process, as SIGKILL does."""
        self._process.crash()

    def pause(self) -> None:
        """Make the process hang, as SIGSTOP does; raises LabError if it is down."""
        self._refuse_down("pause")
        self._process.freeze()

    def resume(self) -> None:
        """Resume the process, as SIGCONT does; raises LabError if it is down."""
        self._refuse_down("resume")
        self._process.thaw()

    def wipe(self) -> None:
        """Kill the process and delete all its data; the next start is that of a new server."""
        self.kill()
        self.mysqld = self._machine.install(self._process, self.port)

    def _refuse_down(self, action: str) -> None:
        if self._process.state is ProcessState.STOPPED:
            raise LabError(f"the simulated mysqld of {self._alias} is down, there is nothing to {action}; start it")
