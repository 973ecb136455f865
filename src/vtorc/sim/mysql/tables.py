"""The databases of a simulated server, as its visible transactions have left them."""

from dataclasses import dataclass, field

from vtorc.sim.mysql.binlog import Change, CreateSchema, InsertJournal, InsertRow
from vtorc.vttablet.mysql_api import JournalRow


@dataclass(slots=True)
class Tables:
    """The databases of one server, as far as clients and tablets look at them."""

    journal: dict[str, dict[int, JournalRow]] = field(default_factory=dict)
    """The rows of the reparent journal in each sidecar database, by their times of creation."""
    schemas: set[str] = field(default_factory=set)
    """The names of the databases."""
    rows: set[int] = field(default_factory=set)
    """The ids of the rows that clients have inserted."""

    def apply(self, change: Change) -> None:
        """Store what a transaction changes."""
        if isinstance(change, InsertRow):
            self.rows.add(change.id)
        elif isinstance(change, InsertJournal):
            self.journal.setdefault(change.sidecar, {})[change.row.time_created_ns] = change.row
        elif isinstance(change, CreateSchema):
            self.schemas.add(change.name)
            if change.tables:
                self.journal.setdefault(change.name, {})

    def copy(self) -> "Tables":
        """Return a copy that later changes leave as it is."""
        journal = {sidecar: dict(rows) for sidecar, rows in self.journal.items()}
        return Tables(journal, set(self.schemas), set(self.rows))
