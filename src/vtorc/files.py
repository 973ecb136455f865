"""Reads files without waiting for ever: a mount may hang, and a pipe may have no writer.

No call of the operating system that waits for a file can be given up. So each is made in a thread of its own, which
stays behind if the file stays silent: vtorc goes on, and can end, without it.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import TypeVar

FILE_PATIENCE = 3.0
"""Seconds that a file gets to be read."""

MOST_BYTES = 64 * 1024 * 1024
"""The largest file that is read; a device such as /dev/zero has no end."""

_SILENT = "it does not answer: its disk or mount hangs, or it is a pipe without a writer"

T = TypeVar("T")


def contents_of(path: str | Path, *, patience: float | None = None) -> bytes:
    """Return the contents of a file; raises OSError with the reason, also for one that stays silent for `patience` s.

    The patience is `FILE_PATIENCE` unless it is given. A file that is silent still is not asked again: one that is read
    every second leaves a single thread behind.
    """
    reading = _Reading(str(path))
    if any(each.path == reading.path and each.file is None for each in _left_behind()):
        raise reading.silent()
    contents = in_a_thread(reading.contents, name=f"read {path}")
    try:
        return contents.result(FILE_PATIENCE if patience is None else patience)
    except FutureTimeout:
        if contents.done():  # the file system's own word, or just in time
            return contents.result()
    with _LOCK:
        _LEFT_BEHIND[reading] = None
    contents.add_done_callback(lambda _: reading.forget())
    raise reading.silent()


def try_files(*paths: str | Path | None) -> None:
    """Read files that a library is about to read by itself, without a limit; raises OSError as `contents_of` does."""
    for path in paths:
        if path:
            contents_of(path)


def patiently(work: Callable[[], T], *, name: str) -> T:
    """Return what `work` with a file returns; raises OSError if that takes more than `FILE_PATIENCE`."""
    done = in_a_thread(work, name=name)
    try:
        return done.result(FILE_PATIENCE)
    except FutureTimeout:
        if done.done():
            raise
        raise TimeoutError(errno.ETIMEDOUT, _SILENT) from None


async def beside_the_loop(work: Callable[[], T], *, patience: float | None = None) -> T:
    """Return what `work` returns, and raise what it raises; raises TimeoutError if it takes more than `patience` s.

    Then it goes on in its thread, and what it returns is lost.
    """
    async with asyncio.timeout(patience):
        return await asyncio.wrap_future(in_a_thread(work, name="files"))


def in_a_thread(work: Callable[[], T], *, name: str) -> Future[T]:
    """Begin work in a thread that keeps no process from ending, as those of asyncio and `concurrent.futures` do."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on it cannot be cancelled

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class _Reading:
    """One reading of one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file: tuple[int, int] | None = None
        """Device and inode of the file at the path; None until the file system has told them."""

    def contents(self) -> bytes:
        try:
            found = Path(self.path).stat()
        except ValueError as error:  # JSON can write a path with a zero byte in it
            raise OSError(errno.EINVAL, str(error), self.path) from error
        self.file = (found.st_dev, found.st_ino)
        if any(each.file == self.file for each in _left_behind()):
            raise self.silent()
        with Path(self.path).open("rb") as file:
            contents = file.read(MOST_BYTES + 1)
        if len(contents) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES // 1024 // 1024} MiB", self.path)
        return contents

    def silent(self) -> OSError:
        return TimeoutError(errno.ETIMEDOUT, _SILENT, self.path)

    def forget(self) -> None:
        with _LOCK:
            _LEFT_BEHIND.pop(self, None)


_LOCK = threading.Lock()
_LEFT_BEHIND: dict[_Reading, None] = {}
"""The readings of which nothing was heard in time, until they end."""


def _left_behind() -> tuple[_Reading, ...]:
    with _LOCK:
        return tuple(_LEFT_BEHIND)
