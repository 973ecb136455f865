"""Finds the real servers of the lab (mysqld, etcd, Consul, ZooKeeper), and promtool, with which tests try the alerts.

A program that the environment names wins over one on PATH, and that one over a fetched one. Fetched parts lie in a
*parts folder* with one entry per part (`mysql`, `etcd`): each is a prefix with a `part.json` that describes it.
`vtorc.lab.fetch` fills such folders. Both modules use the standard library only, since they run before there is a
virtual environment.
"""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from vtorc.lab.errors import PartMissing

Found = TypeVar("Found")

RECIPE = 1
"""Number of the way in which prefixes are made; a prefix with another number is made again."""

OWN_SUITE = "own"
"""Stands for the suite of the machine's own Debian: the part would not run with the libraries of a newer one."""

_FETCHED_UNASKED = ("mysql", "etcd")
"""The parts that the demo needs."""

MYSQL_AT_LEAST = (8, 0)
MANIFEST = "part.json"

# Packages often install servers in folders that only root's PATH names.
_SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin")


@dataclass(frozen=True, slots=True)
class MysqlParts:
    """One usable MySQL server: its programs, its folders, and one sentence on its origin.

    `options` are those with which this server finds its own files; `required_options` gives the whole list.
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
class ProgramPart:
    """One usable program, its version, and one sentence on its origin."""

    path: Path
    version: tuple[int, int, int]
    origin: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """One fetched part: its real folder and the facts in its `part.json`."""

    root: Path
    part: str
    version: str
    recipe: int
    machine: str
    loader: str


def required_options(mysql: MysqlParts) -> tuple[str, ...]:
    """List the options that this mysqld needs to run from any data directory.

    `--no-defaults` stands first, as mysqld demands. Debian's build aborts unless --secure-file-priv is given, since
    its default folder exists on installed systems only. The X protocol would claim port 33060 for each server.
    """
    user = ("--user=root",) if os.geteuid() == 0 else ()
    return ("--no-defaults", *user, *mysql.options, "--secure-file-priv=NULL", "--mysqlx=OFF")


def source_tree() -> Path | None:
    """Return the project folder that this module runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "vtorc").is_dir() else None


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the user's own parts folder, which outlives clones of the project; None for a user without a home."""
    if cache := environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "vtorc" / "parts"
    home = environ.get("HOME")
    return Path(home) / ".cache" / "vtorc" / "parts" if home else None


def parts_folders(environ: Mapping[str, str]) -> list[Path]:
    """List the folders in which fetched parts are looked for: VTORC_PARTS, the source tree's, the user's."""
    named = environ.get("VTORC_PARTS")
    tree = source_tree()
    candidates = [Path(named) if named else None, tree / ".parts" if tree else None, cache_folder(environ)]
    return [folder for folder in candidates if folder is not None]


