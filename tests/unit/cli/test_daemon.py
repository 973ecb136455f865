"""The daemon around the application: settings, log, pid file."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vtorc.cli.daemon import run_daemon
from vtorc.config.store import SettingsStore
from vtorc.errors import TopoUnavailable

_TOPO = ("-topo_implementation=etcd2", "-topo_global_server_address=h:2379", "-topo_global_root=/vitess/global")
Application = Callable[[SettingsStore], int]


@pytest.fixture(autouse=True)
def _restore(restore_logging: None) -> Iterator[None]:
    """Leave the event loop's policy and the logging as they were."""
    policy = asyncio.get_event_loop_policy()
    yield
    asyncio.set_event_loop_policy(policy)


def _install(monkeypatch: pytest.MonkeyPatch, run: Application) -> None:
    module = types.ModuleType("vtorc.app")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vtorc.app", module)


def _logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_hands_the_settings_to_the_application(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The application gets the settings of flags and file, on uvloop, and its exit code is vtorc's."""
    (tmp_path / "orc_config.json").write_text('{"InstancePollSeconds": 7}')
    seen: list[object] = []

    def run(store: SettingsStore) -> int:
        seen.extend((store.settings.instance_poll_time, type(asyncio.new_event_loop()).__module__))
        return 3

    _install(monkeypatch, run)
    monkeypatch.chdir(tmp_path)
    assert run_daemon([*_TOPO, "-config=orc_config.json"], {}) == 3
    assert seen == [7.0, "uvloop"]


def test_may_open_as_many_files_as_the_system_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of a shell or of a service manager is raised, up to what a large fleet needs."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = 64 if hard == resource.RLIM_INFINITY else min(hard, 64)
    seen: list[int] = []

    def run(_store: SettingsStore) -> int:
        seen.append(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        return 0

    _install(monkeypatch, run)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        assert run_daemon(_TOPO, {}) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
    assert seen == [65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)]


def test_warns_of_what_has_no_effect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each flag and key that changes nothing is one warning in the log, which also names the file that was read."""
    (tmp_path / "orc_config.json").write_text('{"RaftEnabled": true, "MySQLTopologyPassword": "hunter2"}')
    _install(monkeypatch, lambda _store: 0)
    monkeypatch.chdir(tmp_path)
    run_daemon([*_TOPO, "-config=orc_config.json", "-logtostderr", f"-log_dir={tmp_path}"], {})
    out = capsys.readouterr().err
    levels = {line["event"]: line["level"] for line in map(json.loads, out.splitlines())}
    assert levels["settings read from orc_config.json"] == "info"
    for written in ("always so: flag -logtostderr", 'accepted, no effect: key "RaftEnabled" of orc_config.json'):
        assert [level for event, level in levels.items() if f"{written} (" in event] == ["warning"]
    assert (tmp_path / "vtorc.log").read_text() == out
    assert "hunter2" not in out


def test_a_file_that_a_setting_names_is_a_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be used ends vtorc with the exit code of bad settings, and one line that names it."""
    words = ("-topo_implementation=local", f"-topo_global_server_address={tmp_path}", "-topo_global_root=/global")
    assert run_daemon([*words, "-listen_address="], {}) == 2
    (error,) = [line for line in _logged(capsys) if line["level"] == "error"]
    assert error["event"].startswith(f"{tmp_path} cannot be used as topology file")


def test_errors_of_a_running_vtorc_are_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors that ended several tasks at once are logged without a traceback, and the exit code is 1."""

    def run(_store: SettingsStore) -> int:
        raise ExceptionGroup("tasks", [TopoUnavailable("etcd is silent"), ExceptionGroup("", [TopoUnavailable("so")])])

    _install(monkeypatch, run)
    assert run_daemon(_TOPO, {}) == 1
    assert [line["event"] for line in _logged(capsys) if line["level"] == "error"] == ["etcd is silent", "so"]


def test_a_system_that_gives_no_more_threads_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit of the process ends vtorc with the limits to raise; any other mistake keeps its traceback."""

    def run(_store: SettingsStore) -> int:
        raise RuntimeError(texts.pop())

    _install(monkeypatch, run)
    texts = ["another", "can't start new thread"]
    assert run_daemon(_TOPO, {}) == 1
    assert "the system gave it no more threads: raise the limits of its process" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="another"):
        run_daemon(_TOPO, {})


def test_closed_standard_files_are_no_place_for_other_files() -> None:
    """An init script may close all three; then a file that vtorc opens later gets none of their numbers."""
    program = (
        "import os, sys; from vtorc.cli.daemon import keep_standard_files_open as keep; keep(); "
        "print('x', file=sys.stderr, flush=True); os._exit(os.open(os.devnull, os.O_RDONLY))"
    )
    done = subprocess.run(["sh", "-c", f'exec "{sys.executable}" -c "{program}" <&- >&- 2>&-'], check=False)
    assert done.returncode == 3


def test_holds_a_pid_file_while_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The pid file has the process id while the application runs, and is removed afterwards."""
    file = tmp_path / "vtorc.pid"
    seen: list[str] = []

    def run(_store: SettingsStore) -> int:
        seen.append(file.read_text())
        return 0

    _install(monkeypatch, run)
    run_daemon([*_TOPO, f"--pid-file={file}"], {})
    assert seen == [f"{os.getpid()}\n"]
    assert not file.exists()


def test_leaves_the_pid_file_of_another_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pid file that exists already stays as it is, is reported, and does not stop the start."""
    file = tmp_path / "vtorc.pid"
    file.write_text("1\n")
    _install(monkeypatch, lambda _store: 0)
    assert run_daemon([*_TOPO, f"--pid-file={file}"], {}) == 0
    assert file.read_text() == "1\n"
    assert f"no pid file: {file} cannot be created (File exists)" in capsys.readouterr().err


@pytest.mark.parametrize(("user", "warned"), [(0, True), (1000, False)])
def test_warns_when_run_by_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: int, warned: bool
) -> None:
    """vtorc runs as root, as in containers, and logs a warning."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    _install(monkeypatch, lambda _store: 0)
    assert run_daemon(_TOPO, {}) == 0
    assert ("running as root" in capsys.readouterr().err) is warned
