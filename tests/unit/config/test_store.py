"""Changing settings while vtorc runs."""

from pathlib import Path
from typing import Any

from tests.unit.config.helpers import TOPO, write
from vtorc.config.load import load
from vtorc.config.store import Reloaded, SettingsStore


def _store(folder: Path, file: Any, *words: str) -> SettingsStore:
    write(folder, file)
    return SettingsStore(lambda: load([*TOPO, "-config=orc_config.json", *words], {}, folder=folder))


def _reload(store: SettingsStore) -> Reloaded:
    reloaded = store.read_again()
    store.adopt(reloaded)
    return reloaded


def test_replaces_live_settings(tmp_path: Path) -> None:
    """A live setting that the file changed applies after the reload, and the change is reported with its source."""
    store = _store(tmp_path, {"InstancePollSeconds": 5})
    write(tmp_path, {"InstancePollSeconds": 7, "Debug": True})
    reloaded = _reload(store)
    assert (store.settings.instance_poll_time, store.settings.log_level) == (7.0, "debug")
    assert reloaded.sentences == [
        'instance-poll-time is now 7s, before 5s (key "InstancePollSeconds" of orc_config.json)',
        'log-level is now debug, before info (key "Debug" of orc_config.json)',
    ]


def test_goes_back_to_the_default_for_a_removed_key(tmp_path: Path) -> None:
    """A key that was removed from the file no longer applies."""
    store = _store(tmp_path, {"InstancePollSeconds": 9})
    write(tmp_path, {})
    assert _reload(store).sentences == ["instance-poll-time is now 5s, before 9s (default)"]
    assert store.settings.instance_poll_time == 5.0


def test_keeps_the_running_settings_if_the_file_is_wrong(tmp_path: Path) -> None:
    """A file with one wrong key changes nothing, not even by its right keys, and the problem is reported."""
    store = _store(tmp_path, {"InstancePollSeconds": 9})
    before = store.settings
    write(tmp_path, {"InstancePollSeconds": 2, "Debug": "yes"})
    reloaded = _reload(store)
    assert store.settings is before
    assert reloaded.sentences == [
        'settings not reloaded, the running ones stay: orc_config.json: key "Debug": expected true or false, got "yes"'
    ]


def test_keeps_the_running_settings_if_a_file_is_gone(tmp_path: Path) -> None:
    """A file that was read before and is missing is a problem, also where a start does without it."""
    file = tmp_path / "vtorc.json"
    write(tmp_path, {"allow-recovery": False}, file.name)
    store = SettingsStore(lambda: load([*TOPO, f"--config-file={file.name}"], {}, folder=tmp_path))
    file.rename(tmp_path / "aside")
    assert _reload(store).sentences == [
        f"settings not reloaded, the running ones stay: {file} is gone: put it back, or restart vtorc without it"
    ]
    assert not store.settings.allow_recovery
    (tmp_path / "aside").rename(file)
    assert _reload(store).sentences == ["settings reloaded, nothing changed"]


def test_names_settings_that_wait_for_a_restart(tmp_path: Path) -> None:
    """A setting that cannot change while running keeps its value and source, and is named at every reload."""
    store = _store(tmp_path, {"topo-read-concurrency": 8})
    write(tmp_path, {"topo-read-concurrency": 16}, "orc_config.json")
    for _ in range(2):
        reloaded = _reload(store)
        assert store.settings.topo_read_concurrency == 8
        assert reloaded.sentences == [
            'topo-read-concurrency is 16 (key "topo-read-concurrency" of orc_config.json) from the next start on, '
            "until then 8"
        ]


def test_lets_the_flag_win_at_a_reload_too(tmp_path: Path) -> None:
    """A flag takes precedence over the file however often the file changes."""
    store = _store(tmp_path, {}, "--instance-poll-time=3s")
    write(tmp_path, {"InstancePollSeconds": 9})
    assert _reload(store).sentences == ["settings reloaded, nothing changed"]
    assert store.settings.instance_poll_time == 3.0


def test_hides_secrets_in_changes(tmp_path: Path) -> None:
    """A password that changed is named and not shown."""
    store = _store(tmp_path, {"MySQLTopologyPassword": "hunter2"})
    write(tmp_path, {"MySQLTopologyPassword": "hunter3"})
    reloaded = _reload(store)
    assert "mysql-topology-password" in " ".join(reloaded.sentences)
    assert "hunter" not in " ".join(reloaded.sentences)


def test_reports_new_warnings_only(tmp_path: Path) -> None:
    """An unknown key is reported when it appears, and not again."""
    store = _store(tmp_path, {"Zzz": 1})
    write(tmp_path, {"Zzz": 1, "Yyy": 1})
    assert _reload(store).sentences == ['orc_config.json: unknown key "Yyy" has no effect']
    assert _reload(store).sentences == ["settings reloaded, nothing changed"]
