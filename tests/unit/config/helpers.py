"""Helpers for loading settings that the tests of this folder share."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from vtorc.config.load import Loaded, load
from vtorc.errors import SettingsError

TOPO = ("-topo_implementation=etcd2", "-topo_global_server_address=h:2379", "-topo_global_root=/vitess/global")


def loaded(folder: Path, *words: str, file: object = None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Load with the topology's flags given; `file` becomes orc_config.json, as JSON or, if it is text, unchanged."""
    if file is not None:
        write(folder, file)
        words = ("-config=orc_config.json", *words)
    return load([*TOPO, *words], environment or {}, folder=folder)


def problems(folder: Path, *words: str, file: object = None, environment: Mapping[str, str] | None = None) -> list[str]:
    """Load as `loaded` does, and return the problems."""
    with pytest.raises(SettingsError) as caught:
        loaded(folder, *words, file=file, environment=environment)
    return list(caught.value.problems)


def write(folder: Path, content: object, name: str = "orc_config.json") -> None:
    """Write a settings file."""
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
