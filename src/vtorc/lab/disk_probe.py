"""A write to the disk that cannot block the tablet when the disk hangs."""

import asyncio
import contextlib
import errno
import os
import threading
from pathlib import Path


class FileProbe:
    """Writes and syncs a small file next to the data, in a daemon thread that does not delay the end of the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "disk_probe"
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._is_full = False

    def stall(self) -> None:
        """Let probes hang from now on, as on a disk that takes no writes."""
        self._goes_on.clear()

    def fill(self) -> None:
        """Let probes fail from now on, as on a full disk."""
        self._is_full = True

    def go_on(self) -> None:
        """Let them write again."""
        self._is_full = False
        self._goes_on.set()

    async def __call__(self) -> None:
        """Write once, and return when the file is on the disk; raises OSError if the write fails."""
        await self._goes_on.wait()
        if self._is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def settle(error: OSError | None) -> None:
            if not written.done():
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)

        def write() -> None:
            error = None
            try:
                with self._path.open("wb") as file:
                    file.write(b"vtorc")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as failure:
                error = failure
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(settle, error)

        threading.Thread(target=write, daemon=True).start()
        await written
