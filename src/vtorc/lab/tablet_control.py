"""Commands to a running lab tablet about its mysqld: one JSON object per line over a unix socket in its folder.

The request is `{"do": COMMAND}`, the answer `{"ok": RESULT}` or `{"error": TEXT}`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from vtorc.errors import VtorcError
from vtorc.lab.errors import LabError
from vtorc.lab.processes import unix_socket

Command = Callable[[], Awaitable[object]]

_SOCKET = "control.sock"
COMMANDS = (
    "mysqld-kill",
    "mysqld-stop",
    "mysqld-start",
    "mysqld-pause",
    "mysqld-resume",
    "mysqld-restart",
    "disk-stall",
    "disk-fill",
    "disk-go-on",
    "status",
    "wait-up",
)


class TabletControlServer:
    """Runs the commands that arrive on the socket; the socket's permissions say which users may connect."""

    def __init__(self, folder: Path, commands: Mapping[str, Command]) -> None:
        self._path = unix_socket(folder, _SOCKET)
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, and replace the socket that a killed tablet left."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            command = self._commands[json.loads(line)["do"]]
        except (ValueError, KeyError, TypeError):
            return {"error": f'expected {{"do": COMMAND}} with one of {", ".join(self._commands)}'}
        try:
            return {"ok": await command()}
        except VtorcError as error:
            return {"error": str(error)}


async def send_command(folder: Path, command: str) -> object:
    """Send a command to the tablet in `folder` and return its answer; the caller sets the deadline.

    Raises LabError if no tablet runs there, or if the command failed.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(unix_socket(folder, _SOCKET))
    except OSError as error:
        raise LabError(f"no tablet runs in {folder}: {error}") from error
    try:
        writer.write(json.dumps({"do": command}).encode() + b"\n")
        line = await reader.readline()
    except ConnectionError:
        line = b""
    finally:
        writer.close()
    if not line:
        raise LabError(f"the tablet in {folder} ended before it answered {command}")
    answer: dict[str, object] = json.loads(line)
    if "error" in answer:
        raise LabError(f"{command}: {answer['error']}")
    return answer["ok"]
