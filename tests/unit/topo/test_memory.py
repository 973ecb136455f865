import asyncio

from vtorc.sim.engine.loop import forever, run
from vtorc.topo.memory import MemoryStore

SHARD = "keyspaces/ks/shards/0"


def test_leases_end_in_virtual_time() -> None:
    """In the simulator the lock of a process that died passes on exactly one TTL after its last refresh."""

    async def main() -> float:
        store = MemoryStore(lease_ttl=30.0)
        conn = store.connect("/global")
        await conn.create(f"{SHARD}/Shard", b"")

        async def process() -> None:
            await store.connect("/global").try_lock(SHARD, b"")
            await forever()

        dying = asyncio.create_task(process())
        await asyncio.sleep(25.0)
        keepers = [task for task in asyncio.all_tasks() if task.get_name().startswith("keep lock")]
        for task in (dying, *keepers):
            task.cancel()
        await conn.lock(SHARD, b"")
        return asyncio.get_running_loop().time()

    assert run(main()) == 50.0


def test_a_run_repeats_itself() -> None:
    """Lock keys and versions are the same in every run."""

    async def main() -> list[str]:
        store = MemoryStore()
        conns = [store.connect("/global") for _ in range(5)]
        await conns[0].create(f"{SHARD}/Shard", b"")
        order: list[str] = []

        async def work(number: int) -> None:
            lock = await conns[number].lock(SHARD, b"")
            version = await conns[number].update(f"{SHARD}/Shard", b"%d" % number, None)
            order.append(f"{number} {lock.key} {version}")
            await asyncio.sleep(number)
            await lock.release()

        await asyncio.gather(*(work(number) for number in range(5)))
        return order

    first = run(main())
    assert first == run(main())
    assert first[1] == "1 /global/keyspaces/ks/shards/0/locks/2 9"
