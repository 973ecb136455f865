"""Fetches the real servers of the lab, MySQL and etcd, into a parts folder: `python3 -m vtorc.lab.fetch`.

Other parts are fetched by their names: `python3 -m vtorc.lab.fetch consul`.

`make setup` fetches promtool, Chromium, Consul and ZooKeeper in the same way, which only the tests need.

The system stays as it is, and no root is needed. Fetched parts stay in the user's cache under their resolved version,
and the project's parts folder links to them. So a fresh clone need not fetch them again. The module uses the standard
library only, since it runs before there is a virtual environment.
"""

import argparse
import fcntl
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vtorc.lab import prefix
from vtorc.lab.debian import SUITE, Debian, own_suite, unpack
from vtorc.lab.errors import PartMissing
from vtorc.lab.parts import (
    CHROMIUM,
    CONSUL,
    ETCD,
    MANIFEST,
    MYSQL,
    OWN_SUITE,
    PROMTOOL,
    RECIPE,
    ZOOKEEPER,
    PartKind,
    Prefix,
    cache_folder,
    source_tree,
    version_of,
)

Say = Callable[[str], None]

_KINDS: Mapping[str, PartKind[Any]] = {kind.part: kind for kind in (MYSQL, ETCD, CONSUL, ZOOKEEPER, PROMTOOL, CHROMIUM)}

_MYSQL_PACKAGES = ("mysql-server-core", "mysql-client-core")
# Dependencies that no program of the lab loads: a fifth of the download.
_UNUSED = ("perl", "libperl", "libdb5", "libgdbm", "gcc-", "openssl-provider-legacy", "libsasl2-modules", "libc-gconv")

# A headless browser draws without drivers of graphics cards, shows no icons, and runs no script of a package.
_UNUSED_BY_CHROMIUM = ("perl", "libperl", "libllvm", "libz3", "libgl1-mesa-dri", "adwaita-icon-theme", "iso-codes")

# The libraries that ZooKeeper loads to serve clients, also over TLS; its web server and its metrics for others are left
# out.
_PACKAGES_OF_ZOOKEEPER = (
    "libslf4j-java",
    "libnetty-java",
    "libsnappy-java",
    "libcommons-cli-java",
    "libdropwizard-metrics-java",
)

_JARS_OF_ZOOKEEPER = ("zookeeper", "slf4j-api", "slf4j-simple", "netty-", "snappy-java", "commons-cli", "metrics-core")

_START_ZOOKEEPER = """\
#!/bin/sh
test "$1" = --version && set -- org.apache.zookeeper.version.VersionInfoMain
test -f "$1" && set -- org.apache.zookeeper.server.quorum.QuorumPeerMain "$@"
exec {root}/java/bin/java -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \\
    $JVMFLAGS -cp '{root}/jars/*' "$@"
"""

_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{root}/usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""

_NEWER_RECIPES = {"chromium": 1}
"""By how much the way in which one part is made is newer than RECIPE, so that the others need not be made again."""

_START_CHROMIUM = """\
#!/bin/sh
LD_LIBRARY_PATH=$(echo {root}/usr/lib/*-linux-gnu {root}/lib/*-linux-gnu {root}/usr/lib/*/pulseaudio | tr ' ' ':')
export LD_LIBRARY_PATH FONTCONFIG_FILE={root}/fonts.conf
exec {root}/usr/lib/chromium/chromium "$@"
"""


def fetch(
    environ: Mapping[str, str] | None = None,
    *,
    kinds: Iterable[PartKind[Any]] = (MYSQL, ETCD),
    refresh: bool = False,
    say: Say = print,
) -> None:
    """Fetch the parts of these kinds that are not there yet; fast if none is missing.

    `refresh` asks the mirror for a newer version of each fetched part. Raises PartMissing with everything that was
    tried and what to install.
    """
    environ = os.environ if environ is None else environ
    folder, store = _folders(environ)
    with _locked(store), tempfile.TemporaryDirectory(dir=store, prefix=".work-") as work:
        debian = functools.cache(lambda suite: _debian(Path(work), suite, say))
        for kind in kinds:
            found, tried = kind.installed(environ)
            if found is not None:
                say(f"{found.origin}: used as it is")
                continue
            ready = None if refresh else _ready(kind, folder, store)
            if ready is None:
                try:
                    suite = own_suite() if kind.suite == OWN_SUITE else kind.suite or SUITE
                    ready = _fetched(kind, debian(suite), store, say=say)
                except PartMissing as error:
                    raise PartMissing(_not_available(kind, tried, error)) from error
            _link_part(folder / kind.part, ready.root)
            say(f"{kind.of_prefix(ready).origin}")


