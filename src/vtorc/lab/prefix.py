"""Makes a MySQL of a newer Debian run on this one: a prefix with its own C library and program loader.

The packages' programs need a newer glibc than the system has. The loader of that glibc lies in the prefix, and each
program starts through it. Either patchelf writes its path into the program, which keeps the process's name. Or a small
wrapper script starts it, and the process has the loader's name.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from vtorc.lab.errors import PartMissing

PROGRAMS = ("mysqld", "mysql", "mysqladmin", "mysqlbinlog", "mysqldump")
PLUGINS = (
    "semisync_source.so",
    "semisync_replica.so",
    "mysql_clone.so",
    "group_replication.so",
    "component_reference_cache.so",  # without it mysqld logs an error at each start
)
# Opened by name at run time, so that no program's list of libraries names them.
_OPENED_LATER = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")

_WRAPPER = """\
#!/bin/sh
home=$(dirname "$(dirname "$(readlink -f "$0")")")
exec "$home/lib/{loader}" --argv0 "$0" --library-path "$home/lib" "$home/libexec/{program}" "$@"
"""


def assemble(tree: Path, root: Path) -> str:
    """Make the prefix `root` from the packages unpacked in `tree`; it cannot be moved afterwards.

    Returns how its programs find their loader: "patchelf" or "wrapper". Raises PartMissing if a file or library is
    missing in `tree`, or if mysqld does not start.
    """
    libraries = _first(tree.glob("usr/lib/*/libc.so.6"), "the C library").parent
    loader = _first(libraries.glob("ld-linux*.so.*"), "the program loader")
    programs = [_first((*tree.glob(f"usr/sbin/{name}"), *tree.glob(f"usr/bin/{name}")), name) for name in PROGRAMS]
    plugins = [_first(tree.glob(f"usr/lib/mysql/plugin/{name}"), name) for name in PLUGINS]
    names = {loader.name, *_OPENED_LATER}
    for binary in (*programs, *plugins):
        names |= _libraries_of(binary, loader, libraries)

    for folder in ("bin", "lib", "plugin"):
        (root / folder).mkdir(parents=True)
    for name in sorted(names):
        shutil.copy2(libraries / name, root / "lib" / name)
    for plugin in plugins:
        shutil.copy2(plugin, root / "plugin" / plugin.name)
    shutil.copytree(tree / "usr" / "share" / "mysql", root / "share")
    patchelf = tree / "usr" / "bin" / "patchelf"
    if all(_patch(program, root, loader.name, patchelf) for program in programs):
        return "patchelf"
    _wrap(programs, root, loader.name)
    return "wrapper"


def _patch(program: Path, root: Path, loader: str, patchelf: Path) -> bool:
    """Put a program into the prefix, patched with the paths of its loader and libraries; False if it does not run."""
    patched = root / "bin" / program.name
    run_patchelf = (root / "lib" / loader, "--library-path", root / "lib", patchelf)
    change = ("--set-interpreter", root / "lib" / loader, "--force-rpath", "--set-rpath", root / "lib")
    command = (*run_patchelf, *change, "--output", patched, program)
    if subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode:
        return False
    patched.chmod(0o755)
    return _runs(patched)


def _wrap(programs: list[Path], root: Path, loader: str) -> None:
    """Put each program into the prefix behind a script that starts it through the prefix's loader."""
    (root / "libexec").mkdir()
    for program in programs:
        shutil.copy2(program, root / "libexec" / program.name)
        wrapper = root / "bin" / program.name
        wrapper.unlink(missing_ok=True)
        wrapper.write_text(_WRAPPER.format(loader=loader, program=program.name))
        wrapper.chmod(0o755)
    if not _runs(root / "bin" / "mysqld"):
        raise PartMissing("the unpacked mysqld does not start on this machine, patched or wrapped")


def _runs(program: Path) -> bool:
    try:
        return subprocess.run([program, "--no-defaults", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _libraries_of(binary: Path, loader: Path, libraries: Path) -> set[str]:
    """List the libraries that the private loader would load for `binary`; all must lie in `libraries`."""
    command = (loader, "--inhibit-cache", "--library-path", libraries, "--list", binary)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartMissing(f"{binary.name} cannot be loaded: {done.stderr.strip() or done.stdout.strip()}")
    names = set()
    for name, found in re.findall(r"^\s*(\S+) => (\S+)", done.stdout, flags=re.MULTILINE):
        if Path(found).parent != libraries:
            raise PartMissing(f"{binary.name} needs {name}, which is in none of the packages (found only at {found})")
        if not name.startswith("/"):
            names.add(name)
    return names


def _first(found: Iterable[Path], what: str) -> Path:
    path = next(iter(found), None)
    if path is None:
        raise PartMissing(f"the unpacked packages have no file for {what}")
    return path
