"""Translation of failed calls into vtorc's own errors.

Tablets send no error details, and up to v22 all their errors have the code UNKNOWN. All versions write MySQL's error
number into the text in the same way (Vitess `go/mysql/sqlerror/sql_error.go`).
"""

import re

import grpc

from vtorc.errors import TabletCallFailed, TabletCallUnknown, TabletError, TabletUnreachable

NOT_A_REPLICA = 100
"""Vitess' own error number for a server without a replication source (`go/mysql/sqlerror/constants.go`)."""

_MYSQL_ERROR = re.compile(r"\(errno ([0-9]+)\) \(sqlstate [0-9a-zA-Z]{5}\)", re.ASCII)
_NO_REPLICATION_STATUS = "no replication status"
_LONGEST_TEXT = 2000
"""Most characters of a tablet's error text that are kept."""


def mysql_errno(text: str) -> int:
    """Return MySQL's error number from a tablet's error text, 0 if there is none."""
    found = _MYSQL_ERROR.search(text)
    return int(found[1]) if found else 0


def is_not_a_replica(failure: TabletCallFailed) -> bool:
    """Return whether the call failed because the server has no replication source.

    Tablets from 13 on send an error number; those of 12 send only the words, which later ones use, too (Vitess
    `go/mysql/replication.go`, ErrNotReplica).
    """
    return failure.errno == NOT_A_REPLICA or (failure.errno == 0 and _NO_REPLICATION_STATUS in str(failure))


def explain(error: grpc.aio.AioRpcError, call: str, *, timeout: float | None) -> TabletError:
    """Translate an error of the tablet, or gRPC's own at the deadline; `call` names call and tablet."""
    code = error.code()
    text = _without_repetition((error.details() or "").strip(), call)[:_LONGEST_TEXT]
    if number := mysql_errno(text):
        return TabletCallFailed(f"{call}: {text}", errno=number)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        limit = "" if timeout is None else f" within {timeout:g} s"
        return TabletUnreachable(f"{call}: no answer{limit}", reason="timeout")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return TabletCallUnknown(f"{call}: this tablet does not know the call, its Vitess is older than it")
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        hint = "check --grpc-auth-static-client-creds and the client certificate"
        return TabletCallFailed(f"{call}: the tablet refuses vtorc's credentials ({text}): {hint}")
    return TabletCallFailed(f"{call}: {text or code.name}")


def _without_repetition(text: str, call: str) -> str:
    """Return a tablet's error text without what it says twice.

    A vttablet puts call and tablet in front, as vtorc does, and up to v22 it repeats its words. Another tablet's name
    there stays: then another vttablet runs at the address of the record.
    """
    name, _, alias = call.partition(" of ")
    for said in (f"TabletManager.{name} on {alias} error: ", f"TabletManager.{name} on {alias}: "):
        text = text.removeprefix(said)
    half = text[: max(0, len(text) - 2) // 2]
    return half if half and text == f"{half}: {half}" else text