def _not_available(kind: PartKind[Any], tried: list[str], error: PartMissing) -> str:
    return (
        f"There is no {kind.title} on this machine and none could be fetched. Tried: {'; '.join(tried)}; "
        f"fetching Debian's packages: {error}. Install {kind.wanted} so that {kind.program} is on "
        f"PATH, or name its program in {kind.variable}; or remove the cause and run this again."
    )


def _folders(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the folder in which parts are looked for first, and the one that keeps them (maybe the same)."""
    tree = source_tree()
    kept = cache_folder(environ)
    if named := environ.get("VTORC_PARTS"):
        kept = Path(named).absolute()
    folder = tree / ".parts" if tree and not named else kept
    if folder is None:
        raise PartMissing("There is no folder to keep MySQL and etcd in: set VTORC_PARTS to a folder, or set HOME.")
    for candidate in (kept, folder):
        try:
            if candidate is not None:
                candidate.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=candidate).close()
                folder.mkdir(parents=True, exist_ok=True)
                return folder.resolve(), candidate.resolve()
        except OSError as error:
            refused = error
    raise PartMissing(
        f"MySQL and etcd cannot be kept in {folder} ({refused}): set VTORC_PARTS to a folder that you can write to."
    )


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Keep two fetchers from filling the same folder; the second waits, and then has nothing to fetch."""
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ready(kind: PartKind[Any], folder: Path, store: Path) -> Prefix | None:
    """Return a usable fetched part: the linked one, or else the newest in the store."""
    kept = [found for path in store.glob(f"{kind.part}-*") if (found := kind.prefix_in(path))]
    kept.sort(key=lambda found: version_of(found.version) or (0, 0, 0), reverse=True)
    linked = kind.prefix_in(folder / kind.part)
    return next((found for found in ([linked] if linked else []) + kept if _current(found)), None)


def _current(found: Prefix) -> bool:
    return found.recipe == _recipe(found.part) and found.machine == os.uname().machine


def _recipe(part: str) -> int:
    return RECIPE + _NEWER_RECIPES.get(part, 0)


def _debian(work: Path, suite: str, say: Say) -> Debian:
    say(f"reading the package index of Debian {suite}")
    debian = Debian(work / f"apt-{suite}", suite=suite)
    debian.update()
    return debian


def _fetched(kind: PartKind[Any], debian: Debian, store: Path, *, say: Say) -> Prefix:
    """Download and unpack one part into the store; without its manifest, which comes last, it does not count."""
    begun = time.monotonic()
    version = debian.version(kind.package)
    root = store / f"{kind.part}-{version.replace(':', '_')}"
    if (there := kind.prefix_in(root)) and _current(there):
        return there
    shutil.rmtree(root, ignore_errors=True)
    tree = debian.home / kind.part
    loader = _BUILDERS.get(kind.part, _build_program)(kind, debian, tree, root, say)
    facts = {"part": kind.part, "version": version, "recipe": _recipe(kind.part), "machine": os.uname().machine}
    (root / MANIFEST).write_text(json.dumps({**facts, "loader": loader, "root": str(root)}, indent=2) + "\n")
    made = kind.prefix_in(root)
    if made is None:
        raise PartMissing(f"the {kind.title} that was unpacked into {root} is not usable")
    say(f"{kind.title} {version} made in {time.monotonic() - begun:.0f} s")
    return made


def _build_mysql(kind: PartKind[Any], debian: Debian, tree: Path, root: Path, say: Say) -> str:
    names = [name for name in debian.closure((*_MYSQL_PACKAGES, "patchelf")) if not name.startswith(_UNUSED)]
    _unpacked(debian, names, tree, say=say)
    say("MySQL server: putting its programs and libraries together")
    return prefix.assemble(tree, root)


def _build_chromium(kind: PartKind[Any], debian: Debian, tree: Path, root: Path, say: Say) -> str:
    """Unpack Chromium with its libraries and a font; the C library is the system's, as its suite is, too."""
    closure = debian.closure((kind.package, "fonts-dejavu-core"))
    names = [name for name in closure if name != "libc6" and not name.startswith(_UNUSED_BY_CHROMIUM)]
    _unpacked(debian, names, tree, say=say)
    root.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tree, root)
    (root / "fonts.conf").write_text(_FONTS.format(root=root))
    start = root / "bin" / kind.program
    start.parent.mkdir(exist_ok=True)
    start.write_text(_START_CHROMIUM.format(root=root))
    start.chmod(0o755)
    return "patchelf"


