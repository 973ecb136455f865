"""Fetching the lab's real servers; files of the test stand in for Debian."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from vtorc.lab import fetch as fetching
from vtorc.lab import parts
from vtorc.lab.errors import PartMissing
from vtorc.lab.fetch import fetch
from vtorc.lab.parts import ETCD, MYSQL, PROMTOOL, find_etcd, find_mysqld, find_promtool


class FakeDebian:
    """A suite that has an etcd, or no package at all."""

    etcd: str | None = "3.5.30-2"
    updates = 0

    def __init__(self, home: Path, *, suite: str) -> None:
        self.home = home

    def update(self) -> None:
        type(self).updates += 1

    def version(self, package: str) -> str:
        if package == "etcd-server" and self.etcd:
            return self.etcd
        if package == "promtool":
            return "3.5.3+ds1-6"
        raise PartMissing(f"Debian sid has no package {package}")

    def closure(self, packages: Sequence[str]) -> list[str]:
        return list(packages)

    def download(self, packages: Iterable[str], into: Path, *, progress: Callable[[int], None]) -> list[Path]:
        into.mkdir(parents=True)
        files = [into / f"{name}.deb" for name in packages]
        for count, file in enumerate(files, 1):
            file.touch()
            progress(count)
        return files


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the servers of this machine, and give it a source tree and an empty home."""
    (tmp_path / "tree").mkdir()
    for module in (parts, fetching):
        monkeypatch.setattr(module, "source_tree", lambda: tmp_path / "tree")
    monkeypatch.setattr(parts, "_SERVER_FOLDERS", ())
    monkeypatch.setattr(FakeDebian, "etcd", "3.5.30-2")
    monkeypatch.setattr(FakeDebian, "updates", 0)
    monkeypatch.setattr(fetching, "Debian", FakeDebian)
    monkeypatch.setattr(fetching, "unpack", unpack)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": "/bin", "HOME": str(tmp_path / "home")}


def unpack(package: Path, into: Path) -> None:
    if package.name in ("etcd-server.deb", "promtool.deb"):
        program(into / "usr" / "bin" / package.stem.removesuffix("-server"))


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def kept(tmp_path: Path, part: str, version: str, *, recipe: int = parts.RECIPE) -> Path:
    """Put a part into the user's cache, as an earlier clone left it there."""
    root = tmp_path / "home" / ".cache" / "vtorc" / "parts" / f"{part}-{version}"
    program(root / "bin" / ("mysqld" if part == "mysql" else "etcd"))
    facts = {"part": part, "version": version, "recipe": recipe, "machine": os.uname().machine, "loader": "system"}
    (root / "part.json").write_text(json.dumps(facts))
    return root


def test_fresh_clone_takes_what_the_cache_has(tmp_path: Path, environ: dict[str, str]) -> None:
    """The newest of each part that an earlier clone fetched is linked, and no mirror is asked."""
    kept(tmp_path, "mysql", "9.7.4-2")
    newest = kept(tmp_path, "mysql", "9.10.1-1")
    etcd = kept(tmp_path, "etcd", "3.5.30-2")
    fetch(environ, say=lambda _: None)
    assert FakeDebian.updates == 0
    assert (tmp_path / "tree" / ".parts" / "mysql").readlink() == newest
    assert (tmp_path / "tree" / ".parts" / "etcd").readlink() == etcd


def test_linked_part_stays(tmp_path: Path, environ: dict[str, str]) -> None:
    """A clone keeps its part when the cache gets a newer one."""
    first = kept(tmp_path, "mysql", "9.7.4-2")
    kept(tmp_path, "etcd", "3.5.30-2")
    fetch(environ, say=lambda _: None)
    kept(tmp_path, "mysql", "9.7.5-1")
    fetch(environ, say=lambda _: None)
    assert find_mysqld(environ).basedir == first


def test_missing_part_is_fetched_once(tmp_path: Path, environ: dict[str, str]) -> None:
    """A missing part is fetched into the cache under its version, and only once."""
    kept(tmp_path, "mysql", "9.7.4-2")
    said: list[str] = []
    fetch(environ, say=said.append)
    fetch(environ, say=lambda _: None)
    assert FakeDebian.updates == 1
    home = tmp_path / "home" / ".cache" / "vtorc" / "parts"
    assert find_etcd(environ).path == home / "etcd-3.5.30-2" / "bin" / "etcd"
    assert said[-1] == f"etcd 3.5.30-2, fetched into {home / 'etcd-3.5.30-2'}"
    assert sorted(path.name for path in home.iterdir()) == [".lock", "etcd-3.5.30-2", "mysql-9.7.4-2"]


