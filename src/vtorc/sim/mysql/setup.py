"""The settings that an operator gave one server instead of those of Vitess' own `my.cnf`."""

from dataclasses import dataclass, replace

from vtorc.sim.mysql.binlog import Heartbeat, InsertRow, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSetup:
    """The settings of one server; the defaults are those of Vitess' file."""

    filters: bool = False
    """Whether replication filters leave out the database of the clients."""
    log_bin: bool = True
    """Whether it writes binary logs that others can read."""
    log_replica_updates: bool = True
    """Whether it logs what it receives."""
    semi_sync_plugins: bool = True
    """Whether it has the plugins of semi-sync."""

    @property
    def is_vitess_own(self) -> bool:
        """Whether nothing is set otherwise."""
        return self == VITESS_OWN

    def pass_filters(self, transaction: Transaction) -> Transaction:
        """Return what the applier commits: an empty transaction of the same GTID if its row is filtered."""
        if not self.filters or not isinstance(transaction.change, InsertRow):
            return transaction
        return Transaction(
            transaction.series, transaction.number, Heartbeat(), transaction.at, server_id=transaction.server_id
        )

    def with_changes(self, **changes: bool) -> "ServerSetup":
        """Return the same settings with some of them changed."""
        return replace(self, **changes)


VITESS_OWN = ServerSetup()
