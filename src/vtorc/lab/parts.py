"""Where the real servers of the lab are: mysqld and etcd.

A server named in the environment wins over one on PATH, and that one over a fetched one. Fetched parts lie in a
*parts folder*: one entry per part (`mysql`, `etcd`), each a prefix with a `part.json` that says what it is.
`vtorc.lab.fetch` fills such folders. Both modules use the standard library only, since they run before there is
a virtual environment.
"""

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from vtorc.lab.errors import PartMissing

Found = TypeVar("Found")

RECIPE = 1
"""Number of the way prefixes are made; a prefix of another number is made again."""

MYSQL_AT_LEAST = (8, 0)
ETCD_AT_LEAST = (3, 4)
MANIFEST = "part.json"

# Servers are often installed where only root's PATH looks.
_SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin")


@dataclass(frozen=True, slots=True)
class MysqlParts:
    """One usable MySQL server: its programs, its folders, and one sentence on where it comes from.

    `options` are those that this server needs to find its own files; `required_options` gives the whole list.
    """

    mysqld: Path
    mysql: Path | None
    basedir: Path
    plugin_dir: Path
    share_dir: Path
    options: tuple[str, ...]
    version: tuple[int, int, int]
    origin: str


@dataclass(frozen=True, slots=True)
class EtcdParts:
    """One usable etcd server, and one sentence on where it comes from."""

    etcd: Path
    version: tuple[int, int, int]
    origin: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """One fetched part: its real folder and what its `part.json` says."""

    root: Path
    part: str
    version: str
    recipe: int
    machine: str
    loader: str


def required_options(mysql: MysqlParts) -> tuple[str, ...]:
    """List the options without which this mysqld does not run from just any data directory.

    `--no-defaults` stands first, as mysqld demands. Debian's build aborts unless --secure-file-priv is given
    (its default folder exists on installed systems only); the X protocol would claim port 33060 for each server.
    """
    user = ("--user=root",) if os.geteuid() == 0 else ()
    return ("--no-defaults", *user, *mysql.options, "--secure-file-priv=NULL", "--mysqlx=OFF")


def source_tree() -> Path | None:
    """Find the project folder this module runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "vtorc").is_dir() else None


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Name the user's own parts folder, which outlives clones of the project; None for a user without a home."""
    if cache := environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "vtorc" / "parts"
    home = environ.get("HOME")
    return Path(home) / ".cache" / "vtorc" / "parts" if home else None


def parts_folders(environ: Mapping[str, str]) -> list[Path]:
    """List the folders where fetched parts are looked for, in order: VTORC_PARTS, the source tree's, the user's."""
    named = environ.get("VTORC_PARTS")
    tree = source_tree()
    candidates = [Path(named) if named else None, tree / ".parts" if tree else None, cache_folder(environ)]
    return [folder for folder in candidates if folder is not None]