def read_prefix(folder: Path) -> Prefix | None:
    """Read the prefix in `folder`, following links; None without one that can start from there."""
    try:
        root = folder.resolve(strict=True)
        facts = json.loads((root / MANIFEST).read_text())
        prefix = Prefix(root, facts["part"], facts["version"], facts["recipe"], facts["machine"], facts["loader"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The kernel finds the private loader by its absolute path, so that a copied or moved prefix cannot start.
    moved = prefix.loader == "patchelf" and facts.get("root") != str(root)
    return None if moved else prefix


def find_mysqld(environ: Mapping[str, str] | None = None) -> MysqlParts:
    """Find a mysqld of version 8.0 or newer: VTORC_MYSQLD, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. An unusable VTORC_MYSQLD is an error, never passed over.
    """
    return MYSQL.find(os.environ if environ is None else environ)


def find_etcd(environ: Mapping[str, str] | None = None) -> ProgramPart:
    """Find an etcd of version 3.4 or newer: VTORC_ETCD, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. An unusable VTORC_ETCD is an error, never passed over.
    """
    return ETCD.find(os.environ if environ is None else environ)


def find_consul(environ: Mapping[str, str] | None = None) -> ProgramPart:
    """Find a Consul of version 1.8 or newer: VTORC_CONSUL, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. An unusable VTORC_CONSUL is an error, never passed over.
    """
    return CONSUL.find(os.environ if environ is None else environ)


def find_zookeeper(environ: Mapping[str, str] | None = None) -> ProgramPart:
    """Find a ZooKeeper of version 3.5 or newer: VTORC_ZOOKEEPER, then PATH, then the fetched one.

    Its program takes a configuration file. Raises PartMissing with every place that was tried. An unusable
    VTORC_ZOOKEEPER is an error, never passed over.
    """
    return ZOOKEEPER.find(os.environ if environ is None else environ)


def find_promtool(environ: Mapping[str, str] | None = None) -> ProgramPart:
    """Find a promtool of version 2.42 or newer: VTORC_PROMTOOL, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. An unusable VTORC_PROMTOOL is an error, never passed over.
    """
    return PROMTOOL.find(os.environ if environ is None else environ)


def find_chromium(environ: Mapping[str, str] | None = None) -> ProgramPart:
    """Find a Chromium of version 120 or newer: VTORC_CHROMIUM, then PATH, then the fetched one.

    Raises PartMissing with every place that was tried. An unusable VTORC_CHROMIUM is an error, never passed over.
    """
    return CHROMIUM.find(os.environ if environ is None else environ)


@dataclass(frozen=True, slots=True)
class PartKind(Generic[Found]):
    """One kind of part: its names, its package in Debian, and the functions that describe a program or a prefix of it.

    If a program cannot be used, `describe` returns a clause that says why.
    """

    part: str
    program: str
    package: str
    title: str
    wanted: str
    variable: str
    describe: Callable[[Path, str, Mapping[str, str]], Found | str]
    of_prefix: Callable[[Prefix], Found]
    suite: str = ""
    """The Debian suite of its package, or OWN_SUITE; empty means the one that carries MySQL 9."""

    def installed(self, environ: Mapping[str, str]) -> tuple[Found | None, list[str]]:
        """Find the server that the environment names or PATH has, and list what was tried in vain.

        Raises PartMissing if the one named in the environment cannot be used: the operator wants that one.
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
        """Find a server, installed before fetched; raises PartMissing with how to get one and what was tried."""
        found, tried = self.installed(environ)
        if found is not None:
            return found
        for folder in parts_folders(environ):
            if prefix := self.prefix_in(folder / self.part):
                return self.of_prefix(prefix)
            tried.append(f"no fetched {self.title} in {folder}")
        other = "" if self.part in _FETCHED_UNASKED else f" {self.part}"
        fetch = "make setup" if source_tree() else f"{shlex.quote(sys.executable)} -m vtorc.lab.fetch{other}"
        raise PartMissing(
            f"There is no {self.title} on this machine. Run `{fetch}` to fetch one, or install {self.wanted} so that "
            f"{self.program} is on PATH, or name its program in {self.variable}. Tried: {'; '.join(tried)}."
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


def _which(program: str, environ: Mapping[str, str]) -> Path | None:
    folders = os.pathsep.join((environ.get("PATH", os.defpath), *_SERVER_FOLDERS))
    found = shutil.which(program, path=folders)
    return Path(found).absolute() if found else None


def version_of(text: str) -> tuple[int, int, int] | None:
    """Return the first dotted version of three numbers in `text`; None if there is none."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _mysqld_at(path: Path, how: str, environ: Mapping[str, str]) -> MysqlParts | str:
    """Describe the mysqld at `path`, or return a clause that says why it cannot be used."""
    prefix = read_prefix(path.parent.parent)
    if prefix is not None and prefix.part == "mysql":
        return mysql_of_prefix(prefix)
    output = _output_of(str(path), "--no-defaults", "--version")
    version = version_of(output)
    if version is None:
        return f"{path} prints no version when asked with --version"
    if "MariaDB" in output:
        return f"{path} is MariaDB, which has another kind of replication than MySQL"
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
    """Read the defaults that were compiled into a mysqld, from the table at the end of its --help."""
    user = ("--user=root",) if os.geteuid() == 0 else ()
    table = _output_of(mysqld, "--no-defaults", *user, "--secure-file-priv=NULL", "--verbose", "--help")
    rows = (line.split(None, 1) for line in table.splitlines() if line[:1].isalpha())
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def program_kind(
    part: str, *, title: str, package: str, at_least: tuple[int, int], product: str = "", suite: str = ""
) -> PartKind[ProgramPart]:
    """Return the kind of a part that is one program, which tells its version when asked with `--version`.

    `title` is its name in sentences, `part` that of the program, and `package` that of Debian's package. `product` is
    what operators install to have it, if that has another name.
    """
    oldest = ".".join(map(str, at_least if at_least[1] else at_least[:1]))
    name = title.removesuffix(" server")

    def describe(path: Path, how: str, _: Mapping[str, str]) -> ProgramPart | str:
        version = version_of(_output_of(str(path), "--version"))
        if version is None:
            return f"{path} prints no version when asked with --version"
        text = ".".join(map(str, version))
        if version < at_least:
            return f"{path} is {name} {text}, older than {oldest}"
        return ProgramPart(path=path, version=version, origin=f"{name} {text} at {path}, {how}")

    def of_prefix(prefix: Prefix) -> ProgramPart:
        return ProgramPart(
            path=prefix.root / "bin" / part,
            version=version_of(prefix.version) or (0, 0, 0),
            origin=f"{name} {prefix.version}, fetched into {prefix.root}",
        )

    return PartKind(
        part=part,
        program=part,
        package=package,
        title=title,
        wanted=f"{product or name} {oldest} or newer",
        variable=f"VTORC_{part.upper()}",
        describe=describe,
        of_prefix=of_prefix,
        suite=suite,
    )


@functools.cache
def _output_of(*command: str) -> str:
    """Run a program for at most 30 s and return its output; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


MYSQL = PartKind(
    part="mysql",
    program="mysqld",
    package="mysql-server-core",
    title="MySQL server",
    wanted="MySQL 8.0 or newer",
    variable="VTORC_MYSQLD",
    describe=_mysqld_at,
    of_prefix=mysql_of_prefix,
)
ETCD = program_kind("etcd", title="etcd server", package="etcd-server", at_least=(3, 4))
PROMTOOL = program_kind("promtool", title="promtool", package="promtool", at_least=(2, 42), product="Prometheus")
CHROMIUM = program_kind("chromium", title="Chromium", package="chromium", at_least=(120, 0), suite=OWN_SUITE)
# Its later releases are no free software any more, so that this suite is the last one with it.
CONSUL = program_kind("consul", title="Consul server", package="consul", at_least=(1, 8), suite="bullseye")
ZOOKEEPER = program_kind(
    "zookeeper", title="ZooKeeper server", package="libzookeeper-java", at_least=(3, 5), suite=OWN_SUITE
)
