"""A small real cluster in which enough has happened that each page has something to show."""

import asyncio
import http.client
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

WELL, MOVED, REPLACED, HELD = (f"commerce/{name}" for name in ("-40", "40-80", "80-c0", "c0-"))
"""The shards of the scene: nothing happened, its primary was moved, it was replaced, an operator holds vtorc back."""

PATIENCE = 300.0
"""Seconds that the cluster may take for each thing that happens."""

_LOOK_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class View:
    """One page to look at."""

    name: str
    """The name that pictures of it have."""
    path: str
    """Its path and query."""


class Scene:
    """A vtorc and its cluster."""

    def __init__(self, cluster: LabCluster, vtorc: VtorcProcess, address: str) -> None:
        self._cluster = cluster
        self._vtorc = vtorc
        self.address = address
        """Host and port of the pages."""
        self.views: Sequence[View] = ()
        """The pages, in the order in which a reader meets them."""

    async def play(self) -> None:
        """Let happen what the pages show; returns once they show it."""
        for shard in (WELL, MOVED, REPLACED, HELD):
            await self._until(f"/shards/{shard}", lambda told: told["state"] == "healthy" and told["ready"] is not None)
        plan = await self._sent(f"/shards/{MOVED}/plans", {"kind": "planned", "to": None})
        await self._sent(f"/plans/{plan['id']}/execute", {"reason": "zone1 gets new switches tonight"})
        await self._until(f"/shards/{MOVED}", lambda told: told["primary"] == plan["to"])

        old = self._cluster.tablet((await self._got(f"/shards/{REPLACED}"))["primary"])
        await old.kill_mysqld()
        recovery = await self._until(
            f"/recoveries?shard={REPLACED}&kind=RecoverDeadPrimary&outcome=succeeded", lambda told: bool(told["items"])
        )
        await self._until(f"/shards/{REPLACED}", lambda told: told["primary"] != str(old.alias) and told["acks"])

        hold = {"scope": f"shard:{HELD}", "effects": ["no_repair"], "reason": "ann tests a restore", "seconds": 14400}
        await self._sent("/holds", hold)
        shard = await self._got(f"/shards/{HELD}")
        replica = next(tablet["alias"] for tablet in shard["tablets"] if not tablet["is_primary"])
        session = await self._cluster.tablet(replica).connect_as_dba()
        try:
            await session.run("STOP REPLICA")
        finally:
            session.close()
        await self._until(f"/shards/{HELD}", lambda told: told["state"] == "standing_still")
        began = recovery["items"][0]
        self.views = (
            View("fleet", "/ui/"),
            View("shard", f"/ui/shards/{REPLACED}"),
            View("held", f"/ui/shards/{HELD}"),
            View("plan", f"/ui/shards/{WELL}/plan?kind=planned"),
            View("recovery", f"/ui/recoveries/{began['id']}"),
            View("recoveries", "/ui/recoveries"),
            View("audit", "/ui/audit"),
            View("settings", "/ui/settings"),
            View("past", f"/ui/shards/{REPLACED}?at={began['began']}"),
        )

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let vtorc stand still, so that pages are disconnected from it."""
        os.kill(self._vtorc.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._vtorc.pid, signal.SIGCONT)

    async def _until(self, path: str, is_so: Callable[[Any], object]) -> Any:
        """Ask until an answer is as wanted; returns it. Raises AssertionError with the last one after `PATIENCE`."""
        told: Any = None
        try:
            async with asyncio.timeout(PATIENCE):
                while (told := await self._got(path)) is None or not is_so(told):  # noqa: ASYNC110 (no event tells)
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise AssertionError(f"{path}: not as wanted after {PATIENCE:g} s, but {told}") from None
        return told

    async def _got(self, path: str) -> Any:
        return await asyncio.to_thread(self._request, "GET", path, None)

    async def _sent(self, path: str, body: object) -> Any:
        answer = await asyncio.to_thread(self._request, "POST", path, body)
        assert answer is not None, f"{path} was refused"
        return answer

    def _request(self, method: str, path: str, body: object) -> Any:
        """Return the answer to a request; None for a refusal."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            headers = {"Content-Type": "application/json", "X-Vtorc": "1"}
            data = msgspec.json.encode(body) if body is not None else None
            connection.request(method, f"/api/v1{path}", data, headers if data is not None else {})
            answer = connection.getresponse()
            text = answer.read()
            return msgspec.json.decode(text) if answer.status < 300 else None
        finally:
            connection.close()


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """Start a cluster of four shards, and a vtorc over it; all of it ends with the context."""
    spec = LabSpec(topo="local", shards=tuple(name.partition("/")[2] for name in (WELL, MOVED, REPLACED, HELD)))
    async with LabCluster(spec) as cluster:
        folder = cluster.folder / "vtorc"
        flags = [*cluster.topo_flags, f"--log-dir={folder}", "--listen-address=127.0.0.1:0"]
        async with VtorcProcess(folder, flags) as vtorc:
            served = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
            made = Scene(cluster, vtorc, served["address"])
            await made.play()
            yield made
