"""Names are looked up so that one silent name server delays no other host."""

import asyncio
import socket
import threading
from collections import Counter

import pytest

from vtorc.tablet.lookup import PATIENCE, Addresses, Lookups, look_up


class Names:
    """A name server: names in `silent` are answered when their event is set, others at once."""

    def __init__(self, *silent: str) -> None:
        self.asked: Counter[str] = Counter()
        self.gates = {name: threading.Event() for name in silent}
        self.answers: dict[str, str | OSError] = {}

    def look_up(self, host: str) -> Addresses:
        """Answer one question."""
        self.asked[host] += 1
        if host in self.gates:
            assert self.gates[host].wait(30.0)
        answer = self.answers.get(host, f"address of {host}")
        if isinstance(answer, OSError):
            raise answer
        return [answer]


async def test_a_lookup_is_shared_and_outlives_its_caller() -> None:
    """A cancelled caller leaves its lookup to the next caller that asks for the same name."""
    names = Names("slow")
    lookups = Lookups(names.look_up)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await lookups.addresses("slow")
    waiting = asyncio.create_task(lookups.addresses("slow"))
    names.gates["slow"].set()
    assert await waiting == ["address of slow"]
    assert names.asked == {"slow": 1}


async def test_silent_names_delay_no_other() -> None:
    """If few lookups may run at a time, names that are always slow delay only each other."""
    names = Names("one", "two", "three", "four", "five")
    lookups = Lookups(names.look_up, at_once=4, slow=0.0)
    for name, gate in names.gates.items():
        gate.set()
        await lookups.addresses(name)
        gate.clear()
    names.asked.clear()
    waiting = [asyncio.create_task(lookups.addresses(name)) for name in names.gates]
    assert [await lookups.addresses(f"quick {number}") for number in range(9)][-1] == ["address of quick 8"]
    assert sum(names.asked[name] for name in names.gates) <= 3
    for gate in names.gates.values():
        gate.set()
    assert len(await asyncio.gather(*waiting)) == 5


async def test_known_addresses_are_used_while_a_lookup_takes_long() -> None:
    """The last addresses are used for as long as the name server is silent, and not longer."""
    names = Names("host")
    names.gates["host"].set()
    lookups = Lookups(names.look_up)
    assert await lookups.addresses("host") == ["address of host"]
    names.gates["host"].clear()
    names.answers["host"] = "another"
    assert await lookups.addresses("host") == ["address of host"]
    names.gates["host"].set()
    while await lookups.addresses("host") != ["another"]:
        pass
    names.answers["host"] = socket.gaierror("no such name")
    with pytest.raises(socket.gaierror):
        await lookups.addresses("host")
    names.gates["host"].clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * PATIENCE):
            await lookups.addresses("host")
    names.gates["host"].set()


async def test_addresses_need_no_name_server() -> None:
    """A literal address comes back as it is, a name with its port filled in."""
    for text in ("127.0.0.1", "::1"):
        ((_, kind, _, _, address), *_) = await look_up(text, 15999)
        assert (kind, address[:2]) == (socket.SOCK_STREAM, (text, 15999))
    assert {each[4][1] for each in await look_up("localhost", 3306)} == {3306}