def read_prefix(folder: Path) -> Prefix | None:
    """Read the prefix in `folder` (links are followed); None when there is none that could start from there."""
    try:
        root = folder.resolve(strict=True)
        facts = json.loads((root / MANIFEST).read_text())
        prefix = Prefix(root, facts["part"], facts["version"], facts["recipe"], facts["machine"], facts["loader"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The kernel finds the private loader by its absolute path, so a copied or moved prefix cannot start.
    moved = prefix.loader == "patchelf" and facts.get("root") != str(root)
    return None if moved else prefix


def find_mysqld(environ: Mapping[str, str] | None = None) -> MysqlParts:
    """Find a mysqld of version 8.0 or newer: VTORC_MYSQLD, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. A VTORC_MYSQLD that cannot be used is never passed over.
    """
    return MYSQL.find(os.environ if environ is None else environ)


def find_etcd(environ: Mapping[str, str] | None = None) -> EtcdParts:
    """Find an etcd of version 3.4 or newer: VTORC_ETCD, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. A VTORC_ETCD that cannot be used is never passed over.
    """
    return ETCD.find(os.environ if environ is None else environ)


@dataclass(frozen=True, slots=True)
class PartKind(Generic[Found]):
    """One kind of part: how it is called, and how a program or a prefix of it is described.

    `describe` answers a clause saying why a program cannot be used, where it cannot.
    """

    part: str
    program: str
    title: str
    wanted: str
    variable: str
    describe: Callable[[Path, str, Mapping[str, str]], Found | str]
    of_prefix: Callable[[Prefix], Found]

    def installed(self, environ: Mapping[str, str]) -> tuple[Found | None, list[str]]:
        """Find the one the environment names or PATH has, and list what was tried in vain.

        Raises PartMissing when the one named cannot be used: whoever named it wants that one.
        """
        if named := environ.get(self.variable):
            found = self.describe(Path(named).absolute(), f"named by {self.variable}", environ)
            if isinstance(found, str):
                raise PartMissing(f"{self.variable} cannot be used: {found}. Name {self.wanted} there, or unset it.")
            return found, []
        path = _which(self.program, environ)
        if path is None:
            return None, [f"no {self.program} on PATH"]
        found = self.describe(path, "found on PATH", environ)
        return (None, [found]) if isinstance(found, str) else (found, [])

    def prefix_in(self, folder: Path) -> Prefix | None:
        """Read the prefix that `folder` is or links to; None unless it holds this part and could start."""
        prefix = read_prefix(folder)
        if prefix is None or prefix.part != self.part or not os.access(prefix.root / "bin" / self.program, os.X_OK):
            return None
        return prefix

    def find(self, environ: Mapping[str, str]) -> Found:
        """Find one, the installed before the fetched; raises PartMissing with every place that was tried."""
        found, tried = self.installed(environ)
        if found is not None:
            return found
        for folder in parts_folders(environ):
            if prefix := self.prefix_in(folder / self.part):
                return self.of_prefix(prefix)
            tried.append(f"no fetched {self.title} in {folder}")
        fetch = "make setup" if source_tree() else "python3 -m vtorc.lab.fetch"
        raise PartMissing(
            f"There is no {self.title} on this machine. Tried: {'; '.join(tried)}. Run `{fetch}` to fetch one, "
            f"or install {self.wanted} so that {self.program} is on PATH, or name its program in {self.variable}."
        )


def mysql_of_prefix(prefix: Prefix) -> MysqlParts:
    """Describe the MySQL server of a fetched prefix."""
    root = prefix.root
    return MysqlParts(
        mysqld=root / "bin" / "mysqld",
        mysql=root / "bin" / "mysql",
        basedir=root,
        plugin_dir=root / "plugin",
        share_dir=root / "share",
        options=(
            f"--basedir={root}",
            f"--plugin-dir={root / 'plugin'}",
            f"--lc-messages-dir={root / 'share'}",
            f"--character-sets-dir={root / 'share' / 'charsets'}",
        ),
        version=version_of(prefix.version) or (0, 0, 0),
        origin=f"MySQL {prefix.version}, fetched into {root}",
    )


def etcd_of_prefix(prefix: Prefix) -> EtcdParts:
    """Describe the etcd server of a fetched prefix."""
    return EtcdParts(
        etcd=prefix.root / "bin" / "etcd",
        version=version_of(prefix.version) or (0, 0, 0),
        origin=f"etcd {prefix.version}, fetched into {prefix.root}",
    )


def _which(program: str, environ: Mapping[str, str]) -> Path | None:
    folders = os.pathsep.join((environ.get("PATH", os.defpath), *_SERVER_FOLDERS))
    found = shutil.which(program, path=folders)
    return Path(found).absolute() if found else None


def version_of(text: str) -> tuple[int, int, int] | None:
    """Read the first dotted version of three numbers in `text`; None when there is none."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _mysqld_at(path: Path, how: str, environ: Mapping[str, str]) -> MysqlParts | str:
    """Describe the mysqld at `path`, or say in a clause why it cannot be used."""
    prefix = read_prefix(path.parent.parent)
    if prefix is not None and prefix.part == "mysql":
        return mysql_of_prefix(prefix)
    said = _ask(str(path), "--no-defaults", "--version")
    version = version_of(said)
    if version is None:
        return f"{path} does not tell its version"
    if "MariaDB" in said:
        return f"{path} is MariaDB, which does not speak MySQL's replication"
    if version < MYSQL_AT_LEAST:
        return f"{path} is MySQL {'.'.join(map(str, version))}, older than 8.0"
    settings = _default_settings(str(path))
    share = settings.get("lc-messages-dir", "/usr/share/mysql")
    return MysqlParts(
        mysqld=path,
        mysql=_client_of(path, environ),
        basedir=Path(settings.get("basedir", "/usr")),
        plugin_dir=Path(settings.get("plugin-dir", "/usr/lib/mysql/plugin")),
        share_dir=Path(share),
        options=(),
        version=version,
        origin=f"MySQL {'.'.join(map(str, version))} at {path}, {how}",
    )


def _client_of(mysqld: Path, environ: Mapping[str, str]) -> Path | None:
    for sibling in (mysqld.parent / "mysql", mysqld.parent.parent / "bin" / "mysql"):
        if os.access(sibling, os.X_OK):
            return sibling
    return _which("mysql", environ)


def _default_settings(mysqld: str) -> dict[str, str]:
    """Read the settings a mysqld has when no file and no option sets them, from the table its --help ends with."""
    user = ("--user=root",) if os.geteuid() == 0 else ()
    table = _ask(mysqld, "--no-defaults", *user, "--secure-file-priv=NULL", "--verbose", "--help")
    rows = (line.split(None, 1) for line in table.splitlines() if line[:1].isalpha())
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def _etcd_at(path: Path, how: str, _environ: Mapping[str, str]) -> EtcdParts | str:
    """Describe the etcd at `path`, or say in a clause why it cannot be used."""
    version = version_of(_ask(str(path), "--version"))
    if version is None:
        return f"{path} does not tell its version"
    text = ".".join(map(str, version))
    if version < ETCD_AT_LEAST:
        return f"{path} is etcd {text}, older than 3.4"
    return EtcdParts(etcd=path, version=version, origin=f"etcd {text} at {path}, {how}")


@functools.cache
def _ask(*command: str) -> str:
    """Run a program for what it prints; empty when it cannot be run (30 s at most)."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


MYSQL = PartKind("mysql", "mysqld", "MySQL server", "MySQL 8.0 or newer", "VTORC_MYSQLD", _mysqld_at, mysql_of_prefix)
ETCD = PartKind("etcd", "etcd", "etcd server", "etcd 3.4 or newer", "VTORC_ETCD", _etcd_at, etcd_of_prefix)
