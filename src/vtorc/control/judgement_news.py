"""The news in the judgement of a shard, compared with the one before."""

from vtorc.core.facts.views import ShardView
from vtorc.recovery.runner import Judgement


def primary_begins_to_fail(before: Judgement, after: Judgement) -> bool:
    """Return whether the primary answered then and does not now: it may have to be replaced at once."""
    was, primary = before.view.primary, after.view.primary
    return was is not None and was.is_current and primary is not None and not primary.is_current


def is_news_after(before: Judgement, after: Judgement) -> bool:
    """Return whether more has changed than positions and times."""
    if before.decisions != after.decisions or before.policy is not after.policy:
        return True
    return before.controlled is not after.controlled or _view_is_news(before.view, after.view)


def _view_is_news(before: ShardView, after: ShardView) -> bool:
    if before.holds != after.holds:
        return True
    if before.shard_record != after.shard_record or len(before.tablets) != len(after.tablets):
        return True
    if before.unreachable_cells != after.unreachable_cells or before.bad_records != after.bad_records:
        return True
    return any(
        was.alias != tablet.alias or tablet.is_news_after(was)
        for was, tablet in zip(before.tablets, after.tablets, strict=True)
        if was is not tablet
    )
