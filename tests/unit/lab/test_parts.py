"""How the lab finds its real servers."""

import json
import sys
from pathlib import Path

import pytest

from vtorc.lab import parts
from vtorc.lab.errors import PartMissing
from vtorc.lab.parts import find_consul, find_etcd, find_mysqld, required_options, version_of

MYSQL_8 = "mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)"
MYSQL_5 = "mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community Server (GPL))"
MARIADB = "mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)"
ETCD_3_5 = "etcd Version: 3.5.16\nGit SHA: Not provided\nGo Version: go1.22.6"
ETCD_3_3 = "etcd Version: 3.3.25"


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the servers of this machine."""
    monkeypatch.setattr(parts, "_SERVER_FOLDERS", ())
    monkeypatch.setattr(parts, "source_tree", lambda: None)


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    path.chmod(0o755)
    return path


def fetched(folder: Path, part: str, version: str, *, loader: str = "wrapper", root: Path | None = None) -> Path:
    """Put a fetched part into `folder`; returns its server."""
    home = folder / part
    server = program(home / "bin" / ("mysqld" if part == "mysql" else "etcd"), "")
    facts = {"part": part, "version": version, "recipe": 1, "machine": "m", "loader": loader, "root": str(root or home)}
    (home / "part.json").write_text(json.dumps(facts))
    return server


def test_named_mysqld_wins(tmp_path: Path) -> None:
    """The mysqld of VTORC_MYSQLD is used before the one on PATH and the fetched one."""
    named = program(tmp_path / "named" / "mysqld", MYSQL_8)
    program(tmp_path / "path" / "mysqld", MYSQL_8)
    fetched(tmp_path / "parts", "mysql", "9.7.4-2")
    environ = {
        "VTORC_MYSQLD": str(named),
        "PATH": f"/bin:{tmp_path / 'path'}",
        "VTORC_PARTS": str(tmp_path / "parts"),
    }
    found = find_mysqld(environ)
    assert (found.mysqld, found.version) == (named, (8, 0, 36))
    assert found.origin == f"MySQL 8.0.36 at {named}, named by VTORC_MYSQLD"


def test_mysqld_on_path_wins_over_the_fetched(tmp_path: Path) -> None:
    """A mysqld on PATH is used before the fetched one."""
    on_path = program(tmp_path / "path" / "mysqld", MYSQL_8)
    fetched(tmp_path / "parts", "mysql", "9.7.4-2")
    environ = {"PATH": f"/bin:{tmp_path / 'path'}", "VTORC_PARTS": str(tmp_path / "parts")}
    assert find_mysqld(environ).mysqld == on_path


@pytest.mark.parametrize("says", [MYSQL_5, MARIADB, "Segmentation fault"])
def test_unfit_mysqld_on_path_is_passed_over(tmp_path: Path, says: str) -> None:
    """If the server on PATH is too old, MariaDB, or prints no version, the fetched one is used."""
    program(tmp_path / "path" / "mysqld", says)
    server = fetched(tmp_path / "parts", "mysql", "9.7.4-2")
    environ = {"PATH": f"/bin:{tmp_path / 'path'}", "VTORC_PARTS": str(tmp_path / "parts")}
    assert find_mysqld(environ).mysqld == server


@pytest.mark.parametrize(
    ("says", "reason"),
    [(MYSQL_5, "is MySQL 5.7.44, older than 8.0"), (MARIADB, "is MariaDB"), ("", "prints no version")],
)
def test_unfit_named_mysqld_is_refused(tmp_path: Path, says: str, reason: str) -> None:
    """An unusable mysqld in VTORC_MYSQLD is an error, also if there are other servers."""
    named = program(tmp_path / "mysqld", says)
    fetched(tmp_path / "parts", "mysql", "9.7.4-2")
    environ = {"VTORC_MYSQLD": str(named), "PATH": "/bin", "VTORC_PARTS": str(tmp_path / "parts")}
    with pytest.raises(PartMissing, match=f"VTORC_MYSQLD cannot be used: .* {reason}"):
        find_mysqld(environ)


def test_folders_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched parts are looked for in VTORC_PARTS, then in the source tree, then in the user's cache."""
    monkeypatch.setattr(parts, "source_tree", lambda: tmp_path / "tree")
    environ = {"PATH": "/bin", "HOME": str(tmp_path), "VTORC_PARTS": str(tmp_path / "named")}
    last = fetched(tmp_path / ".cache" / "vtorc" / "parts", "etcd", "3.5.30-2")
    assert find_etcd(environ).path == last
    second = fetched(tmp_path / "tree" / ".parts", "etcd", "3.5.30-2")
    assert find_etcd(environ).path == second
    first = fetched(tmp_path / "named", "etcd", "3.5.30-2")
    assert find_etcd(environ).path == first


def test_moved_prefix_counts_as_none(tmp_path: Path) -> None:
    """A moved prefix is not used, since its programs name their loader by its old path."""
    fetched(tmp_path, "mysql", "9.7.4-2", loader="patchelf", root=tmp_path / "elsewhere")
    with pytest.raises(PartMissing):
        find_mysqld({"PATH": "/bin", "VTORC_PARTS": str(tmp_path)})


