"""The control socket of a tablet."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vtorc.lab.errors import LabError
from vtorc.lab.processes import unix_socket
from vtorc.lab.tablet_control import TabletControlServer, send_command


async def succeed() -> object:
    return {"pid": 7}


async def fail() -> object:
    raise LabError("the disk is on fire")


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """Serve two commands in a folder."""
    server = TabletControlServer(tmp_path, {"succeed": succeed, "fail": fail})
    await server.start()
    yield tmp_path
    await server.stop()


async def test_result_comes_back(folder: Path) -> None:
    """The caller gets the result of its command."""
    assert await send_command(folder, "succeed") == {"pid": 7}


async def test_error_comes_back(folder: Path) -> None:
    """A command that fails raises an error with its text at the caller."""
    with pytest.raises(LabError, match="fail: the disk is on fire"):
        await send_command(folder, "fail")


async def test_unknown_command_names_those_there_are(folder: Path) -> None:
    """An unknown command is refused with the list of commands."""
    with pytest.raises(LabError, match="succeed, fail"):
        await send_command(folder, "dance")


@pytest.mark.parametrize("line", [b"rubbish\n", b"[]\n", b'"x"\n', b'{"do": 7}\n'])
async def test_rubbish_is_answered_and_the_connection_goes_on(folder: Path, line: bytes) -> None:
    """An invalid line gets an error, and the next request on the connection is served."""
    reader, writer = await asyncio.open_unix_connection(unix_socket(folder, "control.sock"))
    writer.write(line)
    assert "error" in json.loads(await reader.readline())
    writer.write(b'{"do": "succeed"}\n')
    assert json.loads(await reader.readline()) == {"ok": {"pid": 7}}
    writer.close()


async def test_command_without_a_tablet_fails(tmp_path: Path) -> None:
    """A command to a folder in which no tablet runs fails with that reason."""
    with pytest.raises(LabError, match="no tablet runs in"):
        await send_command(tmp_path, "succeed")
