"""Whether an answer of a tablet only repeats the one before: then no verdict on its shard can be another, but by time.

An idle cluster gives nothing but such answers, and judging a shard anew costs more than asking its tablets.
"""

from dataclasses import fields

from vtorc.core.facts.ack_path import AckPath
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.observed_term import ObservedTerm
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import TabletView

_MOMENTS: dict[type, frozenset[str]] = {
    AckPath: frozenset({"held_at", "newest_at"}),
    ClientSpan: frozenset({"seen_to"}),
    ObservedTerm: frozenset({"seen_at", "semi_sync_active_at"}),
}
"""Fields that tell when something was last seen as it was; they move with each answer."""

_LASTING = {
    kind: tuple(field.name for field in fields(kind) if field.name not in moments) for kind, moments in _MOMENTS.items()
}
_REMEMBERED = tuple(field.name for field in fields(TabletMemory))


def repeats(after: TabletView, before: TabletView) -> bool:
    """Return whether the last probe brought what the one before had brought, and only moments have changed."""
    status = after.current_status
    if status is None or after.record is not before.record or status != before.current_status:
        return False
    memory, known = after.memory, before.memory
    return memory is known or all(_is_same(getattr(memory, name), getattr(known, name)) for name in _REMEMBERED)


def _is_same(after: object, before: object) -> bool:
    if after is before:
        return True
    lasting = _LASTING.get(type(after))
    if lasting is None or type(after) is not type(before):
        return after == before
    return all(getattr(after, name) == getattr(before, name) for name in lasting)
