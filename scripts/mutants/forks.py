"""Tries mutants in forks of one pytest session; `scripts/mutants/trials.py` starts it as a process of its own.

Importing the code and collecting the tests takes far longer than most trials do. So both are done once, and each mutant
is tried in a fork: first by the test that noticed the last mutant, then by all that call its function, the shortest
first. A fork ends at the first failure, and writes no report of it.
"""

import contextlib
import json
import math
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import Phase, settings
from mutmut.mutation import trampoline

CALLS = "stats"
"""What mutmut takes for a mutant that notes the calls of functions instead."""

LIMIT_FACTOR = 10.0
"""A mutant may take this many times the processor time of its tests, and some seconds more."""

MEMORY = 4 << 30
"""The bytes that a mutant may allocate."""


@dataclass(frozen=True)
class Outcome:
    """What became of the mutants that were tried."""

    survived: list[str]
    at_import: list[str]
    """The survivors in functions that run at import: a fork imports nothing, so they have not been tried yet."""
    seconds: float
    """The processor time that the tests take, with import and collection."""


@dataclass
class Forks:
    """A plugin of pytest that tries mutants in place of the session's tests."""

    functions: Mapping[str, str]
    """The function of each mutant that is to be tried, by the mutant's name."""
    spare: int
    """The seconds of processor time that a mutant may take beyond that of its tests."""
    idle: int
    """A mutant waits for ever if all its processes slept for so many seconds in a row."""
    outcome: Outcome | None = None
    error: str = ""
    """Why there is no outcome: the test that fails without a mutant."""
    _called: set[str] = field(default_factory=set)
    _front: list[pytest.Item] = field(default_factory=list)
    """The tests that noticed a mutant, the last one first."""

    def note_call(self, name: str, caller: str | None = None) -> None:
        """Note the call of a function, in place of mutmut's own statistics."""
        self._called.add(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Try all mutants; where tests could not be collected, let pytest tell that."""
        if session.testsfailed:
            return None
        # A test of properties fails at the first example that does, and has the same examples for each mutant.
        usual = settings.get_profile(settings.get_current_profile_name())
        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", usual, database=None, derandomize=True, phases=phases)
        settings.load_profile("mutants")
        imported = frozenset(self._called)
        answer = _in_fork(lambda: self._measure(session.items), idle=math.inf)
        measured = json.loads(answer.text) if answer.code == 0 else None
        if measured is None:
            self.error = answer.text or "the tests end the process without a mutant"
            return True
        tests: dict[str, list[pytest.Item]] = {}
        seconds = dict(zip(session.items, (took for took, _ in measured), strict=True))
        for item, (_, functions) in zip(session.items, measured, strict=True):
            for function in functions:
                tests.setdefault(function, []).append(item)
        survived = []
        for number, (name, function) in enumerate(self.functions.items(), 1):
            if not self._is_noticed(name, tests.get(function, []), seconds):
                survived.append(name)
            if number % 100 == 0:
                print(f"mutants: {number} of {len(self.functions)} tried, {len(survived)} survive", file=sys.stderr)
        at_import = [name for name in survived if self.functions[name] in imported]
        self.outcome = Outcome(survived, at_import, time.process_time() + sum(seconds.values()))
        return True

    def _measure(self, items: Sequence[pytest.Item]) -> tuple[int, str]:
        """Run all tests without a mutant; tell the processor time of each, and the functions that it calls."""
        found = []
        for item, following in zip(items, [*items[1:], None], strict=True):
            self._called.clear()
            began = time.process_time()
            try:
                _run(item, following)
            except BaseException as error:
                return 1, f"{item.nodeid} fails without a mutant: {error!r}"
            found.append((time.process_time() - began, sorted(self._called)))
        return 0, json.dumps(found)

    def _is_noticed(self, name: str, tests: Sequence[pytest.Item], seconds: Mapping[pytest.Item, float]) -> bool:
        if not tests:
            return False
        last = [item for item in self._front if item in tests]
        order = [*last, *sorted((item for item in tests if item not in last), key=lambda item: seconds[item])]
        limit = self.spare + int(LIMIT_FACTOR * sum(seconds[item] for item in tests))
        answer = _in_fork(lambda: _failing(name, order), idle=self.idle, limit=limit)
        if answer.code == 1 and answer.text:
            item = order[int(answer.text)]
            self._front = [item, *(each for each in self._front if each is not item)]
        return answer.code != 0


def _failing(name: str, items: Sequence[pytest.Item]) -> tuple[int, str]:
    """Run tests with a mutant in place, until one of them fails; tell its place."""
    trampoline.set_mutant_under_test(name)
    for place, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
        try:
            _run(item, following)
        except BaseException:
            return 1, str(place)
    return 0, ""


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    """Run one test, and raise what it raises; after a failure nothing is torn down, as the process ends."""
    hook = item.ihook
    try:
        # pytest's fixture of temporary folders asks for the report of the setup.
        setup = pytest.CallInfo.from_call(lambda: hook.pytest_runtest_setup(item=item), "setup", reraise=BaseException)
        hook.pytest_runtest_makereport(item=item, call=setup)
        hook.pytest_runtest_call(item=item)
    except pytest.skip.Exception:
        pass
    hook.pytest_runtest_teardown(item=item, nextitem=following)


@dataclass(frozen=True)
class _Answer:
    """How a fork ended: its exit code, negative for a signal, and what it told."""

    code: int
    text: str


def _in_fork(work: Callable[[], tuple[int, str]], *, idle: float, limit: int | None = None) -> _Answer:
    """Do some work in a fork; return how it ended.

    It may take `limit` seconds of processor time, and sleep for `idle` seconds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        _be_fork(work, limit, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            text = _read_unless_idle(pid, pipe.fileno(), idle)
        _, status = os.waitpid(pid, 0)
    finally:
        # What its tests started ends with it, however it ended; and it ends with Ctrl-C.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return _Answer(os.waitstatus_to_exitcode(status), text)


def _be_fork(work: Callable[[], tuple[int, str]], limit: int | None, writing: int) -> None:
    """Do the work of a fork, tell its result, and end the process."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        code, text = work()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(text.encode())
    finally:
        os._exit(code)


def _read_unless_idle(pid: int, pipe: int, most: float) -> str:
    """Read what a fork tells until it has ended; end it, if it has slept for too long."""
    process = psutil.Process(pid)
    parts: list[bytes] = []
    idle, last = 0, 0.0
    while True:
        if select.select([pipe], [], [], 1.0)[0]:
            if not (part := os.read(pipe, 1 << 16)):
                return b"".join(parts).decode()
            parts.append(part)
            continue
        worked = _worked(process)
        idle = idle + 1 if worked == last else 0
        last = worked
        if idle >= most:
            os.killpg(pid, signal.SIGKILL)
            return ""


def _worked(process: psutil.Process) -> float:
    """Return a number that stays the same only while a process and its children sleep.

    A process that waits for the processor does not sleep: a busy machine ends no mutant.
    """
    worked = 0.0
    try:
        for each in (process, *process.children(recursive=True)):
            if each.status() != psutil.STATUS_SLEEPING:
                return time.monotonic()
            times = each.cpu_times()
            worked += times.user + times.system
    except psutil.NoSuchProcess:
        return time.monotonic()
    return worked


def main(job: Path, result: Path) -> int:
    """Try the mutants of a job on its tests, write the outcome, and return the exit code."""
    wanted = json.loads(job.read_text())
    plugin = Forks(wanted["functions"], wanted["spare"], wanted["idle"])
    trampoline.record_trampoline_hit = plugin.note_call  # type: ignore[attr-defined]
    trampoline.set_mutant_under_test(CALLS)
    options = ["-q", "-s", "-x", "--assert=plain", f"--basetemp={result.parent / 'temporary'}"]
    options += [word for name in ("cacheprovider", "xdist", "faulthandler") for word in ("-p", f"no:{name}")]
    code = pytest.main([*options, *wanted["tests"]], plugins=[plugin])
    if plugin.error:
        sys.exit(plugin.error)
    if plugin.outcome is None:
        return int(code) or 1
    result.write_text(json.dumps(vars(plugin.outcome)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
