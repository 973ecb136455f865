"""The attended demo: a screen that updates in place, or plain lines; keys or another terminal break servers."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace

import msgspec
from rich.console import Console
from rich.live import Live

from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.demo_observer import Mark
from vtorc.demo.faults import BY_KEY, fault_named
from vtorc.demo.keyboard import keyboard
from vtorc.demo.picture import HELP_KEYS, Picture, ServerState, draw, help_on_keys, keys_of
from vtorc.demo.remote import listening
from vtorc.demo.running_demo import RunningDemo
from vtorc.demo.screen import as_text, render
from vtorc.demo.state import state_of
from vtorc.errors import VtorcError
from vtorc.server import demo_door

_LEAST_PAUSE = 0.1
_MOST_PAUSE = 0.5
_STATUS_SENTENCES = 12
_LEAST_WIDTH = 60


class InteractiveDemo:
    """A running demo that obeys keys and commands from other terminals."""

    def __init__(self, demo: RunningDemo) -> None:
        self._demo = demo
        self._picked: TabletAlias | None = None
        self._explains = False
        self._actions: set[asyncio.Task[None]] = set()

    async def serve_commands(self) -> None:
        """Obey other terminals until cancelled."""
        async with listening(self._demo.cluster.folder, self._answer):
            await asyncio.get_running_loop().create_future()

    async def run_on_screen(self, console: Console) -> None:
        """Draw, and obey keys and other terminals, until the key q or the end of the input."""
        async with listening(self._demo.cluster.folder, self._answer), keyboard() as keys:
            with Live(screen=True, auto_refresh=False, console=console, vertical_overflow="crop") as live:
                async with asyncio.TaskGroup() as group:
                    painting = group.create_task(self._paint(live, console), name="paint")
                    while (key := await keys.get()) not in ("q", "Q", ""):
                        self._press(key, group)
                    painting.cancel()
                    for task in self._actions:
                        task.cancel()

    async def _paint(self, live: Live, console: Console) -> None:
        while True:
            picture = self._picture()
            if self._explains:
                picture = replace(picture, help=self._help(), keys=HELP_KEYS)
            # Drawn in a thread: a terminal that takes no output (Ctrl-S) would stop vtorc, which runs in this loop.
            drawing = asyncio.ensure_future(asyncio.to_thread(_update, live, picture, console))
            try:
                await asyncio.shield(drawing)
            except asyncio.CancelledError:
                await drawing
                raise
            await asyncio.sleep(_LEAST_PAUSE)
            try:
                async with asyncio.timeout(_MOST_PAUSE - _LEAST_PAUSE):
                    await self._demo.observer.changed()
            except TimeoutError:
                continue

    def _picture(self) -> Picture:
        demo = self._demo
        up = int(time.monotonic() - demo.began)
        spec = demo.spec
        return draw(
            demo.observer,
            [ServerState(alias=t.alias, port=t.mysql_port, mysqld=t.mysqld_state) for t in demo.tablets],
            demo.writer.ledger,
            title="   ".join(
                [
                    "vtorc demo",
                    *([] if demo.vtorc.is_running else ["VTORC HAS ENDED, r starts it"]),
                    *(["TOPOLOGY SERVER IS DOWN, r starts it"] if demo.cluster.topo_is_down else []),
                    *(["MySQL simulated"] if demo.simulated else []),
                    str(demo.shard),
                    f"durability {spec.durability}",
                    f"topology {spec.topo}",
                    f"up {up // 60}:{up % 60:02}",
                ]
            ),
            ask=demo.ask_briefly,
            now=time.monotonic(),
            keys=keys_of(self._picked, len(demo.tablets)),
            picked=self._picked,
            has_vtorc=demo.vtorc.is_running,
        )

    def _press(self, key: str, group: asyncio.TaskGroup) -> None:
        """Do what the key stands for; the key ? opens the page with all keys, and each key closes it again."""
        self._explains = key == "?" and not self._explains
        self._demo.observer.announce()
        if key.isdigit():
            self._pick(int(key))
        elif (fault := BY_KEY.get(key)) is not None:
            self._do(group, self._on_picked(fault.name))
        elif key == "r":
            self._do(group, self._demo.start_or_resume_all())
        elif key == "b":
            self._do(group, self._on_picked("rebuild"))

    def _help(self) -> list[tuple[str, str]]:
        """Return what each key does, and where data and logs are."""
        demo = self._demo
        return [
            *help_on_keys(),
            ("folder", str(demo.cluster.folder)),
            ("history", demo.history),
            ("MySQL", demo.login),
        ]

    def _pick(self, number: int) -> None:
        """Select the tablet that the next keys are for; the same number again, or 0, selects the primary."""
        tablets = self._demo.tablets
        alias = tablets[number - 1].alias if 1 <= number <= len(tablets) else None
        self._picked = None if alias == self._picked else alias

    async def _on_picked(self, command: str) -> str:
        return await self._answer(command, "primary" if self._picked is None else str(self._picked))

    def _do(self, group: asyncio.TaskGroup, action: Awaitable[str]) -> None:
        async def act() -> None:
            try:
                await action
            except VtorcError as error:
                self._demo.observer.say(Mark.FAILED, f"not done: {error}")

        task = group.create_task(act())
        self._actions.add(task)
        task.add_done_callback(self._actions.discard)

    async def _answer(self, command: str, target: str) -> str:
        """Carry out what a key or another terminal asks for; returns the text for the operator."""
        demo = self._demo
        match command, target:
            case "status", width:
                return self._status(int(width) if width.isdigit() else 0)
            case demo_door.STATE, _:
                return self._state()
            case "start", "all":
                return await demo.start_or_resume_all()
            case "start", name:
                return await demo.start_or_resume(demo.find(name))
            case "rebuild", name:
                return await demo.rebuild(demo.find(name))
        return await demo.bring_about(fault_named(command), target)

    def _state(self) -> str:
        demo = self._demo
        primary = demo.primary.alias if demo.primary is not None else None
        told = state_of(
            demo.tablets, primary, has_vtorc=demo.vtorc.is_running, has_topology=not demo.cluster.topo_is_down
        )
        return msgspec.json.encode(told).decode()

    def _status(self, width: int) -> str:
        picture = self._picture()
        shown = replace(picture, sentences=picture.sentences[-_STATUS_SENTENCES:], keys=())
        return as_text(shown, max(width, _LEAST_WIDTH))


def _update(live: Live, picture: Picture, console: Console) -> None:
    live.update(render(picture, console, height=console.height), refresh=True)