@pytest.mark.parametrize("manifest", ["", "[]", "{", '{"part": "etcd"}'])
def test_half_a_part_counts_as_none(tmp_path: Path, manifest: str) -> None:
    """A part with an incomplete manifest is unfinished, and is not used."""
    fetched(tmp_path, "etcd", "3.5.30-2")
    (tmp_path / "etcd" / "part.json").write_text(manifest)
    with pytest.raises(PartMissing):
        find_etcd({"PATH": "/bin", "VTORC_PARTS": str(tmp_path)})


def test_nothing_found_says_what_was_tried(tmp_path: Path) -> None:
    """Without a mysqld, one error lists the ways to get one and each place that was tried."""
    old = program(tmp_path / "path" / "mysqld", MYSQL_5)
    with pytest.raises(PartMissing) as caught:
        find_mysqld({"PATH": f"/bin:{tmp_path / 'path'}", "HOME": str(tmp_path)})
    assert str(caught.value) == (
        "There is no MySQL server on this machine. "
        f"Run `{sys.executable} -m vtorc.lab.fetch` to fetch one, or install MySQL 8.0 or newer so that mysqld is on "
        "PATH, or name its program in VTORC_MYSQLD. "
        f"Tried: {old} is MySQL 5.7.44, older than 8.0; no fetched MySQL server in {tmp_path}/.cache/vtorc/parts."
    )


def test_other_parts_are_fetched_by_their_names(tmp_path: Path) -> None:
    """Without a Consul, the error names the command with the part, which is not fetched unasked."""
    with pytest.raises(PartMissing, match=r"-m vtorc\.lab\.fetch consul` to fetch one"):
        find_consul({"PATH": "/bin", "HOME": str(tmp_path)})


def test_source_tree_is_told_to_make_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a source tree the error names the command that fetches into it."""
    monkeypatch.setattr(parts, "source_tree", lambda: tmp_path)
    with pytest.raises(PartMissing, match="Run `make setup` to fetch one"):
        find_etcd({"PATH": "/bin"})


def test_old_etcd_is_passed_over(tmp_path: Path) -> None:
    """Instead of an etcd on PATH older than 3.4 the fetched one is used; a newer one on PATH is used."""
    on_path = program(tmp_path / "path" / "etcd", ETCD_3_3)
    server = fetched(tmp_path / "parts", "etcd", "3.5.30-2")
    environ = {"PATH": f"/bin:{on_path.parent}", "VTORC_PARTS": str(tmp_path / "parts")}
    assert find_etcd(environ).path == server
    newer = program(tmp_path / "newer" / "etcd", ETCD_3_5)
    found = find_etcd({**environ, "PATH": f"/bin:{newer.parent}"})
    assert (found.path, found.version) == (newer, (3, 5, 16))


def test_installed_mysqld_tells_its_folders(tmp_path: Path) -> None:
    """The folders of an installed mysqld are those of its own --help, and its client lies beside it."""
    table = (
        "Variables (--variable-name=value)\nbasedir   /opt/my/\nlc-messages-dir  /opt/my/share/\nplugin-dir  /opt/my/p/"
    )
    server = program(tmp_path / "sbin" / "mysqld", f"{MYSQL_8}\n{table}")
    client = program(tmp_path / "bin" / "mysql", "")
    found = find_mysqld({"VTORC_MYSQLD": str(server), "PATH": "/bin"})
    assert found.mysql == client
    assert [str(path) for path in (found.basedir, found.share_dir, found.plugin_dir)] == [
        "/opt/my",
        "/opt/my/share",
        "/opt/my/p",
    ]


def test_prefix_needs_its_folders_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of a fetched mysqld start with --no-defaults and name the prefix's own folders."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    fetched(tmp_path, "mysql", "9.7.4-2")
    found = find_mysqld({"PATH": "/bin", "VTORC_PARTS": str(tmp_path)})
    home = tmp_path / "mysql"
    assert found.version == (9, 7, 4)
    assert required_options(found) == (
        "--no-defaults",
        f"--basedir={home}",
        f"--plugin-dir={home}/plugin",
        f"--lc-messages-dir={home}/share",
        f"--character-sets-dir={home}/share/charsets",
        "--secure-file-priv=NULL",
        "--mysqlx=OFF",
    )


def test_root_has_to_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mysqld runs as root only with --user=root, so root's options have that."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    fetched(tmp_path, "mysql", "9.7.4-2")
    found = find_mysqld({"PATH": "/bin", "VTORC_PARTS": str(tmp_path)})
    assert required_options(found)[:2] == ("--no-defaults", "--user=root")


@pytest.mark.parametrize(
    ("text", "version"),
    [(MYSQL_8, (8, 0, 36)), (ETCD_3_5, (3, 5, 16)), ("1:9.7.4-2+b1", (9, 7, 4)), ("none", None), ("9.7", None)],
)
def test_versions_are_read_from_what_servers_print(text: str, version: tuple[int, int, int] | None) -> None:
    """The first dotted version of three numbers is the version."""
    assert version_of(text) == version
