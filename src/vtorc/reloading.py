"""Reads the settings and the credentials for tablets again while vtorc runs."""

import asyncio

import structlog

from vtorc.config.store import Reloaded, SettingsStore
from vtorc.errors import SettingsError, TabletClientMisconfigured
from vtorc.files import beside_the_loop
from vtorc.forms.settings import ReloadForm
from vtorc.logs import LogTargets, open_log_targets, use_log_targets
from vtorc.tablet.client import GrpcTabletManager

RELOAD_PATIENCE = 10.0
"""Seconds that all files of one reload get; each settings file has a shorter limit of its own."""

_log = structlog.get_logger("vtorc")


class Reloading:
    """Reads again when it is asked to, one reading at a time.

    The files are read beside the event loop: a mount that hung under a settings file once stopped every failover.
    """

    def __init__(self, store: SettingsStore, tablets: GrpcTabletManager) -> None:
        """Change the settings of `store`, and the credentials that `tablets` sends."""
        self._store = store
        self._tablets = tablets
        self._turn = asyncio.Lock()
        self._asked: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Reload soon, and log what came of it; a signal that comes before that has begun adds nothing."""
        if self._asked is None:
            self._asked = asyncio.create_task(self._as_asked(), name="reload")

    async def reload(self) -> ReloadForm:
        """Read all again; log and return the changes, or why there are none."""
        async with self._turn:
            return await self._reload()

    async def _as_asked(self) -> None:
        async with self._turn:
            self._asked = None
            await self._reload()

    async def _reload(self) -> ReloadForm:
        reloaded = await self._settings_again()
        sentences, done = [*reloaded.sentences], not reloaded.problems
        for sentence in sentences:
            (_log.info if done else _log.error)(sentence)
        try:
            if await self._tablets.reload_credentials():
                sentences.append("calls to tablets carry another name and password from now on")
                _log.info(sentences[-1])
        except TabletClientMisconfigured as error:
            done = False
            sentences.append(f"credentials not reloaded, calls to tablets carry the earlier ones: {error}")
            _log.error(sentences[-1])
        return ReloadForm(done=done, sentences=sentences)

    async def _settings_again(self) -> Reloaded:
        """Adopt the settings and the log that they ask for; with any problem nothing changes."""
        try:
            reloaded, targets = await beside_the_loop(lambda: _read(self._store), patience=RELOAD_PATIENCE)
        except TimeoutError:
            return Reloaded(
                problems=[
                    f"they could not be read within {RELOAD_PATIENCE:g} s: check the disks and mounts of the settings "
                    "files and of --log-dir"
                ]
            )
        if reloaded.loaded is not None:
            use_log_targets(targets, reloaded.loaded.settings)
        self._store.adopt(reloaded)
        return reloaded


def _read(store: SettingsStore) -> tuple[Reloaded, LogTargets]:
    """Read the settings and open the log that they ask for."""
    reloaded = store.read_again()
    if reloaded.loaded is None:
        return reloaded, {}
    try:
        return reloaded, open_log_targets(reloaded.loaded.settings)
    except SettingsError as error:
        return Reloaded(problems=error.problems), {}
