"""All exceptions that cross a module boundary, in one tree.

A message says what happened, to which tablet, record or file, and what to do about it.
"""

from collections.abc import Sequence


class VtorcError(Exception):
    """Base of all errors that vtorc itself raises."""


class TabletError(VtorcError):
    """A call to a tablet failed."""


class TabletUnreachable(TabletError):
    """The tablet gave no answer.

    `reason` is "refused" (connection refused), "unreachable" (connection broken, or no route), "timeout" (deadline
    passed), or "shut down" (stopped on purpose, by its record).
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TabletCallFailed(TabletError):
    """The tablet answered with an error; `errno` is MySQL's error number, 0 where the answer carries none."""

    def __init__(self, message: str, *, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class TabletCallUnknown(TabletError):
    """The tablet does not implement this call: its release is older than the call."""


class TabletBadAnswer(TabletError):
    """The tablet's answer is malformed; the message names the field, its value and the expected form."""


class TabletClientMisconfigured(TabletError):
    """A file with a certificate or credentials cannot be read or used, so no tablet can be called."""


class MysqlError(VtorcError):
    """A statement failed, or mysqld could not be reached; the text ends with errno and SQLSTATE as Vitess writes them.

    `errno` is MySQL's number: 2002 when no connection could be made, 2013 when one broke. 100 is Vitess' own number
    for "not a replica".
    """

    def __init__(self, message: str, *, errno: int, sqlstate: str = "HY000") -> None:
        super().__init__(f"{message} (errno {errno}) (sqlstate {sqlstate})")
        self.errno = errno


class MalformedText(VtorcError, ValueError):
    """A text is malformed; the message names the text and the expected form."""


class GtidParseError(MalformedText):
    """A text is not a MySQL GTID set."""


class NameParseError(MalformedText):
    """A text is not the name of a tablet, shard, key range or tablet type."""


class HoldParseError(MalformedText):
    """A text is no scope, effect or length of a hold."""


class UnknownDurabilityPolicy(VtorcError):
    """A keyspace names a durability policy that vtorc does not know; no automatic action is taken in that keyspace."""


class TopoError(VtorcError):
    """A request to the topology server failed.

    Raised itself, not as one of the classes below, it means that the server answered with an error that a retry does
    not cure.
    """


class TopoMisconfigured(TopoError):
    """The settings name no usable topology server; the message names the setting, its value and what was expected."""


class TopoUnavailable(TopoError):
    """The topology server gave no answer in time, or refused for now.

    A write may have been carried out all the same: read before repeating it.
    """


class TopoTimeout(TopoUnavailable):
    """The deadline of one call to the topology server passed."""


class TopoUnsupported(TopoError):
    """This kind of topology server lacks the operation; the caller uses simpler calls in its place."""


class NoNode(TopoError):
    """The record or directory does not exist."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the topology server has no {path}")


class NodeExists(TopoError):
    """A record that was to be created exists already."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the topology server has a {path} already; read it and update it instead")


class BadVersion(TopoError):
    """The record was changed by another process since it was read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was changed by another process since it was read; read it again, repeat the change")


class BadRecord(TopoError):
    """A record of the topology server is invalid; `reason` says what is wrong with it and shows its first bytes."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is not a valid record: {reason}. Repair or delete it")
        self.reason = reason


class LockHeld(TopoError):
    """Another process holds the lock; `holder` is one clause with its user, host, purpose and beginning."""

    def __init__(self, directory: str, holder: str) -> None:
        super().__init__(f"{directory} is locked by {holder}; wait until it is released, or until its lease ends")


class LockLost(TopoError):
    """This process has lost a lock, or cannot find out whether it still has it: change nothing more under it."""


class SettingsError(VtorcError):
    """The settings cannot be used; each of `problems` names a flag, key or file, its value and what was expected."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ListenError(VtorcError):
    """The HTTP server cannot listen where the settings say."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot serve HTTP on {host or 'all addresses'}, port {port}: {reason}; end what listens there, or give "
            f"another --listen-address, --port or --bind-address"
        )


class ListenerTlsError(VtorcError):
    """A file for the TLS of the HTTP server cannot be used; the message names the key, the file and the reason."""

    def __init__(self, key: str, path: object, reason: str) -> None:
        super().__init__(f"{key}: {path}: {reason}; correct the file or the setting, or start without --use-ssl")


class ChannelError(VtorcError):
    """The other end of the channel between vtorc and its HTTP server sent what is no frame."""


class HistoryError(VtorcError):
    """The history file cannot be opened, read or written; vtorc continues without it."""


class MemoryFileError(VtorcError):
    """The file of what vtorc remembers cannot be opened, read or written; vtorc continues without it."""


class MemoryFileDamaged(MemoryFileError):
    """The file of what vtorc remembers is not an SQLite file, or SQLite finds it damaged."""


class OrdersFileError(VtorcError):
    """The file of what operators told vtorc cannot be opened, read or written; orders are refused until it can be."""


class NoteParseError(VtorcError):
    """A text is no note of an operator, such as a tag."""


class HistoryDamaged(HistoryError):
    """The history file is not an SQLite file, or SQLite finds it damaged."""
