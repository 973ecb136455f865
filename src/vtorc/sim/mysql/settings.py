"""The configuration of a simulated mysqld, and how long its work takes."""

import enum
import math
from dataclasses import dataclass

from vtorc.sim.engine.network import Latency

_STATEMENT = Latency(0.0001, 0.0003, 0.02)
_COMMIT = Latency(0.0003, 0.001, 0.05)
_RELAY = Latency(0.0001, 0.0004, 0.03)
_APPLY = Latency(0.0002, 0.0008, 0.05)
_THREAD_SWITCH = Latency(0.001, 0.005, 0.2)
_RECOVERY = Latency(0.5, 3.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimMysqlSettings:
    """The part of my.cnf that matters here, with the defaults of Vitess' own file, and latencies; times in seconds.

    `commit` is the flush of the binary log, `relay` that of the relay log, `apply` the applier's work for one commit.
    With `wait_after_commit` the wait point of semi-sync is AFTER_COMMIT: all clients see a write before it is
    acknowledged. A commit that was not acknowledged for `ack_timeout` is told OK without; infinity stands for the
    endless timeout of Vitess' file. As in that file, a server starts with super_read_only on, semi-sync off and no
    replication thread.
    """

    version: str = "8.0.36"
    wait_for_replica_count: int = 1
    wait_after_commit: bool = False
    ack_timeout: float = math.inf
    relay_log_recovery: bool = True
    replica_net_timeout: float = 60.0
    connect_retry: float = 10.0
    statement: Latency = _STATEMENT
    commit: Latency = _COMMIT
    relay: Latency = _RELAY
    apply: Latency = _APPLY
    thread_switch: Latency = _THREAD_SWITCH
    recovery: Latency = _RECOVERY


class DropReason(enum.Enum):
    """The reason for which a relay log was dropped."""

    REPOINTED = "pointed to a source"
    RESET = "source was reset"
    CRASH = "relay log recovery after a crash"
