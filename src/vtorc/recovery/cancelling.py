"""Lets an operator cancel a recovery, as long as all of its changes can be put back."""

import asyncio

from vtorc.recovery.errors import RecoveryCancelled


class CancelSwitch:
    """The switch that cancels one recovery; it has no effect once a promotion was asked for."""

    def __init__(self) -> None:
        self.why = ""
        """Why the recovery was cancelled, as a sentence; empty if it was not."""
        self.is_too_late = False
        """Whether the recovery is past its point of no return, is being put back, or is over."""
        self._task: asyncio.Task[object] | None = None

    def cancel(self, why: str) -> bool:
        """Cancel the recovery; returns whether that was still possible.

        One that has not begun yet ends as soon as it does.
        """
        if self.is_too_late:
            return False
        if not self.why:
            self.why = why
            if self._task is not None:
                self._task.cancel()
        return True

    def make_too_late(self) -> None:
        """Make it too late to cancel, because the changes are put back already."""
        self.is_too_late = True

    def pass_point_of_no_return(self) -> None:
        """Make it too late to cancel; raises RecoveryCancelled if it was cancelled in this very moment."""
        if self.why:
            raise RecoveryCancelled(self.why)
        self.is_too_late = True

    def begin(self) -> None:
        """Take note that the recovery runs in the present task; raises RecoveryCancelled if it was cancelled before."""
        if self.why:
            raise RecoveryCancelled(self.why)
        self._task = asyncio.current_task()

    def end(self) -> None:
        """Take note that the recovery is over."""
        self.is_too_late, self._task = True, None

    def absorbs_cancellation(self) -> bool:
        """Return whether nothing but the switch cancelled the present task, so that the task may go on."""
        return bool(self.why) and self._task is not None and self._task.uncancel() == 0
