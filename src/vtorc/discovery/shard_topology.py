"""The records of one shard and its tablets, as the topology server has them."""

from dataclasses import dataclass, field

from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTopology:
    """A shard as one reading of the topology server found it."""

    read_at: float
    """When the reading began, in seconds on the clock."""
    cells: frozenset[str]
    """All cells that exist, also those that could not be read."""
    keyspace_record: KeyspaceRecord
    shard_record: ShardRecord
    tablets: tuple[TabletRecord, ...]
    unreachable_cells: dict[str, str] = field(default_factory=dict)
    """The cells that could not be read, each with the reason."""
    bad_records: dict[TabletAlias, str] = field(default_factory=dict)
    """The tablets with unreadable records, each with the reason."""
