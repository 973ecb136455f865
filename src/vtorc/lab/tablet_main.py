"""One lab tablet as a process: `python -m vtorc.lab.tablet_main --tablet-alias zone1-101 --dir FOLDER …`.

It runs the small tablet manager, and one mysqld in its folder. The mysqld outlives the tablet: a tablet that is started
again takes over a running server. SIGTERM and SIGINT shut the tablet down as vttablet does; its mysqld goes on unless
--stop-mysqld is given.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
import zlib
from pathlib import Path

import structlog
import uvloop

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.errors import VtorcError
from vtorc.lab.disk_probe import FileProbe
from vtorc.lab.grpc_peers import GrpcPeers
from vtorc.lab.grpc_service import TabletServer
from vtorc.lab.mysql_server import RealMysqlServer
from vtorc.lab.mysqld import Mysqld, MysqldConfig
from vtorc.lab.parts import find_mysqld
from vtorc.lab.tablet_control import Command, TabletControlServer
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.config import AgentTimings, TabletConfig

_log = structlog.get_logger(__name__)


def parser() -> argparse.ArgumentParser:
    """Describe the command line; a flag that vttablet has too means the same as there."""
    parser = argparse.ArgumentParser(prog="tablet_main", description=__doc__)
    topo = parser.add_argument_group("topology server")
    topo.add_argument("--topo-implementation", required=True)
    topo.add_argument("--topo-global-server-address", default="")
    topo.add_argument("--topo-global-root", required=True)
    tablet = parser.add_argument_group("tablet")
    tablet.add_argument("--tablet-alias", type=TabletAlias.parse, required=True)
    tablet.add_argument("--keyspace", required=True)
    tablet.add_argument("--shard", required=True)
    tablet.add_argument("--init-tablet-type", type=_startable_type, default=TabletType.REPLICA)
    tablet.add_argument("--init-db-name-override", default="")
    tablet.add_argument("--hostname", default="127.0.0.1", help="address of tablet and mysqld in the tablet's record")
    tablet.add_argument("--grpc-port", type=int, required=True)
    tablet.add_argument("--port", type=int, default=0, help="web port in the tablet's record; nothing listens there")
    tablet.add_argument("--grpc-auth-static-password-file", type=Path, help="JSON list of Username and Password")
    tablet.add_argument("--grpc-auth-static-client-creds", type=Path, help="JSON object of Username and Password")
    tablet.add_argument(
        "--no-errant-check", action="store_true", help="do not check for errant GTIDs, as vttablets before 22"
    )
    tablet.add_argument(
        "--time-factor", type=float, default=1.0, help="multiplies the intervals of the background loops"
    )
    server = parser.add_argument_group("mysqld")
    server.add_argument("--dir", type=Path, required=True, help="folder of the data, sockets and logs")
    server.add_argument("--mysql-port", type=int, required=True)
    server.add_argument("--leave-mysqld", action="store_true", help="do not start mysqld when it is not running")
    server.add_argument("--supervise", action="store_true", help="start mysqld again each time it ends")
    server.add_argument("--stop-mysqld", action="store_true", help="stop mysqld too at shutdown")
    server.add_argument("--mysqld-option", action="append", default=[], help="one more option for mysqld")
    return parser


class TabletProcess:
    """The parts of one tablet process, and its life from start to shutdown."""

    def __init__(self, options: argparse.Namespace, topo: TopoServer) -> None:
        self._options = options
        alias: TabletAlias = options.tablet_alias
        self._mysqld = Mysqld(
            MysqldConfig(
                mysql=find_mysqld(),
                folder=options.dir,
                port=options.mysql_port,
                server_id=zlib.crc32(str(alias).encode()) or 1,
                host=options.hostname,
                options=tuple(options.mysqld_option),
            )
        )
        self._wanted = not options.leave_mysqld
        self._server = RealMysqlServer(self._mysqld.socket, version=self._mysqld.config.mysql.version)
        config = TabletConfig(
            alias=alias,
            shard=ShardId.parse(f"{options.keyspace}/{options.shard}"),
            hostname=options.hostname,
            grpc_port=options.grpc_port,
            vt_port=options.port or options.grpc_port,
            mysql_hostname=options.hostname,
            mysql_port=options.mysql_port,
            init_type=options.init_tablet_type,
            db_name_override=options.init_db_name_override,
        )
        self._disk = FileProbe(options.dir)
        self._agent = TabletAgent(
            config,
            topo,
            self._server,
            wall=time.time_ns,
            peers=None if options.no_errant_check else GrpcPeers(_credentials(options.grpc_auth_static_client_creds)),
            disk_probe=self._disk,
            timings=AgentTimings().scaled(options.time_factor),
        )
        self._grpc = TabletServer(self._agent, passwords=_passwords(options.grpc_auth_static_password_file))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raises TabletAliasLost when the tablet has lost its record."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        control = TabletControlServer(self._options.dir, self._commands())
        await self._mysqld.prepare()
        await control.start()
        await self._grpc.start(self._options.hostname, self._options.grpc_port)
        try:
            await self._run_until(stop)
        finally:
            await control.stop()
            await self._grpc.stop()
            await self._server.close()
        await self._agent.shut_down()
        if self._options.stop_mysqld:
            await self._mysqld.stop()
        _log.info("the tablet is shut down")

    async def _run_until(self, stop: asyncio.Event) -> None:
        supervisor = asyncio.create_task(self._supervise())
        agent = asyncio.create_task(self._agent.run())
        stopped = asyncio.create_task(stop.wait())
        tasks = {supervisor, agent, stopped}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _supervise(self) -> None:
        """Start mysqld at the beginning, and with --supervise again each time it ends."""
        while True:
            if self._wanted and self._mysqld.pid is None:
                await self._mysqld.start()
            if not self._options.supervise:
                await asyncio.Event().wait()
            await self._mysqld.wait_exit()
            await asyncio.sleep(0.2)

    def _commands(self) -> dict[str, Command]:
        return {
            "mysqld-kill": self._kill,
            "mysqld-stop": self._stop,
            "mysqld-start": self._start,
            "mysqld-pause": self._pause,
            "mysqld-resume": self._resume,
            "mysqld-restart": self._mysqld.restart,
            "disk-stall": self._stall_disk,
            "disk-fill": self._fill_disk,
            "disk-go-on": self._let_disk_go_on,
            "status": self._status,
            "wait-up": self._wait_up,
        }

    async def _kill(self) -> None:
        await self._mysqld.kill()

    async def _stop(self) -> None:
        self._wanted = False
        await self._mysqld.stop()

    async def _start(self) -> None:
        self._wanted = True
        await self._mysqld.start()

    async def _pause(self) -> None:
        self._mysqld.pause()

    async def _resume(self) -> None:
        self._mysqld.resume()

    async def _stall_disk(self) -> None:
        self._disk.stall()

    async def _fill_disk(self) -> None:
        self._disk.fill()

    async def _let_disk_go_on(self) -> None:
        self._disk.go_on()

    async def _status(self) -> dict[str, object]:
        state = self._agent.state
        return {
            "alias": str(state.config.alias),
            "type": str(state.type),
            "up": state.started.is_set(),
            "serving": state.serving,
            "mysqld_pid": self._mysqld.pid,
        }

    async def _wait_up(self) -> dict[str, object]:
        await self._agent.state.started.wait()
        return await self._status()


async def run(options: argparse.Namespace) -> int:
    """Run the tablet; returns 0 after a requested shutdown, 1 after an error."""
    options.dir.mkdir(parents=True, exist_ok=True)
    try:
        topo = await open_topo(
            TopoAccess(
                implementation=options.topo_implementation,
                global_server_address=tuple(options.topo_global_server_address.split(",")),
                global_root=options.topo_global_root,
            )
        )
        try:
            await TabletProcess(options, topo).run()
        finally:
            await topo.close()
    except VtorcError as error:
        _log.error("the tablet ends", error=str(error))
        return 1
    return 0


def main(arguments: list[str]) -> int:
    """Run one tablet in the foreground."""
    options = parser().parse_args(arguments)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
    )
    with contextlib.suppress(KeyboardInterrupt):
        return uvloop.run(run(options))
    return 130


def _startable_type(text: str) -> TabletType:
    found = TabletType.parse(text)
    if found not in (TabletType.REPLICA, TabletType.RDONLY, TabletType.SPARE, TabletType.EXPERIMENTAL):
        raise argparse.ArgumentTypeError(
            f"a tablet cannot start as {text}: expected replica, rdonly, spare or experimental"
        )
    return found


def _passwords(file: Path | None) -> dict[str, str] | None:
    if file is None:
        return None
    return {entry["Username"]: entry["Password"] for entry in json.loads(file.read_text())}


def _credentials(file: Path | None) -> tuple[str, str] | None:
    if file is None:
        return None
    entry = json.loads(file.read_text())
    return entry["Username"], entry["Password"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
