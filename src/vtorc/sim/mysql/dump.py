"""The source's end of replication: one replica reading the binary log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtorc.core.facts.gtid import GtidSet
from vtorc.sim.engine.stream import End
from vtorc.sim.mysql.binlog import Transaction
from vtorc.sim.mysql.gtids import GtidLog

if TYPE_CHECKING:
    from vtorc.sim.mysql.server import SimMysqld

_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A replica's request; `known` is what it holds. The callbacks run at the replica.

    `transactions` gets a batch and the position to acknowledge, or -1 if the source does not ask for that.
    """

    uuid: str
    semi_sync: bool
    known: GtidSet
    accepted: Callable[[str, int], None]
    refused: Callable[[int, str], None]
    transactions: Callable[[list[Transaction], int], None]


class Dump:
    """One dump thread: sends what the replica does not have, as soon as it is in the binary log."""

    def __init__(self, server: "SimMysqld", end: End, hello: Hello) -> None:
        self.end = end
        self.uuid = hello.uuid
        self.semi_sync = hello.semi_sync
        self._server = server
        self._send = hello.transactions
        self._known = GtidLog(hello.known)
        self._cursor = server.binlog.first_missing(hello.known)

    def begin(self) -> None:
        """Count what the replica has already as acknowledged, and send the rest."""
        if self.semi_sync and self._cursor:
            self._server.acks.acknowledge(self.uuid, self._cursor - 1)
        self.pump()

    def pump(self) -> None:
        """Send everything there is."""
        binlog = self._server.binlog
        ask = self.semi_sync and self._server.acks.enabled
        while self._cursor < binlog.end:
            batch = binlog.read(self._cursor, most=_BATCH)
            self._cursor += len(batch)
            unknown = [each for each in batch if not self._known.has(each.series, each.number)]
            if unknown or ask:
                self.end.send(self._send, unknown, self._cursor - 1 if ask else -1)

    def acknowledged(self, position: int) -> None:
        """The replica says that it holds everything up to a position."""
        self._server.acks.acknowledge(self.uuid, position)
