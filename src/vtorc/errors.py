"""Every exception that crosses a module boundary, in one tree.

A message tells its reader what happened, to what, and what to do about it.
"""

from collections.abc import Sequence


class VtorcError(Exception):
    """Base of all errors that vtorc raises on purpose."""


class TabletError(VtorcError):
    """A call to a tablet did not succeed."""


class TabletUnreachable(TabletError):
    """Nobody answered: connection refused or broken, no route, deadline passed, or the tablet was shut down on purpose.

    `reason` is one of "refused", "unreachable", "timeout", "shut down".
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TabletCallFailed(TabletError):
    """The tablet answered with an error; `errno` is MySQL's error number where the answer carries one, else 0."""

    def __init__(self, message: str, *, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class TabletCallUnknown(TabletError):
    """The tablet does not know this call: it is older than the call."""


class TabletBadAnswer(TabletError):
    """The tablet answered something that makes no sense; the message names the field, its value and what was
    expected.
    """


class TabletClientMisconfigured(TabletError):
    """No tablet can be called as the settings say: a file with a certificate or credentials cannot be read or used."""


class MysqlError(VtorcError):
    """A statement failed, or the server could not be asked; the text ends with errno and SQLSTATE as Vitess writes
    them.

    `errno` is MySQL's number: 2002 when no connection could be made, 2013 when one broke, 100 for "not a replica"
    (Vitess' own).
    """

    def __init__(self, message: str, *, errno: int, sqlstate: str = "HY000") -> None:
        super().__init__(f"{message} (errno {errno}) (sqlstate {sqlstate})")
        self.errno = errno
        self.sqlstate = sqlstate


class MalformedText(VtorcError, ValueError):
    """A text does not have the form that it should; the message names the text and the expected form."""


class GtidParseError(MalformedText):
    """A text is not a MySQL GTID set."""


class PositionParseError(MalformedText):
    """A text is not a replication position, or of a flavour that vtorc does not know."""


class NameParseError(MalformedText):
    """A text is not the name of a tablet, shard, key range or tablet type."""


class PositionFlavorMismatch(VtorcError):
    """Two positions of different flavours were compared; no order exists between them."""


class UnknownDurabilityPolicy(VtorcError):
    """A keyspace asks for a durability policy that vtorc does not know; nothing may be done there automatically."""


class TopoError(VtorcError):
    """The topology server did not do what was asked.

    Where none of the classes below is raised, it answered with an error that asking again does not cure.
    """


class TopoMisconfigured(TopoError):
    """The settings lead to no topology server; the message names the setting, its value and what was expected."""


class TopoUnavailable(TopoError):
    """No topology server answered in time, or it refused for now.

    A write may have been done all the same: read before repeating it.
    """


class TopoTimeout(TopoUnavailable):
    """The deadline of one call to the topology server passed."""


class TopoUnsupported(TopoError):
    """This kind of topology server cannot do that; the caller does it with simpler calls."""


class NoNode(TopoError):
    """The record or directory does not exist."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the topology server has no {path}")
        self.path = path


class NodeExists(TopoError):
    """A record that was to be created exists already."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the topology server has a {path} already; read it and update it instead")
        self.path = path


class BadVersion(TopoError):
    """The record was changed by somebody else since it was read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was changed by somebody else since it was read; read it again and repeat the change")
        self.path = path


class BadRecord(TopoError):
    """A record of the topology server makes no sense; `reason` says what was wrong and shows its first bytes."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is not a valid record: {reason}. Repair or delete it")
        self.path = path
        self.reason = reason


class LockHeld(TopoError):
    """Somebody else holds the lock; `holder` is one clause saying who, for what and since when."""

    def __init__(self, directory: str, holder: str) -> None:
        super().__init__(f"{directory} is locked by {holder}; wait for that to end, or for its lease to do so")
        self.directory = directory
        self.holder = holder


class LockLost(TopoError):
    """A lock is not ours any more, or nobody can say whether it is: change nothing more under it."""


class SettingsError(VtorcError):
    """The settings cannot be used; `problems` names each flag, key or file that is wrong, its value and what was
    expected.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class HistoryError(VtorcError):
    """The history file cannot be opened, read or written; vtorc goes on without it."""


class HistoryDamaged(HistoryError):
    """The history file is no SQLite file, or SQLite finds it damaged."""
