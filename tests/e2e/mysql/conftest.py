"""A real mysqld for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vtorc.lab.mysqld import Mysqld, MysqldConfig
from vtorc.lab.parts import find_mysqld
from vtorc.lab.ports import Ports


@pytest.fixture
async def mysqld(tmp_path: Path) -> AsyncIterator[Mysqld]:
    """Run a mysqld with Vitess' accounts."""
    ports = Ports()
    server = Mysqld(MysqldConfig(mysql=find_mysqld(), folder=tmp_path / "mysql", port=ports.take(), server_id=1))
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
    ports.release()