def _build_zookeeper(kind: PartKind[Any], debian: Debian, tree: Path, root: Path, say: Say) -> str:
    """Unpack ZooKeeper and a Java without a screen; the C library is the system's, as its suite is, too."""
    java = [name for name in debian.closure(("default-jre-headless",)) if name.startswith("openjdk-")]
    _unpacked(debian, [kind.package, *_PACKAGES_OF_ZOOKEEPER, *java], tree, say=say)
    (root / "jars").mkdir(parents=True)
    for jar in tree.glob("usr/share/java/*.jar"):
        if jar.name.startswith(_JARS_OF_ZOOKEEPER) and not jar.is_symlink():
            shutil.copy2(jar, root / "jars" / jar.name)
    home = next(path for path in tree.glob("usr/lib/jvm/java-*") if not path.is_symlink())
    shutil.rmtree(home / "legal")
    for link in [path for path in home.rglob("*") if path.is_symlink()]:
        target = tree / link.readlink().relative_to("/") if link.readlink().is_absolute() else link.resolve()
        link.unlink()
        if target.is_file():  # the settings of Java, which Debian keeps below /etc
            shutil.copy2(target, link)
    shutil.move(home, root / "java")
    start = root / "bin" / kind.program
    start.parent.mkdir()
    start.write_text(_START_ZOOKEEPER.format(root=root))
    start.chmod(0o755)
    return "patchelf"


def _build_program(kind: PartKind[Any], debian: Debian, tree: Path, root: Path, say: Say) -> str:
    """Unpack the package alone: a program in Go needs only the system's C library."""
    _unpacked(debian, [kind.package], tree, say=say)
    (root / "bin").mkdir(parents=True)
    shutil.copy2(tree / "usr" / "bin" / kind.program, root / "bin" / kind.program)
    return "system"


_BUILDERS: Mapping[str, Callable[[PartKind[Any], Debian, Path, Path, Say], str]] = {
    "mysql": _build_mysql,
    "chromium": _build_chromium,
    "zookeeper": _build_zookeeper,
}
"""How the parts are built that need more than one program."""


def _unpacked(debian: Debian, names: list[str], tree: Path, *, say: Say) -> None:
    def progress(begun: int) -> None:
        if begun % 10 == 0 or begun == len(names):
            say(f"downloading: package {begun} of {len(names)}")

    packages = debian.download(names, tree.with_name(f"{tree.name}-packages"), progress=progress)
    say(f"unpacking {len(packages)} package{'s' if len(packages) > 1 else ''}")
    for package in packages:
        unpack(package, tree)
        package.unlink()


def _link_part(link: Path, root: Path) -> None:
    """Point `link` at the part's folder, atomically for other processes."""
    if link.is_symlink() and link.readlink() == root:
        return
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.symlink_to(root)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    fresh.replace(link)


def main() -> int:
    """Run as a program; returns 0 if the parts are there in the end, else 1 after one error message."""
    arguments = argparse.ArgumentParser(prog="vtorc.lab.fetch", description="Fetch MySQL and etcd for the lab.")
    arguments.add_argument("--refresh", action="store_true", help="fetch newer versions if the mirror has them")
    arguments.add_argument(
        "parts", nargs="*", choices=[*_KINDS], metavar="part", help=f"of {', '.join(_KINDS)}; default: mysql etcd"
    )
    given = arguments.parse_args()
    kinds = [_KINDS[part] for part in given.parts] or (MYSQL, ETCD)
    try:
        fetch(kinds=kinds, refresh=given.refresh, say=lambda line: print(f"parts: {line}", flush=True))  # noqa: T201
    except PartMissing as error:
        print(f"parts: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
