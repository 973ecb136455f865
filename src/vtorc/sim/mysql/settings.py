"""What a simulated mysqld is configured with, how long its work takes, and who watches it."""

import enum
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtorc.sim.engine.network import Latency

if TYPE_CHECKING:
    from vtorc.sim.mysql.binlog import Transaction
    from vtorc.sim.mysql.server import SimMysqld


_STATEMENT = Latency(0.0001, 0.0003, 0.02)
_COMMIT = Latency(0.0003, 0.001, 0.05)
_RELAY = Latency(0.0001, 0.0004, 0.03)
_APPLY = Latency(0.0002, 0.0008, 0.05)
_THREAD_SWITCH = Latency(0.001, 0.005, 0.2)
_RECOVERY = Latency(0.5, 3.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimMysqlSettings:
    """The part of my.cnf that matters here; the defaults are Vitess' own file. Times are in seconds.

    `commit` is the flush of the binary log, `relay` that of the relay log, `apply` the applier's work for one commit.
    """

    version: str = "8.0.36"
    wait_for_replica_count: int = 1
    semi_sync_plugin: bool = True
    super_read_only_at_start: bool = True
    skip_replica_start: bool = True
    relay_log_recovery: bool = True
    replica_net_timeout: float = 60.0
    connect_retry: float = 10.0
    statement: Latency = _STATEMENT
    commit: Latency = _COMMIT
    relay: Latency = _RELAY
    apply: Latency = _APPLY
    thread_switch: Latency = _THREAD_SWITCH
    recovery: Latency = _RECOVERY


class Disk(enum.Enum):
    """The state of the disk that binary and relay logs lie on."""

    FINE = "fine"
    STALLED = "stalled"
    FULL_WAITING = "full, writers wait for space"
    FULL_FAILING = "full, writers fail"

    @property
    def holds_up(self) -> bool:
        """Whether a write neither succeeds nor fails."""
        return self in (Disk.STALLED, Disk.FULL_WAITING)


class Dropped(enum.Enum):
    """Why a relay log was dropped."""

    REPOINTED = "pointed to a source"
    RESET = "told to forget its source"
    CRASH = "relay log recovery after a crash"


class MysqlObserver:
    """Is told what happens in a server, at the moment it happens; does nothing by default."""

    def committed(self, server: "SimMysqld", transaction: "Transaction", *, acknowledged: bool, waited: bool) -> None:
        """A commit that was made on this server became visible.

        `waited`: it was to be acknowledged first; `acknowledged`: enough replicas did so.
        """

    def wrote(self, server: "SimMysqld", transaction: "Transaction") -> None:
        """A write that was made on this server is in its binary log."""

    def received(self, server: "SimMysqld", transaction: "Transaction") -> None:
        """A transaction is in the relay log."""

    def applied(self, server: "SimMysqld", transaction: "Transaction") -> None:
        """A transaction from the relay log is about to be committed."""

    def restored(self, server: "SimMysqld", other: "SimMysqld") -> None:
        """The server, which is stopped, has a copy of another's data."""

    def pointed(self, server: "SimMysqld") -> None:
        """The server has an empty relay log, and may have another source."""

    def relay_log_dropped(self, server: "SimMysqld", lost: "Sequence[Transaction]", why: Dropped) -> None:
        """These transactions were received, not applied, and are gone."""

    def history_wiped(self, server: "SimMysqld") -> None:
        """The binary log and the GTID history are about to be wiped."""

    def writability_changed(self, server: "SimMysqld") -> None:
        """Something changed that decides whether a write to this server can be acknowledged."""


def draw(latency: Latency, generator: random.Random, *, factor: float = 1.0) -> float:
    """Return how long a piece of work takes; `factor` beyond the latency's limit makes a slow server."""
    return latency.draw(generator) * factor
