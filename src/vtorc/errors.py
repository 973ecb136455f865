"""Every exception that crosses a module boundary, in one tree.

A message tells its reader what happened, to what, and what to do about it.
"""


class VtorcError(Exception):
    """Base of all errors that vtorc raises on purpose."""


class TabletError(VtorcError):
    """A call to a tablet did not succeed."""


class TabletUnreachable(TabletError):
    """Nobody answered: connection refused or broken, no route, deadline passed, or the tablet was shut down on purpose.

    `reason` is one of "refused", "unreachable", "timeout", "shut down".
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TabletCallFailed(TabletError):
    """The tablet answered with an error; `errno` is MySQL's error number where the answer carries one, else 0."""

    def __init__(self, message: str, *, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class TabletCallUnknown(TabletError):
    """The tablet does not know this call: it is older than the call."""


class TabletBadAnswer(TabletError):
    """The tablet answered something that makes no sense; the message names the field, its value and what was expected."""
