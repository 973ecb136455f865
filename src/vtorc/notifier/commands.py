"""Runs the operator's commands as Vitess v12 does: from a file, by a shell, with what happened in `ORC_*` variables.

Unlike there, each has a time limit, and what a placeholder puts into a command cannot become another command.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from vtorc.recovery.hooks import HookResult

KEPT_OUTPUT = 4000
"""Characters of the output that are kept: the last ones."""

LAST_OUTPUT = 0.5
"""Seconds that what a command left running gets to close its output, which is then read no more."""

LAST_WORDS = 2.0
"""Seconds between SIGTERM and SIGKILL."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_UNSAFE = re.compile(r"[^\w @%+=:,./-]", re.ASCII)
"""Characters that may mean something to a shell, in quotes or without."""

_VARIABLES = {
    "failureType": "FAILURE_TYPE",
    "instanceType": "INSTANCE_TYPE",
    "isPrimary": "IS_PRIMARY",
    "isMaster": "IS_MASTER",
    "isCoPrimary": "IS_CO_PRIMARY",
    "isCoMaster": "IS_CO_MASTER",
    "failureDescription": "FAILURE_DESCRIPTION",
    "command": "COMMAND",
    "failedHost": "FAILED_HOST",
    "failedPort": "FAILED_PORT",
    "failureCluster": "FAILURE_CLUSTER",
    "failureClusterAlias": "FAILURE_CLUSTER_ALIAS",
    "failureClusterDomain": "FAILURE_CLUSTER_DOMAIN",
    "countReplicas": "COUNT_REPLICAS",
    "isDowntimed": "IS_DOWNTIMED",
    "autoPrimaryRecovery": "AUTO_PRIMARY_RECOVERY",
    "autoMasterRecovery": "AUTO_MASTER_RECOVERY",
    "autoIntermediatePrimaryRecovery": "AUTO_INTERMEDIATE_PRIMARY_RECOVERY",
    "autoIntermediateMasterRecovery": "AUTO_INTERMEDIATE_MASTER_RECOVERY",
    "orchestratorHost": "ORCHESTRATOR_HOST",
    "recoveryUID": "RECOVERY_UID",
    "isSuccessful": "IS_SUCCESSFUL",
    "lostReplicas": "LOST_REPLICAS",
    "replicaHosts": "REPLICA_HOSTS",
    "successorHost": "SUCCESSOR_HOST",
    "successorPort": "SUCCESSOR_PORT",
    "successorAlias": "SUCCESSOR_ALIAS",
}
"""The variables of v12 and v11, each after `ORC_`, by the placeholder of the same meaning."""


def filled(command: str, words: Mapping[str, str]) -> str:
    """Return a command with its placeholders filled in; those without a value stay as they are.

    Replaces all that a shell could take for more than text by an underscore. A description has quotes and semicolons,
    and a host name comes from a record that others write. The variables have the same values unchanged.
    """

    def value(found: re.Match[str]) -> str:
        word = words.get(found[1])
        return found[0] if word is None else _UNSAFE.sub("_", word)

    return _PLACEHOLDER.sub(value, command)


def variables(words: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a command."""
    return {f"ORC_{name}": words[word].replace("\0", "") for word, name in _VARIABLES.items() if word in words}


async def run_command(shell: str, command: str, words: Mapping[str, str], limit: float) -> HookResult:
    """Run a command for at most `limit` seconds; returns how it ended. A cancelled call ends it first."""
    words = {**words, "orchestratorHost": socket.gethostname()}
    started = time.monotonic()
    with _file_of(filled(command, words)) as (file, kept_open):
        result, output = await _run(shell, file, kept_open, {**os.environ, **variables(words)}, limit)
    return HookResult(result=result, output=output, seconds=time.monotonic() - started)


@contextlib.contextmanager
def _file_of(command: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Put a command into a file until the end of the context; give its path, and what the shell has to have open.

    Where no disk takes it, the file is in memory: with a full /tmp no command before a failover could be run.
    """
    text = command.encode(errors="surrogateescape")
    path = ""
    try:
        try:
            descriptor, path = tempfile.mkstemp(prefix="orchestrator-process-cmd-")
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
        except OSError:
            with os.fdopen(os.memfd_create("orchestrator-process-cmd"), "wb", buffering=0) as file:
                file.write(text)
                yield f"/proc/self/fd/{file.fileno()}", (file.fileno(),)
        else:
            yield path, ()
    finally:
        if path:
            _remove(path)


async def _run(
    shell: str, file: str, kept_open: tuple[int, ...], environment: Mapping[str, str], limit: float
) -> tuple[str, str]:
    # A pipe of our own, as asyncio tells the end of a process only once its pipes are closed. A command may leave a
    # process behind that keeps them open.
    reading, writing = os.pipe()
    output = _Tail()
    try:
        process = await asyncio.create_subprocess_exec(
            shell,
            file,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            pass_fds=kept_open,
            start_new_session=True,  # the whole group can be ended, and Ctrl-C is for vtorc
        )
    except OSError as error:
        os.close(reading)
        return f"could not be run by {shell} ({error.strerror}; ProcessesShellCommand names the shell)", ""
    finally:
        os.close(writing)
    async with output.reading(reading):
        try:
            async with asyncio.timeout(limit):
                code = await process.wait()
        except TimeoutError:
            await _end(process)
            return f"took longer than {limit:g} s and was ended", output.text
        except asyncio.CancelledError:
            await _end(process)
            raise
        await output.wait(LAST_OUTPUT)
    if code:
        return f"ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}", output.text
    return "done", output.text


def _signal_name(number: int) -> str:
    """Return the name of a signal; most of those between SIGRTMIN and SIGRTMAX have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _remove(file: str) -> None:
    with contextlib.suppress(OSError):
        Path(file).unlink()


class _Tail(asyncio.Protocol):
    """The last of what a command prints."""

    def __init__(self) -> None:
        self._bytes = b""
        self._has_more = False
        self._ended = asyncio.Event()

    @property
    def text(self) -> str:
        """The text that is kept."""
        text = self._bytes.decode(errors="replace").strip()
        return f"… {text}" if self._has_more else text

    @contextlib.asynccontextmanager
    async def reading(self, descriptor: int) -> AsyncIterator[None]:
        """Read from a pipe until the end of the context, and close it."""
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, pipe)
        try:
            yield
        finally:
            transport.close()

    async def wait(self, patience: float) -> None:
        """Wait until all that has the pipe open has ended, at most `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()

    def data_received(self, data: bytes) -> None:
        """Keep what was printed, and forget what is too much."""
        both = self._bytes + data
        self._has_more = self._has_more or len(both) > KEPT_OUTPUT
        self._bytes = both[-KEPT_OUTPUT:]

    def eof_received(self) -> None:
        """Note that nothing more comes."""
        self._ended.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the same."""
        self._ended.set()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and all that it has started."""
    _signal_group(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(LAST_WORDS):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
