"""Errors of replication that a restart of its threads cannot change: one row each with all that is known of it.

SHOW REPLICA STATUS, as a tablet passes it on, has the text of an error and not its number (Vitess `Status`). A text is
recognised by the words of MySQL's messages (MySQL error reference: server, client and global error messages).
"""

import enum
from dataclasses import dataclass

from vtorc.core.facts.status import ReplicationStatus, ThreadState


class Culprit(enum.Enum):
    """The part that has to change before replication can go on."""

    ACCOUNT = "account"
    """The replication account, or how servers let it connect: all servers of a shard share it, as it is data."""
    SOURCE = "source"
    """The server that it replicates from; another source may be able to feed the replica."""
    REPLICA = "replica"
    """The data, the relay log or the identity of the replica itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationError:
    """One row of the catalogue; no column has a default, so that the type checker names a forgotten one."""

    number: int
    """MySQL's number of the error."""
    phrases: tuple[str, ...]
    """Words of its message; one of them is enough."""
    culprit: Culprit
    """The part that has to change."""
    meaning: str
    """The error in words, as the end of a sentence about the replica."""
    advice: str
    """The remedy in the hands of an operator."""

    @property
    def follows(self) -> bool:
        """Whether another primary would most likely refuse its replicas in the same way."""
        return self.culprit is Culprit.ACCOUNT


_UNLOCK = "ALTER USER … ACCOUNT UNLOCK on the primary"
_REBUILD = "rebuild it from a backup or from another tablet"
_COMPARE = "compare the rows with those of the primary, and rebuild it unless you know why they differ"

