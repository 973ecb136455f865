"""TLS of new connections to tablets, by files that are read again while vtorc runs."""

import asyncio

import grpc
import structlog

from vtorc.errors import TabletClientMisconfigured
from vtorc.files import beside_the_loop
from vtorc.tablet.settings import TlsFiles

FRESH = 1.0
"""Seconds for which files that were read are not read again: many tablets may be dialled at once."""

PATIENCE = 0.25
"""Seconds that new connections wait for the files; then they use what was read last."""

_GIVE_UP = 60.0
"""Seconds after which a reading that has not ended is followed by another one."""

_log = structlog.get_logger(__name__)


class Certificates:
    """The certificates and authorities of new connections, so that renewed ones are used without a restart.

    Files that are missing, half written or silent at that moment change nothing: new connections use what was read
    last. Otherwise a mount that hangs, or a renewal that failed, would have kept vtorc from every tablet that comes
    back, or from all of them after an hour.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read the files if TLS is wanted; raises TabletClientMisconfigured."""
        self._files = files
        self._last: grpc.ChannelCredentials | None = files.credentials() if files.wanted else None
        self._reading: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self._trouble = ""

    async def current(self) -> grpc.ChannelCredentials | None:
        """Return the credentials of a new connection; None without TLS."""
        if not self._files.wanted:
            return None
        loop = asyncio.get_running_loop()
        if self._reading is None and loop.time() - self._read_at >= FRESH:
            self._read_at = loop.time()
            self._reading = asyncio.create_task(self._read(), name="files of TLS with tablets")
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=max(0.0, self._read_at + PATIENCE - loop.time()))
        return self._last

    async def close(self) -> None:
        """End a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        trouble = ""
        try:
            self._last = await beside_the_loop(self._files.credentials, patience=_GIVE_UP)
        except TabletClientMisconfigured as error:
            trouble = str(error)
        except TimeoutError:
            trouble = f"the files of TLS with tablets could not be read within {_GIVE_UP:g} s"
        finally:
            self._reading = None
        self._tell(trouble)

    def _tell(self, trouble: str) -> None:
        """Log once that the files are no use, and once that they are again."""
        before, self._trouble = self._trouble, trouble
        if trouble and trouble != before:
            _log.error(f"{trouble}; new connections to tablets use the certificates that were read before")
        if before and not trouble:
            _log.info("the files of TLS with tablets can be read again, and new connections use them")
