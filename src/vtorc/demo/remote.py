"""Commands from another terminal to the running demo: one JSON object per line over a unix socket in its folder.

The request is `{"do": COMMAND, "on": TABLET}`, the answer `{"ok": TEXT}` or `{"error": TEXT}`. A small file names the
folder of the demo that was started last.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from vtorc.errors import VtorcError
from vtorc.lab.errors import LabError
from vtorc.lab.parts import cache_folder
from vtorc.lab.processes import unix_socket

Answer = Callable[[str, str], Awaitable[str]]
"""Carries out a command on its target, and returns a text for the operator; raises VtorcError."""

_SOCKET = "demo.sock"


def state_file(environ: Mapping[str, str]) -> Path:
    """Return the file that names the folder of this user's last demo."""
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "vtorc-demo.json"
    cache = cache_folder(environ)
    if cache is not None:
        return cache.parent / "demo.json"
    return Path(tempfile.gettempdir()) / f"vtorc-demo-{os.getuid()}.json"


@asynccontextmanager
async def listening(folder: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer other terminals while inside, and note this demo's folder as that of the last one."""
    path, state = unix_socket(folder, _SOCKET), state_file(os.environ)
    note = json.dumps({"dir": str(folder)})
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(lambda reader, writer: _serve(reader, writer, answer), path)
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(note)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if state.read_text() == note:  # otherwise another demo was started since
                state.unlink()


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
        reader, writer = await asyncio.open_unix_connection(unix_socket(folder, _SOCKET))
    except OSError as error:
        raise LabError(f"no demo runs in {folder} any more; start one with: vtorc demo") from error
    try:
        writer.write(json.dumps({"do": command, "on": target}).encode() + b"\n")
        line = await reader.readline()
    except ConnectionError:
        line = b""
    finally:
        writer.close()
    if not line:
        raise LabError(f"the demo in {folder} ended before it answered; start one with: vtorc demo")
    reply = json.loads(line)
    if "error" in reply:
        raise LabError(reply["error"])
    return str(reply["ok"])


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
    state = state_file(os.environ)
    try:
        return Path(json.loads(state.read_text())["dir"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError("no demo is running; start one with: vtorc demo (or name its folder with --dir)") from error
