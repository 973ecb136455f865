"""A process that is started without a copy of vtorc's memory, and waited for by a task.

uvloop starts processes with fork(2), which copies the page tables of the whole process; after that each page that vtorc
changes is copied, too. With 150 MB that held the event loop up for 10 ms, and slowed it for 40 ms more. The processes
of the HTTP server were each killed amid failovers, and the slowest failovers took twice as long. `subprocess.Popen`
uses vfork(2) instead, and takes less than a millisecond.
"""

import asyncio
import contextlib
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence


class ChildProcess:
    """A process in a group of its own, so that Ctrl-C is not for it."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: asyncio.StreamReader) -> None:
        """Take a process that was just started; use `start`."""
        self._process = process
        self.stderr = stderr
        """Reads what the process writes to standard error, until it ends."""
        self._ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        # A thread of its own: it lives as long as the process, and would keep a worker from the others.
        threading.Thread(target=self._tell_end, args=(loop,), name=f"end of {process.pid}", daemon=True).start()

    @classmethod
    async def start(
        cls, words: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int], longest_line: int
    ) -> "ChildProcess":
        """Start a process with this environment, these open files, and nothing else of vtorc's; raises OSError.

        A line of its standard error that has more than `longest_line` bytes raises ValueError in `stderr.readline`.
        """
        process = _started(words, env, pass_fds)
        assert process.stderr is not None
        reader = asyncio.StreamReader(longest_line)
        try:
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), process.stderr
            )
        except BaseException:
            process.kill()
            process.wait()
            raise
        return cls(process, reader)

    @property
    def pid(self) -> int:
        """The process id; it may be another one's after the end."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How the process ended, a negative number for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> None:
        """Return once the process has ended."""
        await self._ended.wait()

    def kill(self) -> None:
        """End the process at once, if it has not ended already."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended already gets none."""
        self._process.send_signal(number)

    def _tell_end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended before the process
            loop.call_soon_threadsafe(self._ended.set)


def _started(words: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a process; not in a thread, as a start that is cancelled would leave the process behind."""
    return subprocess.Popen(
        words,
        env=env,
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # No session of its own: Linux shares the processor between sessions first (sched_autogroup), and niceness
        # would count for nothing.
        process_group=0,
    )
