"""How the last probe of a tablet ended: with a status, or with a failure."""

import enum
from dataclasses import dataclass, replace
from typing import Self

from vtorc.core.facts.status import TabletStatus


class ProbeFailure(enum.Enum):
    """Why a probe brought no status; the classes lead to different verdicts."""

    REFUSED = "refused"
    """The host is there, and no process listens at the tablet's port."""
    UNREACHABLE = "unreachable"
    """There is no route, the host name is not known, or the connection was reset."""
    TIMEOUT = "timeout"
    """No answer came in time: the host or process is silent, or vtorc is cut off."""
    HUNG = "hung"
    """The tablet manager answers a ping, but brings no status from its mysqld: a hang, or overload."""
    MYSQL_DOWN = "mysql down"
    """The tablet manager answers, its mysqld does not."""
    ERROR = "error"
    """The tablet manager answers that it cannot bring a status."""
    BAD_ANSWER = "bad answer"
    """The answer is not a valid status."""
    SHUT_DOWN = "shut down"
    """Its record says that an operator stopped the tablet; it is not dialled."""

    @property
    def is_silence(self) -> bool:
        """Whether no answer came in time, which says nothing about what goes on."""
        return self in (ProbeFailure.TIMEOUT, ProbeFailure.HUNG)


_PHRASES = {
    ProbeFailure.REFUSED: "refuses connections",
    ProbeFailure.UNREACHABLE: "cannot be reached",
    ProbeFailure.TIMEOUT: "does not answer",
    ProbeFailure.HUNG: "hangs (its tablet manager answers, its MySQL does not)",
    ProbeFailure.MYSQL_DOWN: "answers that its MySQL is down",
    ProbeFailure.ERROR: "answers with an error",
    ProbeFailure.BAD_ANSWER: "answers nonsense",
    ProbeFailure.SHUT_DOWN: "was shut down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LastProbe:
    """The last status that any probe of a tablet brought, and how the probes since then failed.

    Times are seconds on the caller's monotonic clock, which stands while vtorc itself is late.
    """

    status: TabletStatus | None = None
    """The last answer of the tablet, however many probes have failed since; None if it never answered."""
    status_at: float | None = None
    """When the probe started that brought `status`; None if the tablet never answered."""
    ended_at: float | None = None
    """When the last probe was over, with or without a status; None before the first one is."""
    failure: ProbeFailure | None = None
    """Why the last probe brought no status; None if it brought one, and before the first one is over."""
    failure_text: str = ""
    """The error of the last probe in words; empty if it brought a status."""
    failures_in_row: int = 0
    """How many probes have failed since the last status."""
    failing_since: float | None = None
    """When the first of the probes started that failed since the last status; None if none did. Answers of others after
    that are evidence about the failure.
    """
    unasked: float = 0.0
    """Seconds since `failing_since` in which probes waited to be sent: the tablet was unasked then, not silent."""
    same_failure_since: float | None = None
    """When the first of the last probes was over that all failed in the way of `failure`; None if the last one brought
    a status."""
    late_before_failure: float = 0.0
    """Seconds from `status_at` to `same_failure_since` in which vtorc was late, so that the clock stood, and servers
    went on."""

    @classmethod
    def answered(cls, status: TabletStatus, *, started: float, ended: float) -> Self:
        """Return what a probe leaves that brought a status."""
        return cls(status=status, status_at=started, ended_at=ended)

    def failed(
        self,
        failure: ProbeFailure,
        text: str,
        *,
        started: float,
        ended: float,
        unasked: float = 0.0,
        late: float = 0.0,
    ) -> Self:
        """Return what is left after one more probe that failed: the status stays.

        The probe waited `unasked` seconds until it could be sent, and vtorc was late for `late` seconds since the last
        status.
        """
        is_same = self.failure is failure
        return replace(
            self,
            ended_at=ended,
            failure=failure,
            failure_text=text,
            failures_in_row=self.failures_in_row + 1,
            failing_since=started if self.failing_since is None else self.failing_since,
            unasked=self.unasked + (0.0 if self.failing_since is None else unasked),
            same_failure_since=self.same_failure_since if is_same else ended,
            late_before_failure=self.late_before_failure if is_same else late,
        )

    @property
    def silent_since(self) -> float | None:
        """The moment from which its failure is counted; time in which it was not asked is left out. None while it
        answers.
        """
        return None if self.failing_since is None else self.failing_since + self.unasked

    @property
    def failure_phrase(self) -> str:
        """How the last probe failed, as the end of a sentence about the tablet."""
        if self.failure is None:
            return "answers"
        told = self.failure in (ProbeFailure.ERROR, ProbeFailure.BAD_ANSWER) and self.failure_text
        return _PHRASES[self.failure] + (f" ({self.failure_text})" if told else "")


NEVER_PROBED = LastProbe()
