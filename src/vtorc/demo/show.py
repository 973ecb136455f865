"""The demo for a person: a screen that updates in place, or plain lines; keys or another terminal break things."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace

from rich.console import Console
from rich.live import Live

from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.board import Mark
from vtorc.demo.keyboard import keyboard
from vtorc.demo.picture import Picture, Server, draw
from vtorc.demo.remote import listening
from vtorc.demo.scene import Scene
from vtorc.demo.screen import as_text, render
from vtorc.errors import VtorcError
from vtorc.lab.errors import LabError

VERBS = ("status", "kill", "pause", "start", "rebuild")

_LEAST_PAUSE = 0.1
_MOST_PAUSE = 0.5
_STATUS_SENTENCES = 12
_LEAST_WIDTH = 60


class Show:
    """A scene under somebody's hands."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._picked: TabletAlias | None = None
        self._doing: set[asyncio.Task[None]] = set()

    async def plain(self) -> None:
        """Obey other terminals until cancelled."""
        async with listening(self._scene.cluster.folder, self._answer):
            await asyncio.get_running_loop().create_future()

    async def on_screen(self, console: Console) -> None:
        """Draw, and obey keys and other terminals, until the key q or the end of the input."""
        async with listening(self._scene.cluster.folder, self._answer), keyboard() as keys:
            with Live(screen=True, auto_refresh=False, console=console, vertical_overflow="crop") as live:
                async with asyncio.TaskGroup() as group:
                    painting = group.create_task(self._paint(live, console), name="paint")
                    while (key := await keys.get()) not in ("q", "Q", ""):
                        self._press(key, group)
                    painting.cancel()
                    for task in self._doing:
                        task.cancel()

    async def _paint(self, live: Live, console: Console) -> None:
        while True:
            picture = self._picture()
            # In a thread: a terminal that does not take output (Ctrl-S) must not stop vtorc, which runs in this loop.
            drawing = asyncio.ensure_future(asyncio.to_thread(_update, live, picture, console))
            try:
                await asyncio.shield(drawing)
            except asyncio.CancelledError:
                await drawing
                raise
            await asyncio.sleep(_LEAST_PAUSE)
            try:
                async with asyncio.timeout(_MOST_PAUSE - _LEAST_PAUSE):
                    await self._scene.board.changed()
            except TimeoutError:
                continue

    def _picture(self) -> Picture:
        scene = self._scene
        up = int(time.monotonic() - scene.began)
        spec = scene.spec
        return draw(
            scene.board,
            [Server(alias=t.alias, port=t.mysql_port, mysqld=t.mysqld_state) for t in scene.tablets],
            scene.writer.ledger,
            title="   ".join(
                [
                    "vtorc demo",
                    *(["MySQL simulated"] if scene.simulated else []),
                    str(scene.shard),
                    f"durability {spec.durability}",
                    f"topology {spec.topo}",
                    f"up {up // 60}:{up % 60:02}",
                ]
            ),
            now=time.monotonic(),
            keys=self._keys(),
            picked=self._picked,
        )

    def _keys(self) -> str:
        whom = "primary" if self._picked is None else f"{self._picked.cell}-{self._picked.uid}"
        last = min(9, len(self._scene.tablets))
        return f" k kill {whom}  p pause it  r run what is down  b rebuild  1-{last} pick  q quit "

    def _press(self, key: str, group: asyncio.TaskGroup) -> None:
        scene = self._scene
        if key.isdigit():
            self._pick(int(key))
        elif key == "k":
            self._do(group, self._on_picked("kill"))
        elif key == "p":
            self._do(group, self._on_picked("pause"))
        elif key == "r":
            self._do(group, scene.mend_all())
        elif key == "b":
            self._do(group, self._on_picked("rebuild"))

    def _pick(self, number: int) -> None:
        """Choose the tablet that the next keys are for; the same number again, or 0, means the primary once more."""
        tablets = self._scene.tablets
        alias = tablets[number - 1].alias if 1 <= number <= len(tablets) else None
        self._picked = None if alias == self._picked else alias
        self._scene.board.announce()

    async def _on_picked(self, verb: str) -> str:
        return await self._answer(verb, "primary" if self._picked is None else str(self._picked))

    def _do(self, group: asyncio.TaskGroup, work: Awaitable[str]) -> None:
        async def doing() -> None:
            try:
                await work
            except VtorcError as error:
                self._scene.board.say(Mark.FAILED, f"not done: {error}")

        task = group.create_task(doing())
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def _answer(self, verb: str, on: str) -> str:
        """Do what a key or another terminal asks for."""
        scene = self._scene
        match verb, on:
            case "status", width:
                return self._status(int(width) if width.isdigit() else 0)
            case "kill", name:
                return await scene.kill(scene.find(name))
            case "pause", name:
                return await scene.pause(scene.find(name))
            case "start", "all":
                return await scene.mend_all()
            case "start", name:
                return await scene.mend(scene.find(name))
            case "rebuild", name:
                return await scene.rebuild(scene.find(name))
        raise LabError(f"{verb!r}: expected one of {', '.join(VERBS)}")

    def _status(self, width: int) -> str:
        picture = self._picture()
        shown = replace(picture, sentences=picture.sentences[-_STATUS_SENTENCES:], keys="")
        return as_text(shown, max(width, _LEAST_WIDTH))


def _update(live: Live, picture: Picture, console: Console) -> None:
    live.update(render(picture, console, height=console.height), refresh=True)