def test_refresh_takes_a_newer_version(tmp_path: Path, environ: dict[str, str]) -> None:
    """A refresh links the mirror's present version."""
    kept(tmp_path, "etcd", "3.5.16-4")
    kept(tmp_path, "mysql", "9.7.4-2")
    fetch(environ, say=lambda _: None)
    environ["VTORC_MYSQLD"] = str(tmp_path / "tree" / ".parts" / "mysql" / "bin" / "mysqld")
    fetch(environ, refresh=True, say=lambda _: None)
    assert find_etcd(environ).version == (3, 5, 30)


def test_prefix_of_an_older_recipe_is_made_again(tmp_path: Path, environ: dict[str, str]) -> None:
    """A part with another recipe number than this version's is not used."""
    kept(tmp_path, "mysql", "9.7.4-2")
    kept(tmp_path, "etcd", "3.5.30-2", recipe=parts.RECIPE - 1)
    fetch(environ, say=lambda _: None)
    assert FakeDebian.updates == 1


def test_installed_server_is_left_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    """No part is fetched for a server that is on PATH."""
    kept(tmp_path, "mysql", "9.7.4-2")
    server = tmp_path / "path" / "etcd"
    program(server).write_text("#!/bin/sh\necho etcd Version: 3.5.16\n")
    environ["PATH"] = f"/bin:{server.parent}"
    said: list[str] = []
    fetch(environ, say=said.append)
    assert said[-1] == f"etcd 3.5.16 at {server}, found on PATH: used as it is"
    assert not (tmp_path / "tree" / ".parts" / "etcd").exists()


def test_named_folder_keeps_everything(tmp_path: Path, environ: dict[str, str]) -> None:
    """With VTORC_PARTS set, parts are kept and linked there, and nowhere else."""
    environ["VTORC_PARTS"] = str(tmp_path / "named")
    environ["VTORC_MYSQLD"] = str(kept(tmp_path, "mysql", "9.7.4-2") / "bin" / "mysqld")
    fetch(environ, say=lambda _: None)
    assert find_etcd(environ).path == tmp_path / "named" / "etcd-3.5.30-2" / "bin" / "etcd"
    assert not (tmp_path / "tree" / ".parts").exists()


def test_machine_without_a_home_keeps_parts_in_the_project(tmp_path: Path, environ: dict[str, str]) -> None:
    """Without a writable cache folder, the project's parts folder holds the parts themselves."""
    mysqld = kept(tmp_path, "mysql", "9.7.4-2") / "bin" / "mysqld"
    environ["VTORC_MYSQLD"] = str(mysqld)
    del environ["HOME"]
    fetch(environ, say=lambda _: None)
    assert find_etcd(environ).path == tmp_path / "tree" / ".parts" / "etcd-3.5.30-2" / "bin" / "etcd"


def test_nothing_to_be_had_is_one_error(environ: dict[str, str]) -> None:
    """For a part that is neither installed nor fetched, one error says what was tried and what to install."""
    with pytest.raises(PartMissing) as caught:
        fetch(environ, say=lambda _: None)
    assert str(caught.value) == (
        "There is no MySQL server on this machine and none could be fetched. Tried: no mysqld on PATH; "
        "fetching Debian's packages: Debian sid has no package mysql-server-core. "
        "Install MySQL 8.0 or newer so that mysqld is on PATH, or name its program in VTORC_MYSQLD; "
        "or remove the cause and run this again."
    )


def test_half_made_part_is_made_again(tmp_path: Path, environ: dict[str, str]) -> None:
    """A part that an interrupted fetch left unfinished in the cache is replaced."""
    kept(tmp_path, "mysql", "9.7.4-2")
    half = tmp_path / "home" / ".cache" / "vtorc" / "parts" / "etcd-3.5.30-2"
    program(half / "bin" / "leftover")
    fetch(environ, say=lambda _: None)
    assert not (half / "bin" / "leftover").exists()
    assert MYSQL.prefix_in(half) is None
    assert find_etcd(environ).path == half / "bin" / "etcd"


def test_promtool_is_fetched_for_the_tests_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    """The command that fetches servers for the demo leaves it out."""
    kept(tmp_path, "mysql", "9.7.4-2")
    fetch(environ, say=lambda _: None)
    with pytest.raises(PartMissing, match=r"install Prometheus 2\.42 or newer"):
        find_promtool(environ)
    fetch(environ, kinds=(MYSQL, ETCD, PROMTOOL), say=lambda _: None)
    found = find_promtool(environ)
    assert found.version == (3, 5, 3)
    assert found.path.is_file()


def test_a_promtool_that_is_too_old_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """The sentence says which one is wanted."""
    old = program(tmp_path / "promtool")
    old.write_text("#!/bin/sh\necho promtool, version 2.15.2\n")
    with pytest.raises(PartMissing, match=r"is promtool 2\.15\.2, older than 2\.42"):
        find_promtool({**environ, "VTORC_PROMTOOL": str(old)})
