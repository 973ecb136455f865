"""A copy of all that a simulated server has on its disk, taken at one moment."""

from dataclasses import dataclass

from vtorc.core.facts.gtid import GtidSet
from vtorc.sim.mysql.binlog import Binlog, Transaction
from vtorc.sim.mysql.tables import Tables
from vtorc.vttablet.mysql_api import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLog:
    """The relay log of one server, and the source that it came from."""

    source: Source | None
    """The source by the server's own settings; None if it has none."""
    retrieved: GtidSet
    """The transactions that were received from that source."""
    waiting: tuple[Transaction, ...]
    """Those of them that are not applied yet, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """The data folder of one server; nothing that the server does later changes it."""

    binlog: Binlog
    executed: GtidSet
    tables: Tables
    relay_log: RelayLog
