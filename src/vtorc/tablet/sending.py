"""The last look before a call to a tablet leaves this process.

A lock is confirmed before a step that cannot be undone. Between that and the call itself the process may stand still
(SIGSTOP, a paused virtual machine, no processor time) for longer than its lease lasts. It then goes on with its next
instruction, before its timers. So it would send a promotion under a lock that another vtorc holds by now.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar, copy_context

_CHECKS: ContextVar[tuple[Callable[[], object], ...]] = ContextVar("checks before a call is sent", default=())


@contextlib.contextmanager
def checked_before_sending(check: Callable[[], object]) -> Iterator[None]:
    """Let calls that this task, and tasks that it starts, make inside be sent only if `check` raises nothing."""
    token = _CHECKS.set((*_CHECKS.get(), check))
    try:
        yield
    finally:
        _CHECKS.reset(token)


def context_without_checks() -> Context:
    """Return a context for a task that outlives its caller or serves others, too: the caller's checks are not its own.

    The probe of a tablet that was first seen under a lock failed for ever once that lock was lost.
    """
    context = copy_context()
    context.run(_CHECKS.set, ())
    return context


def about_to_send() -> None:
    """Raise what a check raises; called right before a call is sent, once it has a connection."""
    for check in _CHECKS.get():
        check()