ERRORS = (
    # The source refuses the account. The more specific message of two comes first.
    ReplicationError(
        number=3118,
        phrases=("Account is locked",),
        culprit=Culprit.ACCOUNT,
        meaning="is refused by its source, because the replication account is locked",
        advice=_UNLOCK,
    ),
    ReplicationError(
        number=1045,
        phrases=("Access denied for user",),
        culprit=Culprit.ACCOUNT,
        meaning="is refused by its source, which does not accept the replication account or its password",
        advice="give the account the password that the tablets use, and REPLICATION SLAVE, on the primary",
    ),
    ReplicationError(
        number=1227,
        phrases=("you need (at least one of) the REPLICATION SLAVE privilege",),
        culprit=Culprit.ACCOUNT,
        meaning="is refused by its source, because the replication account lacks a privilege",
        advice="GRANT REPLICATION SLAVE to it on the primary",
    ),
    ReplicationError(
        number=1862,
        phrases=("Your password has expired", "You must reset your password"),
        culprit=Culprit.ACCOUNT,
        meaning="is refused by its source, because the password of the replication account has expired",
        advice="ALTER USER … PASSWORD EXPIRE NEVER on the primary",
    ),
    ReplicationError(
        number=1130,
        phrases=("is not allowed to connect to this MySQL server",),
        culprit=Culprit.ACCOUNT,
        meaning="is refused by its source, because the replication account may not connect from its host",
        advice="create the account for that host on the primary",
    ),
    ReplicationError(
        number=2061,
        phrases=("Authentication plugin", "Authentication requires secure connection"),
        culprit=Culprit.ACCOUNT,
        meaning="cannot authenticate at its source with the plugin of the replication account",
        advice="allow TLS or the public key (SOURCE_SSL, GET_SOURCE_PUBLIC_KEY), or give the account another plugin",
    ),
    ReplicationError(
        number=1524,
        phrases=("' is not loaded",),
        culprit=Culprit.ACCOUNT,
        meaning="cannot authenticate at its source, which has not loaded the plugin of the replication account",
        advice="load the plugin on all servers, or give the account another one",
    ),
    ReplicationError(
        number=3159,
        phrases=("insecure transport are prohibited",),
        culprit=Culprit.ACCOUNT,
        meaning="is refused by its source, which takes encrypted connections only",
        advice="let replicas use TLS (SOURCE_SSL), or switch require_secure_transport off",
    ),
    ReplicationError(
        number=2026,
        phrases=("SSL connection error",),
        culprit=Culprit.ACCOUNT,
        meaning="cannot agree on TLS with its source",
        advice="look at the certificates of both servers: their dates, their names, and their issuer",
    ),
    # The source cannot feed this replica.
    ReplicationError(
        number=1129,
        phrases=("is blocked because of many connection errors",),
        culprit=Culprit.SOURCE,
        meaning="is refused by its source, which blocks its host after many connection errors",
        advice="TRUNCATE TABLE performance_schema.host_cache there",
    ),
    ReplicationError(
        number=1236,
        phrases=("purged required binary logs", "purged binary logs containing GTIDs", "purged binary logs required"),
        culprit=Culprit.SOURCE,
        meaning="needs transactions that its source has purged from its binary logs",
        advice=_REBUILD,
    ),
    ReplicationError(
        number=1236,
        phrases=("has more GTIDs than the",),
        culprit=Culprit.SOURCE,
        meaning="has transactions of its source that the source itself has lost",
        advice="rebuild neither before you know why: the source may have gone back in time",
    ),
    ReplicationError(
        number=1236,
        phrases=("with the same server_uuid/server_id",),
        culprit=Culprit.REPLICA,
        meaning="shares its server_uuid or server_id with another replica of its source",
        advice="give each server its own server_id, and remove the copied auto.cnf",
    ),
    ReplicationError(
        number=1236,
        phrases=("Got fatal error 1236",),
        culprit=Culprit.SOURCE,
        meaning="cannot read the binary logs of its source",
        advice=f"look at the binary logs there; if they are damaged, {_REBUILD}",
    ),
    # The replica cannot go on.
    ReplicationError(
        number=13117,
        phrases=("have equal MySQL server",),
        culprit=Culprit.REPLICA,
        meaning="has the server_uuid or server_id of its source",
        advice="give each server its own server_id, and remove the copied auto.cnf",
    ),
    ReplicationError(
        number=1062,
        phrases=("Error_code: 1062", "Error_code: MY-001062", "HA_ERR_FOUND_DUPP_KEY"),
        culprit=Culprit.REPLICA,
        meaning="cannot apply a transaction, because it has a row already that this one inserts",
        advice=_COMPARE,
    ),
    ReplicationError(
        number=1032,
        phrases=("Error_code: 1032", "Error_code: MY-001032", "HA_ERR_KEY_NOT_FOUND", "HA_ERR_END_OF_FILE"),
        culprit=Culprit.REPLICA,
        meaning="cannot apply a transaction, because it lacks a row that this one changes",
        advice=_COMPARE,
    ),
    ReplicationError(
        number=1146,
        phrases=("Error_code: 1146", "Error_code: MY-001146"),
        culprit=Culprit.REPLICA,
        meaning="cannot apply a transaction, because it lacks a table that this one uses",
        advice=_COMPARE,
    ),
    ReplicationError(
        number=13121,
        phrases=("Relay log read failure",),
        culprit=Culprit.REPLICA,
        meaning="cannot read its relay log, which is damaged",
        advice=(
            "if the primary has every transaction of it, STOP REPLICA; RESET REPLICA; START REPLICA fetches them again"
        ),
    ),
)
"""All rows; the first one with a phrase in the text is the error."""


def lasting_error(status: ReplicationStatus | None) -> ReplicationError | None:
    """Return the error that keeps a replica from replicating and that a restart cannot change; None if there is none.

    A thread that runs has left its last error behind. The applier's error counts first: its relay log may hold what the
    source could give no more.
    """
    if status is None:
        return None
    if status.sql_state is ThreadState.STOPPED and (found := error_of(status.last_sql_error)) is not None:
        return found
    return None if status.is_receiving else error_of(status.last_io_error)


def error_of(text: str) -> ReplicationError | None:
    """Return the error with this text; None if no row knows it."""
    return next((error for error in ERRORS if any(phrase in text for phrase in error.phrases)), None)


_LONGEST = 300
"""Characters of an error that a sentence quotes."""


def brief_error(text: str) -> str:
    """Return the part of an error's text that tells something: what the server said, without the attempts so far."""
    said = text.rpartition("Message: ")[2].rstrip(". ")
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
