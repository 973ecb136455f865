"""The parts of the daemon as built from the settings, and the changes that a reload makes in them."""

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from vtorc import app, files
from vtorc.app import (
    LiveFleetSettings,
    SystemClock,
    claimed_files,
    fleet_settings,
    open_memory,
    open_tools,
    recovery_bounds,
)
from vtorc.config.load import load
from vtorc.config.settings import Settings
from vtorc.config.store import SettingsStore
from vtorc.control.fleet import Fleet
from vtorc.control.observer import Observers
from vtorc.control.scope import Scope
from vtorc.control.topology_advice import TopologyAdvice
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.standing import StandingHolds
from vtorc.discovery.lateness import OnTimeClock
from vtorc.logs import flush_logs
from vtorc.reloading import Reloading

pytestmark = pytest.mark.usefixtures("restore_logging")


def written(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the lines that were written to standard error."""
    flush_logs()
    return capsys.readouterr().err


class Daemon:
    """A settings file and the store that reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_dir = folder / "log"
        self.credentials = folder / "credentials.json"
        self.credentials.write_text('{"Username": "vtorc", "Password": "first"}')
        self.write({})
        self.store = SettingsStore(lambda: load([f"--config-file={folder / 'vtorc.json'}"], {}, folder=folder))

    def write(self, settings: dict[str, object]) -> None:
        """Write the settings file."""
        always = {
            "topo-implementation": "local",
            "topo-global-server-address": str(self.folder / "topo.db"),
            "topo-global-root": "/global",
            "log-dir": str(self.log_dir),
            "grpc-auth-static-client-creds": str(self.credentials),
        }
        (self.folder / "vtorc.json").write_text(json.dumps(always | settings))


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    """A daemon's settings, all of them defaults."""
    return Daemon(tmp_path)


async def test_reload_reaches_what_recoveries_read(daemon: Daemon) -> None:
    """The next recovery uses the settings that a reload changed."""
    async with open_tools(lambda: daemon.store.settings) as (tools, tablets):
        before = (tools.same_cell_only, tools.deadlines.catch_up)
        daemon.write({"prevent-cross-cell-failover": True, "wait-replicas-timeout": "300s"})
        await Reloading(daemon.store, tablets).reload()
        assert (before, (tools.same_cell_only, tools.deadlines.catch_up)) == ((False, 30.0), (True, 300.0))


async def test_the_fleets_settings_are_built_once_for_each_reload(daemon: Daemon) -> None:
    """The fleet reads them several times for each question, and gets the same ones until a reload changes them."""
    live = LiveFleetSettings(lambda: daemon.store.settings, Scope())
    before = live()
    assert live() is before
    daemon.write({"instance-poll-time": "7s"})
    async with open_tools(lambda: daemon.store.settings) as (_, tablets):
        await Reloading(daemon.store, tablets).reload()
    assert (before.pace.calm_interval, live().pace.calm_interval) == (5.0, 7.0)
    assert live() is live()


async def test_a_complete_reading_of_the_topology_is_told(daemon: Daemon) -> None:
    """An empty topology is read at the start, and its observers get all shards, of which there are none."""
    read = asyncio.Event()

    class Heard(TopologyAdvice):
        def read(self, shards: Collection[ShardId]) -> None:
            assert not shards
            read.set()

    async with open_tools(lambda: daemon.store.settings) as (tools, _):
        settings = LiveFleetSettings(lambda: daemon.store.settings, Scope())
        fleet = Fleet(tools, settings, Observers([]), topology_observer=Heard([], root="/global"))
        running = asyncio.create_task(fleet.run())
        await read.wait()
        fleet.stop()
        await running


async def test_reload_that_cannot_log_changes_nothing(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """A log folder that has become unusable is reported, and the running settings stay."""
    async with open_tools(lambda: daemon.store.settings) as (_, tablets):
        await Reloading(daemon.store, tablets).reload()
        running = daemon.store.settings
        daemon.log_dir.rename(daemon.folder / "moved")
        daemon.log_dir.write_text("")
        daemon.write({"prevent-cross-cell-failover": True, "log-format": "text"})
        await Reloading(daemon.store, tablets).reload()
        assert daemon.store.settings is running
    last = json.loads(written(capsys).splitlines()[-1])
    assert last["level"] == "error"
    assert "settings not reloaded, the running ones stay: --log-dir" in last["event"]


async def test_reload_reads_credentials_again(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """A new password is reported without being shown; a malformed file is reported, and the old password stays."""
    async with open_tools(lambda: daemon.store.settings) as (_, tablets):
        for contents in ('{"Username": "vtorc", "Password": "second"}', "{}"):
            daemon.credentials.write_text(contents)
            await Reloading(daemon.store, tablets).reload()
    sentences = [json.loads(line)["event"] for line in written(capsys).splitlines()]
    assert "second" not in str(sentences)
    assert sentences[1] == "calls to tablets carry another name and password from now on"
    assert sentences[3].startswith(
        f"credentials not reloaded, calls to tablets carry the earlier ones: {daemon.credentials}"
    )


@pytest.mark.parametrize("name", ["vtorc.json", "credentials.json"])
async def test_a_reload_of_a_file_that_hangs_holds_up_nothing(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The event loop goes on while a file stays silent; then the answer names it, and the running settings stay."""
    monkeypatch.setattr(files, "FILE_PATIENCE", 0.2)
    async with open_tools(lambda: daemon.store.settings) as (_, tablets):
        running = daemon.store.settings
        (daemon.folder / name).unlink()
        os.mkfifo(daemon.folder / name)
        try:
            reloading = asyncio.create_task(Reloading(daemon.store, tablets).reload())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not reloading.done()
            answer = await reloading
        finally:
            os.close(os.open(daemon.folder / name, os.O_RDWR))
    assert not answer.done
    assert f"{name}" in answer.sentences[-1]
    assert "it does not answer: its disk or mount hangs" in " ".join(answer.sentences)
    assert daemon.store.settings is running or name == "credentials.json"


async def test_signals_that_come_while_one_waits_add_nothing(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """One reading follows any number of signals, and reads what is in the files by then."""
    async with open_tools(lambda: daemon.store.settings) as (_, tablets):
        reloading = Reloading(daemon.store, tablets)
        daemon.write({"instance-poll-time": "7s"})
        for _ in range(3):
            reloading.begin()
        await asyncio.sleep(0)
        await reloading.reload()
    said = [json.loads(line)["event"] for line in written(capsys).splitlines()]
    assert [line.partition(" is now")[0] for line in said] == [
        "instance-poll-time",
        "settings reloaded, nothing changed",
    ]


async def test_a_memory_file_that_hangs_holds_up_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vtorc starts without it, and the thread that waits for the disk keeps no process from ending."""
    ends = threading.Event()

    def hang(_path: str) -> None:
        ends.wait(60)

    monkeypatch.setattr(app, "MEMORY_PATIENCE", 0.1)
    monkeypatch.setattr(app, "read_memory", hang)
    before = set(threading.enumerate())
    async with open_memory(Settings(log_dir=str(tmp_path)), OnTimeClock(SystemClock())) as keeper:
        assert keeper is not None
        left = set(threading.enumerate()) - before
        assert left
        assert all(each.daemon for each in left)
    ends.set()


@pytest.fixture
def no_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve no HTTP."""
    monkeypatch.setattr(app, "open_listeners", lambda _: contextlib.nullcontext(()))


@pytest.mark.usefixtures("no_listener")
def test_a_stop_during_the_start_is_an_ordinary_end(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM while vtorc waits for its topology server ends it in order, so that its pid file is removed."""

    async def start(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "run_fleet", start)
    assert app.run(daemon.store) == 0


@pytest.mark.usefixtures("no_listener")
def test_a_reload_during_the_start_follows_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGHUP while vtorc starts ends nothing, and the settings are read again as soon as they can be."""

    async def start(*_: object, ready: Callable[[Fleet, Reloading], None]) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        async with open_tools(lambda: daemon.store.settings) as (_tools, tablets):
            daemon.write({"instance-poll-time": "7s"})
            reloading = Reloading(daemon.store, tablets)
            ready(cast(Fleet, None), reloading)
            await asyncio.sleep(0)
            await reloading.reload()

    monkeypatch.setattr(app, "run_fleet", start)
    assert app.run(daemon.store) == 0
    said = [json.loads(line)["event"].partition(" is now")[0] for line in written(capsys).splitlines()]
    assert said == ["instance-poll-time", "settings reloaded, nothing changed"]


async def test_a_second_vtorc_with_one_log_folder_is_told_at_its_start(tmp_path: Path) -> None:
    """It starts all the same, and names the first; one that comes after their end says nothing."""
    settings = Settings(log_dir=str(tmp_path))
    with capture_logs() as logs:
        async with claimed_files(settings):
            assert not logs
            async with claimed_files(settings):
                pass
            (told,) = logs
        async with claimed_files(settings):
            pass
    assert told["event"].startswith(f"another vtorc (process {os.getpid()} on ")
    assert str(tmp_path) in told["event"]
    assert len(logs) == 1


async def test_a_folder_in_which_nothing_can_be_written_is_claimed_without_a_word(tmp_path: Path) -> None:
    """Those that keep the files there tell about it, and vtorc starts."""
    with capture_logs() as logs:
        async with claimed_files(Settings(log_dir=str(tmp_path / "missing"))):
            pass
    assert not logs


def test_settings_of_decisions_and_recoveries_are_handed_on() -> None:
    """Filters, draining and the tolerable lag reach what decides and what recovers."""
    settings = Settings(
        cells_to_watch=("zone1",),
        cells_no_recovery=("zone2",),
        recovery_ignore_hostname_filters=("a",),
        promotion_ignore_hostname_filters=("b",),
        discovery_ignore_hostname_filters=("c",),
        change_tablets_with_errant_gtid_to_drained=True,
        tolerable_replication_lag=7.0,
    )
    decisions = fleet_settings(settings, Scope()).decisions
    assert decisions.standing == StandingHolds(
        cells_to_watch=("zone1",),
        cells_no_recovery=("zone2",),
        ignored_hosts=("a",),
        unpromoted_hosts=("b",),
        excluded_hosts=("c",),
    )
    assert decisions.limits.drain_errant
    assert recovery_bounds(settings).tolerable_lag == 7.0
