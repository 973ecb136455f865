"""Transactions, and the binary log that holds them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet, Series
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.vttablet.mysql_api import JournalRow

_CHECKPOINT_EVERY = 256


@dataclass(frozen=True, slots=True)
class InsertRow:
    """A client inserts a row with an id that no other client uses."""

    id: int


@dataclass(frozen=True, slots=True)
class InsertJournal:
    """A row of the reparent journal."""

    sidecar: str
    row: JournalRow


@dataclass(frozen=True, slots=True)
class CreateSchema:
    """A database is created; with `tables` it is a sidecar database."""

    name: str
    tables: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A row without meaning."""


Change = InsertRow | InsertJournal | CreateSchema | Heartbeat


class Transaction:
    """One commit; the same object on every server that has it.

    `server_id` is that of the server that wrote it, `at` the second at which it was written.
    """

    __slots__ = ("at", "change", "number", "series", "server_id")

    def __init__(self, series: Series, number: int, change: Change, at: float, *, server_id: int) -> None:
        self.series = series
        self.number = number
        self.change = change
        self.at = at
        self.server_id = server_id

    @property
    def gtid(self) -> GtidSet:
        """The GTID of the transaction, as a set."""
        return GtidSet.of(self.series[0], self.number, tag=self.series[1])

    def __repr__(self) -> str:
        return f"<{self.series[0][:8]}:{self.number} {self.change}>"


def gtids_of(transactions: Iterable[Transaction]) -> GtidSet:
    """Return the GTIDs of transactions."""
    gtids = GtidLog()
    for each in transactions:
        gtids.add(each.series, each.number)
    return gtids.value


def as_text(inserts: Collection[Transaction]) -> str:
    """Name clients' transactions by how many rows they inserted and by their GTIDs."""
    return f"{len(inserts)} rows ({gtids_of(inserts)})"


class Binlog:
    """A binary log; positions count the transactions ever written, starting at 0."""

    def __init__(self) -> None:
        self.gtids = GtidLog()
        self.purged = EMPTY_GTID_SET
        self._first = 0
        self._transactions: list[Transaction] = []
        self._checkpoints: list[tuple[int, GtidSet]] = [(0, EMPTY_GTID_SET)]

    @property
    def end(self) -> int:
        """The position of the next transaction."""
        return self._first + len(self._transactions)

    @property
    def retained(self) -> Sequence[Transaction]:
        """The transactions that are left after purges, oldest first."""
        return self._transactions

    def append(self, transaction: Transaction) -> int:
        """Write a transaction and return its position."""
        position = self.end
        if position % _CHECKPOINT_EVERY == 0 and position:
            self._checkpoints.append((position, self.gtids.value))
        self._transactions.append(transaction)
        self.gtids.add(transaction.series, transaction.number)
        return position

    def leave_out(self, transaction: Transaction) -> None:
        """Commit a transaction without writing it, which counts as purged (MySQL manual, gtid_purged)."""
        purged = GtidLog(self.purged)
        purged.add(transaction.series, transaction.number)
        self.purged = purged.value
        self.gtids.add(transaction.series, transaction.number)

    def read(self, position: int, *, most: int) -> list[Transaction]:
        """Return at most `most` transactions from a position on."""
        start = position - self._first
        return self._transactions[start : start + most]

    def first_missing(self, known: GtidSet) -> int:
        """Return the position of the first transaction that `known` lacks, or the end."""
        has = GtidLog(known).has
        position = max(at for at, before in self._checkpoints if before.is_subset_of(known) or at <= self._first)
        position = max(position, self._first)
        for transaction in self._transactions[position - self._first :]:
            if not has(transaction.series, transaction.number):
                return position
            position += 1
        return position

    def copy(self) -> "Binlog":
        """Return a copy that later transactions do not change."""
        made = Binlog()
        made.gtids, made.purged = GtidLog(self.gtids.value), self.purged
        made._first, made._transactions = self._first, list(self._transactions)
        made._checkpoints = list(self._checkpoints)
        return made

    def purge(self, *, keep: int) -> None:
        """Delete all but the newest `keep` transactions."""
        gone = max(0, len(self._transactions) - keep)
        purged = GtidLog(self.purged)
        for transaction in self._transactions[:gone]:
            purged.add(transaction.series, transaction.number)
        self.purged = purged.value
        self._first += gone
        del self._transactions[:gone]
        self._checkpoints = [(at, before) for at, before in self._checkpoints if at > self._first]
        self._checkpoints.insert(0, (self._first, self.purged))

    def reset(self, purged: GtidSet) -> None:
        """Wipe log and GTID history; the history is `purged` after that."""
        self._first = self.end
        self._transactions.clear()
        self.gtids = GtidLog(purged)
        self.purged = purged
        self._checkpoints = [(self._first, purged)]
