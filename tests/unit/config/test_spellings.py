"""Every setting can be set by each of its spellings, and all flags and keys that Vitess ever knew are accepted."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.config import upstream
from tests.unit.config.helpers import TOPO, loaded, write
from vtorc.config.catalogue import FLAGS, KEYS, SETTINGS, USED, fold, fold_key
from vtorc.config.load import load
from vtorc.config.setting import Setting, Spelling, Where

# for spellings with a kind of value that does not show which value differs from the setting's default
_SPECIAL: dict[str, Any] = {
    "noop": "true",
    "discovery": "false",
    "debug": "true",
    "quiet": "true",
    "Debug": True,
    "log-structured": "false",
    "allow-recovery": False,
    "allow-emergency-reparent": False,
    "RecoverPrimaryClusterFilters": [],
    "DurabilityParams": {"zone1-0000000100": "must_not"},
    "topo-global-server-address": "other:2379",
    "topo-consul-lock-session-ttl": "20s",
    "config-type": "toml",
    "VT_CONFIG_TYPE": "toml",
    "config-file-not-found-handling": "ignore",
}
_OTHER = {
    "text": "other",
    "switch": True,
    "list": ["other"],
    "patterns": ["other"],
    "duration": "7s",
    "whole number": 7,
    "seconds": 7,
    "days": 3,
    "etcd2 | consul | zk2 | local": "local",
    "debug | info | warn | error": "warn",
    "json | text": "text",
    "noop | opentelemetry | opentracing-jaeger | opentracing-datadog": "opentelemetry",
    "address": "127.0.0.1:3000",
    "none | basic | multi | proxy": "proxy",
    "networks": ["10.0.0.7"],
    "prefix": "/orc",
    "path": "/alive",
    "rules": {"zone1-0000000100": "must_not"},
    "URL": "https://alerts.example.com/vtorc",
    "events": ["news"],
    "commands": ["logger a, b"],
}
# these mean nothing by themselves: see the tests of files
_HELPERS = {"RecoveryPeriodBlockMinutes", "MySQLTopologyCredentialsConfigFile", "verbose"}


def _spellings() -> list[Any]:
    return [
        pytest.param(one, spelling, id=f"{spelling.where.value} {spelling.name}")
        for one in USED
        for spelling in one.spellings
        if spelling.name not in _HELPERS
    ]


def _other_value(one: Setting, spelling: Spelling) -> Any:
    """Find a value for a file that is not the setting's default."""
    if spelling.name in _SPECIAL:
        return _SPECIAL[spelling.name]
    return "semi_sync" if one.name == "durability" else _OTHER[spelling.kind.name]


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={each}" for name, each in value.items())
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("one", "spelling"), _spellings())
def test_sets_a_setting_by_each_of_its_spellings(tmp_path: Path, one: Setting, spelling: Spelling) -> None:
    """Each flag, key and variable of a setting changes that setting, and is remembered as its source."""
    assert one.field is not None
    value = _other_value(one, spelling)
    words, environment = ["--topo-etcd-tls-cert=f", "--topo-etcd-tls-key=f"], {}
    words += ["--topo-zk-tls-cert=f", "--topo-zk-tls-key=f"]
    words += ["--mysql-topology-ssl-cert-file=f", "--mysql-topology-ssl-private-key-file=f"]
    words += ["--tablet-manager-grpc-cert=f", "--tablet-manager-grpc-key=f", *TOPO]
    words += ["--use-ssl", *(f"--ssl-{name}=f" for name in ("cert-file", "private-key-file", "ca-file", "valid-ous"))]
    words = [word for word in words if fold(word.partition("=")[0]).lstrip("-") != one.name]
    if spelling.where is Where.FLAG:
        if spelling.name == "config":
            write(tmp_path, "{}", "other")
        words.append(f"--{spelling.name}={_as_text(value)}")
    elif spelling.where is Where.KEY:
        write(tmp_path, {spelling.name: value})
        words.append("-config=orc_config.json")
    else:
        environment[spelling.name] = _as_text(value)
    found = load(words, environment, folder=tmp_path)
    assert getattr(found.settings, one.field) != one.default
    assert found.sources[one.field] != "default"


def test_gives_each_flag_to_one_setting() -> None:
    """No flag is spelled by two settings."""
    flags = [fold(spelling.name) for one in SETTINGS for spelling in one.spellings if spelling.where is Where.FLAG]
    assert sorted(flags) == sorted(set(flags))


@pytest.mark.parametrize("name", [*upstream.V12_SWITCHES.split(), *upstream.V24_SWITCHES.split()])
def test_accepts_every_switch_of_vitess(tmp_path: Path, name: str) -> None:
    """A switch of v12 or v24 is accepted, and is used or named as having no effect."""
    found = loaded(tmp_path, f"-{name}")
    assert bool(FLAGS[fold(name)].setting.no_effect) is any(
        note.startswith("accepted, no effect") for note in found.notes
    )


@pytest.mark.parametrize("word", [*upstream.V12_FLAGS.split(), *upstream.V24_FLAGS.split()])
def test_accepts_every_flag_of_vitess(tmp_path: Path, word: str) -> None:
    """A flag of v12 or v24 is accepted with a value of its kind, and is used or named as having no effect."""
    name, _, value = word.partition("=")
    pair = {"cert": f"-{name.replace('cert', 'key')}=k", "key": f"-{name.replace('key', 'cert')}=c"}
    found = loaded(tmp_path, f"-{name}", value, *(other for end, other in pair.items() if name.endswith(end)))
    assert bool(FLAGS[fold(name)].setting.no_effect) is any(
        note.startswith("accepted, no effect") for note in found.notes
    )


@pytest.mark.parametrize("name", upstream.V12_KEYS.split())
def test_knows_every_key_of_vitess(name: str) -> None:
    """A key of v12's file is known: used, told to be always so, or accepted without effect for a reason."""
    (match, *_) = KEYS[fold_key(name)]
    assert match.setting.field or match.setting.no_effect or match.setting.always


def test_reads_a_file_with_every_key_of_vitess(tmp_path: Path) -> None:
    """A file with all of v12's keys at harmless values is accepted, and no key of it is unknown."""
    values: dict[str, Any] = {}
    for name in upstream.V12_KEYS.split():
        match = KEYS[fold_key(name)][0]
        values[name] = (
            [] if name.endswith("Filters") else _SPECIAL.get(name, _OTHER.get(match.spelling.kind.name, False))
        )
    values |= {"Durability": "cross_cell", "RecoveryPeriodBlockMinutes": 0, "MySQLTopologyCredentialsConfigFile": ""}
    found = loaded(tmp_path, file=values)
    assert not [note for note in found.notes if "unknown" in note]
    assert found.settings.durability == "cross_cell"
