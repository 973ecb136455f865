"""A vtorc that is killed at any moment while operators give it orders: what was answered is there after its restart."""

import asyncio
import contextlib
import http.client
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon.daemons import daemons_of, echo
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

KILLS = 8
"""Moments at which a vtorc without shards is killed amid its orders."""

KILLS_AMID_REPARENTS = 2
"""Moments at which one is killed amid orders and a reparent."""

SWITCH = "switch"


@dataclass
class Orders:
    """The orders of operators: what was answered, and what may be in force although it was not."""

    in_force: set[str] = field(default_factory=set)
    """Reasons of the holds that must be in force, which are unique; the switch by its own word."""
    unsure: set[str] = field(default_factory=set)
    """Those that were asked for, or asked to end, without an answer."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The number of each hold."""
    answered: int = 0
    """How many orders were answered."""

    def check(self, holds: list[dict[str, Any]]) -> None:
        """Check the holds after a restart, and take what is there for what was answered from then on."""
        found = {SWITCH if hold["purpose"] == SWITCH else hold["reason"]: hold["number"] for hold in holds}
        assert self.in_force - self.unsure <= found.keys() <= self.in_force | self.unsure
        assert len(found) == len(holds)
        self.in_force, self.unsure, self.numbers = set(found), set(), found


class Api:
    """Asks one vtorc."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer; raises OSError or HTTPException if there is none."""
        status, answer = await asyncio.to_thread(self._ask, method, path, body)
        assert status in (200, 202), answer
        return answer

    async def holds(self) -> list[dict[str, Any]]:
        """Return the holds in force, once the server has been told all."""
        told: list[Any] = []

        async def why_not() -> str:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = await asyncio.to_thread(self._ask, "GET", "/api/v1/holds", None)
                told[:] = [answer["items"]] if status == 200 else []
                return "" if told else f"{answer}"
            return "it does not answer"

        await until(why_not)
        holds: list[dict[str, Any]] = told[0]
        return holds

    def _ask(self, method: str, path: str, order: Any) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(order) if order is not None else None, headers)
            answer = connection.getresponse()
            body = answer.read().decode()
            return answer.status, json.loads(body) if answer.headers.get_content_type() == "application/json" else body
        finally:
            connection.close()


async def give(api: Api, orders: Orders, chance: random.Random, prefix: str) -> None:
    """Give orders one after the other until one is not answered: holds, their ends, and the switch."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(10_000):
            kept = sorted(orders.in_force - orders.unsure - {SWITCH})
            match chance.randrange(4):
                case 0 if kept:
                    reason = chance.choice(kept)
                    orders.unsure.add(reason)
                    await api.ask("DELETE", f"/api/v1/holds/{orders.numbers[reason]}", {"reason": "a drill"})
                    orders.in_force.discard(reason)
                case 1:
                    reason, is_on = SWITCH, SWITCH in orders.in_force
                    orders.unsure.add(SWITCH)
                    await api.ask("GET", f"/api/{'enable' if is_on else 'disable'}-global-recoveries")
                    orders.in_force ^= {SWITCH}
                case _:
                    reason = f"{prefix}{number}"
                    orders.unsure.add(reason)
                    body = {"scope": "fleet", "effects": ["no_alert"], "reason": reason, "seconds": 86_400}
                    answer = await api.ask("POST", "/api/v1/holds", body)
                    orders.numbers[reason] = answer["hold"]["number"]
                    orders.in_force.add(reason)
            orders.unsure.discard(reason)
            orders.answered += 1


@asynccontextmanager
async def ordering(api: Api, orders: Orders, chance: random.Random, prefix: str) -> AsyncIterator[None]:
    """Give orders until the vtorc has been killed at a moment that chance picks; the caller kills it on return."""
    wanted = orders.answered + chance.randrange(1, 6)
    giving = asyncio.create_task(give(api, orders, chance, prefix))
    try:

        async def why_not() -> str:
            return "" if orders.answered >= wanted or giving.done() else f"{orders.answered} of {wanted} orders"

        await until(why_not)
        await asyncio.sleep(chance.uniform(0.0, 0.03))  # the moment, which is not waited for
        yield
    finally:
        await giving


async def serving(vtorc: VtorcProcess) -> Api:
    """Return what asks a vtorc, once it serves."""
    line = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
    return Api(str(line["address"]))


async def test_each_answered_order_is_there_after_a_kill(tmp_path: Path) -> None:
    """Those that were not answered are there or not, and none is there twice."""
    orders, chance = Orders(), random.Random(1)
    flags = (
        "--topo_implementation=local",
        f"--topo_global_server_address={tmp_path / 'topo.sqlite'}",
        "--topo_global_root=/vitess/global",
        f"--log-dir={tmp_path}",
        "--listen-address=127.0.0.1:0",
    )
    for kill in range(KILLS):
        async with VtorcProcess(tmp_path, flags, on_line=echo(f"vtorc {kill}")) as vtorc:
            api = await serving(vtorc)
            orders.check(await api.holds())
            async with ordering(api, orders, chance, f"{kill}-"):
                await vtorc.kill()
    assert orders.answered > KILLS


@pytest.mark.asyncio(loop_scope="module")
async def test_no_reparent_is_carried_out_twice_after_a_kill() -> None:
    """A kill amid orders and a reparent loses no answered order, and the reparent is done once or not at all.

    The next vtorc makes the shard well again whatever the switch says, as it was allowed to act before it is killed.
    """
    orders, chance = Orders(), random.Random(2)
    async with LabCluster(LabSpec(topo="local")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        folder = cluster.folder / "orders"
        flags = (f"--log-dir={folder}", "--listen-address=127.0.0.1:0")
        for kill in range(KILLS_AMID_REPARENTS):
            vtorc = await daemons.start(*flags)
            api = await serving(vtorc)
            orders.check(await api.holds())
            if SWITCH in orders.in_force:
                await api.ask("GET", "/api/enable-global-recoveries")
                orders.in_force.discard(SWITCH)
            await shard.well()
            before = len(await shard.journal())
            plan = await api.ask("POST", f"/api/v1/shards/{shard.id}/plans", {"kind": "planned"})
            await api.ask("POST", f"/api/v1/plans/{plan['id']}/execute", {"reason": f"kill {kill}"})
            async with ordering(api, orders, chance, f"{kill}-"):
                await vtorc.kill()
            await daemons.end()
            vtorc = await daemons.start(*flags)
            orders.check(await (await serving(vtorc)).holds())
            if SWITCH in orders.in_force:
                await (await serving(vtorc)).ask("GET", "/api/enable-global-recoveries")
                orders.in_force.discard(SWITCH)
            await shard.well()
            assert len(await shard.journal()) <= before + 1
            await vtorc.kill()
            await daemons.end()
