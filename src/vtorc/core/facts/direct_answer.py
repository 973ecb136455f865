"""The answer of a tablet's MySQL to vtorc itself, which asks it when the tablet manager does not answer."""

import enum
from dataclasses import dataclass

from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import TabletStatus

ANSWERS_WITHIN = 2.0
"""Seconds that a connection, its login and all statements may take together.

A server that works greets within them, however busy its disk is.
"""


class DirectOutcome(enum.Enum):
    """How a connection to MySQL went; each says how far it came."""

    ANSWERS = "answers"
    """It let vtorc in and answered its statements."""
    REFUSES_LOGIN = "refuses the login"
    """It spoke, and refused vtorc the login: no such account, or too many connections."""
    GREETS = "only greets"
    """It sent its greeting, and no answer after that in time."""
    NO_GREETING = "no greeting"
    """Its host accepted the connection, and it sent nothing in time: the process stands still."""
    REFUSED = "refused"
    """Its host is there, and no process listens at the port."""
    UNREACHABLE = "unreachable"
    """No connection came about, or it broke before the greeting."""
    MARIADB = "mariadb"
    """Another kind of server is there, which vtorc cannot work with."""


_CLAUSES = {
    DirectOutcome.ANSWERS: "its MySQL answers",
    DirectOutcome.REFUSES_LOGIN: "its MySQL lives and does not let vtorc in",
    DirectOutcome.GREETS: "its MySQL sends a greeting and no answer",
    DirectOutcome.NO_GREETING: "its MySQL accepts connections and sends no greeting",
    DirectOutcome.REFUSED: "its MySQL refuses connections",
    DirectOutcome.UNREACHABLE: "its MySQL cannot be reached",
    DirectOutcome.MARIADB: "MariaDB answers, and vtorc works only with MySQL",
}

_SAME = {
    (DirectOutcome.REFUSED, ProbeFailure.REFUSED): " too",
    (DirectOutcome.UNREACHABLE, ProbeFailure.UNREACHABLE): " either",
    (DirectOutcome.UNREACHABLE, ProbeFailure.TIMEOUT): " either",
}

_IS_SILENT_ITSELF = (ProbeFailure.REFUSED, ProbeFailure.UNREACHABLE, ProbeFailure.TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAnswer:
    """One answer of the server at a tablet's MySQL address, over a connection of vtorc's own."""

    outcome: DirectOutcome
    """How far the connection came."""
    text: str = ""
    """The error in words; empty if the server answered."""
    status: TabletStatus | None = None
    """The status as far as MySQL knows it; None unless it answered and the account may read it."""
    asked_at: float = float("-inf")
    """When the connection began, in seconds on the caller's monotonic clock."""

    def is_of_server(self, uuid: str) -> bool:
        """Whether the answer can be of the server with that UUID; an unknown one contradicts nothing."""
        told = self.status.server_uuid if self.status is not None else ""
        return not told or not uuid or told == uuid

    def shows_life(self, uuid: str) -> bool:
        """Whether the server with that UUID has just taken a connection, or has spoken to refuse one."""
        return self.outcome in (DirectOutcome.ANSWERS, DirectOutcome.REFUSES_LOGIN) and self.is_of_server(uuid)

    def clause(self, failure: ProbeFailure, uuid: str) -> str:
        """Say it beside how the tablet manager failed, of the tablet whose server has that UUID."""
        if not self.is_of_server(uuid):
            return "another server than its MySQL answers at its address"
        says = _CLAUSES[self.outcome] + _SAME.get((self.outcome, failure), "")
        if self.outcome is not DirectOutcome.ANSWERS:
            return says
        if failure is ProbeFailure.MYSQL_DOWN:
            return f"{says}: only its tablet manager cannot reach it"
        return f"{says}: only its tablet manager fails" if failure in _IS_SILENT_ITSELF else says
