"""The moments of a reparent by which the outage of its shard is measured."""

import enum


class OutageMark(enum.Enum):
    """One such moment. A planned reparent elects and then demotes; the one of a lost primary stops and then elects."""

    STOPPED = "stopped"
    """The tablets that answer acknowledge nothing more, as far as the election needs that."""
    ELECTED = "elected"
    """The new primary is chosen."""
    DEMOTED = "demoted"
    """The healthy primary that is to be moved is read-only."""
    PROMOTED = "promoted"
    """The new primary takes writes."""
    ACKNOWLEDGED = "acknowledged"
    """Its first write is acknowledged."""
