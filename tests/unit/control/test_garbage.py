"""When all objects are looked through for garbage."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from vtorc.control import garbage
from vtorc.control.garbage import MOST_NEW, rare_garbage_collection


@pytest.fixture
def whole() -> Iterator[asyncio.Event]:
    """An event that is set once all objects were looked through."""
    looked = asyncio.Event()

    def hear(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            looked.set()

    gc.callbacks.append(hear)
    yield looked
    gc.callbacks.remove(hear)


async def test_garbage_is_looked_for_once_no_recovery_is_under_way(
    whole: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is, the collector waits; what refers to itself is found after it."""
    monkeypatch.setattr(garbage, "EVERY", 0.0)
    monkeypatch.setattr(garbage, "_LOOK_AGAIN", 0.0)
    asked = asyncio.Event()
    busy = True

    def is_busy() -> bool:
        asked.set()
        return busy

    async with rare_garbage_collection(is_busy):
        whole.clear()
        await asked.wait()
        assert not whole.is_set()
        busy = False
        async with asyncio.timeout(60):
            await whole.wait()


async def test_python_looks_by_itself_only_after_many_new_objects() -> None:
    """The thresholds are those of before in the end."""
    before = gc.get_threshold()
    async with rare_garbage_collection(lambda: False):
        assert gc.get_threshold() == (MOST_NEW, *before[1:])
    assert gc.get_threshold() == before
