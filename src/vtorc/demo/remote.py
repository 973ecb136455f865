"""Commands from another terminal, or from a page, to the running demo, through the socket in its folder.

`server.demo_door` says what goes over it. A small file names the folders of the demos that run, the last one last.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from vtorc.errors import VtorcError
from vtorc.lab.errors import LabError
from vtorc.lab.parts import cache_folder
from vtorc.lab.processes import unix_socket
from vtorc.server.demo_door import ask_demo

Answer = Callable[[str, str], Awaitable[str]]
"""Carries out a command on its target, and returns a text for the operator; raises VtorcError."""

_SOCKET = "demo.sock"


def state_file(environ: Mapping[str, str]) -> Path:
    """Return the file that names the folders of this user's demos."""
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "vtorc-demo.json"
    cache = cache_folder(environ)
    if cache is not None:
        return cache.parent / "demo.json"
    return Path(tempfile.gettempdir()) / f"vtorc-demo-{os.getuid()}.json"


def door_of(folder: Path) -> Path:
    """Return the socket at which the demo in a folder takes commands."""
    return unix_socket(folder, _SOCKET)


@asynccontextmanager
async def listening(folder: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer other terminals while inside, and note this demo's folder as that of the last one."""
    path, state = door_of(folder), state_file(os.environ)
    path.unlink(missing_ok=True)
    _change_note(state, lambda folders: [*folders, folder])
    server = await asyncio.start_unix_server(lambda reader, writer: _serve(reader, writer, answer), path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)
        with contextlib.suppress(LabError):
            _change_note(state, lambda folders: [each for each in folders if each != folder])


def _change_note(state: Path, change: Callable[[list[Path]], list[Path]]) -> None:
    """Change which folders are noted, one demo at a time; raises LabError if the note cannot be written."""
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        with _locked(state.parent):
            folders = change(_noted(state))
            if folders:
                state.write_text(json.dumps({"dirs": [str(each) for each in folders]}))
            else:
                state.unlink(missing_ok=True)
    except OSError as error:
        raise LabError(
            f"the demo cannot be noted in {state} ({error.strerror}), so that no other terminal finds it; make that "
            "folder writable, or name another in XDG_RUNTIME_DIR"
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _noted(state: Path) -> list[Path]:
    """Return the folders of the demos that still listen, the last one last."""
    try:
        folders = [Path(each) for each in json.loads(state.read_text())["dirs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [each for each in folders if door_of(each).exists()]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    try:
        request = json.loads(await reader.readline())
        try:
            reply = {"ok": await answer(request["do"], request["on"])}
        except VtorcError as error:
            reply = {"error": str(error)}
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()
    except (ConnectionError, ValueError, KeyError, TypeError):
        pass  # the client does not speak this protocol, or is gone
    finally:
        writer.close()


async def send_command(folder: Path | None, command: str, target: str) -> str:
    """Send a command to the demo in `folder`, by default to the one that was started last; returns its answer.

    Raises LabError if no demo runs there, or if it refuses.
    """
    folder = folder or _last_folder()
    try:
        reply = await ask_demo(door_of(folder), command, target)
    except OSError as error:
        raise LabError(f"no demo runs in {folder} any more; start one with: vtorc demo") from error
    if reply is None:
        raise LabError(f"the demo in {folder} ended before it answered; start one with: vtorc demo")
    if reply.ok is None:
        raise LabError(reply.error or "the demo refuses without a reason")
    return reply.ok


def run_command(folder: Path | None, command: str, target: str) -> int:
    """Send a command to a running demo and print its answer; returns the exit code."""
    try:
        text = asyncio.run(send_command(folder, command, target))
    except VtorcError as error:
        sys.stderr.write(f"vtorc demo: {error}\n")
        return 1
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


def _last_folder() -> Path:
    folders = _noted(state_file(os.environ))
    if not folders:
        raise LabError("no demo is running; start one with: vtorc demo (or name its folder with --dir)")
    return folders[-1]
