"""The agent's values as wire messages."""

import pytest

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ThreadState
from vtorc.errors import GtidParseError
from vtorc.lab import grpc_convert
from vtorc.proto import replicationdata_pb2
from vtorc.vttablet.errors import TabletActionError
from vtorc.vttablet.mysql_api import Fetched, FetchedColumn, ReplicaReport, ServerReport

ONE = GtidSet.parse("00000000-1111-2222-3333-444444444444:1-5")


def test_positions_carry_their_flavour() -> None:
    """A position is written with MySQL's flavour and read back, also the empty set."""
    for gtids in (ONE, GtidSet()):
        text = grpc_convert.position(gtids)
        assert text.startswith("MySQL56/")
        assert grpc_convert.gtids(text) == gtids
    assert grpc_convert.optional_gtids("") is None


def test_other_positions_are_refused() -> None:
    """Another flavour, no flavour, and an invalid set behind the right flavour are errors."""
    for text in ("MariaDB/0-1-2", str(ONE), ""):
        with pytest.raises(TabletActionError):
            grpc_convert.gtids(text)
    with pytest.raises(GtidParseError):
        grpc_convert.gtids("MySQL56/rubbish")


def test_stalled_disk_is_told_alone() -> None:
    """A full status of a stalled disk has no other field."""
    message = grpc_convert.full_status(ServerReport(disk_stalled=True, server_id=7))
    assert message == replicationdata_pb2.FullStatus(disk_stalled=True)


@pytest.mark.parametrize("io", list(ThreadState))
def test_thread_states_have_both_encodings(io: ThreadState) -> None:
    """A thread's state is written as its number, and as a flag that is set only if it runs."""
    message = grpc_convert.status(ReplicaReport(io_state=io, sql_state=ThreadState.STOPPED))
    assert message.io_state == io.value
    assert message.io_thread_running is (io is ThreadState.RUNNING)
    assert (message.sql_state, message.sql_thread_running) == (1, False)


def test_unknown_lag_is_told_as_unknown() -> None:
    """An unknown lag has a flag and no seconds; a lag of zero has no flag."""
    unknown, zero = (grpc_convert.status(ReplicaReport(lag=lag)) for lag in (None, 0))
    assert (unknown.replication_lag_seconds, unknown.replication_lag_unknown) == (0, True)
    assert (zero.replication_lag_seconds, zero.replication_lag_unknown) == (0, False)


def test_null_is_told_from_empty() -> None:
    """NULL has length -1, the empty string 0."""
    fetched = Fetched(columns=(FetchedColumn("a", 6165), FetchedColumn("b", 6165)), rows=((None, b""),))
    row = grpc_convert.query_result(fetched).rows[0]
    assert (list(row.lengths), row.values) == ([-1, 0], b"")


def test_passwords_do_not_leave_the_tablet() -> None:
    """Permissions have a checksum in the place of the password hash."""
    columns = tuple(FetchedColumn(name, 6165) for name in ("Host", "User", "Select_priv", "authentication_string"))
    users = Fetched(columns=columns, rows=((b"%", b"app", b"Y", b"secret hash"),))
    permissions = grpc_convert.permissions(users, Fetched())
    (user,) = permissions.user_permissions
    assert (user.host, user.user, dict(user.privileges)) == ("%", "app", {"select_priv": "Y"})
    assert user.password_checksum
    assert b"secret" not in permissions.SerializeToString()
