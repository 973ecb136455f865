"""The first sentences of pages with lists: each answers the question of its page."""

from collections.abc import Sequence

from vtorc.forms.recovery import RecoveryForm
from vtorc.server.ui.look_back import Then
from vtorc.server.ui.words import date_time, plural


def recoveries_sentence(recoveries: Sequence[RecoveryForm], then: Then | None) -> str:
    """Return how many recoveries a page lists, and what came of them."""
    if not recoveries:
        return f"No recovery had begun by {date_time(then.at)}." if then else "No recovery is known."
    succeeded = sum(each.succeeded for each in recoveries)
    idle = sum(each.was_idle for each in recoveries)
    failed = len(recoveries) - succeeded - idle
    parts = ((succeeded, "succeeded"), (failed, "failed or refused"), (idle, "not needed, or cancelled"))
    told = ", ".join(f"{count:,} {words}" for count, words in parts if count)
    return f"{plural(len(recoveries), 'recovery', 'recoveries')}: {told}."


def audit_sentence(results: Sequence[str], then: Then | None) -> str:
    """Return how many requests of operators a page lists, and how many of them came to nothing."""
    if not results:
        by = (
            f"had asked for anything by {date_time(then.at)}"
            if then
            else "has asked for anything since this server started"
        )
        return f"No operator {by}."
    refused = sum(result in ("refused", "failed") for result in results)
    told = "none was refused" if not refused else f"{refused} refused or failed"
    return f"{plural(len(results), 'request')} of operators: {told}."
