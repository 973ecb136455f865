"""`vtorc --check-config`: whether vtorc would start, and with which settings; it starts and changes nothing."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from vtorc.cli.client.errors import OutputFailed
from vtorc.cli.client.screen import Screen
from vtorc.cli.client.session import document
from vtorc.clients import client_settings, make_sentinel, topo_settings
from vtorc.config.load import load
from vtorc.config.settings import Settings
from vtorc.errors import SettingsError, TopoMisconfigured, VtorcError
from vtorc.forms.running_settings import setting_forms
from vtorc.forms.settings import SettingForm, SettingsCheckForm
from vtorc.logs import bad_log_folder
from vtorc.notifying import webhook_options
from vtorc.server.opening import server_rules

EXIT_STARTS = 0
EXIT_WOULD_NOT_START = 2

_UNTRIED = "Not tried: whether the topology server and the tablets answer, and whether the HTTP port is free."


def check_config(words: Sequence[str], environment: Mapping[str, str], *, as_json: bool) -> int:
    """Print whether vtorc would start; returns 0 if it would, else 2."""
    found = checked(words, environment)
    screen = Screen(sys.stdout)
    try:
        if as_json:
            screen.write(document(msgspec.json.encode(found)))
        else:
            screen.say(_lines(found))
    except OutputFailed as error:
        Screen(sys.stderr).say([f"vtorc: {error}"])
        return EXIT_WOULD_NOT_START
    return EXIT_STARTS if found.starts else EXIT_WOULD_NOT_START


def checked(words: Sequence[str], environment: Mapping[str, str]) -> SettingsCheckForm:
    """Read the settings as at a start, and the files that they name."""
    try:
        loaded = load(words, environment, folder=Path())
    except SettingsError as error:
        return SettingsCheckForm(starts=False, problems=list(error.problems), notes=[], files=[], settings=[])
    problems = _problems_with_files(loaded.settings)
    return SettingsCheckForm(
        starts=not problems,
        problems=problems,
        notes=list(loaded.notes),
        files=list(loaded.files),
        settings=list(setting_forms(loaded.settings, loaded.sources)),
    )


def _problems_with_files(settings: Settings) -> list[str]:
    """Return why files and folders that the settings name cannot be used."""
    problems: list[str] = []
    for try_ in _TRIALS:
        try:
            try_(settings)
        except VtorcError as error:
            problems += error.problems if isinstance(error, SettingsError) else [str(error)]
    return problems


def _try_log_folder(settings: Settings) -> None:
    if not settings.log_dir:
        return
    folder = Path(settings.log_dir)
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    except OSError as error:
        raise bad_log_folder(folder, str(error.strerror)) from error
    if not there.is_dir():
        raise bad_log_folder(folder, f"'{there}' is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise bad_log_folder(folder, f"'{there}' cannot be written in")


def _try_topology(settings: Settings) -> None:
    access = topo_settings(settings)
    if access.implementation == "etcd2":
        wants_tls = any(address.strip().startswith("https://") for address in access.global_server_address)
        access.etcd_tls.credentials("https" if wants_tls or access.etcd_tls.has_client_cert else "http")
    elif access.implementation == "consul":
        access.consul.token("global")
        if access.consul.uses_tls("") or "https://" in settings.topo_global_server_address:
            access.consul.tls()
    elif access.implementation == "zk2":
        access.zk.check_files()
    else:
        _try_topology_file(settings.topo_global_server_address)


def _try_topology_file(path: str) -> None:
    expected = "topo_global_server_address: expected the path of a topology file, got"
    try:
        is_folder = Path(path).is_dir()
    except OSError as error:
        raise TopoMisconfigured(f"{expected} '{path}' ({error.strerror})") from error
    if is_folder:
        raise TopoMisconfigured(f"{expected} the folder '{path}'")


def _try_tablet_tls(settings: Settings) -> None:
    tls = client_settings(settings).tls
    if tls.wanted:
        tls.credentials()


def _try_tablet_credentials(settings: Settings) -> None:
    client_settings(settings).read_credentials()


def _try_mysql_tls(settings: Settings) -> None:
    make_sentinel(settings)


def _try_http_rules(settings: Settings) -> None:
    server_rules(settings)


def _try_webhook(settings: Settings) -> None:
    webhook_options(settings)


_TRIALS: tuple[Callable[[Settings], None], ...] = (
    _try_log_folder,
    _try_topology,
    _try_tablet_tls,
    _try_tablet_credentials,
    _try_mysql_tls,
    _try_http_rules,
    _try_webhook,
)


def _lines(found: SettingsCheckForm) -> list[str]:
    given = [setting for setting in found.settings if setting.source != "default"]
    defaults = [setting for setting in found.settings if setting.source == "default"]
    return [
        *(["vtorc would start."] if found.starts else ["vtorc would not start:"]),
        *(f"  {problem}" for problem in found.problems),
        *([_UNTRIED] if found.starts else []),
        *_part("Settings files", found.files),
        *_part("Notes", found.notes),
        *_part("Settings that are given", map(_line, given)),
        *_part("Settings with their default", map(_line, defaults)),
    ]


def _part(title: str, lines: Iterable[str]) -> list[str]:
    listed = [f"  {line}" for line in lines]
    return ["", f"{title}:", *listed] if listed else []


def _line(setting: SettingForm) -> str:
    origin = "" if setting.source == "default" else f"  ({setting.source})"
    effect = f"  no effect: {setting.no_effect}" if setting.no_effect else ""
    return f"{setting.name} = {setting.shown}{origin}{effect}"
