"""The vtorc of a demo: the daemon without its signals, which ends and starts at an operator's word."""

import asyncio
from dataclasses import fields
from pathlib import Path

from vtorc.app import run_fleet
from vtorc.config.load import Loaded
from vtorc.config.settings import Settings
from vtorc.config.store import SettingsStore
from vtorc.control.fleet import Fleet
from vtorc.control.scope import Scope
from vtorc.demo.demo_observer import DemoObserver
from vtorc.demo.stand_in import standing_in
from vtorc.lab.errors import LabError
from vtorc.reloading import Reloading
from vtorc.server.listener import BoundListener
from vtorc.server.options import ServerRules


class DemoVtorc:
    """Runs a vtorc with the demo's settings; its history and its memory outlive each end."""

    def __init__(self, settings: Settings, listener: BoundListener, observer: DemoObserver, door: Path) -> None:
        """Serve at `listener`, which stays bound, and let `observer` hear of the shard and its holds.

        The pages send what breaks servers to the demo's `door`.
        """
        sources = {field.name: "vtorc demo" for field in fields(settings)}
        self._store = SettingsStore(lambda: Loaded(settings=settings, sources=sources))
        self._listener = listener
        self._observer = observer
        self._door = str(door)
        self._fleet: Fleet | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Whether it runs, or is about to."""
        return self._wanted.is_set()

    def start(self) -> None:
        """Start it again; raises LabError if it runs."""
        if self.is_running:
            raise LabError("vtorc is running")
        self._wanted.set()

    def end(self) -> None:
        """End it at once; raises LabError if it has ended.

        A recovery that it had begun is undone as far as that goes.
        """
        if not self.is_running:
            raise LabError("vtorc has ended already")
        self._wanted.clear()
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """End it for good: recoveries under way end first."""
        self._is_over = True
        self._wanted.set()
        if self._fleet is not None:
            self._fleet.stop()
        elif self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Run it whenever it is wanted, until `stop`; raises what it raises."""
        async with asyncio.TaskGroup() as rest:
            while True:
                if not self.is_running:
                    async with standing_in(self._listener, self._door, rest):
                        await self._wanted.wait()
                if self._is_over:
                    return
                await self._run_once()

    async def _run_once(self) -> None:
        scope = Scope.parse(self._store.settings.clusters_to_watch)
        self._task = asyncio.create_task(
            run_fleet(
                self._store,
                scope,
                [self._listener],
                ServerRules(demo_door=self._door),
                ready=self._keep,
                observers=[self._observer],
            ),
            name="vtorc",
        )
        try:
            await asyncio.wait((self._task,))
        finally:
            task, self._task, self._fleet = self._task, None, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    def _keep(self, fleet: Fleet, _: Reloading) -> None:
        self._fleet = fleet
        self._observer.clock = fleet.tools.clock.now
        fleet.holds.listen(self._observer.held)
