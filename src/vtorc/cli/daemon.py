"""`vtorc` with flags only: reads the settings, sets up logging and hands over to the application."""

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import structlog
import uvloop

from vtorc.cli.help import help_text, version_text
from vtorc.config.flags import parse_flags
from vtorc.config.load import load
from vtorc.config.store import SettingsStore
from vtorc.errors import ListenerTlsError, SettingsError, TabletClientMisconfigured, TopoMisconfigured, VtorcError
from vtorc.logs import flush_logs, setup_logging

EXIT_FAILED = 1
EXIT_BAD_SETTINGS = 2

_NO_THREAD = "can't start new thread"
"""The text of Python's error when the system gives the process no further thread."""

_SWITCH = 0.001
"""Seconds for which one thread of Python may keep the others waiting."""

_MOST_FILES = 65_536
"""Open files that vtorc asks for: each tablet and each client over HTTP takes some."""

_BAD_SETTINGS = (SettingsError, TopoMisconfigured, TabletClientMisconfigured, ListenerTlsError)
"""Errors that only another setting, or another file that a setting names, can end."""

_log = structlog.get_logger(__name__)


def run_daemon(words: Sequence[str], commands: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code, 2 if the settings cannot be used."""
    keep_standard_files_open()
    try:
        return _run_daemon(words, commands)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or str(error) == _NO_THREAD):
            raise
        sys.stderr.write(
            f"vtorc: ended, as the system gave it no more {'memory' if isinstance(error, MemoryError) else 'threads'}: "
            "raise the limits of its process (ulimit -v, ulimit -u) or of its container\n"
        )
        return EXIT_FAILED


def keep_standard_files_open() -> None:
    """Open /dev/null as each of standard input, output and error that is closed.

    Some init scripts start daemons so. The next file that vtorc opened, such as its history, would have that number,
    and what libraries write to standard error would go into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = sys.stdout or _unheard(1)
    sys.stderr = sys.stderr or _unheard(2)


def _unheard(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _run_daemon(words: Sequence[str], commands: Mapping[str, str]) -> int:
    line = parse_flags(words)
    if line.wants == "check":
        from vtorc.cli.check_config import check_config

        return check_config(words, os.environ, as_json=line.json)
    if line.wants != "run":
        return _shown(version_text() if line.wants == "version" else help_text(commands))
    try:
        store = SettingsStore(lambda: load(words, os.environ, folder=Path()))
        setup_logging(store.settings)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"vtorc: {problem}\n")
        sys.stderr.write("vtorc: not started; vtorc --help lists the flags\n")
        return EXIT_BAD_SETTINGS
    _log_start(store)
    _allow_many_files()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # gRPC's own handlers of fork would run, and log, each time that vtorc starts its HTTP server
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    # The event loop waits less for the threads that write logs and read files: 5 ms each time by default.
    sys.setswitchinterval(_SWITCH)
    # imported only now: the application's modules take a while to load, which a wrong flag need not wait for
    from vtorc.app import run

    try:
        with _pid_file(store.settings.pid_file):
            return run(store)
    except* VtorcError as group:
        code = _told(group)
    finally:
        flush_logs()
    return code


def _shown(text: str) -> int:
    """Print a text, of which a pager or `head` may take a part only; returns the exit code."""
    from vtorc.cli.client.errors import OutputFailed
    from vtorc.cli.client.screen import Screen

    try:
        Screen(sys.stdout).write(text)
    except OutputFailed as error:
        Screen(sys.stderr).say([f"vtorc: {error}"])
        return EXIT_FAILED
    return 0


def _told(group: BaseExceptionGroup[BaseException]) -> int:
    """Log what ended vtorc, and return its exit code."""
    errors = list(_leaves(group))
    for error in errors:
        _log.error(str(error))
    return EXIT_BAD_SETTINGS if any(isinstance(error, _BAD_SETTINGS) for error in errors) else EXIT_FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _log_start(store: SettingsStore) -> None:
    for file in store.files:
        _log.info(f"settings read from {file}", file=file)
    for note in store.notes:
        _log.warning(note)
    if os.geteuid() == 0:
        # upstream refuses to run as root; in containers root is common, and not worse than another user
        _log.warning("running as root, which vtorc does not need: run it as a user of its own")


def _allow_many_files() -> None:
    """Raise the limit of open files as far as the system lets vtorc, as programs in Go do by themselves.

    Most systems give a process 1,024 at first, too few for a fleet of 1,000 tablets. gRPC ends the whole process when
    it gets none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def _pid_file(name: str) -> Iterator[None]:
    """Write the process id to a file, and remove the file at the end.

    A file that cannot be created is logged and does not stop vtorc. One that exists may be of another process and stays
    as it is (Vitess `go/vt/servenv/pid_file.go`).
    """
    path = Path(name) if name else None
    if path:
        try:
            with path.open("x", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            _log.error(f"no pid file: {path} cannot be created ({error.strerror})", file=str(path))
            path = None
    try:
        yield
    finally:
        if path:
            path.unlink(missing_ok=True)
