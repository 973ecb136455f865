"""What becomes of the driver's errors when a connection is made."""

import asyncmy
import pytest
from asyncmy import errors as driver

from vtorc.errors import MysqlError
from vtorc.lab.mysql_connection import connect


@pytest.mark.parametrize(
    ("raised", "errno"),
    [
        (driver.OperationalError(2003, "Can't connect"), 2002),
        (ConnectionResetError("reset by peer"), 2002),
        (EOFError(), 2002),
        (RuntimeError("Transport does not expose socket instance"), 2002),
        (driver.OperationalError(1045, "Access denied"), 1045),
    ],
)
async def test_whatever_the_driver_trips_over_is_a_mysql_error(
    raised: Exception, errno: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that cannot be reached, or breaks off while it dies, is down; what the server itself says keeps its
    number.
    """

    async def fail(**settings: object) -> None:
        raise raised

    monkeypatch.setattr(asyncmy, "connect", fail)
    with pytest.raises(MysqlError) as caught:
        await connect(host="127.0.0.1", port=3306)
    assert caught.value.errno == errno
