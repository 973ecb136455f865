"""The form of what the MySQL of a tablet told vtorc itself, while its vttablet did not answer."""

from collections.abc import Callable
from typing import Literal, cast

from vtorc.core.facts.direct_answer import DirectAnswer
from vtorc.forms.base import Form

Outcome = Literal["answers", "refuses_login", "greets", "no_greeting", "refused", "unreachable", "mariadb"]


class DirectForm(Form, frozen=True, kw_only=True):
    """The last answer of MySQL over a connection of vtorc's own."""

    outcome: Outcome
    """How far the connection came: "answers", "refuses_login" (it lives), "greets" (and answers nothing more),
    "no_greeting" (it hangs), "refused" (no process listens), "unreachable" or "mariadb"."""
    error: str
    """The error in words; empty if it answered."""
    asked_at: str
    """When the connection began."""
    server_uuid: str
    """MySQL's server_uuid; empty if it was not told."""
    read_only: bool | None
    """Whether it refuses writes; None if it was not told."""
    executed: str | None
    """The transactions that it has committed, as MySQL writes them; None if it was not told."""


def direct_form(answer: DirectAnswer, wall_of: Callable[[float], str]) -> DirectForm:
    """Return the form of an answer; `wall_of` writes a moment of its clock as RFC 3339."""
    status = answer.status
    return DirectForm(
        outcome=cast(Outcome, answer.outcome.name.lower()),
        error=answer.text,
        asked_at=wall_of(answer.asked_at),
        server_uuid=status.server_uuid if status is not None else "",
        read_only=status.read_only if status is not None else None,
        executed=str(status.executed) if status is not None else None,
    )
