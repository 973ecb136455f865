"""Checks that are made right before a call to a tablet leaves this process."""

import asyncio
from contextvars import ContextVar

import pytest

from vtorc.errors import LockLost
from vtorc.sim.engine.loop import run
from vtorc.tablet.sending import about_to_send, checked_before_sending, context_without_checks


def lost() -> None:
    """Tell that the lock is lost."""
    raise LockLost("lost")


def test_a_check_is_made_only_for_calls_inside() -> None:
    """Probes, which need no lock, are sent whatever happens to the lock of a recovery."""
    about_to_send()
    with checked_before_sending(lost), pytest.raises(LockLost):
        about_to_send()
    about_to_send()


def test_a_check_holds_in_tasks_that_are_started_inside() -> None:
    """Replicas are stopped and re-pointed in tasks of their own."""

    async def main() -> None:
        async def call() -> None:
            await asyncio.sleep(1.0)
            about_to_send()

        with checked_before_sending(lost):
            inside = asyncio.create_task(call())
        outside = asyncio.create_task(call())
        await outside
        with pytest.raises(LockLost):
            await inside

    run(main())


def test_a_task_that_outlives_its_caller_has_none_of_its_checks() -> None:
    """It keeps all else of the caller's context, and the caller keeps its checks."""
    name: ContextVar[str] = ContextVar("name")

    async def main() -> str:
        async def call() -> str:
            about_to_send()
            return name.get()

        name.set("commerce/0")
        with checked_before_sending(lost):
            lasting = asyncio.create_task(call(), context=context_without_checks())
            with pytest.raises(LockLost):
                about_to_send()
        return await lasting

    assert run(main()) == "commerce/0"


def test_all_checks_around_a_call_are_made() -> None:
    """An inner check does not replace the outer one."""
    made: list[str] = []
    with checked_before_sending(lambda: made.append("outer")), checked_before_sending(lambda: made.append("inner")):
        about_to_send()
    assert made == ["outer", "inner"]
