"""The source's end of replication: one replica that reads the binary log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vtorc.core.facts.gtid import GtidSet
from vtorc.sim.engine.process import Process
from vtorc.sim.engine.stream import End
from vtorc.sim.mysql.binlog import Binlog, Transaction
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.sim.mysql.semisync import AckWaits

_BATCH = 200
"""Transactions sent at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRequest:
    """A replica's request for the binary log; `known` is what the replica holds. The callbacks run at the replica.

    `transactions` gets a batch and the position to acknowledge, or -1 if the source asks for no acknowledgement.
    """

    uuid: str
    semi_sync: bool
    known: GtidSet
    accepted: Callable[[str, int], None]
    refused: Callable[[int, str], None]
    transactions: Callable[[list[Transaction], int], None]


class ReplicationSource(Protocol):
    """A server as its replicas reach it over the network."""

    process: Process

    def accept_dump(self, end: End, request: DumpRequest) -> None:
        """Take a request for the binary log, or refuse it."""

    def acknowledged(self, replica: str, position: int) -> None:
        """Note the semi-sync acknowledgement of a replica, which is named by its server's UUID."""


class Dump:
    """A binlog dump thread: sends what the replica lacks as soon as it is in the binary log."""

    def __init__(self, binlog: Binlog, acks: AckWaits, end: End, request: DumpRequest, *, began_at: float) -> None:
        self.end = end
        self.began_at = began_at
        self.uuid = request.uuid
        self.semi_sync = request.semi_sync
        self.refused = request.refused
        self._binlog = binlog
        self._acks = acks
        self._send = request.transactions
        self._known = GtidLog(request.known)
        self._cursor = binlog.first_missing(request.known)

    def begin(self) -> None:
        """Count everything before the first missing transaction as acknowledged, and send the rest."""
        if self.semi_sync and self._cursor:
            self.acknowledged(self._cursor - 1)
        self.pump()

    def pump(self) -> None:
        """Send everything that is in the binary log and was not sent before."""
        binlog = self._binlog
        ask = self.semi_sync and self._acks.enabled
        while self._cursor < binlog.end:
            batch = binlog.read(self._cursor, most=_BATCH)
            self._cursor += len(batch)
            unknown = [each for each in batch if not self._known.has(each.series, each.number)]
            if unknown or ask:
                self.end.send(self._send, unknown, self._cursor - 1 if ask else -1)

    def acknowledged(self, position: int) -> None:
        """Note that the replica holds everything up to a position."""
        self._acks.acknowledge(self.uuid, position)
