"""What a failed call means, in vtorc's own errors.

Tablets send no error details, and up to v22 every error of theirs has the code UNKNOWN. What all versions have in
common is the way MySQL's error number stands in the text (Vitess `go/mysql/sqlerror/sql_error.go`).
"""

import re

import grpc

from vtorc.errors import TabletCallFailed, TabletCallUnknown, TabletError, TabletUnreachable

NOT_A_REPLICA = 100
"""Vitess' own error number for "this server is nobody's replica" (`go/mysql/sqlerror/constants.go`)."""

_MYSQL_ERROR = re.compile(r"\(errno ([0-9]+)\) \(sqlstate [0-9a-zA-Z]{5}\)", re.ASCII)
_NO_REPLICATION_STATUS = "no replication status"
_LONGEST_TEXT = 2000


def mysql_errno(text: str) -> int:
    """Return MySQL's error number from a tablet's error text, 0 if there is none."""
    found = _MYSQL_ERROR.search(text)
    return int(found[1]) if found else 0


def is_not_a_replica(failure: TabletCallFailed) -> bool:
    """Tell whether the tablet refused because its server is nobody's replica.

    Tablets from 13 on say so with an error number; those of 12 have nothing but the words, which later ones use too
    (Vitess `go/mysql/replication.go`, ErrNotReplica).
    """
    return failure.errno == NOT_A_REPLICA or (failure.errno == 0 and _NO_REPLICATION_STATUS in str(failure))


def explain(error: grpc.aio.AioRpcError, what: str, *, timeout: float | None) -> TabletError:
    """Translate what came from the tablet, or from gRPC when the time was over; `what` names call and tablet."""
    code = error.code()
    text = (error.details() or "").strip()[:_LONGEST_TEXT]
    if number := mysql_errno(text):
        return TabletCallFailed(f"{what}: {text}", errno=number)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        limit = "" if timeout is None else f" within {timeout:g} s"
        return TabletUnreachable(f"{what}: no answer{limit}", reason="timeout")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return TabletCallUnknown(f"{what}: this tablet does not know the call, its Vitess is older than it")
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        hint = "check --grpc-auth-static-client-creds and the client certificate"
        return TabletCallFailed(f"{what}: the tablet does not let us in ({text}): {hint}")
    return TabletCallFailed(f"{what}: {text or code.name}")
