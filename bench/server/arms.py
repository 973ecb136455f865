"""A real cluster with failovers beside a made fleet, by turns without HTTP and with a server under load."""

import asyncio
import contextlib
import gc
import http.client
import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.server.lateness import Lateness
from bench.server.made_fleet import MadeFleet
from vtorc.app import daemon_facts, fleet_settings, open_tools
from vtorc.config.settings import Settings
from vtorc.control.fleet import Fleet
from vtorc.control.garbage import rare_garbage_collection
from vtorc.control.log_observer import LogObserver
from vtorc.control.observer import Observers, TopologyObservers
from vtorc.control.scope import Scope
from vtorc.demo.failovers import FailoverSeries
from vtorc.demo.report import DemoReport, Failover, SeriesSetup
from vtorc.demo.running_demo import RunningDemo
from vtorc.demo.writer import INTERVAL
from vtorc.server.listener import BoundListener, Listener, bind
from vtorc.server.options import ServerRules
from vtorc.serving import HttpSide

WARM_UP = 3.0
"""Seconds after the start of a vtorc, or of its clients, that are not measured."""

STARTS_WITHIN = 120.0
"""Seconds that a server gets to know the whole fleet."""

_ASK_EVERY = 0.1


@dataclass(slots=True)
class Arm:
    """What was measured without HTTP, or with it; times are in seconds."""

    name: str
    """What is different in it."""
    late: list[float] = field(default_factory=list)
    """By how much each timer of control was late."""
    failovers: list[Failover] = field(default_factory=list)
    """The failovers."""
    made_late: float = 0.0
    """By how much the made fleet was late at most."""
    server_mib: float = 0.0
    """Most resident memory of the server process, in MiB; 0 without one."""

    def with_those_of(self, other: "Arm") -> "Arm":
        """Return what was measured in either of two arms."""
        return Arm(self.name, [*self.late, *other.late], [*self.failovers, *other.failovers])


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    host: str
    port: int
    shards: int
    """How many shards it is to know."""
    parent: int = field(default_factory=os.getpid)
    """The process id of its vtorc."""

    @property
    def pid(self) -> int | None:
        """The process id of the server that runs now, older than its spare; None while there is none."""
        return next(iter(_children_running("vtorc.server.process", self.parent)), None)

    def status(self, path: str, *, seconds: float = 5.0) -> int:
        """Ask for a path; returns the status of the answer, 0 without one."""
        return self._ask(path, seconds)[0]

    async def wait_complete(self) -> None:
        """Wait until the server knows all shards; raises TimeoutError."""
        async with asyncio.timeout(STARTS_WITHIN):
            while True:
                if await asyncio.to_thread(self._known) >= self.shards:
                    return
                await asyncio.sleep(_ASK_EVERY)

    def _known(self) -> int:
        status, body = self._ask("/api/v1/status", 5.0)
        return sum(json.loads(body)["states"].values()) if status == 200 else 0

    def _ask(self, path: str, seconds: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


Load = Callable[[Served], AbstractAsyncContextManager[None]]
"""What is done to a server while its context lasts."""


async def run_arm(
    demo: RunningDemo, arm: Arm, *, failovers: int, shards: int, tablets: int, load: Load | None = None
) -> None:
    """Run a vtorc for so many failovers and enter what was measured; without `load` it serves no HTTP."""
    gc.collect()  # what is left of the arm before would be looked through in the middle of this one
    gc.freeze()
    settings = _settings(demo)
    scope = Scope.parse(settings.clusters_to_watch)
    async with AsyncExitStack() as stack:
        tools, _ = await stack.enter_async_context(open_tools(lambda: settings))
        listeners: list[BoundListener] = []
        if load is not None:
            listeners.append(bind(Listener.V12, "127.0.0.1", 0))
            stack.enter_context(closing(listeners[0].sock))
        log = LogObserver()
        side = HttpSide(
            listeners,
            ServerRules(),
            tools,
            fleet=lambda: fleet,
            facts=lambda: daemon_facts(settings, fleet, (), ()),
            audit=[log],
        )
        fleet = Fleet(
            tools,
            lambda: fleet_settings(settings, scope),
            Observers([demo.observer, log, *side.observers]),
            topology_observer=TopologyObservers([log, *side.observers]),
        )
        made, lateness = MadeFleet(shards, tablets, now=tools.clock.now), Lateness()
        await stack.enter_async_context(rare_garbage_collection(lambda: fleet.is_recovering))
        await stack.enter_async_context(side.serving())
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = [
            group.create_task(fleet.run(), name="vtorc"),
            group.create_task(made.run(side.observers), name="made fleet"),
        ]
        try:
            served = None
            if load is not None:
                host, port = listeners[0].sock.getsockname()
                served = Served(host, port, shards)
                await served.wait_complete()
                await stack.enter_async_context(load(served))
            await asyncio.sleep(WARM_UP)
            made.late = 0.0
            running.append(group.create_task(lateness.run(), name="lateness"))
            await _fail_over(demo, arm, failovers)
            arm.late += lateness.seconds
            arm.made_late = max(arm.made_late, made.late)
            if served is not None and (pid := served.pid) is not None:
                arm.server_mib = max(arm.server_mib, _most_resident_mib(pid))
        finally:
            fleet.stop()
            for task in running[1:]:
                task.cancel()


async def _fail_over(demo: RunningDemo, arm: Arm, failovers: int) -> None:
    setup = SeriesSetup(
        wanted=failovers,
        fault="kill-mysqld",
        durability=demo.spec.durability,
        tablets=demo.spec.tablets,
        topo=demo.spec.topo,
        write_interval_ms=round(INTERVAL * 1000),
    )
    report = DemoReport(setup)
    await FailoverSeries(demo, report, arm.failovers.append).run()


def _settings(demo: RunningDemo) -> Settings:
    """Return the demo's settings: without a cooldown, as the same tablet is killed again and again."""
    topo = demo.cluster.topo_settings
    return Settings(
        topo_implementation=topo.implementation,
        topo_global_server_address=",".join(topo.global_server_address),
        topo_global_root=topo.global_root,
        instance_poll_time=1.0,
        suspicious_poll_time=0.15,
        recovery_period_block_seconds=0.0,
        shutdown_wait_time=5.0,
    )


def _children_running(module: str, of: int) -> list[int]:
    """Return the ids of a process' children that run a Python module, oldest first."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == of and module.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)


def _most_resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
