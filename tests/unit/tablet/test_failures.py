import grpc
import pytest
from grpc.aio import AioRpcError, Metadata
from hypothesis import given
from hypothesis import strategies as st

from vtorc.errors import TabletCallFailed, TabletCallUnknown, TabletError, TabletUnreachable
from vtorc.tablet.failures import explain, is_not_a_replica, mysql_errno


def failure(code: grpc.StatusCode, text: str | None = "") -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details=text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("Access denied (errno 1045) (sqlstate 28000)", 1045),
        ("TabletManager.X on zone1-101 error: bad (errno 1193) (sqlstate HY000) during query: SELECT 1: bad", 1193),
        ("first (errno 2013) (sqlstate HY000), then (errno 1) (sqlstate HY000)", 2013),
        ("errno 1045", 0),
        ("(errno 1045)", 0),
        ("(errno 1045) (sqlstate 2800)", 0),
        ("(errno -1) (sqlstate HY000)", 0),
    ],
)
def test_mysqls_error_number_is_read_from_the_text(text: str, number: int) -> None:
    """The number has one form in all releases; any other text has none."""
    assert mysql_errno(text) == number


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TabletCallFailed("no replication status (errno 100) (sqlstate HY000)", errno=100), True),
        (TabletCallFailed("said differently one day", errno=100), True),
        (TabletCallFailed("no replication status"), True),
        (TabletCallFailed("no replication status, as access was denied", errno=1045), False),
        (TabletCallFailed("cannot connect", errno=2002), False),
        (TabletCallFailed("no master status"), False),
    ],
)
def test_not_a_replica_is_recognised_by_number_or_by_the_old_words(error: TabletCallFailed, expected: bool) -> None:
    """Another error number takes precedence over the words."""
    assert is_not_a_replica(error) is expected


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", TabletUnreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "interrupted (errno 3024) (sqlstate HY000)", TabletCallFailed),
        (grpc.StatusCode.UNIMPLEMENTED, "unknown method FullStatus", TabletCallUnknown),
        (grpc.StatusCode.UNIMPLEMENTED, "not in this server (errno 1235) (sqlstate 42000)", TabletCallFailed),
        (grpc.StatusCode.UNKNOWN, "", TabletCallFailed),
        (grpc.StatusCode.CANCELLED, "context canceled", TabletCallFailed),
        (grpc.StatusCode.UNAUTHENTICATED, "username and password must be provided", TabletCallFailed),
    ],
)
def test_codes_tell_silence_from_ignorance_from_refusal(
    code: grpc.StatusCode, text: str, kind: type[TabletError]
) -> None:
    """An error of MySQL's shows that the tablet answered, whatever the code."""
    assert type(explain(failure(code, text), "Ping of zone1-101", timeout=1.0)) is kind


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (grpc.StatusCode.UNKNOWN, " text ", "Ping of zone1-101: text"),
        (grpc.StatusCode.INTERNAL, None, "Ping of zone1-101: INTERNAL"),
        (grpc.StatusCode.UNKNOWN, "TabletManager.Ping on zone1-101: no server", "Ping of zone1-101: no server"),
        (grpc.StatusCode.UNKNOWN, "TabletManager.Ping on zone1-101 error: no: no", "Ping of zone1-101: no"),
        (
            grpc.StatusCode.UNKNOWN,
            "TabletManager.Ping on zone1-999: no server",
            "Ping of zone1-101: TabletManager.Ping on zone1-999: no server",
        ),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", "Ping of zone1-101: no answer within 1.5 s"),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "auth failure",
            "Ping of zone1-101: the tablet refuses vtorc's credentials (auth failure): "
            "check --grpc-auth-static-client-creds and the client certificate",
        ),
    ],
)
def test_messages_name_the_call_the_tablet_and_what_to_do(
    code: grpc.StatusCode, text: str | None, sentence: str
) -> None:
    """Each message is understandable by itself in a log, and says nothing twice."""
    assert str(explain(failure(code, text), "Ping of zone1-101", timeout=1.5)) == sentence


@given(st.sampled_from(list(grpc.StatusCode)), st.text() | st.none())
def test_every_error_has_a_meaning(code: grpc.StatusCode, text: str | None) -> None:
    """No code or text is without translation, and none makes a message that fills the log."""
    found = explain(failure(code, text), "Ping of zone1-101", timeout=None)
    assert isinstance(found, TabletError)
    assert len(str(found)) < 3000
